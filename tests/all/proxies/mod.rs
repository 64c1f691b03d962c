//! The proxies of `examples/`, real ones: a stream through them is as good as one without.

mod server;

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use server::{Kind, Proxy};
use socket2::{Domain, Socket, Type};
use support::{Connection, Daemon, Program, Stream, eventually, needs, publish, run};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/returning.mjs");

#[test]
fn nginx() {
    needs!("nginx", "node", "npm:eventsource", "setpriv");
    is_good(Kind::Nginx);
}

#[test]
fn nginx_by_http_1_0() {
    needs!("nginx", "node", "npm:eventsource", "setpriv");
    is_good(Kind::NginxHttp10);
}

#[test]
fn apache() {
    needs!("apache2", "node", "npm:eventsource", "setpriv");
    is_good(Kind::Apache);
}

#[test]
fn caddy() {
    needs!("caddy", "node", "npm:eventsource", "setpriv");
    is_good(Kind::Caddy);
}

#[test]
fn haproxy() {
    needs!("haproxy", "node", "npm:eventsource", "setpriv");
    is_good(Kind::Haproxy);
}

/// The one with the time-outs: all proxies side by side, with hasses' own heartbeat.
#[test]
fn a_silent_stream_survives_two_minutes_of_each() {
    needs!("nginx", "apache2", "caddy", "haproxy", "setpriv");
    let daemon = Daemon::start("--trust-proxy 127.0.0.1");
    let proxies = Kind::ALL.map(|kind| Proxy::start(kind, &daemon));
    let began = Instant::now();
    let mut streams = proxies
        .each_ref()
        .map(|proxy| Stream::open(proxy.address, "subscribe=a"));
    // The page's script passes too.
    for proxy in &proxies {
        let request = b"GET /sse.js HTTP/1.0\r\nHost: localhost\r\n\r\n";
        let answer = Connection::to(proxy.address).send(request).response();
        assert_eq!(answer.status, 200);
        assert!(answer.body.contains("export function connect"));
    }
    while began.elapsed() < Duration::from_secs(120) {
        for stream in &mut streams {
            stream.position();
        }
    }
    assert_eq!(publish::http(daemon.control, "a", "x").1, 5);
    for stream in &mut streams {
        assert_eq!(stream.data(), "x");
    }
}

#[test]
fn by_tls_and_http_2_as_well() {
    needs!(
        "nginx", "apache2", "caddy", "haproxy", "setpriv", "curl", "openssl"
    );
    let daemon = Daemon::start("--trust-proxy 127.0.0.1");
    let (pem, certificate) = (daemon.file("pem"), daemon.file("certificate"));
    let name = |file: &Path| file.to_str().unwrap().to_owned();
    let make = format!(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
         -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout {0} -out {1} && \
         cat {1} >> {0}",
        name(&pem),
        name(&certificate),
    );
    run("sh", &["-c", &make]);
    for kind in [Kind::Nginx, Kind::Apache, Kind::Caddy, Kind::Haproxy] {
        let proxy = Proxy::with_tls(kind, &daemon, &pem);
        let url = format!(
            "https://localhost:{}/sse?subscribe=a&id=me",
            proxy.address.port()
        );
        let trusted = name(&certificate);
        let options = ["-sSNi", "--http2", "-m", "20", "--cacert", &trusted, &url];
        let mut curl = Program::start(Command::new("curl").args(options));
        curl.wait_for("HTTP/2 200");
        curl.wait_for("id: ");
        assert_eq!(publish::http(daemon.control, "a", "by two").1, 1);
        curl.wait_for("data: by two");
        publish::talk_tcp(daemon.control, "disconnect:me\n");
        let status = curl.wait_for_end();
        assert!(status.success(), "{kind:?}: {}", curl.output());
    }
}

fn is_good(kind: Kind) {
    let mut daemon = Daemon::start(
        "--trust-proxy 127.0.0.1 --retry 100 --log-level debug --history-file {dir}/history",
    );
    let proxy = Proxy::start(kind, &daemon);
    tells_the_client(&daemon, &proxy);
    passes_each_event_at_once(&daemon, &proxy);
    replays(&daemon, &proxy);
    carries_two_thousand(&daemon, &proxy);
    notices_who_leaves(&daemon, &proxy, kind);
    brings_the_page_back(&mut daemon, &proxy);
    // Apache ends its streams before itself.
    daemon.stop();
}

/// A connection from another address than the proxy's own.
fn connection_from_afar(to: SocketAddr) -> Connection {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let source: SocketAddr = "127.0.0.9:0".parse().unwrap();
    socket.bind(&source.into()).unwrap();
    socket.connect(&to.into()).unwrap();
    Connection::over(TcpStream::from(socket))
}

fn tells_the_client(daemon: &Daemon, proxy: &Proxy) {
    // What the browser itself says of it does not count.
    let get = |query: &str| {
        let mut connection = connection_from_afar(proxy.address);
        let request =
            format!("GET /sse?{query} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n");
        connection.send(request.as_bytes());
        connection
    };
    let _stream = Stream::answered(get("subscribe=a"));
    daemon.wait_for_clients(1);
    let list = publish::ask_tcp(daemon.control, "tcpclientlist\n");
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let address = list[0]["address"].as_str().unwrap();
    let ip = address.split_once(':').map_or(address, |(ip, _)| ip);
    assert_eq!(ip, "127.0.0.9");
    daemon.wait_for_log(&format!("speaks for {address}"));
    assert_eq!(get("").response().status, 400);
    let line = daemon.wait_for_log("was refused with 400");
    assert!(line.contains(" from 127.0.0.9"), "{line}");
}

fn passes_each_event_at_once(daemon: &Daemon, proxy: &Proxy) {
    let mut stream = Stream::open(proxy.address, "subscribe=a");
    let mut took: Vec<Duration> = (0..21)
        .map(|number| {
            let began = Instant::now();
            publish::http(daemon.control, "a", &number.to_string());
            assert_eq!(stream.data(), number.to_string());
            began.elapsed()
        })
        .collect();
    took.sort_unstable();
    // Waiting for more to send with it would delay each by 40 ms, and buffers for ever; a busy machine delays some.
    assert!(took[2] < Duration::from_millis(30), "{took:?}");
}

fn replays(daemon: &Daemon, proxy: &Proxy) {
    let before = publish::http(daemon.control, "a", "before").0;
    publish::http(daemon.control, "a", "missed");
    let start = Stream::resume(proxy.address, "subscribe=a", before);
    assert!(start.gap.is_none());
    assert_eq!(start.data(), ["missed"]);
    let start = Stream::starting(proxy.address, "subscribe=a&recent=2", "");
    assert_eq!(start.data(), ["before", "missed"]);
}

fn notices_who_leaves(daemon: &Daemon, proxy: &Proxy, kind: Kind) {
    let nobody_is_left = || {
        if kind == Kind::Apache {
            // It finds out at the next events, or heartbeats.
            eventually("nobody", || {
                (publish::http(daemon.control, "*", "anybody?").1 == 0).then_some(())
            });
        }
        daemon.wait_for_clients(0);
    };
    nobody_is_left();
    let stream = Stream::open(proxy.address, "subscribe=a");
    daemon.wait_for_clients(1);
    drop(stream);
    nobody_is_left();
}

fn carries_two_thousand(daemon: &Daemon, proxy: &Proxy) {
    let _alone = support::heavy();
    let request = "GET /sse?subscribe=crowd HTTP/1.1\r\nHost: x\r\n\r\n";
    let connect = |_| {
        let mut connection = Connection::to(proxy.address);
        connection.send(request.as_bytes());
        connection
    };
    let connections: Vec<Connection> = (0..2000).map(connect).collect();
    let mut streams: Vec<Stream> = connections.into_iter().map(Stream::answered).collect();
    for stream in &mut streams {
        stream.position();
    }
    let (id, recipients) = publish::http(daemon.control, "crowd", "for all");
    assert_eq!(recipients, 2000);
    for stream in &mut streams {
        let event = stream.event();
        assert_eq!(
            (event.id, event.data.as_deref()),
            (Some(id), Some("for all"))
        );
    }
}

fn brings_the_page_back(daemon: &mut Daemon, proxy: &Proxy) {
    let url = format!("http://{}/sse?subscribe=page", proxy.address);
    let page = Program::start(Command::new("node").args([PAGE, &url]));
    page.wait_for("open");
    daemon.wait_for_clients(1);
    publish::http(daemon.control, "page", "before");
    page.wait_for("data before");
    daemon.stop();
    // An error status, after which an EventSource never comes back.
    page.wait_for("closed 50");
    daemon.start_again();
    publish::http(daemon.control, "page", "while it was away");
    page.wait_for("data while it was away");
    eventually("its return", || {
        (publish::http(daemon.control, "page", "after").1 == 1).then_some(())
    });
    page.wait_for("data after");
    assert!(!page.output().contains("gap"), "{}", page.output());
}
