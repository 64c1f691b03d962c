//! The load: many subscribers and a few publishers in one thread, and the loop that drives them.
//!
//! It polls without sleeping while messages are on their way, so that the server does not pay for
//! waking it.

use std::collections::VecDeque;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::Outcome;
use crate::client::{Client, STAMP, State};
use crate::lane::{Lane, Pace};
use crate::ledger::{Ledger, Place};
use crate::publisher::Publisher;

/// Connections that are being made at once.
const WINDOW: usize = 256;
/// A read takes at most this much.
const BUFFER: usize = 256 * 1024;
/// Bytes of a message.
const PAYLOAD: usize = 100;
/// Silence after which what is on its way counts as lost.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a run may take.
const LONGEST: Duration = Duration::from_secs(180);
/// Marks a publisher's events among the clients'.
const PUBLISHER: u64 = 1 << 40;

#[derive(Debug)]
struct Running {
    lane: Lane,
    number: usize,
    publisher: Publisher,
    began: u64,
}

/// A subscription's request: its target and further header fields, by its token.
pub(crate) type Request = dyn Fn(u32) -> (String, &'static str);

pub(crate) struct Load {
    poll: OwnedFd,
    events: Vec<Event>,
    /// Clients of which more can be read.
    more: VecDeque<usize>,
    clients: Vec<Client>,
    waiting: VecDeque<Place>,
    connecting: usize,
    running: Vec<Running>,
    pub(crate) ledger: Ledger,
    buffer: Vec<u8>,
    server: std::net::SocketAddr,
    request: Box<Request>,
    places: Vec<Place>,
    /// The first client's number among all on this machine.
    first: u32,
    /// Bytes that came.
    pub(crate) bytes: u64,
    /// Clients whose stream the server ended.
    pub(crate) closed: u64,
    /// When the last delivery came.
    pub(crate) last_delivery: u64,
}

impl Load {
    /// Nobody is connected yet. `tokens` says how many clients each token has.
    pub(crate) fn new(
        server: std::net::SocketAddr,
        tokens: Vec<u32>,
        request: Box<Request>,
    ) -> Outcome<Self> {
        let ranks = (0..)
            .zip(&tokens)
            .flat_map(|(token, size)| (0..*size).map(move |r| (token, r)));
        let place = |(client, (token, rank))| Place {
            client,
            token,
            rank,
        };
        Ok(Self {
            poll: epoll::create(CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(2048),
            more: VecDeque::new(),
            places: (0..).zip(ranks).map(place).collect(),
            clients: Vec::new(),
            waiting: VecDeque::new(),
            connecting: 0,
            running: Vec::new(),
            ledger: Ledger::new(tokens),
            buffer: vec![0; BUFFER],
            server,
            request,
            first: 0,
            bytes: 0,
            closed: 0,
            last_delivery: 0,
        })
    }

    /// Has at most this many clients read in a turn, for another load that takes turns with this one.
    pub(crate) fn step_aside(&mut self, clients: usize) {
        self.events = Vec::with_capacity(clients);
        self.buffer.truncate(BUFFER / 4);
    }

    /// Begins to connect these clients, which must be the next ones; the loop goes on with it.
    pub(crate) fn begin(&mut self, clients: Range<usize>) {
        self.waiting.extend(&self.places[clients]);
    }

    /// Connects these clients, which must be the next ones.
    pub(crate) fn connect(&mut self, clients: Range<usize>) -> Outcome<()> {
        self.begin(clients);
        let deadline = Instant::now() + LONGEST;
        while !self.waiting.is_empty() || self.connecting > 0 {
            if Instant::now() > deadline {
                return Err(format!("{} clients did not connect", self.connecting).into());
            }
            self.turn(Duration::from_millis(100))?;
        }
        Ok(())
    }

    /// Numbers its clients from there, for several loads on one machine.
    pub(crate) fn number_from(&mut self, first: u32) {
        self.first = first;
    }

    /// Reads and does nothing else for that long.
    pub(crate) fn idle(&mut self, time: Duration) -> Outcome<()> {
        self.idle_until(time, |_| false)
    }

    /// Reads and does nothing else for that long, or until `done`.
    pub(crate) fn idle_until(
        &mut self,
        time: Duration,
        done: impl Fn(&Self) -> bool,
    ) -> Outcome<()> {
        let deadline = Instant::now() + time;
        while !done(self)
            && let Some(left) = deadline.checked_duration_since(Instant::now())
        {
            self.turn(left.min(Duration::from_millis(100)))?;
        }
        Ok(())
    }

    /// Begins to publish; the lane's number in the ledger.
    pub(crate) fn publish(&mut self, lane: Lane) -> Outcome<usize> {
        let number = self.ledger.lane();
        let publisher = Publisher::open(&lane.channel)?;
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
        let tag = EventData::new_u64(PUBLISHER + self.running.len() as u64);
        epoll::add(&self.poll, publisher.fd(), tag, flags)?;
        self.running.push(Running {
            lane,
            number,
            publisher,
            began: now(),
        });
        Ok(number)
    }

    /// Publishes until `done`, or until nothing more comes. Seconds from the start to the last delivery.
    pub(crate) fn run(&mut self, done: impl Fn(&Ledger) -> bool) -> Outcome<f64> {
        let start = now();
        self.last_delivery = start;
        let (mut progress, mut figure) = (start, 0);
        while !done(&self.ledger) {
            self.pump()?;
            if self.turn(Duration::ZERO)? {
                continue;
            }
            let time = now();
            let received = self.ledger.received() + self.bytes + self.published();
            if received != figure {
                (progress, figure) = (time, received);
            } else if time - progress > PATIENCE.as_nanos() as u64 {
                let all_sent = self
                    .running
                    .iter()
                    .all(|one| self.sent(one) == one.lane.count);
                if all_sent || self.ledger.quiet() {
                    break;
                }
                self.ledger.give_up();
                progress = time;
            }
            if time - start > LONGEST.as_nanos() as u64 {
                return Err("the run took too long".into());
            }
        }
        Ok((self.last_delivery - start) as f64 / 1e9)
    }

    /// Publishes to the end of all lanes and waits for the last delivery. Seconds.
    pub(crate) fn run_to_end(&mut self) -> Outcome<f64> {
        let counts: Vec<(usize, u64)> = self
            .running
            .iter()
            .map(|one| (one.number, one.lane.count))
            .collect();
        self.run(|ledger| {
            let sent = |(lane, count): &(usize, u64)| ledger.lanes[*lane].published == *count;
            ledger.quiet() && counts.iter().all(sent)
        })
    }

    /// Publishes nothing more.
    pub(crate) fn hush(&mut self) {
        self.running.clear();
    }

    fn sent(&self, running: &Running) -> u64 {
        self.ledger.lanes[running.number].published
    }

    fn published(&self) -> u64 {
        self.running.iter().map(|running| self.sent(running)).sum()
    }

    /// Publishes what each lane's pace allows now.
    fn pump(&mut self) -> Outcome<()> {
        let mut payload = [b'x'; PAYLOAD];
        for running in &mut self.running {
            let Running {
                lane,
                number,
                publisher,
                began,
            } = running;
            // Then read: the streams must not clog.
            for _ in 0..256 {
                let tally = &self.ledger.lanes[*number];
                let sent = tally.published;
                let time = now();
                let due = match lane.pace {
                    Pace::InFlight(most) => (tally.in_flight < most).then_some(time),
                    Pace::PerSecond(rate) => {
                        Some(*began + (sent as f64 * 1e9 / rate) as u64).filter(|due| *due <= time)
                    }
                    Pace::Max => Some(time),
                };
                let Some(due) = due.filter(|_| sent < lane.count && publisher.has_room()) else {
                    break;
                };
                let target = lane.target(sent);
                let stamp = self.ledger.publish(*number, target, due);
                write_stamp(&mut payload, stamp);
                publisher.put(target, &payload);
                if (sent + 1).is_multiple_of(lane.batch) {
                    publisher.flush()?;
                }
            }
            publisher.flush()?;
        }
        Ok(())
    }

    /// Connects who may, and handles what happens within `patience`; whether anything did.
    fn turn(&mut self, patience: Duration) -> Outcome<bool> {
        while self.connecting < WINDOW
            && let Some(place) = self.waiting.pop_front()
        {
            let client = Client::connect(self.server, place, self.first + place.client)?;
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
            let tag = EventData::new_u64(self.clients.len() as u64);
            epoll::add(&self.poll, client.socket.as_fd(), tag, flags)?;
            self.clients.push(client);
            self.connecting += 1;
        }
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        let patience = if self.more.is_empty() {
            patience
        } else {
            Duration::ZERO
        };
        let timeout = Timespec {
            tv_sec: patience.as_secs() as i64,
            tv_nsec: i64::from(patience.subsec_nanos()),
        };
        let spare = rustix::buffer::spare_capacity(&mut events);
        match epoll::wait(&self.poll, spare, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for _ in 0..self.more.len().min(events.capacity()) {
            if let Some(index) = self.more.pop_front() {
                self.read(index)?;
            }
        }
        for event in &events {
            let (tag, flags) = (event.data.u64(), event.flags);
            if tag >= PUBLISHER {
                let publisher = self.running.get_mut((tag - PUBLISHER) as usize);
                if let Some(running) = publisher.filter(|_| flags.contains(EventFlags::IN)) {
                    running.publisher.answers()?;
                }
            } else {
                self.client(tag as usize, flags)?;
            }
        }
        let any = !(events.is_empty() && self.more.is_empty());
        self.events = events;
        Ok(any)
    }

    fn client(&mut self, index: usize, flags: EventFlags) -> Outcome<()> {
        let client = &mut self.clients[index];
        if client.state == State::Gone {
            return Ok(());
        }
        if client.state == State::Connecting {
            let (target, fields) = (self.request)(client.token());
            client.request(&target, fields)?;
            return Ok(());
        }
        let ended = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        if flags.intersects(EventFlags::IN | ended) {
            self.read(index)?;
        }
        if flags.intersects(ended) {
            // To the end of the stream.
            self.more.push_back(index);
        }
        Ok(())
    }

    /// Reads once.
    fn read(&mut self, index: usize) -> Outcome<()> {
        let client = &mut self.clients[index];
        if client.state == State::Gone {
            return Ok(());
        }
        let count = match rustix::io::read(&client.socket, &mut self.buffer[..]) {
            Err(Errno::AGAIN) => return Ok(()),
            Ok(0) | Err(_) => {
                self.closed += 1;
                self.connecting -= usize::from(client.state == State::Head);
                client.state = State::Gone;
                return Ok(());
            }
            Ok(count) => count,
        };
        self.bytes += count as u64;
        let before = (client.state, self.ledger.received());
        let time = now();
        client.take(&self.buffer[..count], &mut self.ledger, time)?;
        self.connecting -= usize::from(before.0 != client.state);
        if before.1 != self.ledger.received() {
            self.last_delivery = time;
        }
        if count == self.buffer.len() {
            // Edge-triggered: what is left makes no new event.
            self.more.push_back(index);
        }
        Ok(())
    }
}

/// Lets two loads take turns, in one thread, until `done`.
pub(crate) fn run_both(
    first: &mut Load,
    second: &mut Load,
    done: impl Fn(&Load, &Load) -> bool,
) -> Outcome<()> {
    let start = now();
    while !done(first, second) {
        for load in [&mut *first, &mut *second] {
            load.pump()?;
            load.turn(Duration::ZERO)?;
        }
        if now() - start > LONGEST.as_nanos() as u64 {
            return Err("the run took too long".into());
        }
    }
    Ok(())
}

fn write_stamp(payload: &mut [u8; PAYLOAD], stamp: u64) {
    (payload[0], payload[STAMP - 1]) = (b'@', b'@');
    for (place, digit) in (0..16).rev().zip(&mut payload[1..STAMP - 1]) {
        *digit = b"0123456789abcdef"[(stamp >> (4 * place) & 15) as usize];
    }
}

/// The monotonic clock in nanoseconds.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
