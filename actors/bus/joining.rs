//! Coming to the stream, or coming back to it: it may be new, have gone on, or have gone back.

use std::future::Future;
use std::time::{Duration, Instant};

use async_io::Timer;

use super::entry::{self, Entry};
use super::link::{Added, Heartbeat, Link};
use super::{Bus, BusDown, FromBus, Trouble};
use crate::model::EventId;
use crate::model::bus_figures::count;
use crate::runtime::{CancellationToken, Failure};

/// What is added again in one step: entries, and bytes unless a single one has more.
const RESTORE: (usize, usize) = (256, 1 << 20);
/// How long a node that holds nothing, or only what a file had, leaves it to others to begin a stream.
const OTHERS: Duration = Duration::from_secs(1);
/// How long the others have to come when Redis may have lost something: longer than they pause at most.
const COME: Duration = Duration::from_secs(5);
/// How often it is looked whether they have.
const LOOK: Duration = Duration::from_millis(50);

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::new(&failure.0)
    }
}

impl Bus {
    /// Makes sure that the stream has what this node has, and what all others have that were there
    /// before, and that this node has what is in it; none when it is to stop.
    ///
    /// # Errors
    /// The registry is gone; inside, the link broke.
    pub(super) async fn join(
        &mut self,
        link: &mut Link,
        stop: &CancellationToken,
    ) -> Result<Option<Result<(), Trouble>>, Failure> {
        if let Err(trouble) = self.bring(link).await {
            return Ok(Some(Err(trouble)));
        }
        let mut all = true;
        if self.may_lack {
            let others = self.others(link);
            match self.meanwhile(others, stop).await? {
                None => return Ok(None),
                Some(Err(trouble)) => return Ok(Some(Err(trouble))),
                Some(Ok(came)) => all = came,
            }
        }
        Ok(Some(self.settle(link, all).await))
    }

    /// Brings what this node has, and takes what is there.
    async fn bring(&mut self, link: &mut Link) -> Result<(), Trouble> {
        let mut heartbeat = self.heartbeat(link, true).await?;
        if heartbeat.last.is_none() && !(self.reading.began() && self.reading.oldest().is_some()) {
            // Redis may just have lost the stream, and others may hold what was in it.
            Timer::after(OTHERS).await;
            heartbeat = self.heartbeat(link, true).await?;
        }
        self.note_heartbeat(&heartbeat);
        if self.reading.began() {
            let other_run = self.run.as_ref().is_some_and(|run| *run != link.run());
            self.may_lack |=
                other_run || heartbeat.last.is_none_or(|last| last < self.reading.seen());
            self.rejoin(link, &heartbeat).await?;
            self.catch_up(link).await?;
        } else if self.open {
            self.join_unreplicated(link, &heartbeat).await?;
        } else {
            self.begin(link, &heartbeat).await?;
        }
        Ok(())
    }

    /// Waits until all nodes are there that were before, with what they have; whether they came. One that was
    /// started again is another, and does not stand for what it held before. Nobody writes meanwhile: that
    /// would stand in the stream before what another has still to add again.
    fn others(&mut self, link: &Link) -> impl Future<Output = Result<bool, Trouble>> + use<> {
        let (link, expected) = (link.clone(), self.known.clone());
        let (keep, seen, residue) = (self.keep(), self.reading.seen(), self.reading.residue());
        let clients = self.figures.own_clients.get();
        async move {
            let end = Instant::now() + COME;
            loop {
                let heartbeat = link
                    .clone()
                    .heartbeat(keep, seen, clients, residue, false)
                    .await?;
                if expected.is_subset(&heartbeat.with) {
                    return Ok(true);
                }
                if Instant::now() > end {
                    return Ok(false);
                }
                Timer::after(LOOK).await;
            }
        }
    }

    /// Reads and adds what came meanwhile. If not `all` have come, nobody knows what those had.
    async fn settle(&mut self, link: &mut Link, all: bool) -> Result<(), Trouble> {
        if !all {
            log::warn!(
                "a node that may hold what the bus {} has lost does not come: a gap for all",
                self.url
            );
            self.gap_for_all(link).await?;
            self.known.clear();
        }
        self.catch_up(link).await?;
        self.add_unreplicated(link).await?;
        let heartbeat = self.heartbeat(link, false).await?;
        self.note_heartbeat(&heartbeat);
        (self.run, self.may_lack) = (Some(link.run()), false);
        let known = std::mem::take(&mut self.known);
        // Only messages that are not refused are delivered alone.
        self.missing_peers = (self.down == BusDown::Local).then(|| (known, Instant::now() + COME));
        Ok(self.cast(FromBus::Diverged(false))?)
    }

    /// Sees to what other nodes have delivered alone: who does not come may have ended with it.
    pub(super) async fn seek(&mut self, link: &Link, heartbeat: &Heartbeat) -> Result<(), Trouble> {
        let Some((missing_peers, end)) = &mut self.missing_peers else {
            return Ok(());
        };
        missing_peers.retain(|node| !heartbeat.with.contains(node));
        let (found, late) = (missing_peers.is_empty(), Instant::now() > *end);
        if found || late {
            self.missing_peers = None;
        }
        if late && !found {
            log::warn!(
                "a node that was there before the bus {} was away does not come again: a gap for all",
                self.url
            );
            self.gap_for_all(&mut link.clone()).await?;
        }
        Ok(())
    }

    async fn gap_for_all(&mut self, link: &mut Link) -> Result<(), Trouble> {
        self.missed(self.reading.given(), true)?;
        link.gap_marker(self.reading.given(), true).await?;
        Ok(())
    }

    /// The first meeting, at the start: everything that the stream keeps becomes the history.
    async fn begin(&mut self, link: &mut Link, heartbeat: &Heartbeat) -> Result<(), Trouble> {
        let recovered = self.reading.tail().after(EventId(0));
        self.reading.forget();
        if heartbeat.last.is_none() {
            if recovered.is_empty() {
                // The bus begins: nobody can have seen anything before.
                link.gap_marker(self.reading.given(), true).await?;
            } else {
                self.restore(link, &recovered).await?;
            }
        }
        let first = link.clone().read(EventId(0), self.reading.page(), false);
        let first = first.await?;
        let since = match first.iter().find(|entry| !entry.is_foreign()) {
            Some(entry) => entry.previous,
            None => heartbeat.last.unwrap_or(EventId(0)),
        };
        self.cast(FromBus::Begin { since })?;
        self.reading.begin(since);
        self.digest(first).await?;
        self.catch_up(link).await?;
        Ok(self.is_open()?)
    }

    /// The first meeting, after streams have begun here: what was before is not known to them.
    async fn join_unreplicated(
        &mut self,
        link: &mut Link,
        heartbeat: &Heartbeat,
    ) -> Result<(), Trouble> {
        let last = match heartbeat.last {
            Some(last) => {
                self.reading.forget();
                last
            }
            None => self.begin_unreplicated(link).await?,
        };
        self.missed(last.max(self.reading.given()), true)?;
        self.reading.see(last);
        Ok(())
    }

    /// Has the stream begin, below what was delivered here alone so that this keeps its ids; with what
    /// a history file had, or else with a gap marker.
    async fn begin_unreplicated(&mut self, link: &mut Link) -> Result<EventId, Trouble> {
        let mut entries = self.reading.tail().after(EventId(0));
        if entries.is_empty() {
            let unreplicated = self.queue.unreplicated_from(self.node, 0);
            let id = match unreplicated.first() {
                Some(unreplicated) => EventId(unreplicated.id.0 - 1),
                None => self.reading.given(),
            };
            entries.push(Entry {
                id,
                previous: id,
                body: entry::gap_marker(self.node, true),
            });
        }
        self.restore(link, &entries).await?;
        Ok(entries.last().map_or(EventId(0), |entry| entry.id))
    }

    /// A further meeting.
    async fn rejoin(&mut self, link: &mut Link, heartbeat: &Heartbeat) -> Result<(), Trouble> {
        let seen = self.reading.seen();
        let last = heartbeat.last.unwrap_or(EventId(0));
        if last < seen {
            let known = last == EventId(0)
                || self.reading.tail().has(last)
                || self.reading.oldest().is_none_or(|oldest| last < oldest);
            if !known {
                // Somebody has written there what cannot come after what streams have here.
                self.missed(seen, true)?;
            }
            let lost = self.reading.tail().after(last);
            log::warn!(
                "the bus {} has gone back from {seen} to {last}: adding {} events again",
                self.url,
                items(&lost)
            );
            if lost.is_empty() {
                link.gap_marker(self.reading.given(), true).await?;
            } else {
                self.restore(link, &lost).await?;
            }
        } else if !heartbeat.has && heartbeat.first.is_some_and(|first| first <= seen) {
            log::warn!(
                "the bus {} has lost {seen}, and has newer ones: a gap for all",
                self.url
            );
            link.gap_marker(self.reading.given(), true).await?;
        } else if heartbeat.first.is_none() && last > seen {
            // All that came since has been trimmed.
            self.missed(last, true)?;
            self.reading.see(last);
        }
        Ok(())
    }

    async fn restore(&mut self, link: &mut Link, entries: &[Entry]) -> Result<(), Trouble> {
        let mut rest = entries;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fit = rest.iter().take(RESTORE.0).take_while(|entry| {
                bytes += entry.body.len();
                bytes <= RESTORE.1
            });
            let (part, more) = rest.split_at(fit.count().max(1));
            link.restore(part).await?;
            rest = more;
        }
        count(&self.figures.restored, items(entries));
        Ok(())
    }

    /// Reads to the end of the stream.
    async fn catch_up(&mut self, link: &Link) -> Result<(), Trouble> {
        loop {
            let (after, page) = (self.reading.seen(), self.reading.page());
            let entries = link.clone().read(after, page, false).await?;
            if entries.is_empty() {
                return Ok(());
            }
            self.digest(entries).await?;
        }
    }

    /// Adds what was delivered here alone, and sees to it that nobody goes on elsewhere as if there
    /// had been no such time.
    async fn add_unreplicated(&mut self, link: &mut Link) -> Result<(), Trouble> {
        let mut added = 0;
        let mut newest = self.reading.seen();
        loop {
            let mut unreplicated = self.queue.unreplicated_from(self.node, added);
            if self.reading.diverged() {
                // Who stands at one of their ids has not had what others added before them.
                unreplicated
                    .iter_mut()
                    .for_each(|entry| entry.id = EventId(0));
            }
            if unreplicated.is_empty() {
                break;
            }
            added += unreplicated.len();
            let adding = link
                .clone()
                .add(self.keep(), newest, self.reading.given(), unreplicated);
            newest = match adding.await? {
                Added::Up(newest) => newest,
                Added::Behind => {
                    return Err(Trouble::new("the stream went back while it was added to"));
                }
            };
        }
        if added > 0 {
            log::info!("{added} events that were delivered here alone are added to the bus");
            self.catch_up(link).await?;
        }
        let overflowed = self.queue.overflowed();
        if overflowed {
            log::warn!(
                "more events were delivered here alone than could wait: a gap for the others"
            );
        }
        // Where nothing else was added all ids are the same everywhere; and the stream's ids must go
        // on above those that streams stand at here.
        if self.reading.diverged() || overflowed || self.reading.given() > newest {
            link.gap_marker(self.reading.given(), overflowed).await?;
            self.queue.forget_overflow();
            self.reading.unmix();
            self.catch_up(link).await?;
        }
        Ok(())
    }
}

/// How many items entries have together.
fn items(entries: &[Entry]) -> usize {
    entries.iter().map(Entry::count).sum()
}
