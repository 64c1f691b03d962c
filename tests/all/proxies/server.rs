//! The web servers, as Debian has them, with the configurations of `examples/`.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use support::Port;
use support::{Daemon, PATIENCE, Program, TempDir, eventually, temp_dir};

/// A server and how it is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    /// With `proxy_http_version 1.1`, where the default is 1.0.
    NginxHttp10,
    Apache,
    Caddy,
    Haproxy,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [
        Self::Nginx,
        Self::NginxHttp10,
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
    _ports: [Port; 2],
    _dir: TempDir,
}

impl Proxy {
    /// Starts it in front of a daemon and waits until it takes connections.
    pub(crate) fn start(kind: Kind, daemon: &Daemon) -> Self {
        Self::launch(kind, daemon, None)
    }

    /// As [`Proxy::start`], but speaking TLS, with the certificate and key in a file.
    pub(crate) fn with_tls(kind: Kind, daemon: &Daemon, pem: &Path) -> Self {
        Self::launch(kind, daemon, Some(pem))
    }

    fn launch(kind: Kind, daemon: &Daemon, pem: Option<&Path>) -> Self {
        let dir = temp_dir();
        let setup = Setup {
            dir: dir.path().to_str().unwrap(),
            ports: [Port::reserve(), Port::reserve()],
            daemon: daemon.listen,
            pem: pem.map(|pem| pem.to_str().unwrap()),
        };
        // It gets a SIGTERM when the test's thread ends, also where that could not send one.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "--"]);
        let text = match kind {
            Kind::Nginx => setup.nginx(&mut command, "1.1"),
            Kind::NginxHttp10 => setup.nginx(&mut command, "1.0"),
            Kind::Apache => setup.apache(&mut command),
            Kind::Caddy => setup.caddy(&mut command),
            Kind::Haproxy => setup.haproxy(&mut command),
        };
        fs::write(setup.file(), text).unwrap();
        let address = setup.address();
        let mut program = Program::start(&mut command);
        eventually(&format!("{kind:?}"), || {
            let ended = program.has_ended().map(|_| program.output());
            assert!(ended.is_none(), "{kind:?} did not start: {ended:?}");
            TcpStream::connect(address).ok()
        });
        Self {
            program,
            address,
            _ports: setup.ports,
            _dir: dir,
        }
    }
}

#[expect(clippy::print_stderr, reason = "it helps to understand a failed test")]
impl Drop for Proxy {
    fn drop(&mut self) {
        // Killed at once, some would leave their workers behind.
        let _ = kill(Pid::from_raw(self.program.id() as i32), Signal::SIGTERM);
        self.program.end_within(PATIENCE);
        if thread::panicking() {
            eprintln!("--- the proxy wrote:\n{}", self.program.output());
        }
    }
}

/// What an example is changed to.
struct Setup<'a> {
    dir: &'a str,
    /// Where browsers connect.
    ports: [Port; 2],
    daemon: SocketAddr,
    /// With TLS, the certificate and its key.
    pem: Option<&'a str>,
}

impl Setup<'_> {
    fn file(&self) -> String {
        format!("{}/example", self.dir)
    }

    /// An example's text, with its addresses and some more replaced; with TLS, what stands in it for
    /// that (what follows `#` without a blank) counts. All that is to be replaced must be in it.
    fn example(&self, path: &str, changes: &[(&str, &str)]) -> String {
        let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/");
        let mut text = fs::read_to_string(format!("{examples}{path}")).unwrap();
        if self.pem.is_some() {
            let counts = |line: &str| match line.trim_start().strip_prefix('#') {
                Some(rest) if rest.starts_with(char::is_alphabetic) => format!("{rest}\n"),
                _ => format!("{line}\n"),
            };
            text = text.lines().map(counts).collect();
        }
        let daemon = self.daemon.to_string();
        for (old, new) in [("127.0.0.1:8080", daemon.as_str())].iter().chain(changes) {
            assert!(text.contains(old), "{old:?} is not in {path}");
            text = text.replace(old, new);
        }
        let pem = self.pem.unwrap_or_default();
        text.replace("/etc/ssl/site.pem", pem)
            .replace("/etc/ssl/site.key", pem)
    }

    /// Where it answers browsers.
    fn address(&self) -> SocketAddr {
        self.ports[0].address()
    }

    /// The plain and the TLS port: the one that is asked for, and for the other one any.
    fn ports(&self) -> (String, String) {
        let [asked, other] = self.ports.each_ref().map(|port| port.address().to_string());
        match self.pem {
            None => (asked, other),
            Some(_) => (other, asked),
        }
    }

    fn nginx(&self, command: &mut Command, version: &str) -> String {
        let settings = format!("daemon off; pid {}/pid;", self.dir);
        command.args(["nginx", "-e", "stderr", "-c", &self.file(), "-g", &settings]);
        let mut http = "http { access_log off;".to_owned();
        // Where an ordinary user may write.
        for name in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            http += &format!(" {name}_temp_path {}/{name};", self.dir);
        }
        let (plain, tls) = self.ports();
        let (plain, tls) = (format!("listen {plain};"), format!("listen {tls} ssl"));
        let version = format!("proxy_http_version {version};");
        self.example(
            "nginx/nginx.conf",
            &[
                ("http {", &http),
                ("listen 80;", &plain),
                ("listen 443 ssl", &tls),
                ("proxy_http_version 1.1;", &version),
            ],
        )
    }

    fn apache(&self, command: &mut Command) -> String {
        command.args(["apache2", "-DFOREGROUND", "-f", &self.file()]);
        let (dir, address) = (self.dir, self.address());
        // What Debian's own files and a2enmod do.
        let mut before = format!(
            "ServerRoot {dir}\nDefaultRuntimeDir {dir}\nPidFile {dir}/pid\nListen {address}\n\
             ErrorLog /dev/stderr\nServerName localhost\nUser nobody\nGroup nogroup\n"
        );
        let always = ["mpm_event", "authz_core", "proxy", "proxy_http"].as_slice();
        let tls = self.pem.map_or([].as_slice(), |_| &["ssl", "http2"]);
        for name in always.iter().chain(tls) {
            let file = format!("/usr/lib/apache2/modules/mod_{name}.so");
            before += &format!("LoadModule {name}_module {file}\n");
        }
        before + &self.example("apache/hasses.conf", &[("*:80", &address.to_string())])
    }

    fn caddy(&self, command: &mut Command) -> String {
        let file = self.file();
        command.args(["caddy", "run", "--adapter", "caddyfile", "--config", &file]);
        command.env("HOME", self.dir);
        let port = self.address().port();
        let site = match self.pem {
            None => format!(":{port} {{"),
            // A certificate of its own, as it could not get one here.
            Some(pem) => format!("localhost:{port} {{\n\ttls {pem} {pem}"),
        };
        let before = "{\n\tadmin off\n\tauto_https disable_redirects\n}\n".to_owned();
        before + &self.example("caddy/Caddyfile", &[(":80 {", &site)])
    }

    fn haproxy(&self, command: &mut Command) -> String {
        command.args(["haproxy", "-f", &self.file()]);
        let (plain, tls) = self.ports();
        let (plain, tls) = (format!("bind {plain}"), format!("bind {tls} ssl"));
        let changes = [("bind :80", plain.as_str()), ("bind :443 ssl", &tls)];
        self.example("haproxy/haproxy.cfg", &changes)
    }
}
