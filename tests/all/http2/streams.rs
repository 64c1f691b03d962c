//! What a stream of a connection is promised.

use std::io::{Read, Write};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use support::{Connection, Daemon, Program, eventually, needs, publish};

use crate::keys::maker::{by_secret, now};
use crate::keys::{SECRET, with_secret};
use crate::tls::site::Site;
use support::http2::{Client, DATA, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM};

fn clients(daemon: &Daemon) -> serde_json::Value {
    let request = "GET /clients?limit=100 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answer = Connection::to(daemon.control)
        .send(request.as_bytes())
        .response();
    answer.json()
}

#[test]
fn streams_share_a_connection_and_are_told_apart() {
    let daemon = Daemon::start("");
    let mut client = Client::to(daemon.listen);
    for (stream, query) in [
        (1, "subscribe=a&id=ann"),
        (3, "subscribe=b"),
        (5, "subscribe=a-b"),
    ] {
        client.subscribe(stream, query);
    }
    assert_eq!(publish::http(daemon.control, "a", "to a").1, 2);
    client.hear(1, "data: to a\n\n");
    assert_eq!(publish::http(daemon.control, "b", "to b").1, 2);
    client.hear(5, "data: to b\n\n");
    let list = clients(&daemon);
    let list = list.as_array().unwrap();
    assert_eq!(
        list.len(),
        3,
        "the connection itself is no client: {list:?}"
    );
    assert!(list.iter().all(|client| client["http"] == "2"), "{list:?}");
    // One that leaves takes nobody with it.
    client.send(RST_STREAM, 0, 3, &8_u32.to_be_bytes());
    daemon.wait_for_clients(2);
    // One that is ended ends well, and alone.
    publish::tcp(daemon.control, "disconnect:ann\n");
    let end = client.next(DATA);
    assert_eq!(
        (end.stream, end.flags & END_STREAM),
        (1, END_STREAM),
        "{end:?}"
    );
    publish::http(daemon.control, "a", "still");
    client.hear(5, "data: still\n\n");
}

#[test]
fn a_request_is_answered_as_over_http_1() {
    let daemon = Daemon::start("");
    let mut client = Client::to(daemon.listen);
    client.get(1, "/nothing");
    let head = client.next(HEADERS);
    assert_eq!(head.payload[0], 0x8d, "404");
    let body = client.hear(1, "publishers use the address of --control");
    assert!(!body.contains("\r\n"), "{body:?}");
    let end = client.next(DATA);
    assert_eq!((end.stream, end.flags), (1, END_STREAM));
    client.get(3, "/sse.js");
    assert_eq!(client.next(HEADERS).payload[0], 0x88, "200");
}

/// A tab that reads nothing: its siblings go on, and what waits for it is bounded.
#[test]
fn a_slow_stream_holds_up_none_of_its_siblings() {
    let daemon = Daemon::start("--client-buffer 100000 --history 0");
    // The peer's windows are its streams': 10,000 bytes each; that of the connection is never the reason.
    let mut client = Client::with(daemon.listen, &[(4, 10_000)]);
    client.window(0, 1 << 30);
    client.subscribe(1, "subscribe=a");
    client.subscribe(3, "subscribe=a");
    let text = "x".repeat(5000);
    let (mut reset, mut heard) = (false, 0);
    for _ in 0..60 {
        publish::http(daemon.control, "a", &text);
        while heard < 5000 {
            let frame = client.try_frame().unwrap();
            match (frame.kind, frame.stream) {
                (DATA, 3) => {
                    heard += frame.payload.len();
                    client.window(3, frame.payload.len() as u32);
                }
                (RST_STREAM, 1) => reset = true,
                (RST_STREAM | GOAWAY, _) => panic!("{frame:?}"),
                _ => {}
            }
        }
        heard = 0;
    }
    assert!(reset, "what waits for it is bounded");
    daemon.wait_for_clients(1);
}

#[test]
fn a_stop_ends_each_stream_and_then_the_connection() {
    let mut daemon = Daemon::start("");
    let mut client = Client::to(daemon.listen);
    client.subscribe(1, "subscribe=a");
    client.subscribe(3, "subscribe=b");
    daemon.signal(Signal::SIGTERM);
    let (mut ended, mut goaway) = (0, false);
    while let Some(frame) = client.try_frame() {
        ended += u32::from(frame.kind == DATA && frame.flags & END_STREAM != 0);
        if frame.kind == GOAWAY {
            assert_eq!(frame.reason(), 0);
            goaway = true;
        }
    }
    assert_eq!((ended, goaway), (2, true));
    assert!(daemon.wait_for_exit().success());
}

#[test]
fn streams_count_for_limits() {
    let daemon = Daemon::start("--max-clients-per-ip 2");
    let mut client = Client::to(daemon.listen);
    client.subscribe(1, "subscribe=a");
    client.subscribe(3, "subscribe=a");
    client.get(5, "/sse?subscribe=a");
    let head = client.next(HEADERS);
    assert_ne!(head.payload[0], 0x88, "refused");
    assert!(
        head.payload.windows(3).any(|part| part == b"429"),
        "{head:?}"
    );
    client.send(RST_STREAM, 0, 3, &8_u32.to_be_bytes());
    daemon.wait_for_clients(1);
    eventually("room again", || {
        // Streams only grow.
        let mut other = Client::to(daemon.listen);
        other.get(1, "/sse?subscribe=a");
        (other.next(HEADERS).payload[0] == 0x88).then_some(())
    });
}

#[test]
fn a_ping_is_answered() {
    let daemon = Daemon::start("");
    let mut client = Client::to(daemon.listen);
    client.send(PING, 0, 0, b"12345678");
    let answer = client.next(PING);
    assert_eq!((answer.flags, &answer.payload[..]), (1, &b"12345678"[..]));
}

/// Real programs, by the protocol that TLS agrees on and without asking.
#[test]
fn curl_subscribes_by_http_2() {
    needs!("curl", "openssl");
    let site = Site::command_line(
        "--listen tls:127.0.0.1:{listen} --listen unix:{dir}/plain --control 127.0.0.1:{control} \
         --tls-cert {dir}/site.pem --tls-key {dir}/site.key",
    );
    let daemon = &site.daemon;
    let (ca, plain) = (daemon.file("ca.pem"), daemon.file("plain"));
    let (ca, plain) = (ca.to_str().unwrap(), plain.to_str().unwrap());
    let url = format!("https://localhost:{}/sse?subscribe=a", daemon.listen.port());
    for arguments in [
        ["--http2", "--cacert", ca, &url],
        [
            "--http2-prior-knowledge",
            "--unix-socket",
            plain,
            "http://localhost/sse?subscribe=a",
        ],
    ] {
        let curl = Program::start(Command::new("curl").arg("-sNi").args(arguments));
        curl.wait_for("HTTP/2 200");
        curl.wait_for("id: ");
        publish::http(daemon.control, "a", "by two");
        curl.wait_for("data: by two");
    }
}

/// What TLS has agreed on holds.
#[test]
fn another_protocol_than_was_agreed_on_is_refused() {
    let site = Site::start("");
    let mut tls = site.speaking(b"h2");
    tls.write_all(b"GET /sse?subscribe=a HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    // It may be closed without more ado.
    let _end = tls.read_to_end(&mut answer);
    assert_eq!(answer[3], 4, "SETTINGS: {answer:?}");
    let goaway = &answer[answer.len() - 17..];
    assert_eq!((goaway[3], goaway[16]), (GOAWAY, 1), "{answer:?}");
}

/// A right that ends takes its own stream alone.
#[test]
fn the_end_of_a_right_ends_one_stream() {
    let daemon = with_secret("");
    let soon = format!(r#"{{"subscribe":["a"],"exp":{}}}"#, now() + 5);
    let [soon, never] = by_secret(SECRET, [&soon, r#"{"subscribe":["a"]}"#]);
    let mut client = Client::to(daemon.listen);
    client.subscribe(1, &format!("subscribe=a&auth={never}"));
    client.subscribe(3, &format!("subscribe=a&auth={soon}"));
    let end = loop {
        let frame = client.next(DATA);
        if frame.flags & END_STREAM != 0 {
            break frame;
        }
    };
    assert_eq!(end.stream, 3);
    publish::http(daemon.control, "a", "x");
    client.hear(1, "data: x\n\n");
}

/// Tabs that share nothing but the browser's connection, where HTTP/1.1 would have room for six.
#[test]
fn thirty_event_sources_of_a_browser_share_a_connection() {
    needs!("node", "chromium", "npm:playwright-core", "openssl");
    let site = Site::start("");
    let daemon = &site.daemon;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/all/http2/tabs.mjs");
    let origin = format!("https://localhost:{}", daemon.listen.port());
    let control = format!("http://{}", daemon.control);
    let output = Command::new("timeout")
        .args(["100", "node", script, &origin, &control])
        .arg(daemon.file("browser"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(told, "30 1 30 to all\n", "{output:?}");
}

/// Node's own HTTP/2: 100 streams on one connection, each with its token.
#[test]
fn node_has_a_hundred_streams_on_one_connection() {
    needs!("node");
    let daemon = Daemon::start("");
    let script = format!(
        "const s = require('http2').connect('http://{}'); let heard = 0;
         for (let n = 0; n < 100; n++) {{
           const r = s.request({{':path': '/sse?subscribe=all-t' + n}}); r.setEncoding('utf8');
           let text = ''; r.on('data', d => {{ text += d;
             if (text.includes('data: t' + n + '\\n')) {{ text = ''; if (++heard === 100) console.log('all'); }} }});
           r.end();
         }}",
        daemon.listen
    );
    let node = Program::start(Command::new("node").args(["-e", &script]));
    daemon.wait_for_clients(100);
    for n in 0..100 {
        publish::tcp(daemon.control, format!("t{n}=t{n}\n"));
    }
    node.wait_for("all");
    assert_eq!(publish::http(daemon.control, "all", "x").1, 100);
    drop(node);
    daemon.wait_for_clients(0);
}

#[test]
fn an_idle_stream_gets_its_heartbeats() {
    let daemon = Daemon::start("--heartbeat 1");
    let mut client = Client::to(daemon.listen);
    client.subscribe(1, "subscribe=a&ping=1");
    client.hear(1, "event: ping");
    std::thread::sleep(Duration::from_millis(10));
    client.hear(1, "event: ping");
}
