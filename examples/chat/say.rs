//! What a browser says, checked and published.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

/// Bytes of UTF-8 that a message may have.
const MOST_TEXT: usize = 3000;

/// Why a request is not done: an HTTP status and a text for people.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) u16, pub(crate) &'static str);

/// Publishes what `body` says: `{"room", "id", "name", "text"}`, or that somebody types, without `text`.
pub(crate) fn say(body: &[u8], control: SocketAddr) -> Result<(), Refusal> {
    let message = message(body)?;
    match publish(&message, control) {
        Ok(200) => Ok(()),
        Ok(_) => Err(Refusal(502, "hasses refused it")),
        Err(_) => Err(Refusal(503, "hasses did not answer")),
    }
}

/// The message for hasses.
fn message(body: &[u8]) -> Result<Value, Refusal> {
    let said: Value =
        serde_json::from_slice(body).map_err(|_| Refusal(400, "this is no JSON in UTF-8"))?;
    let of = |key: &str| said[key].as_str().unwrap_or_default();
    let (room, id, name) = (of("room"), of("id"), of("name"));
    if !is_word(room, 32) {
        return Err(Refusal(
            400,
            "a room's name is 1 to 32 letters, digits, - and _",
        ));
    }
    if !is_word(id, 64) {
        return Err(Refusal(400, "the id is missing or wrong"));
    }
    if name.trim().is_empty() || name.chars().count() > 40 || name.contains(char::is_control) {
        return Err(Refusal(400, "a name is 1 to 40 characters, on one line"));
    }
    let to = format!("chat:{room}");
    let mut data = json!({"room": room, "id": id, "name": name});
    let text = match &said["text"] {
        // Who types is told to all others in the room, and not kept.
        Value::Null => {
            return Ok(json!({
                "to": to, "event": "typing", "data": data.to_string(), "except": id, "retain": false,
            }));
        }
        text => text.as_str().unwrap_or_default(),
    };
    if text.trim().is_empty() {
        return Err(Refusal(400, "the message is empty"));
    }
    if text.len() > MOST_TEXT {
        return Err(Refusal(
            413,
            "the message is too long: 3000 bytes are the most",
        ));
    }
    if text.contains(|char: char| char.is_control() && !"\n\t".contains(char)) {
        return Err(Refusal(400, "the message holds control characters"));
    }
    data["text"] = text.into();
    Ok(json!({"to": to, "data": data.to_string()}))
}

fn is_word(text: &str, most: usize) -> bool {
    let good = |char: char| char.is_alphanumeric() || "-_".contains(char);
    (1..=most).contains(&text.chars().count()) && text.chars().all(good)
}

/// Posts it to hasses' control port; the status of the answer.
fn publish(message: &Value, control: SocketAddr) -> io::Result<u16> {
    let body = message.to_string();
    let mut hasses = TcpStream::connect_timeout(&control, Duration::from_secs(5))?;
    hasses.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(
        hasses,
        "POST /publish HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    hasses.read_to_end(&mut answer)?;
    let mut fields = [httparse::EMPTY_HEADER; 16];
    let mut head = httparse::Response::new(&mut fields);
    let parsed = head.parse(&answer).ok();
    let code = parsed.and(head.code);
    code.ok_or_else(|| io::Error::other("this is no answer"))
}
