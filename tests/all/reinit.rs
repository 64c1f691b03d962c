//! `--reinit`: a new GET on an open stream replaces its subscription.

use support::{Connection, Daemon, Stream, publish};

fn get(query: &str) -> Vec<u8> {
    format!("GET /sse?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

/// Sends a new request on the stream's connection and opens what is answered.
fn replace(mut stream: Stream, query: &str) -> Stream {
    stream.send(&get(query));
    let mut stream = Stream::answered(stream.into_connection());
    stream.position();
    stream
}

#[test]
fn a_new_get_replaces_the_subscription() {
    let daemon = Daemon::start("--reinit");
    let mut stream = daemon.subscribe("subscribe=a&id=one");
    for token in ["b", "c", "d"] {
        stream = replace(stream, &format!("subscribe={token}&id=two"));
        assert_eq!(publish::http(daemon.control, "a", "old").1, 0);
        assert_eq!(publish::http(daemon.control, token, token).1, 1);
        assert_eq!(stream.data(), token);
    }
    daemon.wait_for_clients(1);
    let list = publish::talk_tcp(daemon.control, "clientlist\n").join("\n");
    assert!(list.contains(" Reinit: 3 "), "{list}");
    assert!(list.contains("UniqId:two"), "{list}");
    let status = publish::talk_tcp(daemon.control, "status\n");
    assert!(
        status.contains(&"Reinit allowed: yes".to_owned()),
        "{status:#?}"
    );
    assert!(status.contains(&"Total reinit connection: 3".to_owned()));
}

#[test]
fn what_was_published_before_comes_before() {
    let daemon = Daemon::start("--reinit");
    let mut stream = daemon.subscribe("subscribe=a");
    for number in 0..100 {
        publish::http(daemon.control, "a", &number.to_string());
    }
    stream.send(&get("subscribe=b"));
    for number in 0..100 {
        assert_eq!(stream.data(), number.to_string());
    }
    let mut stream = Stream::answered(stream.into_connection());
    stream.position();
    publish::http(daemon.control, "b", "new");
    assert_eq!(stream.data(), "new");
}

#[test]
fn a_bad_request_is_answered_like_a_first_one() {
    let daemon = Daemon::start("--reinit");
    let mut stream = daemon.subscribe("subscribe=a");
    stream.send(b"GET /elsewhere HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(stream.into_connection().response().status, 404);
}

#[test]
fn not_on_http_1_0_and_not_when_it_is_off() {
    let daemon = Daemon::start("--reinit");
    let mut stream = Stream::request(daemon.listen, "GET /sse?subscribe=a HTTP/1.0\r\n\r\n");
    stream.position();
    stream.send(&get("subscribe=b"));
    publish::http(daemon.control, "a", "x");
    assert_eq!(stream.data(), "x");
    assert_eq!(publish::http(daemon.control, "b", "y").1, 0);

    let daemon = Daemon::start("");
    let mut stream = daemon.subscribe("subscribe=a");
    stream.send(&get("subscribe=b"));
    publish::http(daemon.control, "a", "x");
    assert_eq!(stream.data(), "x");
    assert_eq!(publish::http(daemon.control, "b", "y").1, 0);
}

#[test]
fn commands_switch_it() {
    let daemon = Daemon::start("");
    let stream = daemon.subscribe("subscribe=a");
    publish::talk_tcp(daemon.control, "reinit_enable\n");
    let mut stream = replace(stream, "subscribe=b");
    publish::talk_tcp(daemon.control, "reinit_disable\n");
    stream.send(&get("subscribe=c"));
    publish::http(daemon.control, "b", "x");
    assert_eq!(stream.data(), "x");
    assert_eq!(publish::http(daemon.control, "c", "y").1, 0);
}

#[test]
fn what_is_in_a_body_is_no_request() {
    let daemon = Daemon::start("--reinit");
    for later in [false, true] {
        let body = get("subscribe=evil");
        let head = format!(
            "GET /sse?subscribe=good HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let whole = [head.as_bytes(), &body].concat();
        let (first, rest) = whole.split_at(if later { head.len() } else { whole.len() });
        let mut connection = Connection::to(daemon.listen);
        connection.send(first);
        let mut stream = Stream::answered(connection);
        stream.position();
        stream.send(rest);
        stream.send(&body);
        publish::http(daemon.control, "good", "1");
        assert_eq!(stream.data(), "1");
        assert_eq!(publish::http(daemon.control, "evil", "2").1, 0);
        publish::http(daemon.control, "good", "3");
        assert_eq!(stream.data(), "3");
    }
}

#[test]
fn another_request_before_it_goes_alone() {
    let daemon = Daemon::start("--reinit");
    let mut stream = daemon.subscribe("subscribe=a");
    let others = "HEAD /sse?subscribe=x HTTP/1.1\r\nHost: localhost\r\n\r\n\
                  OPTIONS /sse HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.send(&[others.as_bytes(), &get("subscribe=b")].concat());
    let mut stream = Stream::answered(stream.into_connection());
    stream.position();
    publish::http(daemon.control, "b", "x");
    assert_eq!(stream.data(), "x");
}
