//! How one entry of the history file is written.
//!
//! ```text
//! frame  = length of body: u32, CRC-32 of salt, length and body: u32, body
//! body   = 3 | 4, id: u64, microseconds since 1970: u64, flags: u8,
//!          number of targets: u32, targets, except: text, event: text,
//!          if flags has 1: key: text, recipients: u32;
//!          if flags has 64: id: text; if it has 128: retry: u64; data: the rest
//!        | 2, id: u64                       a hole: any event up to this id may be missing
//!        | 5                                a base: what is kept follows once more, as copies (4)
//!        | 6, id: u64, target               of this target everything up to this id was let go
//!        | 1, id: u64, microseconds since 1970: u64, message    as the first versions wrote events
//! flags  = 1 a key | 2 private | 4 not private | 8 an update of the Mercure hub: 16 of draft 8,
//!          32 about a subscription, 64 with an id, 128 with a reconnection time
//! target = 0, token: text | 1, prefix: text | 2
//! text   = length: u16, text; empty for none
//! message = number of targets: u32, targets, except: short, event: short, data: the rest, where texts
//!          in targets are short
//! short  = length: u8, text; empty for none
//! ```
//!
//! Numbers are little-endian, texts UTF-8. The salt is the file's own, so that nothing a publisher
//! writes, and nothing left over from an older file, is ever taken for a frame.

mod reader;

use std::time::{SystemTime, UNIX_EPOCH};

use crc32fast::Hasher;

use crate::model::mercure::{Draft, Update};
use crate::model::{ClientId, EventId, Publication, Record, Target, Token};
use reader::Reader;

/// Bytes before the body.
pub(super) const HEAD: usize = 8;
/// Bytes of the shortest body, that of a base.
const SHORTEST: usize = 1;

const OLD_RECORD: u8 = 1;
const HOLE: u8 = 2;
const RECORD: u8 = 3;
const COPY: u8 = 4;
const BASE: u8 = 5;
const MARK: u8 = 6;

const KEY: u8 = 1;
const PRIVATE: u8 = 2;
const PUBLIC: u8 = 4;
const UPDATE: u8 = 8;
const EIGHT: u8 = 16;
const ABOUT: u8 = 32;
const ID: u8 = 64;
const RETRY: u8 = 128;

const TOKEN: u8 = 0;
const PREFIX: u8 = 1;
const ALL: u8 = 2;

/// What a frame holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// An event.
    Record(Record),
    /// An event that was written before, and is still kept.
    Copy(Record),
    /// Events up to this id may be missing.
    Hole(EventId),
    /// What follows is everything that is kept.
    Base,
    /// Everything of a target up to this id was let go.
    Mark(Target, EventId),
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

    /// Begins to check a body that comes in parts.
    pub(super) fn check(self, salt: u32) -> Hasher {
        let mut hasher = Hasher::new();
        hasher.update(&salt.to_le_bytes());
        hasher.update(&self.length.to_le_bytes());
        hasher
    }

    /// Whether a body is as it was written, of which all parts were checked.
    pub(super) fn is_right(self, check: Hasher) -> bool {
        check.finalize() == self.checksum
    }

    /// The id of the event whose body begins so.
    pub(super) fn id_of(body: &[u8]) -> Option<EventId> {
        let id = u64::from_le_bytes(*body.get(1..)?.first_chunk()?);
        (id < EventId::END).then_some(EventId(id))
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

/// What frames hold that stand one behind the other; `None` when they are not as they were written.
pub(crate) fn entries(mut frames: &[u8], salt: u32) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    while let Some((head, rest)) = frames.split_first_chunk() {
        let head = Head::decode(*head);
        let (body, rest) = rest.split_at_checked(head.body()?)?;
        entries.push(head.entry(body, salt)?);
        frames = rest;
    }
    frames.is_empty().then_some(entries)
}

/// Appends a record's frame.
pub(super) fn put_record(record: &Record, salt: u32, out: &mut Vec<u8>) {
    put(salt, out, |out| put_body(RECORD, record, out));
}

/// Appends the frame of a record that was written before.
pub(crate) fn put_copy(record: &Record, salt: u32, out: &mut Vec<u8>) {
    put(salt, out, |out| put_body(COPY, record, out));
}

/// Appends a base's frame.
pub(super) fn put_base(salt: u32, out: &mut Vec<u8>) {
    put(salt, out, |out| out.push(BASE));
}

/// Appends a mark's frame.
pub(crate) fn put_mark(target: &Target, id: EventId, salt: u32, out: &mut Vec<u8>) {
    put(salt, out, |out| {
        out.push(MARK);
        out.extend(id.0.to_le_bytes());
        put_target(target, out);
    });
}

fn put_body(kind: u8, record: &Record, out: &mut Vec<u8>) {
    out.push(kind);
    out.extend(record.id.0.to_le_bytes());
    out.extend(micros(record.at).to_le_bytes());
    put_message(&record.publication, record.recipients, out);
}

/// Whether a message has something that only [`put_message`] can write.
pub(crate) fn is_extended(publication: &Publication) -> bool {
    let long = |target: &Target| match target {
        Target::Token(token) | Target::Prefix(token) => token.as_str().len() > usize::from(u8::MAX),
        Target::All => false,
    };
    publication.private.is_some()
        || publication.key.is_some()
        || publication.update.is_some()
        || publication.to.as_slice().iter().any(long)
}

/// Appends all that is in a record's body behind its times. Whether it is kept for replay is not written.
pub(crate) fn put_message(publication: &Publication, recipients: u32, out: &mut Vec<u8>) {
    let private = match publication.private {
        Some(true) => PRIVATE,
        Some(false) => PUBLIC,
        None => 0,
    };
    let key = publication.key.as_deref();
    let update = publication.update.as_deref();
    out.push(private | key.map_or(0, |_| KEY) | update.map_or(0, flags_of));
    let targets = publication.to.as_slice();
    out.extend((targets.len() as u32).to_le_bytes());
    for target in targets {
        put_target(target, out);
    }
    let except = publication.except.as_ref();
    put_text(except.map_or("", ClientId::as_str), out);
    put_text(publication.event.as_deref().unwrap_or_default(), out);
    if let Some(key) = key {
        put_text(key, out);
        out.extend(recipients.to_le_bytes());
    }
    if let Some(id) = update.and_then(|update| update.id.as_deref()) {
        put_text(id, out);
    }
    if let Some(retry) = update.and_then(|update| update.retry) {
        out.extend(retry.to_le_bytes());
    }
    out.extend_from_slice(publication.data.as_bytes());
}

/// What the flags say of an update.
fn flags_of(update: &Update) -> u8 {
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    UPDATE
        | flag(update.draft == Draft::Eight, EIGHT)
        | flag(update.about_subscription, ABOUT)
        | flag(update.id.is_some(), ID)
        | flag(update.retry.is_some(), RETRY)
}

/// Reads what [`put_message`] has written; `None` for what it has not.
pub(crate) fn message(bytes: &[u8]) -> Option<Publication> {
    let (publication, _) = Reader(bytes).message()?;
    Some(publication)
}

fn put_target(target: &Target, out: &mut Vec<u8>) {
    match target {
        Target::Token(token) => {
            out.push(TOKEN);
            put_text(token.as_str(), out);
        }
        Target::Prefix(prefix) => {
            out.push(PREFIX);
            put_text(prefix.as_str(), out);
        }
        Target::All => out.push(ALL),
    }
}

/// Names and keys have far fewer bytes than 65,536, as whoever made them has checked.
fn put_text(text: &str, out: &mut Vec<u8>) {
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
