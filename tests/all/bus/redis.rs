//! A real Redis of the test's own.

use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use support::Port;
use support::{Program, TempDir, run, temp_dir};

/// A Redis on a free port of 127.0.0.1, in a directory of its own; killed when dropped.
pub(crate) struct Redis {
    program: Program,
    options: String,
    pub(crate) port: u16,
    _reserved: Port,
    dir: TempDir,
}

impl Redis {
    /// Starts one that keeps nothing on disk, with further options; `{dir}` stands for its directory.
    pub(crate) fn start(options: &str) -> Self {
        let (dir, reserved) = (temp_dir(), Port::reserve());
        let port = reserved.number();
        let redis = Self {
            program: launch(&dir, port, options),
            options: options.to_owned(),
            port,
            _reserved: reserved,
            dir,
        };
        redis.wait_until_ready();
        redis
    }

    fn wait_until_ready(&self) {
        self.program.wait_for("Ready to accept connections");
    }

    /// Processor time it has used, in clock ticks of 10 ms.
    pub(crate) fn cpu_ticks(&self) -> u64 {
        self.program.cpu_ticks()
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A file in its directory.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Asks it something.
    pub(crate) fn ask(&self, command: &str) -> String {
        let arguments = format!("-p {} {command}", self.port);
        let arguments: Vec<&str> = arguments.split(' ').collect();
        String::from_utf8_lossy(&run("redis-cli", &arguments).stdout).into_owned()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.program.id() as i32), signal).unwrap();
    }

    /// Ends it as a crash does.
    pub(crate) fn crash(&mut self) {
        self.signal(Signal::SIGKILL);
        self.program.wait_for_end();
    }

    /// Starts it again on the same port, with what it has on disk.
    pub(crate) fn start_again(&mut self) {
        self.program = launch(&self.dir, self.port, &self.options);
        self.wait_until_ready();
    }

    /// As [`Redis::start_again`], with nothing.
    pub(crate) fn start_empty(&mut self) {
        let _ = std::fs::remove_dir_all(self.file("appendonlydir"));
        self.start_again();
    }
}

fn launch(dir: &TempDir, port: u16, options: &str) -> Program {
    let dir = dir.path().to_str().unwrap();
    let options = options.replace("{dir}", dir);
    let mut command = Command::new("redis-server");
    command
        .args(["--bind", "127.0.0.1", "--save", "", "--dir", dir])
        .arg("--port")
        .arg(port.to_string())
        .args(options.split_whitespace());
    Program::start(&mut command)
}
