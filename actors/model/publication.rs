//! What a publisher asks for.

use foldhash::HashMap;

use super::mercure::Update;
use super::{ClientId, Token};

/// Whom a message is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The subscribers of one token (and whoever subscribed to `*`).
    Token(Token),
    /// The subscribers of every token that begins with this text (1–255 bytes, no `*`, no
    /// control characters).
    Prefix(Token),
    /// Every subscriber.
    All,
}

/// One message, checked, before it has an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Whom it is for; a subscriber that several of them match gets one event.
    pub to: Targets,
    /// The subscribers that are spared: those with this id.
    pub except: Option<ClientId>,
    /// The event's name; without one a browser calls it `message`. No CR or LF in it.
    pub event: Option<Box<str>>,
    /// The text, with any line ends.
    pub data: Box<str>,
    /// Whether it is kept for replay.
    pub retain: bool,
    /// What it has besides as an update of the Mercure hub; none = it came from elsewhere.
    // Boxed: nearly no message has it.
    pub update: Option<Box<Update>>,
    /// Whether only those may read it who have a right to it, where the publisher says so; none: where
    /// it is published decides. Only a Mercure hub makes a difference.
    pub private: Option<bool>,
    /// The name that a publisher gives to this message so that sending it again publishes nothing
    /// (1–255 bytes, no control characters).
    pub key: Option<Box<str>>,
}

/// The first key that two messages have that do not say the same to the same.
pub fn key_clash(publications: &[Publication]) -> Option<&str> {
    let mut known: HashMap<&str, &Publication> = HashMap::default();
    publications.iter().find_map(|publication| {
        let key = publication.key.as_deref()?;
        let first = known.entry(key).or_insert(publication);
        let same = first.to == publication.to
            && first.event == publication.event
            && first.data == publication.data;
        (!same).then_some(key)
    })
}

/// One target or several, without an allocation for the usual one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Targets {
    /// One target.
    One(Target),
    /// Several, at least two.
    Many(Box<[Target]>),
}

impl Targets {
    /// What keeping them costs: their text, and two bytes each.
    pub fn bytes(&self) -> usize {
        let one = |target: &Target| match target {
            Target::Token(token) | Target::Prefix(token) => token.as_str().len() + 2,
            Target::All => 2,
        };
        self.as_slice().iter().map(one).sum()
    }

    /// All of them.
    pub fn as_slice(&self) -> &[Target] {
        match self {
            Self::One(target) => std::slice::from_ref(target),
            Self::Many(targets) => targets,
        }
    }
}

impl Publication {
    /// A plain message to one target.
    pub fn new(to: Target, data: impl Into<Box<str>>) -> Self {
        Self {
            to: Targets::One(to),
            except: None,
            event: None,
            data: data.into(),
            retain: true,
            private: None,
            update: None,
            key: None,
        }
    }
}
