//! Streams over TLS keep every promise that plain ones do.

use std::io::{Read, Write};

use nix::sys::signal::Signal;

use super::site::{Site, request};
use support::{Connection, Stream, eventually, needs, publish};

#[test]
fn what_is_told_of_a_client_says_that_it_came_by_tls() {
    needs!("openssl");
    let site = Site::start("--listen 127.0.0.1:0");
    let _stream = site.subscribe("subscribe=a");
    let ask = |command: &str| publish::talk_tcp(site.daemon.control, command).join("\n");
    let list = ask("clientlist\n");
    assert!(list.contains("Reinit: 0 SSL:Yes"), "{list}");
    let list: serde_json::Value = serde_json::from_str(&ask("tcpclientlist\n")).unwrap();
    assert_eq!(list[0]["tls"], true);
    assert_eq!(site.status("mode"), "SSL encrypted (https)");
    let status = ask("status\n");
    let file = |name| site.daemon.file(name).display().to_string();
    for line in [
        "Mode: SSL encrypted (https)".to_owned(),
        format!("SSL Cert key file: {}", file("site.pem")),
        format!("SSL Prvt key file: {}", file("site.key")),
    ] {
        assert!(status.lines().any(|told| told == line), "{line}: {status}");
    }
}

#[test]
fn events_longer_than_a_record_and_many_short_ones_at_once() {
    needs!("openssl");
    let site = Site::start("");
    let mut stream = site.subscribe("subscribe=a");
    for length in [1, 16_300, 16_384, 16_385, 100_000, 1_000_000] {
        let data = "x".repeat(length);
        publish::http(site.daemon.control, "a", &data);
        assert!(stream.data() == data, "{length}");
    }
    let many: String = (0..5000).map(|n| format!("a={n}\n")).collect();
    publish::tcp(site.daemon.control, many + "a=end\n");
    let came = stream.data_until("end");
    assert_eq!(came, Vec::from_iter((0..5000).map(|n| n.to_string())));
}

#[test]
fn ten_thousand_events_are_replayed() {
    needs!("openssl");
    let site = Site::start("--history 20000");
    let first = publish::http(site.daemon.control, "a", "first").0;
    let many: String = (0..10_000)
        .map(|n| format!("a={n} {}\n", "x".repeat(n % 200)))
        .collect();
    publish::talk_tcp(site.daemon.control, many);
    let resumed = site.asked(&format!("subscribe=a&lastEventId={first}"));
    let start = Stream::answered(Connection::over(resumed)).start();
    assert!(start.gap.is_none());
    let numbers = start
        .data()
        .into_iter()
        .map(|data| data.split(' ').next().unwrap());
    assert!(numbers.eq((0..10_000).map(|n| n.to_string())));
    let mut stream = start.stream;
    publish::http(site.daemon.control, "a", "live");
    assert_eq!(stream.data(), "live");
}

#[test]
fn a_stop_ends_each_stream_and_says_so_in_tls_too() {
    needs!("openssl");
    let mut site = Site::start("");
    let stream = site.subscribe("subscribe=a");
    let mut old = site.connect(site.daemon.listen);
    old.write_all(b"GET /sse?subscribe=a HTTP/1.0\r\n\r\n")
        .unwrap();
    let mut old = Stream::answered(Connection::over(old));
    assert!(old.head.header("transfer-encoding").is_none());
    old.position();
    publish::http(site.daemon.control, "a", "last");
    site.daemon.signal(Signal::SIGTERM);
    assert_eq!(old.data(), "last");
    // An end of the connection without close_notify would fail the test (RFC 8446 §6.1).
    old.into_connection();
    stream.into_connection();
    assert!(site.daemon.wait_for_exit().success());
}

#[test]
fn a_client_that_does_not_read_is_disconnected_and_what_waits_is_told() {
    needs!("openssl");
    let site = Site::start("--client-buffer 200000 --history 0");
    let mut lazy = site.asked("subscribe=a&id=lazy");
    lazy.read_exact(&mut [0; 12]).unwrap();
    let mut other = site.subscribe("subscribe=a");
    let data = "x".repeat(50_000);
    let mut most = 0;
    eventually("a slow disconnect", || {
        publish::http(site.daemon.control, "a", &data);
        assert!(other.data() == data);
        most = most.max(site.status("waiting_bytes").as_u64().unwrap());
        (site.status("slow_disconnects") == 1).then_some(())
    });
    // What was being written, a record, and the buffer.
    assert!(
        (100_000..=200_000 + 50_500 + 17_000).contains(&most),
        "{most}"
    );
    eventually("nothing waiting", || {
        (site.status("waiting_bytes") == 0).then_some(())
    });
}

#[test]
fn a_client_that_reads_late_gets_everything() {
    needs!("openssl");
    let site = Site::start("--client-buffer 100000000");
    let tls = site.asked("subscribe=a");
    let mut late = Stream::answered(Connection::over(tls));
    late.position();
    let data = "y".repeat(100_000);
    for n in 0..150 {
        publish::http(site.daemon.control, "a", &format!("{n} {data}"));
    }
    assert!(site.status("waiting_bytes").as_u64() > Some(1_000_000));
    for n in 0..150 {
        assert!(late.data() == format!("{n} {data}"), "{n}");
    }
}

#[test]
fn a_request_on_an_open_stream_replaces_it() {
    needs!("openssl");
    let site = Site::start("--reinit");
    let mut stream = site.subscribe("subscribe=a");
    stream.send(request("subscribe=b").as_bytes());
    let mut stream = Stream::answered(stream.into_connection());
    stream.position();
    publish::tcp(site.daemon.control, "a=no\nb=yes\n");
    assert_eq!(stream.data(), "yes");
}

#[test]
fn keys_may_be_changed_on_an_open_stream() {
    needs!("openssl");
    let site = Site::start("");
    let mut tls = site.asked("subscribe=a");
    // An update of ours asks for one of the daemon's (RFC 8446 §4.6.3).
    for _ in 0..3 {
        tls.conn.refresh_traffic_keys().unwrap();
        tls.write_all(b"what comes on an open stream is thrown away")
            .unwrap();
    }
    let mut stream = Stream::answered(Connection::over(tls));
    stream.position();
    for n in 0..5 {
        publish::http(site.daemon.control, "a", &n.to_string());
        assert_eq!(stream.data(), n.to_string());
    }
}

#[test]
fn head_options_and_refusals() {
    needs!("openssl");
    let site = Site::start("");
    for (line, status) in [
        ("HEAD /sse?subscribe=a", 200),
        ("OPTIONS /sse", 204),
        ("GET /sse?subscribe=*", 403),
        ("GET /elsewhere", 404),
        ("POST /sse", 405),
    ] {
        let mut tls = site.connect(site.daemon.listen);
        write!(tls, "{line} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut connection = Connection::over(tls);
        assert_eq!(connection.head().status, status, "{line}");
        connection.rest();
    }
}
