//! The account: what each client saw against what it should have seen.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use support::crowd::client::{Client, Seen, Sightings};
use support::crowd::publishers::{Outcome, Sent};

/// How far behind the history file may be when the daemon is killed: a second, and a little for
/// the publisher that learnt the id later than the daemon gave it.
const BEHIND: Duration = Duration::from_millis(1050);

/// One life of the daemon.
#[derive(Debug)]
pub(crate) struct Run {
    /// The position of a stream that was opened first.
    pub(crate) first_position: u64,
    /// When it was killed, if it was.
    pub(crate) killed: Option<Instant>,
}

/// Everything that is known, by id.
pub(crate) struct Ledger<'a> {
    runs: &'a [Run],
    sent: BTreeMap<u64, &'a Sent>,
}

/// The sums.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) delivered: usize,
    pub(crate) replayed: usize,
    pub(crate) gaps: usize,
    /// Events that a gap stands for.
    pub(crate) covered: usize,
    pub(crate) duplicates: usize,
    pub(crate) losses: usize,
    /// Gaps and their absence, positions and events that should not be.
    pub(crate) wrong: usize,
    /// The first of the faults, in words.
    pub(crate) faults: Vec<String>,
}

impl Figures {
    fn fault(&mut self, text: impl FnOnce() -> String) {
        if self.faults.len() < 20 {
            self.faults.push(text());
        }
    }
}

impl<'a> Ledger<'a> {
    /// Brings together what the publishers were told and what the clients say.
    pub(crate) fn new(
        runs: &'a [Run],
        publishers: &'a [Vec<Sent>],
        sightings: &Sightings,
        figures: &mut Figures,
    ) -> Self {
        let mut sent = BTreeMap::new();
        for (publisher, events) in publishers.iter().enumerate() {
            let mut newest = 0;
            for (number, event) in events.iter().enumerate() {
                assert_ne!(event.outcome, Outcome::Refused, "{publisher}:{number}");
                let Some((id, _)) = event.answer() else {
                    continue;
                };
                assert!(id > newest, "publisher {publisher}: {id} after {newest}");
                newest = id;
                assert!(sent.insert(id, event).is_none(), "{id} was given twice");
                let seen = sightings.get(&id);
                if seen.is_some_and(|seen| *seen != (publisher, number)) {
                    figures.wrong += 1;
                    figures.fault(|| format!("{id}: sent {publisher}:{number}, seen {seen:?}"));
                }
            }
        }
        for (id, (publisher, number)) in sightings {
            sent.entry(*id).or_insert(&publishers[*publisher][*number]);
        }
        Self { runs, sent }
    }

    /// The run in which an id was given out.
    fn run_of(&self, id: u64) -> usize {
        let started = |run: &Run| run.first_position <= id;
        self.runs.partition_point(started).saturating_sub(1)
    }

    fn crashed_between(&self, id: u64, run: usize) -> bool {
        let between = &self.runs[self.run_of(id).min(run)..run];
        between.iter().any(|run| run.killed.is_some())
    }

    /// Whether the file may have lacked the event when a later run began.
    fn may_have_died(&self, id: u64, run: usize) -> bool {
        let born = self.run_of(id);
        let known = self.sent[&id].answer().map(|answer| answer.1);
        let killed = self.runs[born].killed;
        born < run
            && killed
                .zip(known)
                .is_some_and(|(killed, known)| known + BEHIND >= killed)
    }

    /// Goes through the life of one client.
    pub(crate) fn check(&self, number: usize, client: &Client, figures: &mut Figures) {
        let meant = self.sent.iter();
        let meant = meant.filter(|event| client.interest.meets(&event.1.target));
        let mut life = Life {
            ledger: self,
            number,
            due: meant
                .filter(|event| event.1.answer().is_some())
                .map(|event| *event.0)
                .collect(),
            next: 0,
            reached: None,
            after: None,
            run: 0,
            gap: None,
            starting: false,
        };
        for (at, seen) in client.log.iter().enumerate() {
            let foreign = matches!(seen, Seen::Event(id)
                if !client.interest.meets(&self.sent[id].target));
            if foreign {
                figures.wrong += 1;
                figures.fault(|| format!("client {number}: {seen:?} is not for it"));
            }
            life.live(*seen, client.log.get(at + 1), figures);
        }
    }
}

/// How far the account of one client has come.
struct Life<'a> {
    ledger: &'a Ledger<'a>,
    number: usize,
    /// The acknowledged events that it must see, and the next of them.
    due: Vec<u64>,
    next: usize,
    /// All up to here is settled; none before the first position.
    reached: Option<u64>,
    /// How the present stream began.
    after: Option<u64>,
    run: usize,
    gap: Option<Option<u64>>,
    /// Whether its first position is still to come.
    starting: bool,
}

impl Life<'_> {
    fn live(&mut self, seen: Seen, following: Option<&Seen>, figures: &mut Figures) {
        match seen {
            Seen::Opened { after, run } => {
                (self.after, self.run, self.gap) = (after, run, None);
                self.starting = true;
                let crashed = after.is_some_and(|id| self.ledger.crashed_between(id, run));
                // Nothing at all may follow where the client left at once.
                if crashed
                    && !matches!(
                        following,
                        None | Some(Seen::Gap { .. } | Seen::Opened { .. })
                    )
                {
                    self.wrong(figures, &format!("no gap after a crash, {following:?}"));
                }
            }
            Seen::Gap { after, oldest } => {
                figures.gaps += 1;
                self.gap = Some(oldest);
                if after != self.after || !self.is_true_gap(oldest) {
                    self.wrong(figures, &format!("a false gap: {seen:?}"));
                }
            }
            Seen::Event(id) => {
                figures.delivered += 1;
                figures.replayed += usize::from(self.starting && self.after.is_some());
                if self.reached.is_none() {
                    return self.wrong(figures, "an event before the first position");
                }
                if self.reached.is_some_and(|reached| id <= reached) {
                    figures.duplicates += 1;
                    let reached = self.reached;
                    figures.fault(|| format!("client {}: {id} after {reached:?}", self.number));
                    return;
                }
                self.settle(id, figures);
                self.next += usize::from(self.due.get(self.next) == Some(&id));
                self.reached = Some(id);
            }
            Seen::Position(id) => {
                self.starting = false;
                match self.reached {
                    None => self.next = self.due.partition_point(|due| *due <= id),
                    Some(reached) if id < reached => {
                        self.wrong(figures, "a position that goes back")
                    }
                    Some(_) => {
                        self.settle(id + 1, figures);
                    }
                }
                self.reached = Some(id);
            }
        }
    }

    /// Whether something may have been lost: in a crash, or out of the history.
    fn is_true_gap(&self, oldest: Option<u64>) -> bool {
        let Some(after) = self.after else {
            return false;
        };
        let mut newer = self.ledger.sent.range(after + 1..).map(|event| *event.0);
        self.ledger.crashed_between(after, self.run)
            || newer
                .next()
                .is_some_and(|id| oldest.is_none_or(|oldest| id < oldest))
    }

    /// What was due below `id` has not come: there must be a gap that covers it.
    fn settle(&mut self, id: u64, figures: &mut Figures) {
        while let Some(due) = self.due.get(self.next).copied().filter(|due| *due < id) {
            self.next += 1;
            let covered = self.gap.is_some_and(|oldest| {
                oldest.is_none_or(|oldest| due < oldest) || self.ledger.may_have_died(due, self.run)
            });
            if covered {
                figures.covered += 1;
                continue;
            }
            figures.losses += 1;
            let (number, run, gap) = (self.number, self.run, self.gap);
            let (after, born) = (self.after, self.ledger.run_of(due));
            figures.fault(|| {
                format!("client {number}: {due} of run {born} is lost before {id}; stream after {after:?} in run {run}, gap {gap:?}")
            });
        }
    }

    fn wrong(&self, figures: &mut Figures, what: &str) {
        figures.wrong += 1;
        let (number, after, run) = (self.number, self.after, self.run);
        figures.fault(|| format!("client {number}, after {after:?} in run {run}: {what}"));
    }
}
