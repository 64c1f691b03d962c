//! Frames that come: what they ask for, and whether they may (RFC 9113 §5, §6).

use std::rc::Rc;

use super::channel::Channel;
use super::connection::{Connection, LARGEST_WINDOW, STREAMS, Side, WINDOW};
use crate::net::stream::Stream;
use crate::wire::http2::frame::{self, Head, LONGEST, PREFACE, Reason, flag, kind, setting};
use crate::wire::http2::hpack::{Decoder, put_status};
use crate::wire::http2::request::{Gathered, Gathering, Request};

/// Bytes that a header block, coded, may have beyond those that its fields may have.
const CODED: usize = 1024;
/// Streams that begin, and frames that are read, in one turn.
const BEGINNINGS: usize = 16;
const FRAMES: usize = 256;

/// Whether there is something left to be done in a later turn.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// All whole frames are dealt with.
    All,
    /// Some are left.
    Part,
}

/// A header block that is not whole yet.
#[derive(Debug)]
struct Block {
    stream: u32,
    ended: bool,
    /// Whether a dependency on itself was said, which ends the stream.
    wrong: bool,
    bytes: Vec<u8>,
}

/// What the carrier knows of what has come.
pub(super) struct Receiver {
    pub(super) input: Vec<u8>,
    decoder: Decoder,
    block: Option<Block>,
    /// The preface has come, and the settings that belong to it.
    began: bool,
    settled: bool,
    /// What the peer may still send on all streams together.
    window: i64,
    begun: usize,
    /// Bytes that the fields of a request may have.
    most: usize,
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
    pub(super) fn new(input: Vec<u8>, most: usize) -> Self {
        Self {
            input,
            decoder: Decoder::default(),
            block: None,
            began: false,
            settled: false,
            window: WINDOW,
            begun: 0,
            most,
        }
    }

    /// Deals with the frames that have come, with so many as one turn allows.
    ///
    /// Errors: the connection is to end, for that reason.
    pub(super) fn receive(&mut self, connection: &Rc<Connection>) -> Result<Received, Reason> {
        let input = std::mem::take(&mut self.input);
        let mut used = 0;
        let received = self.frames(connection, &input, &mut used);
        self.input = input;
        self.input.drain(..used);
        if self.input.is_empty() {
            self.input = Vec::new();
        }
        received
    }

    fn frames(
        &mut self,
        connection: &Rc<Connection>,
        input: &[u8],
        used: &mut usize,
    ) -> Result<Received, Reason> {
        if !self.began {
            let length = input.len().min(PREFACE.len());
            if input[..length] != PREFACE[..length] {
                return Err(Reason::Protocol);
            }
            if length < PREFACE.len() {
                return Ok(Received::All);
            }
            self.began = true;
            *used = length;
        }
        self.begun = 0;
        for _ in 0..FRAMES {
            let Some(head) = Head::read(&input[*used..]) else {
                return Ok(Received::All);
            };
            if head.length > LONGEST {
                return Err(Reason::FrameSize);
            }
            let payload = input[*used + frame::HEAD..].get(..head.length);
            let Some(payload) = payload else {
                return Ok(Received::All);
            };
            *used += frame::HEAD + head.length;
            self.frame(connection, &head, payload)?;
            if self.begun >= BEGINNINGS {
                break;
            }
        }
        Ok(Received::Part)
    }

    fn frame(
        &mut self,
        connection: &Rc<Connection>,
        head: &Head,
        payload: &[u8],
    ) -> Result<(), Reason> {
        let goes_on = head.kind == kind::CONTINUATION;
        let expected = self.block.as_ref().map(|block| block.stream);
        if expected != goes_on.then_some(head.stream) {
            return Err(Reason::Protocol);
        }
        if !self.settled && head.kind != kind::SETTINGS {
            return Err(Reason::Protocol);
        }
        let of_connection = head.stream == 0;
        match head.kind {
            kind::DATA | kind::HEADERS | kind::PRIORITY | kind::RST_STREAM if of_connection => {
                Err(Reason::Protocol)
            }
            kind::SETTINGS | kind::PING | kind::GOAWAY if !of_connection => Err(Reason::Protocol),
            kind::DATA => self.data(connection, head, payload),
            kind::HEADERS => self.headers(connection, head, payload),
            kind::CONTINUATION => self.continuation(connection, head, payload),
            kind::PRIORITY => priority(connection, head, payload),
            kind::RST_STREAM => reset(connection, head),
            kind::SETTINGS => self.settings(connection, head, payload),
            kind::PUSH_PROMISE => Err(Reason::Protocol),
            kind::PING => ping(connection, head, payload),
            kind::GOAWAY if head.length < 8 => Err(Reason::FrameSize),
            // Its streams go on; it begins no more.
            kind::GOAWAY => Ok(()),
            kind::WINDOW_UPDATE => window_update(connection, head, payload),
            _ => connection.strain(1),
        }
    }

    fn data(
        &mut self,
        connection: &Rc<Connection>,
        head: &Head,
        payload: &[u8],
    ) -> Result<(), Reason> {
        let part = frame::unpadded(head, payload).ok_or(Reason::Protocol)?;
        let length = part.len() as u64;
        let ended = head.flags & flag::END_STREAM != 0;
        // What came makes room for more on the connection: most bodies are thrown away, and each stream
        // has a window of its own for those that are not.
        self.window -= head.length as i64;
        if self.window < 0 {
            return Err(Reason::FlowControl);
        }
        if self.window < WINDOW / 2 {
            let more = WINDOW - self.window;
            self.window = WINDOW;
            connection.put(|out| frame::put_window(0, more as u32, out));
        }
        if length == 0 && !ended {
            connection.strain(10)?;
        }
        let mut reader = None;
        let fault = {
            let state = &mut *connection.state.borrow_mut();
            let idle = is_idle(head.stream, state.last);
            match state.sides.get_mut(&head.stream) {
                _ if idle => return Err(Reason::Protocol),
                None => Some(Reason::StreamClosed),
                Some(side) if side.ended => Some(Reason::StreamClosed),
                Some(side) => {
                    side.received += head.length as i64;
                    let left = side.announced.map(|all| all.checked_sub(length));
                    side.announced = left.flatten();
                    side.ended = ended;
                    let wrong =
                        left == Some(None) || ended && side.announced.is_some_and(|all| all > 0);
                    match () {
                        () if wrong => Some(Reason::Protocol),
                        () if side.received > WINDOW => Some(Reason::FlowControl),
                        () => {
                            if side.body.put(part, ended, &mut side.input) {
                                reader = Some(side.owner);
                            }
                            None
                        }
                    }
                }
            }
        };
        if let Some(owner) = reader {
            connection.host.wake(owner, true, false);
        }
        match fault {
            None => Ok(()),
            Some(reason) => fail(connection, head.stream, reason),
        }
    }

    fn headers(
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

    fn continuation(
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

    fn settings(
        &mut self,
        connection: &Rc<Connection>,
        head: &Head,
        payload: &[u8],
    ) -> Result<(), Reason> {
        if head.flags & flag::ACK != 0 {
            return if payload.is_empty() && self.settled {
                connection.strain(1)
            } else {
                Err(Reason::FrameSize)
            };
        }
        if !payload.len().is_multiple_of(6) {
            return Err(Reason::FrameSize);
        }
        self.settled = true;
        connection.strain(10)?;
        let mut opened = Vec::new();
        for (name, value) in frame::settings(payload) {
            match name {
                setting::ENABLE_PUSH if value > 1 => return Err(Reason::Protocol),
                setting::MAX_FRAME_SIZE if !(LONGEST as u32..1 << 24).contains(&value) => {
                    return Err(Reason::Protocol);
                }
                setting::INITIAL_WINDOW_SIZE => {
                    let window = i64::from(value);
                    if window > LARGEST_WINDOW {
                        return Err(Reason::FlowControl);
                    }
                    let state = &mut *connection.state.borrow_mut();
                    let more = window - std::mem::replace(&mut state.initial, window);
                    for side in state.sides.values_mut() {
                        let shut = side.window <= 0;
                        side.window += more;
                        if side.window > LARGEST_WINDOW {
                            return Err(Reason::FlowControl);
                        }
                        if shut && side.window > 0 {
                            opened.push(side.owner);
                        }
                    }
                }
                _ => {}
            }
        }
        for owner in opened {
            connection.host.wake(owner, false, true);
        }
        connection.put(|out| frame::put(kind::SETTINGS, flag::ACK, 0, &[], out));
        Ok(())
    }
}

/// Whether a stream has not begun.
fn is_idle(stream: u32, last: u32) -> bool {
    stream > last || stream.is_multiple_of(2)
}

/// Ends a stream for a fault of the peer's; a peer that makes too many is ended itself
/// (CVE-2025-8671).
fn fail(connection: &Rc<Connection>, stream: u32, reason: Reason) -> Result<(), Reason> {
    connection.strain(10)?;
    connection.end_stream(stream, Some(reason));
    Ok(())
}

/// The stream that a priority names.
fn depends_on(priority: &[u8]) -> u32 {
    match priority {
        &[a, b, c, d, ..] => u32::from_be_bytes([a & 0x7f, b, c, d]),
        _ => 0,
    }
}

fn priority(connection: &Rc<Connection>, head: &Head, payload: &[u8]) -> Result<(), Reason> {
    connection.strain(1)?;
    // Priorities are not looked at (RFC 9113 §5.3.2), only whether they are any.
    match head.length {
        5 if depends_on(payload) == head.stream => fail(connection, head.stream, Reason::Protocol),
        5 => Ok(()),
        _ => fail(connection, head.stream, Reason::FrameSize),
    }
}

fn reset(connection: &Rc<Connection>, head: &Head) -> Result<(), Reason> {
    if head.length != 4 {
        return Err(Reason::FrameSize);
    }
    if is_idle(head.stream, connection.state.borrow().last) {
        return Err(Reason::Protocol);
    }
    // Who begins streams and resets them again has us do all the work (CVE-2023-44487).
    connection.strain(10)?;
    if let Some(side) = connection.state.borrow_mut().sides.get_mut(&head.stream) {
        side.ended = true;
    }
    connection.end_stream(head.stream, None);
    Ok(())
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

fn ping(connection: &Rc<Connection>, head: &Head, payload: &[u8]) -> Result<(), Reason> {
    if head.length != 8 {
        return Err(Reason::FrameSize);
    }
    connection.strain(2)?;
    if head.flags & flag::ACK == 0 {
        connection.put(|out| frame::put(kind::PING, flag::ACK, 0, payload, out));
    }
    Ok(())
}

fn window_update(connection: &Rc<Connection>, head: &Head, payload: &[u8]) -> Result<(), Reason> {
    let &[a, b, c, d] = payload else {
        return Err(Reason::FrameSize);
    };
    connection.strain(1)?;
    let more = i64::from(u32::from_be_bytes([a & 0x7f, b, c, d]));
    let opened = {
        let state = &mut *connection.state.borrow_mut();
        if head.stream == 0 {
            state.window += more;
            return match more {
                0 => Err(Reason::Protocol),
                _ if state.window > LARGEST_WINDOW => Err(Reason::FlowControl),
                // The carrier wakes who waits.
                _ => Ok(()),
            };
        }
        if is_idle(head.stream, state.last) {
            return Err(Reason::Protocol);
        }
        let Some(side) = state.sides.get_mut(&head.stream) else {
            // It may have been sent before the peer knew of the stream's end.
            return Ok(());
        };
        side.window += more;
        match more {
            0 => Err(Reason::Protocol),
            _ if side.window > LARGEST_WINDOW => Err(Reason::FlowControl),
            _ => Ok((side.window > 0).then_some(side.owner)),
        }
    };
    match opened {
        Ok(Some(owner)) => connection.host.wake(owner, false, true),
        Ok(None) => {}
        Err(reason) => return fail(connection, head.stream, reason),
    }
    Ok(())
}
