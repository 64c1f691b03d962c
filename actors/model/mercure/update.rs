//! What a message of the Mercure hub has besides what every message has.

/// One of the two forms of the Mercure protocol, by the number of its draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Draft {
    /// Draft 7 (0.x): `topic=`, URI Templates, the claim `mercure`.
    Seven,
    /// Draft 8 (1.0): `match=`, URL patterns, `authorization_details`.
    Eight,
}

/// What makes a message an update of the hub. Its topics are the message's targets, its type is the
/// message's event name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The id that its publisher gave it: 1 to 4,096 bytes without control characters.
    pub id: Option<Box<str>>,
    /// The reconnection time that its publisher wants clients to have, in milliseconds.
    pub retry: Option<u64>,
    /// In which form it was published.
    pub draft: Draft,
    /// Whether it is an event about a subscription, which the hub publishes itself and only clients of
    /// the same form get.
    pub about_subscription: bool,
}

impl Update {
    /// An update without an id and a time of its own.
    pub fn new(draft: Draft) -> Self {
        Self {
            id: None,
            retry: None,
            draft,
            about_subscription: false,
        }
    }

    /// What keeping it costs besides the message.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.id.as_ref().map_or(0, |id| id.len())
    }
}
