//! What the tests of the real binary share: starting it, subscribing to it, publishing to it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(missing_docs, reason = "where a name says it all")]

pub mod crowd;
pub mod daemon;
pub mod far_end;
pub mod http;
pub mod http2;
pub mod life;
pub mod needs;
pub mod port;
pub mod program;
pub mod publish;
pub mod readme;
pub mod stream;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use daemon::{Daemon, Preparation};
pub use http::{Connection, Response};
pub use port::Port;
pub use program::Program;
pub use stream::Stream;
pub use tempfile::TempDir;

/// The project's folder.
pub const TOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// How long anything that must happen may take before its test fails, on a busy machine too.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The words of a benchmark's command line.
pub fn bench_words() -> Vec<String> {
    // Cargo says --bench to what it runs for `cargo bench`.
    let words = std::env::args().skip(1);
    words.filter(|word| word != "--bench").collect()
}

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

/// Waits until no other heavy test of this program runs, for as long as what it returns lives. A test is heavy
/// if it keeps a processor busy, such as with thousands of clients; beside light ones it may run.
pub fn heavy() -> MutexGuard<'static, ()> {
    static HEAVY: Mutex<()> = Mutex::new(());
    // A test that failed has let go too.
    HEAVY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The hasses program that cargo has built for the tests.
pub fn hasses() -> &'static str {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
        // A test's program is `target/PROFILE/deps/NAME`, and the daemon is `target/PROFILE/hasses`.
        let test = std::env::current_exe().unwrap();
        let profile = test.ancestors().nth(2).map(Path::to_owned);
        profile.unwrap().join("hasses")
    });
    PROGRAM.to_str().unwrap()
}

/// A folder of the test's own that is gone when the test ends. Any user may look into it.
pub fn temp_dir() -> TempDir {
    tempfile::Builder::new()
        .prefix("hasses-test-")
        .permissions(Permissions::from_mode(0o755))
        .tempdir()
        .unwrap()
}

/// Adds every Rust source below a folder to `found`.
pub fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}
