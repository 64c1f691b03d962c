//! Two thousand clients in one thread: what each does next is left to chance.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use support::PATIENCE;
use support::crowd::client::{Client, Seen, Sightings};
use support::crowd::topic::Interest;

/// Bytes taken from one client before the others have their turn, in reads.
const TURNS: usize = 4;

pub(crate) struct Crowd {
    pub(crate) clients: Vec<Client>,
    pub(crate) sightings: Sightings,
    /// How often the daemon ended a stream while it was running.
    pub(crate) cut_off: usize,
    /// How often it refused one, which it may while it is about to end.
    refused: usize,
    /// The run of the daemon, from 0.
    pub(crate) run: usize,
    address: SocketAddr,
    poller: OwnedFd,
    /// When a client changes its mind; each has one entry.
    minds: BinaryHeap<Reverse<(Instant, usize)>>,
    random: fastrand::Rng,
}

impl Crowd {
    pub(crate) fn new(count: usize, address: SocketAddr, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let clients = (0..count).map(|_| Client::new(Interest::random(&mut random)));
        let clients = clients.collect();
        let now = Instant::now();
        let arrivals = (0..count).map(|index| {
            let after = Duration::from_millis(random.u64(..2000));
            Reverse((now + after, index))
        });
        Self {
            minds: arrivals.collect(),
            clients,
            sightings: Sightings::new(),
            cut_off: 0,
            refused: 0,
            run: 0,
            address,
            poller: epoll::create(epoll::CreateFlags::CLOEXEC).unwrap(),
            random,
        }
    }

    /// How many streams were opened.
    pub(crate) fn streams(&self) -> usize {
        let log = self.clients.iter().flat_map(|client| &client.log);
        log.filter(|seen| matches!(seen, Seen::Opened { .. }))
            .count()
    }

    /// Lets every client live for about `time`.
    pub(crate) fn live(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            while self
                .minds
                .peek()
                .is_some_and(|next| next.0.0 <= Instant::now())
            {
                let index = self.minds.pop().unwrap().0.1;
                let rest = self.change_mind(index);
                self.minds.push(Reverse((Instant::now() + rest, index)));
            }
            self.read_ready();
        }
    }

    /// Does something else; returns how long it will do that.
    fn change_mind(&mut self, index: usize) -> Duration {
        let client = &mut self.clients[index];
        let short = Duration::from_millis(self.random.u64(..4000));
        if client.connection.is_none() {
            self.connect(index);
            return short * 2;
        }
        match (client.stalled, self.random.u8(..10)) {
            (false, 0..3) => {
                self.stall(index);
                // Who gets everything, for so long that the daemon gives it up.
                if self.clients[index].interest.is_everything() {
                    return Duration::from_secs(self.random.u64(5..20));
                }
            }
            (true, 0..5) => self.wake(index),
            (_, 0..8) => {
                client.connection = None;
                // Some stay away for longer than the history reaches.
                if self.random.u8(..12) == 0 {
                    return Duration::from_secs(self.random.u64(5..30));
                }
            }
            _ => {}
        }
        short
    }

    fn connect(&mut self, index: usize) {
        // Some give up before the answer.
        while self.random.u8(..20) == 0 {
            self.clients[index].connect(self.address, self.run, &mut self.random);
        }
        self.clients[index].connect(self.address, self.run, &mut self.random);
        self.watch(index);
    }

    fn watch(&self, index: usize) {
        if let Some(connection) = &self.clients[index].connection {
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(
                &self.poller,
                &connection.socket,
                data,
                epoll::EventFlags::IN,
            )
            .unwrap();
        }
    }

    fn stall(&mut self, index: usize) {
        let client = &mut self.clients[index];
        if let Some(connection) = &client.connection {
            epoll::delete(&self.poller, &connection.socket).unwrap();
            client.stalled = true;
        }
    }

    fn wake(&mut self, index: usize) {
        self.clients[index].stalled = false;
        self.watch(index);
    }

    fn read_ready(&mut self) {
        let mut ready: Vec<epoll::Event> = Vec::with_capacity(512);
        let patience = Timespec {
            tv_sec: 0,
            tv_nsec: 5_000_000,
        };
        match epoll::wait(&self.poller, spare_capacity(&mut ready), Some(&patience)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return,
            Err(error) => panic!("epoll: {error}"),
        }
        for event in ready {
            let client = &mut self.clients[event.data.u64() as usize];
            if !client.stalled && !client.read(&mut self.sightings, TURNS) {
                client.connection = None;
                self.cut_off += 1;
            }
        }
        assert_eq!(
            self.all_refused(),
            self.refused,
            "a daemon that does not end refuses clients"
        );
    }

    fn all_refused(&self) -> usize {
        self.clients.iter().map(|client| client.refused).sum()
    }

    /// After the daemon has ended: takes what is still under way, up to the end of each stream.
    pub(crate) fn read_to_the_end(&mut self) {
        let mut deadline = Instant::now() + PATIENCE;
        let mut fewest = usize::MAX;
        loop {
            let mut going_on = 0;
            // All in turns: for who has stalled, the kernel tries again only now and then.
            for client in &mut self.clients {
                client.stalled = false;
                if client.connection.is_some() && client.read(&mut self.sightings, TURNS) {
                    going_on += 1;
                } else {
                    client.connection = None;
                }
            }
            if going_on == 0 {
                self.refused = self.all_refused();
                return;
            }
            if going_on < fewest {
                (fewest, deadline) = (going_on, Instant::now() + PATIENCE);
            }
            assert!(
                Instant::now() < deadline,
                "{going_on} streams of a dead daemon go on"
            );
            std::thread::yield_now();
        }
    }

    /// Lets everybody read until they have got this far.
    pub(crate) fn gather(&mut self, newest: u64) {
        let mut deadline = Instant::now() + 2 * PATIENCE;
        let mut fewest = usize::MAX;
        loop {
            let mut behind = 0;
            for index in 0..self.clients.len() {
                let client = &self.clients[index];
                if client.connection.is_none() {
                    self.connect(index);
                } else if client.stalled {
                    self.wake(index);
                }
                behind += usize::from(self.clients[index].last.is_none_or(|last| last < newest));
            }
            if behind == 0 {
                return;
            }
            if behind < fewest {
                (fewest, deadline) = (behind, Instant::now() + 2 * PATIENCE);
            }
            assert!(
                Instant::now() < deadline,
                "{behind} clients do not get there"
            );
            for _ in 0..20 {
                self.read_ready();
            }
        }
    }
}
