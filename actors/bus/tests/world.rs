//! A world of nodes, a log, publishers and clients, in which all that happens follows from a seed.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_lite::future::{block_on, poll_once};

use super::super::core::{Action, Core, Input, Now, Setup};
use super::super::log::{Call, Trouble};
use super::memory::{Connected, Memory};
use super::registry::{Client, Registry};
use crate::config::{Config, Settings};
use crate::messages::publisher::{Outcome, Request};
use crate::model::{BusDown, BusFigures, Channel, EventId, Publication, Target};
use crate::registry::tests::{config, kept};
use crate::runtime;

const NODES: usize = 3;
const CLIENTS: usize = 6;
/// The time at the beginning, in microseconds since 1970.
const BEGINNING: u64 = 1_800_000_000_000_000;
const MILLI: u64 = 1000;
const SECOND: u64 = 1_000_000;
/// How long any answer may take.
const PATIENCE: u64 = 2 * SECOND;
/// How long a publisher may wait while its node lives.
const ANSWERED: u64 = 30 * SECOND;

/// What a seed is tried with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) down: BusDown,
    /// Whether the log keeps what it has acknowledged, and nodes do not die while it is away.
    pub(super) safe: bool,
}

impl Kind {
    pub(super) fn of(seed: u64) -> Self {
        let down = if seed.is_multiple_of(2) {
            BusDown::Local
        } else {
            BusDown::Refuse
        };
        let safe = seed % 4 >= 2;
        Self { down, safe }
    }
}

/// A message, and what its publisher was told.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) data: String,
    /// Where it went, in which of the node's lives, and when.
    node: usize,
    life: u64,
    at: u64,
    waits: bool,
    /// Its id.
    pub(super) id: Option<u64>,
}

/// A publisher's answer to come.
type Answer = Pin<Box<dyn Future<Output = Option<Outcome>>>>;

struct Life {
    number: u64,
    core: Core,
    registry: Registry,
    link: Option<u64>,
    /// What a link's two connections carry next comes behind what they carry now.
    reaches: [u64; 2],
    unanswered: BTreeSet<u64>,
    due: Option<Instant>,
    inbox: Vec<Request>,
    /// The messages of each request that is not answered, and its answer to come.
    answers: Vec<(Range<usize>, Answer)>,
}

#[derive(Debug)]
enum Asked {
    Open,
    Call(Call),
}

#[derive(Debug)]
enum Event {
    /// A call reaches the log.
    Arrives {
        node: usize,
        link: u64,
        number: u64,
        asked: Asked,
    },
    /// An answer reaches a node.
    Answers {
        node: usize,
        link: u64,
        number: u64,
        input: Input,
    },
    /// A read has waited long enough.
    ReadEnds {
        number: u64,
    },
    /// A call should have been answered by now.
    Late {
        node: usize,
        link: u64,
        number: u64,
    },
    Wakes {
        node: usize,
        life: u64,
        due: Instant,
    },
    Publishes,
    Moves {
        client: usize,
    },
    Ticks,
    Fault,
    /// The end of a storm.
    Ruin {
        node: usize,
    },
    LogReturns,
    NodeStarts {
        node: usize,
    },
}

/// How the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    Paused,
    Down,
}

struct Waiting {
    node: usize,
    link: u64,
    number: u64,
    read: super::super::log::Read,
}

pub(super) struct World {
    kind: Kind,
    random: fastrand::Rng,
    start: Instant,
    now: u64,
    order: u64,
    events: BTreeMap<(u64, u64), Event>,
    log: Memory,
    state: State,
    returns: u64,
    /// The log as it was lately.
    older: VecDeque<Memory>,
    waiting: Vec<Waiting>,
    links: u64,
    calls: u64,
    /// Whether the next entry that is added is lost as soon as it is acknowledged.
    forgets: bool,
    /// Links up to this one were cut, so that answers on their way may be lost.
    cut: u64,
    nodes: [Option<Life>; NODES],
    /// Until when each stands still.
    paused: [u64; NODES],
    lives: u64,
    /// Whether what nodes can add again is little.
    few: bool,
    /// Whether the faults are all of that kind.
    storms: bool,
    publishing: bool,
    moving: bool,
    pub(super) clients: Vec<Client>,
    pub(super) sent: Vec<Sent>,
    /// What the event with an id says, wherever it was delivered.
    pub(super) named: HashMap<u64, String>,
    pub(super) faults: Vec<String>,
    /// What happened, for who reads a failure.
    pub(super) story: Vec<String>,
}

impl World {
    /// Lets a world live, until all is quiet.
    pub(super) fn live(seed: u64) -> Self {
        let mut world = Self::new(seed);
        for node in 0..NODES {
            let at = world.random.u64(..100) * MILLI;
            world.at(at, Event::NodeStarts { node });
        }
        for client in 0..CLIENTS {
            world.at(SECOND, Event::Moves { client });
        }
        world.at(0, Event::Ticks);
        world.at(SECOND, Event::Publishes);
        let (faults, time, every) = match (world.kind.safe, world.storms) {
            (true, _) => (3, 52, Some(16)),
            (_, true) => (2, 44, Some(20)),
            _ => (10, 40, None),
        };
        for n in 0..faults {
            let calm = match every {
                Some(every) => 4 + every * n,
                None => 2 + world.random.u64(..36),
            };
            let at = calm * SECOND + world.random.u64(..1000) * MILLI;
            world.at(at, Event::Fault);
        }
        world.run(time * SECOND);
        world.run(10 * SECOND);
        world.publishing = false;
        world.run(20 * SECOND);
        world.moving = false;
        world.run(12 * SECOND);
        world.all_get_there();
        world
    }

    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        Self {
            kind: Kind::of(seed),
            start: Instant::now(),
            now: 0,
            order: 0,
            events: BTreeMap::new(),
            log: Memory::default(),
            state: State::Up,
            returns: 0,
            older: VecDeque::new(),
            waiting: Vec::new(),
            links: 0,
            calls: 0,
            forgets: false,
            cut: 0,
            nodes: [None, None, None],
            paused: [0; NODES],
            lives: 0,
            few: random.u8(..4) == 0,
            storms: !Kind::of(seed).safe && random.u8(..4) == 0,
            random,
            publishing: true,
            moving: true,
            clients: std::iter::repeat_with(Client::default)
                .take(CLIENTS)
                .collect(),
            sent: Vec::new(),
            named: HashMap::new(),
            faults: Vec::new(),
            story: Vec::new(),
        }
    }

    fn tell(&mut self, text: String) {
        self.story
            .push(format!("{:9.4} {text}", self.now as f64 / 1e6));
    }

    /// Something happens that much later.
    fn at(&mut self, later: u64, event: Event) {
        self.order += 1;
        self.events.insert((self.now + later, self.order), event);
    }

    fn clock(&self) -> Now {
        Now {
            at: self.start + Duration::from_micros(self.now),
            micros: BEGINNING + self.now,
        }
    }

    fn run(&mut self, time: u64) {
        let end = self.now + time;
        while let Some(entry) = self.events.first_entry()
            && entry.key().0 <= end
        {
            let ((at, _), event) = entry.remove_entry();
            self.now = at;
            self.happen(event);
        }
        self.now = end;
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrives {
                node,
                link,
                number,
                asked,
            } => self.arrives(node, link, number, asked),
            Event::Answers {
                node,
                link,
                number,
                input,
            } => {
                let lost = link <= self.cut && self.random.bool();
                if let Some(life) = &mut self.nodes[node]
                    && life.link == Some(link)
                    && (!lost || matches!(input, Input::Broken(_)))
                {
                    if self.paused[node] > self.now {
                        let later = self.paused[node] - self.now;
                        let again = Event::Answers {
                            node,
                            link,
                            number,
                            input,
                        };
                        return self.at(later, again);
                    }
                    life.unanswered.remove(&number);
                    self.feed(node, input);
                }
            }
            Event::ReadEnds { number } => {
                if self.state == State::Paused {
                    return self.at(self.returns - self.now, Event::ReadEnds { number });
                }
                let place = self.waiting.iter().position(|one| one.number == number);
                if let Some(place) = place {
                    let one = self.waiting.swap_remove(place);
                    self.answer(one.node, one.link, number, Input::Read(Vec::new()));
                }
            }
            Event::Late { node, link, number } => {
                if let Some(life) = &self.nodes[node]
                    && life.link == Some(link)
                    && life.unanswered.contains(&number)
                {
                    let late = Trouble::new("no answer within 2 seconds");
                    self.answer(node, link, number, Input::Broken(late));
                }
            }
            Event::Wakes { node, life, due } => self.wakes(node, life, due),
            Event::Publishes => self.publish(),
            Event::Moves { client } => self.moves(client),
            Event::Ticks => self.tick(),
            Event::Fault => self.fault(),
            Event::Ruin { node } => self.ruin(node),
            Event::LogReturns => {
                self.state = State::Up;
                self.tell("the log is there".into());
            }
            Event::NodeStarts { node } => self.start(node),
        }
    }

    fn latency(&mut self) -> u64 {
        if self.random.u8(..20) == 0 {
            self.random.u64(..20_000)
        } else {
            50 + self.random.u64(..500)
        }
    }

    // Nodes.

    fn start(&mut self, node: usize) {
        if self.nodes[node].is_some() {
            return;
        }
        self.lives += 1;
        let count = if self.few { 12 } else { 10_000 };
        let settings = Settings::new(Config {
            history: kept(count, 64 << 20),
            ..config()
        });
        let position = EventId(BEGINNING + self.now);
        let setup = Setup {
            place: format!("of node {node}"),
            down: self.kind.down,
            settings,
            figures: Rc::new(BusFigures::default()),
            position,
            recovered: (Vec::new(), EventId(0)),
            seed: self.random.u64(..),
        };
        let (core, actions) = Core::new(setup, self.clock());
        self.tell(format!("node {node} starts as {}", core.node()));
        self.nodes[node] = Some(Life {
            number: self.lives,
            core,
            registry: Registry::new(position),
            link: None,
            reaches: [0; 2],
            unanswered: BTreeSet::new(),
            due: None,
            inbox: Vec::new(),
            answers: Vec::new(),
        });
        self.perform(node, actions);
    }

    /// Whether no node is coming back.
    fn all_joined(&self) -> bool {
        let mut lives = self.nodes.iter().flatten();
        self.state == State::Up && lives.all(|life| !life.registry.open || life.core.is_joined())
    }

    fn kill(&mut self, node: usize) {
        self.nodes[node] = None;
        self.paused[node] = 0;
        for client in &mut self.clients {
            client.node = client.node.filter(|at| *at != node);
        }
    }

    fn feed(&mut self, node: usize, input: Input) {
        let now = self.clock();
        if let Some(life) = &mut self.nodes[node] {
            let actions = life.core.on(input, now);
            self.perform(node, actions);
        }
    }

    fn perform(&mut self, node: usize, actions: Vec<Action>) {
        let mut rest: VecDeque<Action> = actions.into();
        while let Some(action) = rest.pop_front() {
            let now = self.clock();
            let Some(life) = &mut self.nodes[node] else {
                return;
            };
            match action {
                Action::Open => {
                    self.links += 1;
                    life.link = Some(self.links);
                    self.send(node, Asked::Open);
                }
                Action::Call(call) => self.send(node, Asked::Call(call)),
                Action::Close => {
                    life.link = None;
                    life.unanswered.clear();
                    let kind = self.kind.down;
                    self.tell(format!("node {node} is away, {kind:?}"));
                }
                Action::Deliver(events) => {
                    for event in &events {
                        let data = event.publication.data.to_string();
                        let known = self.named.entry(event.id.0).or_insert_with(|| data.clone());
                        if *known != data {
                            let fault = format!("{} is {known} and {data}", event.id);
                            self.faults.push(fault);
                        }
                    }
                    let receipts = life.registry.deliver(events, &mut self.clients);
                    rest.extend(life.core.on(Input::Delivered(receipts), now));
                }
                Action::Tell(told) => {
                    let text = match &told {
                        super::super::FromBus::Missed { up_to, live } => {
                            Some(format!("node {node} has missed up to {up_to}, {live}"))
                        }
                        _ => None,
                    };
                    life.registry.tell(told, &mut self.clients);
                    text.into_iter().for_each(|text| self.tell(text));
                }
                Action::Forward(_) | Action::Count(..) => {}
            }
        }
        self.look_after(node);
    }

    /// Gives a node what waits for it, sets its timer, and takes its answers.
    fn look_after(&mut self, node: usize) {
        let Some(life) = &mut self.nodes[node] else {
            return;
        };
        if life.core.is_listening() && !life.inbox.is_empty() {
            let requests = std::mem::take(&mut life.inbox);
            return self.feed(node, Input::Requests(requests));
        }
        let due = life.core.wake();
        let number = life.number;
        if due != life.due {
            life.due = due;
            if let Some(due) = due {
                let since = due.duration_since(self.start).as_nanos().div_ceil(1000) as u64;
                let life = number;
                self.at(
                    since.saturating_sub(self.now),
                    Event::Wakes { node, life, due },
                );
            }
        }
        self.take_answers(node);
    }

    fn take_answers(&mut self, node: usize) {
        let Some(life) = &mut self.nodes[node] else {
            return;
        };
        let sent = &mut self.sent;
        life.answers.retain_mut(|(messages, answer)| {
            let Some(outcome) = block_on(poll_once(answer)) else {
                return true;
            };
            let receipts = outcome.and_then(Result::ok).unwrap_or_default();
            for (sent, receipt) in sent[messages.clone()].iter_mut().zip(&receipts) {
                sent.id = Some(receipt.id.0);
            }
            sent[messages.clone()]
                .iter_mut()
                .for_each(|sent| sent.waits = false);
            false
        });
    }

    fn wakes(&mut self, node: usize, number: u64, due: Instant) {
        if let Some(life) = &mut self.nodes[node]
            && life.number == number
            && life.due == Some(due)
        {
            if self.paused[node] > self.now {
                let later = self.paused[node] - self.now;
                let life = number;
                return self.at(later, Event::Wakes { node, life, due });
            }
            life.due = None;
            self.feed(node, Input::Time);
        }
    }

    // The log.

    fn send(&mut self, node: usize, asked: Asked) {
        let latency = self.latency();
        let Some(life) = &mut self.nodes[node] else {
            return;
        };
        let Some(link) = life.link else { return };
        let connection = usize::from(matches!(asked, Asked::Call(Call::Read(_))));
        let reaches = (self.now + latency).max(life.reaches[connection]);
        life.reaches[connection] = reaches;
        self.calls += 1;
        let number = self.calls;
        life.unanswered.insert(number);
        self.at(PATIENCE, Event::Late { node, link, number });
        let arrives = Event::Arrives {
            node,
            link,
            number,
            asked,
        };
        self.at(reaches - self.now, arrives);
    }

    fn answer(&mut self, node: usize, link: u64, number: u64, input: Input) {
        let latency = self.latency();
        let answers = Event::Answers {
            node,
            link,
            number,
            input,
        };
        self.at(latency, answers);
    }

    fn arrives(&mut self, node: usize, link: u64, number: u64, asked: Asked) {
        match self.state {
            State::Down => {
                let reset = Trouble::new("connection refused");
                return self.answer(node, link, number, Input::Broken(reset));
            }
            State::Paused => {
                let arrives = Event::Arrives {
                    node,
                    link,
                    number,
                    asked,
                };
                return self.at(self.returns - self.now, arrives);
            }
            State::Up => {}
        }
        let Some(life) = &self.nodes[node] else {
            return;
        };
        let of = life.core.node();
        // What a node has given up is lost, or found in its old connection all the same, perhaps long after.
        if life.link != Some(link) {
            match self.random.u8(..4) {
                0 | 1 => return,
                2 => {
                    let arrives = Event::Arrives {
                        node,
                        link,
                        number,
                        asked,
                    };
                    let later = self.random.u64(..3 * SECOND);
                    return self.at(later, arrives);
                }
                _ => {}
            }
        }
        self.log.now = BEGINNING + self.now;
        let call = match asked {
            Asked::Open => {
                let run = self.log.run.to_string().into();
                return self.answer(node, link, number, Input::Opened(run));
            }
            Asked::Call(call) => call,
        };
        if let Call::Read(read) = &call
            && read.wait
            && self.log.read(*read).is_empty()
        {
            self.waiting.push(Waiting {
                node,
                link,
                number,
                read: *read,
            });
            return self.at(SECOND, Event::ReadEnds { number });
        }
        let before = (self.forgets && matches!(call, Call::Add(_))).then(|| self.log.clone());
        let memory = &mut self.log;
        let input = Connected { memory, node: of }.perform(call);
        if let Some(before) = before {
            self.forgets = false;
            self.log = before;
            self.tell(format!("what node {node} adds is lost"));
        }
        self.answer(node, link, number, input);
        for one in std::mem::take(&mut self.waiting) {
            let entries = self.log.read(one.read);
            if entries.is_empty() {
                self.waiting.push(one);
            } else {
                self.answer(one.node, one.link, one.number, Input::Read(entries));
            }
        }
    }

    /// All connections break.
    fn cut(&mut self) {
        self.cut = self.links;
        self.waiting.clear();
        for node in 0..NODES {
            if let Some(link) = self.nodes[node].as_ref().and_then(|life| life.link) {
                let reset = Trouble::new("connection reset");
                self.answer(node, link, 0, Input::Broken(reset));
            }
        }
    }

    fn log_goes(&mut self, state: State, time: u64) {
        self.state = state;
        self.returns = self.now + time;
        self.at(time, Event::LogReturns);
    }

    fn fault(&mut self) {
        let lasts = self.random.u64(..3 * SECOND);
        let node = self.random.usize(..NODES);
        if self.storms {
            return self.storm(node);
        }
        if self.state != State::Up {
            return;
        }
        let fault = self.random.u8(..if self.kind.safe { 5 } else { 10 });
        match fault {
            0 => {
                self.tell(format!("the log stops for {lasts}, and loses nothing"));
                self.log.run += 1;
                self.cut();
                self.log_goes(State::Down, lasts);
            }
            1 => {
                self.tell(format!("the log stands still for {}", 2 * lasts));
                self.log_goes(State::Paused, 2 * lasts);
            }
            2 => {
                self.tell("connections are cut".into());
                self.cut();
            }
            3 if self.kind.safe && !self.all_joined() => {}
            3 => {
                self.tell(format!("node {node} is killed for {lasts}"));
                self.kill(node);
                self.at(lasts, Event::NodeStarts { node });
            }
            4 => {
                self.tell(format!("node {node} stands still for {}", lasts / 2));
                self.paused[node] = self.now + lasts / 2;
            }
            5 => {
                self.tell(format!("the log stops for {lasts}, and loses everything"));
                self.log = Memory::empty(self.log.run + 1);
                self.older.clear();
                self.cut();
                self.log_goes(State::Down, lasts);
            }
            6 | 7 => {
                let run = self.log.run + 1;
                let place = self.random.usize(..self.older.len().max(1));
                if let Some(older) = self.older.get(place).cloned() {
                    self.tell(format!("an older replica takes over within {lasts}"));
                    self.log = older;
                    self.log.run = run;
                    self.older.clear();
                    self.cut();
                    self.log_goes(State::Down, lasts);
                }
            }
            8 => self.forgets = true,
            _ => {
                self.tell("the log is emptied".into());
                self.log = Memory::empty(self.log.run);
                self.older.clear();
            }
        }
    }

    /// All nodes but one stand still; what that one publishes meanwhile the log loses, and the node is killed.
    fn storm(&mut self, node: usize) {
        self.tell(format!("node {node} knows what nobody else will know"));
        for other in (0..NODES).filter(|other| *other != node) {
            self.paused[other] = self.now + SECOND;
        }
        self.at(700 * MILLI, Event::Ruin { node });
    }

    fn ruin(&mut self, node: usize) {
        self.tell(format!("the log loses everything, node {node} is killed"));
        self.log = Memory::empty(self.log.run + 1);
        self.older.clear();
        self.cut();
        self.kill(node);
        self.at(200 * MILLI, Event::NodeStarts { node });
    }

    // Publishers and clients.

    fn publish(&mut self) {
        if !self.publishing {
            return;
        }
        // At the same moment on all nodes, now and then.
        let later = (1 + self.random.u64(..50)) * 10 * MILLI;
        self.at(later, Event::Publishes);
        for node in 0..NODES {
            if self.random.bool() || self.paused[node] > self.now {
                continue;
            }
            let Some(life) = self.nodes[node].as_mut() else {
                continue;
            };
            let first = self.sent.len();
            let publications = (0..1 + self.random.usize(..3))
                .map(|n| {
                    let data = format!("event {}", first + n);
                    self.sent.push(Sent {
                        data: data.clone(),
                        node,
                        life: life.number,
                        at: self.now,
                        waits: true,
                        id: None,
                    });
                    Publication::new(Target::All, data)
                })
                .collect();
            let (reply, answer) = runtime::reply();
            life.answers
                .push((first..self.sent.len(), Box::pin(answer.wait())));
            life.inbox.push(Request::Publish {
                publications,
                channel: Channel::Tcp,
                reply,
            });
            self.look_after(node);
        }
    }

    fn moves(&mut self, client: usize) {
        let later = 50 * MILLI + self.random.u64(..3 * SECOND);
        self.at(later, Event::Moves { client });
        if !self.moving && self.clients[client].node.is_some() {
            return;
        }
        if let Some(node) = self.clients[client].node.take()
            && let Some(life) = &mut self.nodes[node]
        {
            life.registry.leave(client);
        }
        let to = self.random.usize(..NODES);
        if let Some(life) = &mut self.nodes[to]
            && life.registry.open
            && self.paused[to] <= self.now
            && (!self.moving || self.random.u8(..4) > 0)
        {
            self.clients[client].node = Some(to);
            let now = self.now;
            life.registry.enter(client, now, &mut self.clients);
        }
    }

    fn tick(&mut self) {
        self.at(500 * MILLI, Event::Ticks);
        for life in self.nodes.iter_mut().flatten() {
            life.registry.tick(self.now, &mut self.clients);
        }
        if self.state == State::Up && !self.kind.safe && self.random.u8(..3) == 0 {
            self.older.push_back(self.log.clone());
            if self.older.len() > 4 {
                self.older.pop_front();
            }
        }
        let late = self.now.saturating_sub(ANSWERED);
        // Those before have their answers.
        let waiting = self
            .sent
            .partition_point(|sent| sent.at + 2 * ANSWERED < self.now);
        for sent in &mut self.sent[waiting..] {
            let lives = |life: &Life| life.number == sent.life;
            if sent.waits && sent.at < late && self.nodes[sent.node].as_ref().is_some_and(lives) {
                sent.waits = false;
                self.faults.push(format!("{} has no answer", sent.data));
            }
        }
    }

    /// All clients must be as far as the nodes are.
    fn all_get_there(&mut self) {
        let newest = |life: &Life| life.registry.last;
        let newest = self.nodes.iter().flatten().map(newest).max().unwrap_or(0);
        for (number, client) in self.clients.iter().enumerate() {
            if client.last.is_none_or(|last| last < newest) {
                let fault = format!("client {number} is at {:?}, not at {newest}", client.last);
                self.faults.push(fault);
            }
        }
        for (node, life) in self.nodes.iter().enumerate() {
            if !life.as_ref().is_some_and(|life| life.core.is_joined()) {
                self.faults.push(format!("node {node} does not come back"));
            }
        }
    }
}
