//! `GET /events`: what is published, seen from the control port.

use std::time::{Duration, Instant};

use support::daemon::Preparation;
use support::{Connection, Daemon, Stream, publish};

/// Opens the stream with this query and these fields.
fn events(daemon: &Daemon, query: &str, fields: &str) -> Stream {
    let text = format!("GET /events?{query} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    let mut connection = Connection::to(daemon.control);
    connection.send(text.as_bytes());
    Stream::answered(connection)
}

fn status(daemon: &Daemon, line: &str) -> (u16, String) {
    let answer = super::ask(daemon.control, line);
    (answer.status, answer.body)
}

#[test]
fn it_is_the_stream_that_subscribers_have() {
    let daemon = Daemon::start("");
    publish::http(daemon.control, "a", "before");
    let mut stream = events(&daemon, "token=a&token=b-c&recent=5", "");
    assert_eq!(stream.data(), "before");
    let (id, recipients) = publish::http(daemon.control, "b-c?event=news", "one\ntwo");
    assert_eq!(recipients, 1);
    let event = stream.event();
    assert_eq!((event.id, event.event.as_deref()), (Some(id), Some("news")));
    assert_eq!(event.data.as_deref(), Some("one\ntwo"));
    // A large one comes whole, and in its order.
    let large = "x".repeat(300_000);
    publish::http(daemon.control, "a", &large);
    publish::http(daemon.control, "a", "end");
    assert_eq!(stream.data(), large);
    assert_eq!(stream.data(), "end");
    drop(stream);
    // It comes back where it was.
    let mut back = events(&daemon, "token=a", &format!("Last-Event-ID: {id}\r\n"));
    assert_eq!(back.data(), large);
    assert_eq!(back.data(), "end");
    // Forms, and everything at once.
    let mut json = events(&daemon, "subscribe=*&format=json", "");
    publish::http(daemon.control, "a", "x");
    assert!(json.data().contains("\"to\":\"a\""));
}

#[test]
fn it_needs_no_key_but_the_control_secret() {
    let line = "--listen 127.0.0.1:{listen} --control 127.0.0.1:{control} --max-clients 1 \
                --control-secret {dir}/secret --subscribe-key {dir}/key --cors https://site.example";
    let daemon = Daemon::prepared(line, |place: &Preparation| {
        place.write("secret", "right");
        place.write("key", "0123456789abcdef0123456789abcdef");
    });
    assert_eq!(status(&daemon, "GET /events?token=a").0, 401);
    let right = "Authorization: Bearer right\r\n";
    // Beside more of them than --max-clients allows.
    let mut streams: Vec<_> = (0..3)
        .map(|_| events(&daemon, "subscribe=*", right))
        .collect();
    publish::tcp(daemon.control, "auth right\na=x\n");
    for stream in &mut streams {
        assert_eq!(stream.data(), "x");
    }
    let text = format!("HEAD /events?token=a HTTP/1.1\r\nHost: x\r\n{right}\r\n");
    let head = Connection::to(daemon.control).send(text.as_bytes()).head();
    assert_eq!(head.status, 200);
    assert_eq!(head.header("access-control-allow-origin"), None);
    let kind = head.header("content-type");
    assert_eq!(kind.as_deref(), Some("text/event-stream; charset=utf-8"));
}

#[test]
fn what_is_wrong_is_said_as_json() {
    let daemon = Daemon::start("--max-tokens 2");
    for (query, named) in [
        ("", "which tokens?"),
        ("token=", "token"),
        ("token=a%2", "token"),
        ("subscribe=a-b-c", "--max-tokens is 2"),
        ("token=a&format=xml", "format"),
    ] {
        let (status, body) = status(&daemon, &format!("GET /events?{query}"));
        assert_eq!(status, 400, "{query}");
        let error: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert!(error["error"].as_str().unwrap().contains(named), "{body}");
    }
    assert_eq!(status(&daemon, "POST /events?token=a").0, 405);
}

#[test]
fn it_ends_with_its_reader_and_with_the_daemon() {
    let mut daemon = Daemon::start("");
    let stream = events(&daemon, "token=a", "");
    daemon.wait_for_clients(1);
    drop(stream);
    daemon.wait_for_clients(0);
    let text = "GET /events?token=a HTTP/1.0\r\n\r\n";
    let mut old = Connection::to(daemon.control);
    let head = old.send(text.as_bytes()).head();
    assert_eq!(head.header("transfer-encoding"), None);
    let mut stream = events(&daemon, "token=a", "");
    daemon.wait_for_clients(2);
    let stopping = Instant::now();
    daemon.stop();
    assert!(stopping.elapsed() < Duration::from_secs(4));
    let deadline = Instant::now() + Duration::from_secs(5);
    while stream.chunk(deadline).is_some() {}
    stream.into_connection();
    old.rest();
}
