//! How one entry of the history file is written.
//!
//! ```text
//! frame  = length of body: u32, CRC-32 of salt, length and body: u32, body
//! body   = 1, id: u64, microseconds since 1970: u64,
//!          number of targets: u32, targets, except: short, event: short, data: the rest
//!        | 2, id: u64                       a hole: no event up to this id counts any more
//!        | 3, id: u64, microseconds since 1970: u64, flags: u8,
//!          number of targets: u32, targets, except: long, event: long,
//!          of an update that has them: its id: long, its retry: u64; data: the rest
//! target = 0, token: short | 1, prefix: short | 2
//! short  = length: u8, text; empty for none
//! long   = length: u16, text; empty for none; in targets too
//! ```
//!
//! What the first form cannot say has the third: a message that says whether it is private, an update of
//! the Mercure hub, a topic of more than 255 bytes.
//!
//! Numbers are little-endian, texts UTF-8. The salt is the file's own, so that nothing a publisher
//! writes, and nothing left over from an older file, is ever taken for a frame.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crc32fast::Hasher;

use crate::model::mercure::{Draft, Update};
use crate::model::publication::Targets;
use crate::model::{ClientId, EventId, Publication, Record, Target, Token};

/// Bytes before the body.
pub(super) const HEAD: usize = 8;
/// Bytes of a record's frame besides targets and text.
pub(super) const FIXED: usize = HEAD + 23;
/// Bytes of a hole's frame.
pub(super) const HOLE_LENGTH: usize = HEAD + SHORTEST;
/// Bytes of the shortest body, that of a hole.
const SHORTEST: usize = 9;

const RECORD: u8 = 1;
const HOLE: u8 = 2;
const EXTENDED: u8 = 3;

/// What an extended record is.
const PRIVATE: u8 = 1;
const PUBLIC: u8 = 2;
const UPDATE: u8 = 4;
const EIGHT: u8 = 8;
const ABOUT: u8 = 16;
const ID: u8 = 32;
const RETRY: u8 = 64;

const TOKEN: u8 = 0;
const PREFIX: u8 = 1;
const ALL: u8 = 2;

/// What a frame holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// An event.
    Record(Record),
    /// Events up to this id may be missing.
    Hole(EventId),
}

/// A frame's head.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    length: u32,
    checksum: u32,
}

impl Head {
    pub(super) fn decode(bytes: [u8; HEAD]) -> Self {
        let [a, b, c, d, e, f, g, h] = bytes;
        Self {
            length: u32::from_le_bytes([a, b, c, d]),
            checksum: u32::from_le_bytes([e, f, g, h]),
        }
    }

    /// The bytes of the body; `None` when no body is that short.
    pub(super) fn body(self) -> Option<usize> {
        Some(self.length as usize).filter(|length| *length >= SHORTEST)
    }

    /// What the body holds; `None` when it is not as it was written.
    pub(super) fn entry(self, body: &[u8], salt: u32) -> Option<Entry> {
        if checksum(salt, self.length, body) == self.checksum {
            Reader(body).entry()
        } else {
            None
        }
    }
}

/// The bytes of a record's frame; `None` for one that is too long for any.
pub(super) fn length(record: &Record) -> Option<usize> {
    let publication = &record.publication;
    let targets = publication.to.as_slice().iter().map(|target| match target {
        Target::Token(token) | Target::Prefix(token) => 2 + token.as_str().len(),
        Target::All => 1,
    });
    let besides = match is_extended(publication) {
        false => 0,
        true => {
            let update = publication.update.as_deref();
            let id = update.and_then(|update| update.id.as_ref());
            let retry = update.and_then(|update| update.retry);
            let targets = publication.to.as_slice().iter();
            let named = targets.filter(|target| **target != Target::All).count();
            // The flags, and the second byte of each length.
            1 + named + 2 + id.map_or(0, |id| 2 + id.len()) + retry.map_or(0, |_| 8)
        }
    };
    let except = publication
        .except
        .as_ref()
        .map_or(0, |id| id.as_str().len());
    let event = publication.event.as_ref().map_or(0, |event| event.len());
    let length = FIXED + targets.sum::<usize>() + besides + except + event + publication.data.len();
    u32::try_from(length).ok().map(|_| length)
}

/// Appends a record's frame.
pub(super) fn put_record(record: &Record, salt: u32, out: &mut Vec<u8>) {
    put(salt, out, |out| {
        let extended = is_extended(&record.publication);
        out.push(if extended { EXTENDED } else { RECORD });
        out.extend(record.id.0.to_le_bytes());
        out.extend(micros(record.at).to_le_bytes());
        match extended {
            true => put_extended(&record.publication, out),
            false => put_publication(&record.publication, out),
        }
    });
}

/// Whether a message has something that only an extended record can say.
pub(crate) fn is_extended(publication: &Publication) -> bool {
    let long = |target: &Target| match target {
        Target::Token(token) | Target::Prefix(token) => token.as_str().len() > usize::from(u8::MAX),
        Target::All => false,
    };
    publication.private.is_some()
        || publication.update.is_some()
        || publication.to.as_slice().iter().any(long)
}

/// As [`put_publication`], for a message that [is extended](is_extended).
pub(crate) fn put_extended(publication: &Publication, out: &mut Vec<u8>) {
    let update = publication.update.as_deref();
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    let has = |what: fn(&Update) -> bool| update.is_some_and(what);
    out.push(
        flag(publication.private == Some(true), PRIVATE)
            | flag(publication.private == Some(false), PUBLIC)
            | flag(update.is_some(), UPDATE)
            | flag(has(|update| update.draft == Draft::Eight), EIGHT)
            | flag(has(|update| update.about_subscription), ABOUT)
            | flag(has(|update| update.id.is_some()), ID)
            | flag(has(|update| update.retry.is_some()), RETRY),
    );
    let targets = publication.to.as_slice();
    out.extend((targets.len() as u32).to_le_bytes());
    for target in targets {
        let (kind, name) = match target {
            Target::Token(token) => (TOKEN, Some(token)),
            Target::Prefix(token) => (PREFIX, Some(token)),
            Target::All => (ALL, None),
        };
        out.push(kind);
        if let Some(name) = name {
            put_long(name.as_str(), out);
        }
    }
    let except = publication.except.as_ref();
    put_long(except.map_or("", ClientId::as_str), out);
    put_long(publication.event.as_deref().unwrap_or_default(), out);
    if let Some(id) = update.and_then(|update| update.id.as_deref()) {
        put_long(id, out);
    }
    if let Some(retry) = update.and_then(|update| update.retry) {
        out.extend(retry.to_le_bytes());
    }
    out.extend_from_slice(publication.data.as_bytes());
}

/// Reads what [`put_extended`] has written; `None` for what it has not.
pub(crate) fn extended(bytes: &[u8]) -> Option<Publication> {
    Reader(bytes).extended()
}

/// Topics have at most 16 KiB, as whoever made them has checked.
fn put_long(text: &str, out: &mut Vec<u8>) {
    out.extend((text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Appends what a message says, and to whom: all that is in a record's body behind its times. Whether
/// it is kept for replay is not written.
pub(crate) fn put_publication(publication: &Publication, out: &mut Vec<u8>) {
    let targets = publication.to.as_slice();
    out.extend((targets.len() as u32).to_le_bytes());
    for target in targets {
        match target {
            Target::Token(token) => put_name(TOKEN, token, out),
            Target::Prefix(token) => put_name(PREFIX, token, out),
            Target::All => out.push(ALL),
        }
    }
    put_short(
        publication.except.as_ref().map_or("", ClientId::as_str),
        out,
    );
    put_short(publication.event.as_deref().unwrap_or_default(), out);
    out.extend_from_slice(publication.data.as_bytes());
}

/// Reads what [`put_publication`] has written; `None` for what it has not.
pub(crate) fn publication(bytes: &[u8]) -> Option<Publication> {
    Reader(bytes).publication()
}

/// Appends a hole's frame.
pub(super) fn put_hole(id: EventId, salt: u32, out: &mut Vec<u8>) {
    put(salt, out, |out| {
        out.push(HOLE);
        out.extend(id.0.to_le_bytes());
    });
}

/// Appends a frame with any body.
#[cfg(test)]
pub(super) fn put_raw(body: &[u8], salt: u32, out: &mut Vec<u8>) {
    put(salt, out, |out| out.extend_from_slice(body));
}

fn put(salt: u32, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; HEAD]);
    body(out);
    let length = (out.len() - start - HEAD) as u32;
    let checksum = checksum(salt, length, &out[start + HEAD..]);
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..start + HEAD].copy_from_slice(&checksum.to_le_bytes());
}

fn put_name(kind: u8, token: &Token, out: &mut Vec<u8>) {
    out.push(kind);
    put_short(token.as_str(), out);
}

/// Names have at most 255 bytes, as whoever made them has checked.
fn put_short(text: &str, out: &mut Vec<u8>) {
    out.push(text.len() as u8);
    out.extend_from_slice(text.as_bytes());
}

fn checksum(salt: u32, length: u32, body: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(&length.to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}

/// A time as the file has it: microseconds since 1970, no earlier.
pub(super) fn micros(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| {
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    })
}

/// Takes a body apart.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn entry(mut self) -> Option<Entry> {
        let kind = self.byte()?;
        let id = EventId(self.number()?);
        if id.0 >= EventId::END {
            return None;
        }
        match kind {
            RECORD => self.record(id, Self::publication).map(Entry::Record),
            EXTENDED => self.record(id, Self::extended).map(Entry::Record),
            HOLE if self.0.is_empty() => Some(Entry::Hole(id)),
            _ => None,
        }
    }

    fn record(mut self, id: EventId, read: fn(Self) -> Option<Publication>) -> Option<Record> {
        let at = UNIX_EPOCH.checked_add(Duration::from_micros(self.number()?))?;
        let publication = read(self)?;
        Some(Record {
            id,
            at,
            publication,
        })
    }

    fn publication(mut self) -> Option<Publication> {
        let count = u32::from_le_bytes(*self.take()?);
        let to = match count {
            0 => return None,
            1 => Targets::One(self.target()?),
            // Collected as they are read: a count that is wrong allocates nothing.
            _ => Targets::Many((0..count).map(|_| self.target()).collect::<Option<_>>()?),
        };
        let except = match self.short()? {
            "" => None,
            id => Some(ClientId::new(id).ok()?),
        };
        let event = Some(self.short()?).filter(|event| !event.is_empty());
        Some(Publication {
            to,
            except,
            event: event.map(Box::from),
            data: std::str::from_utf8(self.0).ok()?.into(),
            retain: true,
            private: None,
            key: None,
            update: None,
        })
    }

    fn extended(mut self) -> Option<Publication> {
        let flags = self.byte()?;
        let has = |flag: u8| flags & flag != 0;
        let count = u32::from_le_bytes(*self.take()?);
        let to = match count {
            0 => return None,
            1 => Targets::One(self.long_target()?),
            _ => Targets::Many(
                (0..count)
                    .map(|_| self.long_target())
                    .collect::<Option<_>>()?,
            ),
        };
        let except = match self.long()? {
            "" => None,
            id => Some(ClientId::new(id).ok()?),
        };
        let event = Some(self.long()?).filter(|event| !event.is_empty());
        let id = match has(ID) {
            true => Some(self.long()?.into()),
            false => None,
        };
        let retry = match has(RETRY) {
            true => Some(self.number()?),
            false => None,
        };
        let update = has(UPDATE).then(|| {
            Box::new(Update {
                id,
                retry,
                draft: if has(EIGHT) {
                    Draft::Eight
                } else {
                    Draft::Seven
                },
                about_subscription: has(ABOUT),
            })
        });
        Some(Publication {
            to,
            except,
            event: event.map(Box::from),
            data: std::str::from_utf8(self.0).ok()?.into(),
            retain: true,
            private: match has(PRIVATE) {
                true => Some(true),
                false => has(PUBLIC).then_some(false),
            },
            key: None,
            update,
        })
    }

    fn long_target(&mut self) -> Option<Target> {
        match self.byte()? {
            TOKEN => Some(Target::Token(Token::of_topic(self.long()?).ok()?)),
            PREFIX => Some(Target::Prefix(Token::of_topic(self.long()?).ok()?)),
            ALL => Some(Target::All),
            _ => None,
        }
    }

    fn long(&mut self) -> Option<&'a str> {
        let length = u16::from_le_bytes(*self.take()?).into();
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    fn target(&mut self) -> Option<Target> {
        match self.byte()? {
            TOKEN => Some(Target::Token(self.token()?)),
            PREFIX => Some(Target::Prefix(self.token()?)),
            ALL => Some(Target::All),
            _ => None,
        }
    }

    fn token(&mut self) -> Option<Token> {
        Token::new(self.short()?).ok()
    }

    fn short(&mut self) -> Option<&'a str> {
        let length = self.byte()?.into();
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(|bytes| u64::from_le_bytes(*bytes))
    }

    fn byte(&mut self) -> Option<u8> {
        self.take().map(|[byte]| *byte)
    }

    fn take<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(bytes)
    }
}
