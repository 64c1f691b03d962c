//! The bus actor: several nodes act as one, by a stream in Redis or Valkey.
//!
//! It stands between those who take messages in and the registry, and takes the registry's own
//! messages; without `--bus` nobody stands there. A message goes to the stream, in a batch with all that
//! wait ([`queue`]); what comes back from the stream, by a connection that does nothing but wait for it,
//! is what every node delivers, in the stream's order and with the stream's ids. A publisher's receipt
//! comes when its own message has come back; its recipients are those of this node.
//!
//! | file | subject |
//! | --- | --- |
//! | this | being up, being away, and what becomes of messages then |
//! | [`address`] | the URL |
//! | [`entry`] | what an entry of the stream says |
//! | [`script`] | what Redis does in one step: giving ids, restoring |
//! | [`link`] | the connections, and what their errors mean |
//! | [`queue`] | own messages on their way |
//! | [`reading`] | what comes from the stream |
//! | [`joining`] | coming back to the stream, which may have gone on, or back |
//! | [`held`] | what can be added again |
//!
//! # Ids
//!
//! One place gives them out: the script that adds to the stream, in Redis, one call at a time. An id is
//! Redis's time in microseconds, or the newest id plus one where that is not greater, and always greater
//! than what the calling node has read or given out. The id of the entry is the event's id, so the
//! stream itself says which was the last. Below 2^53 until the year 2255, as on one machine.
//!
//! # Exactly once
//!
//! One batch is written at a time, and a node numbers its messages. A write whose answer was lost is
//! repeated, by whatever way; readers drop what has a number of its node that they have had. A write
//! that a paused Redis finds in an old connection long after its repetition is dropped likewise.
//!
//! # Nothing lost in silence
//!
//! Each entry says which id was before it; a reader that has not seen that has a gap, and so have its
//! streams. When Redis comes back with less than it had (no append-only file, a replica that was
//! behind), each node adds again what it [holds][held] beyond the stream's end, with its ids; the
//! first does, and the others find it there. Nobody writes before that: the script refuses a node that
//! has read more than there is. What cannot be added again in order, as others have written meanwhile,
//! becomes a *hole*: an entry on which all nodes give their streams `gap`.
//!
//! # Alone (`--bus-down local`)
//!
//! While Redis is away a node delivers with ids of its own, greater than all it has seen, and adds
//! these events when it is back, with their ids where nothing newer is in the stream. Others deliver
//! them as they read them. Ids of a stream only grow, so what others have added below what this node
//! has given out meanwhile cannot be delivered here: its streams get `gap`. A stream that changes nodes
//! across that time gets `gap` too, as its id is none that the other node knows
//! ([`crate::registry`]), and where events got other ids a hole follows for those who come back.
//!
//! # Trimming
//!
//! Whoever writes trims the stream to what it holds itself within the history's limits; what is younger
//! than [`SLACK`] stays, so that a node that is a little late misses nothing.

pub mod address;
mod entry;
mod figures;
mod held;
mod joining;
mod link;
mod queue;
mod reading;
mod script;

use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use async_io::Timer;
use futures_lite::FutureExt;

pub use address::BusUrl;
use entry::{Entry, Node};
pub use figures::Figures;
use figures::count;
use held::{Held, before};
use link::{Added, Keep, Link, Met};
pub use link::{Trouble, probe};
use queue::{Own, Queue};
use reading::Reading;
use script::Scripts;

use crate::config::Settings;
use crate::model::{Channel, ClientId, EventId, Publication, Record};
use crate::registry::{Away, FromBus, Incoming, Message, Outcome, Receipt};
use crate::system::{self, Address, Failure, Mailbox, Reply, Stop, Stopper};
use crate::wire::command::Command;

/// What becomes of messages while the bus is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusDown {
    /// They are delivered to this node's own subscribers, and added to the stream afterwards.
    Local,
    /// They are refused.
    Refuse,
}

/// The shortest and the longest pause before another attempt to connect, without jitter.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How often a node says that it lives.
const MEET: Duration = Duration::from_secs(3);
/// What is younger is not trimmed.
const SLACK: Duration = Duration::from_secs(5);

/// The bus's state.
pub struct Bus {
    url: BusUrl,
    down: BusDown,
    settings: Rc<Settings>,
    registry: Address<Message>,
    inbox: Mailbox<Message>,
    figures: Rc<Figures>,
    scripts: Rc<Scripts>,
    node: Node,
    /// The number of the last own message.
    number: u64,
    queue: Queue,
    reading: Reading,
    /// Whether clients may come already.
    open: bool,
    opened: Stopper,
    /// Why the bus is away, each reason once, the latest last; none while it is there.
    troubles: Vec<Trouble>,
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
    /// What it counts.
    pub figures: Rc<Figures>,
    /// The newest id that the registry's streams may stand at.
    pub position: EventId,
    /// Is stopped as soon as it is clear how the bus is, and clients may come.
    pub opened: Stopper,
    /// What a history file had, to be added where Redis has nothing at all.
    pub recovered: Vec<Record>,
}

/// A step of a link in use.
type Step<T> = Pin<Box<dyn Future<Output = Result<T, Trouble>>>>;

/// What came next.
enum Turn {
    Asked(Message),
    Written(Result<Added, Trouble>),
    Read(Result<Vec<Entry>, Trouble>),
    Met(Result<Met, Trouble>),
    Due,
    Stop,
}

impl Bus {
    /// A bus that has not connected yet, which takes its messages from `inbox`.
    pub fn new(parts: Parts, inbox: Mailbox<Message>) -> Self {
        let Parts {
            url,
            down,
            settings,
            registry,
            figures,
            position,
            opened,
            recovered,
        } = parts;
        let node = Node(fastrand::u64(..));
        let mut held = Held::new(settings.now().history);
        let mut number = 0;
        let mut previous = None;
        for record in recovered {
            number += 1;
            held.hold(Entry {
                id: record.id,
                // What was before the first is not known.
                previous: previous.unwrap_or(EventId(record.id.0.saturating_sub(1))),
                body: entry::event(node, number, &record.publication),
            });
            previous = Some(record.id);
        }
        Self {
            url,
            down,
            settings,
            registry,
            inbox,
            figures,
            scripts: Rc::new(Scripts::new()),
            node,
            number,
            queue: Queue::default(),
            reading: Reading::new(held, position),
            open: false,
            opened,
            troubles: Vec::new(),
        }
    }

    /// Runs until it is asked to stop, whether the bus is there or not.
    ///
    /// # Errors
    /// The registry is gone.
    pub async fn run(mut self, stop: Stop) -> Result<(), Failure> {
        let mut pause = PAUSE.0;
        loop {
            let url = self.url.clone();
            let open = Link::open(&url, Rc::clone(&self.scripts), self.node);
            let Some(link) = self.meanwhile(open, &stop).await? else {
                return Ok(());
            };
            let trouble = match link {
                Err(trouble) => trouble,
                Ok(mut link) => match self.join(&mut link).await {
                    Err(trouble) => trouble,
                    Ok(()) => {
                        pause = PAUSE.0;
                        self.is_up();
                        match self.serve(link, &stop).await? {
                            None => return Ok(()),
                            Some(trouble) => trouble,
                        }
                    }
                },
            };
            self.is_away(trouble).await?;
            let wait = pause.mul_f64(0.5 + fastrand::f64());
            let Some(_waited) = self.meanwhile(Timer::after(wait), &stop).await? else {
                return Ok(());
            };
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Clients may come.
    fn is_open(&mut self) -> Result<(), Failure> {
        self.open = true;
        self.opened.stop();
        self.tell(FromBus::Open)
    }

    fn is_up(&mut self) {
        self.figures.up.set(true);
        let again = if self.troubles.is_empty() {
            ""
        } else {
            " again"
        };
        self.troubles.clear();
        log::info!("the bus {} is there{again}", self.url);
    }

    /// Tells of the trouble, if it is news, and sees to the messages under way.
    async fn is_away(&mut self, trouble: Trouble) -> Result<(), Failure> {
        let same = |known: &Trouble| known.to_string() == trouble.to_string();
        let known = self.troubles.iter().position(same);
        if self.troubles.is_empty() {
            count(&self.figures.losses, 1);
            let meanwhile = match self.down {
                BusDown::Local => "messages are delivered to this node's subscribers alone",
                BusDown::Refuse => "messages are refused",
            };
            log::error!("the bus {} is away: {trouble}; {meanwhile}", self.url);
        } else if known.is_none() {
            log::warn!("the bus {} is still away: {trouble}", self.url);
        }
        if let Some(known) = known {
            self.troubles.remove(known);
        }
        self.troubles.push(trouble);
        self.figures.up.set(false);
        self.figures.nodes.set(0);
        if !self.open {
            self.is_open()?;
        }
        while let Some((messages, batch)) = self.queue.take_batch() {
            match self.down {
                BusDown::Refuse => batch.refuse(self.away(messages.len())),
                BusDown::Local => batch.complete(self.deliver_alone(messages).await?),
            }
        }
        Ok(())
    }

    fn away(&self, messages: usize) -> Away {
        count(&self.figures.refused, messages);
        let why = self.troubles.last().map(ToString::to_string);
        Away(why.unwrap_or_default().into())
    }

    /// Delivers messages under ids of this node's, and keeps them to be added.
    async fn deliver_alone(&mut self, messages: Vec<Own>) -> Result<Vec<Receipt>, Failure> {
        let Some(channel) = messages.first().map(|own| own.channel) else {
            return Ok(Vec::new());
        };
        let read = |own: &Own| match entry::Body::read(&own.body) {
            Some(entry::Body::Event { publication, .. }) => Some(publication),
            _ => None,
        };
        let publications = messages.iter().filter_map(read).collect();
        let (reply, answer) = system::reply();
        self.forward(Message::Publish {
            publications,
            channel,
            reply,
        })?;
        let receipts = answer.wait().await.and_then(Result::ok).ok_or_else(gone)?;
        for receipt in &receipts {
            self.reading.gave(receipt.id);
        }
        let limits = self.settings.now().history;
        self.queue.keep_late(messages, &receipts, limits);
        self.figures.waiting.set(self.queue.late() as u64);
        Ok(receipts)
    }

    fn forward(&self, message: Message) -> Result<(), Failure> {
        self.registry.offer(message).map_err(|_| gone())
    }

    fn tell(&self, message: FromBus) -> Result<(), Failure> {
        self.forward(Message::FromBus(message))
    }

    /// Numbers messages and makes them bodies of the stream.
    fn own(&mut self, publications: &[Publication], channel: Channel) -> Vec<Own> {
        let numbered = publications.iter().map(|publication| {
            self.number += 1;
            Own {
                number: self.number,
                body: entry::event(self.node, self.number, publication).into(),
                channel,
            }
        });
        numbered.collect()
    }

    /// Waits for something while the bus is away, and sees to messages; none when it is to stop.
    async fn meanwhile<T>(
        &mut self,
        work: impl Future<Output = T>,
        stop: &Stop,
    ) -> Result<Option<T>, Failure> {
        let mut work = pin!(work);
        loop {
            let done = async { Ok(Some((&mut work).await)) };
            let stopped = async {
                stop.requested().await;
                Ok(None)
            };
            let open = self.open;
            let inbox = &mut self.inbox;
            let asked = async {
                // At the start they wait until it is clear how the bus is.
                match open {
                    true => inbox.next().await.map_or_else(|| Ok(None), Err),
                    false => pending().await,
                }
            };
            let message = match stopped.or(asked).or(done).await {
                Ok(outcome) => return Ok(outcome),
                Err(message) => message,
            };
            match message {
                Message::Publish {
                    publications,
                    channel,
                    reply,
                } => self.publish_alone(&publications, channel, reply).await?,
                other => self.forward(other)?,
            }
        }
    }

    async fn publish_alone(
        &mut self,
        publications: &[Publication],
        channel: Channel,
        reply: Reply<Outcome>,
    ) -> Result<(), Failure> {
        reply.send(match self.down {
            BusDown::Refuse => Err(self.away(publications.len())),
            BusDown::Local => {
                let messages = self.own(publications, channel);
                Ok(self.deliver_alone(messages).await?)
            }
        });
        Ok(())
    }

    /// Uses a link until it breaks, and says why; none when it is to stop.
    async fn serve(&mut self, mut link: Link, stop: &Stop) -> Result<Option<Trouble>, Failure> {
        let mut writing: Option<Step<Added>> = None;
        let mut reading = self.read(&link);
        let mut meeting: Option<Step<Met>> = None;
        let mut due = Timer::interval(MEET);
        loop {
            if writing.is_none() {
                writing = self.write(&link);
            }
            let outcome = match self
                .turn(&mut writing, &mut reading, &mut meeting, &mut due, stop)
                .await
            {
                Turn::Stop => return Ok(None),
                Turn::Due => {
                    meeting = Some(self.meet(&link));
                    Ok(())
                }
                Turn::Asked(message) => {
                    self.take(message)?;
                    // All that wait go with it.
                    while let Some(message) = self.inbox.take() {
                        self.take(message)?;
                    }
                    Ok(())
                }
                Turn::Read(Ok(entries)) => {
                    self.digest(entries).await?;
                    reading = self.read(&link);
                    Ok(())
                }
                Turn::Met(Ok(met)) => {
                    meeting = None;
                    self.met(met);
                    match met.last.is_none_or(|last| last < self.reading.seen()) {
                        true => self.join(&mut link).await,
                        false => Ok(()),
                    }
                }
                Turn::Written(Ok(Added::All)) => {
                    writing = None;
                    Ok(())
                }
                Turn::Written(Ok(Added::Behind)) => {
                    writing = None;
                    self.queue.write_again();
                    self.join(&mut link).await
                }
                Turn::Written(Err(trouble))
                | Turn::Read(Err(trouble))
                | Turn::Met(Err(trouble)) => Err(trouble),
            };
            if let Err(trouble) = outcome {
                return Ok(Some(trouble));
            }
        }
    }

    /// Waits for what comes next; publishers' messages and what was written come before what was read.
    async fn turn(
        &mut self,
        writing: &mut Option<Step<Added>>,
        reading: &mut Step<Vec<Entry>>,
        meeting: &mut Option<Step<Met>>,
        due: &mut Timer,
        stop: &Stop,
    ) -> Turn {
        let stopped = async {
            stop.requested().await;
            Turn::Stop
        };
        let inbox = &mut self.inbox;
        let asked = async {
            match inbox.next().await {
                Some(message) => Turn::Asked(message),
                None => pending().await,
            }
        };
        let due = async {
            futures_lite::StreamExt::next(due).await;
            Turn::Due
        };
        let link = poll_fn(|cx| {
            if let Some(step) = writing
                && let Poll::Ready(written) = step.as_mut().poll(cx)
            {
                return Poll::Ready(Turn::Written(written));
            }
            if let Some(step) = meeting
                && let Poll::Ready(met) = step.as_mut().poll(cx)
            {
                return Poll::Ready(Turn::Met(met));
            }
            reading.as_mut().poll(cx).map(Turn::Read)
        });
        stopped.or(asked).or(link).or(due).await
    }

    /// Takes in what a publisher asks for.
    fn take(&mut self, message: Message) -> Result<(), Failure> {
        match message {
            Message::Publish {
                publications,
                reply,
                ..
            } if publications.is_empty() => reply.send(Ok(Vec::new())),
            Message::Publish {
                publications,
                channel,
                reply,
            } => {
                let messages = self.own(&publications, channel);
                self.queue.push(messages, reply);
            }
            Message::Execute {
                command: Command::Disconnect(id),
                reply,
            } => {
                self.disconnect_elsewhere(&id);
                let command = Command::Disconnect(id);
                self.forward(Message::Execute { command, reply })?;
            }
            Message::Disconnect { id, reply } => {
                self.disconnect_elsewhere(&id);
                self.forward(Message::Disconnect { id, reply })?;
            }
            other => self.forward(other)?,
        }
        Ok(())
    }

    /// Has all other nodes end the streams with an id. How many they were nobody is told.
    fn disconnect_elsewhere(&mut self, id: &ClientId) {
        self.number += 1;
        let own = Own {
            number: self.number,
            body: entry::disconnect(self.node, self.number, id).into(),
            channel: Channel::Bus,
        };
        let (reply, _nobody_waits) = system::reply();
        self.queue.push(vec![own], reply);
    }

    fn read(&self, link: &Link) -> Step<Vec<Entry>> {
        let (after, size) = (self.reading.seen(), self.reading.size());
        Box::pin(link.clone().read(after, size, true))
    }

    fn write(&mut self, link: &Link) -> Option<Step<Added>> {
        let messages = self.queue.next_write();
        if messages.is_empty() {
            return None;
        }
        count(&self.figures.written, messages.len());
        let (seen, given) = (self.reading.seen(), self.reading.given());
        let add = link.clone().add(self.keep(), seen, given, messages);
        Some(Box::pin(add))
    }

    fn meet(&mut self, link: &Link) -> Step<Met> {
        self.reading.set_limits(self.settings.now().history);
        let clients = self.figures.own_clients.get();
        let seen = self.reading.seen();
        Box::pin(link.clone().meet(self.keep(), seen, clients))
    }

    fn met(&self, met: Met) {
        self.figures.nodes.set(met.nodes);
        self.figures.clients.set(met.clients);
    }

    /// What the stream is to keep.
    fn keep(&self) -> Keep {
        let seen = self.reading.seen();
        let held = self.reading.oldest().unwrap_or(seen);
        Keep {
            from: held.min(before(seen, SLACK)),
            age: self.settings.now().history.age.max(SLACK),
        }
    }
}

fn gone() -> Failure {
    Failure("the registry is gone".into())
}
