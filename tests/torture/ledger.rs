//! The account: what each client saw against what it should have seen.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use support::crowd::client::{Client, Seen, Sightings};
use support::crowd::publishers::{Outcome, Sent};
use support::crowd::topic::{Form, Interest, Target, To};

/// How far behind the history file may be when the daemon is killed: a second; but here, beside other tests, one
/// round of the daemon's loop may take that long, and it needs some of them until an event is in the file. That it
/// is no more than a second where there is time for it the tests of the history file show.
const BEHIND: Duration = Duration::from_secs(5);

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
    /// The ids of each history.
    rings: HashMap<&'a To, Vec<u64>>,
    /// How many events a history keeps.
    keeps: fn(&To) -> usize,
    /// Events that may be in histories though nobody knows their ids.
    unknown: usize,
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
    /// Events that tokens were left with at the end.
    pub(crate) last_values: usize,
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
        keeps: fn(&To) -> usize,
        figures: &mut Figures,
    ) -> Self {
        let mut sent: BTreeMap<u64, &Sent> = BTreeMap::new();
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
        let mut rings: HashMap<&To, Vec<u64>> = HashMap::new();
        for (id, event) in &sent {
            // A list may name a target twice.
            let to: BTreeSet<_> = event.target.to().iter().map(To::name).collect();
            for to in to {
                let to = event.target.to().iter().find(|one| one.name() == to);
                rings.entry(to.unwrap()).or_default().push(*id);
            }
        }
        let unknown = publishers.iter().flatten();
        let unknown = unknown
            .filter(|sent| sent.outcome == Outcome::Unknown)
            .count();
        let ledger = Self {
            runs,
            sent,
            rings,
            keeps,
            unknown,
        };
        ledger.check_doubles(sightings, figures);
        ledger
    }

    /// An event has two ids only if it was sent again with its key after a crash, in which the first was lost.
    fn check_doubles(&self, sightings: &Sightings, figures: &mut Figures) {
        let mut ids: BTreeMap<(usize, usize), BTreeSet<u64>> = BTreeMap::new();
        for (id, event) in sightings {
            ids.entry(*event).or_default().insert(*id);
        }
        for (event, ids) in ids.iter().filter(|(_, ids)| ids.len() > 1) {
            let newest = self.run_of(*ids.last().unwrap());
            if !self.crashed_between(*ids.first().unwrap(), newest) {
                figures.wrong += 1;
                figures.fault(|| format!("{event:?} was taken in twice, as {ids:?}"));
            }
        }
    }

    /// The newest id that a history may have let go when `position` was the newest of all.
    fn let_go(&self, to: &To, position: u64) -> Option<u64> {
        let ring = self.rings.get(to)?;
        let taken = ring.partition_point(|id| *id <= position);
        let over = (taken + self.unknown).checked_sub((self.keeps)(to) + 1)?;
        ring.get(over.min(taken.checked_sub(1)?)).copied()
    }

    /// Whether each history by which a client would have got an event may have let it go.
    fn may_be_let_go(&self, id: u64, target: &Target, interest: &Interest, position: u64) -> bool {
        let mut by = target.to().iter().filter(|to| interest.listens_to(to));
        by.all(|to| self.let_go(to, position).is_some_and(|newest| id <= newest))
    }

    /// What each token is left with: of `seen`, its last values, the newest of each history that meets it.
    pub(crate) fn check_last_values(&self, seen: &[BTreeSet<u64>], figures: &mut Figures) {
        let run = self.runs.len() - 1;
        for (token, seen) in seen.iter().enumerate() {
            let meeting = self.rings.iter();
            let meeting = meeting.filter(|(to, _)| to.reaches(token as u16));
            let mut right = BTreeSet::new();
            for (to, ring) in meeting {
                // The newest, or one before it where a crash may have taken that away.
                let died = ring
                    .iter()
                    .rev()
                    .take_while(|id| self.may_have_died(**id, run));
                let likely = ring.iter().rev().take(died.count() + 1);
                let likely: BTreeSet<u64> = likely.copied().collect();
                if likely.is_disjoint(seen) {
                    figures.wrong += 1;
                    let newest = ring.last().map(|id| self.before_a_kill(*id));
                    figures.fault(|| {
                        format!(
                            "t{token}: {seen:?} has no last value of {to:?}, {likely:?}; {newest:?}"
                        )
                    });
                }
                right.extend(likely);
            }
            figures.last_values += seen.len();
            if !seen.is_subset(&right) {
                figures.wrong += 1;
                figures.fault(|| format!("t{token}: {seen:?} has more than {right:?}"));
            }
        }
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
        let late = |killed| known.is_none_or(|known| known + BEHIND >= killed);
        born < run && killed.is_some_and(late)
    }

    /// In which run an event was taken in, and how long before the kill of that run its publisher knew of it.
    fn before_a_kill(&self, id: u64) -> (usize, Option<Duration>) {
        let run = self.run_of(id);
        let known = self.sent[&id].answer().map(|answer| answer.1);
        let killed = self.runs[run].killed.zip(known);
        (
            run,
            killed.map(|(killed, known)| killed.saturating_duration_since(known)),
        )
    }

    /// Goes through the life of one client.
    pub(crate) fn check(&self, number: usize, client: &Client, figures: &mut Figures) {
        let meant = self.sent.iter();
        let meant = meant.filter(|event| client.interest.meets(&event.1.target));
        // One that was sent again after a crash may have another id since.
        let acknowledged = |event: &(&u64, &&Sent)| {
            let answer = event.1.answer();
            answer.is_some_and(|(id, _)| id == *event.0)
        };
        let mut life = Life {
            ledger: self,
            interest: &client.interest,
            number,
            due: meant.filter(acknowledged).map(|event| *event.0).collect(),
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
            life.live(*seen, &client.log[at + 1..], figures);
        }
    }
}

/// A gap: which tokens it stands for, and the position of the stream that began with it.
#[derive(Debug, Clone, Copy)]
struct Gap {
    tokens: [bool; 2],
    position: u64,
}

/// How far the account of one client has come.
struct Life<'a> {
    ledger: &'a Ledger<'a>,
    interest: &'a Interest,
    number: usize,
    /// The acknowledged events that it must see, and the next of them.
    due: Vec<u64>,
    next: usize,
    /// All up to here is settled; none before the first position.
    reached: Option<u64>,
    /// How the present stream began.
    after: Option<u64>,
    run: usize,
    gap: Option<Gap>,
    /// Whether its first position is still to come.
    starting: bool,
}

impl Life<'_> {
    fn live(&mut self, seen: Seen, following: &[Seen], figures: &mut Figures) {
        match seen {
            Seen::Opened { after, run } => {
                (self.after, self.run, self.gap) = (after, run, None);
                self.starting = true;
                let crashed = after.is_some_and(|id| self.ledger.crashed_between(id, run));
                // Nothing at all may follow where the client left at once.
                if crashed
                    && !matches!(
                        following.first(),
                        None | Some(Seen::Gap { .. } | Seen::Opened { .. })
                    )
                {
                    self.wrong(
                        figures,
                        &format!("no gap after a crash, {:?}", following.first()),
                    );
                }
            }
            Seen::Gap { after, tokens, .. } => {
                figures.gaps += 1;
                // Of a stream that ended before its position not more is known than that it began.
                let position = following.iter().find_map(|seen| match seen {
                    Seen::Position(id) => Some(*id),
                    Seen::Opened { .. } => Some(u64::MAX),
                    _ => None,
                });
                let position = position.unwrap_or(u64::MAX);
                let gap = Gap { tokens, position };
                self.gap = Some(gap);
                if after != self.after || !self.is_true_gap(gap) {
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

    /// Whether something may have been lost of each token that it names: in a crash, or out of a history.
    fn is_true_gap(&self, gap: Gap) -> bool {
        let Some(after) = self.after else {
            return false;
        };
        let rings = || self.ledger.rings.keys();
        let lost = |named: [bool; 2]| {
            let mut rings = rings().filter(|to| self.interest.listens_by(named, to));
            rings.any(|to| self.ledger.let_go(to, gap.position) > Some(after))
        };
        let [first, second] = gap.tokens;
        let each = if self.interest.form == Form::Json {
            (!first || lost([true, false])) && (!second || lost([false, true]))
        } else {
            lost(gap.tokens)
        };
        self.ledger.crashed_between(after, self.run) || each
    }

    /// What was due below `id` has not come: there must be a gap that covers it.
    fn settle(&mut self, id: u64, figures: &mut Figures) {
        while let Some(due) = self.due.get(self.next).copied().filter(|due| *due < id) {
            self.next += 1;
            let target = &self.ledger.sent[&due].target;
            let covered = self.gap.is_some_and(|gap| {
                let mut named = target.to().iter();
                named.any(|to| self.interest.listens_by(gap.tokens, to))
                    && (self
                        .ledger
                        .may_be_let_go(due, target, self.interest, gap.position)
                        || self.ledger.may_have_died(due, self.run))
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
