//! One node is cut off while the other goes on: who changes nodes meanwhile waits for what it has seen
//! there, and then has a gap, as each node lacked something that the other had.

use nix::sys::signal::Signal;

use super::{Redis, figure, node, wait_for_bus};
use support::{Connection, Daemon, Stream, eventually, needs, publish};

/// Two nodes; Redis shuts the second out when it is told to.
struct Pair {
    redis: Redis,
    one: Daemon,
    two: Daemon,
}

impl Pair {
    fn start() -> Self {
        let redis = Redis::start("");
        redis.ask("acl setuser two on >secret ~* &* +@all");
        let one = node(&redis, "");
        let url = redis.url().replace("//", "//two:secret@");
        let two = Daemon::start(&format!("--bus {url}"));
        wait_for_bus(&two, true);
        Self { redis, one, two }
    }

    fn cut(&self) {
        self.redis.ask("acl setuser two off");
        self.redis.ask("client kill user two");
        wait_for_bus(&self.two, false);
    }

    fn mend(&self) {
        self.redis.ask("acl setuser two on");
    }
}

/// What a client gets first that comes to `node` and has seen `last`, which that node will have only
/// when `mend` has been done.
fn waits(node: &Daemon, last: u64, mend: impl FnOnce()) -> Vec<String> {
    let request =
        format!("GET /sse?subscribe=a HTTP/1.1\r\nHost: x\r\nLast-Event-ID: {last}\r\n\r\n");
    let mut connection = Connection::to(node.listen);
    connection.send(request.as_bytes());
    node.wait_for_clients(1);
    mend();
    let back = Stream::answered(connection).start();
    let gap: serde_json::Value = serde_json::from_str(back.gap_data()).unwrap();
    assert_eq!(gap["after"], last);
    back.data().into_iter().map(str::to_owned).collect()
}

#[test]
fn who_comes_from_it_lacks_what_the_others_had() {
    needs!("redis-server", "redis-cli");
    let pair = Pair::start();
    pair.cut();
    let others = publish::http(pair.one.control, "a", "others").0;
    let own = publish::http(pair.two.control, "a", "own").0;
    assert!(others < own);
    let missed = waits(&pair.one, own, || pair.mend());
    // It has another id there, behind what the others had.
    assert_eq!(missed, ["own"]);
}

#[test]
fn who_comes_to_it_lacks_what_it_had_alone() {
    needs!("redis-server", "redis-cli");
    let pair = Pair::start();
    pair.cut();
    let own = publish::http(pair.two.control, "a", "own").0;
    let others = publish::http(pair.one.control, "a", "others").0;
    assert!(own < others);
    waits(&pair.two, others, || pair.mend());
}

#[test]
fn what_a_node_had_alone_when_it_ended_is_a_gap() {
    needs!("redis-server", "redis-cli");
    let mut pair = Pair::start();
    for node in [&pair.one, &pair.two] {
        eventually("they know of each other", || {
            (figure(node, "cluster_nodes") == 2).then_some(())
        });
    }
    let mut stream = pair.one.subscribe("subscribe=a");
    pair.redis.signal(Signal::SIGSTOP);
    publish::http(pair.two.control, "a", "alone");
    wait_for_bus(&pair.one, false);
    wait_for_bus(&pair.two, false);
    pair.two.stop();
    pair.two
        .wait_for_log("1 events that were delivered here alone are not added");
    pair.redis.signal(Signal::SIGCONT);
    let gap = stream.event();
    assert_eq!(gap.event.as_deref(), Some("gap"), "{gap:?}");
    wait_for_bus(&pair.one, true);
    let next = publish::http(pair.one.control, "a", "next").0;
    assert_eq!(stream.event().id, Some(next), "and no other gap");
}

#[test]
fn streams_are_told_once() {
    needs!("redis-server", "redis-cli");
    let pair = Pair::start();
    let mut stream = pair.two.subscribe("subscribe=a");
    pair.cut();
    for n in 0..20 {
        publish::http(pair.one.control, "a", &n.to_string());
    }
    publish::http(pair.two.control, "a", "own");
    pair.mend();
    wait_for_bus(&pair.two, true);
    publish::http(pair.one.control, "a", "after");
    assert_eq!(stream.data(), "own");
    let gap = stream.event();
    assert_eq!(gap.event.as_deref(), Some("gap"), "{gap:?}");
    assert_eq!(stream.data(), "after");
}
