//! On the control side: pages that forge requests, texts that forge headers and log lines, guesses at
//! the secret.

use std::time::Instant;

use support::{Connection, Daemon, PATIENCE, Response, eventually, publish};

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
                    assert_eq!(answer.status, 403, "{target} {host} {origin} {answer:?}");
                    assert!(answer.json()["error"].is_string(), "{answer:?}");
                }
            }
        }
        // Of its own origin, as after DNS rebinding, a page may even choose the method.
        let request = from_page("auth", "/publish/room1", &rebound, &same, LINES);
        let refused = Connection::to(daemon.control)
            .send(request.as_bytes())
            .rest();
        let refused = String::from_utf8(refused).unwrap();
        assert!(refused.contains("{\"error\":"), "{refused}");
        publish::tcp(daemon.control, "auth right\nroom1=end\n");
        assert_eq!(stream.data(), "end", "nothing else was taken");
    }
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
    assert_eq!(connection.response().status, 401);
    assert_eq!(connection.rest(), b"", "it was closed");
    publish::tcp(daemon.control, "auth right\na=end\n");
    assert_eq!(stream.data(), "end");
    // One each; that the connection which published was none of them.
    let status = guess.replace("guess", "right");
    assert_eq!(answer(&daemon, &status).json()["refused"], 3);
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
    assert!(begun.elapsed() < PATIENCE);
    let grown = daemon.resident_kib().saturating_sub(before);
    assert!(grown < 4096, "it took {grown} KiB");
    publish::tcp(daemon.control, "auth right\na=end\n");
    assert_eq!(stream.data(), "end");
}
