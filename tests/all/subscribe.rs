//! Subscribing: every kind of request and its answer.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use support::{Connection, Daemon, Stream, publish};

fn request(line: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

#[test]
fn a_stream_over_http_1_1() {
    let daemon = Daemon::start("");
    for connection in ["", "Connection: close\r\n", "Connection: upgrade, foo\r\n"] {
        let request = format!("GET /sse?subscribe=a HTTP/1.1\r\nHost: x\r\n{connection}\r\n");
        let mut stream = Stream::request(daemon.listen, &request);
        let head = &stream.head;
        assert_eq!((head.version.as_str(), head.status), ("HTTP/1.1", 200));
        for (name, value) in [
            ("content-type", "text/event-stream; charset=utf-8"),
            ("transfer-encoding", "chunked"),
            ("cache-control", "no-cache, no-transform"),
            ("x-accel-buffering", "no"),
            ("access-control-allow-origin", "*"),
        ] {
            assert_eq!(head.header(name).as_deref(), Some(value), "{name}");
        }
        stream.position();
        publish::http(daemon.control, "a", "hello");
        assert_eq!(stream.data(), "hello");
    }
}

#[test]
fn a_stream_over_http_1_0_is_not_chunked() {
    let mut daemon = Daemon::start("");
    for connection in ["", "Connection: close\r\n"] {
        let request = format!("GET /sse?subscribe=a HTTP/1.0\r\n{connection}\r\n");
        let mut stream = Stream::request(daemon.listen, &request);
        assert_eq!(stream.head.header("transfer-encoding"), None);
        let kind = stream.head.header("content-type");
        assert_eq!(kind.as_deref(), Some("text/event-stream; charset=utf-8"));
        stream.position();
        publish::http(daemon.control, "a", "hello");
        assert_eq!(stream.data(), "hello");
        if connection.is_empty() {
            continue;
        }
        daemon.signal(nix::sys::signal::Signal::SIGTERM);
        stream.into_connection();
        daemon.wait_for_exit();
        break;
    }
}

#[test]
fn head_and_options() {
    let daemon = Daemon::start("");
    let mut connection = Connection::to(daemon.listen);
    connection.send(b"HEAD /sse?subscribe=a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let head = connection.head();
    assert_eq!(head.status, 200);
    assert_eq!(
        head.header("content-type").as_deref(),
        Some("text/event-stream; charset=utf-8")
    );
    assert_eq!(head.header("connection").as_deref(), Some("close"));
    assert_eq!(connection.finish().rest(), b"");

    // A refusal has no body either, whatever is wrong.
    for bad in [
        "HEAD /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n",
        "HEAD /sse?subscribe=a HTTP/1.1\r\n\r\n",
        "\r\nHEAD /sse?subscribe=a HTTP/1.1\r\nHost : x\r\n\r\n",
    ] {
        let mut connection = Connection::to(daemon.listen);
        connection.send(bad.as_bytes());
        let head = connection.head();
        assert!(matches!(head.status, 400 | 404), "{bad}");
        assert_eq!(connection.finish().rest(), b"", "{bad}");
    }

    let options = daemon.ask(
        "OPTIONS /sse HTTP/1.1\r\nHost: x\r\nOrigin: https://page.example\r\n\
         Access-Control-Request-Method: GET\r\n\r\n",
    );
    assert_eq!(options.status, 204);
    for (name, value) in [
        ("allow", "GET, HEAD, OPTIONS"),
        ("access-control-allow-origin", "*"),
        (
            "access-control-allow-headers",
            "Authorization, Last-Event-ID, Cache-Control, X-Requested-With",
        ),
    ] {
        assert_eq!(options.header(name).as_deref(), Some(value), "{name}");
    }

    // Only the origin decides what a page gets, so it may send what it wants to.
    let options = daemon.ask(
        "OPTIONS /sse HTTP/1.1\r\nHost: x\r\nOrigin: https://page.example\r\n\
         Access-Control-Request-Method: GET\r\n\
         Access-Control-Request-Headers: content-type,traceparent,x-csrf-token\r\n\r\n",
    );
    let allowed = options.header("access-control-allow-headers").unwrap();
    for name in [
        "Authorization",
        "Last-Event-ID",
        "content-type",
        "traceparent",
        "x-csrf-token",
    ] {
        assert!(allowed.split(", ").any(|known| known == name), "{allowed}");
    }
    let vary = options.header("vary").unwrap();
    assert_eq!(vary, "Access-Control-Request-Headers");
}

#[test]
fn refusals() {
    let daemon = Daemon::start("");
    let long = "x".repeat(33_000);
    let name = "n".repeat(256);
    let many: Vec<String> = (0..257).map(|number| number.to_string()).collect();
    let mut table: Vec<(u16, String)> = vec![
        (404, request("GET /other?subscribe=a")),
        (404, request("GET /")),
        (404, request("GET /ssex?subscribe=a")),
        (403, request("GET /sse?subscribe=*")),
        (403, request("GET /sse?subscribe=%2A")),
        (403, request("GET /sse?subscribe=a-*")),
        (405, request("POST /sse?subscribe=a")),
        (405, request("DELETE /sse?subscribe=a")),
        (405, request("PUT /sse?subscribe=a")),
        (501, request("BREW /sse?subscribe=a")),
        (414, request(&format!("GET /sse?subscribe={long}"))),
        (400, "GET\r\n\r\n".into()),
        (400, "\0\u{1}garbage\r\n\r\n".into()),
        (
            400,
            "GET /sse?subscribe=a HTTP/1.1\r\nno colon\r\n\r\n".into(),
        ),
        (
            431,
            format!("GET /sse?subscribe=a HTTP/1.1\r\nHost: x\r\nX: {long}\r\n\r\n"),
        ),
        (
            431,
            format!(
                "GET /sse?subscribe=a HTTP/1.1\r\nHost: x\r\n{}\r\n",
                format!("X-Field: {}\r\n", "y".repeat(90)).repeat(330)
            ),
        ),
    ];
    let bad_queries = [
        "",
        "?",
        "?id=7",
        "?subscribe=",
        "?token=",
        "?subscribe=a&token=",
        "?subscribe=a--b",
        "?subscribe=a-",
        "?subscribe=a%2",
        "?subscribe=a%zz",
        "?subscribe=%ff",
        "?subscribe=%00",
        "?subscribe=a%0Ab",
        "?subscribe=a*",
        "?subscribe=pre%2A",
        "?token=*",
        "?subscribe=a&id=%0d",
        "?subscribe[]=a",
        "?token%5B%5D=a&token%5B%5D=b",
        "?subscribe=a&recent=x",
        "?subscribe=a&recent=1:b",
        "?subscribe=a&recent=1:%00",
        "?subscribe=a&ping=yes",
        "?subscribe=a&positions=none",
        "?subscribe=a&format=xml",
        "?subscribe=a&presence=all",
        "?subscribe=a&info=Ann",
        "?subscribe=a&info=%7B%7D%7D",
    ];
    let queries = bad_queries.map(str::to_owned).into_iter();
    let queries = queries.chain([
        format!("?subscribe={name}"),
        format!("?token={name}"),
        format!("?subscribe=a&id={name}"),
        format!("?subscribe={}", many.join("-")),
    ]);
    table.extend(queries.map(|query| (400, request(&format!("GET /sse{query}")))));
    for (status, request) in table {
        let short: String = request.chars().take(100).collect();
        let answer = daemon.ask(&request);
        assert_eq!(answer.status, status, "{short:?} {answer:?}");
        let cors = answer.header("access-control-allow-origin");
        assert_eq!(cors.as_deref(), Some("*"), "{short:?}");
        if status == 405 {
            let allow = answer.header("allow");
            assert_eq!(allow.as_deref(), Some("GET, HEAD, OPTIONS"));
        }
        if status == 400 {
            let kind = answer.header("content-type").unwrap();
            assert!(kind.starts_with("text/plain"), "{short:?} {kind}");
            assert!(!answer.body.is_empty(), "{short:?}: no reason");
        }
    }
    // It is still there.
    daemon.subscribe("subscribe=a");
}

#[test]
fn the_limits_are_where_they_are_promised() {
    let daemon = Daemon::start("");
    let fits = "x".repeat(255);
    daemon.subscribe(&format!("subscribe={fits}&id={fits}"));
    let filler = |length: usize| "&token=b".repeat(length / 8);
    daemon.subscribe(&format!("subscribe=a{}", filler(16_000)));
    // Some users have very many cookies, and proxies let them through.
    let fields = format!("Cookie: {}\r\n", "c=y; ".repeat(200)).repeat(31);
    Stream::request(
        daemon.listen,
        &format!("GET /sse?subscribe=a HTTP/1.1\r\nHost: x\r\n{fields}\r\n"),
    );
    let many: Vec<String> = (0..256).map(|number| number.to_string()).collect();
    daemon.subscribe(&format!("subscribe={}", many.join("-")));

    let few = Daemon::start("--max-tokens 2");
    few.subscribe("subscribe=a-b&token=a");
    let answer = few.ask(request("GET /sse?subscribe=a-b-c"));
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("3 tokens are too many"), "{answer:?}");
}

#[test]
fn an_empty_id_is_none_and_of_several_the_last_counts() {
    let daemon = Daemon::start("");
    let mut none = daemon.subscribe("subscribe=a&id=");
    let mut last = daemon.subscribe("subscribe=a&id=one&id=two");
    publish::tcp(daemon.control, "a-two=not for two\na-one=for all\n");
    assert_eq!(none.data(), "not for two");
    assert_eq!(none.data(), "for all");
    assert_eq!(last.data(), "for all");
}

#[test]
fn what_php_makes_of_a_list_is_named() {
    let daemon = Daemon::start("");
    let answer = daemon.ask(request("GET /sse?subscribe%5B%5D=a&subscribe%5B%5D=b"));
    assert_eq!(answer.status, 400);
    let why = "subscribe[]= is not known here; repeat subscribe= without the []";
    assert!(answer.body.contains(why), "{answer:?}");
}

#[test]
fn health_needs_no_right_and_no_place() {
    let daemon = Daemon::prepared(
        "--listen 127.0.0.1:{listen} --control 127.0.0.1:{control} --subscribe-key {dir}/key \
         --max-clients 1",
        |place| place.write("key", "0123456789abcdef0123456789abcdef"),
    );
    for ask in ["GET", "HEAD"] {
        let mut connection = Connection::to(daemon.listen);
        connection.send(request(&format!("{ask} /sse?health")).as_bytes());
        let head = connection.head();
        assert_eq!(head.status, 200);
        assert_eq!(
            head.header("access-control-allow-origin").as_deref(),
            Some("*")
        );
        let body = connection.finish().rest();
        assert_eq!(body, if ask == "GET" { &b"ok\n"[..] } else { b"" });
    }
    // As the whole query only.
    assert_eq!(
        daemon.ask(request("GET /sse?health&subscribe=a")).status,
        401
    );
    assert_eq!(daemon.ask(request("GET /sse?health=1")).status, 400);
    assert_eq!(daemon.ask(request("GET /other?health")).status, 404);

    let signing = ["sign", "--for", "1h", "--key"];
    let key = daemon.file("key");
    let key = key.to_str().unwrap();
    let hasses = env!("CARGO_BIN_EXE_hasses");
    let signed = support::run(hasses, &[&signing[..], &[key, "subscribe=a"]].concat());
    let _only = daemon.subscribe(String::from_utf8(signed.stdout).unwrap().trim_end());
    let answer = daemon.ask(request("GET /sse?health"));
    assert_eq!(answer.status, 200, "there is no place for a stream");
}

#[test]
fn an_unfinished_request_is_given_up_after_ten_seconds() {
    let daemon = Daemon::start("");
    let began = Instant::now();
    let answer = daemon.ask("GET /sse?subscribe=a HTTP/1.1\r\nHost:");
    let took = began.elapsed();
    assert_eq!(answer.status, 408);
    assert!(answer.header("access-control-allow-origin").is_some());
    let bounds = Duration::from_secs(9)..Duration::from_secs(25);
    assert!(bounds.contains(&took), "{took:?}");
}

#[test]
fn a_request_in_single_bytes() {
    let daemon = Daemon::start("");
    let mut connection = Connection::to(daemon.listen);
    for byte in request("GET /sse?subscribe=room1&id=me").bytes() {
        connection.send(&[byte]);
    }
    let mut stream = Stream::answered(connection);
    stream.position();
    publish::http(daemon.control, "room1", "whole");
    assert_eq!(stream.data(), "whole");
}

#[test]
fn names_are_split_first_and_decoded_then() {
    let daemon = Daemon::start("--allow-all");
    // The query, and the tokens (percent-encoded) that it subscribes to; none = all.
    let table: &[(&str, &[&str])] = &[
        ("subscribe=a-b", &["a", "b"]),
        ("subscribe=a&subscribe=b-c", &["a", "b", "c"]),
        ("subscribe=a%2Db", &["a-b"]),
        ("subscribe=c+d-e%20f", &["c%20d", "e%20f"]),
        ("token=550e8400-e29b&token=b", &["550e8400-e29b", "b"]),
        ("token=a%2Bb&subscribe=c", &["a%2Bb", "c"]),
        ("subscribe=sz%C3%B3ba", &["sz%C3%B3ba"]),
        ("subscribe=a-a&token=a", &["a"]),
        ("other=1&subscribe=a&unknown", &["a"]),
        ("subscribe=*", &[]),
        ("subscribe=%2A", &[]),
        ("subscribe=a-*", &[]),
    ];
    let all: BTreeSet<&str> = table.iter().flat_map(|row| row.1).copied().collect();
    for (query, tokens) in table {
        let mut stream = daemon.subscribe(query);
        for token in &all {
            publish::http(daemon.control, token, token);
        }
        publish::http(daemon.control, "*", "end");
        let got = stream.data_until("end");
        let wanted = all
            .iter()
            .filter(|&token| tokens.is_empty() || tokens.contains(token));
        assert!(got.iter().eq(wanted), "{query}: {got:?}");
    }
}

#[test]
fn what_follows_the_request_is_thrown_away() {
    let daemon = Daemon::start("");
    let mut stream = daemon.subscribe("subscribe=a");
    stream.send(b"some noise\r\n\r\n");
    stream.send(request("GET /sse?subscribe=b").as_bytes());
    stream.send(&vec![b'x'; 300_000]);
    publish::http(daemon.control, "b", "not for it");
    publish::http(daemon.control, "a", "still there");
    assert_eq!(stream.data(), "still there");
}

#[test]
fn cors_for_named_origins() {
    let ask = |daemon: &Daemon, origin: &str| {
        let answer = daemon.ask(format!(
            "OPTIONS /sse HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\n\r\n"
        ));
        let header = |name| answer.header(name).unwrap_or_default();
        (
            header("access-control-allow-origin"),
            header("access-control-allow-credentials"),
            header("vary").replace("Access-Control-Request-Headers, ", ""),
        )
    };
    let strings = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());

    let one = Daemon::start("--cors https://a.example");
    let answer = ask(&one, "https://a.example");
    assert_eq!(
        (answer.0.as_str(), answer.1.as_str()),
        ("https://a.example", "true")
    );

    let two = Daemon::start("--cors https://a.example --cors https://b.example");
    for origin in ["https://a.example", "https://b.example"] {
        assert_eq!(ask(&two, origin), strings(origin, "true", "Origin"));
    }
    let foreign = ask(&two, "https://evil.example");
    assert_ne!(foreign.0, "https://evil.example");
    assert_ne!(foreign.0, "*");
    assert_eq!(foreign.2, "Origin", "a cache must keep the answers apart");

    let any = Daemon::start("");
    assert_eq!(ask(&any, "https://a.example").1, "", "never with *");
}

#[test]
fn another_path_and_a_unix_socket() {
    use std::io::{BufRead, BufReader, Write};
    let daemon = Daemon::start("--path /events --listen unix:{dir}/listen");
    assert_eq!(daemon.ask(request("GET /sse?subscribe=a")).status, 404);
    assert_eq!(daemon.ask(request("HEAD /events?subscribe=a")).status, 200);
    let mut socket = std::os::unix::net::UnixStream::connect(daemon.file("listen")).unwrap();
    socket
        .write_all(request("GET /events?subscribe=a").as_bytes())
        .unwrap();
    let mut line = String::new();
    BufReader::new(socket).read_line(&mut line).unwrap();
    assert_eq!(line.trim_end(), "HTTP/1.1 200 OK");
}
