//! Who takes away at the end what the daemon, having given up its rights, may not.

use std::io::{self, Read};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use crate::daemon;
use crate::made::Made;

/// A process that keeps the rights of the start and waits for the daemon's end, however it comes.
/// When this is dropped, it has done its work and ended.
#[derive(Debug)]
pub(crate) struct Janitor(UnixStream);

impl Janitor {
    /// Leaves these files to a process that has the rights of this one.
    ///
    /// No thread may have been started before.
    pub(crate) fn hire(files: &[&Made]) -> io::Result<Self> {
        let work = |mut daemon: UnixStream| {
            // An error would mean the daemon's end as well.
            let _ = daemon.read_to_end(&mut Vec::new());
            files.iter().for_each(|file| file.remove());
        };
        daemon::apart(work).map(Self)
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        // Waited for, so that the next daemon never meets this one's janitor.
        let _ = self.0.shutdown(Shutdown::Write);
        let _ = self.0.read_to_end(&mut Vec::new());
    }
}
