//! What the tests of the real binary share: starting it, subscribing to it, publishing to it.
#![allow(dead_code, reason = "each test file uses its own part of this")]

pub mod daemon;
pub mod far_end;
pub mod http;
pub mod program;
pub mod publish;
pub mod readme;
pub mod stream;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub use daemon::Daemon;
pub use http::{Connection, Response};
pub use program::Program;
pub use stream::Stream;

/// How long anything that must happen may take before its test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What an environment variable says, such as how long a test is to take.
pub fn number_from(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

/// Looks again and again until `look` finds something.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs a program to its end, without input; fails the test when it fails or takes too long.
pub fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new("timeout")
        .arg("60")
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Leaves out what cargo tells a test of its package: another cargo would take it for a change, and build
/// other packages, ring and so nearly all, anew.
pub fn without_what_cargo_tells(command: &mut Command) {
    let told = ["CARGO_PKG_", "CARGO_MANIFEST_", "OUT_DIR"];
    for (key, _) in std::env::vars_os() {
        let name = key.to_string_lossy();
        if told.iter().any(|start| name.starts_with(start)) {
            command.env_remove(&key);
        }
    }
}

/// A directory of its own that is gone when the test ends.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hasses-test-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
