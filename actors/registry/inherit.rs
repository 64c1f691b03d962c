//! What a node that has just started takes over from one that was there before.
//!
//! The stream in Redis keeps the newest of all messages together; a history keeps the last few of each target,
//! however old. So who has read the stream, from its oldest entry on, still lacks what a quiet token was left
//! with before, and does not know what was let go of which target. Another node knows both. Before there are
//! clients here, the nodes say to one another:
//!
//! ```text
//! to all      ask SINCE             who knows what was before the oldest entry, whose predecessor is SINCE?
//! to who asks offer MISSING         this one does, but nothing of the time up to MISSING
//! to one      more SINCE CURSOR     the next portion; CURSOR is `events 0` at first
//! to who asks part CURSOR           a portion of frames as in the history file, in base64, and what to ask
//!                                   for next: `events ID`, `marks PLACE`, or `end`
//! ```
//!
//! A node that answers holds nothing for one that asks: the cursor says everything. What is let go there
//! between two portions is told by the marks, which come last.
//!
//! Where no other node knows more, the node's own history file tells of that time, if it reaches as far as the stream
//! begins.

use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::history::History;
use super::{Registry, keep_again};
use crate::archive::frame::{self, Entry};
use crate::messages::registry::{Subject, ToNodes};
use crate::model::EventId;
use crate::runtime::turn;

/// How long another node has for an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long other offers have when there is one.
const OTHERS: Duration = Duration::from_millis(300);
/// How long all of it may take: clients wait for it.
const WHOLE: Duration = Duration::from_secs(30);
/// Bytes of one portion, unless a single event has more.
const PORTION: usize = 256 << 10;
/// Marks of one portion.
const MARKS: usize = 4096;
/// Frames for another node are not mistaken for those of a file.
const SALT: u32 = 0;

/// How far it is.
#[derive(Debug)]
pub(super) struct Inheriting {
    /// What the stream tells begins behind this.
    since: EventId,
    /// What a history file had, which has all up to there; and since when it knows what was.
    file: Option<(History, EventId)>,
    phase: Phase,
    /// When whoever is waited for is late; none while the stream is being read.
    until: Option<Instant>,
    /// When it is given up.
    end: Option<Instant>,
}

#[derive(Debug)]
enum Phase {
    /// The stream is being read, or the others cannot be asked yet.
    Expected,
    /// What nodes have offered: since when they know what was. The best stands last.
    Asked(Vec<(EventId, u64)>),
    /// A node tells what it keeps, of which this has come. The other offers may still be taken.
    Taking {
        from: u64,
        older: Box<History>,
        others: Vec<(EventId, u64)>,
    },
}

/// What nodes say.
#[derive(Debug, PartialEq, Eq)]
enum Said<'a> {
    Ask(EventId),
    Offer(EventId),
    More(EventId, Cursor),
    Part(Option<Cursor>, &'a str),
}

/// From where on something is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cursor {
    Events(EventId),
    Marks(usize),
}

impl Cursor {
    fn read(text: &str) -> Option<Self> {
        let (what, number) = text.split_once(' ')?;
        match what {
            "events" => Some(Self::Events(EventId(number.parse().ok()?))),
            "marks" => Some(Self::Marks(number.parse().ok()?)),
            _ => None,
        }
    }

    fn text(self) -> String {
        match self {
            Self::Events(after) => format!("events {after}"),
            Self::Marks(place) => format!("marks {place}"),
        }
    }
}

impl<'a> Said<'a> {
    /// Understands what came; none for what no node of this version has said.
    fn read(text: &'a str) -> Option<Self> {
        let (what, rest) = text.split_once(' ')?;
        let id = |text: &str| Some(EventId(text.parse().ok()?));
        Some(match what {
            "ask" => Self::Ask(id(rest)?),
            "offer" => Self::Offer(id(rest)?),
            "more" => {
                let (since, cursor) = rest.split_once(' ')?;
                Self::More(id(since)?, Cursor::read(cursor)?)
            }
            "part" => {
                let (cursor, frames) = rest.split_once('\n')?;
                match cursor {
                    "end" => Self::Part(None, frames),
                    cursor => Self::Part(Some(Cursor::read(cursor)?), frames),
                }
            }
            _ => return None,
        })
    }
}

impl Inheriting {
    /// The stream is being read from behind an id on; `file` is what a history file had, up to `recorded`.
    pub(super) fn expected(since: EventId, file: History, recorded: Option<EventId>) -> Self {
        let reaches = recorded.is_some_and(|newest| newest >= since);
        // After a stop that was not clean the file does not know that it lacks nothing; here it does.
        let missing = file.missing().min(since);
        Self {
            since,
            file: reaches.then_some((file, missing)),
            phase: Phase::Expected,
            until: None,
            end: None,
        }
    }

    /// The stream has been read; the others can be asked soon.
    pub(super) fn may_begin(&mut self) {
        let now = Instant::now();
        (self.until, self.end) = (Some(now + PATIENCE), Some(now + WHOLE));
    }

    /// When something is to be done though nobody says anything.
    pub(super) fn due(&self) -> Option<Instant> {
        self.until.min(self.end)
    }

    fn wait(&mut self, time: Duration) {
        self.until = Some(Instant::now() + time);
    }
}

impl Registry {
    /// Says something to one of the other nodes, or to all.
    fn say(&self, to: Option<u64>, text: String) {
        let about = Subject::History;
        self.tell_others(ToNodes { to, about, text });
    }

    /// What this node takes over from another, while it does.
    fn inheriting(&mut self) -> Option<&mut Inheriting> {
        self.bus.as_mut()?.inheriting.as_mut()
    }

    /// The others can be asked.
    pub(super) async fn ask_for_history(&mut self) {
        let alone = self.bus_figures().is_none_or(|bus| bus.nodes.get() <= 1);
        let asks = !alone && self.history.keeps();
        let Some(inheriting) = self.inheriting() else {
            return;
        };
        if !matches!(inheriting.phase, Phase::Expected) {
            return;
        }
        if !asks {
            return self.end_inheriting().await;
        }
        let since = inheriting.since;
        inheriting.phase = Phase::Asked(Vec::new());
        inheriting.wait(PATIENCE);
        self.say(None, format!("ask {since}"));
    }

    /// Another node says something of the time before.
    pub(super) async fn hear_history(&mut self, node: u64, text: &str) {
        match Said::read(text) {
            Some(Said::Ask(since)) => self.offer(node, since),
            Some(Said::More(since, cursor)) => self.tell_more(node, since, cursor),
            Some(Said::Offer(missing)) => self.take_offer(node, missing).await,
            Some(Said::Part(next, frames)) => self.take_part(node, next, frames).await,
            None => log::warn!("another node tells of its history in a way that is not understood"),
        }
    }

    /// Whoever is waited for does not come.
    pub(super) async fn look_at_inheriting(&mut self) {
        let now = Instant::now();
        let Some(inheriting) = self.inheriting() else {
            return;
        };
        if inheriting.due().is_none_or(|due| due > now) {
            return;
        }
        if inheriting.end.is_some_and(|end| end <= now) {
            log::warn!("what another node keeps took too long to come; it is not taken over");
            return self.end_inheriting().await;
        }
        match std::mem::replace(&mut inheriting.phase, Phase::Expected) {
            Phase::Expected => self.end_inheriting().await,
            Phase::Asked(offers) => self.take_best(offers).await,
            Phase::Taking { others, .. } => self.take_best(others).await,
        }
    }

    /// Offers what this node knows, if it has read as far as the other begins; else nothing, so that the other
    /// does not wait for it.
    fn offer(&mut self, node: u64, since: EventId) {
        let diverged = self.bus.as_ref().is_none_or(|bus| bus.diverged);
        let knows = self.sequence.last() >= since && self.history.keeps() && !diverged;
        let missing = if knows {
            self.history.missing()
        } else {
            EventId(EventId::END)
        };
        self.say(Some(node), format!("offer {missing}"));
    }

    async fn take_offer(&mut self, node: u64, missing: EventId) {
        let others = self
            .bus_figures()
            .map_or(0, |bus| bus.nodes.get().saturating_sub(1));
        let Some(inheriting) = self.inheriting() else {
            return;
        };
        let Phase::Asked(offers) = &mut inheriting.phase else {
            return;
        };
        offers.push((missing, node));
        offers.sort_unstable_by(|a, b| b.cmp(a));
        if offers.len() as u64 >= others {
            let offers = std::mem::take(offers);
            self.take_best(offers).await;
        } else if offers.len() == 1 {
            inheriting.wait(OTHERS);
        }
    }

    /// Takes over what the node keeps that knows most, if it knows more than this one.
    async fn take_best(&mut self, mut offers: Vec<(EventId, u64)>) {
        let file = self
            .inheriting()
            .and_then(|inheriting| Some(inheriting.file.as_ref()?.1));
        let own = file.unwrap_or(self.history.missing());
        let policy = self.settings.now().history.clone();
        let best = offers.pop().filter(|(missing, _)| *missing < own);
        let (Some((missing, from)), Some(inheriting)) = (best, self.inheriting()) else {
            return self.end_inheriting().await;
        };
        inheriting.phase = Phase::Taking {
            from,
            older: Box::new(History::new(policy, missing)),
            others: offers,
        };
        inheriting.wait(PATIENCE);
        let since = inheriting.since;
        let first = Cursor::Events(EventId(0)).text();
        self.say(Some(from), format!("more {since} {first}"));
    }

    /// Tells another node the next portion of what is kept up to an id, and then of all marks.
    fn tell_more(&mut self, node: u64, since: EventId, cursor: Cursor) {
        let mut frames = Vec::new();
        let next = match cursor {
            Cursor::Events(after) => match self.put_events(after, since, &mut frames) {
                Some(newest) => Some(Cursor::Events(newest)),
                None => Some(Cursor::Marks(0)),
            },
            Cursor::Marks(from) => {
                for (target, id) in self.history.marks_from(from, MARKS) {
                    frame::put_mark(&target, id, SALT, &mut frames);
                }
                let next = from.saturating_add(MARKS);
                (next < self.history.mark_places()).then_some(Cursor::Marks(next))
            }
        };
        let next = next.map_or_else(|| "end".to_owned(), Cursor::text);
        let frames = STANDARD.encode(frames);
        self.say(Some(node), format!("part {next}\n{frames}"));
    }

    /// Appends the frames of some events; the id of the last if there may be more of them.
    fn put_events(&self, after: EventId, up_to: EventId, frames: &mut Vec<u8>) -> Option<EventId> {
        let mut newest = after;
        let now = (Instant::now(), SystemTime::now());
        let next = self.history.draw_every(after, |kept| {
            if kept.id > up_to || frames.len() >= PORTION {
                return false;
            }
            newest = kept.id;
            if let Some(record) = self.history.record(&kept, now) {
                frame::put_copy(&record, SALT, frames);
            }
            true
        });
        next.filter(|next| *next <= up_to).map(|_| newest)
    }

    /// Takes a portion in, and asks for the next or ends.
    async fn take_part(&mut self, node: u64, next: Option<Cursor>, frames: &str) {
        let Some(inheriting) = self.bus.as_mut().and_then(|bus| bus.inheriting.as_mut()) else {
            return;
        };
        let since = inheriting.since;
        let Phase::Taking { from, older, .. } = &mut inheriting.phase else {
            return;
        };
        if *from != node {
            return;
        }
        let frames = STANDARD.decode(frames).ok();
        let Some(entries) = frames.and_then(|frames| frame::entries(&frames, SALT)) else {
            log::warn!("what another node keeps cannot be read; it is not taken over");
            return self.end_inheriting().await;
        };
        for entry in entries {
            match entry {
                Entry::Copy(record) if record.id <= since => {
                    let receipt = keep_again(older, &record);
                    self.keys.recover(&record.publication, receipt);
                }
                Entry::Mark(target, id) => older.mark(&target, id),
                _ => {}
            }
        }
        match next {
            Some(cursor) => {
                inheriting.wait(PATIENCE);
                let cursor = cursor.text();
                self.say(Some(node), format!("more {since} {cursor}"));
            }
            None => {
                let Some(Phase::Taking { older, .. }) = self
                    .bus
                    .as_mut()
                    .and_then(|bus| bus.inheriting.take())
                    .map(|inheriting| inheriting.phase)
                else {
                    return;
                };
                self.put_behind(*older, since).await;
                log::info!("another node's history of the time before the stream is taken over");
            }
        }
    }

    /// Has what the stream told follow what another node keeps of the time before.
    async fn put_behind(&mut self, mut older: History, since: EventId) {
        add(&self.history, (since, EventId(EventId::END)), &mut older).await;
        if self.history.missing() > since {
            older.forget(self.history.missing());
        }
        self.history = older;
        self.keys.settle();
        self.recover_hub();
    }

    /// Begins with what the stream tells, and before that with what the history file had.
    async fn end_inheriting(&mut self) {
        let inheriting = self.bus.as_mut().and_then(|bus| bus.inheriting.take());
        if let Some(Inheriting { since, file, .. }) = inheriting
            && let Some((file, missing)) = file
        {
            let mut older = History::new(self.settings.now().history.clone(), missing);
            add(&file, (EventId(0), since), &mut older).await;
            self.put_behind(older, since).await;
        }
    }
}

/// Adds to a history what another keeps of the time behind one id and up to another, and what that let go.
async fn add(from: &History, (mut after, up_to): (EventId, EventId), to: &mut History) {
    loop {
        let (now, mut room) = (Instant::now(), 64);
        let next = from.draw_every(after, |kept| {
            if room == 0 || kept.id > up_to {
                return false;
            }
            room -= 1;
            after = kept.id;
            if let Some(publication) = kept.publication() {
                let at = now.checked_sub(from.age(kept.at, now)).unwrap_or(now);
                let recipients = kept.recipients().unwrap_or(0) as usize;
                to.keep(kept.id, at, &publication, recipients);
            }
            true
        });
        if next.is_none_or(|next| next > up_to) {
            break;
        }
        turn::pause().await;
    }
    for (target, id) in from.marks_from(0, from.mark_places()) {
        to.mark(&target, id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        for cursor in [Cursor::Events(EventId(7)), Cursor::Marks(4096)] {
            assert_eq!(Cursor::read(&cursor.text()), Some(cursor));
            let more = format!("more 12 {}", cursor.text());
            assert_eq!(Said::read(&more), Some(Said::More(EventId(12), cursor)));
            let part = format!("part {}\nAAAA", cursor.text());
            assert_eq!(Said::read(&part), Some(Said::Part(Some(cursor), "AAAA")));
        }
        assert_eq!(Said::read("part end\n"), Some(Said::Part(None, "")));
        assert_eq!(Said::read("ask 3"), Some(Said::Ask(EventId(3))));
        assert_eq!(Said::read("offer 3"), Some(Said::Offer(EventId(3))));
        for other in [
            "",
            "ask",
            "ask x",
            "more 1",
            "more 1 end",
            "part end",
            "part events\n",
            "hello 1",
        ] {
            assert_eq!(Said::read(other), None, "{other:?}");
        }
    }
}
