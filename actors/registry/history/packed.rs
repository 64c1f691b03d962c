//! A kept event's content in one allocation.
//!
//! ```text
//! packed = flags: u8, then what they say is there, in this order:
//!          event: short, except: short, key: short, recipients: u32,
//!          of an update: flags: u8, its id: short, its retry: u64,
//!          number of targets: u32, targets; data: the rest
//! target = 0, token: short | 1, prefix: short | 2
//! short  = length: u16, text
//! ```
//!
//! The one target of an event that was for one is not in it: whoever keeps the event knows that.

use std::borrow::Cow;

use crate::model::mercure::{Draft, Update};
use crate::model::publication::Targets;
use crate::model::{ClientId, Publication, Target, Token};

const EVENT: u8 = 1;
const EXCEPT: u8 = 2;
const KEY: u8 = 4;
const TARGETS: u8 = 8;
const PRIVATE: u8 = 16;
const PUBLIC: u8 = 32;
const UPDATE: u8 = 64;

/// What an update has.
const EIGHT: u8 = 1;
const ABOUT: u8 = 2;
const ID: u8 = 4;
const RETRY: u8 = 8;

const TOKEN: u8 = 0;
const PREFIX: u8 = 1;
const ALL: u8 = 2;

/// A packed event.
#[derive(Debug, Default)]
pub(super) struct Packed(Box<[u8]>);

/// One target, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name<'a> {
    /// A whole token.
    Token(&'a str),
    /// All tokens that begin so.
    Prefix(&'a str),
    /// Every token.
    All,
}

/// What an event says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unpacked<'a> {
    pub(super) event: Option<&'a str>,
    pub(super) except: Option<&'a str>,
    pub(super) data: &'a str,
    pub(super) key: Option<KeyRef<'a>>,
    pub(super) private: Option<bool>,
    /// What it has as an update of the Mercure hub; its id stands beside.
    pub(super) update: Option<UpdateRef<'a>>,
    /// Its targets, where it was for several.
    pub(super) targets: Option<Names<'a>>,
}

/// What makes an event an update of the Mercure hub.
#[derive(Debug, Clone, Copy)]
pub(super) struct UpdateRef<'a> {
    flags: u8,
    id: Option<&'a str>,
    retry: Option<u64>,
}

impl UpdateRef<'_> {
    pub(super) fn update(&self) -> Update {
        let has = |flag: u8| self.flags & flag != 0;
        Update {
            id: self.id.map(Box::from),
            retry: self.retry,
            draft: if has(EIGHT) {
                Draft::Eight
            } else {
                Draft::Seven
            },
            about_subscription: has(ABOUT),
        }
    }
}

/// A publisher's key, and what it was answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyRef<'a> {
    pub(super) text: &'a str,
    /// How many subscribers the event went to.
    pub(super) recipients: u32,
}

/// The targets of an event that was for several, one after the other.
#[derive(Debug, Clone, Copy, Default)]
pub struct Names<'a> {
    left: u32,
    bytes: &'a [u8],
}

impl<'a> Name<'a> {
    /// The target's own.
    pub fn of(target: &'a Target) -> Self {
        match target {
            Target::Token(token) => Self::Token(token.as_str()),
            Target::Prefix(prefix) => Self::Prefix(prefix.as_str()),
            Target::All => Self::All,
        }
    }

    /// As publishers write it.
    pub fn text(self) -> Cow<'a, str> {
        match self {
            Self::Token(name) => Cow::Borrowed(name),
            Self::Prefix(prefix) => Cow::Owned(format!("{prefix}*")),
            Self::All => Cow::Borrowed("*"),
        }
    }

    fn to_target(self) -> Option<Target> {
        Some(match self {
            Self::Token(name) => Target::Token(Token::of_topic(name).ok()?),
            Self::Prefix(name) => Target::Prefix(Token::of_topic(name).ok()?),
            Self::All => Target::All,
        })
    }
}

impl Packed {
    pub(super) fn new(publication: &Publication, recipients: usize) -> Self {
        let Publication {
            to,
            except,
            event,
            data,
            key,
            private,
            update,
            retain: _,
        } = publication;
        let plain = except.is_none() && event.is_none() && key.is_none() && private.is_none();
        let plain = plain && update.is_none();
        if plain && matches!(to, Targets::One(_)) {
            let mut bytes = Vec::with_capacity(1 + data.len());
            bytes.push(0);
            bytes.extend_from_slice(data.as_bytes());
            return Self(bytes.into());
        }
        Self(pack(publication, recipients).into())
    }

    /// Its bytes.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether a subscriber was spared.
    pub(super) fn spares(&self) -> bool {
        self.0.first().is_some_and(|flags| flags & EXCEPT != 0)
    }

    /// Whether this subscriber was spared.
    pub(super) fn spares_one(&self, id: Option<&ClientId>) -> bool {
        let spared = id.filter(|_| self.spares());
        spared.is_some_and(|id| self.read().except == Some(id.as_str()))
    }

    pub(super) fn read(&self) -> Unpacked<'_> {
        // What cannot be read was never packed.
        read(&self.0).unwrap_or(Unpacked {
            event: None,
            except: None,
            data: "",
            key: None,
            private: None,
            update: None,
            targets: None,
        })
    }
}

impl Unpacked<'_> {
    /// The event as it was published, `to` being its target where it was for one.
    pub(super) fn publication(&self, to: Name<'_>) -> Option<Publication> {
        let to = match self.targets {
            None => Targets::One(to.to_target()?),
            Some(names) => Targets::Many(names.map(Name::to_target).collect::<Option<_>>()?),
        };
        let except = match self.except {
            None => None,
            Some(id) => Some(ClientId::new(id).ok()?),
        };
        Some(Publication {
            to,
            except,
            event: self.event.map(Box::from),
            data: self.data.into(),
            retain: true,
            private: self.private,
            key: self.key.map(|key| key.text.into()),
            update: self.update.map(|update| Box::new(update.update())),
        })
    }
}

fn pack(publication: &Publication, recipients: usize) -> Vec<u8> {
    let mut bytes = vec![0];
    let mut flags = 0;
    if let Some(event) = &publication.event {
        flags |= EVENT;
        put_short(event, &mut bytes);
    }
    if let Some(except) = &publication.except {
        flags |= EXCEPT;
        put_short(except.as_str(), &mut bytes);
    }
    if let Some(key) = &publication.key {
        flags |= KEY;
        put_short(key, &mut bytes);
        let recipients = u32::try_from(recipients).unwrap_or(u32::MAX);
        bytes.extend(recipients.to_le_bytes());
    }
    if let Some(update) = &publication.update {
        flags |= UPDATE;
        put_update(update, &mut bytes);
    }
    match publication.private {
        Some(true) => flags |= PRIVATE,
        Some(false) => flags |= PUBLIC,
        None => {}
    }
    if let Targets::Many(targets) = &publication.to {
        flags |= TARGETS;
        bytes.extend((targets.len() as u32).to_le_bytes());
        for target in targets {
            match target {
                Target::Token(token) => put_name(TOKEN, token, &mut bytes),
                Target::Prefix(prefix) => put_name(PREFIX, prefix, &mut bytes),
                Target::All => bytes.push(ALL),
            }
        }
    }
    bytes[0] = flags;
    bytes.reserve_exact(publication.data.len());
    bytes.extend_from_slice(publication.data.as_bytes());
    bytes
}

fn put_update(update: &Update, bytes: &mut Vec<u8>) {
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    bytes.push(
        flag(update.draft == Draft::Eight, EIGHT)
            | flag(update.about_subscription, ABOUT)
            | flag(update.id.is_some(), ID)
            | flag(update.retry.is_some(), RETRY),
    );
    if let Some(id) = &update.id {
        put_short(id, bytes);
    }
    if let Some(retry) = update.retry {
        bytes.extend(retry.to_le_bytes());
    }
}

fn put_name(kind: u8, token: &Token, bytes: &mut Vec<u8>) {
    bytes.push(kind);
    put_short(token.as_str(), bytes);
}

/// Names and keys have far fewer bytes than 65,536, as whoever made them has checked.
fn put_short(text: &str, bytes: &mut Vec<u8>) {
    debug_assert!(text.len() <= usize::from(u16::MAX), "a name is short");
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn read(bytes: &[u8]) -> Option<Unpacked<'_>> {
    let (&flags, rest) = bytes.split_first()?;
    let mut rest = Reader(rest);
    let has = |flag: u8| flags & flag != 0;
    let event = if has(EVENT) {
        Some(rest.short()?)
    } else {
        None
    };
    let except = if has(EXCEPT) {
        Some(rest.short()?)
    } else {
        None
    };
    let key = if has(KEY) {
        Some(KeyRef {
            text: rest.short()?,
            recipients: rest.number()?,
        })
    } else {
        None
    };
    let update = if has(UPDATE) {
        Some(rest.update()?)
    } else {
        None
    };
    let targets = if has(TARGETS) {
        Some(rest.names()?)
    } else {
        None
    };
    Some(Unpacked {
        event,
        except,
        data: std::str::from_utf8(rest.0).ok()?,
        key,
        private: if has(PRIVATE) {
            Some(true)
        } else {
            has(PUBLIC).then_some(false)
        },
        update,
        targets,
    })
}

impl<'a> Iterator for Names<'a> {
    type Item = Name<'a>;

    fn next(&mut self) -> Option<Name<'a>> {
        self.left = self.left.checked_sub(1)?;
        let mut rest = Reader(self.bytes);
        let name = rest.name()?;
        self.bytes = rest.0;
        Some(name)
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn names(&mut self) -> Option<Names<'a>> {
        let left = self.number()?;
        let bytes = self.0;
        for _ in 0..left {
            self.name()?;
        }
        Some(Names { left, bytes })
    }

    fn name(&mut self) -> Option<Name<'a>> {
        let (kind, rest) = self.0.split_first()?;
        self.0 = rest;
        match *kind {
            TOKEN => self.short().map(Name::Token),
            PREFIX => self.short().map(Name::Prefix),
            _ => Some(Name::All),
        }
    }

    fn update(&mut self) -> Option<UpdateRef<'a>> {
        let (&flags, rest) = self.0.split_first()?;
        self.0 = rest;
        let id = if flags & ID != 0 {
            Some(self.short()?)
        } else {
            None
        };
        let retry = if flags & RETRY != 0 {
            let (retry, rest) = self.0.split_first_chunk()?;
            self.0 = rest;
            Some(u64::from_le_bytes(*retry))
        } else {
            None
        };
        Some(UpdateRef { flags, id, retry })
    }

    fn short(&mut self) -> Option<&'a str> {
        let (length, rest) = self.0.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*number))
    }
}
