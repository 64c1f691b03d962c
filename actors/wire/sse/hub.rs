//! Blocks for the clients of the Mercure hub: ids are texts, the hub's own begin with `#`.

use super::{Frame, Lines};
use crate::model::EventId;
use crate::model::mercure::Update;

/// An id of the hub's own, as a text.
pub fn hub_id(id: EventId) -> String {
    format!("#{id}")
}

impl Frame {
    /// An event as the hub's clients get it: with the id and the reconnection time that its publisher
    /// gave it, if it did.
    pub fn update(id: EventId, update: Option<&Update>, name: Option<&str>, data: &str) -> Self {
        let given = update.and_then(|update| update.id.as_deref());
        let id = given.map_or_else(|| hub_id(id), str::to_owned);
        let retry = update.and_then(|update| update.retry);
        let room = id.len() + name.map_or(0, str::len) + data.len() + 48;
        Self::new(room, true, |block| {
            block.extend_from_slice(b"id: ");
            block.extend_from_slice(id.as_bytes());
            if let Some(name) = name {
                block.extend_from_slice(b"\nevent: ");
                block.extend_from_slice(name.as_bytes());
            }
            if let Some(retry) = retry {
                block.extend_from_slice(b"\nretry: ");
                block.extend_from_slice(itoa::Buffer::new().format(retry).as_bytes());
            }
            for line in Lines::of(data.as_bytes()) {
                block.extend_from_slice(b"\ndata: ");
                block.extend_from_slice(line);
            }
            block.extend_from_slice(b"\n\n");
        })
    }

    /// A position block of the hub.
    pub fn hub_position(id: EventId) -> Self {
        Self::of_number("id: #", id.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::mercure::Draft;

    fn plain(frame: &Frame) -> String {
        String::from_utf8_lossy(frame.bytes(false)).into_owned()
    }

    #[test]
    fn an_update_has_its_own_id_and_time() {
        let mut update = Update::new(Draft::Eight);
        let frame = Frame::update(EventId(7), Some(&update), None, "a\nb");
        assert_eq!(plain(&frame), "id: #7\ndata: a\ndata: b\n\n");
        update.id = Some("urn:x".into());
        update.retry = Some(5);
        let frame = Frame::update(EventId(7), Some(&update), Some("t"), "");
        assert_eq!(plain(&frame), "id: urn:x\nevent: t\nretry: 5\ndata: \n\n");
        assert!(frame.is_event());
        assert_eq!(
            plain(&Frame::update(EventId(7), None, None, "x")),
            "id: #7\ndata: x\n\n"
        );
        let position = Frame::hub_position(EventId(8));
        assert_eq!(
            (&*plain(&position), position.is_event()),
            ("id: #8\n\n", false)
        );
    }
}
