//! On the control side: pages that forge requests, texts that forge headers and log lines, guesses at
//! the secret.

use std::time::Instant;

use support::{Connection, Daemon, Response, eventually, publish};

fn guarded() -> Daemon {
    let line = "--listen 127.0.0.1:{listen} --control 127.0.0.1:{control} \
                --control-secret {dir}/secret --log {dir}/log --log-level debug";
    Daemon::prepared(line, |place| place.write("secret", "right"))
}

/// One request as it stands, in one answer.
fn answer(daemon: &Daemon, request: &str) -> Response {
    Connection::to(daemon.control)
        .send(request.as_bytes())
        .response()
}

/// What a browser sends for a form, or for `fetch` without a preflight: the body is the page's.
fn from_page(method: &str, target: &str, host: &str, origin: &str, body: &str) -> String {
    format!(
        "{method} {target} HTTP/1.1\r\nHost: {host}\r\n{origin}Content-Type: text/plain\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Lines that would publish, were they taken for text.
const LINES: &str =
    "\r\n\r\nroom1=x\nstatus\nauth right\nroom1=x\n{\"to\":\"room1\",\"data\":\"x\"}\n";

#[test]
fn a_page_cannot_publish() {
    let open = Daemon::start("--control-host push.example.org");
    let guarded = guarded();
    for daemon in [&open, &guarded] {
        let mut stream = daemon.subscribe("subscribe=room1");
        let (own, port) = (daemon.control.to_string(), daemon.control.port());
        let rebound = format!("evil.example:{port}");
        let foreign = "Origin: https://evil.example\r\n";
        let same = format!("Origin: http://{rebound}\r\n");
        for target in ["/publish/room1", "/publish", "/", "/?room1=x", "/healthz"] {
            for (host, origin) in [
                (&own, foreign),
                (&own, "Origin: null\r\n"),
                (&rebound, ""),
                (&rebound, &same),
                (&format!("127.0.0.1.evil.example:{port}"), ""),
            ] {
                for method in ["POST", "GET"] {
                    let answer = answer(daemon, &from_page(method, target, host, origin, LINES));
                    if (method, target) == ("GET", "/healthz") {
                        assert_eq!(
                            (answer.status, &*answer.body),
                            (200, "ok"),
                            "a probe has no name"
                        );
                        continue;
                    }
                    assert_eq!(answer.status, 403, "{target} {host} {origin} {answer:?}");
                    assert!(answer.json()["error"].is_string(), "{answer:?}");
                }
            }
        }
        // Of its own origin, as after DNS rebinding, a page may even choose the method.
        let request = from_page("auth", "/publish/room1", &rebound, &same, LINES);
        let refused = Connection::to(daemon.control)
            .send(request.as_bytes())
            .finish()
            .rest();
        let refused = String::from_utf8(refused).unwrap();
        assert!(refused.contains("{\"error\":"), "{refused}");
        publish::tcp(daemon.control, "auth right\nroom1=end\n");
        assert_eq!(stream.data(), "end", "nothing else was taken");
    }
}

/// A request of STUN as Chromium writes it over TCP (RFC 4571, RFC 8489), where a page has chosen the
/// user name: its length is 59, which is `;`, and the message stands in it.
fn stun() -> Vec<u8> {
    let name = "room1=FORGED+BY+A+WEB+PAGE/THROUGH/WEBRTC/ICE/TCP_____:abcd";
    assert_eq!(name.len(), 59);
    [
        &[0, 0x58 + 20, 0, 1, 0, 0x58, 0x21, 0x12, 0xa4, 0x42][..],
        b"\xc5abcdefghi\x1fl\x00\x06\x00;",
        name.as_bytes(),
        b"\x00\xc0\x57\x00\x04\x00\x01\n\x80\x2a;room1=AND/MORE;\n",
    ]
    .concat()
}

#[test]
fn a_page_cannot_publish_by_webrtc() {
    let daemon = Daemon::start("--control unix:{dir}/socket --fifo {dir}/in");
    let mut stream = daemon.subscribe("subscribe=room1");
    let frame = stun();
    let mut connection = Connection::to(daemon.control);
    connection.send(b"room1=before\n");
    connection.send(&frame);
    connection.send(&frame);
    assert_eq!(connection.rest(), b"", "it was closed");
    let mut pieces = Connection::to(daemon.control);
    for byte in &frame {
        pieces.send(&[*byte]);
    }
    assert_eq!(pieces.rest(), b"");
    // Sooner than a message is whole: no byte of it has to be awaited.
    let mut unfinished = Connection::to(daemon.control);
    assert_eq!(unfinished.send(b"room1\x01").rest(), b"");
    daemon.wait_for_log("a control character in an address");
    publish::tcp(daemon.control, "room1=a\0b\tc\nroom1=end\n");
    assert_eq!(stream.data_until("end"), ["before", "a\0b\tc"]);
    let refused = "hasses_refused_total{reason=\"control_character\"} 3\n";
    let get = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    assert!(answer(&daemon, get).body.contains(refused));
}

#[test]
fn a_page_from_elsewhere_is_known_without_an_origin() {
    let daemon = Daemon::start("");
    let get = |target: &str, fields: &str| {
        let text = format!(
            "GET {target} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n",
            daemon.control
        );
        let mut connection = Connection::to(daemon.control);
        connection.send(text.as_bytes()).head().status
    };
    for site in ["cross-site", "same-site"] {
        for target in ["/clients", "/status", "/metrics", "/subscribers/a", "/"] {
            let image = format!("Sec-Fetch-Site: {site}\r\nSec-Fetch-Mode: no-cors\r\n");
            assert_eq!(get(target, &image), 403, "{target}");
        }
        let link = format!("Sec-Fetch-Site: {site}\r\nSec-Fetch-Mode: navigate\r\n");
        assert_eq!((get("/", &link), get("/healthz", &link)), (200, 200));
        assert_eq!(get("/clients", &link), 403);
    }
    for site in ["same-origin", "none"] {
        assert_eq!(get("/clients", &format!("Sec-Fetch-Site: {site}\r\n")), 200);
    }
    // A rebinding page cannot hide behind an absolute target.
    let hidden = "GET http://127.0.0.1/status HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    assert_eq!(answer(&daemon, hidden).status, 403);
}

#[test]
fn no_field_of_a_request_gets_into_the_answers_head() {
    let daemon = Daemon::start("");
    for request in [
        "GET /%0d%0aSet-Cookie:%20x=y HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /subscribers/a%0d%0aSet-Cookie:%20x=y HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /publish/a?event=e%0d%0aSet-Cookie:%20x=y HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /status HTTP/1.1\r\nHost: a.b\rSet-Cookie: x=y\r\n\r\n",
        "GET /status HTTP/1.1\r\nHost: localhost\r\nOrigin: https://a\r Set-Cookie: x=y\r\n\r\n",
        "GET /status HTTP/1.1\r\nHost: localhost\r\nOrigin: https://a\r\n Set-Cookie: x=y\r\n\r\n",
        "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: a\u{85}Set-Cookie: x=y\r\n\r\n",
    ] {
        let answer = answer(&daemon, request);
        assert!(
            (400..500).contains(&answer.status),
            "{request:?} {answer:?}"
        );
        assert_eq!(answer.header("set-cookie"), None, "{request:?}");
        assert_eq!(answer.body.lines().count(), 1, "{answer:?}");
    }
}

#[test]
fn guesses_forge_no_line_and_are_not_shown() {
    let daemon = guarded();
    let forged = "2026-01-01 00:00:00 hasses: guess";
    for guess in [
        "guess",
        "guess\r",
        "guess\0",
        "\u{1b}[2Jguess",
        "\u{2028}guess",
        forged,
    ] {
        for text in [
            format!("auth x\r{guess}\n{guess}\n"),
            format!("{guess}\r{forged}\n"),
            format!(
                "POST /publish/a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {guess}\r\n\r\n"
            ),
        ] {
            let answer = Connection::to(daemon.control)
                .send(text.as_bytes())
                .finish()
                .rest();
            let answer = String::from_utf8(answer).unwrap();
            assert!(
                answer.contains("{\"error\":") && !answer.contains("guess"),
                "{answer}"
            );
        }
    }
    publish::tcp(daemon.control, "auth right\nsubscribedclients:end\n");
    let log = eventually("the end of the log", || {
        let text = daemon.text_of("log");
        text.contains("subscribed for \"end\"").then_some(text)
    });
    assert!(log.contains("the secret is wrong"), "{log}");
    assert!(!log.contains("guess"), "{log}");
    for line in log.lines() {
        assert_eq!(line.get(19..28), Some(" hasses: "), "{line:?}");
        assert!(
            !line.contains(|c: char| c.is_control() || c == '\u{2028}'),
            "{line:?}"
        );
    }
}

#[test]
fn a_connection_has_one_guess() {
    let daemon = guarded();
    let mut stream = daemon.subscribe("subscribe=a");
    let guesses: String = (0..1000)
        .map(|number| format!("auth guess{number}\n"))
        .collect();
    for text in [
        format!("{guesses}auth right\na=x\n"),
        "auth wrong\r\nauth right\r\na=x\r\n".to_owned(),
    ] {
        let answers = publish::talk_tcp(daemon.control, text);
        assert_eq!(answers, ["{\"error\":\"the secret is wrong\"}"]);
    }
    let guess = "GET /status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer guess\r\n\r\n";
    let mut connection = Connection::to(daemon.control);
    connection.send(guess.repeat(10).as_bytes());
    for _ in 0..10 {
        assert_eq!(connection.response().status, 401, "and it goes on");
    }
    publish::tcp(daemon.control, "auth right\na=end\n");
    assert_eq!(stream.data(), "end");
    // One each; that the connection which published was none of them.
    let status = guess.replace("guess", "right");
    assert_eq!(answer(&daemon, &status).json()["refused"], 12);
}

#[test]
fn an_endless_auth_line_is_cut_short() {
    let daemon = guarded();
    let mut stream = daemon.subscribe("subscribe=a");
    let before = daemon.resident_kib();
    let begun = Instant::now();
    let mut connections: Vec<Connection> = Vec::new();
    for _ in 0..20 {
        let mut connection = Connection::to(daemon.control);
        // The other side stops listening long before the end of it.
        connection.send(format!("auth {}", "right".repeat(200_000)).as_bytes());
        connections.push(connection);
    }
    for mut connection in connections {
        assert_eq!(
            connection.line(),
            "{\"error\":\"the auth line is longer than 1029 bytes\"}"
        );
        assert_eq!(connection.rest(), b"");
    }
    assert!(begun.elapsed().as_secs() < 20);
    let grown = daemon.resident_kib().saturating_sub(before);
    assert!(grown < 4096, "it took {grown} KiB");
    publish::tcp(daemon.control, "auth right\na=end\n");
    assert_eq!(stream.data(), "end");
}
