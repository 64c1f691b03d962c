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
}

impl Lost {
    fn start(loses: impl FnOnce(&mut Redis)) -> Self {
        let mut redis = Redis::start("");
        let [one, two] = [(); 2].map(|()| node(&redis, "--bus-down refuse"));
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
            let info = redis.ask("info clients");
            info.contains("blocked_clients:1\r").then_some(())
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
        }
    }
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
    next_comes_after_a_gap(lost);
}

#[test]
fn who_is_started_again_does_not_stand_for_what_it_held() {
    needs!("redis-server", "redis-cli");
    let mut lost = Lost::start(starts_empty);
    lost.one.crash();
    lost.one.start_again();
    next_comes_after_a_gap(lost);
}

fn next_comes_after_a_gap(mut lost: Lost) {
    wait_for_bus(&lost.two, true);
    publish::http(lost.two.control, "a", "next");
    let gap = lost.stream.event();
    assert_eq!(gap.event.as_deref(), Some("gap"), "{gap:?}");
    assert_eq!(lost.stream.data(), "next");
}
