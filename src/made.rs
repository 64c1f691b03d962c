//! Files that this process made, and takes away again.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file that this process made. It is removed when this is dropped, unless another file has taken
/// its place.
#[derive(Debug)]
pub(crate) struct Made {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
    keep: bool,
}

impl Made {
    /// Takes charge of the file that has just been made at `path`.
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            identity: identity(path)?,
            keep: false,
        })
    }

    /// Whether `file` is this file, opened.
    pub(crate) fn is(&self, file: &fs::File) -> bool {
        let metadata = file.metadata();
        metadata.is_ok_and(|found| (found.dev(), found.ino()) == self.identity)
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file, unless another one has taken its place.
    pub(crate) fn remove(&self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // Where this process has no right to, a janitor has it.
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Lets the file stay.
    pub(crate) fn keep(&mut self) {
        self.keep = true;
    }
}

/// Device and inode of what lies at `path`.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

impl Drop for Made {
    fn drop(&mut self) {
        if !self.keep {
            self.remove();
        }
    }
}
