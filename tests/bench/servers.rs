//! The servers that are compared: started on free ports, on one processor, and stopped.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::load::Load;
use crate::publisher::Channel;
use crate::usage::{Usage, family};

/// Where Debian's libnginx-mod-nchan puts the module.
pub(crate) const NCHAN: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Floor,
    Hasses,
    Nchan,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Floor, Self::Hasses, Self::Nchan];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Hasses => "hasses",
            Self::Nchan => "nchan",
        }
    }
}

/// How a server is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wish {
    /// Clients that will come (nchan reserves places for them).
    pub(crate) clients: usize,
    /// Everyone gets everything (nchan has one channel then, else one a token).
    pub(crate) broadcast: bool,
    /// Unanswered requests (nchan).
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
            Kind::Hasses => {
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
            Kind::Nchan => {
                let file = dir.0.join("nginx.conf");
                fs::write(&file, nginx_conf(&dir.0, subscribers, publishers, wish))?;
                command
                    .arg("nginx")
                    .arg("-c")
                    .arg(file)
                    .arg("-p")
                    .arg(&dir.0);
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
        let one_channel = self.kind == Kind::Nchan && self.wish.broadcast;
        let request = move |token: u32| {
            if one_channel {
                ("/sse?subscribe=all".to_owned(), fields)
            } else {
                (format!("/sse?subscribe=tok{token}"), fields)
            }
        };
        Load::new(self.subscribers, tokens, Box::new(request))
    }

    /// How messages are published to it.
    pub(crate) fn channel(&self) -> Channel {
        match self.kind {
            Kind::Nchan => Channel::Http(self.publishers, self.wish.pipeline.max(1)),
            _ => Channel::Text(self.publishers),
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

fn nginx_conf(dir: &Path, subscribers: SocketAddr, publishers: SocketAddr, wish: Wish) -> String {
    let dir = dir.display();
    // With the usual 10 it loses messages that come faster than one client takes them.
    let keep = if wish.clients > 1 { 10 } else { 10_000 };
    let connections = wish.clients * 5 / 4 + 256;
    format!(
        "load_module {NCHAN};
daemon off; user root; worker_processes 1; worker_rlimit_nofile 20000;
pid {dir}/nginx.pid; error_log {dir}/error.log warn;
events {{ worker_connections {connections}; use epoll; multi_accept on; }}
http {{
    access_log off; keepalive_timeout 3600; keepalive_requests 1000000000; tcp_nodelay on;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    nchan_shared_memory_size 2g;
    nchan_message_buffer_length {keep}; nchan_message_timeout 10s;
    server {{
        listen {subscribers} backlog=4096;
        location = /sse {{
            nchan_subscriber eventsource; nchan_channel_id $arg_subscribe;
            nchan_subscriber_first_message newest; nchan_eventsource_ping_interval 0;
            nchan_subscriber_timeout 0;
        }}
    }}
    server {{
        listen {publishers} backlog=4096;
        location = /pub {{ nchan_publisher http; nchan_channel_id $arg_to; }}
    }}
}}
"
    )
}
