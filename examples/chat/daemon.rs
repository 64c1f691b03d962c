//! The hasses daemon: found or built, started, and ended.

use std::env;
use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A running daemon; ended, with what it wrote, when dropped.
pub(crate) struct Daemon {
    child: Child,
    dir: PathBuf,
    /// Where browsers subscribe.
    pub(crate) events: SocketAddr,
    /// Where this program publishes.
    pub(crate) control: SocketAddr,
}

/// The program to start: `$HASSES`, else the one built beside this example, else that of `PATH`.
pub(crate) fn program() -> Result<PathBuf, String> {
    if let Some(named) = env::var_os("HASSES") {
        return Ok(named.into());
    }
    // `cargo run --example` builds this example, but not the daemon.
    if let Some(cargo) = env::var_os("CARGO") {
        let mut build = Command::new(cargo);
        // The example is there already; named beside it, the daemon is built of the same parts.
        build.args(["build", "--quiet", "--bin", "hasses", "--example", "chat"]);
        build.current_dir(env!("CARGO_MANIFEST_DIR"));
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        // What `cargo run` says of this package would make cargo build others anew.
        for (key, _) in env::vars_os() {
            let told = ["CARGO_PKG_", "CARGO_MANIFEST_", "OUT_DIR"];
            if told
                .iter()
                .any(|name| key.to_string_lossy().starts_with(name))
            {
                build.env_remove(&key);
            }
        }
        let status = build.status().map_err(|error| format!("cargo: {error}"))?;
        if !status.success() {
            return Err(format!(
                "hasses could not be built: cargo ended with {status}"
            ));
        }
    }
    let here = env::current_exe().map_err(|error| error.to_string())?;
    let beside = here.ancestors().nth(2).map(|dir| dir.join("hasses"));
    Ok(beside
        .filter(|path| path.exists())
        .unwrap_or("hasses".into()))
}

impl Daemon {
    /// Starts `program` on free ports, with browsers let in on `ip`, and waits until it answers.
    pub(crate) fn start(program: &Path, ip: IpAddr) -> Result<Self, String> {
        let told = |error: io::Error| format!("{}: {error}", program.display());
        let dir = env::temp_dir().join(format!("hasses-chat-{}", process::id()));
        fs::create_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let log = File::create(dir.join("log")).map_err(told)?;
        let events = free_address(ip).map_err(told)?;
        let control = free_address(Ipv4Addr::LOCALHOST.into()).map_err(told)?;
        let child = Command::new(program)
            .args(["--listen", &events.to_string()])
            .args(["--control", &control.to_string()])
            .args(["--retry", "1000", "--log-level", "quiet"])
            .args(["--presence", "chat:*"])
            .arg("--history-file")
            .arg(dir.join("history"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // Ctrl-C is for this program, which then ends the daemon.
            .process_group(0)
            .spawn()
            .inspect_err(|_| drop(fs::remove_dir_all(&dir)))
            .map_err(told)?;
        let mut daemon = Self {
            child,
            dir,
            events,
            control,
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(control).is_err() {
            daemon.must_live()?;
            if Instant::now() > deadline {
                return Err(format!("{} does not answer", program.display()));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(daemon)
    }

    /// Fails, with its last words, when the daemon has ended.
    pub(crate) fn must_live(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
                Err(format!("hasses ended with {status}\n{log}"))
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // It lives, so this reaches it; it tells its subscribers, and ends within five seconds.
            let _reached = kill(
                Pid::from_raw(self.child.id().cast_signed()),
                Signal::SIGTERM,
            );
            let _ended = self.child.wait();
        }
        let _gone = fs::remove_dir_all(&self.dir);
    }
}

/// An address that nobody uses now.
fn free_address(ip: IpAddr) -> io::Result<SocketAddr> {
    TcpListener::bind((ip, 0))?.local_addr()
}
