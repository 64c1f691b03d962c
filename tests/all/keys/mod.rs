//! `--subscribe-key`: subscribers prove what they may read, by a signed URL or a JWT.
mod attacks;
mod jwts;
mod logs;
pub(crate) mod maker;
mod reload;
mod several;
mod signed;
mod starting;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use support::{Connection, Daemon, Response, Stream};

/// The secret in most tests, as it stands in its file, but for the newline.
pub(crate) const SECRET: &str = "c2VjcmV0IG9mIHRoZXNlIHRlc3Rz-0123456789";

fn write_key(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A daemon whose key file holds this.
fn with_key(content: &str, options: &str) -> Daemon {
    let arguments = format!(
        "--listen 127.0.0.1:{{listen}} --control 127.0.0.1:{{control}} \
         --subscribe-key {{dir}}/key {options}"
    );
    Daemon::prepared(&arguments, |place| {
        write_key(&place.dir.join("key"), content);
    })
}

/// A daemon with the usual secret.
pub(crate) fn with_secret(options: &str) -> Daemon {
    with_key(&format!("{SECRET}\n"), options)
}

/// Asks for a stream that is refused, with these further header lines.
fn ask(daemon: &Daemon, query: &str, lines: &str) -> Response {
    daemon.ask(format!(
        "GET /sse?{query} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n"
    ))
}

#[track_caller]
fn refused(daemon: &Daemon, query: &str, lines: &str, status: u16, told: &str) {
    let answer = ask(daemon, query, lines);
    assert_eq!(answer.status, status, "{query} {lines} {answer:?}");
    assert!(answer.body.contains(told), "{query} {lines} {answer:?}");
    let kind = answer.header("content-type").unwrap();
    assert!(kind.starts_with("text/plain"), "{answer:?}");
    assert_eq!(
        answer.header("access-control-allow-origin").as_deref(),
        Some("*")
    );
    let challenge = answer.header("www-authenticate");
    assert_eq!(challenge.as_deref(), (status == 401).then_some("Bearer"));
}

/// Opens a stream with further header lines.
fn open(daemon: &Daemon, query: &str, lines: &str) -> Stream {
    Stream::starting(daemon.listen, query, lines).stream
}

fn bearer(jwt: &str) -> String {
    format!("Authorization: Bearer {jwt}\r\n")
}

#[test]
fn nothing_is_read_without_a_proof() {
    let daemon = with_secret("--listen unix:{dir}/sock --allow-all");
    for query in [
        "subscribe=a",
        "subscribe=*",
        "token=a&id=7",
        "subscribe=a&recent=1",
    ] {
        refused(&daemon, query, "", 401, "needs a signed URL");
        refused(
            &daemon,
            query,
            "Last-Event-ID: 5\r\n",
            401,
            "needs a signed URL",
        );
    }
    let mut head = Connection::to(daemon.listen);
    let head = head.send(b"HEAD /sse?subscribe=a HTTP/1.0\r\n\r\n").head();
    assert_eq!(head.status, 401);
    assert_eq!(head.header("www-authenticate").as_deref(), Some("Bearer"));
    let old = daemon.ask("GET /sse?subscribe=a HTTP/1.0\r\n\r\n");
    assert_eq!(old.status, 401);
    // What is wrong anyway is told as without a key, and a preflight never carries a proof.
    for (status, request) in [
        (400, "GET /sse?subscribe= HTTP/1.0\r\n\r\n"),
        (404, "GET /other HTTP/1.0\r\n\r\n"),
        (405, "POST /sse?subscribe=a HTTP/1.0\r\n\r\n"),
        (204, "OPTIONS /sse?subscribe=a HTTP/1.0\r\n\r\n"),
    ] {
        assert_eq!(daemon.ask(request).status, status, "{request}");
    }
    let mut unix = std::os::unix::net::UnixStream::connect(daemon.file("sock")).unwrap();
    let mut answer = String::new();
    std::io::Write::write_all(&mut unix, b"GET /sse?subscribe=a HTTP/1.0\r\n\r\n").unwrap();
    std::io::Read::read_to_string(&mut unix, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}
