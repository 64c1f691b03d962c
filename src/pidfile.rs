//! The pid file: the process id, and a lock that says whether the process lives.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;
use std::process;

use crate::made::Made;
use crate::privileges::Account;

/// The longest text that is taken for a process id.
const MOST: u64 = 32;

/// A written pid file. It is removed when this is dropped; where that is not allowed it is emptied.
#[derive(Debug)]
pub(crate) struct PidFile {
    made: Made,
    /// Locked while it is open. The lock, not the number, tells a live daemon from a stale file:
    /// numbers come again, in containers always the same.
    file: File,
}

impl PidFile {
    /// Writes this process' id to `path` and gives the file to `owner`. A stale pid file is
    /// replaced; a live daemon's one, or a file that holds something else, is refused.
    pub(crate) fn write(path: &Path, owner: Option<&Account>) -> Result<Self, String> {
        let told = |why: &dyn std::fmt::Display| format!("--pidfile {}: {why}", path.display());
        loop {
            check(path)?;
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o644)
                .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
                .open(path)
                .map_err(|error| told(&error))?;
            let before = content(&file).map_err(|error| told(&error))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(told(&format!("another hasses runs as process {before}")));
                }
                Err(TryLockError::Error(error)) => return Err(told(&error)),
            }
            if !may_be_ours(&file, owner).map_err(|error| told(&error))? {
                return Err(told(&"this file is somebody else's, or lies at two places"));
            }
            if !before.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(told(&"this file is no pid file, and is left as it is"));
            }
            let made = match Made::new(path) {
                Ok(made) => made,
                // The last daemon removed it after it was opened here.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(told(&error)),
            };
            if !made.is(&file) {
                continue;
            }
            fill(&mut file, owner).map_err(|error| told(&error))?;
            return Ok(Self { made, file });
        }
    }

    /// Its file.
    pub(crate) fn made(&self) -> &Made {
        &self.made
    }
}

/// Whether nothing but a regular file, which may be a pid file, lies there.
pub(crate) fn check(path: &Path) -> Result<(), String> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_file() => Err(format!(
            "--pidfile {}: what lies there is no regular file; remove it or name another",
            path.display()
        )),
        // What is missing will be made, and what is wrong will be told then.
        _ => Ok(()),
    }
}

/// Whether a file may be a pid file that hasses wrote, where it is to be given to `owner`: as this user,
/// or as that one. Another's file, which somebody has linked there, is not given away.
fn may_be_ours(file: &File, owner: Option<&Account>) -> io::Result<bool> {
    let Some(account) = owner else {
        return Ok(true);
    };
    let found = file.metadata()?;
    let users = [nix::unistd::geteuid().as_raw(), account.uid];
    Ok(found.is_file() && found.nlink() == 1 && users.contains(&found.uid()))
}

/// What a file of at most a number's length holds, without blanks around it.
fn content(file: &File) -> io::Result<String> {
    let mut text = Vec::new();
    file.take(MOST).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}

fn fill(file: &mut File, owner: Option<&Account>) -> io::Result<()> {
    file.set_len(0)?;
    io::Seek::rewind(file)?;
    writeln!(file, "{}", process::id())?;
    match owner {
        Some(account) => fchown(&*file, Some(account.uid), Some(account.gid)),
        None => Ok(()),
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Read as "no process" by whoever finds it, if it cannot be removed.
        let _ = self.file.set_len(0);
    }
}
