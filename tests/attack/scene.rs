//! A daemon that is attacked, and what its attacker spends.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use socket2::{Domain, Socket, Type};
use support::{Daemon, Port, run};

use crate::attacks::Attack;

/// Who attacks, and who only stands by.
const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
pub(crate) const BYSTANDER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));
/// The secret of daemons that have one.
pub(crate) const SECRET: &str = "right";
/// Which processor is whose.
const OF_THE_DAEMON: usize = 0;
const OF_THE_OTHERS: usize = 1;

pub(crate) struct Scene {
    pub(crate) daemon: Daemon,
    /// Where it speaks TLS: to subscribers, to publishers.
    pub(crate) tls: [SocketAddr; 2],
    _ports: [Port; 2],
    over: AtomicBool,
    connections: AtomicU64,
    bytes: AtomicU64,
    complaint: Mutex<Option<String>>,
}

impl Scene {
    /// Starts the daemon that an attack is made for.
    pub(crate) fn set(attack: &Attack) -> Self {
        let ports = [Port::reserve(), Port::reserve()];
        let tls = ports.each_ref().map(Port::address);
        let mut line = format!(
            "--listen 127.0.0.1:{{listen}} --control 127.0.0.1:{{control}} --log {{dir}}/log {}",
            attack.options
        );
        if attack.key.is_some() {
            line += &format!(
                " --listen tls:{} --control tls:{} --tls-cert {{dir}}/cert --tls-key {{dir}}/key",
                tls[0], tls[1]
            );
        }
        // The daemon, and all threads that it starts, inherit the processor.
        stay_on(OF_THE_DAEMON);
        let daemon = Daemon::prepared(&line, |place| {
            place.write("secret", SECRET);
            if let Some(kind) = attack.key {
                certificate(&place.dir, kind);
            }
        });
        stay_on(OF_THE_OTHERS);
        // Refused to who is not root.
        let _refused = Command::new("renice")
            .args(["-n", "-10", "-p", &daemon.pid().to_string()])
            .output();
        Self {
            daemon,
            tls,
            _ports: ports,
            over: AtomicBool::new(false),
            connections: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            complaint: Mutex::new(None),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Connects as the attacker; none where the system has no room for another connection now.
    pub(crate) fn connect(&self, to: SocketAddr) -> Option<TcpStream> {
        self.connect_with(to, None)
    }

    /// As [`Scene::connect`], with a small buffer for what is received.
    pub(crate) fn connect_with(&self, to: SocketAddr, buffer: Option<usize>) -> Option<TcpStream> {
        let socket = socket(ATTACKER, buffer);
        socket.connect(&to.into()).ok()?;
        self.connections.fetch_add(1, Ordering::Relaxed);
        Some(socket.into())
    }

    /// Counts what the attacker has written.
    pub(crate) fn sent(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Connections that were made, and bytes that were sent.
    pub(crate) fn cost(&self) -> (u64, u64) {
        (
            self.connections.load(Ordering::Relaxed),
            self.bytes.load(Ordering::Relaxed),
        )
    }

    /// Something else than delay and memory is wrong.
    pub(crate) fn complain(&self, of: String) {
        *self.complaint.lock().unwrap() = Some(of);
    }

    pub(crate) fn complaint(&self) -> Option<String> {
        self.complaint.lock().unwrap().clone()
    }
}

/// A socket with an address of its own, that ends with a reset so that nothing is left behind.
pub(crate) fn socket(source: IpAddr, buffer: Option<usize>) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_linger(Some(std::time::Duration::ZERO)).unwrap();
    if let Some(buffer) = buffer {
        socket.set_recv_buffer_size(buffer).unwrap();
    }
    socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
    socket
}

fn stay_on(processor: usize) {
    let mut set = CpuSet::new();
    // A machine with one processor has it for all.
    if set.set(processor).is_ok() {
        let _one = sched_setaffinity(Pid::from_raw(0), &set);
    }
}

/// Makes a certificate for a key of this kind, as openssl(1) names it.
fn certificate(folder: &std::path::Path, kind: &[&str]) {
    let [cert, key] = ["cert", "key"].map(|name| folder.join(name).display().to_string());
    let line = [
        "req",
        "-x509",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-newkey",
    ];
    let files = ["-out", &cert, "-keyout", &key];
    run("openssl", &[&line, kind, &files].concat());
}
