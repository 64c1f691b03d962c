//! The events that are kept for replay.
//!
//! Each target (a token, a prefix, `*`) has a ring of its own, bounded by the count and the age that the
//! [`Policy`] gives it. An event for several targets stands in the ring of each; its bytes count once, until
//! the last ring lets it go. All rings share one number of bytes: where that is used up, the target that
//! holds the most bytes lets its oldest event go, among equals the oldest of all. So a target that holds no
//! more than an equal share loses nothing to others.
//!
//! | file | subject |
//! | --- | --- |
//! | this | keeping |
//! | [`letting_go`] | letting go of what is too much or too old |
//! | [`packed`] | an event's content in one allocation |
//! | [`events`] | the events, in the order of their ids |
//! | [`ring`] | the events of one target |
//! | [`targets`] | the targets, by name |
//! | [`marks`] | what was let go of each target |
//! | [`heap`] | who has the most bytes, the oldest event, the oldest mark |
//! | [`draw`] | events for one subscriber, in portions |
//! | [`gap`] | whether a subscriber may have missed something |
//!
//! # Costs
//!
//! Keeping an event, or letting one go, costs the logarithm of the number of targets. Beginning a replay, or
//! going on with one, costs the subscriber's tokens, each with the logarithm of its ring, and what is drawn;
//! a subscription to `*` walks along all kept events, a portion in each turn. Nothing costs a product of two
//! of these, and no call does more than a turn's work: what is too much to let go at once goes with the next
//! calls ([`History::work`]).

mod draw;
mod events;
mod gap;
mod heap;
mod letting_go;
mod marks;
mod packed;
mod ring;
mod targets;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant, SystemTime};

use crate::model::publication::Targets as To;
use crate::model::retention::{Policy, Retention};
use crate::model::{EventId, Publication, Record, Target};

pub use draw::{Cursor, Drawn, Kept};
use events::Events;
pub use gap::Lost;
use heap::{Heap, NOWHERE};
use letting_go::ByShare;
pub use letting_go::LetGo;
use marks::Marks;
use packed::Packed;
pub use packed::{Name, Names};
use ring::Ring;
use targets::Targets;

/// What the history's clock says at its beginning, in tenths of a second: far enough from both ends for
/// events of six years ago, and for six years to come.
const BEGINNING: u32 = 1 << 31;
/// Events that are let go, or targets that are looked at, in one call, at most.
const AT_ONCE: usize = 4096;
/// As many as each new event lets go of what is too old.
const FEW: usize = 16;
/// About how many bytes an event, or a mark, takes in a file besides its text.
const WRITTEN: usize = 56;

/// All kept events.
#[derive(Debug)]
pub struct History {
    policy: Policy,
    /// Whether it keeps anything at all: asked for each event, and there may be many rules.
    keeps: bool,
    /// Each retention once; targets name theirs by its index.
    classes: Vec<Retention>,
    events: Events,
    targets: Targets,
    marks: Marks,
    /// Targets with events, whoever has the most bytes first.
    shares: Heap,
    /// Targets whose events can grow too old, the next first.
    timers: Heap,
    bytes: usize,
    /// Of all packed events, and of all that there ever were.
    packed: usize,
    packed_ever: u64,
    let_go: LetGo,
    began: Instant,
    /// The next target that is to get its retention from a changed policy.
    reclassed: Option<u32>,
    /// What is let go and is newer than this is still wanted by somebody.
    rescued_after: Option<EventId>,
    rescued: Vec<(EventId, Publication)>,
}

impl History {
    /// An empty history; nothing is known of events up to `position`.
    pub fn new(policy: Policy, position: EventId) -> Self {
        Self::with_marks(policy, position, marks::MOST)
    }

    /// As [`History::new`], with exact marks for so many targets.
    fn with_marks(policy: Policy, position: EventId, most: usize) -> Self {
        Self {
            keeps: policy.keeps(),
            policy,
            classes: Vec::new(),
            events: Events::default(),
            targets: Targets::default(),
            marks: Marks::new(position, most),
            shares: Heap::default(),
            timers: Heap::default(),
            bytes: 0,
            packed: 0,
            packed_ever: 0,
            let_go: LetGo::default(),
            began: Instant::now(),
            reclassed: None,
            rescued_after: None,
            rescued: Vec::new(),
        }
    }

    /// Keeps as the policy says from now on. What is too much then is let go by the next calls.
    pub fn set_policy(&mut self, policy: Policy) {
        if policy != self.policy {
            self.keeps = policy.keeps();
            self.policy = policy;
            self.reclassed = Some(0);
        }
    }

    /// Whether anything is kept at all.
    pub fn keeps(&self) -> bool {
        self.keeps
    }

    /// How many events are kept.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether none are kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes that they are counted with: all that keeping them takes in memory.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many targets have kept events.
    pub fn targets(&self) -> usize {
        self.shares.len()
    }

    /// How many targets there are of which it is known what was let go.
    pub fn marks(&self) -> usize {
        self.marks.len()
    }

    /// How many events rings have let go, and why.
    pub fn let_go(&self) -> LetGo {
        self.let_go
    }

    /// Has everything that is let go from now on and is newer than an id given back by
    /// [`History::rescued`], besides what earlier calls have asked for; with none, nothing any more.
    pub fn rescue(&mut self, after: Option<EventId>) {
        self.rescued_after = after.map(|id| self.rescued_after.map_or(id, |known| known.min(id)));
        if after.is_none() {
            self.rescued = Vec::new();
        }
    }

    /// What was let go and is to be rescued, since the last time.
    pub fn rescued(&mut self) -> Vec<(EventId, Publication)> {
        std::mem::take(&mut self.rescued)
    }

    /// Whether the event with this id is kept.
    pub fn has(&self, id: EventId) -> bool {
        self.events.has(id)
    }

    /// Keeps an event, which is newer than all before and was taken in at `at`; `recipients` is how many
    /// subscribers it went to. What is too much then is let go. Whether it is kept for all its targets.
    pub fn keep(
        &mut self,
        id: EventId,
        at: Instant,
        publication: &Publication,
        recipients: usize,
    ) -> bool {
        if !self.keeps() {
            for target in publication.to.as_slice() {
                self.mark(target, id);
            }
            return false;
        }
        let now = self.moment(at);
        let event = self
            .events
            .push(id, now, Packed::new(publication, recipients));
        self.bytes += self.cost(event);
        let packed = self.events.get(event).packed.len();
        self.packed += packed;
        self.packed_ever += packed as u64;
        let mut whole = true;
        for target in publication.to.as_slice() {
            whole &= self.hold(target, &publication.to, event, now);
        }
        if self.events.holders(event) == 0 {
            self.bytes -= self.cost(event);
            self.packed -= self.events.get(event).packed.len();
            self.events.remove(event);
        }
        let mut looks = FEW;
        self.let_go_due(now, &mut looks);
        self.let_go_bytes();
        debug_assert!(self.bytes > 0 || self.is_empty(), "each event has bytes");
        whole
    }

    /// An event was taken in that may not be here, for whomever it was: who has not seen its id may have
    /// missed something.
    pub fn forget(&mut self, id: EventId) {
        self.marks.share(id);
    }

    /// What is known of a target besides the events that are kept: everything up to `id` was let go.
    pub fn mark(&mut self, target: &Target, id: EventId) {
        if id > self.marks.shared() {
            let record = self.find_or_add(target);
            self.note(record, id);
        }
    }

    /// What was let go of some targets: those of `most` places for marks, from the `from`th on.
    pub fn marks_from(&self, from: usize, most: usize) -> impl Iterator<Item = (Target, EventId)> {
        let marks = self.marks.some(from, most);
        marks.map(|(record, id)| (self.targets.get(record).target(), id))
    }

    /// How many places for marks there are.
    pub fn mark_places(&self) -> usize {
        self.marks.places()
    }

    /// Of targets without a mark everything up to this id may be missing.
    pub fn missing(&self) -> EventId {
        self.marks.shared()
    }

    /// About how many bytes everything that is known here takes in a file.
    pub fn written(&self) -> u64 {
        (self.packed + self.len() * WRITTEN + self.marks() * WRITTEN) as u64
    }

    /// The bytes of all events that were ever let go, packed.
    pub fn packed_let_go(&self) -> u64 {
        self.packed_ever - self.packed as u64
    }

    /// The oldest of all kept events.
    pub fn oldest_id(&self) -> Option<EventId> {
        self.events.oldest().map(|event| self.events.id(event))
    }

    /// How old an event is that was taken in at a time of the history's clock.
    pub fn age(&self, at: u32, now: Instant) -> Duration {
        let tenths = self.moment(now).saturating_sub(at);
        Duration::from_millis(u64::from(tenths) * 100)
    }

    /// An event as it is written down elsewhere, `now` by both clocks; none where it cannot be.
    pub fn record(&self, kept: &Kept<'_>, now: (Instant, SystemTime)) -> Option<Record> {
        let at = now.1.checked_sub(self.age(kept.at, now.0));
        Some(Record {
            id: kept.id,
            at: at.unwrap_or(SystemTime::UNIX_EPOCH),
            publication: kept.publication()?,
            recipients: kept.recipients().unwrap_or(0),
        })
    }

    /// The history's own time.
    fn moment(&self, at: Instant) -> u32 {
        let tenths = |duration: Duration| u32::try_from(duration.as_millis() / 100);
        match at.checked_duration_since(self.began) {
            Some(since) => BEGINNING.saturating_add(tenths(since).unwrap_or(u32::MAX)),
            None => BEGINNING.saturating_sub(tenths(self.began - at).unwrap_or(u32::MAX)),
        }
    }

    fn find_or_add(&mut self, target: &Target) -> u32 {
        let (policy, classes) = (&self.policy, &mut self.classes);
        self.targets
            .find_or_add(target, || class(classes, policy.of(target)))
    }

    /// What an event takes.
    fn cost(&self, event: u32) -> usize {
        Events::OVERHEAD + self.events.get(event).packed.len()
    }

    /// What an event takes in the ring that it comes into.
    fn cost_in(&self, event: u32) -> usize {
        self.cost(event) + Ring::NEXT
    }

    /// Has a target's ring hold a new event, if it holds any.
    fn hold(&mut self, target: &Target, to: &To, event: u32, now: u32) -> bool {
        let place = self.find_or_add(target);
        let record = self.targets.get(place);
        if record.ring.back() == Some(event) {
            // A list may name a target twice.
            return true;
        }
        let Retention { count, age } = self.classes[usize::from(record.class)];
        if count == 0 {
            let id = self.events.id(event);
            self.note(place, id);
            return false;
        }
        match to {
            To::One(_) => self.events.hold_alone(event, place),
            To::Many(_) => self.events.hold(event),
        }
        let (cost, spares) = (self.cost_in(event), self.events.get(event).packed.spares());
        let record = self.targets.get_mut(place);
        let overhead = record.overhead();
        record.ring.push(event);
        record.spared += u32::from(spares);
        record.bytes += cost;
        self.bytes += Ring::NEXT;
        if record.share == NOWHERE {
            record.bytes += overhead;
            self.bytes += overhead;
            let mut shares = ByShare(&mut self.targets, &self.events);
            self.shares.push(place, &mut shares);
            self.set_timer(place, now, age);
        } else {
            let mut excess = record.ring.len().saturating_sub(count).min(AT_ONCE);
            while excess > 0 {
                excess -= 1;
                self.let_go.count += 1;
                self.let_go_oldest(place);
            }
            let mut shares = ByShare(&mut self.targets, &self.events);
            self.shares.update(place, &mut shares);
        }
        true
    }
}

/// The index of a retention, which is added if it is not there.
fn class(classes: &mut Vec<Retention>, retention: Retention) -> u16 {
    let known = classes.iter().position(|known| *known == retention);
    let index = known.unwrap_or_else(|| {
        classes.push(retention);
        classes.len() - 1
    });
    // More rules than that share the last one's retention.
    u16::try_from(index).unwrap_or(u16::MAX)
}

#[cfg(test)]
impl History {
    /// Checks everything that is to hold at any time.
    fn check(&self) {
        let mut bytes = 0;
        let mut event = self.events.oldest();
        let mut holders = 0;
        while let Some(place) = event {
            bytes += self.cost(place);
            holders += self.events.holders(place) as usize;
            event = self.events.next(place);
        }
        let mut held = 0;
        for place in 0..self.targets.places() {
            let record = self.targets.get(place);
            held += record.ring.len();
            bytes += record.ring.len() * Ring::NEXT;
            let own = |n| self.cost_in(record.ring.get(n).unwrap_or_default());
            let own: usize = (0..record.ring.len()).map(own).sum();
            if record.ring.is_empty() {
                assert_eq!(
                    (record.bytes, record.share, record.timer),
                    (0, NOWHERE, NOWHERE)
                );
            } else {
                bytes += record.overhead();
                assert_eq!(record.bytes, own + record.overhead());
            }
        }
        assert_eq!((bytes, holders), (self.bytes, held));
    }
}
