//! What a carrier and its streams share: the socket, the windows, and what waits for the socket.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use foldhash::HashMap;

use super::Host;
use crate::net::stream::Stream;
use crate::wire::http2::frame::{self, Head, LONGEST, Reason, flag, kind, setting};
use crate::wire::http2::request::{self, Body, Request, answer_block};

/// Streams that may be open at once.
pub(super) const STREAMS: usize = 100;
/// The windows with which every connection and stream begins (RFC 9113 §6.9.2), and the largest.
pub(super) const WINDOW: i64 = 65_535;
pub(super) const LARGEST_WINDOW: i64 = (1 << 31) - 1;
/// Bytes of a data frame: with its head they fit into one TLS record.
const DATA: usize = LONGEST - frame::HEAD;
/// What a peer may do that costs us and brings it nothing, and how much of that comes back each second.
const CALM: u32 = 1000;
const CALM_A_SECOND: u32 = 100;
/// Bytes sent for which a peer may send another frame about its windows.
const SENT: usize = 4096;

thread_local! {
    /// Shared by all connections: a frame with its head, as it goes to the socket.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(LONGEST));
}

/// See the module.
pub(super) struct Connection {
    pub(super) socket: Rc<Stream>,
    pub(super) host: Rc<dyn Host>,
    pub(super) state: RefCell<State>,
}

#[derive(Debug)]
pub(super) struct State {
    /// Frames that the socket has not taken, or that are still to be joined with others.
    out: Vec<u8>,
    /// The host flushes soon: data frames are joined meanwhile.
    corked: bool,
    /// What may still be sent on all streams together, and on each that begins.
    pub(super) window: i64,
    pub(super) initial: i64,
    pub(super) sides: HashMap<u32, Side>,
    /// The newest stream that the peer began.
    pub(super) last: u32,
    /// Streams that wait for the socket, or for the window of all.
    blocked: Vec<u32>,
    /// No further streams are taken.
    pub(super) going: bool,
    closed: bool,
    calm: u32,
    /// When the connection began, and how many seconds later some of it came back last.
    began: Instant,
    calmed: u32,
    sent: usize,
}

/// Our side of one stream.
#[derive(Debug)]
pub(super) struct Side {
    /// Whose it is: see [`Host::wake`].
    pub(super) owner: usize,
    pub(super) window: i64,
    /// The request, as far as its actor has not read it; none is left soon.
    pub(super) input: Vec<u8>,
    /// How the body is given to the actor.
    pub(super) body: Body,
    /// The head of the answer, until it is whole.
    head: Option<Vec<u8>>,
    /// Bytes of the body that have come, and that are to come if that was said.
    pub(super) received: i64,
    pub(super) announced: Option<u64>,
    /// The peer has ended its side, and the actor its.
    pub(super) ended: bool,
    finished: bool,
    /// The stream was reset, by the peer or for a fault.
    pub(super) reset: bool,
    blocked: bool,
}

impl Side {
    pub(super) fn new(owner: usize, window: i64, request: Request, ended: bool) -> Self {
        Self {
            owner,
            window,
            input: request.text,
            body: request.body,
            head: Some(Vec::new()),
            received: 0,
            announced: request.length,
            ended,
            finished: false,
            reset: false,
            blocked: false,
        }
    }
}

impl Connection {
    pub(super) fn new(socket: Rc<Stream>, host: Rc<dyn Host>, most: usize) -> Rc<Self> {
        let mut out = Vec::new();
        let settings = [
            (setting::MAX_CONCURRENT_STREAMS, STREAMS as u32),
            (setting::MAX_HEADER_LIST_SIZE, most as u32),
            (setting::NO_RFC7540_PRIORITIES, 1),
        ];
        frame::put_settings(&settings, &mut out);
        Rc::new(Self {
            socket,
            host,
            state: RefCell::new(State {
                out,
                corked: false,
                window: WINDOW,
                initial: WINDOW,
                sides: HashMap::default(),
                last: 0,
                blocked: Vec::new(),
                going: false,
                closed: false,
                calm: CALM,
                began: Instant::now(),
                calmed: 0,
                sent: 0,
            }),
        })
    }

    /// Adds frames to those that go to the socket next.
    pub(super) fn put(&self, put: impl FnOnce(&mut Vec<u8>)) {
        put(&mut self.state.borrow_mut().out);
    }

    /// Sends what waits, as far as the socket takes it.
    ///
    /// # Errors
    /// The socket's.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.state.borrow_mut().flush(&self.socket)?;
        if self.unsent() > 0 {
            self.host.is_full();
        }
        Ok(())
    }

    /// Bytes that the socket has not taken.
    pub(super) fn unsent(&self) -> usize {
        self.state.borrow().out.len() + self.socket.unsent()
    }

    /// Says that no further streams are taken, once.
    pub(super) fn goaway(&self, reason: Reason) {
        let state = &mut *self.state.borrow_mut();
        if !std::mem::replace(&mut state.going, true) || reason != Reason::NoError {
            frame::put_goaway(state.last, reason, &mut state.out);
        }
    }

    /// Asks whether the peer lives.
    pub(super) fn ping(&self) {
        self.put(|out| frame::put(kind::PING, 0, 0, b"hasses??", out));
    }

    /// Whether there are no streams.
    pub(super) fn is_idle(&self) -> bool {
        self.state.borrow().sides.is_empty()
    }

    /// Gives those a turn that waited for the socket or for the window of all, if there is room now.
    pub(super) fn wake(&self) {
        let blocked: Vec<usize> = {
            let state = &mut *self.state.borrow_mut();
            if state.is_stuck(&self.socket) || state.window <= 0 {
                return;
            }
            let blocked = std::mem::take(&mut state.blocked).into_iter();
            let sides = &mut state.sides;
            blocked
                .filter_map(|id| {
                    let side = sides.get_mut(&id)?;
                    side.blocked = false;
                    (side.window > 0).then_some(side.owner)
                })
                .collect()
        };
        for owner in blocked {
            self.host.wake(owner, false, true);
        }
    }

    /// The connection has ended, and all its streams with it.
    pub(super) fn close(&self) {
        let owners: Vec<usize> = {
            let state = &mut *self.state.borrow_mut();
            state.closed = true;
            state.sides.values().map(|side| side.owner).collect()
        };
        for owner in owners {
            self.host.wake(owner, true, true);
        }
    }

    /// Ends a stream for a fault of the peer's, or as it wanted.
    pub(super) fn end_stream(&self, id: u32, reason: Option<Reason>) {
        let owner = {
            let state = &mut *self.state.borrow_mut();
            if let Some(reason) = reason {
                frame::put_reset(id, reason, &mut state.out);
            }
            let side = state.sides.get_mut(&id);
            side.map(|side| {
                side.reset = true;
                side.owner
            })
        };
        if let Some(owner) = owner {
            self.host.wake(owner, true, true);
        }
    }

    /// The peer does something that costs us and brings it nothing.
    ///
    /// Errors: it has done so too often.
    pub(super) fn strain(&self, cost: u32) -> Result<(), Reason> {
        let state = &mut *self.state.borrow_mut();
        let now = state.began.elapsed().as_secs() as u32;
        let back = (now - state.calmed) * CALM_A_SECOND + (state.sent / SENT) as u32;
        if back > 0 {
            state.calm = state.calm.saturating_add(back).min(CALM);
            (state.calmed, state.sent) = (now, 0);
        }
        state.calm = state
            .calm
            .checked_sub(cost)
            .ok_or(Reason::EnhanceYourCalm)?;
        Ok(())
    }

    /// Takes bytes of an actor's answer; how many. An event mostly goes to several streams of a connection, so
    /// their frames are joined, as far as the host flushes them soon: one write, and one TLS record, for all.
    pub(super) fn write(self: &Rc<Self>, id: u32, bytes: &[u8]) -> io::Result<usize> {
        let state = &mut *self.state.borrow_mut();
        if !state.corked && state.sides.len() > 1 {
            state.corked = self.host.cork(&|| Corked(Rc::clone(self)));
        }
        let taken = state.write(id, bytes, &self.socket)?;
        if state.is_stuck(&self.socket) {
            self.host.is_full();
        }
        if taken == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(taken)
    }

    /// An actor has said all that it has to say.
    pub(super) fn finish(&self, id: u32) {
        let state = &mut *self.state.borrow_mut();
        if let Some(side) = state.sides.get_mut(&id)
            && !side.reset
            && !std::mem::replace(&mut side.finished, true)
        {
            frame::put(kind::DATA, flag::END_STREAM, id, &[], &mut state.out);
            if !side.ended {
                // What is still to come of the request is not wanted (RFC 9113 §8.1).
                frame::put_reset(id, Reason::NoError, &mut state.out);
            }
        }
        // An error is found by the carrier.
        let _broken = state.flush(&self.socket);
    }

    /// A stream's actor has gone.
    pub(super) fn forget(&self, id: u32) {
        let owner = {
            let state = &mut *self.state.borrow_mut();
            let Some(side) = state.sides.remove(&id) else {
                return;
            };
            if !side.finished && !side.reset {
                frame::put_reset(id, Reason::Cancel, &mut state.out);
            }
            if state.sides.is_empty() {
                (state.sides, state.blocked) = (HashMap::default(), Vec::new());
            }
            let _broken = state.flush(&self.socket);
            side.owner
        };
        // It may wait for the last one, or have more to send.
        self.host.gone(owner);
    }

    /// What an actor may read of its request.
    pub(super) fn read(&self, id: u32, buffer: &mut [u8]) -> io::Result<usize> {
        let (count, more) = self.take(id, buffer)?;
        if more > 0 {
            self.put(|out| frame::put_window(id, more, out));
            self.flush()?;
        }
        Ok(count)
    }

    /// Takes what an actor has to read, and how much more of a body the peer may send for that.
    fn take(&self, id: u32, buffer: &mut [u8]) -> io::Result<(usize, u32)> {
        let state = &mut *self.state.borrow_mut();
        let closed = state.closed;
        let Some(side) = state
            .sides
            .get_mut(&id)
            .filter(|side| !side.reset && !closed)
        else {
            return Ok((0, 0));
        };
        let count = side.input.len().min(buffer.len());
        if count == 0 {
            return if side.finished {
                Ok((0, 0))
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            };
        }
        buffer[..count].copy_from_slice(&side.input[..count]);
        side.input.drain(..count);
        side.input.shrink_to_fit();
        // Only when all of it is read: so no more than a window of a body waits here.
        let more = if side.body != Body::ThrownAway && side.input.is_empty() && !side.ended {
            std::mem::take(&mut side.received)
        } else {
            0
        };
        Ok((count, more as u32))
    }
}

/// A connection whose host has promised to flush it.
pub struct Corked(Rc<Connection>);

impl Corked {
    /// Sends the frames that were joined.
    pub fn flush(self) {
        // An error is found by the carrier.
        let _broken = self.0.flush();
    }
}

impl State {
    fn flush(&mut self, socket: &Stream) -> io::Result<()> {
        self.corked = false;
        send(socket, &mut self.out)
    }

    fn is_stuck(&self, socket: &Stream) -> bool {
        is_stuck(self.corked, &self.out, socket)
    }

    /// Takes bytes of an actor's answer, as far as the windows and the socket allow; how many.
    fn write(&mut self, id: u32, bytes: &[u8], socket: &Stream) -> io::Result<usize> {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        if self.closed {
            return Err(broken());
        }
        if !self.corked {
            self.flush(socket)?;
        }
        let State {
            sides,
            out,
            corked,
            window,
            blocked,
            sent,
            ..
        } = self;
        let side = sides
            .get_mut(&id)
            .filter(|side| !side.reset)
            .ok_or_else(broken)?;
        let mut rest = bytes;
        if side.head.is_some() {
            rest = side.answer_head(id, rest, out);
            if !*corked {
                send(socket, out)?;
            }
        }
        while !rest.is_empty() {
            let room = side.window.min(*window).min(DATA as i64);
            if room <= 0 || is_stuck(*corked, out, socket) {
                if side.window > 0 && !std::mem::replace(&mut side.blocked, true) {
                    blocked.push(id);
                }
                break;
            }
            let part;
            (part, rest) = rest.split_at(rest.len().min(room as usize));
            if *corked {
                if out.len() + frame::HEAD + part.len() > LONGEST {
                    send(socket, out)?;
                    *corked = out.is_empty() && socket.unsent() == 0;
                }
                frame::put(kind::DATA, 0, id, part, out);
            } else {
                data(socket, id, part, out)?;
            }
            side.window -= part.len() as i64;
            *window -= part.len() as i64;
            *sent += part.len();
        }
        Ok(bytes.len() - rest.len())
    }
}

/// Whether the socket has to take something before more can be written.
fn is_stuck(corked: bool, out: &[u8], socket: &Stream) -> bool {
    socket.unsent() > 0 || (!corked && !out.is_empty())
}

/// Sends frames that wait, as far as the socket takes them.
fn send(socket: &Stream, out: &mut Vec<u8>) -> io::Result<()> {
    while !out.is_empty() {
        match socket.write(out) {
            Ok(count) => drop(out.drain(..count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    if out.capacity() > 0 {
        *out = Vec::new();
    }
    Ok(())
}

impl Side {
    /// Takes the answer's head; what is behind it.
    fn answer_head<'a>(&mut self, id: u32, bytes: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let Some(head) = &mut self.head else {
            return bytes;
        };
        let before = head.len();
        head.extend_from_slice(bytes);
        let Some(length) = request::answer_length(head) else {
            return &[];
        };
        let block = answer_block(&head[..length]);
        self.head = None;
        frame::put(kind::HEADERS, flag::END_HEADERS, id, &block, out);
        &bytes[length - before..]
    }
}

/// Sends a data frame; what the socket does not take of it goes to `out`.
fn data(socket: &Stream, id: u32, part: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    SCRATCH.with_borrow_mut(|scratch| {
        let head = Head {
            length: part.len(),
            kind: kind::DATA,
            flags: 0,
            stream: id,
        };
        scratch.clear();
        scratch.extend_from_slice(&head.bytes());
        scratch.extend_from_slice(part);
        let count = match socket.write(scratch) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            result => result?,
        };
        out.extend_from_slice(&scratch[count..]);
        Ok(())
    })
}
