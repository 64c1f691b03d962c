//! Where log lines go: opening it, and writing to it whatever state it is in. Everything here may
//! wait for a disk or a reader, so the actor calls it on a thread made for waiting.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, retry_on_intr, write};

use crate::config::LogTarget;

/// An open output. Cheap to clone; a clone goes to the thread that writes.
#[derive(Debug, Clone)]
pub(super) enum Output {
    Stderr,
    Stdout,
    File(Arc<OwnedFd>),
}

impl Output {
    /// Opens the target; a file is appended to and made with mode 0640 (less the umask).
    ///
    /// # Errors
    /// Names the file and what the system said.
    pub(super) fn open(target: &LogTarget) -> io::Result<Self> {
        let path = match target {
            LogTarget::Stderr => return Ok(Self::Stderr),
            LogTarget::Stdout => return Ok(Self::Stdout),
            LogTarget::File(path) => path,
        };
        // NONBLOCK: a named pipe that nobody reads is refused at once instead of waited for.
        let flags = OFlags::WRONLY
            | OFlags::CREATE
            | OFlags::APPEND
            | OFlags::CLOEXEC
            | OFlags::NOCTTY
            | OFlags::NONBLOCK;
        let file =
            retry_on_intr(|| open(path, flags, Mode::from_raw_mode(0o640))).map_err(|errno| {
                let error = io::Error::from(errno);
                io::Error::new(
                    error.kind(),
                    format!("cannot open the log file {path:?}: {error}"),
                )
            })?;
        Ok(Self::File(Arc::new(file)))
    }

    /// Writes all of `bytes`, waiting as long as it takes. Gives how many bytes went out and, if
    /// these are not all, the error that ended it.
    pub(super) fn write(&self, bytes: &[u8]) -> (usize, io::Result<()>) {
        match self {
            Self::Stderr => write_all(io::stderr().as_fd(), bytes),
            Self::Stdout => write_all(io::stdout().as_fd(), bytes),
            Self::File(file) => write_all(file.as_fd(), bytes),
        }
    }
}

fn write_all(fd: BorrowedFd<'_>, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match retry_on_intr(|| write(fd, &bytes[written..])) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            // A terminal or pipe may be non-blocking by the will of whoever else holds it.
            Err(Errno::AGAIN) => {
                let mut ready = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
                if let Err(errno) = retry_on_intr(|| poll(&mut ready, None)) {
                    return (written, Err(errno.into()));
                }
            }
            Err(errno) => return (written, Err(errno.into())),
        }
    }
    (written, Ok(()))
}
