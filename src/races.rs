//! Somebody who may write to the folder where root makes files for `--user`, and puts others into their place
//! while that is done: root's own files stay as they are.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};

use crate::files;
use crate::pidfile::PidFile;
use crate::privileges::Account;

/// How long each is tried. By path, a file is lost within a tenth of that.
const TIME: Duration = Duration::from_secs(2);
/// Tries are no longer worth a test if there were fewer than this.
const FEWEST: usize = 100;
const NOBODY: u32 = 65_534;
const ROOTS: &str = "root's\n";

/// What somebody puts into a file's place, which lies at the path then.
#[derive(Debug, Clone, Copy)]
enum Swap {
    /// A link to a file of root's elsewhere.
    Link,
    /// That file itself, at a second place.
    HardLink,
    /// A file of root's that lay beside it.
    Renamed,
    /// A FIFO of somebody else's.
    Fifo,
}

/// A folder of nobody's, and root's files: one elsewhere, one in that folder.
struct Place {
    top: PathBuf,
    path: PathBuf,
    precious: PathBuf,
    beside: PathBuf,
}

impl Place {
    fn new(name: &str) -> Self {
        let unique = format!("hasses-race-{name}-{}", std::process::id());
        let top = std::env::temp_dir().join(unique);
        let folder = top.join("folder");
        fs::create_dir_all(&folder).unwrap();
        std::os::unix::fs::chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
        let place = Self {
            path: folder.join("file"),
            precious: top.join("precious"),
            beside: folder.join("beside"),
            top,
        };
        write(&place.precious);
        place
    }

    /// Puts another file into the place of the one that is there, as often as one is.
    fn swap(&self, how: Swap, over: &AtomicBool) {
        let other = self.top.join("other");
        while !over.load(Ordering::Relaxed) {
            let _there = match how {
                Swap::Link => symlink(&self.precious, &other),
                Swap::HardLink => fs::hard_link(&self.precious, &other),
                Swap::Renamed => Ok(()),
                Swap::Fifo => mkfifo(&other, Mode::S_IRWXU)
                    .and_then(|()| nix::unistd::chown(&other, Some(1.into()), Some(1.into())))
                    .map_err(Into::into),
            };
            if fs::symlink_metadata(&self.path).is_err() {
                continue;
            }
            let _gone = match how {
                Swap::Renamed => fs::rename(&self.beside, &self.path)
                    .and_then(|()| fs::rename(&self.path, &self.beside)),
                _ => fs::rename(&other, &self.path),
            };
        }
    }

    /// Has `make` make the file again and again, while somebody swaps it.
    fn withstands(&self, how: Swap, make: impl Fn(&Path, &Account)) {
        let account = Account {
            asked: "nobody".to_owned(),
            uid: NOBODY,
            gid: NOBODY,
        };
        let over = AtomicBool::new(false);
        let mut tries = 0;
        thread::scope(|scope| {
            scope.spawn(|| self.swap(how, &over));
            let began = Instant::now();
            while began.elapsed() < TIME && tries < 20_000 {
                if matches!(how, Swap::Renamed) {
                    write(&self.beside);
                }
                make(&self.path, &account);
                is_roots(&self.path, how);
                let _gone = fs::remove_file(&self.path);
                tries += 1;
            }
            over.store(true, Ordering::Relaxed);
        });
        assert!(tries >= FEWEST, "{tries}");
        is_roots(&self.precious, how);
        is_roots(&self.beside, how);
    }
}

fn write(path: &Path) {
    let _old = fs::remove_file(path);
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path);
    file.unwrap().write_all(ROOTS.as_bytes()).unwrap();
}

/// What has root's text, if it is there, is still root's, and still has that text alone.
fn is_roots(path: &Path, how: Swap) {
    let options = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .clone();
    let Ok(mut file) = options.open(path) else {
        return;
    };
    let (found, mut text) = (file.metadata().unwrap(), String::new());
    file.read_to_string(&mut text).unwrap();
    if text.contains(ROOTS) {
        let rights = (found.uid(), found.gid(), found.mode() & 0o777);
        assert_eq!(rights, (0, 0, 0o600), "{how:?} {}", path.display());
        assert_eq!(text, ROOTS, "{how:?}");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.top);
    }
}

const ALL: [Swap; 4] = [Swap::Link, Swap::HardLink, Swap::Renamed, Swap::Fifo];

/// Has files made in the face of each of these. Nobody but root can try that.
fn withstand(name: &str, swaps: &[Swap], make: impl Fn(&Path, &Account)) {
    if geteuid().is_root() {
        for how in swaps {
            Place::new(name).withstands(*how, &make);
        }
    }
}

#[test]
fn the_fifo() {
    withstand("fifo", &ALL, |path, account| {
        drop(files::fifo(path, 0o660, Some(account), None));
    });
}

#[test]
fn the_pid_file() {
    withstand("pid", &ALL, |path, account| {
        drop(PidFile::write(path, Some(account)));
    });
}

#[test]
fn the_history_file_and_the_log() {
    withstand("written", &ALL, |path, account| {
        drop(files::written("--log", path, Some(account), false));
    });
}

/// With old switches the log of a daemon that ran as root is handed over.
#[test]
fn the_log_that_is_handed_over() {
    let swaps = [Swap::Link, Swap::HardLink, Swap::Fifo];
    withstand("handed", &swaps, |path, account| {
        drop(File::create_new(path));
        drop(files::written("-l", path, Some(account), true));
    });
}
