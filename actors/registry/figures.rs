//! Figures and lists for those who watch, each in portions that hold nobody up.

use std::time::{Duration, Instant};

use super::Registry;
use super::session::{Phase, Session};
use crate::archive;
use crate::logger;
use crate::messages::publisher::{ClientLines, Listed, Search};
use crate::model::busiest::{Busiest, top};
use crate::model::publication::Targets;
use crate::wire::address;
use crate::wire::report::{self, ClientRow, Clients, Figures};

/// Connections, and bytes of their list, that are looked at in one turn.
const LOOKS: usize = 128;
const PORTION: usize = 64 * 1024;
/// Tokens that are looked at in one turn.
const TOKENS: usize = 4096;
/// The busiest tokens that are told.
const BUSIEST: usize = 10;
/// The time over which messages by token are counted.
const WINDOW: Duration = Duration::from_secs(5);

/// Messages by target, counted only while somebody watches.
#[derive(Debug)]
pub(super) struct Watched {
    counts: Busiest,
    since: Instant,
    /// The busiest of the last whole window.
    last: Option<Vec<(String, f64)>>,
    asked: Instant,
}

impl Watched {
    fn new(now: Instant) -> Self {
        Self {
            counts: Busiest::default(),
            since: now,
            last: None,
            asked: now,
        }
    }

    /// Counts a message.
    pub(super) fn count(&mut self, to: &Targets) {
        for target in to.as_slice() {
            self.counts.count(&address::text(target));
        }
    }

    /// The busiest targets, with messages in one second.
    fn busiest(&mut self, now: Instant) -> Vec<(String, f64)> {
        self.asked = now;
        let passed = now - self.since;
        if let Some(last) = self.last.as_ref().filter(|_| passed < WINDOW) {
            return last.clone();
        }
        let seconds = passed.as_secs_f64().max(1.0);
        let rate = |(name, count)| (name, (count as f64 / seconds * 10.0).round() / 10.0);
        let counted = self.counts.top(BUSIEST);
        let busiest: Vec<_> = counted.into_iter().map(rate).collect();
        if passed >= WINDOW {
            (self.counts, self.since) = (Busiest::default(), now);
            self.last = Some(busiest.clone());
        }
        busiest
    }

    /// Whether nobody has asked for long.
    pub(super) fn is_forgotten(&self, now: Instant) -> bool {
        now - self.asked > WINDOW
    }
}

impl Registry {
    /// All figures, as they are now.
    pub(super) fn figures(&self) -> Figures {
        let totals = self.pool.totals();
        let (loop_delay, delivery) = self.pool.delays();
        let streams = self.sessions.streams() as u64;
        Figures {
            version: self.settings.now().about.version,
            running: self.started.elapsed(),
            log_level: self.log_level,
            reinit: self.reinit.get(),
            clients: Clients {
                // A stream's end may be on its way here.
                new: (totals.connected as u64).saturating_sub(streams),
                replay: streams - self.sessions.count_in(Phase::Live) as u64,
                sse: self.sessions.count_in(Phase::Live) as u64,
            },
            counters: self.counters.clone(),
            events_sent: totals.events,
            bytes_sent: totals.bytes,
            waiting_bytes: self.pool.waiting_bytes(),
            presence: self.presence.counts(),
            history_events: self.history.len() as u64,
            history_bytes: self.history.bytes() as u64,
            history_targets: self.history.targets() as u64,
            history_marks: self.history.marks() as u64,
            history_let_go: self.history.let_go().by_reason(),
            history_lost: self.archive.as_ref().map_or(0, archive::Handle::lost),
            history_writable: self.archive.as_ref().map(|archive| !archive.is_failing()),
            queues: self.queues(),
            loop_delay,
            delivery,
            log_dropped: self.log.dropped(),
            bus: self.bus_figures(),
        }
    }

    fn queues(&self) -> Vec<(&'static str, u64)> {
        let (fast, bulk, pending) = self.pool.queues();
        let (clients, inbox) = self.waiting;
        let archive = self.archive.as_ref().map_or(0, archive::Handle::waiting);
        let depth = |name, depth: usize| (name, depth as u64);
        vec![
            depth("archive", archive),
            depth("clients_bulk", bulk),
            depth("clients_fast", fast),
            depth("clients_pending", pending),
            depth("logger", self.log.address().depth()),
            depth("registry", inbox),
            depth("registry_clients", clients),
        ]
    }

    /// The busiest targets by messages; they are counted from the first time on that this is asked
    /// until nobody asks any more.
    pub(super) fn watched(&mut self) -> Vec<(String, f64)> {
        let now = Instant::now();
        let watched = self.watched.get_or_insert_with(|| Watched::new(now).into());
        watched.busiest(now)
    }

    /// Goes on with a search.
    pub(super) fn search(&self, search: Search) -> Search {
        let Some(from) = search.next else {
            return search;
        };
        let best = search.best.iter().map(|(name, count)| (&**name, *count));
        let all = self.routes.listeners_to_all() as u64;
        let all = (from == 0 && all > 0).then_some(("*", all));
        let topics = self.routes.topics(from, TOKENS);
        Search {
            best: top(best.chain(all).chain(topics), BUSIEST),
            next: self.routes.topics_after(from + TOKENS),
        }
    }

    /// A part of the list of clients: those from `from` on that have `search` in them, at most `most`.
    pub(super) fn list(&self, from: u32, search: Option<&str>, most: usize) -> Listed {
        let mut listed = Listed::default();
        let end = self.sessions.bound();
        for index in from..end.min(from.saturating_add(LOOKS as u32)) {
            listed.next = Some(index);
            if listed.count == most || listed.rows.len() >= PORTION {
                return listed;
            }
            let row = self
                .sessions
                .get(index)
                .and_then(|session| self.row(index, session))
                .filter(|row| search.is_none_or(|search| row.has(search)));
            if let Some(row) = row {
                if listed.count > 0 {
                    listed.rows.push(',');
                }
                listed.rows += &row.json();
                listed.count += 1;
            }
        }
        listed.next = Some(from.saturating_add(LOOKS as u32)).filter(|&next| next < end);
        listed
    }

    /// The next lines of `clientlist`, for the sender and, at most once a second, for the log.
    pub(super) fn client_lines(&self, lines: ClientLines) -> ClientLines {
        let ClientLines {
            next: Some(from),
            mut count,
            mut logged,
            ..
        } = lines
        else {
            return lines;
        };
        let mut told = Vec::new();
        if from == 0 {
            logged = logger::at_most("clientlist", 1);
            told.extend(report::LIST_START.map(String::from));
        }
        let end = self.sessions.bound();
        let (mut until, mut bytes) = (from, 0);
        while until < end.min(from.saturating_add(LOOKS as u32)) && bytes < PORTION {
            let session = self.sessions.get(until);
            if let Some(row) = session.and_then(|session| self.row(until, session)) {
                count += 1;
                let lines = row.lines(count);
                bytes += lines.iter().map(String::len).sum::<usize>();
                told.extend(lines);
            }
            until += 1;
        }
        let next = Some(until).filter(|&next| next < end);
        if next.is_none() {
            told.push(report::LIST_END.to_owned());
        }
        let text = told.join("\n") + if told.is_empty() { "" } else { "\n" };
        if logged {
            self.log.answer(told);
        }
        ClientLines {
            text,
            next,
            count,
            logged,
        }
    }

    /// A client as lists show it; none for a connection that only carries the streams of others.
    fn row(&self, index: u32, session: &Session) -> Option<ClientRow> {
        let http = self.pool.http_version(index)?;
        let now = self.pool.seconds();
        let since = |then: u32| Duration::from_secs(u64::from(now.saturating_sub(then)));
        let (messages, waiting_bytes) = self.pool.figures(index);
        Some(ClientRow {
            descriptor: session.descriptor,
            address: session.peer.to_string(),
            state: if session.joined.is_some() {
                "SSE"
            } else {
                "NEW"
            },
            errors: 0,
            messages,
            reinits: session.reinits.into(),
            tls: session.tls,
            http: session.joined.map(|_| http),
            connected: since(session.arrived),
            handshaked: session.joined.map(since),
            id: self.id(index).cloned(),
            agent: session
                .agent
                .as_ref()
                .map_or("", |agent| agent.as_str())
                .into(),
            subscribes: self.subscribes(index),
            waiting_bytes,
        })
    }
}
