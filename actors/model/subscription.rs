//! What a subscriber asks for.

use super::{ClientId, EventId, Token};

/// What one stream listens to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subscription {
    /// The tokens, each once, in the order they were asked for.
    pub tokens: Vec<Token>,
    /// Whether it asked for `*`, every token.
    pub all: bool,
    /// The name it gave itself.
    pub id: Option<ClientId>,
}

/// Where a stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// With what is published from now on.
    Live,
    /// After the last event, or position, that the subscriber has; none if what it said is no id.
    After(Option<EventId>),
    /// With the last so many kept events of each of its tokens.
    Recent(usize),
}
