//! The program, started and watched.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
pub(crate) use support::eventually;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A folder of its own, gone at the end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("hasses-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The path of a file as text.
    pub(crate) fn text(&self, name: &str) -> String {
        self.file(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn hasses(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hasses"));
    command.args(arguments).stdin(Stdio::null());
    command
}

pub(crate) fn output(arguments: &[&str]) -> Output {
    hasses(arguments).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Asserts that it ends with this code and one line that holds these parts.
#[track_caller]
pub(crate) fn fails(arguments: &[&str], code: i32, parts: &[&str]) {
    let output = output(arguments);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.starts_with("hasses: "), "{told}");
    assert!(parts.iter().all(|part| told.contains(part)), "{told}");
    assert!(output.stdout.is_empty());
}

/// One that runs in the foreground and has greeted.
pub(crate) struct Running {
    child: Child,
    greeting: String,
    /// Kept open; what follows the greeting fits into the pipe.
    stderr: BufReader<ChildStderr>,
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(hasses(arguments))
    }

    /// Waits for the last line of the greeting, the one that publishes.
    pub(crate) fn spawn(mut command: Command) -> Self {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut greeting = String::new();
        let last = ["\n  echo ", "\n  (echo ", "\n  curl --unix-socket "];
        while !last.iter().any(|line| greeting.contains(line)) {
            assert_ne!(stderr.read_line(&mut greeting).unwrap(), 0, "{greeting}");
        }
        Self {
            child,
            greeting,
            stderr,
        }
    }

    pub(crate) fn greeted(&self, part: &str) -> bool {
        self.greeting.contains(part)
    }

    /// The port in the greeting that stands after `before`.
    pub(crate) fn port(&self, before: &str) -> u16 {
        let (_, after) = self.greeting.split_once(before).unwrap();
        let end = after.find(|char: char| !char.is_ascii_digit()).unwrap();
        after[..end].parse().unwrap()
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap())
    }

    /// Waits for its end; gives the exit code and what it said after the greeting.
    pub(crate) fn ended(&mut self) -> (Option<i32>, String) {
        let mut told = String::new();
        self.stderr.read_to_string(&mut told).unwrap();
        (self.child.wait().unwrap().code(), told)
    }

    #[track_caller]
    pub(crate) fn stop(mut self) {
        kill(self.pid(), Signal::SIGTERM).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ends it, and gives what it logged.
#[track_caller]
pub(crate) fn logged(mut running: Running) -> String {
    kill(running.pid(), Signal::SIGTERM).unwrap();
    let (code, told) = running.ended();
    assert_eq!(code, Some(0), "{told}");
    told
}

/// A daemon known by its pid file, killed at the end.
pub(crate) struct Daemon(pub(crate) Pid);

impl Daemon {
    pub(crate) fn of(pidfile: &Path) -> Self {
        let text = fs::read_to_string(pidfile).unwrap();
        Self(Pid::from_raw(text.trim().parse().unwrap()))
    }

    /// A process that ended stays a zombie where no init collects it.
    pub(crate) fn lives(&self) -> bool {
        fs::read_to_string(format!("/proc/{}/stat", self.0))
            .is_ok_and(|stat| !stat.rsplit_once(") ").unwrap().1.starts_with('Z'))
    }

    #[track_caller]
    pub(crate) fn stop(self) {
        kill(self.0, Signal::SIGTERM).unwrap();
        eventually("the daemon ends", || (!self.lives()).then_some(()));
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.lives() {
            let _ = kill(self.0, Signal::SIGKILL);
        }
    }
}

pub(crate) const LISTEN: [&str; 2] = ["--listen", "127.0.0.1:0"];
pub(crate) const BOTH: [&str; 4] = ["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"];

/// Whether this test may change users; without the right to, what needs it is left out.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}
