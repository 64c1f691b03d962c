//! A client's mailbox: empty for nearly everyone, one message for some, many for few; bounded in bytes.

use std::collections::VecDeque;

use crate::messages::client::Message;

/// What waits for one client. Sixteen bytes while it is empty, as there are very many.
#[derive(Debug, Default)]
pub(super) enum Waiting {
    /// Nothing.
    #[default]
    Empty,
    /// One message, without an allocation.
    One(Message),
    /// Several.
    // Boxed: a bare VecDeque would double the size of every idle client's cell.
    #[expect(clippy::box_collection, reason = "see the line above")]
    Many(Box<VecDeque<Message>>),
}

impl Waiting {
    /// Adds a message at the end.
    #[inline]
    pub(super) fn push(&mut self, message: Message) {
        *self = match std::mem::take(self) {
            Self::Empty => Self::One(message),
            Self::One(first) => Self::Many(Box::new(VecDeque::from([first, message]))),
            Self::Many(mut queue) => {
                queue.push_back(message);
                Self::Many(queue)
            }
        };
    }

    /// The message at the front.
    #[inline]
    pub(super) fn front(&self) -> Option<&Message> {
        match self {
            Self::Empty => None,
            Self::One(message) => Some(message),
            Self::Many(queue) => queue.front(),
        }
    }

    /// Takes the message at the front.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Message> {
        match self {
            Self::Many(queue) => {
                let message = queue.pop_front();
                if queue.is_empty() {
                    *self = Self::Empty;
                }
                message
            }
            _ => match std::mem::take(self) {
                Self::One(message) => Some(message),
                _ => None,
            },
        }
    }

    /// The messages in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Message> {
        let (one, many) = match self {
            Self::Empty => (None, None),
            Self::One(message) => (Some(message), None),
            Self::Many(queue) => (None, Some(queue.iter())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// How many messages wait.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(_) => 1,
            Self::Many(queue) => queue.len(),
        }
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    use crate::model::EventId;
    use crate::wire::sse::Frame;

    fn event(id: u64) -> Message {
        Message::Event(Rc::new(Frame::position(EventId(id))))
    }

    #[test]
    fn messages_come_out_in_order_and_leave_nothing_behind() {
        for count in 0..5 {
            let mut waiting = Waiting::default();
            for n in 0..count {
                waiting.push(event(n));
            }
            assert_eq!(waiting.len() as u64, count);
            assert_eq!(waiting.iter().count() as u64, count);
            for n in 0..count {
                let expected = event(n);
                assert_eq!(waiting.front(), Some(&expected));
                assert_eq!(waiting.pop(), Some(expected));
            }
            assert!(waiting.is_empty() && waiting.pop().is_none());
        }
    }

    #[test]
    fn an_idle_client_pays_little() {
        assert!(size_of::<Waiting>() <= 24);
    }
}
