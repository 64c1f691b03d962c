//! Connections that serve several requests.

use super::{answer, send};
use support::{Connection, Daemon, publish};

#[test]
fn requests_may_come_before_the_answers() {
    let daemon = Daemon::start("");
    let mut stream = daemon.subscribe("subscribe=a");
    let mut connection = Connection::to(daemon.control);
    let post = |body: &str| {
        let length = body.len();
        format!("POST /publish/a HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
    let chunked = "POST /publish/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3\r\ntwo\r\n0\r\n\r\n";
    let all = [
        post("one"),
        get("/clients"),
        chunked.to_owned(),
        get("/metrics"),
        post("three"),
        get("/nothing"),
        // An error whose request could be read to its end hinders nothing.
        post("four").replace("/publish/a", "/elsewhere"),
        post("four").replace("POST", "PUT"),
        chunked.replace("/publish/a", "/publish"),
        post("four").replace("\r\n\r\n", "\r\nContent-Type: text/plain;charset=x\r\n\r\n"),
        post("four").replace("\r\n\r\n", "\r\nContent-Encoding: gzip\r\n\r\n"),
        post("four").replace("Host: x", "Host: x.y"),
        post("four").replace("/publish/a", "/publish/a?event=gap"),
        "BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        post("five"),
        // Where it could not, nothing is served behind it.
        chunked.replace("3\r\n", "x\r\n"),
        post("six"),
    ];
    connection.send(all.concat().as_bytes());
    for (status, part) in [
        (200, "\"recipients\":1"),
        (200, "\"subscribes\":[\"a\"]"),
        (200, "\"recipients\":1"),
        (200, "hasses_messages_total{channel=\"http\"} 2\n"),
        (200, "\"recipients\":1"),
        (404, "nothing"),
        (404, "subscribers use the address of --listen"),
        (405, "allowed: POST"),
        (415, "application/json"),
        (415, "charset"),
        (415, "gzip"),
        (403, "x.y"),
        (400, "is reserved"),
        (501, "unknown method"),
        (200, "\"recipients\":1"),
        (400, "chunk"),
    ] {
        let answer = answer(&mut connection);
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.body.contains(part), "{answer:?}");
    }
    assert_eq!(connection.rest(), b"");
    publish::http(daemon.control, "a", "end");
    assert_eq!(stream.data_until("end"), ["one", "two", "three", "five"]);
}

#[test]
fn who_asks_first_whether_to_send_the_body_is_told_if_it_is_not_wanted() {
    let daemon = Daemon::start("--max-message 100");
    for (status, target, length) in [(404, "/nothing", 5), (413, "/publish/a", 101)] {
        let mut connection = Connection::to(daemon.control);
        let request = format!(
            "POST {target} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        connection.send(request.as_bytes());
        assert_eq!(connection.head().status, status);
    }
    // Nobody is asked to go on who has sent it already.
    let mut connection = Connection::to(daemon.control);
    connection.send(
        b"POST /publish/a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\
          Content-Length: 2\r\n\r\nhi",
    );
    assert_eq!(answer(&mut connection).status, 200);
    // A chunked body is asked for too.
    connection.send(
        b"POST /publish/a HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\n\
          Transfer-Encoding: chunked\r\n\r\n",
    );
    assert_eq!(connection.head().status, 100);
    connection.send(b"2\r\nhi\r\n0\r\n\r\n");
    assert_eq!(answer(&mut connection).status, 200);
}

#[test]
fn a_connection_closes_when_it_is_told_to() {
    let daemon = Daemon::start("");
    for request in [
        "GET /clients HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /status HTTP/1.0\r\n\r\n",
    ] {
        let mut connection = Connection::to(daemon.control);
        let head = connection.send(request.as_bytes()).head();
        assert_eq!(head.header("connection").as_deref(), Some("close"));
        assert!(!connection.rest().is_empty());
    }
    let mut connection = Connection::to(daemon.control);
    for _ in 0..3 {
        send(&mut connection, "GET /clients");
        let answer = answer(&mut connection);
        assert_eq!(answer.header("connection").as_deref(), Some("keep-alive"));
    }
}

#[test]
fn a_refused_head_has_no_body() {
    let daemon = Daemon::start("");
    for bad in [
        "HEAD /status HTTP/1.1\r\n\r\n",
        "HEAD /elsewhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    ] {
        let mut connection = Connection::to(daemon.control);
        connection.send(bad.as_bytes());
        assert!(matches!(connection.head().status, 400 | 404), "{bad}");
        assert_eq!(connection.finish().rest(), b"", "{bad}");
    }
}
