//! What a node does on the bus, decided without I/O: each input changes the state, and gives actions.
//!
//! ```text
//!             Opened, Met, … (the steps of core/joining.rs)
//!  Starting ────────────────────────────────────────────────▶ Joined
//!     │                                                       │   ▲
//!     │ Broken                       Broken, or the log       │   │ the last step: this node has
//!     │                              has gone back            │   │ what the log has, and the log
//!     ▼                                                       │   │ what this node has
//!  Detached ◀─────────────────────────────────────────────────┘   │
//!     │ ▲                                                         │
//!     │ └────────────── Broken ──────────────────── Rejoining ────┘
//!     └─── Time: the pause is over ────────────────────▲
//! ```
//!
//! The clock is an argument, chance a seed, the log a [`Call`] and its answer. The actor
//! performs it all ([`super`]); so does the simulation, in which a seed repeats every run (`tests/`).

mod detached;
mod joining;
mod reading;
mod serving;

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::asking::Asking;
use super::entry::{self, Entry, Node, VERSION};
use super::log::{Added, Asked, Call, Keep, Meet, Met, Stage, Trouble};
use super::mutant::{self, Mutant};
use super::queue::{Own, Queue};
use super::tail::{LogTail, before};
use crate::config::Settings;
use crate::messages::publisher::{NotTaken, Receipt, Request};
use crate::messages::registry::{FromBus, Incoming, ToNodes};
use crate::model::bus_figures::count;
use crate::model::{BusDown, BusFigures, Channel, EventId, Publication, Record, Target};
use joining::Step;
use reading::Reading;
use serving::Joined;

/// The shortest and the longest pause before another attempt to connect, without jitter.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// What is younger is not trimmed.
const SLACK: Duration = Duration::from_secs(5);

/// What comes to a node.
#[derive(Debug)]
pub(super) enum Input {
    /// The log is connected; which run of its server answers.
    Opened(Rc<str>),
    /// The log's answers.
    Met(Met),
    Added(Added),
    Read(Vec<Entry>),
    Restored,
    Marked,
    /// The log cannot be connected, or used any more.
    Broken(Trouble),
    /// Something was told to all other nodes, or to one of them, or could not be.
    Said(Result<Option<Asked>, Trouble>),
    /// Another node says something.
    Heard(Vec<u8>),
    /// What publishers ask for, all that waits.
    Requests(Vec<Request>),
    /// The registry has delivered what it was given last.
    Delivered(Vec<Receipt>),
    /// The registry wants other nodes to know something.
    ToNodes(ToNodes),
    /// The registry has counted for another node: the questions' numbers, with the streams.
    Counted(Node, Vec<(u64, u64)>),
    /// The moment that [`Core::wake`] names has come.
    Time,
}

/// What is to be done, in this order.
#[derive(Debug)]
pub(super) enum Action {
    /// Connect the log.
    Open,
    /// Ask the log something; the answer is an input.
    Call(Call),
    /// Drop the connection, and every answer that has not come.
    Close,
    /// Have the registry deliver, and go on when it has.
    Deliver(Vec<Incoming>),
    /// Tell the registry.
    Tell(FromBus),
    /// Pass on what is not the bus's.
    Forward(Request),
    /// Have the registry count for another node.
    Count(Node, Vec<(u64, Target)>),
}

/// What time it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// For what lasts.
    pub(super) at: Instant,
    /// The time of day in microseconds since 1970, of which ids are made.
    pub(super) micros: u64,
}

/// How a node is with the log.
#[derive(Debug)]
enum Phase {
    /// It comes for the first time. Clients and publishers wait.
    Starting(Step),
    /// It writes to the log and delivers what it reads there.
    Joined(Joined),
    /// It has no log, and tries again at a moment.
    Detached { retry: Instant },
    /// It comes back.
    Rejoining(Step),
}

/// What a node knows of the time before it is with the log; nothing while it is.
#[derive(Debug, Default)]
struct Away {
    /// The nodes that were there when this one was last; for one that comes for the first time, those that it
    /// finds coming back.
    known: BTreeSet<String>,
    /// Whether the log may have lost what others have since.
    may_lack: bool,
    /// Why it is away, each reason once, the latest last.
    troubles: Vec<Trouble>,
}

/// What a core is made with.
pub(super) struct Setup {
    /// Where the log is, for its own log lines.
    pub(super) place: String,
    /// What becomes of messages while the log is away.
    pub(super) down: BusDown,
    pub(super) settings: Rc<Settings>,
    pub(super) figures: Rc<BusFigures>,
    /// The newest id that the registry's streams may stand at.
    pub(super) position: EventId,
    /// What a history file had, and from which id on it has everything.
    pub(super) recovered: (Vec<Record>, EventId),
    /// What chance decides.
    pub(super) seed: u64,
}

/// One node.
pub(super) struct Core {
    place: String,
    down: BusDown,
    settings: Rc<Settings>,
    figures: Rc<BusFigures>,
    random: fastrand::Rng,
    node: Node,
    /// Of the entries that it writes.
    version: u8,
    /// The number of the last own message.
    number: u64,
    phase: Phase,
    away: Away,
    /// The nodes that were there at the last meeting.
    nodes: BTreeSet<String>,
    /// Which run of the log this node was with last, and which it is connected to.
    run: Option<Rc<str>>,
    connected: Rc<str>,
    /// The next pause, and when the last attempt to connect began.
    pause: Duration,
    attempt: Instant,
    queue: Queue,
    reading: Reading,
    asking: Asking,
    now: Now,
    actions: Vec<Action>,
}

impl Core {
    /// A node that has not connected yet, and how it begins.
    pub(super) fn new(setup: Setup, now: Now) -> (Self, Vec<Action>) {
        let Setup {
            place,
            down,
            settings,
            figures,
            position,
            recovered,
            seed,
        } = setup;
        let mut random = fastrand::Rng::with_seed(seed);
        let node = Node(random.u64(..));
        figures.own.set(node.0);
        let mut tail = LogTail::new(settings.now().history.together());
        let number = recovered.0.len() as u64;
        let entries = entry::of_file(node, recovered.0, recovered.1);
        entries.into_iter().for_each(|entry| tail.hold(entry));
        let residue = random.u64(..super::log::RESIDUES);
        let core = Self {
            place,
            down,
            settings,
            figures,
            random,
            node,
            version: VERSION,
            number,
            phase: Phase::Starting(Step::Opening),
            away: Away::default(),
            nodes: BTreeSet::new(),
            run: None,
            connected: "".into(),
            pause: PAUSE.0,
            attempt: now.at,
            queue: Queue::default(),
            reading: Reading::new(tail, position, residue),
            asking: Asking::new(node),
            now,
            actions: Vec::new(),
        };
        (core, vec![Action::Open])
    }

    pub(super) fn node(&self) -> Node {
        self.node
    }

    /// Whether it is with the log.
    pub(super) fn is_joined(&self) -> bool {
        matches!(self.phase, Phase::Joined(_))
    }

    /// Whether publishers are heard. At the start they wait until it is clear how the log is; and while
    /// a node adds what it has delivered alone, that does not become more.
    pub(super) fn is_listening(&self) -> bool {
        match &self.phase {
            Phase::Joined(_) | Phase::Detached { .. } => true,
            Phase::Rejoining(step) => step.is_waiting(),
            Phase::Starting(_) => false,
        }
    }

    /// How many events that were delivered here alone are not in the log.
    pub(super) fn unreplicated(&self) -> usize {
        self.queue.unreplicated()
    }

    /// When [`Input::Time`] is to come.
    pub(super) fn wake(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Joined(joined) => {
                let due = joined.due();
                Some(self.asking.due().map_or(due, |asked| due.min(asked)))
            }
            Phase::Detached { retry } => Some(*retry),
            Phase::Starting(step) | Phase::Rejoining(step) => step.due(),
        }
    }

    /// Takes in what comes, and says what is to be done.
    pub(super) fn on(&mut self, input: Input, now: Now) -> Vec<Action> {
        self.now = now;
        match input {
            Input::Requests(requests) => requests.into_iter().for_each(|one| self.take(one)),
            Input::Delivered(receipts) => self.queue.delivered(receipts),
            Input::Broken(trouble) => self.detach(trouble),
            Input::Time => self.time(),
            Input::Said(said) => self.asking.said(said, &mut self.actions),
            Input::Heard(said) => self.asking.hear(&said, &mut self.actions),
            Input::Counted(asker, counts) => self.asking.counted(asker, &counts),
            Input::ToNodes(told) if self.is_joined() => self.asking.tell(told),
            // What is told while there is no log is a part of all that is told when there is.
            Input::ToNodes(_) => {}
            answer => match &mut self.phase {
                Phase::Starting(step) | Phase::Rejoining(step) => {
                    let step = std::mem::replace(step, Step::Opening);
                    self.join(step, answer);
                }
                Phase::Joined(_) => self.serve(answer),
                Phase::Detached { .. } => debug_assert!(false, "an answer of no log: {answer:?}"),
            },
        }
        self.write();
        if self.is_joined() {
            self.asking.say(&mut self.actions);
        }
        std::mem::take(&mut self.actions)
    }

    fn time(&mut self) {
        match &self.phase {
            Phase::Joined(_) => self.beat(),
            Phase::Detached { retry } if *retry <= self.now.at => {
                self.attempt = self.now.at;
                self.phase = Phase::Rejoining(Step::Opening);
                self.actions.push(Action::Open);
            }
            Phase::Starting(step) | Phase::Rejoining(step)
                if step.due().is_some_and(|due| due <= self.now.at) =>
            {
                let step = step.clone();
                self.join(step, Input::Time);
            }
            _ => {}
        }
    }

    /// The log cannot be used any more: messages under way are seen to, and it is tried again.
    fn detach(&mut self, trouble: Trouble) {
        let was_open = !matches!(self.phase, Phase::Starting(_));
        self.actions.push(Action::Close);
        self.tell_gap();
        self.asking.end_all(&mut self.actions);
        self.tell_trouble(trouble);
        self.figures.up.set(false);
        self.figures.nodes.set(0);
        self.figures.others_clients.set(0);
        // One that breaks again at once is no better than one that is away.
        if self.now.at.duration_since(self.attempt) > PAUSE.1 {
            self.pause = PAUSE.0;
        }
        let jitter = 0.5 + self.random.f64();
        let retry = self.now.at + self.pause.mul_f64(jitter);
        self.pause = (self.pause * 2).min(PAUSE.1);
        self.phase = Phase::Detached { retry };
        if !was_open {
            self.cast(FromBus::Open);
        }
        match self.down {
            BusDown::Refuse => self.refuse_waiting(),
            BusDown::Local => self.deliver_waiting(),
        }
    }

    /// Says what the trouble is, if that is news.
    fn tell_trouble(&mut self, trouble: Trouble) {
        let troubles = &mut self.away.troubles;
        let same = |known: &Trouble| known.to_string() == trouble.to_string();
        let known = troubles.iter().position(same);
        if troubles.is_empty() {
            self.away.known = std::mem::take(&mut self.nodes);
            count(&self.figures.losses, 1);
            let meanwhile = match self.down {
                BusDown::Local => "messages are delivered to this node's subscribers alone",
                BusDown::Refuse => "messages are refused",
            };
            log::error!("the bus {} is away: {trouble}; {meanwhile}", self.place);
        } else if known.is_none() {
            log::warn!("the bus {} is still away: {trouble}", self.place);
        }
        if let Some(known) = known {
            troubles.remove(known);
        }
        troubles.push(trouble);
    }

    /// Nobody goes on with such a log before all have come again ([`joining`]).
    fn gone_back(&mut self) {
        self.away.may_lack = true;
        self.detach(Trouble::new("its stream has gone back"));
    }

    fn why_away(&self, messages: usize) -> NotTaken {
        count(&self.figures.refused, messages);
        let why = self.away.troubles.last().map(ToString::to_string);
        NotTaken::Away(why.unwrap_or_default().into())
    }

    fn call(&mut self, call: Call) {
        self.actions.push(Action::Call(call));
    }

    fn cast(&mut self, message: FromBus) {
        self.actions.push(Action::Tell(message));
    }

    fn meet(&mut self, joining: bool) {
        let limits = self.settings.now().history.together();
        self.reading.set_limits(limits);
        let meet = Meet {
            keep: self.keep(),
            seen: self.reading.seen(),
            clients: self.figures.own_clients.get(),
            residue: self.reading.residue(),
            joining,
            stage: self.stage(),
        };
        self.call(Call::Meet(meet));
    }

    fn stage(&self) -> Stage {
        match &self.phase {
            Phase::Joined(_) if mutant::is_in(Mutant::CountsComers) => Stage::Back,
            Phase::Joined(_)
            | Phase::Starting(Step::Confirming)
            | Phase::Rejoining(Step::Confirming) => Stage::Joined,
            _ if self.run.is_none() => Stage::New,
            _ => Stage::Back,
        }
    }

    /// Marks that others have missed something: who comes back, or live streams too.
    fn mark(&mut self, live: bool) {
        self.mark_for_all_but(self.node, live);
    }

    /// Marks that all may have missed something. This node's streams are told when the marker comes back, as
    /// what they have missed may be newer than all that this node has read.
    fn mark_for_all(&mut self) {
        self.mark_for_all_but(Node(0), true);
    }

    fn mark_for_all_but(&mut self, node: Node, live: bool) {
        let given = self.reading.given();
        let marker = entry::gap_marker(node, live);
        self.call(Call::Mark { given, marker });
    }

    fn note(&mut self, met: &Met) {
        self.reading.set_residue(met.residue);
        self.version = met.version.min(VERSION);
        self.figures.nodes.set(met.nodes.len() as u64);
        let names = met.nodes.iter();
        let present = names.filter_map(|name| u64::from_str_radix(name, 16).ok());
        self.figures.present.replace(present.collect());
        if !mutant::is_in(Mutant::RemembersTheDead) {
            self.nodes.clear();
        }
        self.nodes.extend(met.nodes.iter().cloned());
        self.figures.others_clients.set(met.others_clients);
    }

    /// Numbers messages and makes them items of the log.
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

    /// What the log is to keep.
    fn keep(&self) -> Keep {
        let seen = self.reading.seen();
        let tail = self.reading.oldest().unwrap_or(seen);
        Keep {
            from: tail.min(before(seen, SLACK)),
            age: self.settings.now().history.together().age.max(SLACK),
        }
    }
}
