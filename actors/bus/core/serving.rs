//! Being with the log: what is written, what is read, and what is asked for meanwhile.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::joining::COME;
use super::{Action, Core, Input, Phase};
use crate::bus::asking::Question;
use crate::bus::entry;
use crate::bus::log::{AHEAD, Add, Added, Call, Met};
use crate::bus::queue::Own;
use crate::messages::publisher::Request;
use crate::messages::registry::FromBus;
use crate::model::bus_figures::count;
use crate::model::{Channel, ClientId, EventId};
use crate::runtime;
use crate::wire::command::Command;

/// How often a node says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(3);

/// What a node knows while it is with the log. One read is always under way.
#[derive(Debug)]
pub(super) struct Joined {
    /// When it says next that it lives.
    due: Instant,
    /// While it does: the newest id that it knew then.
    beating: Option<EventId>,
    /// Whether a write is under way.
    writing: bool,
    /// Nodes that may have been alone when this one was, and have not come since; and how long they may take.
    missing: Option<(BTreeSet<String>, Instant)>,
}

impl Joined {
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Somebody has looked for all, and has marked that some do not come: those that are not there.
    pub(super) fn stop_looking(&mut self, there: &BTreeSet<String>) {
        if let Some((nodes, _)) = &mut self.missing {
            nodes.retain(|node| there.contains(node));
        }
    }
}

impl Core {
    /// Begins to write and to read, and to look for nodes that are missing.
    pub(super) fn stay(&mut self, missing: Option<BTreeSet<String>>) {
        self.phase = Phase::Joined(Joined {
            // Soon once: others may have begun at the same time.
            due: self.now.at + HEARTBEAT / 3,
            beating: None,
            writing: false,
            missing: missing.map(|nodes| (nodes, self.now.at + COME)),
        });
        self.asking.begin(&mut self.actions);
        self.read(self.reading.seen(), true);
    }

    fn with_log(&mut self) -> Option<&mut Joined> {
        match &mut self.phase {
            Phase::Joined(joined) => Some(joined),
            _ => None,
        }
    }

    /// Takes in an answer of the log.
    pub(super) fn serve(&mut self, answer: Input) {
        let Phase::Joined(joined) = &mut self.phase else {
            return;
        };
        match answer {
            Input::Read(entries) => {
                // One that is too far ahead does not stand behind what this node has added.
                let latest = self.now.micros + AHEAD;
                let newest = entries.iter().rev().find(|entry| entry.id.0 <= latest);
                let newest = newest.map(|entry| entry.id);
                self.digest(entries);
                self.tell_gap();
                if newest.is_some_and(|id| self.queue.is_lost(id)) {
                    self.gone_back();
                } else {
                    self.read(self.reading.seen(), true);
                }
            }
            Input::Added(Added::Up(id)) => {
                joined.writing = false;
                self.queue.added(id);
            }
            Input::Added(Added::Behind) => self.gone_back(),
            Input::Met(met) => {
                let known = joined.beating.take();
                if met.last < known {
                    // A log that lost events may have lost the membership too: ignore `met.with`.
                    self.gone_back();
                } else {
                    self.note(&met);
                    self.seek(&met);
                }
            }
            // Nobody waits for a gap marker.
            _ => {}
        }
    }

    /// Says that this node lives, where that is due.
    pub(super) fn beat(&mut self) {
        let newest = self.reading.seen().max(self.queue.acknowledged());
        let now = self.now.at;
        self.asking.end_late(now, &mut self.actions);
        if let Some(joined) = self.with_log()
            && joined.due <= now
        {
            joined.due = now + HEARTBEAT;
            if joined.beating.is_none() {
                joined.beating = Some(newest);
                self.asking.retry(&mut self.actions);
                self.meet(false);
            }
        }
    }

    /// Sees to what other nodes have delivered alone: who does not come may have ended with it.
    fn seek(&mut self, met: &Met) {
        let now = self.now.at;
        let Some(joined) = self.with_log() else {
            return;
        };
        let Some((nodes, end)) = &mut joined.missing else {
            return;
        };
        nodes.retain(|node| !met.with.contains(node));
        // Those that are coming have all the time that they need.
        let late = now > *end && !nodes.is_subset(&met.nodes);
        if late {
            nodes.retain(|node| met.nodes.contains(node));
        }
        if nodes.is_empty() {
            joined.missing = None;
        }
        if late {
            log::warn!(
                "a node that was there before the bus {} was away does not come again: a gap for all",
                self.place
            );
            self.mark_for_all();
        }
    }

    /// Writes what waits, unless a write is under way.
    pub(super) fn write(&mut self) {
        let Phase::Joined(joined) = &mut self.phase else {
            return;
        };
        if joined.writing {
            return;
        }
        let Some(entry) = self.queue.next_write(self.version, self.node) else {
            return;
        };
        joined.writing = true;
        count(&self.figures.written, entry.count);
        let add = Add {
            keep: self.keep(),
            seen: self.reading.seen(),
            given: self.reading.given(),
            entries: vec![entry],
        };
        self.call(Call::Add(add));
    }

    /// Takes in what a publisher asks for.
    pub(super) fn take(&mut self, request: Request) {
        let joined = self.is_joined();
        match request {
            Request::Publish {
                publications,
                reply,
                ..
            } if publications.is_empty() => reply.send(Ok(Vec::new())),
            Request::Publish {
                publications,
                channel,
                reply,
            } if joined => {
                let messages = self.own(&publications, channel);
                self.queue.push(messages, reply);
            }
            Request::Publish {
                publications,
                channel,
                reply,
            } => self.publish_detached(&publications, channel, reply),
            Request::Execute {
                command:
                    ref command @ (Command::SubscribedClients(ref target)
                    | Command::TcpSubscribedClients(ref target)),
                reply,
            } if joined => {
                let question = Question {
                    target: target.clone(),
                    command: command.clone().into(),
                    reply,
                };
                self.asking.ask(question, self.now.at);
            }
            other => {
                if joined {
                    self.disconnect_elsewhere(&other);
                }
                self.actions.push(Action::Forward(other));
            }
        }
    }

    /// Has all other nodes end the streams with an id, where that is asked for. How many they were nobody
    /// is told.
    fn disconnect_elsewhere(&mut self, request: &Request) {
        let (id, until): (&ClientId, _) = match request {
            Request::Execute {
                command: Command::Disconnect(id),
                ..
            } => (id, None),
            Request::Disconnect { id, until, .. } => (id, *until),
            _ => return,
        };
        self.number += 1;
        let own = Own {
            number: self.number,
            item: entry::disconnect(id, until),
            channel: Channel::Bus,
        };
        let (reply, _nobody_waits) = runtime::reply();
        self.queue.push(vec![own], reply);
    }

    pub(super) fn disconnect(&mut self, id: ClientId, until: Option<u64>) {
        self.cast(FromBus::Disconnect { id, until });
    }
}
