//! The servers that are compared: started on free ports, on one processor, and stopped.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::load::Load;
use crate::publisher::Channel;
use crate::rivals;
use crate::usage::{Usage, family};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Floor,
    Hasses,
    /// hasses, published to by HTTP as the rivals are.
    HassesHttp,
    Nchan,
    Mercure,
    Centrifugo,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] = [
        Self::Floor,
        Self::Hasses,
        Self::HassesHttp,
        Self::Nchan,
        Self::Mercure,
        Self::Centrifugo,
    ];
    /// Those that are measured when nobody says which.
    pub(crate) const USUAL: [Self; 3] = [Self::Floor, Self::Hasses, Self::Nchan];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Hasses => "hasses",
            Self::HassesHttp => "hasses-http",
            Self::Nchan => "nchan",
            Self::Mercure => "mercure",
            Self::Centrifugo => "centrifugo",
        }
    }

    /// Whether it is somebody else's program.
    pub(crate) fn is_rival(self) -> bool {
        matches!(self, Self::Nchan | Self::Mercure | Self::Centrifugo)
    }
}

/// How a server is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wish {
    /// Clients that will come (nchan reserves places for them).
    pub(crate) clients: usize,
    /// Everyone gets everything (a rival has one channel then, else one a token).
    pub(crate) broadcast: bool,
    /// Unanswered requests, where messages come by HTTP.
    pub(crate) pipeline: usize,
    /// Further options of hasses, in which `{dir}` is a directory of its own.
    pub(crate) options: &'static str,
}

/// A running server; killed, and its directory removed, when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) kind: Kind,
    wish: Wish,
    child: Child,
    pub(crate) subscribers: SocketAddr,
    publishers: SocketAddr,
    dir: Directory,
    /// From the start of the process to the first accepted connection.
    pub(crate) took: Duration,
}

#[derive(Debug)]
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The hasses that is measured: the release build that cargo made for this benchmark.
pub(crate) fn hasses() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_hasses"))
}

impl Server {
    /// Starts it on processor `cpu` and waits until it accepts.
    pub(crate) fn start(kind: Kind, cpu: usize, wish: Wish) -> Outcome<Self> {
        let (subscribers, publishers) = (free_address()?, free_address()?);
        let dir = std::env::temp_dir().join(format!(
            "hasses-bench-{}-{}",
            std::process::id(),
            subscribers.port()
        ));
        fs::create_dir(&dir)?;
        let dir = Directory(dir);
        let mut command = Command::new("taskset");
        command.args(["-c", &cpu.to_string()]);
        match kind {
            Kind::Floor => {
                command.arg(std::env::current_exe()?).arg("floor");
                command.args([
                    subscribers.port().to_string(),
                    publishers.port().to_string(),
                ]);
            }
            Kind::Hasses | Kind::HassesHttp => {
                let (listen, control) = (subscribers.to_string(), publishers.to_string());
                command.arg(hasses());
                command.args([
                    "--listen",
                    &listen,
                    "--control",
                    &control,
                    "--log-level",
                    "quiet",
                ]);
                let options = wish.options.replace("{dir}", &dir.0.to_string_lossy());
                command.args(options.split_whitespace());
            }
            rival => {
                command.args(rivals::command(
                    rival,
                    &dir.0,
                    subscribers,
                    publishers,
                    wish,
                )?);
                rivals::environment(&mut command, &dir.0);
            }
        }
        let log = fs::File::create(dir.0.join("log"))?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let start = Instant::now();
        let mut server = Self {
            kind,
            wish,
            child: command.spawn()?,
            subscribers,
            publishers,
            dir,
            took: Duration::ZERO,
        };
        server.await_start(start)?;
        Ok(server)
    }

    fn await_start(&mut self, start: Instant) -> Outcome<()> {
        while TcpStream::connect(self.subscribers).is_err() {
            let ended = self.child.try_wait()?;
            if ended.is_some() || start.elapsed() > Duration::from_secs(20) {
                let log = fs::read_to_string(self.dir.0.join("log")).unwrap_or_default();
                return Err(format!("{} did not start: {}", self.kind.name(), log.trim()).into());
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        self.took = start.elapsed();
        // Until what a start does besides is over.
        std::thread::sleep(Duration::from_millis(300));
        Ok(())
    }

    /// What it used so far.
    pub(crate) fn usage(&self) -> Outcome<Usage> {
        Usage::of(&family(self.child.id()))
    }

    /// A load whose tokens have so many clients each.
    pub(crate) fn load(&self, tokens: Vec<u32>, fields: &'static str) -> Outcome<Load> {
        let (kind, one_channel) = (self.kind, self.kind.is_rival() && self.wish.broadcast);
        let request = move |token: u32| {
            let name = if one_channel {
                "all".to_owned()
            } else {
                format!("tok{token}")
            };
            (rivals::subscription(kind, &name), fields)
        };
        Load::new(self.subscribers, tokens, Box::new(request))
    }

    /// How messages are published to it.
    pub(crate) fn channel(&self) -> Channel {
        match self.kind {
            Kind::Floor | Kind::Hasses => Channel::Text(self.publishers),
            kind => Channel::Http(rivals::posts(
                kind,
                self.subscribers,
                self.publishers,
                self.wish.pipeline,
            )),
        }
    }

    /// A file in its directory.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.0.join(name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // nginx's worker ends with its master's end by SIGTERM only.
        let pids = family(self.child.id());
        for pid in &pids {
            let pid = nix::unistd::Pid::from_raw(*pid as i32);
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

pub(crate) fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
