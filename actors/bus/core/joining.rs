//! Coming to the log, or coming back to it: it may be new, have gone on, or have gone back.
//!
//! ```text
//! Opening ─ Meeting ─┬─▶ (LeavingToOthers ─ Meeting) ─┬─▶ Mending ─▶ (Beginning) ─▶ CatchingUp
//!                    └────────────────────────────────┘                                 │
//!         ┌──── where the log may lack something: AwaitingPeers ─▶ (MarkingMissing) ◀───┤
//!         └─▶ CatchingUp ─▶ Replicating ─▶ CatchingUp ─▶ (MarkingDiverged ─▶ CatchingUp)│
//!                               ▲                                  │                    │
//!                               └──────────────────────────────────┼────────────────────┘
//!                                                                  ▼
//!                                                        Confirming ─▶ Joined
//! ```
//!
//! Each step waits for one answer, or for a moment. What breaks ends them all ([`Core::detach`]).

use std::time::{Duration, Instant};

use super::{Core, Input, Phase};
use crate::bus::entry::{self, Entry};
use crate::bus::log::{Add, Added, Call, Met, Read, Trouble};
use crate::bus::mutant::{self, Mutant};
use crate::messages::registry::FromBus;
use crate::model::bus_figures::count;
use crate::model::{BusDown, EventId};

/// What is added again in one step: entries, and bytes unless a single one has more.
const RESTORE: (usize, usize) = (256, 1 << 20);
/// How long a node that holds nothing, or only what a file had, leaves it to others to begin a log.
const OTHERS: Duration = Duration::from_secs(1);
/// How long the others have to come when the log may have lost something: longer than they pause at most.
pub(super) const COME: Duration = Duration::from_secs(5);
/// How often it is looked whether they have.
const LOOK: Duration = Duration::from_millis(50);

/// How far a node is that comes to the log.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// The log is being connected.
    Opening,
    /// It is asked how it is; after leaving it to others, or before.
    Meeting { left: bool },
    /// It is empty, and others may hold what was in it.
    LeavingToOthers { until: Instant },
    /// It gets again what it has lost, or a gap marker; its newest id then.
    Mending { rest: Vec<Entry>, last: EventId },
    /// The first entries are read, at the start; its newest id before.
    Beginning { last: EventId },
    /// This node reads to the log's end.
    CatchingUp(Then),
    /// Nodes that were there before have time to come with what they hold.
    AwaitingPeers {
        until: Instant,
        look: Option<Instant>,
    },
    /// Some have not come, which is marked.
    MarkingMissing,
    /// What was delivered here alone is added: how many events, and the newest id.
    Replicating { added: usize },
    /// Nobody goes on elsewhere as if there had been no such time.
    MarkingDiverged,
    /// A last meeting says that this node is here.
    Confirming,
}

/// What follows when a node has read to the log's end.
#[derive(Debug, Clone, Copy)]
pub(super) enum Then {
    AwaitPeers,
    Replicate,
    MarkDiverged(EventId),
    Confirm,
}

impl Step {
    pub(super) fn due(&self) -> Option<Instant> {
        match self {
            Self::LeavingToOthers { until } => Some(*until),
            Self::AwaitingPeers { look, .. } => *look,
            _ => None,
        }
    }

    /// Whether it may take long, so that publishers are heard.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(
            self,
            Self::Opening | Self::LeavingToOthers { .. } | Self::AwaitingPeers { .. }
        )
    }
}

impl Core {
    fn go(&mut self, step: Step) {
        self.phase = if matches!(self.phase, Phase::Starting(_)) {
            Phase::Starting(step)
        } else {
            Phase::Rejoining(step)
        };
    }

    /// Takes in what a step has waited for.
    pub(super) fn join(&mut self, step: Step, answer: Input) {
        match (step, answer) {
            (Step::Opening, Input::Opened(run)) => {
                self.connected = run;
                self.meet(true);
                self.go(Step::Meeting { left: false });
            }
            (Step::Meeting { left }, Input::Met(met)) => self.met(&met, left),
            (Step::LeavingToOthers { .. }, Input::Time) => {
                self.meet(true);
                self.go(Step::Meeting { left: true });
            }
            (Step::Mending { rest, last }, Input::Restored | Input::Marked) => {
                self.restore(rest, last);
            }
            (Step::Beginning { last }, Input::Read(entries)) => self.begin(last, entries),
            (Step::CatchingUp(then), Input::Read(entries)) => {
                if entries.is_empty() {
                    self.caught_up(then);
                } else {
                    self.digest(entries);
                    self.catch_up(then);
                }
            }
            (Step::AwaitingPeers { until, .. }, Input::Time) => {
                self.meet(false);
                self.go(Step::AwaitingPeers { until, look: None });
            }
            (Step::AwaitingPeers { until, .. }, Input::Met(met)) => self.look_for(&met, until),
            (Step::MarkingMissing, Input::Marked) => self.catch_up(Then::Replicate),
            (Step::Replicating { added }, Input::Added(Added::Up(newest))) => {
                self.replicate(added, newest);
            }
            (Step::Replicating { .. }, Input::Added(Added::Behind)) => self.lost_again(),
            (Step::MarkingDiverged, Input::Marked) => {
                self.queue.forget_overflow();
                self.reading.unmix();
                self.catch_up(Then::Confirm);
            }
            (Step::Confirming, Input::Met(met)) => self.joined(&met),
            (step, answer) => debug_assert!(false, "{step:?} gets {answer:?}"),
        }
    }

    fn met(&mut self, met: &Met, left: bool) {
        let holds = self.reading.began() && self.reading.oldest().is_some();
        if met.last.is_none() && !left && !holds {
            // The log may just have been lost, and others may hold what was in it.
            let until = self.now.at + OTHERS;
            return self.go(Step::LeavingToOthers { until });
        }
        self.note(met);
        if self.run.is_none() && !mutant::is_in(Mutant::StartsAtOnce) {
            // They may wait for one that holds what the log has lost, and mark that it does not come.
            let own = self.node.to_string();
            let others = met.nodes.difference(&met.with).filter(|name| **name != own);
            self.away.known.extend(others.cloned());
            self.away.may_lack |= !self.away.known.is_empty();
        }
        if self.reading.began() {
            let other_run = self.run.as_ref().is_some_and(|run| *run != self.connected);
            let behind = met.last.is_none_or(|last| last < self.reading.seen());
            self.away.may_lack |= other_run || behind;
            self.come_again(met);
        } else {
            self.come_first(met);
        }
    }

    /// A further meeting.
    fn come_again(&mut self, met: &Met) {
        let seen = self.reading.seen();
        let last = met.last.unwrap_or(EventId(0));
        if last < seen {
            let known = last == EventId(0)
                || self.reading.tail().has(last)
                || self.reading.oldest().is_none_or(|oldest| last < oldest);
            if !known {
                // Somebody has written there what cannot come after what streams have here.
                self.missed(seen, true);
            }
            let lost = self.reading.tail().after(last);
            log::warn!(
                "the bus {} has gone back from {seen} to {last}: adding {} events again",
                self.place,
                items(&lost)
            );
            if mutant::is_in(Mutant::RestoresNothing) {
                self.reading.see(last);
                return self.catch_up(Then::AwaitPeers);
            }
            self.mend(lost, last);
        } else if !met.has && met.first.is_some_and(|first| first <= seen) {
            log::warn!(
                "the bus {} has lost {seen}, and has newer ones: a gap for all",
                self.place
            );
            self.mend(Vec::new(), last);
        } else {
            if met.first.is_none() && last > seen {
                // All that came since has been trimmed.
                self.missed(last, true);
                self.reading.see(last);
            }
            self.catch_up(Then::AwaitPeers);
        }
    }

    /// The first meeting. Where there is no log, it begins with what a history file had, or else with a gap
    /// marker: nobody can have seen anything before.
    fn come_first(&mut self, met: &Met) {
        let mut held = self.reading.tail().after(EventId(0));
        let starting = matches!(self.phase, Phase::Starting(_));
        if starting || met.last.is_some() {
            self.reading.forget();
        }
        match met.last {
            Some(last) => self.mended(last),
            None if starting => self.mend(held, EventId(0)),
            None => {
                // Below what was delivered here alone, so that this keeps its ids.
                if held.is_empty() {
                    held.push(self.first_marker());
                }
                let last = held.last().map_or(EventId(0), |entry| entry.id);
                self.mend(held, last);
            }
        }
    }

    fn first_marker(&self) -> Entry {
        let unreplicated = self.queue.unreplicated_from(self.version, self.node, 0);
        let id = match unreplicated.first() {
            Some(unreplicated) => EventId(unreplicated.id.0 - 1),
            None => self.reading.given(),
        };
        Entry {
            id,
            previous: id,
            body: entry::gap_marker(self.node, true),
        }
    }

    /// Adds entries that the log has lost, or a gap marker where nobody holds any.
    fn mend(&mut self, lost: Vec<Entry>, last: EventId) {
        if lost.is_empty() {
            self.mark(true);
            self.go(Step::Mending { rest: lost, last });
        } else {
            self.restore(lost, last);
        }
    }

    fn restore(&mut self, mut entries: Vec<Entry>, last: EventId) {
        if entries.is_empty() {
            return self.mended(last);
        }
        let mut bytes = 0;
        let fit = entries.iter().take(RESTORE.0).take_while(|entry| {
            bytes += entry.body.len();
            bytes <= RESTORE.1
        });
        let rest = entries.split_off(fit.count().max(1));
        count(&self.figures.restored, items(&entries));
        self.call(Call::Restore(entries));
        self.go(Step::Mending { rest, last });
    }

    /// The log has what this node has.
    fn mended(&mut self, last: EventId) {
        if self.reading.began() {
            self.catch_up(Then::AwaitPeers);
        } else if matches!(self.phase, Phase::Starting(_)) {
            // Everything that it keeps becomes the history.
            self.read(EventId(0), false);
            self.go(Step::Beginning { last });
        } else {
            // Streams have begun here: what was before is not known to them.
            self.missed(last.max(self.reading.given()), true);
            self.reading.see(last);
            self.catch_up(Then::AwaitPeers);
        }
    }

    fn begin(&mut self, last: EventId, entries: Vec<Entry>) {
        let since = match entries.iter().find(|entry| !entry.is_foreign()) {
            Some(entry) => entry.previous,
            None => last,
        };
        self.cast(FromBus::Begin { since });
        self.reading.begin(since);
        self.digest(entries);
        self.catch_up(Then::AwaitPeers);
    }

    pub(super) fn read(&mut self, after: EventId, wait: bool) {
        let count = self.reading.page();
        self.call(Call::Read(Read { after, count, wait }));
    }

    fn catch_up(&mut self, then: Then) {
        self.read(self.reading.seen(), false);
        self.go(Step::CatchingUp(then));
    }

    fn caught_up(&mut self, then: Then) {
        match then {
            Then::AwaitPeers if self.away.may_lack => {
                // One that was started again is another, and does not stand for what it held before.
                // Nobody writes meanwhile: that would stand in the log before what others add again.
                self.meet(false);
                let until = self.now.at + COME;
                self.go(Step::AwaitingPeers { until, look: None });
            }
            Then::AwaitPeers | Then::Replicate => self.replicate(0, self.reading.seen()),
            // What was acknowledged is not there.
            Then::MarkDiverged(_) if self.queue.unreplicated() > 0 => self.lost_again(),
            Then::MarkDiverged(newest) => self.replicated(newest),
            Then::Confirm => self.confirm(),
        }
    }

    /// Goes on when all nodes that were there have come, or not all within the time that they have.
    fn look_for(&mut self, met: &Met, until: Instant) {
        let known = &self.away.known;
        let enough = mutant::is_in(Mutant::CountsNodes) && known.len() <= met.with.len();
        if enough || known.is_subset(&met.with) {
            return self.catch_up(Then::Replicate);
        }
        if self.now.at <= until {
            let look = Some(self.now.at + LOOK);
            return self.go(Step::AwaitingPeers { until, look });
        }
        log::warn!(
            "a node that may hold what the bus {} has lost does not come: a gap for all",
            self.place
        );
        // Of those that have come none ends unnoticed before it has added what it has.
        self.away.known.retain(|node| met.with.contains(node));
        self.mark_for_all();
        self.go(Step::MarkingMissing);
    }

    /// Adds what was delivered here alone, from one place on.
    fn replicate(&mut self, added: usize, newest: EventId) {
        let mut entries = self.queue.unreplicated_from(self.version, self.node, added);
        if entries.is_empty() && added == 0 {
            return self.replicated(newest);
        }
        if entries.is_empty() {
            log::info!("{added} events that were delivered here alone are added to the bus");
            return self.catch_up(Then::MarkDiverged(newest));
        }
        if self.reading.diverged() {
            // Who stands at one of their ids has not had what others added before them.
            entries.iter_mut().for_each(|entry| entry.id = EventId(0));
        }
        let added = added + entries.len();
        let add = Add {
            keep: self.keep(),
            seen: newest,
            given: self.reading.given(),
            entries,
        };
        self.call(Call::Add(add));
        self.go(Step::Replicating { added });
    }

    fn lost_again(&mut self) {
        self.detach(Trouble::new("the stream went back while it was added to"));
    }

    /// Marks that streams of this node had another order. Where nothing else was added all ids are the same
    /// everywhere; and the log's ids must go on above those that streams stand at here.
    fn replicated(&mut self, newest: EventId) {
        let overflowed = self.queue.overflowed();
        if overflowed {
            log::warn!(
                "more events were delivered here alone than could wait: a gap for the others"
            );
        }
        let hides = mutant::is_in(Mutant::HidesItsOrder);
        if self.reading.diverged() && !hides || overflowed || self.reading.given() > newest {
            self.mark(overflowed);
            self.go(Step::MarkingDiverged);
        } else {
            self.confirm();
        }
    }

    fn confirm(&mut self) {
        self.go(Step::Confirming);
        self.meet(false);
    }

    /// This node is with the log.
    fn joined(&mut self, met: &Met) {
        self.note(met);
        self.run = Some(self.connected.clone());
        let starting = matches!(self.phase, Phase::Starting(_));
        let away = std::mem::take(&mut self.away);
        self.cast(FromBus::Diverged(false));
        self.tell_gap();
        self.figures.up.set(true);
        let again = if away.troubles.is_empty() {
            ""
        } else {
            " again"
        };
        log::info!("the bus {} is there{again}", self.place);
        if starting {
            self.cast(FromBus::Open);
        }
        // Only messages that are not refused are delivered alone.
        let missing = (self.down == BusDown::Local).then_some(away.known);
        self.stay(missing);
    }
}

/// How many items entries have together.
fn items(entries: &[Entry]) -> usize {
    entries.iter().map(Entry::count).sum()
}
