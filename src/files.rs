//! The FIFO and the log file, made if they are missing; the certificate, read.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use hasses_actors::net::identity::{Files, Identity};
use hasses_actors::net::{self, Rights};
use nix::sys::stat::Mode;
use nix::unistd;

use crate::made::Made;
use crate::plan::Plan;
use crate::privileges::Account;

/// Makes the FIFO with exactly this mode, whatever the umask, if nothing lies there.
pub(crate) fn fifo(
    path: &Path,
    mode: u32,
    owner: Option<&Account>,
    group: Option<u32>,
) -> Result<Option<Made>, String> {
    let told = |error: io::Error| format!("--fifo {}: {error}", path.display());
    if is_fifo(path)? {
        return Ok(None);
    }
    // It opens to others only once it has its owner and mode.
    unistd::mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).map_err(|error| told(error.into()))?;
    let made = Made::new(path).map_err(told)?;
    let rights = Rights {
        mode,
        owner: owner.map(|owner| owner.uid),
        group: group.or(owner.map(|owner| owner.gid)),
    };
    net::give(path, net::FileType::Fifo, rights).map_err(told)?;
    Ok(Some(made))
}

/// Whether the directory is there in which a file lies or is to be made.
pub(crate) fn has_folder(option: &str, path: &Path) -> Result<(), String> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let is_missing = |folder: &&Path| {
        fs::metadata(folder).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    match folder.filter(is_missing) {
        None => Ok(()),
        Some(folder) => Err(format!(
            "{option} {}: there is no directory {}",
            path.display(),
            folder.display()
        )),
    }
}

/// Whether a FIFO lies there; not if nothing does. Everything else is in the way.
pub(crate) fn is_fifo(path: &Path) -> Result<bool, String> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.file_type().is_fifo() => Ok(true),
        Ok(_) => Err(format!(
            "--fifo {}: a file that is no FIFO lies there; remove it or name another",
            path.display()
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(format!("--fifo {}: {error}", path.display())),
    }
}

/// What is wrong with the owner or the mode of a FIFO that was there already: somebody else may read what
/// is published, or publish.
pub(crate) fn about_fifo(path: &Path, user: Option<&Account>) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    let ours = [0, unistd::geteuid().as_raw()];
    let known =
        ours.contains(&metadata.uid()) || user.is_some_and(|user| user.uid == metadata.uid());
    if !known {
        return Some(format!(
            "--fifo {}: it belongs to another user (uid {}), who may read what is written to it",
            path.display(),
            metadata.uid()
        ));
    }
    let mode = metadata.mode() & 0o777;
    (mode & 0o002 != 0).then(|| {
        format!(
            "--fifo {}: its mode {mode:04o} lets every user of this machine publish; chmod o-w",
            path.display()
        )
    })
}

/// Whether a file can be written to without waiting: a named pipe needs somebody who reads it.
pub(crate) fn is_read(option: &str, path: &Path) -> Result<(), String> {
    let pipe = fs::metadata(path).is_ok_and(|file| file.file_type().is_fifo());
    if !pipe {
        return Ok(());
    }
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(nix::libc::O_NONBLOCK);
    match options.open(path) {
        Err(error) if error.raw_os_error() == Some(nix::libc::ENXIO) => Err(format!(
            "{option} {}: nobody reads this named pipe; start its reader first, or name a file",
            path.display()
        )),
        _ => Ok(()),
    }
}

/// Makes a file that is written to, the log or the history, if it is missing, and sees that it can
/// be. A new file belongs to `owner`; one that lies there stays whose it is, unless `hand_over` is
/// said and it is this user's own.
///
/// In a folder of `owner`'s a link may lie there that root should not follow: nothing is made behind
/// one for `owner`, or handed over.
pub(crate) fn written(
    option: &str,
    path: &Path,
    owner: Option<&Account>,
    hand_over: bool,
) -> Result<Option<Made>, String> {
    let told = |error: io::Error| format!("{option} {}: {error}", path.display());
    is_read(option, path)?;
    let mut options = OpenOptions::new();
    // Nor is a pipe waited for that somebody puts there just now.
    options.append(true).mode(0o640);
    options.custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY);
    let (file, made) = match options.clone().create_new(true).open(path) {
        Ok(file) => (file, Some(Made::new(path).map_err(told)?)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let file = options.create(owner.is_none()).open(path);
            (file.map_err(told)?, None)
        }
        Err(error) => return Err(told(error)),
    };
    if let Some(account) = owner
        && (made.is_some() || hand_over && is_own(path, &file).map_err(told)?)
    {
        fchown(&file, Some(account.uid), Some(account.gid)).map_err(told)?;
    }
    Ok(made)
}

/// Reads the certificate for addresses with TLS, and its key. A daemon keeps their paths as they are
/// found from `/`, where it lives; `folder` is where it was started.
pub(crate) fn identity(plan: &Plan, folder: &Path) -> Result<Option<Identity>, String> {
    let files = tls_files(plan, folder);
    let identity = files.map(|files| Identity::read(&files)).transpose();
    identity.map_err(|error| error.to_string())
}

/// Where the certificate for addresses with TLS is, and its key.
pub(crate) fn tls_files(plan: &Plan, folder: &Path) -> Option<Files> {
    let Files { cert, key } = plan.tls.as_ref()?;
    let place = |path: &Path| {
        if plan.detach {
            folder.join(path)
        } else {
            path.to_owned()
        }
    };
    Some(Files {
        cert: place(cert),
        key: place(key),
    })
}

/// Whether a regular file of this user's, and no link to one, lies at `path`: the one that is open.
fn is_own(path: &Path, file: &File) -> io::Result<bool> {
    let (named, open) = (fs::symlink_metadata(path)?, file.metadata()?);
    Ok(open.is_file()
        && (named.dev(), named.ino()) == (open.dev(), open.ino())
        && open.nlink() == 1
        && open.uid() == unistd::geteuid().as_raw())
}
