//! A replica takes over, as after a failover that moves the address to it.

use super::{Redis, figure, node, wait_for_bus};
use support::{Daemon, Stream, eventually, needs, publish};

/// A Redis that has a replica, and two nodes with a stream each.
struct Pair {
    master: Redis,
    replica: Redis,
    nodes: [Daemon; 2],
    streams: [Stream; 2],
}

impl Pair {
    fn start() -> Self {
        let master = Redis::start("");
        let replica = Redis::start(&format!("--replicaof 127.0.0.1 {}", master.port));
        let nodes = [(); 2].map(|()| node(&master, ""));
        let streams = nodes.each_ref().map(|node| node.subscribe("subscribe=a"));
        Self {
            master,
            replica,
            nodes,
            streams,
        }
    }

    /// Publishes on the first node, and waits until both streams have it.
    fn publish(&mut self, data: &str) -> u64 {
        let id = publish::http(self.nodes[0].control, "a", data).0;
        for stream in &mut self.streams {
            assert_eq!(stream.event().id, Some(id), "neither a copy nor a gap");
        }
        id
    }

    /// Has the replica follow no more, once it has what is in the stream.
    fn part(&self) {
        let length = |redis: &Redis| redis.ask("xlen hasses:events");
        eventually("the replica has everything", || {
            (length(&self.replica) == length(&self.master)).then_some(())
        });
        self.replica.ask("replicaof no one");
    }

    /// The master dies, and the replica has its address.
    fn take_over(&mut self) {
        self.master.crash();
        let answer = self
            .replica
            .ask(&format!("config set port {}", self.master.port));
        assert_eq!(answer.trim(), "OK");
        for node in &self.nodes {
            eventually("the node has seen both", || {
                (figure(node, "bus_losses") > 0).then_some(())
            });
            wait_for_bus(node, true);
        }
    }
}

#[test]
fn a_replica_that_has_everything_takes_over() {
    needs!("redis-server", "redis-cli");
    let mut pair = Pair::start();
    let first = pair.publish("1");
    pair.part();
    pair.take_over();
    let second = pair.publish("2");
    assert!(first < second);
    let back = Stream::resume(pair.nodes[1].listen, "subscribe=a", first);
    assert_eq!((back.data(), back.gap.is_none()), (vec!["2"], true));
}

#[test]
fn what_a_replica_lacks_is_added_again() {
    needs!("redis-server", "redis-cli");
    let mut pair = Pair::start();
    let first = pair.publish("replicated");
    pair.part();
    let lacking = ["1", "2", "3"].map(|data| pair.publish(data));
    pair.take_over();
    let last = pair.publish("after");
    assert!(lacking[2] < last);
    // A node that knows only the new master has all of it.
    let three = node(&pair.master, "");
    let back = Stream::resume(three.listen, "subscribe=a", first);
    assert_eq!(back.data(), ["1", "2", "3", "after"]);
    assert!(back.gap.is_none());
}

#[test]
fn what_a_replica_has_besides_is_a_gap() {
    needs!("redis-server", "redis-cli");
    let mut pair = Pair::start();
    let first = pair.publish("replicated");
    pair.part();
    // A node that went over too early writes to the replica, the others to the master.
    let early = node(&pair.replica, "");
    let lacking = pair.publish("on the master alone");
    let besides = publish::http(early.control, "a", "on the replica alone").0;
    assert!(first < lacking && lacking < besides);
    pair.take_over();
    let last = publish::http(pair.nodes[0].control, "a", "after").0;
    for (node, stream) in pair.nodes.iter().zip(&mut pair.streams) {
        let mut told = Vec::new();
        while told.last() != Some(&Some(last)) {
            let event = stream.event();
            told.push(match event.event.as_deref() {
                Some("gap") => None,
                _ => event.id,
            });
        }
        assert!(told.contains(&None), "{told:?}");
        Stream::resume(node.listen, "subscribe=a", lacking).gap_data();
    }
}
