//! Letting events go: as a target has too many, as they are too old, or as all together have too many
//! bytes. What is too much for one call goes with the next ones.

use std::time::{Duration, Instant};

use super::events::Events;
use super::heap::{NOWHERE, Ranking};
use super::ring::Ring;
use super::targets::{NEVER, Targets, UNMARKED};
use super::{AT_ONCE, History, class};
use crate::model::EventId;

/// Why events were let go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LetGo {
    /// As their target had too many.
    pub count: u64,
    /// As they were too old.
    pub age: u64,
    /// As all events together had too many bytes.
    pub bytes: u64,
}

impl LetGo {
    /// Each with the name of its reason.
    pub fn by_reason(self) -> [(&'static str, u64); 3] {
        [
            ("count", self.count),
            ("age", self.age),
            ("bytes", self.bytes),
        ]
    }
}

/// Ranks targets by their bytes.
pub(super) struct ByShare<'a>(pub(super) &'a mut Targets, pub(super) &'a Events);

impl Ranking for ByShare<'_> {
    fn precedes(&self, a: u32, b: u32) -> bool {
        let (first, second) = (self.0.get(a), self.0.get(b));
        if first.bytes != second.bytes {
            return first.bytes > second.bytes;
        }
        let oldest = |ring: &Ring| ring.front().map(|event| self.1.id(event));
        let (one, other) = (oldest(&first.ring), oldest(&second.ring));
        // Both hold the same event, so that it does not matter; but it is to be the same after a restart.
        one < other || one == other && first.name() < second.name()
    }

    fn place(&mut self, item: u32) -> &mut u32 {
        &mut self.0.get_mut(item).share
    }
}

/// Ranks targets by the time at which their oldest event may be too old.
struct ByTime<'a>(&'a mut Targets);

impl Ranking for ByTime<'_> {
    fn precedes(&self, a: u32, b: u32) -> bool {
        self.0.get(a).expires < self.0.get(b).expires
    }

    fn place(&mut self, item: u32) -> &mut u32 {
        &mut self.0.get_mut(item).timer
    }
}

impl History {
    /// Goes on with what could not be done at once: lets go what is too old by `now`, and what is too much.
    pub fn work(&mut self, now: Instant) {
        let mut looks = AT_ONCE;
        self.reclass(&mut looks);
        let now = self.moment(now);
        self.let_go_due(now, &mut looks);
        self.let_go_bytes();
    }

    /// Whether something is to be done by `now` that a call had no time for.
    pub fn has_work(&self, now: Instant) -> bool {
        let due = self.timers.first().map(|due| self.targets.get(due).expires);
        let due = due.is_some_and(|due| due <= self.moment(now));
        self.reclassed.is_some() || self.bytes > self.policy.bytes || due
    }

    /// Lets go of what is too old.
    pub(super) fn let_go_due(&mut self, now: u32, looks: &mut usize) {
        while let Some(due) = self.timers.first()
            && self.targets.get(due).expires <= now
            && *looks > 0
        {
            self.let_go_old(due, now, looks);
        }
    }

    /// Has a target looked at when its oldest event, of that time, is too old.
    pub(super) fn set_timer(&mut self, place: u32, oldest: u32, age: Option<Duration>) {
        let expires = age.map_or(NEVER, |age| expiry(oldest, age));
        let record = self.targets.get_mut(place);
        record.expires = expires;
        let there = record.timer != NOWHERE;
        let mut timers = ByTime(&mut self.targets);
        match (there, expires == NEVER) {
            (true, true) => self.timers.remove(place, &mut timers),
            (true, false) => self.timers.update(place, &mut timers),
            (false, true) => {}
            (false, false) => self.timers.push(place, &mut timers),
        }
    }

    /// Lets go of what is too old in one ring.
    fn let_go_old(&mut self, place: u32, now: u32, looks: &mut usize) {
        let record = self.targets.get(place);
        let age = self.classes[usize::from(record.class)].age;
        while let Some(oldest) = self.targets.get(place).ring.front()
            && *looks > 0
        {
            *looks -= 1;
            let oldest = self.events.get(oldest).at;
            let Some(age) = age.filter(|age| expiry(oldest, *age) <= now) else {
                return self.set_timer(place, oldest, age);
            };
            debug_assert!(age > Duration::ZERO, "rules have none of zero");
            self.let_go.age += 1;
            self.let_go_oldest(place);
        }
    }

    /// Lets go as long as there are too many bytes, from whoever has the most.
    pub(super) fn let_go_bytes(&mut self) {
        for _ in 0..AT_ONCE {
            if self.bytes <= self.policy.bytes {
                break;
            }
            let Some(first) = self.shares.first() else {
                break;
            };
            self.let_go.bytes += 1;
            self.let_go_oldest(first);
        }
    }

    /// Has a ring let its oldest event go.
    pub(super) fn let_go_oldest(&mut self, place: u32) {
        let record = self.targets.get_mut(place);
        let Some(event) = record.ring.pop() else {
            return;
        };
        let empty = record.ring.is_empty();
        let kept = self.events.get(event);
        let (id, spares) = (kept.id, kept.packed.spares());
        if self.rescued_after.is_some_and(|after| id > after) {
            let kept = self.kept(event, Some(place)).publication();
            self.rescued
                .extend(kept.map(|publication| (id, publication)));
        }
        let (cost, in_ring) = (self.cost(event), self.cost_in(event));
        let packed = self.events.get(event).packed.len();
        let record = self.targets.get_mut(place);
        record.spared -= u32::from(spares);
        record.bytes -= in_ring;
        self.bytes -= Ring::NEXT;
        if empty {
            self.bytes -= record.overhead();
            record.bytes = 0;
            self.leave(place);
        } else {
            let mut shares = ByShare(&mut self.targets, &self.events);
            self.shares.update(place, &mut shares);
        }
        self.note(place, id);
        if self.events.release(event) {
            self.bytes -= cost;
            self.packed -= packed;
        }
    }

    /// Takes a target that holds nothing any more out of the heaps.
    fn leave(&mut self, place: u32) {
        let mut shares = ByShare(&mut self.targets, &self.events);
        self.shares.remove(place, &mut shares);
        let mut timers = ByTime(&mut self.targets);
        self.timers.remove(place, &mut timers);
    }

    /// Notes that everything of a target was let go up to `id`.
    pub(super) fn note(&mut self, place: u32, id: EventId) {
        let mark = self.targets.get(place).mark;
        if mark != UNMARKED {
            return self.marks.renew(mark, id);
        }
        self.targets.get_mut(place).mark = self.marks.add(place, id);
        while let Some(merged) = self.marks.merge() {
            let record = self.targets.get_mut(merged);
            record.mark = UNMARKED;
            if record.ring.is_empty() && record.share == NOWHERE {
                self.targets.remove(merged);
            }
        }
    }

    /// Gives some more targets the retention that the policy says.
    fn reclass(&mut self, looks: &mut usize) {
        while let Some(place) = self.reclassed
            && *looks > 0
        {
            if place >= self.targets.places() {
                self.reclassed = None;
                return;
            }
            *looks -= 1;
            let retention = self.policy.of(&self.targets.get(place).target());
            self.targets.get_mut(place).class = class(&mut self.classes, retention);
            while self.targets.get(place).ring.len() > retention.count && *looks > 0 {
                *looks -= 1;
                self.let_go.count += 1;
                self.let_go_oldest(place);
            }
            if let Some(oldest) = self.targets.get(place).ring.front() {
                let oldest = self.events.get(oldest).at;
                self.set_timer(place, oldest, retention.age);
            }
            // One that still has too many is looked at again.
            if self.targets.get(place).ring.len() <= retention.count {
                self.reclassed = Some(place + 1);
            }
        }
    }
}

/// When an event of that time is too old: the age is not shortened by what the clock leaves out.
fn expiry(at: u32, age: Duration) -> u32 {
    let tenths = u32::try_from(age.as_millis() / 100).unwrap_or(u32::MAX);
    at.saturating_add(tenths).saturating_add(1).min(NEVER - 1)
}
