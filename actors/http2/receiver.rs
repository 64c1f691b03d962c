//! Frames that come: what they ask for, and whether they may (RFC 9113 §5, §6).

mod blocks;

use std::rc::Rc;

use super::connection::{Connection, LARGEST_WINDOW, WINDOW};
use crate::wire::http2::frame::{self, Head, LONGEST, PREFACE, Reason, flag, kind, setting};
use crate::wire::http2::hpack::Decoder;
pub use blocks::Begun;
use blocks::{Block, depends_on};

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
                    if wrong {
                        Some(Reason::Protocol)
                    } else if side.received > WINDOW {
                        Some(Reason::FlowControl)
                    } else {
                        if side.body.put(part, ended, &mut side.input) {
                            reader = Some(side.owner);
                        }
                        None
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
