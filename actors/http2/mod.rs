//! Connections that carry several streams: HTTP/2 (RFC 9113).
//!
//! A carrier reads frames, and gives each request to its [`Host`], which has an actor answer it: a client
//! where subscribers connect, a publisher's actor on a control address. What such an actor writes goes
//! straight to the shared socket, in frames, as far as the windows allow.
//!
//! | file | subject |
//! | --- | --- |
//! | this | the life of a carrier, and what it asks of its host |
//! | [`connection`] | what the carrier and its streams share: socket, windows, what waits for the socket |
//! | [`receiver`] | frames that come; below it header blocks |
//! | [`channel`] | one stream, as its actor has it |
//!
//! An actor's words are those of HTTP/1 in both directions ([`crate::wire::http2::request`]).

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::net::stream::Stream;
use crate::wire::http2::frame::Reason;

mod channel;
mod connection;
mod receiver;

use connection::Connection;
pub use connection::Corked;
pub use receiver::Begun;
use receiver::{Received, Receiver};

/// A peer that has said nothing for so long is asked whether it lives, and given up when it says nothing
/// for so long again.
const SILENCE: Duration = Duration::from_secs(30);
/// How long a connection may be without streams.
const IDLE: Duration = Duration::from_secs(60);
/// Bytes that may come and wait while streams are begun.
const INPUT: usize = 128 * 1024;
/// Bytes that may wait for the socket before more frames are read: each may need an answer.
const OUTPUT: usize = 16 * 1024;

/// Where the streams of a connection are answered.
pub trait Host {
    /// Has an actor answer a stream that has begun.
    fn begin(&self, begun: Begun);
    /// Says that the actor of a stream can read or write again. `owner` is its name: see [`Begun::open`].
    fn wake(&self, owner: usize, readable: bool, writable: bool);
    /// Says that the actor of a stream has gone: the carrier has something to look at.
    fn gone(&self, owner: usize);
    /// Says, while an actor reads or writes, that the socket has not taken everything.
    fn is_full(&self);
    /// Whether the host flushes the connection soon, when all who have something to write have had their
    /// turns. Asked for while an actor writes.
    fn cork(&self, _connection: &dyn Fn() -> Corked) -> bool {
        false
    }
}

/// A connection that carries streams, which end with it.
pub struct Carrier {
    connection: Rc<Connection>,
    receiver: Receiver,
    /// When something came last, and whether the peer has been asked since whether it lives.
    heard: Instant,
    asked: bool,
    /// The connection is to end when its streams have ended.
    stopping: bool,
}

/// What a carrier's turn has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// There is more to do already.
    More,
    /// More has to come first, or the socket has to take more.
    Waits,
    /// The peer has left.
    Left,
    /// It has stopped, and its streams have ended.
    Finished,
}

impl Carrier {
    /// A connection that has begun with `input`; the fields of a request may have `most` bytes.
    pub fn new(socket: Rc<Stream>, host: Rc<dyn Host>, input: Vec<u8>, most: usize) -> Self {
        Self {
            connection: Connection::new(socket, host, most),
            receiver: Receiver::new(input, most),
            heard: Instant::now(),
            asked: false,
            stopping: false,
        }
    }

    /// Takes no further streams, and ends when those that there are have ended.
    pub fn stop(&mut self) {
        self.connection.goaway(Reason::NoError);
        self.stopping = true;
    }

    /// Says that the connection ends now.
    ///
    /// # Errors
    /// The socket's.
    pub fn part(&self) -> io::Result<()> {
        self.connection.goaway(Reason::NoError);
        self.connection.flush()
    }

    /// Whether frames are read: not while too much waits for the socket.
    pub fn reads(&self) -> bool {
        self.connection.unsent() <= OUTPUT
    }

    /// Whether the socket has taken everything.
    pub fn is_clear(&self) -> bool {
        self.connection.unsent() == 0
    }

    /// Does what there is to do. `read` adds to what has come, and says how much that was: none if
    /// nothing was there.
    ///
    /// # Errors
    /// The socket's; `InvalidData` when the peer breaks the protocol, which it has been told; `TimedOut`
    /// when it is dead.
    pub fn turn(
        &mut self,
        read: impl FnOnce(&mut Vec<u8>) -> io::Result<Option<usize>>,
    ) -> io::Result<Turn> {
        self.connection.flush()?;
        let (mut more, mut left) = (false, false);
        if self.reads() {
            left = self.read(read)?;
            match self.receiver.receive(&self.connection) {
                Ok(Received::All) => {}
                Ok(Received::Part) => more = true,
                Err(reason) => {
                    self.connection.goaway(reason);
                    let _gone = self.connection.flush();
                    self.connection.socket.finish();
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
        }
        self.look_at_time()?;
        self.connection.flush()?;
        self.connection.wake();
        if left {
            return Ok(Turn::Left);
        }
        if self.stopping && self.connection.is_idle() && self.is_clear() {
            self.connection.socket.finish();
            return Ok(Turn::Finished);
        }
        Ok(if more { Turn::More } else { Turn::Waits })
    }

    /// Reads once; whether the peer has ended its side.
    fn read(
        &mut self,
        read: impl FnOnce(&mut Vec<u8>) -> io::Result<Option<usize>>,
    ) -> io::Result<bool> {
        let input = &mut self.receiver.input;
        if input.len() > INPUT {
            return Ok(false);
        }
        let count = read(input)?;
        if count.is_some_and(|count| count > 0) {
            (self.heard, self.asked) = (Instant::now(), false);
        }
        Ok(count == Some(0))
    }

    /// Gives up a peer that is dead, and a connection that nobody needs.
    fn look_at_time(&mut self) -> io::Result<()> {
        let silent = self.heard.elapsed();
        if self.connection.is_idle() && silent > IDLE && !self.stopping {
            self.stop();
        }
        if silent > 2 * SILENCE && self.asked {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if silent > SILENCE && !self.asked {
            self.asked = true;
            self.connection.ping();
        }
        Ok(())
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.connection.close();
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::cell::RefCell;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::wire::http2::frame::{HEAD, Head, PREFACE, flag, kind, put, put_settings};
    use crate::wire::http2::request::MOST;

    /// Keeps the streams, and does nothing with them.
    #[derive(Default)]
    struct Kept(RefCell<Vec<Stream>>);

    impl Host for Kept {
        fn begin(&self, begun: Begun) {
            self.0.borrow_mut().push(begun.open(0));
        }

        fn wake(&self, _owner: usize, _readable: bool, _writable: bool) {}

        fn gone(&self, _owner: usize) {}

        fn is_full(&self) {}
    }

    /// A carrier that has begun, and the peer's side; with one stream if `busy`.
    fn begun(busy: bool) -> (Carrier, UnixStream) {
        let (ours, peer) = UnixStream::pair().unwrap();
        for socket in [&ours, &peer] {
            socket.set_nonblocking(true).unwrap();
        }
        let mut input = PREFACE.to_vec();
        put_settings(&[], &mut input);
        if busy {
            // GET, https, /, and an authority, out of the table (RFC 7541, A).
            let block = [0x82, 0x87, 0x84, 0x41, 1, b'a'];
            let flags = flag::END_HEADERS | flag::END_STREAM;
            put(kind::HEADERS, flags, 1, &block, &mut input);
        }
        let socket = Rc::new(Stream::new(ours.into(), None).unwrap());
        let mut carrier = Carrier::new(socket, Rc::<Kept>::default(), input, MOST);
        assert_eq!(turn(&mut carrier, &[]).unwrap(), Turn::Waits);
        assert_eq!(carrier.connection.is_idle(), !busy);
        frames(&peer);
        (carrier, peer)
    }

    /// A turn in which these bytes come.
    fn turn(carrier: &mut Carrier, bytes: &[u8]) -> io::Result<Turn> {
        carrier.turn(|input| {
            input.extend_from_slice(bytes);
            Ok((!bytes.is_empty()).then_some(bytes.len()))
        })
    }

    /// The kinds of the frames that the peer has got.
    fn frames(mut peer: &UnixStream) -> Vec<u8> {
        let mut bytes = [0; 4096];
        let count = peer.read(&mut bytes).unwrap_or(0);
        let (mut rest, mut kinds) = (&bytes[..count], Vec::new());
        while let Some(head) = Head::read(rest) {
            rest = &rest[HEAD + head.length..];
            kinds.push(head.kind);
        }
        kinds
    }

    fn silent_for(carrier: &mut Carrier, seconds: u64) {
        carrier.heard = Instant::now() - Duration::from_secs(seconds);
    }

    #[test]
    fn a_silent_peer_is_asked_and_then_given_up() {
        let (mut carrier, peer) = begun(true);
        silent_for(&mut carrier, 31);
        for expected in [&[kind::PING][..], &[]] {
            turn(&mut carrier, &[]).unwrap();
            assert_eq!(frames(&peer), expected, "it is asked once");
        }
        // One that answers lives, and is asked again when it is silent again.
        let mut pong = Vec::new();
        put(kind::PING, flag::ACK, 0, b"hasses??", &mut pong);
        turn(&mut carrier, &pong).unwrap();
        silent_for(&mut carrier, 31);
        turn(&mut carrier, &[]).unwrap();
        assert_eq!(frames(&peer), [kind::PING]);
        silent_for(&mut carrier, 61);
        let error = turn(&mut carrier, &[]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_connection_without_streams_ends_after_a_minute() {
        let (mut carrier, peer) = begun(false);
        silent_for(&mut carrier, 59);
        turn(&mut carrier, &[]).unwrap();
        assert_eq!(frames(&peer), [kind::PING]);
        silent_for(&mut carrier, 61);
        carrier.asked = false;
        assert_eq!(turn(&mut carrier, &[]).unwrap(), Turn::Finished);
        assert_eq!(frames(&peer)[0], kind::GOAWAY);
    }

    #[test]
    fn a_stop_waits_for_the_streams() {
        let (mut carrier, peer) = begun(true);
        carrier.stop();
        assert_eq!(turn(&mut carrier, &[]).unwrap(), Turn::Waits);
        assert_eq!(frames(&peer), [kind::GOAWAY]);
    }
}
