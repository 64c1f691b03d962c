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
//! | this | being up, being away, and what becomes of messages then |
//! | [`entry`] | what an entry of the stream says |
//! | [`script`] | what Redis does in one step: giving ids, restoring |
//! | [`serving`] | using a link: what is written, read and asked for |
//! | [`detached`] | what becomes of messages while there is none |
//! | [`link`] | the connections, and what their errors mean |
//! | [`queue`] | own messages on their way |
//! | [`reading`] | what comes from the stream |
//! | [`joining`] | coming back to the stream, which may have gone on, or back |
//! | [`tail`] | what can be added again |
//! | [`asking`] | questions among the nodes |
//! | [`peer_messages`] | what they say then |
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
//! nodes have come that were there, five seconds at most. If one does not, or if something cannot be
//! added again in order, as others have written meanwhile, that becomes a *gap marker*: an entry on which all
//! nodes give their streams `gap`. What Redis has acknowledged and lost before it came back is found out
//! when something newer comes; then the stream has gone back too.
//!
//! # Alone (`--bus-down local`)
//!
//! While Redis is away a node delivers with ids of its own, greater than all it has seen: odd ones, of
//! which each node has a share that Redis gave it, so that neither another node nor Redis gives out the
//! same meanwhile. It adds these events when it is back, with their ids if nobody else has added
//! anything. Others deliver them as they read them. Where others have, its streams have another order
//! and get `gap`; and ids of a stream only grow, so what is below those that this node has given out
//! cannot be delivered here. A stream that changes nodes across that time gets `gap` too, as its
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
//! than [`SLACK`] stays, so that a node that is a little late misses nothing.

mod asking;
mod detached;
mod entry;
mod joining;
mod link;
mod peer_messages;
mod queue;
mod reading;
mod script;
mod serving;
mod tail;

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::{Duration, Instant};

use async_io::Timer;
use futures_lite::FutureExt;

use asking::{Asking, Question};
use entry::Node;
use link::{Keep, Link};
pub use link::{Trouble, probe};
use queue::{Own, Queue};
use reading::Reading;
use script::Scripts;
use tail::{LogTail, before};

use crate::config::Settings;
use crate::messages::publisher::{NotTaken, Request};
use crate::messages::registry::{FromBus, Incoming, Message, ToNodes};
use crate::model::bus_figures::{BusFigures, count};
use crate::model::{BusDown, Channel, EventId, Publication, Record};
use crate::net::BusUrl;
use crate::runtime::{self, Address, CancellationToken, Failure, Latch, Mailbox};

/// The shortest and the longest pause before another attempt to connect, without jitter.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// How often a node says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(3);
/// How long a node that ends waits until it has said so.
const LEAVE: Duration = Duration::from_millis(200);
/// What is younger is not trimmed.
const SLACK: Duration = Duration::from_secs(5);

/// The bus's state.
pub struct Bus {
    url: BusUrl,
    down: BusDown,
    settings: Rc<Settings>,
    registry: Address<Message>,
    /// Where go requests that are not the bus's.
    requests: Address<Request>,
    inbox: Mailbox<Request>,
    figures: Rc<BusFigures>,
    scripts: Rc<Scripts>,
    node: Node,
    /// The number of the last own message.
    number: u64,
    queue: Queue,
    /// What the other nodes are to be told; taken at the start.
    members: Option<Mailbox<ToNodes>>,
    reading: Reading,
    /// Whether clients may come already.
    open: bool,
    gate: Latch,
    /// The nodes that were there at the last meeting.
    nodes: BTreeSet<String>,
    /// Which run of Redis this node was with last, and which nodes were there then.
    run: Option<Rc<str>>,
    known: BTreeSet<String>,
    /// Nodes that may have been alone when this one was, and have not come since; and how long they may take.
    missing_peers: Option<(BTreeSet<String>, Instant)>,
    /// Whether Redis may have lost what others have since.
    may_lack: bool,
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
    /// What all other nodes are to know of those who are there.
    pub members: Mailbox<ToNodes>,
}

impl Bus {
    /// A bus that has not connected yet, which takes its messages from `inbox`.
    pub fn new(parts: Parts, inbox: Mailbox<Request>) -> Self {
        let Parts {
            url,
            down,
            settings,
            registry,
            requests,
            figures,
            position,
            gate,
            recovered,
            members,
        } = parts;
        let node = Node(fastrand::u64(..));
        figures.own.set(node.0);
        let mut tail = LogTail::new(settings.now().history.together());
        let number = recovered.0.len() as u64;
        let entries = entry::of_file(node, recovered.0, recovered.1);
        entries.into_iter().for_each(|entry| tail.hold(entry));
        Self {
            url,
            down,
            settings,
            registry,
            requests,
            inbox,
            figures,
            scripts: Rc::new(Scripts::new()),
            node,
            members: Some(members),
            number,
            queue: Queue::default(),
            reading: Reading::new(tail, position),
            open: false,
            gate,
            nodes: BTreeSet::new(),
            run: None,
            known: BTreeSet::new(),
            missing_peers: None,
            may_lack: false,
            troubles: Vec::new(),
        }
    }

    /// Runs until it is asked to stop, whether the bus is there or not.
    ///
    /// # Errors
    /// The registry is gone.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Failure> {
        let ended = self.work(stop).await;
        if self.queue.unreplicated() > 0 {
            log::warn!(
                "{} events that were delivered here alone are not added to the bus {}",
                self.queue.unreplicated(),
                self.url
            );
        }
        ended
    }

    async fn work(&mut self, stop: CancellationToken) -> Result<(), Failure> {
        let mut pause = PAUSE.0;
        let members = self
            .members
            .take()
            .unwrap_or_else(|| runtime::unbounded().1);
        let (mut asking, questions) = Asking::new(self.node, self.registry.clone(), members);
        loop {
            let began = Instant::now();
            let url = self.url.clone();
            let open = Link::open(&url, Rc::clone(&self.scripts), self.node, asking.peers());
            let Some(link) = self.meanwhile(open, &stop).await? else {
                return Ok(());
            };
            let ended = match link {
                Err(trouble) => Some(trouble),
                Ok(link) => self.stay(link, &mut asking, &questions, &stop).await?,
            };
            let Some(trouble) = ended else {
                return Ok(());
            };
            self.is_away(trouble).await?;
            // One that breaks again at once is no better than one that is away.
            if began.elapsed() > PAUSE.1 {
                pause = PAUSE.0;
            }
            let wait = pause.mul_f64(0.5 + fastrand::f64());
            let Some(_waited) = self.meanwhile(Timer::after(wait), &stop).await? else {
                return Ok(());
            };
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Joins the others and serves until the link breaks, and says why; none when it is to stop.
    async fn stay(
        &mut self,
        mut link: Link,
        asking: &mut Asking,
        questions: &Address<Question>,
        stop: &CancellationToken,
    ) -> Result<Option<Trouble>, Failure> {
        let joined = self.join(&mut link, stop).await?;
        self.tell_gap()?;
        match joined {
            None => return Ok(None),
            Some(Err(trouble)) => return Ok(Some(trouble)),
            Some(Ok(())) => self.is_up(),
        }
        let asks = asking.run(link.clone());
        let asks = async { Err(asks.await) };
        let leave = link.clone().leave();
        let served = self.serve(link, questions, stop).or(asks).await?;
        asking.end_all()?;
        if served.is_none() {
            // Where that cannot be said now, the others find it out.
            let _unsaid = leave.or(late()).await;
        }
        Ok(served)
    }

    /// Clients may come.
    fn is_open(&mut self) -> Result<(), Failure> {
        self.open = true;
        self.gate.open();
        self.cast(FromBus::Open)
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
            self.known = std::mem::take(&mut self.nodes);
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
        self.figures.others_clients.set(0);
        if !self.open {
            self.is_open()?;
        }
        while let Some((messages, batch)) = self.queue.take_batch() {
            match self.down {
                BusDown::Refuse => batch.refuse(self.away(messages.len())),
                BusDown::Local => batch.complete(self.deliver_detached(messages).await?),
            }
        }
        Ok(())
    }

    fn away(&self, messages: usize) -> NotTaken {
        count(&self.figures.refused, messages);
        let why = self.troubles.last().map(ToString::to_string);
        NotTaken::Away(why.unwrap_or_default().into())
    }

    fn forward(&self, request: Request) -> Result<(), Failure> {
        self.requests.try_send(request).map_err(|_| gone())
    }

    fn cast(&self, message: FromBus) -> Result<(), Failure> {
        self.registry
            .try_send(Message::Bus(message))
            .map_err(|_| gone())
    }

    /// Numbers messages and makes them items of the stream.
    fn own(&mut self, publications: &[Publication], channel: Channel) -> Vec<Own> {
        let numbered = publications.iter().map(|publication| {
            self.number += 1;
            Own {
                number: self.number,
                item: entry::event(publication),
                channel,
            }
        });
        numbered.collect()
    }

    /// What the stream is to keep.
    fn keep(&self) -> Keep {
        let seen = self.reading.seen();
        let tail = self.reading.oldest().unwrap_or(seen);
        Keep {
            from: tail.min(before(seen, SLACK)),
            age: self.settings.now().history.together().age.max(SLACK),
        }
    }
}

/// Ends soon, without success.
async fn late() -> Result<(), Trouble> {
    Timer::after(LEAVE).await;
    Err(Trouble::new("no answer"))
}

fn gone() -> Failure {
    Failure("the registry is gone".into())
}
