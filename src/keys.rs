//! The subscribers' keys, read from their files at the start and on SIGHUP.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use hasses_actors::auth::Keys;
use nix::unistd::{AccessFlags, eaccess};

use crate::mercure;
use crate::plan::Plan;
use crate::privileges;

/// More than the longest key, or a set of many, has.
const MOST: u64 = 64 * 1024;
/// The widest mode that a secret's file should have.
const WIDEST: u32 = 0o640;

/// The option that names the file.
pub(crate) const OPTION: &str = "--subscribe-key";

/// Reads the keys of a plan, whose paths are meant in `folder`, into its configuration; with what
/// should be better about them, one line each.
pub(crate) fn load(plan: &mut Plan, folder: &Path) -> Result<Vec<String>, String> {
    let mut warnings = mercure::load(plan, folder)?;
    for path in &plan.subscribe_keys {
        let (keys, about) = read(OPTION, &folder.join(path))?;
        match &mut plan.config.subscribe_keys {
            Some(known) => known.extend(keys),
            none => *none = Some(keys),
        }
        warnings.extend(about);
    }
    Ok(warnings)
}

/// Reads the keys of a plan at the start, and looks whether that can be done again later.
pub(crate) fn load_first(plan: &mut Plan) -> Result<Vec<String>, String> {
    let mut warnings = load(plan, Path::new(""))?;
    for path in &plan.subscribe_keys {
        warnings.extend(unreadable(plan, path)?);
    }
    Ok(warnings)
}

/// A warning if the user that hasses becomes may not read a key again.
fn unreadable(plan: &Plan, path: &Path) -> Result<Option<String>, String> {
    let Some(user) = &plan.user else {
        return Ok(None);
    };
    let read = privileges::as_user(user, || eaccess(path, AccessFlags::R_OK))?;
    Ok(read.err().map(|error| {
        format!(
            "{OPTION} {}: {} may not read it ({}), so SIGHUP will not take a new one",
            path.display(),
            user.asked,
            error.desc()
        )
    }))
}

/// Reads the keys in a file; with what should be better about that, one line each.
pub(crate) fn read(option: &str, path: &Path) -> Result<(Keys, Vec<String>), String> {
    let name = format!("{option} {}", path.display());
    let told = |error: io::Error| format!("{name}: {error}");
    let file = File::open(path).map_err(told)?;
    let mode = file.metadata().map_err(told)?.mode() & 0o7777;
    let mut content = Vec::new();
    file.take(MOST).read_to_end(&mut content).map_err(told)?;
    let keys = Keys::read(&content).map_err(|error| format!("{name}: {error}"))?;
    let mut warnings = Vec::new();
    if keys.has_secret() && mode & !WIDEST != 0 {
        warnings.push(format!(
            "{name}: its mode {mode:04o} lets others at the secret; {WIDEST:04o} is the widest it should have"
        ));
    }
    if keys.has_short() {
        warnings.push(format!(
            "{name}: its secret is shorter than 32 bytes, which may be guessed; \
             openssl rand -hex 32 makes a good one"
        ));
    }
    Ok((keys, warnings))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::env;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::process;

    use super::*;

    #[test]
    fn a_secret_lies_where_few_can_read_it() {
        let path = env::temp_dir().join(format!("hasses-key-{}", process::id()));
        let warnings = |content: &str, mode| {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            read("--key", &path).map(|(_, warnings)| warnings.join("\n"))
        };
        let long = "0123456789abcdef0123456789abcdef\n";
        assert_eq!(warnings(long, 0o640).unwrap(), "");
        assert_eq!(warnings(long, 0o400).unwrap(), "");
        for mode in [0o644, 0o660, 0o641] {
            let told = warnings(long, mode).unwrap();
            assert!(told.contains(&format!("--key {}: its mode {mode:04o}", path.display())));
        }
        assert!(warnings("short", 0o600).unwrap().contains("32 bytes"));
        let empty = warnings("\n", 0o600).unwrap_err();
        assert!(empty.contains("empty") && empty.starts_with("--key /"));
        fs::remove_file(&path).unwrap();
        assert!(read("--key", &path).unwrap_err().contains("No such file"));
    }
}
