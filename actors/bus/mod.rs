//! The bus actor: several nodes act as one, by a stream in Redis or Valkey.
//!
//! It stands between those who take messages in and the registry, and takes the registry's own
//! messages; without `--bus` nobody stands there. A message goes to the stream, in one entry with all that
//! wait ([`queue`]); what comes back from the stream, by a connection that does nothing but wait for it,
//! is what every node delivers, in the stream's order and with the stream's ids. A publisher's receipt
//! comes when its own message has come back; its recipients are those of this node.
//!
//! | file | subject |
//! | --- | --- |
//! | this | the actor: inputs into the core, its actions out |
//! | [`core`] | the phases, and what each input does; below it joining, serving, reading, being detached |
//! | [`log`] | what is asked of a log that nodes share |
//! | [`redis`] | that log as a stream of Redis: the connections, their errors, the scripts |
//! | [`entry`] | what an entry of the stream says |
//! | [`queue`] | own messages on their way |
//! | [`tail`] | what can be added again |
//! | [`asking`] | what nodes say to one another beside the stream |
//! | [`peer_messages`] | how they say it |
//! | `tests` | many nodes on a log in memory, with faults that a seed decides |
//!
//! # Ids
//!
//! One place gives them out: the script that adds to the stream, in Redis, one call at a time. An id is
//! Redis's time in microseconds, or the next behind the newest id where that is not greater; it is even,
//! and always greater than what the calling node has read or given out. The messages of one entry have
//! the even ids one after the other, from that on. The id of the entry is that of its last message, so
//! the stream itself says which was the last. Below 2^53 until the year 2255, as on one machine.
//!
//! # Exactly once
//!
//! One entry is written at a time, and a node numbers its messages. A write whose answer was lost is
//! repeated, by whatever way, perhaps with more behind it; readers drop each message that has a number
//! of its node that they have had. A write that a paused Redis finds in an old connection long after
//! its repetition is dropped likewise.
//!
//! A second write under way could succeed where the first fails, and then the first would be dropped.
//! It would win nothing: a node reads once in a round trip too, so whatever is added between two reads
//! comes with the second, and what waits meanwhile makes the next entry larger and its messages cheaper.
//! With a Redis 1 ms away and four writes under way no message came sooner, and Redis spent half as
//! much again on each.
//!
//! # Nothing lost in silence
//!
//! Each entry says which id was before it; a reader that has not seen that has a gap, and so have its
//! streams. When Redis comes back with less than it had (no append-only file, a replica that was
//! behind), each node adds again what it [holds][tail] beyond the stream's end, with its ids; the
//! first does, and the others find it there. Nobody writes before that: the script refuses a node that
//! has read more than there is, and where Redis is another process than before, each waits until all
//! nodes have come that were there, five seconds at most; one that starts meanwhile waits until these are
//! done. If one does not come, or if something cannot be
//! added again in order, as others have written meanwhile, that becomes a *gap marker*: an entry on which all
//! nodes give their streams `gap`. What Redis has acknowledged and lost before it came back is found out
//! when something newer comes; then the stream has gone back too.
//!
//! # Alone (`--bus-down local`)
//!
//! While Redis is away a node delivers with ids of its own, greater than all it has seen: odd ones, of
//! which each node has a share that Redis gave it, so that neither another node nor Redis gives out the
//! same meanwhile. One that starts while Redis is away takes a share by chance, which another may have.
//! When Redis is back, a node adds the events that it delivered alone, with their ids if nobody else has
//! added anything. Others deliver them as they read them. Where others have added something, its streams
//! have another order and get `gap`; and ids of a stream only grow, so what is below those that this node
//! has given out cannot be delivered here. A stream that changes nodes across that time gets `gap` too, as its
//! id is none that the other node knows ([`crate::registry`]); and where others have added something a
//! gap marker follows, before which nobody begins who comes back. A node that was there before and ends meanwhile
//! leaves a gap marker too, as nobody else has what it delivered alone.
//!
//! # Questions
//!
//! How many streams of all nodes a message would reach is asked beside the stream ([`asking`]): events,
//! their ids and their order have nothing to do with it, and nobody's message waits for an answer.
//!
//! # Trimming
//!
//! Whoever writes trims the stream to what it holds itself within the history's limits; what is younger
//! than five seconds stays, so that a node that is a little late misses nothing.

mod asking;
mod core;
mod entry;
mod log;
mod mutant;
mod peer_messages;
mod queue;
mod redis;
mod tail;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_io::Timer;
use futures_lite::FutureExt;

use crate::config::Settings;
use crate::messages::publisher::Request;
use crate::messages::registry::{FromBus, Message, ToNodes};
use crate::model::deadlines::since_1970;
use crate::model::{BusDown, BusFigures, EventId, Record};
use crate::net::BusUrl;
use crate::runtime::{self, Address, CancellationToken, Failure, Gone, Latch, Mailbox};
use core::{Action, Core, Input, Now, Setup};
use log::Log;
pub use log::Trouble;
pub use redis::probe;
use redis::{Link, Scripts};

/// How long a node that ends waits until it has said so.
const LEAVE: Duration = Duration::from_millis(200);

/// What is under way, and the input that comes of it.
type Step = Pin<Box<dyn Future<Output = Result<Input, Failure>>>>;
/// The connection on its way.
type Opening = Pin<Box<dyn Future<Output = Result<Link, Trouble>>>>;

/// The bus actor: it gives the core its inputs, and performs its actions.
pub struct Bus {
    core: Core,
    /// What the core wants first.
    first: Vec<Action>,
    url: BusUrl,
    scripts: Rc<Scripts>,
    registry: Address<Message>,
    /// Where go requests that are not the bus's.
    requests: Address<Request>,
    inbox: Mailbox<Request>,
    /// What other nodes are to be told, and what they say.
    to_nodes: Mailbox<ToNodes>,
    heard: Mailbox<Vec<u8>>,
    hear: Address<Vec<u8>>,
    gate: Latch,
    opening: Option<Opening>,
    link: Option<Link>,
    /// In the order in which they began.
    steps: Vec<Step>,
    /// For the core's next moment.
    timer: Timer,
    due: Option<Instant>,
}

/// What a bus is made with.
pub struct Parts {
    /// Where it is.
    pub url: BusUrl,
    /// What becomes of messages while it is away.
    pub down: BusDown,
    /// The settings.
    pub settings: Rc<Settings>,
    /// Who delivers.
    pub registry: Address<Message>,
    /// Where it takes requests.
    pub requests: Address<Request>,
    /// What it counts.
    pub figures: Rc<BusFigures>,
    /// The newest id that the registry's streams may stand at.
    pub position: EventId,
    /// Opened as soon as it is clear how the bus is, and clients may come.
    pub gate: Latch,
    /// What a history file had, to be added where Redis has nothing at all, and from which id on it has everything.
    pub recovered: (Vec<Record>, EventId),
    /// What other nodes are to be told.
    pub to_nodes: Mailbox<ToNodes>,
}

impl Bus {
    /// A bus that has not connected yet, which takes its messages from `inbox`.
    pub fn new(parts: Parts, inbox: Mailbox<Request>) -> Self {
        let setup = Setup {
            place: parts.url.to_string(),
            down: parts.down,
            settings: parts.settings,
            figures: parts.figures,
            position: parts.position,
            recovered: parts.recovered,
            seed: fastrand::u64(..),
        };
        let (core, first) = Core::new(setup, now());
        let (hear, heard) = runtime::mailbox(asking::HEARD);
        Self {
            core,
            first,
            url: parts.url,
            scripts: Rc::new(Scripts::new()),
            registry: parts.registry,
            requests: parts.requests,
            inbox,
            to_nodes: parts.to_nodes,
            heard,
            hear,
            gate: parts.gate,
            opening: None,
            link: None,
            steps: Vec::new(),
            timer: Timer::never(),
            due: None,
        }
    }

    /// Runs until it is asked to stop, whether the bus is there or not.
    ///
    /// # Errors
    /// The registry is gone.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Failure> {
        let ended = self.work(stop).await;
        if let Some(mut link) = self.link.take().filter(|_| self.core.is_joined()) {
            // Where that cannot be said now, the others find it out.
            let late = async {
                Timer::after(LEAVE).await;
                Err(Trouble::new("no answer"))
            };
            let _unsaid = link.leave().or(late).await;
        }
        let unreplicated = self.core.unreplicated();
        if unreplicated > 0 {
            ::log::warn!(
                "{unreplicated} events that were delivered here alone are not added to the bus {}",
                self.url
            );
        }
        ended
    }

    async fn work(&mut self, stop: CancellationToken) -> Result<(), Failure> {
        let mut actions = std::mem::take(&mut self.first);
        let mut stopped = pin!(stop.cancelled());
        loop {
            self.perform(actions).await?;
            self.set_timer();
            let input = poll_fn(|context| {
                if stopped.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Ok(None));
                }
                self.poll_input(context).map(|input| input.map(Some))
            });
            let Some(input) = input.await? else {
                return Ok(());
            };
            actions = self.core.on(input, now());
        }
    }

    /// Performs actions, and those that come of them.
    async fn perform(&mut self, actions: Vec<Action>) -> Result<(), Failure> {
        let mut rest = VecDeque::from(actions);
        while let Some(action) = rest.pop_front() {
            match action {
                Action::Open => self.opening = Some(self.open()),
                Action::Call(call) => {
                    if let Some(mut link) = self.link.clone() {
                        let step = async move { Ok(call.perform(&mut link).await) };
                        self.steps.push(Box::pin(step));
                    }
                }
                Action::Close => {
                    self.link = None;
                    self.steps.clear();
                }
                Action::Deliver(events) => {
                    let deliver = |reply| Message::Bus(FromBus::Deliver { events, reply });
                    let receipts = self.registry.call(deliver).await?;
                    rest.extend(self.core.on(Input::Delivered(receipts), now()));
                }
                Action::Tell(message) => {
                    if let FromBus::Open = &message {
                        self.gate.open();
                    }
                    let message = Message::Bus(message);
                    self.registry.try_send(message).map_err(|_| Gone)?;
                }
                Action::Forward(request) => {
                    self.requests.try_send(request).map_err(|_| Gone)?;
                }
                Action::Count(asker, targets) => {
                    let registry = self.registry.clone();
                    self.steps.push(Box::pin(async move {
                        let mut counts = Vec::with_capacity(targets.len());
                        for (number, target) in targets {
                            // One by one, so that all who ask the registry have their turns.
                            let count = |reply| Message::Bus(FromBus::Count { target, reply });
                            counts.push((number, registry.call(count).await?));
                        }
                        Ok(Input::Counted(asker, counts))
                    }));
                }
            }
        }
        Ok(())
    }

    fn open(&self) -> Opening {
        let (url, scripts) = (self.url.clone(), Rc::clone(&self.scripts));
        let (node, hear) = (self.core.node(), self.hear.clone());
        Box::pin(async move { Link::open(&url, scripts, node, hear).await })
    }

    fn set_timer(&mut self) {
        let due = self.core.wake();
        if due != self.due {
            self.due = due;
            match due {
                Some(due) => self.timer.set_at(due),
                None => self.timer.clear(),
            }
        }
    }

    /// What comes next. What publishers want goes first, so that it is written while what was read is
    /// delivered.
    fn poll_input(&mut self, context: &mut Context<'_>) -> Poll<Result<Input, Failure>> {
        if self.core.is_listening()
            && let Poll::Ready(Some(request)) = self.inbox.poll_next(context)
        {
            // All that wait go with it.
            let more = std::iter::from_fn(|| self.inbox.try_recv());
            let requests = std::iter::once(request).chain(more).collect();
            return Poll::Ready(Ok(Input::Requests(requests)));
        }
        if let Some(opening) = &mut self.opening
            && let Poll::Ready(opened) = opening.as_mut().poll(context)
        {
            self.opening = None;
            return Poll::Ready(Ok(match opened {
                Ok(link) => Input::Opened(self.link.insert(link).run()),
                Err(trouble) => Input::Broken(trouble),
            }));
        }
        for place in 0..self.steps.len() {
            if let Poll::Ready(input) = self.steps[place].as_mut().poll(context) {
                drop(self.steps.remove(place));
                return Poll::Ready(input);
            }
        }
        // What others say comes behind what was to be read first.
        if self.core.is_joined()
            && let Poll::Ready(Some(said)) = self.heard.poll_next(context)
        {
            return Poll::Ready(Ok(Input::Heard(said)));
        }
        if let Poll::Ready(Some(told)) = self.to_nodes.poll_next(context) {
            return Poll::Ready(Ok(Input::ToNodes(told)));
        }
        if Pin::new(&mut self.timer).poll(context).is_ready() {
            self.due = None;
            return Poll::Ready(Ok(Input::Time));
        }
        Poll::Pending
    }
}

impl From<Gone> for Failure {
    fn from(_: Gone) -> Self {
        Self("the registry is gone".into())
    }
}

fn now() -> Now {
    Now {
        at: Instant::now(),
        micros: since_1970().as_micros() as u64,
    }
}
