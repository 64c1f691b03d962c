//! Redis has less than it had, and the nodes find that out one after another.

use nix::sys::signal::Signal;

use super::{Redis, figure, node, wait_for_bus};
use support::{Daemon, Stream, eventually, needs, publish};

/// Two nodes, of which the first alone has the newest event when Redis loses the stream; only the second
/// has found that out.
struct Lost {
    redis: Redis,
    one: Daemon,
    two: Daemon,
    stream: Stream,
    first: u64,
}

impl Lost {
    fn start(loses: impl FnOnce(&mut Redis)) -> Self {
        let mut redis = Redis::start("");
        let one = node(&redis, "--bus-down refuse");
        let newest = connections(&redis).last().unwrap().0;
        let two = node(&redis, "--bus-down refuse");
        for node in [&one, &two] {
            eventually("both know of each other", || {
                (figure(node, "cluster_nodes") == 2).then_some(())
            });
        }
        let mut stream = two.subscribe("subscribe=a");
        let first = publish::http(one.control, "a", "first").0;
        assert_eq!(stream.event().id, Some(first));
        two.signal(Signal::SIGSTOP);
        eventually("its last read has ended", || {
            let mut twos = connections(&redis)
                .into_iter()
                .skip_while(|(id, _)| *id <= newest);
            (!twos.any(|(_, is_blocked)| is_blocked)).then_some(())
        });
        publish::http(one.control, "a", "newest");
        one.signal(Signal::SIGSTOP);
        loses(&mut redis);
        two.signal(Signal::SIGCONT);
        two.wait_for_log("has gone back");
        // Whatever is published now would stand before the newest.
        let early = publish::post(two.control, "/publish/a", "", b"early");
        assert_eq!(early.status, 503, "{early:?}");
        Self {
            redis,
            one,
            two,
            stream,
            first,
        }
    }
}

/// Redis' connections, the oldest first: the number of each, and whether it waits for entries.
fn connections(redis: &Redis) -> Vec<(u64, bool)> {
    let list = redis.ask("client list");
    let connections = list.lines().map(|line| {
        let id = line
            .strip_prefix("id=")
            .and_then(|rest| rest.split(' ').next());
        (id.unwrap().parse().unwrap(), line.contains(" flags=b "))
    });
    connections.collect()
}

fn starts_empty(redis: &mut Redis) {
    redis.crash();
    redis.start_empty();
}

fn nobody_writes_before_all_have_added(mut lost: Lost) {
    lost.one.signal(Signal::SIGCONT);
    wait_for_bus(&lost.two, true);
    let next = publish::http(lost.two.control, "a", "next").0;
    assert_eq!(lost.stream.data(), "newest");
    assert_eq!(
        lost.stream.event().id,
        Some(next),
        "neither a copy nor a gap"
    );
    wait_for_bus(&lost.one, true);
    let three = node(&lost.redis, "");
    let all = Stream::starting(three.listen, "subscribe=a&recent=9", "");
    assert_eq!(all.data(), ["first", "newest", "next"]);
}

#[test]
fn after_a_restart_all_add_what_they_hold_first() {
    needs!("redis-server", "redis-cli");
    nobody_writes_before_all_have_added(Lost::start(starts_empty));
}

#[test]
fn when_the_stream_is_deleted_too() {
    needs!("redis-server", "redis-cli");
    let deletes = |redis: &mut Redis| {
        redis.ask("del hasses:events");
    };
    nobody_writes_before_all_have_added(Lost::start(deletes));
}

#[test]
fn when_all_is_deleted_too() {
    needs!("redis-server", "redis-cli");
    let deletes = |redis: &mut Redis| {
        redis.ask("flushall");
    };
    nobody_writes_before_all_have_added(Lost::start(deletes));
}

#[test]
fn if_one_does_not_come_all_have_a_gap() {
    needs!("redis-server", "redis-cli");
    let mut lost = Lost::start(starts_empty);
    lost.one.crash();
    next_comes_after_a_gap(&lost.two, &mut lost.stream);
}

#[test]
fn who_is_started_again_does_not_stand_for_what_it_held() {
    needs!("redis-server", "redis-cli");
    let mut lost = Lost::start(starts_empty);
    lost.one.crash();
    lost.one.start_again();
    next_comes_after_a_gap(&lost.two, &mut lost.stream);
}

#[test]
fn who_starts_meanwhile_waits_until_that_is_clear() {
    needs!("redis-server", "redis-cli");
    let mut lost = Lost::start(starts_empty);
    lost.one.crash();
    let three = node(&lost.redis, "");
    publish::http(three.control, "a", "early");
    Stream::resume(three.listen, "subscribe=a", lost.first).gap_data();
}

/// A node is killed before it has added what it delivered alone, while it waits for one that the others
/// never heard of.
#[test]
fn who_ends_before_it_is_back_leaves_a_gap() {
    needs!("redis-server", "redis-cli");
    let mut redis = Redis::start("");
    let [one, mut two] = [(); 2].map(|()| node(&redis, ""));
    let know = |node, count| {
        eventually("it knows the others", || {
            (figure(node, "cluster_nodes") == count).then_some(())
        });
    };
    know(&one, 2);
    let mut stream = one.subscribe("subscribe=a");
    one.signal(Signal::SIGSTOP);
    let mut three = node(&redis, "");
    know(&two, 3);
    three.crash();
    redis.crash();
    wait_for_bus(&two, false);
    publish::http(two.control, "a", "alone");
    one.signal(Signal::SIGCONT);
    wait_for_bus(&one, false);
    redis.start_again();
    wait_for_bus(&one, true);
    assert_eq!(figure(&two, "bus_waiting"), 1);
    two.crash();
    next_comes_after_a_gap(&one, &mut stream);
}

fn next_comes_after_a_gap(node: &Daemon, stream: &mut Stream) {
    wait_for_bus(node, true);
    let gap = stream.event();
    assert_eq!(gap.event.as_deref(), Some("gap"), "{gap:?}");
    let next = publish::http(node.control, "a", "next").0;
    let gaps = std::iter::from_fn(|| Some(stream.event()).filter(|e| e.id != Some(next)));
    let gaps: Vec<_> = gaps.map(|event| event.event).collect();
    // More than one, if Redis is found away again in the midst of it.
    assert!(
        gaps.iter().all(|event| event.as_deref() == Some("gap")),
        "{gaps:?}"
    );
}
