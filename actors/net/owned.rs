//! Giving a file that this process has just made to somebody else, though others may write to its
//! folder: what lies at a path may be another file by now, or a link to one, and root must not change
//! that.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid, chmod, chownat, fstat, open};
use rustix::process::geteuid;

use super::bind::Rights;

/// Gives the file of this type that this process has just made at `path` these rights.
///
/// All is done through one descriptor, which is not opened for reading or writing: what it stands for is
/// looked at first, and is changed only if this user made it.
///
/// # Errors
/// Another file has taken its place; or what the system says.
pub fn give(path: &Path, kind: FileType, rights: Rights) -> io::Result<()> {
    let file = open(
        path,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    if !is_own(&fstat(&file)?, kind) {
        return Err(io::Error::other("another file has taken its place"));
    }
    set_mode(&file, path, rights.mode)?;
    let (owner, group) = (rights.owner, rights.group);
    chownat(
        &file,
        "",
        owner.map(Uid::from_raw),
        group.map(Gid::from_raw),
        AtFlags::EMPTY_PATH,
    )?;
    Ok(())
}

/// Whether a file is of this type, of this user, and at one place only: nobody else can have made it,
/// or linked it there, who has not the rights of this user.
fn is_own(stat: &Stat, kind: FileType) -> bool {
    FileType::from_raw_mode(stat.st_mode) == kind
        && stat.st_uid == geteuid().as_raw()
        && stat.st_nlink == 1
}

/// Sets the permission bits of what a descriptor stands for. `fchmod` takes none that was opened by
/// `O_PATH`, but its place in /proc leads to that file and to no other (open(2), "O_PATH").
///
/// Where /proc is not mounted, whoever is not root may do it by the path: a link could only lead to what
/// this user owns in any case.
fn set_mode(file: &OwnedFd, path: &Path, mode: u32) -> io::Result<()> {
    let mode = Mode::from_raw_mode(mode);
    let place = format!("/proc/self/fd/{}", file.as_raw_fd());
    let Err(error) = chmod(&place, mode) else {
        return Ok(());
    };
    match fs::exists("/proc/self/fd") {
        Ok(true) => Err(error.into()),
        _ if !geteuid().is_root() => Ok(chmod(path, mode)?),
        _ => Err(io::Error::other(
            "its mode cannot be set safely, as /proc is not mounted",
        )),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::os::unix::fs::{MetadataExt, symlink};
    use std::os::unix::net::UnixListener;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    /// Who the files are given to; any user but root will do.
    const NOBODY: u32 = 65_534;
    const RIGHTS: Rights = Rights {
        mode: 0o660,
        owner: Some(NOBODY),
        group: Some(NOBODY),
    };

    /// While somebody who may write to the folder puts a link to root's file where the socket is made,
    /// again and again, that file stays as it was. By path it is changed within some hundred starts.
    #[test]
    fn no_race_gets_at_a_file_of_roots() {
        if !geteuid().is_root() {
            return;
        }
        let folder = std::env::temp_dir().join(format!("hasses-owned-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let (target, socket) = (folder.join("target"), folder.join("socket"));
        fs::write(&target, "root's").unwrap();
        let before = fs::metadata(&target).unwrap();
        let over = AtomicBool::new(false);
        let (mut given, mut lost) = (0, 0);
        thread::scope(|scope| {
            scope.spawn(|| {
                let link = folder.join("link");
                while !over.load(Ordering::Relaxed) {
                    let _there = symlink(&target, &link);
                    if fs::symlink_metadata(&socket).is_ok() {
                        let _gone = fs::rename(&link, &socket);
                    }
                }
            });
            for _ in 0..2000 {
                let _nothing = fs::remove_file(&socket);
                let Ok(listener) = UnixListener::bind(&socket) else {
                    continue;
                };
                match give(&socket, FileType::Socket, RIGHTS) {
                    Ok(()) => given += 1,
                    Err(_) => lost += 1,
                }
                drop(listener);
            }
            over.store(true, Ordering::Relaxed);
        });
        let after = fs::metadata(&target).unwrap();
        let (socket, files) = (fs::symlink_metadata(&socket), fs::remove_dir_all(&folder));
        files.unwrap();
        drop(socket);
        assert_eq!(
            (after.uid(), after.gid(), after.mode()),
            (before.uid(), before.gid(), before.mode())
        );
        assert!(given + lost > 0);
    }

    #[test]
    fn what_somebody_else_put_there_is_left_alone() {
        let folder = std::env::temp_dir().join(format!("hasses-given-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let (file, link, second) = (
            folder.join("file"),
            folder.join("link"),
            folder.join("second"),
        );
        fs::write(&file, "").unwrap();
        symlink(&file, &link).unwrap();
        let rights = Rights {
            mode: 0o600,
            owner: None,
            group: None,
        };
        let give = |path: &Path, kind| give(path, kind, rights).map_err(|error| error.to_string());
        let taken = Err("another file has taken its place".to_owned());
        assert_eq!(give(&link, FileType::RegularFile), taken);
        assert_eq!(give(&file, FileType::Fifo), taken);
        assert_eq!(give(&file, FileType::RegularFile), Ok(()));
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        fs::hard_link(&file, &second).unwrap();
        assert_eq!(give(&file, FileType::RegularFile), taken);
        fs::remove_dir_all(&folder).unwrap();
    }
}
