//! Files that hold a secret, and the options that name them.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use hasses_actors::model::Secret;

use crate::plan::Plan;

/// The most bytes of such a file; keys are far shorter.
const MOST: u64 = 64 * 1024;
/// What its mode may be at the widest.
const MODE: u32 = 0o640;

/// What a secret's file holds.
#[derive(Debug)]
pub(crate) struct SecretFile {
    /// Its bytes, without one newline (or CR LF) at the end. Never to be shown.
    pub(crate) bytes: Vec<u8>,
    /// That others may read it, by name, if they may.
    pub(crate) warning: Option<String>,
}

/// Reads the file that `option` names.
///
/// Errors: it cannot be read, or is larger than 64 KiB; by name, without what it holds.
pub(crate) fn read(option: &str, path: &Path) -> Result<SecretFile, String> {
    let told = |why: &dyn std::fmt::Display| format!("{option} {}: {why}", path.display());
    let file = File::open(path).map_err(|error| told(&error))?;
    let mode = file.metadata().map_err(|error| told(&error))?.mode() & 0o777;
    let mut bytes = Vec::new();
    file.take(MOST + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| told(&error))?;
    if bytes.len() as u64 > MOST {
        return Err(told(&format_args!("it is larger than {MOST} bytes")));
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    let warning = (mode & !MODE != 0).then(|| {
        told(&format_args!(
            "its mode {mode:04o} is wider than {MODE:04o}: others may read the secret or change it"
        ))
    });
    Ok(SecretFile { bytes, warning })
}

/// Reads the secrets of a plan and puts them, with warnings, into its settings. Relative paths are
/// meant from `folder`, where hasses was started; they are made absolute.
///
/// Errors: one of them cannot be read, or is none.
pub(crate) fn fill(plan: &mut Plan, folder: &Path) -> Result<(), String> {
    let config = &mut plan.config;
    for (option, path, place) in [
        (
            "--control-secret",
            &mut plan.control_secret,
            &mut config.control_secret,
        ),
        (
            "--watch-secret",
            &mut plan.watch_secret,
            &mut config.watch_secret,
        ),
    ] {
        let Some(path) = path else { continue };
        *path = folder.join(&*path);
        let file = read(option, path)?;
        let secret = Secret::new(&file.bytes)
            .map_err(|error| format!("{option} {}: {error}", path.display()))?;
        config.warnings.extend(file.warning);
        *place = Some(secret);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Reads a file with this text and mode.
    fn reading(text: &[u8], mode: u32) -> Result<SecretFile, String> {
        let name = format!(
            "hasses-secret-{}-{mode:o}-{}",
            std::process::id(),
            text.len()
        );
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let read = read("--some-secret", &path);
        fs::remove_file(&path).unwrap();
        read
    }

    #[test]
    fn one_newline_at_the_end_is_not_part_of_it() {
        for (text, bytes) in [
            (&b"x"[..], &b"x"[..]),
            (b"x\n", b"x"),
            (b"xx\r\n", b"xx"),
            (b"xxx\n\n", b"xxx\n"),
            (b"xxxxx\r", b"xxxxx\r"),
            (b"", b""),
            (b"\n \xff\0 \n", b"\n \xff\0 "),
        ] {
            assert_eq!(reading(text, 0o600).unwrap().bytes, bytes, "{text:?}");
        }
    }

    #[test]
    fn a_mode_wider_than_0640_is_warned_about_by_name() {
        for mode in [0o400, 0o600, 0o640, 0o440] {
            assert_eq!(reading(b"s3cret", mode).unwrap().warning, None, "{mode:o}");
        }
        for mode in [0o644, 0o660, 0o641, 0o604] {
            let warning = reading(b"s3cret", mode).unwrap().warning.unwrap();
            assert!(warning.starts_with("--some-secret /"), "{warning}");
            assert!(warning.contains(&format!("mode {mode:04o} is wider than 0640")));
            assert!(!warning.contains("s3cret"), "{warning}");
        }
    }

    #[test]
    fn what_cannot_be_a_secret_is_refused_by_name() {
        let large = reading(&[b'x'; 65537], 0o600).unwrap_err();
        assert!(large.contains("--some-secret /") && large.contains("larger than 65536"));
        for path in ["/nowhere/secret", "/"] {
            let why = read("--some-secret", Path::new(path)).unwrap_err();
            assert!(why.starts_with(&format!("--some-secret {path}: ")), "{why}");
        }
    }
}
