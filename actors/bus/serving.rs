//! Using a link: what is written, what is read, and what is asked for meanwhile.

use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Instant;

use async_io::Timer;
use futures_lite::{FutureExt, StreamExt};

use super::asking::Question;
use super::entry::{self, Entry};
use super::link::{Added, Heartbeat, Link};
use super::queue::Own;
use super::reading::latest;
use super::{Bus, HEARTBEAT, Trouble, gone};
use crate::messages::publisher::Request;
use crate::model::bus_figures::count;
use crate::model::{Channel, ClientId};
use crate::runtime::{self, Address, CancellationToken, Failure};
use crate::wire::command::Command;

/// A step of a link in use.
pub(super) type Step<T> = Pin<Box<dyn Future<Output = Result<T, Trouble>>>>;

/// What came next.
enum Turn {
    Asked(Request),
    Written(Result<Added, Trouble>),
    Read(Result<Vec<Entry>, Trouble>),
    Heartbeat(Result<Heartbeat, Trouble>),
    Due,
    Stop,
}

impl Bus {
    /// Uses a link until it breaks, and says why; none when it is to stop.
    pub(super) async fn serve(
        &mut self,
        link: Link,
        questions: &Address<Question>,
        stop: &CancellationToken,
    ) -> Result<Option<Trouble>, Failure> {
        let mut writing: Option<Step<Added>> = None;
        let mut reading = self.read(&link);
        let mut beating: Option<Step<Heartbeat>> = None;
        // Soon once: others may have begun at the same time.
        let mut due = Timer::interval_at(Instant::now() + HEARTBEAT / 3, HEARTBEAT);
        loop {
            if writing.is_none() {
                writing = self.write(&link);
            }
            let outcome = match self
                .turn(&mut writing, &mut reading, &mut beating, &mut due, stop)
                .await
            {
                Turn::Stop => return Ok(None),
                Turn::Due => {
                    beating = Some(self.heartbeat(&link, false));
                    Ok(())
                }
                Turn::Asked(message) => {
                    self.take(message, questions)?;
                    // All that wait go with it.
                    while let Some(message) = self.inbox.try_recv() {
                        self.take(message, questions)?;
                    }
                    Ok(())
                }
                Turn::Read(Ok(entries)) => {
                    // One that is too far ahead does not stand behind what this node has added.
                    let latest = latest();
                    let newest = entries.iter().rev().find(|entry| entry.id <= latest);
                    let newest = newest.map(|entry| entry.id);
                    self.digest(entries).await?;
                    self.tell_gap()?;
                    reading = self.read(&link);
                    if newest.is_some_and(|id| self.queue.is_lost(id)) {
                        Err(self.gone_back())
                    } else {
                        Ok(())
                    }
                }
                Turn::Heartbeat(Ok(heartbeat)) => {
                    beating = None;
                    let newest = self.reading.seen().max(self.queue.acknowledged());
                    if heartbeat.last.is_none_or(|last| last < newest) {
                        // A Redis that lost events may have lost the membership too: ignore
                        // `heartbeat.with`.
                        Err(self.gone_back())
                    } else {
                        self.note_heartbeat(&heartbeat);
                        self.seek(&link, &heartbeat).await
                    }
                }
                Turn::Written(Ok(Added::Up(id))) => {
                    writing = None;
                    self.queue.added(id);
                    Ok(())
                }
                Turn::Written(Ok(Added::Behind)) => Err(self.gone_back()),
                Turn::Written(Err(trouble))
                | Turn::Read(Err(trouble))
                | Turn::Heartbeat(Err(trouble)) => Err(trouble),
            };
            if let Err(trouble) = outcome {
                return Ok(Some(trouble));
            }
        }
    }

    /// Nobody goes on with such a stream before all have come again ([`super::joining`]).
    fn gone_back(&mut self) -> Trouble {
        self.may_lack = true;
        Trouble::new("its stream has gone back")
    }

    /// Waits for what comes next; publishers' messages and what was written come before what was read.
    async fn turn(
        &mut self,
        writing: &mut Option<Step<Added>>,
        reading: &mut Step<Vec<Entry>>,
        beating: &mut Option<Step<Heartbeat>>,
        due: &mut Timer,
        stop: &CancellationToken,
    ) -> Turn {
        let stopped = stop.cancelled_then(Turn::Stop);
        let inbox = &mut self.inbox;
        let asked = async {
            match inbox.next().await {
                Some(message) => Turn::Asked(message),
                None => pending().await,
            }
        };
        let due = async {
            due.next().await;
            Turn::Due
        };
        let link = poll_fn(|cx| {
            // In the order of their answers: what is added after a meeting is nothing that it tells of.
            if let Some(step) = beating
                && let Poll::Ready(heartbeat) = step.as_mut().poll(cx)
            {
                return Poll::Ready(Turn::Heartbeat(heartbeat));
            }
            if let Some(step) = writing
                && let Poll::Ready(written) = step.as_mut().poll(cx)
            {
                return Poll::Ready(Turn::Written(written));
            }
            reading.as_mut().poll(cx).map(Turn::Read)
        });
        stopped.or(asked).or(link).or(due).await
    }

    /// Takes in what a publisher asks for.
    fn take(&mut self, message: Request, questions: &Address<Question>) -> Result<(), Failure> {
        match message {
            Request::Publish {
                publications,
                reply,
                ..
            } if publications.is_empty() => reply.send(Ok(Vec::new())),
            Request::Publish {
                publications,
                channel,
                reply,
            } => {
                let messages = self.own(&publications, channel);
                self.queue.push(messages, reply);
            }
            Request::Execute {
                command: Command::Disconnect(id),
                reply,
            } => {
                self.disconnect_elsewhere(&id, None);
                let command = Command::Disconnect(id);
                self.forward(Request::Execute { command, reply })?;
            }
            Request::Disconnect { id, until, reply } => {
                self.disconnect_elsewhere(&id, until);
                self.forward(Request::Disconnect { id, until, reply })?;
            }
            Request::Execute {
                command:
                    ref command @ (Command::SubscribedClients(ref target)
                    | Command::TcpSubscribedClients(ref target)),
                reply,
            } => {
                let question = Question {
                    target: target.clone(),
                    command: command.clone().into(),
                    reply,
                };
                questions.try_send(question).map_err(|_| gone())?;
            }
            other => self.forward(other)?,
        }
        Ok(())
    }

    /// Has all other nodes end the streams with an id. How many they were nobody is told.
    fn disconnect_elsewhere(&mut self, id: &ClientId, until: Option<u64>) {
        self.number += 1;
        let own = Own {
            number: self.number,
            item: entry::disconnect(id, until),
            channel: Channel::Bus,
        };
        let (reply, _nobody_waits) = runtime::reply();
        self.queue.push(vec![own], reply);
    }

    fn read(&self, link: &Link) -> Step<Vec<Entry>> {
        let (after, page) = (self.reading.seen(), self.reading.page());
        Box::pin(link.clone().read(after, page, true))
    }

    fn write(&mut self, link: &Link) -> Option<Step<Added>> {
        let entry = self.queue.next_write(self.node)?;
        count(&self.figures.written, entry.count);
        let (seen, given) = (self.reading.seen(), self.reading.given());
        let add = link.clone().add(self.keep(), seen, given, vec![entry]);
        Some(Box::pin(add))
    }

    pub(super) fn heartbeat(&mut self, link: &Link, joining: bool) -> Step<Heartbeat> {
        self.reading
            .set_limits(self.settings.now().history.together());
        let clients = self.figures.own_clients.get();
        let (seen, residue) = (self.reading.seen(), self.reading.residue());
        Box::pin(
            link.clone()
                .heartbeat(self.keep(), seen, clients, residue, joining),
        )
    }

    pub(super) fn note_heartbeat(&mut self, heartbeat: &Heartbeat) {
        self.reading.set_residue(heartbeat.residue);
        self.figures.nodes.set(heartbeat.nodes.len() as u64);
        let names = heartbeat.nodes.iter();
        let present = names.filter_map(|name| u64::from_str_radix(name, 16).ok());
        self.figures.present.replace(present.collect());
        self.nodes.clone_from(&heartbeat.nodes);
        self.figures.others_clients.set(heartbeat.others_clients);
    }
}
