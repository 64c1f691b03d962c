//! Three thousand clients that change nodes again and again, while Redis and a node are killed, and
//! nodes are alone.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::ledger::{Figures, Ledger};
use super::{Redis, figure, node, wait_for_bus};
use support::crowd::client::{Client, Sightings};
use support::crowd::publishers::Publishers;
use support::crowd::topic::Interest;
use support::{Daemon, PATIENCE, Stream, needs};

const CLIENTS: usize = 3000;
/// Events a second of each of four publishers.
const RATE: u32 = 25;

pub(crate) struct Crowd {
    clients: Vec<Client>,
    sightings: Sightings,
    nodes: Vec<SocketAddr>,
    dead: Option<usize>,
    /// Where each client is.
    at: Vec<usize>,
    random: fastrand::Rng,
}

impl Crowd {
    fn new(nodes: &[Daemon; 3]) -> Self {
        let mut random = fastrand::Rng::with_seed(1);
        let clients = (0..CLIENTS).map(|_| Client::new(Interest::random(&mut random)));
        let mut crowd = Self {
            clients: clients.collect(),
            sightings: Sightings::new(),
            nodes: nodes.iter().map(|node| node.listen).collect(),
            dead: None,
            at: vec![0; CLIENTS],
            random,
        };
        for client in 0..CLIENTS {
            crowd.go(client);
        }
        crowd
    }

    /// A client goes to any node that lives.
    fn go(&mut self, client: usize) {
        let mut at = self.random.usize(..self.nodes.len());
        if self.dead == Some(at) {
            at = (at + 1) % self.nodes.len();
        }
        self.at[client] = at;
        self.clients[client].connect(self.nodes[at], at, &mut self.random);
    }

    fn read(&mut self, client: usize) {
        if !self.clients[client].read(&mut self.sightings, 2) {
            self.clients[client].connection = None;
        }
    }

    /// Lets everybody read, and some change nodes.
    pub(crate) fn live(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            for client in 0..CLIENTS {
                self.read(client);
                // Some change nodes, some stay away for a while, and those cut off come back.
                match self.random.u16(..400) {
                    0 => self.go(client),
                    1 => self.clients[client].connection = None,
                    2..60 if self.clients[client].connection.is_none() => self.go(client),
                    _ => {}
                }
            }
        }
    }

    /// As [`Crowd::live`], until all nodes are back on the bus. A node that ends before it has come back may have had
    /// what nobody else has, and then a gap for all is right.
    fn live_until_all_are_back(&mut self, nodes: &[Daemon; 3]) {
        let deadline = Instant::now() + PATIENCE;
        while nodes.iter().any(|node| figure(node, "bus_up") == 0) {
            assert!(Instant::now() < deadline, "a node does not come back");
            self.live(Duration::from_millis(100));
        }
    }

    /// Those of a node that is dead read what is left.
    fn leave(&mut self, node: usize) {
        for client in 0..CLIENTS {
            if self.at[client] == node {
                self.read(client);
                self.clients[client].connection = None;
            }
        }
    }

    /// Lets everybody read until they have got this far.
    fn gather(&mut self, newest: u64) {
        let deadline = Instant::now() + 2 * PATIENCE;
        loop {
            let mut behind = 0;
            for client in 0..CLIENTS {
                if self.clients[client].connection.is_none() {
                    self.go(client);
                }
                self.read(client);
                behind += usize::from(self.clients[client].last.is_none_or(|id| id < newest));
            }
            if behind == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "{behind} do not get there");
        }
    }
}

/// Torments three nodes, and has each client account for what came of it. Where Redis loses nothing, and the
/// nodes deliver nothing alone, there is no gap.
#[expect(clippy::print_stdout, reason = "its figures are what it is for")]
pub(crate) fn account(
    name: &str,
    down: &str,
    may_gap: bool,
    redis: &mut Redis,
    torment: impl Fn(&mut Crowd, &mut Redis, &mut [Daemon; 3]),
) {
    let options = format!("--bus-down {down} --history 100000 --heartbeat 1");
    let mut nodes = [(); 3].map(|()| node(redis, &options));
    let mut crowd = Crowd::new(&nodes);
    let controls = [0, 1, 2, 0].map(|n: usize| nodes[n].control);
    let publishers = Publishers::start(&controls, RATE, 1, |_| 0);
    crowd.live(Duration::from_secs(2));
    torment(&mut crowd, redis, &mut nodes);
    // Nodes that have been alone look for one another.
    let seconds = if down == "local" { 9 } else { 2 };
    crowd.live(Duration::from_secs(seconds));
    let sent = publishers.stop();
    nodes.iter().for_each(|node| wait_for_bus(node, true));
    let positions = nodes
        .each_ref()
        .map(|node| Stream::starting(node.listen, "subscribe=nothing", "").position);
    crowd.gather(*positions.iter().max().unwrap());

    let mut figures = Figures::default();
    let ledger = Ledger::new(&sent, &crowd.sightings, &mut figures);
    for (number, client) in crowd.clients.iter().enumerate() {
        ledger.check(number, client, &mut figures);
    }
    let repeated = sent.iter().flatten().filter(|sent| sent.repeated).count();
    println!(
        "{name}: {CLIENTS} clients, {} events published, {} acknowledged, {repeated} sent again, {} renamed, {} delivered; \
         gaps {}, which cover {}; duplicates {}, losses {}",
        sent.iter().flatten().count(),
        figures.acknowledged,
        figures.renamed,
        figures.delivered,
        figures.gaps,
        figures.covered,
        figures.duplicates,
        figures.losses
    );
    let faults = (figures.duplicates, figures.losses);
    assert_eq!(faults, (0, 0), "{}", figures.faults.join("\n"));
    let tried = figures.delivered > 10 * CLIENTS && repeated > 0;
    assert!(tried, "nothing was tried");
    if down == "refuse" {
        assert_eq!(figures.renamed, 0, "one order, on all nodes");
    }
    // Here, as a node that ends in a test that fails says what was in its log.
    if !may_gap {
        assert_eq!(figures.gaps, 0, "{}", figures.told.join("\n"));
    }
}

/// Redis does nothing, for longer than anybody waits for it.
fn stand_still(crowd: &mut Crowd, redis: &Redis) {
    redis.signal(Signal::SIGSTOP);
    crowd.live(Duration::from_secs(4));
    redis.signal(Signal::SIGCONT);
    crowd.live(Duration::from_secs(2));
}

/// A node is killed; what its clients had not read yet they get elsewhere.
pub(crate) fn kill(node: usize, crowd: &mut Crowd, nodes: &mut [Daemon; 3]) {
    nodes[node].crash();
    crowd.leave(node);
    crowd.dead = Some(node);
    crowd.live(Duration::from_secs(1));
    nodes[node].start_again();
    crowd.dead = None;
}

#[test]
fn every_client_accounts_for_every_event() {
    needs!("redis-server", "redis-cli");
    let _alone = support::heavy();
    let mut redis = Redis::start("--appendonly yes --appendfsync always");
    account(
        "safe",
        "refuse",
        false,
        &mut redis,
        |crowd, redis, nodes| {
            redis.crash();
            crowd.live(Duration::from_millis(500));
            redis.start_again();
            crowd.live(Duration::from_secs(3));
            crowd.live_until_all_are_back(nodes);
            kill(1, crowd, nodes);
            crowd.live(Duration::from_secs(2));
            crowd.live_until_all_are_back(nodes);
            stand_still(crowd, redis);
        },
    );
}

#[test]
fn what_redis_loses_is_added_again_or_a_gap() {
    needs!("redis-server", "redis-cli");
    let _alone = support::heavy();
    let mut redis = Redis::start("");
    account(
        "unsafe",
        "refuse",
        true,
        &mut redis,
        |crowd, redis, nodes| {
            for _ in 0..2 {
                redis.crash();
                crowd.live(Duration::from_millis(300));
                redis.start_empty();
                crowd.live(Duration::from_secs(3));
            }
            kill(2, crowd, nodes);
            redis.crash();
            redis.start_empty();
            crowd.live(Duration::from_secs(2));
        },
    );
}

#[test]
fn what_nodes_deliver_alone_is_had_by_all_or_a_gap() {
    needs!("redis-server", "redis-cli");
    let _alone = support::heavy();
    let mut redis = Redis::start("--appendonly yes --appendfsync always");
    account("alone", "local", true, &mut redis, |crowd, redis, nodes| {
        redis.crash();
        crowd.live(Duration::from_millis(500));
        redis.start_again();
        crowd.live(Duration::from_secs(3));
        stand_still(crowd, redis);
        redis.crash();
        crowd.live(Duration::from_millis(300));
        redis.start_empty();
        crowd.live(Duration::from_secs(3));
        kill(0, crowd, nodes);
    });
}
