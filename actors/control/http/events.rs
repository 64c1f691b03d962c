//! `GET /events`: the stream of what is published, for the dashboard and `hasses subscribe`.
//!
//! It is the stream that subscribers have, made by a client actor as theirs are. This actor stands
//! between: it asks over a pair of sockets, as HTTP/1.0, and passes on what comes. So replay, gaps and forms
//! are the same, and the one who watches comes by the control port, with its secret and TLS.

use std::fmt::Write;
use std::os::fd::OwnedFd;

use async_io::Async;
use futures_lite::{AsyncReadExt, AsyncWriteExt, FutureExt};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::super::Publisher;
use super::super::connection::{Broken, Connection};
use super::flow::Flow;
use super::{Done, Unanswered};
use crate::model::Positions;
use crate::wire::http::query::Query;
use crate::wire::http::{Method, Refused, Request};

/// Bytes of one read.
const PORTION: usize = 16 * 1024;
/// The most bytes of the head that the client actor answers with.
const MOST_HEAD: usize = 16 * 1024;

/// Sends what is published until the reader leaves or the daemon stops.
pub(super) async fn show(
    publisher: &Publisher,
    connection: &mut Connection,
    request: &Request,
) -> Result<Done, Unanswered> {
    let _streaming = publisher.streaming()?;
    let kind = "text/event-stream; charset=utf-8";
    if request.method == Method::Head {
        Flow::begin(publisher, connection, request, kind).await?;
        return Ok(Done::Flowed { goes_on: false });
    }
    let query = Query::read(request.query.as_deref())?;
    let mut stream = open(publisher)?;
    let asked = asked(publisher, request);
    stream
        .write_all(asked.as_bytes())
        .await
        .map_err(Broken::from)?;
    let mut first = accepted(&mut stream).await?;
    let Some(mut flow) = Flow::begin(publisher, connection, request, kind).await? else {
        return Ok(Done::Flowed { goes_on: false });
    };
    let mut portion = vec![0; PORTION];
    // Such a stream has lines that belong to no block, and that nothing may follow for long.
    let lines = query.subscription.form.positions() == Positions::None;
    loop {
        let end = whole(&first, lines);
        flow.write(&first[..end]).await?;
        first.drain(..end);
        match next(publisher, &mut stream, flow.connection(), &mut portion).await? {
            0 => break,
            count => first.extend_from_slice(&portion[..count]),
        }
    }
    flow.write(&first).await?;
    flow.end().await?;
    Ok(Done::Flowed { goes_on: false })
}

/// A client actor's other end.
fn open(publisher: &Publisher) -> Result<Async<std::os::unix::net::UnixStream>, Broken> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let pair = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None);
    let (ours, theirs): (OwnedFd, OwnedFd) = pair.map_err(std::io::Error::from)?;
    (publisher.open_stream)(theirs, publisher.peer.clone())?;
    Ok(Async::new(ours.into())?)
}

/// The request as the client actor gets it.
fn asked(publisher: &Publisher, request: &Request) -> String {
    let path = &publisher.settings.now().path;
    let query = request.query.as_deref().unwrap_or_default();
    let mut asked = format!("GET {path}?{query} HTTP/1.0\r\n");
    for (name, value) in [
        ("Last-Event-ID", &request.last_event_id),
        ("User-Agent", &request.user_agent),
    ] {
        if let Some(value) = value {
            let _ = write!(asked, "{name}: {value}\r\n");
        }
    }
    asked + "\r\n"
}

/// Reads the head of the client actor's answer; what came behind it.
///
/// Errors: what it refuses with.
async fn accepted(
    stream: &mut Async<std::os::unix::net::UnixStream>,
) -> Result<Vec<u8>, Unanswered> {
    let mut bytes = Vec::new();
    let mut portion = [0; 1024];
    loop {
        let count = stream.read(&mut portion).await.map_err(Broken::from)?;
        bytes.extend_from_slice(&portion[..count]);
        let end = memchr::memmem::find(&bytes, b"\r\n\r\n").map(|end| end + 4);
        let status = bytes
            .get(9..12)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match (end, status.and_then(|digits| digits.parse().ok())) {
            (Some(end), Some(200)) => return Ok(bytes.split_off(end)),
            (Some(end), Some(status)) if count == 0 => {
                let reason = String::from_utf8_lossy(&bytes[end..]);
                return Err(Refused::new(status, reason.trim_end()).into());
            }
            _ if count == 0 || bytes.len() > MOST_HEAD => {
                return Err(Refused::new(503, "the stream could not be opened").into());
            }
            _ => {}
        }
    }
}

/// How much of it is blocks that are whole, or with `lines`, if there is no block, lines.
fn whole(bytes: &[u8], lines: bool) -> usize {
    let blocks = memchr::memmem::rfind(bytes, b"\n\n").map(|end| end + 2);
    let line = || memchr::memrchr(b'\n', bytes).filter(|_| lines);
    blocks.or_else(|| line().map(|end| end + 1)).unwrap_or(0)
}

/// Waits for more; 0 when the stream has ended, or is to end. What the reader sends is thrown away.
async fn next(
    publisher: &Publisher,
    stream: &mut Async<std::os::unix::net::UnixStream>,
    connection: &mut Connection,
    portion: &mut [u8],
) -> Result<usize, Broken> {
    let more = async { Ok(stream.read(portion).await?) };
    let stop = publisher.stop.cancelled_then(Ok(0));
    let left = async {
        while connection.read_more().await? > 0 {
            connection.take();
        }
        Ok(0)
    };
    more.or(stop).or(left).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_passed_on_whole() {
        for (bytes, blocks, lines) in [
            ("", 0, 0),
            ("id: 1\ndata: a\n\n", 15, 15),
            ("id: 1\ndata: a\n\nid: 2", 15, 15),
            (":\n", 0, 2),
            ("retry: 3\nid", 0, 9),
            ("data: a", 0, 0),
        ] {
            assert_eq!(whole(bytes.as_bytes(), false), blocks, "{bytes:?}");
            assert_eq!(whole(bytes.as_bytes(), true), lines, "{bytes:?}");
        }
    }
}
