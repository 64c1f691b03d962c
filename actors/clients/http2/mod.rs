//! Connections that carry several streams: HTTP/2 (RFC 9113).
//!
//! Such a connection is a client like any other as long as its first bytes are awaited. Then it becomes a
//! carrier: it reads frames, and gives each request a client of its own, with all that a client has: a
//! mailbox, a place in the routes, a policy for who reads slowly, which ends that stream and no other.
//! What such a client writes goes straight to the shared socket, in frames, as far as the windows allow.
//!
//! | file | subject |
//! | --- | --- |
//! | this | the life of a carrier |
//! | [`connection`] | what the carrier and its streams share: socket, windows, what waits for the socket |
//! | [`receiver`] | frames that come |
//! | [`channel`] | one stream, as its client has it |
//!
//! A client's words are those of HTTP/1.0 in both directions ([`crate::wire::http2::request`]).

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::ClientHandle;
use super::life::Context;
use crate::messages::client::{End, Ending, Message};
use crate::wire::http2::frame::Reason;

mod channel;
mod connection;
mod receiver;

use connection::Connection;
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

/// A carrier's life, from the first bytes of its connection on.
pub(super) fn carry(
    handle: ClientHandle,
    context: Rc<Context>,
    input: Vec<u8>,
) -> Pin<Box<dyn Future<Output = End>>> {
    Box::pin(async move {
        let address = handle.address();
        let Some(socket) = handle.carry() else {
            return End::Left;
        };
        let connection = Connection::new(socket, &handle);
        let mut carrier = Carrier {
            receiver: Receiver::new(context, address, input),
            handle,
            connection,
            heard: Instant::now(),
            asked: false,
            stopping: None,
        };
        let end = carrier.live().await;
        carrier.connection.close();
        end
    })
}

struct Carrier {
    handle: ClientHandle,
    connection: Rc<Connection>,
    receiver: Receiver,
    /// When something came last, and whether the peer has been asked since whether it lives.
    heard: Instant,
    asked: bool,
    /// What the connection is to end with, when its streams have ended.
    stopping: Option<Ending>,
}

/// Whether the peer has ended its side.
type Ended = bool;

impl Carrier {
    async fn live(&mut self) -> End {
        loop {
            let more = match self.turn() {
                Ok(more) => more,
                Err(end) => return end,
            };
            if more {
                self.handle.step_back().await;
            } else {
                self.handle.next_turn().await;
            }
        }
    }

    /// Does what there is to do; whether there is more already.
    fn turn(&mut self) -> Result<bool, End> {
        while let Some(message) = self.handle.message() {
            match message {
                Message::Finish {
                    end: Ending::Stopped,
                } => {
                    self.connection.goaway(Reason::NoError);
                    self.stopping = Some(Ending::Stopped);
                }
                Message::Finish { end } => {
                    self.connection.goaway(Reason::NoError);
                    self.connection.flush()?;
                    return Err(End::Finished(end));
                }
                _ => {}
            }
        }
        if self.handle.is_overflowing() {
            return Err(End::Slow);
        }
        self.connection.flush()?;
        let (mut more, mut ended) = (false, false);
        if self.connection.unsent() <= OUTPUT {
            ended = self.read()?;
            match self.receiver.receive(&self.connection) {
                Ok(Received::All) => {}
                Ok(Received::Part) => more = true,
                Err(reason) => {
                    self.connection.goaway(reason);
                    let _gone = self.connection.flush();
                    self.handle.finish_now();
                    return Err(End::Broken(io::ErrorKind::InvalidData));
                }
            }
        }
        self.look_at_time()?;
        self.connection.flush()?;
        self.connection.wake();
        self.handle.set_flow(self.connection.unsent() == 0);
        if ended {
            return Err(End::Left);
        }
        match self.stopping {
            Some(ending) if self.connection.is_idle() && self.connection.unsent() == 0 => {
                self.handle.finish_now();
                Err(End::Finished(ending))
            }
            _ => Ok(more || self.handle.is_readable() && self.connection.unsent() <= OUTPUT),
        }
    }

    fn read(&mut self) -> Result<Ended, End> {
        if self.receiver.input.len() > INPUT {
            return Ok(false);
        }
        let input = &mut self.receiver.input;
        let count = self.handle.read(|bytes| {
            input.extend_from_slice(bytes);
            bytes.len()
        })?;
        if count.is_some_and(|count| count > 0) {
            (self.heard, self.asked) = (Instant::now(), false);
        }
        Ok(count == Some(0))
    }

    /// Gives up a peer that is dead, and a connection that nobody needs.
    fn look_at_time(&mut self) -> Result<(), End> {
        let silent = self.heard.elapsed();
        if self.connection.is_idle() && silent > IDLE && self.stopping.is_none() {
            self.connection.goaway(Reason::NoError);
            self.stopping = Some(Ending::Expired);
        }
        if silent > 2 * SILENCE && self.asked {
            return Err(End::Broken(io::ErrorKind::TimedOut));
        }
        if silent > SILENCE && !self.asked {
            self.asked = true;
            self.connection.ping();
        }
        Ok(())
    }
}

/// The address for which a connection's streams count.
pub(super) type Address = Option<IpAddr>;
