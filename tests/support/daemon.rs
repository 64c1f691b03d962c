//! The real binary, started on free ports, awaited, watched and stopped.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{
    Connection, PATIENCE, Port, Program, Response, Stream, TempDir, eventually, hasses, temp_dir,
};

/// One running daemon; killed, and its directory removed, when dropped.
pub struct Daemon {
    program: Program,
    /// What it was started with.
    command: Launch,
    /// Where it answers subscribers.
    pub listen: SocketAddr,
    /// Where it answers publishers.
    pub control: SocketAddr,
    /// Nobody else gets them, also between a stop and the next start.
    _ports: [Port; 2],
    dir: TempDir,
    notify: UnixDatagram,
}

impl Daemon {
    /// Starts it on free TCP ports of 127.0.0.1 with further options, separated by blanks.
    /// `{dir}` stands for a directory of its own.
    pub fn start(options: &str) -> Self {
        Self::command_line(&format!(
            "--listen 127.0.0.1:{{listen}} --control 127.0.0.1:{{control}} {options}"
        ))
    }

    /// Starts it with exactly these arguments, in which `{listen}` and `{control}` stand for free
    /// ports and `{dir}` for a directory of its own, and waits until it says that it is ready.
    pub fn command_line(arguments: &str) -> Self {
        Self::prepared(arguments, |_| {})
    }

    /// As [`Daemon::command_line`], with a directory that `prepare` has put something into.
    pub fn prepared(arguments: &str, prepare: impl Fn(&Preparation)) -> Self {
        Self::launched("", arguments, prepare)
    }

    /// As [`Daemon::start`], in a process in which the shell ran `before` first, such as `ulimit`.
    pub fn start_after(before: &str, options: &str) -> Self {
        let addresses = "--listen 127.0.0.1:{listen} --control 127.0.0.1:{control}";
        Self::launched(before, &format!("{addresses} {options}"), |_| {})
    }

    /// As [`Daemon::command_line`], in a process whose environment the shell prepared first.
    pub fn with_environment(before: &str, arguments: &str) -> Self {
        Self::launched(before, arguments, |_| {})
    }

    /// As [`Daemon::start`], but `program` is run, with the options behind its own arguments: the
    /// daemon in another build, or under a tool that watches it.
    pub fn instead(program: &str, options: &str) -> Self {
        let addresses = "--listen 127.0.0.1:{listen} --control 127.0.0.1:{control}";
        let before = format!("set -- {program} \"$@\" && exec \"$@\"");
        Self::launched(&before, &format!("{addresses} {options}"), |_| {})
    }

    fn launched(before: &str, arguments: &str, prepare: impl Fn(&Preparation)) -> Self {
        let mut trials = 0;
        loop {
            trials += 1;
            match Self::launch(before, arguments, &prepare) {
                Ok(daemon) => return daemon,
                // Another program may have taken the port for a connection to somewhere else.
                Err(text) if text.contains(" is in use") && trials < 5 => {}
                Err(text) => panic!("hasses {arguments} did not start: {text}"),
            }
        }
    }

    fn launch(
        before: &str,
        arguments: &str,
        prepare: impl Fn(&Preparation),
    ) -> Result<Self, String> {
        let ports = [Port::reserve(), Port::reserve()];
        let [listen, control] = ports.each_ref().map(Port::address);
        let dir = temp_dir();
        let preparation = Preparation {
            dir: dir.path().to_owned(),
            listen: listen.port(),
            control: control.port(),
        };
        prepare(&preparation);
        let notify_path = dir.path().join("notify");
        let notify = UnixDatagram::bind(&notify_path).unwrap();
        let command = Launch {
            before: preparation.fill(before),
            arguments: preparation.fill(arguments),
            notify: notify_path,
        };
        let mut daemon = Self {
            program: command.run(),
            command,
            listen,
            control,
            _ports: ports,
            dir,
            notify,
        };
        daemon.await_ready()?;
        Ok(daemon)
    }

    fn await_ready(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let ended = self.program.end_or(&[self.notify.as_fd()], left);
            if self.heard("READY=1", Duration::from_millis(1)) {
                return Ok(());
            }
            if let Some(status) = ended {
                return Err(format!("{status}\n{}", self.program.last_words()));
            }
            assert!(!left.is_zero(), "never READY=1: {}", self.log());
        }
    }

    /// Whether the service manager was told `word` within `patience`.
    pub fn heard(&self, word: &str, patience: Duration) -> bool {
        self.notify.set_read_timeout(Some(patience)).unwrap();
        let mut buffer = [0; 1024];
        while let Ok(length) = self.notify.recv(&mut buffer) {
            let told = String::from_utf8_lossy(&buffer[..length]);
            if told.lines().any(|line| line == word) {
                return true;
            }
        }
        false
    }

    /// A file in its directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The text of a file in its directory; empty while there is none.
    pub fn text_of(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.file(name)).unwrap_or_default()).into_owned()
    }

    /// What it wrote to its standard output and error so far.
    pub fn log(&self) -> String {
        self.program.output()
    }

    /// Waits for a complete line with `part` in it and returns that line.
    pub fn wait_for_log(&self, part: &str) -> String {
        self.program.wait_for(part)
    }

    pub fn pid(&self) -> u32 {
        self.program.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid() as i32), signal).unwrap();
    }

    /// Waits until the process has ended.
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        self.program.wait_for_end()
    }

    /// Ends it as an administrator does; it must end well.
    pub fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.wait_for_exit();
        assert_eq!(status.code(), Some(0), "a graceful stop: {}", self.log());
    }

    /// Ends it as a crash does.
    pub fn crash(&mut self) {
        self.signal(Signal::SIGKILL);
        self.wait_for_exit();
    }

    /// Starts it again, after it has ended: on the same ports, in the same directory. What it had
    /// written before is forgotten.
    pub fn start_again(&mut self) {
        self.program = self.command.run();
        if let Err(text) = self.await_ready() {
            panic!("it did not start again: {text}");
        }
    }

    /// As [`Daemon::start_again`], with further options.
    pub fn start_again_with(&mut self, options: &str) {
        self.command.arguments = format!("{} {options}", self.command.arguments);
        self.start_again();
    }

    /// Memory that it holds at present, in KiB (proc(5): VmRSS).
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let words = line.unwrap().split_whitespace().nth(1);
        words.unwrap().parse().unwrap()
    }

    /// Processor time it has used, in clock ticks of 10 ms (proc(5): utime and stime).
    pub fn cpu_ticks(&self) -> u64 {
        self.program.cpu_ticks()
    }

    /// Sends one request to the subscribers' side and reads its whole answer.
    pub fn ask(&self, request: impl AsRef<[u8]>) -> Response {
        Connection::to(self.listen)
            .send(request.as_ref())
            .response()
    }

    /// What `GET /metrics` says.
    pub fn metrics(&self) -> String {
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let mut connection = Connection::to(self.control);
        connection.send(request.as_bytes()).response().body
    }

    /// `GET /sse?QUERY`, awaited until it gets what is published from now on.
    pub fn subscribe(&self, query: &str) -> Stream {
        Stream::open(self.listen, query)
    }

    /// Waits until this many subscribers are there.
    pub fn wait_for_clients(&self, count: usize) {
        eventually(&format!("{count} clients"), || {
            let now = super::publish::ask_tcp(self.control, "tcpnumberofclients\n");
            let now: serde_json::Value = serde_json::from_str(&now).unwrap();
            (now["numberofclients"] == count).then_some(())
        });
    }
}

#[expect(clippy::print_stderr, reason = "it helps to understand a failed test")]
impl Drop for Daemon {
    fn drop(&mut self) {
        if thread::panicking() {
            let ended = self.program.has_ended();
            let log = self.log();
            let tail = log.char_indices().rev().nth(4000).map_or(0, |(at, _)| at);
            eprintln!("--- the daemon (ended: {ended:?}) wrote:\n{}", &log[tail..]);
        }
    }
}

/// How it is started.
struct Launch {
    /// What the shell runs first in the same process; may be empty.
    before: String,
    arguments: String,
    notify: PathBuf,
}

impl Launch {
    fn run(&self) -> Program {
        let binary = hasses();
        let mut command = if self.before.is_empty() {
            Command::new(binary)
        } else {
            let mut shell = Command::new("sh");
            let script = format!("{} && exec \"$0\" \"$@\"", self.before);
            shell.args(["-c", &script, binary]);
            shell
        };
        Program::start(
            command
                .args(self.arguments.split_whitespace())
                .env("NOTIFY_SOCKET", &self.notify)
                .env_remove("LISTEN_FDS"),
        )
    }
}

/// What is known of a daemon before it runs.
pub struct Preparation {
    pub dir: PathBuf,
    pub listen: u16,
    pub control: u16,
}

impl Preparation {
    /// Puts the directory and the ports into `text`.
    pub fn fill(&self, text: &str) -> String {
        text.replace("{dir}", self.dir.to_str().unwrap())
            .replace("{listen}", &self.listen.to_string())
            .replace("{control}", &self.control.to_string())
    }

    /// Writes a file into the directory.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.join(name), self.fill(text)).unwrap();
    }
}
