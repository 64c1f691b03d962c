//! One client's place in the pool: its future, its socket, and what waits for it.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use super::mailbox::Waiting;
use super::pool::PLACE;
use crate::messages::client::{End, Message};
use crate::model::Form;
use crate::net::stream::Stream;

pub(super) type ClientFuture = Pin<Box<dyn Future<Output = End>>>;

/// One client's place.
#[derive(Default)]
pub(super) struct Slot {
    pub(super) life: Option<ClientFuture>,
    pub(super) socket: Option<Stream>,
    pub(super) waiting: Waiting,
    /// Bytes of the events that wait, whole.
    pub(super) bytes: usize,
    /// Bytes of the event at the front that are written already.
    pub(super) written: u32,
    pub(super) generation: u32,
    /// Messages that came since the last turn.
    pub(super) unpolled: u32,
    /// Events written whole.
    pub(super) events: u32,
    /// When something was written last, in tenths of a second.
    pub(super) wrote_at: u32,
    pub(super) flags: Flags,
}

#[derive(Default, Clone, Copy)]
pub(super) struct Flags {
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) queued: bool,
    /// Its request is not complete yet; counted in `Inner::awaiting_request`.
    pub(super) awaiting_request: bool,
    /// It belongs to a trusted proxy, which is believed when it says whom it speaks for.
    pub(super) proxy: bool,
    pub(super) opening: Opening,
    pub(super) chunked: bool,
    /// A further request may come on the open stream.
    pub(super) replaceable: bool,
    /// The stream gets events as they are published, and position blocks.
    pub(super) live: bool,
    /// Counted in `Inner::over_soft_limit`.
    pub(super) over_soft_limit: bool,
    /// Not writable, and more than the limit waits.
    pub(super) overflowing: bool,
    /// What its blocks look like.
    pub(super) form: Form,
}

impl Slot {
    /// Whether it is a stream whose socket takes nothing, and that is not given up already.
    pub(super) fn is_stalled(&self) -> bool {
        self.flags.is_open() && !self.flags.writable && !self.flags.overflowing
    }

    /// Whether time is over; only who has no open stream is told, and has next to nothing waiting.
    pub(super) fn is_expired(&self) -> bool {
        let mut waiting = self.waiting.iter();
        !self.flags.is_open() && waiting.any(|message| *message == Message::Expired)
    }

    /// Bytes that wait behind the event that is being written. That one does not count, so that
    /// one event fits always, however large.
    pub(super) fn behind(&self) -> usize {
        match self.waiting.front() {
            // With TLS what is being written may be a record, of events that do not wait any more.
            _ if !self.flags.writable && self.unsent() > 0 => self.bytes - self.written as usize,
            Some(Message::Event(front)) => self.bytes - front.bytes(self.flags.chunked).len(),
            _ => self.bytes,
        }
    }

    /// Bytes that were written and that the socket has not taken (TLS).
    pub(super) fn unsent(&self) -> usize {
        self.socket.as_ref().map_or(0, Stream::unsent)
    }

    /// Bytes that are held for it: its part of each event that waits, and the places of all in its mailbox.
    pub(super) fn held(&self) -> usize {
        let part = |message: &Message| match message {
            Message::Event(frame) => {
                frame.bytes(self.flags.chunked).len() / Rc::strong_count(frame).max(1)
            }
            _ => 0,
        };
        self.unsent()
            + self
                .waiting
                .iter()
                .map(|message| PLACE + part(message))
                .sum::<usize>()
    }

    /// Bytes that wait, whether written already or not.
    pub(super) fn outstanding(&self) -> u64 {
        (self.bytes - self.written as usize + self.unsent()) as u64
    }

    /// The socket takes more: what it had not taken goes first.
    pub(super) fn push(&mut self) {
        // An error comes again when more is written or read.
        let pushed = self.socket.as_ref().map(Stream::push);
        self.flags.writable = !matches!(pushed, Some(Ok(false)));
    }

    /// Copies as many waiting events as fit, whole, to the start of `buffer`; their length.
    pub(super) fn join(&self, buffer: &mut [u8]) -> usize {
        let mut length = 0;
        let mut skip = self.written as usize;
        for message in self.waiting.iter() {
            let Message::Event(frame) = message else {
                break;
            };
            let bytes = &frame.bytes(self.flags.chunked)[skip..];
            let Some(place) = buffer.get_mut(length..length + bytes.len()) else {
                break;
            };
            place.copy_from_slice(bytes);
            length += bytes.len();
            skip = 0;
        }
        length
    }

    /// Takes `count` written bytes off the front; how many events were ended by them.
    pub(super) fn written(&mut self, count: usize) -> u64 {
        let mut left = count + self.written as usize;
        let mut events = 0;
        while let Some(Message::Event(front)) = self.waiting.front() {
            let length = front.bytes(self.flags.chunked).len();
            if left < length {
                break;
            }
            left -= length;
            events += u32::from(front.is_event());
            self.bytes -= length;
            self.waiting.pop();
        }
        self.written = left as u32;
        self.events += events;
        u64::from(events)
    }
}

/// Whether a client's stream is open.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// It is not.
    #[default]
    Closed,
    /// Events are written in chunks or plain.
    Open,
    /// And it does nothing but wait for what it is to write, or for what is to be read: see
    /// [`ClientHandle::work`](super::ClientHandle::work).
    AtRest,
}

impl Flags {
    pub(super) fn is_open(self) -> bool {
        self.opening != Opening::Closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_costs_a_client_nothing() {
        // Without one there would be as many: five numbers and eleven switches are 31 bytes.
        assert_eq!(size_of::<Flags>(), 12);
        assert!(size_of::<Slot>() <= 96, "{}", size_of::<Slot>());
    }
}
