//! A web server as small as can be: the page's files, `GET /where` and `POST /say`.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::say::{Refusal, say};

/// Bytes of a request's head, and of its body.
const MOST: usize = 16 << 10;

/// The page's files: path, kind, content.
const FILES: [(&str, &str, &str); 13] = [
    ("/", "text/html", include_str!("page/index.html")),
    ("/chat.css", "text/css", include_str!("page/chat.css")),
    ("/chat.js", "text/javascript", include_str!("page/chat.js")),
    (
        "/rooms.js",
        "text/javascript",
        include_str!("page/rooms.js"),
    ),
    ("/show.js", "text/javascript", include_str!("page/show.js")),
    (
        "/stream.js",
        "text/javascript",
        include_str!("page/stream.js"),
    ),
    ("/sse.js", "text/javascript", include_str!("page/sse.js")),
    (
        "/sse/blocks.js",
        "text/javascript",
        include_str!("page/sse/blocks.js"),
    ),
    (
        "/sse/feed.js",
        "text/javascript",
        include_str!("page/sse/feed.js"),
    ),
    (
        "/sse/listeners.js",
        "text/javascript",
        include_str!("page/sse/listeners.js"),
    ),
    (
        "/sse/query.js",
        "text/javascript",
        include_str!("page/sse/query.js"),
    ),
    (
        "/sse/stream.js",
        "text/javascript",
        include_str!("page/sse/stream.js"),
    ),
    (
        "/sse/tab.js",
        "text/javascript",
        include_str!("page/sse/tab.js"),
    ),
];

/// What is asked for.
struct Request {
    method: String,
    path: String,
    is_json: bool,
    body: Vec<u8>,
}

/// Answers everybody who comes, each in a thread of their own.
pub(crate) fn serve(page: &TcpListener, events: SocketAddr, control: SocketAddr) {
    for socket in page.incoming() {
        match socket {
            Ok(socket) => {
                // A browser that left needs no answer.
                thread::spawn(move || attend(socket, events, control).ok());
            }
            // Such as too many open files: some will be closed soon.
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// Reads one request and answers it.
fn attend(mut socket: TcpStream, events: SocketAddr, control: SocketAddr) -> io::Result<()> {
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    socket.set_write_timeout(Some(Duration::from_secs(10)))?;
    let answered = read(&mut socket)?.and_then(|request| answer(&request, events, control));
    let (status, kind, body) = match answered {
        Ok((kind, body)) => (200, kind, body),
        Err(Refusal(status, why)) => (
            status,
            "application/json",
            json!({"error": why}).to_string(),
        ),
    };
    let length = body.len();
    // The words behind the status are for nobody (RFC 9112, section 4).
    write!(
        socket,
        "HTTP/1.1 {status} \r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {length}\r\n\
         Cache-Control: no-cache\r\nConnection: close\r\n\r\n{body}"
    )
}

fn answer(
    request: &Request,
    events: SocketAddr,
    control: SocketAddr,
) -> Result<(&'static str, String), Refusal> {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/where") => {
            let place = json!({"port": events.port()});
            Ok(("application/json", place.to_string()))
        }
        // A page of another site can send a form here, but no JSON.
        ("POST", "/say") if !request.is_json => Err(Refusal(415, "this is not application/json")),
        ("POST", "/say") => {
            say(&request.body, control)?;
            Ok(("application/json", "{}".to_owned()))
        }
        ("GET", path) => {
            let file = FILES.iter().find(|(known, ..)| *known == path);
            let (_, kind, content) = file.ok_or(Refusal(404, "there is nothing here"))?;
            Ok((kind, (*content).to_owned()))
        }
        _ => Err(Refusal(405, "this is not done here")),
    }
}

/// Reads a request, or finds out what is wrong with it.
fn read(socket: &mut TcpStream) -> io::Result<Result<Request, Refusal>> {
    let mut bytes = Vec::new();
    loop {
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Request::new(&mut fields);
        match head.parse(&bytes) {
            Err(_) => return Ok(Err(Refusal(400, "this is not HTTP"))),
            Ok(httparse::Status::Complete(start)) => {
                return finish(&head, bytes[start..].to_vec(), socket);
            }
            Ok(httparse::Status::Partial) if bytes.len() > MOST => {
                return Ok(Err(Refusal(431, "the request's head is too long")));
            }
            Ok(httparse::Status::Partial) => {}
        }
        let mut piece = [0; 4096];
        let length = socket.read(&mut piece)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&piece[..length]);
    }
}

/// Reads what is missing of the body, of which there is the beginning.
fn finish(
    head: &httparse::Request<'_, '_>,
    mut body: Vec<u8>,
    socket: &mut TcpStream,
) -> io::Result<Result<Request, Refusal>> {
    let field = |name: &str| {
        let mut fields = head.headers.iter();
        let found = fields.find(|field| field.name.eq_ignore_ascii_case(name));
        found.and_then(|field| std::str::from_utf8(field.value).ok())
    };
    let length = field("Content-Length").unwrap_or("0").parse();
    let Some(length) = length.ok().filter(|length| *length <= MOST) else {
        return Ok(Err(Refusal(413, "this is too long")));
    };
    let have = body.len().min(length);
    body.resize(length, 0);
    socket.read_exact(&mut body[have..])?;
    let kind = field("Content-Type").unwrap_or_default();
    let path = head.path.unwrap_or_default();
    Ok(Ok(Request {
        method: head.method.unwrap_or_default().to_owned(),
        path: path.split('?').next().unwrap_or_default().to_owned(),
        is_json: kind
            .split(';')
            .next()
            .is_some_and(|kind| kind.trim() == "application/json"),
        body,
    }))
}
