//! Counting what the daemon does, with a tool that watches it.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use support::{Daemon, eventually, without_what_cargo_tells};

/// What is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Counter {
    /// Instructions in user space, by callgrind: the same whatever the processor does meanwhile.
    Instructions,
    /// System calls, by strace.
    Calls,
}

/// What one more operation costs: `work` is done with `n` operations, and with `2n` by another
/// daemon.
pub(crate) fn per_operation(counter: Counter, n: usize, work: impl Fn(&Daemon, usize)) -> f64 {
    let once = count(counter, |daemon| work(daemon, n));
    let twice = count(counter, |daemon| work(daemon, 2 * n));
    (twice as f64 - once as f64) / n as f64
}

/// Counts a daemon's whole life.
fn count(counter: Counter, work: impl FnOnce(&Daemon)) -> u64 {
    let tool = match counter {
        Counter::Instructions => "valgrind --tool=callgrind --callgrind-out-file=/dev/null",
        // -D: strace stands aside, so that the process which was started is the daemon.
        Counter::Calls => "strace -D -f -c -U calls,name -o {dir}/calls",
    };
    let mut daemon = Daemon::instead(&format!("{tool} {}", release_build()), "--heartbeat 0");
    work(&daemon);
    daemon.stop();
    eventually("what was counted", || match counter {
        Counter::Instructions => total(&daemon.log(), |line| line.split("Collected : ").nth(1)),
        Counter::Calls => total(&daemon.text_of("calls"), |line| line.strip_suffix(" total")),
    })
}

/// The number in the one line in which `find` finds something.
fn total(text: &str, find: impl Fn(&str) -> Option<&str>) -> Option<u64> {
    text.lines().find_map(find)?.trim().parse().ok()
}

/// The release build of the sources as they are now.
pub(crate) fn release_build() -> &'static str {
    static BUILT: OnceLock<String> = OnceLock::new();
    BUILT.get_or_init(|| {
        let tested = Path::new(env!("CARGO_BIN_EXE_hasses"));
        let target = tested.parent().unwrap().parent().unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        without_what_cargo_tells(&mut cargo);
        let built = cargo
            .args(["build", "--release", "--locked", "--bin", "hasses"])
            .arg("--manifest-path")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
            .arg("--target-dir")
            .arg(target)
            .output()
            .unwrap();
        assert!(
            built.status.success(),
            "{}",
            String::from_utf8_lossy(&built.stderr)
        );
        target.join("release/hasses").to_str().unwrap().to_owned()
    })
}

/// Allows this process, and the daemons it starts, so many descriptors.
pub(crate) fn raise_descriptors(count: u64) {
    let (now, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    assert!(
        most >= count,
        "{count} descriptors are needed, {most} are allowed"
    );
    setrlimit(Resource::RLIMIT_NOFILE, now.max(count), most).unwrap();
}
