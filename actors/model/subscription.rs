//! What a subscriber asks for.

use super::mercure::Listener;
use super::{ClientId, EventId, Token};

/// What one stream listens to, and what it looks like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subscription {
    /// The tokens, each once, in the order they were asked for.
    pub tokens: Vec<Token>,
    /// Whether it asked for `*`, every token.
    pub all: bool,
    /// The name it gave itself.
    pub id: Option<ClientId>,
    /// What its blocks look like.
    pub form: Form,
    /// Whether it asked to be told who else is there.
    pub presence: bool,
    /// What it asks of the Mercure hub, if that is what it asks.
    // Boxed: most have none.
    pub hub: Option<Box<Listener>>,
    /// Whether it was asked for on the control port: it may read everything, and counts for no limit of
    /// subscribers.
    pub inside: bool,
}

/// Who a client is for others that ask who is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Member {
    /// Its id, where nobody else can take it: without a key any, with one a signed one. A client
    /// without one is only counted.
    pub id: Option<ClientId>,
    /// What is shown of it: JSON in one line.
    pub info: Option<Box<str>>,
}

/// What the blocks of a stream look like. One byte, as every open stream has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Form(u8);

/// How a stream says where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Positions {
    /// By blocks of an `id:` alone, of which browsers show nothing.
    #[default]
    Blocks,
    /// By events named `ping` (`ping=1`).
    Pings,
    /// Not at all (`positions=0`): for clients that show a block without data as an empty message.
    None,
    /// By blocks of an `id:` that begins with `#`: a stream of the Mercure hub.
    Hub,
}

impl Form {
    const JSON: u8 = 4;
    const INSIDE: u8 = 8;
    const POSITIONS: u8 = 3;

    /// A form; `json`: each event is one line of JSON (`format=json`).
    pub fn new(json: bool, positions: Positions) -> Self {
        Self(positions as u8 | if json { Self::JSON } else { 0 })
    }

    /// That of the Mercure hub's streams.
    pub fn hub() -> Self {
        Self::new(false, Positions::Hub)
    }

    /// The same for a stream on the control port, which may read everything.
    pub fn for_inside(self) -> Self {
        Self(self.0 | Self::INSIDE)
    }

    /// Whether it is that of a stream on the control port.
    pub fn is_inside(self) -> bool {
        self.0 & Self::INSIDE != 0
    }

    /// Whether it is a stream of the Mercure hub.
    pub fn is_hub(self) -> bool {
        self.positions() == Positions::Hub
    }

    /// Whether each event is one line of JSON.
    pub fn is_json(self) -> bool {
        self.0 & Self::JSON != 0
    }

    /// How it says where it stands.
    pub fn positions(self) -> Positions {
        match self.0 & Self::POSITIONS {
            0 => Positions::Blocks,
            1 => Positions::Pings,
            2 => Positions::None,
            _ => Positions::Hub,
        }
    }
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
    /// With everything that is kept; `gap`: what the subscriber said is the id of nothing that is known.
    Earliest {
        /// See above.
        gap: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_what_it_was_made_of() {
        for positions in [
            Positions::Blocks,
            Positions::Pings,
            Positions::None,
            Positions::Hub,
        ] {
            for json in [false, true] {
                let form = Form::new(json, positions);
                assert_eq!((form.is_json(), form.positions()), (json, positions));
            }
        }
        assert_eq!(Form::default(), Form::new(false, Positions::Blocks));
        assert_eq!(size_of::<Form>(), 1);
    }
}
