//! The web servers, as Debian has them, with the configurations of `examples/`.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::support::daemon::free_address;
use super::support::{Daemon, Program, TempDir, eventually};

/// A server and how it is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    /// With `proxy_http_version 1.1`, where the default is 1.0.
    NginxHttp11,
    Apache,
    Caddy,
    Haproxy,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [
        Self::Nginx,
        Self::NginxHttp11,
        Self::Apache,
        Self::Caddy,
        Self::Haproxy,
    ];
}

/// A running server; ended, and its directory removed, when dropped.
pub(crate) struct Proxy {
    program: Program,
    /// Where it answers browsers.
    pub(crate) address: SocketAddr,
    _dir: TempDir,
}

impl Proxy {
    /// Starts it in front of a daemon and waits until it takes connections.
    pub(crate) fn start(kind: Kind, daemon: &Daemon) -> Self {
        let dir = TempDir::new();
        let address = free_address();
        // It gets a SIGTERM when the test's thread ends, also where that could not send one.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "--"]);
        prepare(kind, &mut command, dir.path(), address, daemon.listen);
        let mut program = Program::start(&mut command);
        eventually(&format!("{kind:?}"), || {
            let ended = program.has_ended();
            assert!(ended.is_none(), "{kind:?}: {}", program.output());
            TcpStream::connect(address).ok()
        });
        Self {
            program,
            address,
            _dir: dir,
        }
    }
}

#[expect(clippy::print_stderr, reason = "it helps to understand a failed test")]
impl Drop for Proxy {
    fn drop(&mut self) {
        // Killed at once, some would leave their workers behind.
        let _ = kill(Pid::from_raw(self.program.id() as i32), Signal::SIGTERM);
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.program.has_ended().is_none() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        if thread::panicking() {
            eprintln!("--- the proxy wrote:\n{}", self.program.output());
        }
    }
}

/// An example's text with its ports replaced; each must be in it.
fn example(path: &str, changes: &[(&str, String)]) -> String {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/");
    let mut text = fs::read_to_string(format!("{examples}{path}")).unwrap();
    for (old, new) in changes {
        assert!(text.contains(old), "{old:?} is not in {path}");
        text = text.replace(old, new);
    }
    text
}

fn prepare(kind: Kind, command: &mut Command, dir: &Path, address: SocketAddr, daemon: SocketAddr) {
    let file = dir.join("example");
    let name = file.to_str().unwrap();
    let dir = dir.display();
    let upstream = ("127.0.0.1:8080", daemon.to_string());
    let port = address.port();
    let text = match kind {
        Kind::Nginx | Kind::NginxHttp11 => {
            let settings = format!("daemon off; pid {dir}/pid;");
            command.args(["nginx", "-e", "stderr", "-c", name, "-g", &settings]);
            let http = "http { access_log off;".to_owned();
            let listen = format!("listen {address};");
            let mut changes = vec![("http {", http), ("listen 80;", listen), upstream];
            if kind == Kind::NginxHttp11 {
                changes.push(("proxy_pass", "proxy_http_version 1.1; proxy_pass".into()));
            }
            example("nginx/nginx.conf", &changes)
        }
        Kind::Apache => {
            command.args(["apache2", "-DFOREGROUND", "-f", name]);
            // What Debian's own files and a2enmod do.
            let before = format!(
                "ServerRoot {dir}\nDefaultRuntimeDir {dir}\nPidFile {dir}/pid\n\
                 ErrorLog /dev/stderr\nServerName localhost\nUser nobody\nGroup nogroup\n\
                 LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so\n\
                 LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so\n\
                 LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so\n\
                 LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so\n\
                 Listen {address}\n"
            );
            before
                + &example(
                    "apache/hasses.conf",
                    &[("*:80", address.to_string()), upstream],
                )
        }
        Kind::Caddy => {
            command.args(["caddy", "run", "--adapter", "caddyfile", "--config", name]);
            command.env("HOME", dir.to_string());
            let before = "{\n\tadmin off\n}\n".to_owned();
            before
                + &example(
                    "caddy/Caddyfile",
                    &[(":80 {", format!(":{port} {{")), upstream],
                )
        }
        Kind::Haproxy => {
            command.args(["haproxy", "-f", name]);
            let bind = format!("bind {address}");
            example("haproxy/haproxy.cfg", &[("bind :80", bind), upstream])
        }
    };
    fs::write(&file, text).unwrap();
}
