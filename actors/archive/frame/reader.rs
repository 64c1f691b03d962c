//! How a frame's body is read: nothing that is not as it was written is taken.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{
    ABOUT, ALL, BASE, COPY, EIGHT, Entry, HOLE, ID, KEY, MARK, OLD_RECORD, PREFIX, PRIVATE, PUBLIC,
    RECORD, RETRY, TOKEN, UPDATE,
};
use crate::model::mercure::{Draft, Update};
use crate::model::names::check_event;
use crate::model::publication::Targets;
use crate::model::{ClientId, EventId, Publication, Record, Target, Token};

/// Takes a body apart.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn entry(mut self) -> Option<Entry> {
        let kind = self.byte()?;
        if kind == BASE {
            return self.0.is_empty().then_some(Entry::Base);
        }
        let id = EventId(self.number()?);
        if id.0 >= EventId::END {
            return None;
        }
        match kind {
            OLD_RECORD => self.old_record(id).map(Entry::Record),
            RECORD => self.record(id).map(Entry::Record),
            COPY => self.record(id).map(Entry::Copy),
            HOLE if self.0.is_empty() => Some(Entry::Hole(id)),
            MARK => {
                let target = self.long_target()?;
                self.0.is_empty().then_some(Entry::Mark(target, id))
            }
            _ => None,
        }
    }

    fn time(&mut self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_micros(self.number()?))
    }

    fn old_record(mut self, id: EventId) -> Option<Record> {
        let at = self.time()?;
        let publication = self.publication()?;
        Some(Record {
            id,
            at,
            publication,
            recipients: 0,
        })
    }

    fn record(mut self, id: EventId) -> Option<Record> {
        let at = self.time()?;
        let (publication, recipients) = self.message()?;
        Some(Record {
            id,
            at,
            publication,
            recipients,
        })
    }

    pub(super) fn message(mut self) -> Option<(Publication, u32)> {
        let flags = self.byte()?;
        let to = self.targets(Self::long_target)?;
        let except = match self.text()? {
            "" => None,
            id => Some(ClientId::new(id).ok()?),
        };
        let event = event_name(self.text()?)?;
        let (mut key, mut recipients) = (None, 0);
        if flags & KEY != 0 {
            key = Some(self.text()?.into());
            recipients = u32::from_le_bytes(*self.take()?);
        }
        let update = self.update(flags)?;
        let publication = Publication {
            to,
            except,
            event,
            data: std::str::from_utf8(self.0).ok()?.into(),
            retain: true,
            private: match (flags & PRIVATE != 0, flags & PUBLIC != 0) {
                (true, _) => Some(true),
                (false, true) => Some(false),
                (false, false) => None,
            },
            key,
            update,
        };
        Some((publication, recipients))
    }

    /// What makes the message an update, if something does; `None` where that is cut off.
    fn update(&mut self, flags: u8) -> Option<Option<Box<Update>>> {
        let has = |flag: u8| flags & flag != 0;
        if !has(UPDATE) {
            return Some(None);
        }
        let mut update = Update::new(if has(EIGHT) {
            Draft::Eight
        } else {
            Draft::Seven
        });
        update.about_subscription = has(ABOUT);
        if has(ID) {
            update.id = Some(self.text()?.into());
        }
        if has(RETRY) {
            update.retry = Some(self.number()?);
        }
        Some(Some(Box::new(update)))
    }

    /// Targets, collected as they are read: a count that is wrong allocates nothing.
    fn targets(&mut self, target: impl Fn(&mut Self) -> Option<Target>) -> Option<Targets> {
        match u32::from_le_bytes(*self.take()?) {
            0 => None,
            1 => target(self).map(Targets::One),
            count => {
                let all: Option<Vec<Target>> = (0..count).map(|_| target(self)).collect();
                Some(Targets::Many(all?.into()))
            }
        }
    }

    fn long_target(&mut self) -> Option<Target> {
        match self.byte()? {
            TOKEN => Some(Target::Token(Token::of_topic(self.text()?).ok()?)),
            PREFIX => Some(Target::Prefix(Token::of_topic(self.text()?).ok()?)),
            ALL => Some(Target::All),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = u16::from_le_bytes(*self.take()?);
        let (text, rest) = self.0.split_at_checked(length.into())?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    pub(super) fn publication(mut self) -> Option<Publication> {
        let to = self.targets(Self::target)?;
        let except = match self.short()? {
            "" => None,
            id => Some(ClientId::new(id).ok()?),
        };
        let event = event_name(self.short()?)?;
        Some(Publication {
            to,
            except,
            event,
            data: std::str::from_utf8(self.0).ok()?.into(),
            retain: true,
            private: None,
            key: None,
            update: None,
        })
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

/// The name of an event, none where there is no text; `None` where it is none that a publisher may give,
/// as it would break the stream.
fn event_name(text: &str) -> Option<Option<Box<str>>> {
    if text.is_empty() {
        return Some(None);
    }
    check_event(text).is_ok().then(|| Some(text.into()))
}
