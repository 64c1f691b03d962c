//! HTTP on the control port: publishing, looking, and what is refused.

use serde_json::{Value, json};
use support::{Connection, Daemon, publish};

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";

#[test]
fn one_message_by_its_address() {
    let daemon = Daemon::start("");
    let mut stream = daemon.subscribe("token=a-b&subscribe=c&id=me");
    let (id, recipients) = publish::http(daemon.control, "a-b?event=news&retain=false", "x;y=z\n");
    let event = stream.event();
    assert_eq!((event.id, recipients), (Some(id), 1));
    assert_eq!(event.event.as_deref(), Some("news"));
    assert_eq!(event.data.as_deref(), Some("x;y=z\n"));

    // What curl sends of itself is no obstacle.
    let form = "application/x-www-form-urlencoded";
    let answer = publish::post(daemon.control, "/publish/c", form, b"a=1&b=%20");
    assert_eq!(answer.status, 200);
    assert!(answer.body.starts_with("{\"id\":"), "{answer:?}");
    assert_eq!(stream.data(), "a=1&b=%20");

    // No body at all is empty data.
    let answer = Connection::to(daemon.control)
        .send(b"POST /publish/c HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .response();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(stream.data(), "");
}

#[test]
fn requests_that_come_together_are_answered_in_their_order() {
    let daemon = Daemon::start("");
    let mut stream = daemon.subscribe("subscribe=a");
    let post = |path: &str, data: &str| {
        let length = data.len();
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{data}")
    };
    let data: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    let posts: String = data.iter().map(|data| post("/publish/a", data)).collect();
    let last = post("/publish/a", "last");
    // Those before do not wait for the rest of the last.
    let (begun, rest) = last.split_at(last.len() - 1);
    let mut connection = Connection::to(daemon.control);
    connection.send((post("/nothing", "x") + &posts + begun).as_bytes());
    assert_eq!(connection.response().status, 404);
    for data in &data {
        let (answer, event) = (connection.response(), stream.event());
        assert_eq!(answer.json()["id"], json!(event.id));
        assert_eq!(event.data.as_ref(), Some(data));
    }
    assert_eq!(connection.send(rest.as_bytes()).response().status, 200);
    assert_eq!(stream.data(), "last");
}

#[test]
fn messages_as_json() {
    let daemon = Daemon::start("");
    let mut stream = daemon.subscribe("subscribe=a-b");
    let post = |kind, body: &str| publish::post(daemon.control, "/publish", kind, body.as_bytes());

    let answer = post(JSON, r#" {"to":"a","data":"one","event":"e"} "#);
    assert_eq!(answer.status, 200, "{answer:?}");
    let event = stream.event();
    let wanted = format!("{{\"id\":{},\"recipients\":1}}", event.id.unwrap());
    assert_eq!(answer.body.trim_end(), wanted);

    let lists = [
        (JSON, r#"[{"to":"a","data":"1"},{"to":"none","data":"2"}]"#),
        (
            "application/json; charset=utf-8",
            "[\n{\"to\":\"a\",\"data\":\"1\"},\n{\"to\":\"none\",\"data\":\"2\"}]",
        ),
        (
            NDJSON,
            "{\"to\":\"a\",\"data\":\"1\"}\n{\"to\":\"none\",\"data\":\"2\"}\n",
        ),
        (
            NDJSON,
            "{\"to\":\"a\",\"data\":\"1\"}\r\n\r\n{\"to\":\"none\",\"data\":\"2\"}",
        ),
    ];
    for (kind, body) in lists {
        let answer = post(kind, body);
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = answer.json();
        assert_eq!(answer.as_array().unwrap().len(), 2, "{answer}");
        let event = stream.event();
        assert_eq!(event.data.as_deref(), Some("1"));
        assert_eq!(answer[0], json!({"id": event.id, "recipients": 1}));
        assert_eq!(answer[1]["recipients"], 0);
    }
    assert_eq!(post(JSON, "[]").json(), json!([]));
}

#[test]
fn all_or_none() {
    let daemon = Daemon::start("--max-message 100");
    let mut stream = daemon.subscribe("subscribe=a");
    let long = "x".repeat(101);
    let table = [
        (JSON, r#"[{"to":"a","data":"1"},{"to":"a"}]"#.to_owned()),
        (JSON, r#"[{"to":"a","data":"1"},7]"#.to_owned()),
        (
            JSON,
            r#"[{"to":"a","data":"1"},{"to":"a","data":"2","x":1}]"#.to_owned(),
        ),
        (JSON, r#"[{"to":"a","data":"1"}"#.to_owned()),
        (JSON, String::new()),
        (
            NDJSON,
            "{\"to\":\"a\",\"data\":\"1\"}\nnonsense\n".to_owned(),
        ),
        (
            JSON,
            format!(r#"[{{"to":"a","data":"1"}},{{"to":"a","data":"{long}"}}]"#),
        ),
    ];
    for (kind, body) in table {
        let answer = publish::post(daemon.control, "/publish", kind, body.as_bytes());
        assert!([400, 413].contains(&answer.status), "{body}: {answer:?}");
        assert!(answer.json()["error"].is_string(), "{body}");
    }
    publish::http(daemon.control, "a", "only this");
    assert_eq!(stream.data(), "only this");
}

#[test]
fn refusals() {
    let daemon = Daemon::start("--max-message 100");
    let name = "n".repeat(256);
    let long = "x".repeat(33_000);
    let table: Vec<(u16, String)> = [
        (404, "GET /nothing"),
        (404, "POST /sse"),
        (405, "GET /publish/a"),
        (405, "GET /publish"),
        (405, "POST /status"),
        (405, "DELETE /healthz"),
        (400, "POST /publish/a%2"),
        (400, "POST /publish/%ff"),
        (400, "POST /publish/a%00"),
        (400, "POST /publish/a*b"),
        (400, "POST /publish/**"),
        (400, "POST /publish/a?except="),
        (400, "POST /publish/a?event=x%0Ay"),
        (400, "POST /publish/a?retain=perhaps"),
        (415, "POST /publish"),
    ]
    .into_iter()
    .map(|(status, line)| (status, line.to_owned()))
    .chain([
        (400, format!("POST /publish/{name}")),
        (414, format!("GET /{long}")),
        (431, format!("GET /status HTTP/1.1\r\nX: {long}")),
    ])
    .map(|(status, line)| {
        if line.contains("HTTP/1.1") {
            (status, format!("{line}\r\nHost: localhost\r\n\r\n"))
        } else {
            (
                status,
                format!("{line} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            )
        }
    })
    .chain([
        (
            400,
            "POST /publish/a HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n".to_owned(),
        ),
        (
            413,
            "POST /publish/a HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n".to_owned(),
        ),
    ])
    .collect();
    for (status, request) in table {
        let short: String = request.chars().take(100).collect();
        let answer = Connection::to(daemon.control)
            .send(request.as_bytes())
            .response();
        assert_eq!(answer.status, status, "{short:?} {answer:?}");
        let kind = answer.header("content-type").unwrap();
        assert!(kind.starts_with("application/json"), "{short:?} {kind}");
        assert!(answer.json()["error"].is_string(), "{short:?}");
    }
    let kind = publish::post(daemon.control, "/publish", "text/plain", b"a=b");
    assert_eq!(kind.status, 415);
    for (coding, status) in [("gzip", 415), ("identity", 200)] {
        let request = format!(
            "POST /publish/a HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: {coding}\r\n\
             Content-Length: 1\r\n\r\nx"
        );
        let answer = Connection::to(daemon.control)
            .send(request.as_bytes())
            .response();
        assert_eq!(answer.status, status, "{answer:?}");
    }
    let bytes = publish::post(daemon.control, "/publish/a", "", &[b'x'; 101]);
    assert_eq!(bytes.status, 413);
}

#[test]
fn an_unfinished_request_is_given_up_after_ten_seconds() {
    let daemon = Daemon::start("");
    let answer = Connection::to(daemon.control)
        .send(b"POST /publish/a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
        .response();
    assert_eq!(answer.status, 408);
    assert!(answer.json()["error"].is_string());
}

#[test]
fn a_body_may_be_chunked() {
    let daemon = Daemon::start("");
    let mut stream = daemon.subscribe("subscribe=a");
    let answer = Connection::to(daemon.control)
        .send(
            b"POST /publish/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\
              5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n",
        )
        .response();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(stream.data(), "hello world");
}

#[test]
fn curl_may_ask_before_it_sends_the_body() {
    let daemon = Daemon::start("");
    let mut stream = daemon.subscribe("subscribe=a");
    let mut connection = Connection::to(daemon.control);
    connection.send(
        b"POST /publish/a HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\
          Content-Length: 5\r\n\r\n",
    );
    assert_eq!(connection.head().status, 100);
    assert_eq!(connection.send(b"hello").response().status, 200);
    assert_eq!(stream.data(), "hello");
}

#[test]
fn one_connection_serves_many_requests() {
    let daemon = Daemon::start("");
    let mut stream = daemon.subscribe("subscribe=a");
    let mut connection = Connection::to(daemon.control);
    for number in 0..100 {
        let body = number.to_string();
        let request = format!(
            "POST /publish/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(connection.send(request.as_bytes()).response().status, 200);
        assert_eq!(stream.data(), body);
    }
    connection.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(connection.response().status, 200);
    assert_eq!(connection.rest(), b"");
}

#[test]
fn looking_at_the_daemon() {
    let daemon = Daemon::start("");
    let _stream = daemon.subscribe("subscribe=a&token=b-c");
    let get = |target: &str| {
        Connection::to(daemon.control)
            .send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
            .response()
    };
    let health = get("/healthz");
    assert_eq!((health.status, health.body.trim_end()), (200, "ok"));
    assert_eq!(get("/status").json()["sseconncli"], 1);
    for (token, count) in [("a", 1), ("b-c", 1), ("b%2Dc", 1), ("b", 0)] {
        let answer = get(&format!("/subscribers/{token}")).json();
        assert_eq!(answer["subscribedclients"], count, "{token}");
    }
    assert_eq!(get("/subscribers/b%2Dc").json()["subscribedfor"], "b-c");
}

#[test]
fn what_a_foreign_page_could_have_sent_is_refused() {
    let daemon = Daemon::start("--control-host push.example.org");
    let mut stream = daemon.subscribe("subscribe=a");
    let own = daemon.control.to_string();
    let table = [
        (200, format!("Host: {own}")),
        (200, "Host: localhost".to_owned()),
        (200, "Host: localhost:8085".to_owned()),
        (200, "Host: backend".to_owned()),
        (200, "Host: [::1]:8085".to_owned()),
        (200, "Host: push.example.org".to_owned()),
        (200, "Host: PUSH.example.org:8085".to_owned()),
        (403, "Host: evil.example.org".to_owned()),
        (403, "Host: evil.example.org:8085".to_owned()),
        (403, "Host: 127.0.0.1.evil.example".to_owned()),
        (403, format!("Host: {own}\r\nOrigin: https://evil.example")),
        (403, format!("Host: {own}\r\nOrigin: null")),
        (200, format!("Host: {own}\r\nOrigin: http://{own}")),
    ];
    for (status, head) in &table {
        let request = format!("POST /publish/a HTTP/1.1\r\n{head}\r\nContent-Length: 1\r\n\r\nx");
        let answer = Connection::to(daemon.control)
            .send(request.as_bytes())
            .response();
        assert_eq!(answer.status, *status, "{head:?} {answer:?}");
        let error = serde_json::from_str::<Value>(&answer.body).unwrap()["error"].is_string();
        assert_eq!(error, *status == 403, "{head:?}");
    }
    publish::http(daemon.control, "a", "end");
    let taken = table.iter().filter(|row| row.0 == 200).count();
    assert_eq!(stream.data_until("end").len(), taken);
}

#[test]
fn http_over_a_unix_socket() {
    use std::io::{Read, Write};
    let daemon = Daemon::start("--control unix:{dir}/control");
    let mut stream = daemon.subscribe("subscribe=a");
    let mut socket = std::os::unix::net::UnixStream::connect(daemon.file("control")).unwrap();
    socket
        .write_all(
            b"POST /publish/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
              Content-Length: 2\r\n\r\nhi",
        )
        .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(stream.data(), "hi");
}
