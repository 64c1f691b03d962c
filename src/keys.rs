//! The subscribers' key, read from its file at the start and on SIGHUP.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use hasses_actors::auth::Key;
use nix::unistd::{AccessFlags, eaccess};

use crate::mercure;
use crate::options::Plan;
use crate::privileges;

/// More than the longest key has.
const MOST: u64 = 64 * 1024;
/// The widest mode that a secret's file should have.
const WIDEST: u32 = 0o640;

/// The option that names the file.
pub(crate) const OPTION: &str = "--subscribe-key";

/// Reads the key of a plan, whose path is meant in `folder`, into its configuration; with what
/// should be better about it, one line each.
pub(crate) fn load(plan: &mut Plan, folder: &Path) -> Result<Vec<String>, String> {
    let mut warnings = mercure::load(plan, folder)?;
    let Some(path) = &plan.subscribe_key else {
        return Ok(warnings);
    };
    let (key, told) = read(OPTION, &folder.join(path))?;
    plan.config.subscribe_key = Some(key);
    warnings.extend(told);
    Ok(warnings)
}

/// Reads the key of a plan at the start, and looks whether that can be done again later.
pub(crate) fn load_first(plan: &mut Plan) -> Result<Vec<String>, String> {
    let mut warnings = load(plan, Path::new(""))?;
    warnings.extend(unreadable(plan)?);
    Ok(warnings)
}

/// A warning if the user that hasses becomes may not read the key again.
fn unreadable(plan: &Plan) -> Result<Option<String>, String> {
    let (Some(path), Some(user)) = (&plan.subscribe_key, &plan.user) else {
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

/// Reads a key; with what should be better about its file, one line each.
pub(crate) fn read(option: &str, path: &Path) -> Result<(Key, Vec<String>), String> {
    let name = format!("{option} {}", path.display());
    let told = |error: io::Error| format!("{name}: {error}");
    let file = File::open(path).map_err(told)?;
    let mode = file.metadata().map_err(told)?.mode() & 0o7777;
    let mut content = Vec::new();
    file.take(MOST).read_to_end(&mut content).map_err(told)?;
    let key = Key::read(&content).map_err(|error| format!("{name}: {error}"))?;
    let mut warnings = Vec::new();
    if key.is_secret() && mode & !WIDEST != 0 {
        warnings.push(format!(
            "{name}: its mode {mode:04o} lets others at the secret; {WIDEST:04o} is the widest it should have"
        ));
    }
    if key.is_short() {
        warnings.push(format!(
            "{name}: its secret is shorter than 32 bytes, which may be guessed; \
             openssl rand -hex 32 makes a good one"
        ));
    }
    Ok((key, warnings))
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
