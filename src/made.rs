//! Files that this process made, and takes away again.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Device, inode and, where the file system keeps it, birth: the number of an inode is soon given
/// again.
type Identity = (u64, u64, Option<SystemTime>);

/// A file that this process made. It is removed when this is dropped, unless another file has taken
/// its place.
#[derive(Debug)]
pub(crate) struct Made {
    path: PathBuf,
    identity: Identity,
    keep: bool,
}

impl Made {
    /// Takes charge of the file that has just been made at `path`.
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            identity: identity(&fs::symlink_metadata(path)?),
            keep: false,
        })
    }

    /// Whether `file` is this file, opened.
    pub(crate) fn is(&self, file: &fs::File) -> bool {
        let metadata = file.metadata();
        metadata.is_ok_and(|found| identity(&found) == self.identity)
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file, unless another one has taken its place.
    pub(crate) fn remove(&self) {
        let found = fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| identity(&found) == self.identity) {
            // Where this process has no right to, a janitor has it.
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Lets the file stay.
    pub(crate) fn keep(&mut self) {
        self.keep = true;
    }
}

fn identity(metadata: &fs::Metadata) -> Identity {
    (metadata.dev(), metadata.ino(), metadata.created().ok())
}

impl Drop for Made {
    fn drop(&mut self) {
        if !self.keep {
            self.remove();
        }
    }
}
