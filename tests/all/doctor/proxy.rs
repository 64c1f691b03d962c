//! Real proxies with small set-ups of their own, right and wrong ones.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use support::{Daemon, PATIENCE, Port, Program, TempDir, eventually, temp_dir};

/// How a proxy is started, and what stands around the lines of a test.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    /// The name that the doctor knows it by.
    pub(crate) name: &'static str,
    /// The command, in which `FILE` and `DIR` are filled in.
    command: &'static [&'static str],
    /// The configuration, in which `LINES` are the test's.
    text: &'static str,
}

pub(crate) const NGINX: Kind = Kind {
    name: "nginx",
    command: &["nginx", "-e", "stderr", "-c", "FILE"],
    text: "daemon off; pid DIR/pid; events {} http { access_log off; \
           client_body_temp_path DIR/b; proxy_temp_path DIR/p; fastcgi_temp_path DIR/f; \
           uwsgi_temp_path DIR/u; scgi_temp_path DIR/s; \
           proxy_cache_path DIR/cache keys_zone=one:1m; \
           server { listen ADDRESS; LINES } }",
};

pub(crate) const APACHE: Kind = Kind {
    name: "Apache",
    command: &["apache2", "-DFOREGROUND", "-f", "FILE"],
    text: "ServerRoot DIR\nDefaultRuntimeDir DIR\nPidFile DIR/pid\nListen ADDRESS\n\
           ErrorLog /dev/stderr\nServerName localhost\nUser nobody\nGroup nogroup\n\
           LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so\n\
           LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so\n\
           LoadModule headers_module /usr/lib/apache2/modules/mod_headers.so\n\
           LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so\n\
           LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so\nLINES\n",
};

pub(crate) const CADDY: Kind = Kind {
    name: "Caddy",
    command: &["caddy", "run", "--adapter", "caddyfile", "--config", "FILE"],
    text: "{\n\tadmin off\n\tauto_https off\n}\n:PORT {\nLINES\n}\n",
};

pub(crate) const HAPROXY: Kind = Kind {
    name: "HAProxy",
    command: &["haproxy", "-f", "FILE"],
    text: "defaults\nmode http\ntimeout connect 5s\ntimeout client 60s\ntimeout server 60s\n\
           frontend web\nbind ADDRESS\ndefault_backend hasses\nbackend hasses\nLINES\n",
};

pub(crate) const VARNISH: Kind = Kind {
    name: "Varnish",
    command: &[
        "varnishd",
        "-F",
        "-n",
        "DIR/varnish",
        "-a",
        "ADDRESS",
        "-f",
        "FILE",
        "-s",
        "malloc,16m",
    ],
    text: "vcl 4.1;\nbackend default { .host = \"127.0.0.1\"; .port = \"BACKEND\"; }\nLINES\n",
};

/// A proxy in a few lines that compresses, and never flushes.
pub(crate) const GZIP: Kind = Kind {
    name: "node",
    command: &["node", "FILE"],
    text: "const http = require('http'), zlib = require('zlib');\n\
           http.createServer((asked, answer) => {\n\
           const { accept, ...headers } = asked.headers;\n\
           const onward = { port: BACKEND, path: asked.url, headers };\n\
           headers['x-forwarded-for'] = asked.socket.remoteAddress;\n\
           const up = http.get(onward, (stream) => {\n\
           const zips = /gzip/.test(headers['accept-encoding'] ?? '');\n\
           const more = zips ? { 'content-encoding': 'gzip' } : {};\n\
           answer.writeHead(stream.statusCode, { 'content-type': 'text/event-stream', ...more });\n\
           answer.flushHeaders();\n\
           (zips ? stream.pipe(zlib.createGzip()) : stream).pipe(answer); });\n\
           answer.on('close', () => up.destroy());\n\
           }).listen(PORT, '127.0.0.1');\n",
};

/// A running proxy; ended when dropped.
pub(crate) struct Proxy {
    program: Program,
    /// Where it answers browsers.
    pub(crate) address: SocketAddr,
    _port: Port,
    _dir: TempDir,
}

impl Proxy {
    /// Starts it in front of a daemon. In `lines`, `DAEMON` is the daemon's address and `PORT` the proxy's
    /// port; for nginx, `TLS` at the beginning makes its port one for TLS.
    pub(crate) fn start(kind: Kind, lines: &str, daemon: &Daemon) -> Self {
        Self::try_start(&kind, lines, daemon)
            .unwrap_or_else(|told| panic!("{} did not start: {told}", kind.name))
    }

    fn try_start(kind: &Kind, lines: &str, daemon: &Daemon) -> Result<Self, String> {
        let dir = temp_dir();
        let port = Port::reserve();
        let address = port.address();
        let folder = dir.path().to_str().unwrap();
        let (listen, lines) = match lines.strip_prefix("TLS") {
            Some(lines) => (format!("{} ssl", address.port()), lines),
            None => (address.to_string(), lines),
        };
        let filled = |text: &str| {
            text.replace("LINES", lines)
                .replace("ADDRESS", &listen)
                .replace("PORT", &address.port().to_string())
                .replace("DAEMON", &daemon.listen.to_string())
                .replace("BACKEND", &daemon.listen.port().to_string())
                .replace("FILE", &format!("{folder}/conf"))
                .replace("DIR", folder)
        };
        fs::write(dir.path().join("conf"), filled(kind.text)).unwrap();
        // Its workers, which are nobody's, need the folder too.
        open_to_all(folder);
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "--"]);
        command.args(kind.command.iter().map(|word| filled(word)));
        command.env("HOME", folder);
        let mut program = Program::start(&mut command);
        let starts = eventually(kind.name, || match program.has_ended() {
            Some(_) => Some(false),
            None => TcpStream::connect(address).is_ok().then_some(true),
        });
        if starts {
            Ok(Self {
                program,
                address,
                _port: port,
                _dir: dir,
            })
        } else {
            Err(program.output())
        }
    }
}

/// Lets everybody into the folder.
fn open_to_all(folder: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
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
