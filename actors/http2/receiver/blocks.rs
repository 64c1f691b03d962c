//! Header blocks: the requests that streams begin with, and what stands behind a body (RFC 9113 §6.2, §6.10).

use std::rc::Rc;

use super::super::channel::Channel;
use super::super::connection::{Connection, STREAMS, Side};
use super::{Receiver, fail};
use crate::net::stream::Stream;
use crate::wire::http2::frame::{self, Head, Reason, flag, kind};
use crate::wire::http2::hpack::put_status;
use crate::wire::http2::request::{Gathered, Gathering, Request};

/// Bytes that a header block, coded, may have beyond those that its fields may have.
const CODED: usize = 1024;

/// A header block that is not whole yet.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) stream: u32,
    ended: bool,
    /// Whether a dependency on itself was said, which ends the stream.
    wrong: bool,
    bytes: Vec<u8>,
}

/// A stream that has begun, with its request.
pub struct Begun {
    connection: Rc<Connection>,
    id: u32,
    request: Request,
    /// There is no body.
    ended: bool,
}

impl Begun {
    /// The stream as its actor has it: to read a request from, in the words of HTTP/1, and to write the
    /// answer to. `owner` is how the actor is named when it is to be woken.
    pub fn open(self, owner: usize) -> Stream {
        {
            let state = &mut *self.connection.state.borrow_mut();
            let side = Side::new(owner, state.initial, self.request, self.ended);
            state.sides.insert(self.id, side);
        }
        Stream::channel(Channel::new(self.connection, self.id))
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.id
    }
}

impl Receiver {
    pub(super) fn headers(
        &mut self,
        connection: &Rc<Connection>,
        head: &Head,
        payload: &[u8],
    ) -> Result<(), Reason> {
        let mut rest = frame::unpadded(head, payload).ok_or(Reason::Protocol)?;
        let mut wrong = false;
        if head.flags & flag::PRIORITY != 0 {
            let (priority, behind) = rest.split_at_checked(5).ok_or(Reason::FrameSize)?;
            wrong = depends_on(priority) == head.stream;
            rest = behind;
        }
        if head.stream.is_multiple_of(2) {
            return Err(Reason::Protocol);
        }
        self.block = Some(Block {
            stream: head.stream,
            ended: head.flags & flag::END_STREAM != 0,
            wrong,
            bytes: Vec::new(),
        });
        self.part(connection, head, rest)
    }

    pub(super) fn continuation(
        &mut self,
        connection: &Rc<Connection>,
        head: &Head,
        payload: &[u8],
    ) -> Result<(), Reason> {
        // Of a block that is worth it few are needed.
        connection.strain(10)?;
        self.part(connection, head, payload)
    }

    /// A part of a header block.
    fn part(
        &mut self,
        connection: &Rc<Connection>,
        head: &Head,
        payload: &[u8],
    ) -> Result<(), Reason> {
        let Some(block) = &mut self.block else {
            return Err(Reason::Protocol);
        };
        if block.bytes.len() + payload.len() > self.most + CODED {
            return Err(Reason::EnhanceYourCalm);
        }
        block.bytes.extend_from_slice(payload);
        match self.block.take_if(|_| head.flags & flag::END_HEADERS != 0) {
            Some(block) => self.whole(connection, &block),
            None => Ok(()),
        }
    }

    /// A header block ends a body; its fields mean nothing to anybody.
    fn end_body(&mut self, connection: &Rc<Connection>, stream: u32) -> Result<(), Reason> {
        let head = Head {
            length: 0,
            kind: kind::DATA,
            flags: flag::END_STREAM,
            stream,
        };
        self.data(connection, &head, &[])
    }

    /// A header block is whole: a request, or what stands behind a body.
    fn whole(&mut self, connection: &Rc<Connection>, block: &Block) -> Result<(), Reason> {
        let id = block.stream;
        let (last, going, count, side) = {
            let state = connection.state.borrow();
            let side = state.sides.get(&id).map(|side| side.ended);
            (state.last, state.going, state.sides.len(), side)
        };
        let mut gathering = Gathering::new(self.most);
        let mut pseudo = false;
        let read = self.decoder.read(&block.bytes, |name, value| {
            pseudo |= name.first() == Some(&b':');
            gathering.field(name, value);
        });
        read.map_err(|_| Reason::Compression)?;
        if id <= last {
            return match side {
                Some(false) if block.ended && !pseudo => self.end_body(connection, id),
                Some(false) => fail(connection, id, Reason::Protocol),
                Some(true) => fail(connection, id, Reason::StreamClosed),
                None => Err(Reason::StreamClosed),
            };
        }
        connection.state.borrow_mut().last = id;
        self.begun += 1;
        if going {
            // The peer knows that it was not taken (RFC 9113 §6.8).
            return Ok(());
        }
        if block.wrong {
            return fail(connection, id, Reason::Protocol);
        }
        if count >= STREAMS {
            return fail(connection, id, Reason::Refused);
        }
        match gathering.end(!block.ended) {
            Gathered::Malformed => fail(connection, id, Reason::Protocol),
            Gathered::TooLarge => too_large(connection, block),
            Gathered::Request(request) => {
                let begun = Begun {
                    connection: Rc::clone(connection),
                    id,
                    request,
                    ended: block.ended,
                };
                connection.host.begin(begun);
                Ok(())
            }
        }
    }
}

/// Answers a request whose fields are too large.
fn too_large(connection: &Rc<Connection>, block: &Block) -> Result<(), Reason> {
    connection.strain(10)?;
    let mut answer = Vec::new();
    put_status(b"431", &mut answer);
    let flags = flag::END_HEADERS | flag::END_STREAM;
    connection.put(|out| frame::put(kind::HEADERS, flags, block.stream, &answer, out));
    if !block.ended {
        connection.put(|out| frame::put_reset(block.stream, Reason::NoError, out));
    }
    Ok(())
}

/// The stream that a priority names.
pub(super) fn depends_on(priority: &[u8]) -> u32 {
    match priority {
        &[a, b, c, d, ..] => u32::from_be_bytes([a & 0x7f, b, c, d]),
        _ => 0,
    }
}
