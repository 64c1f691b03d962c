//! What a subscriber asks for.

use super::{ClientId, Token};

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
