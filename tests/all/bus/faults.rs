//! What becomes of messages when Redis is not well.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{Redis, figure, node, wait_for_bus};
use support::far_end::FarEnd;
use support::stream::Block;
use support::{Daemon, Program, Stream, needs, publish};

/// Keeps everything that it acknowledges.
const SAFE: &str = "--appendonly yes --appendfsync always";

/// The events up to one that says `end`, with it.
fn until(stream: &mut Stream, end: &str) -> Vec<Block> {
    let mut events = Vec::new();
    loop {
        events.push(stream.event());
        if events.last().unwrap().data.as_deref() == Some(end) {
            return events;
        }
    }
}

fn data(events: &[Block]) -> Vec<&str> {
    let data = events.iter().map(|event| event.data.as_deref().unwrap());
    data.collect()
}

fn times(node: &Daemon, part: &str) -> usize {
    node.log().matches(part).count()
}

#[test]
fn local_delivers_at_once_and_adds_afterwards_with_the_ids() {
    needs!("redis-server", "redis-cli");
    for options in [SAFE, ""] {
        let mut redis = Redis::start(options);
        let [one, two] = [(); 2].map(|()| node(&redis, ""));
        let mut near = one.subscribe("subscribe=a");
        let mut far = two.subscribe("subscribe=a");
        let first = publish::http(one.control, "a", "before").0;
        assert_eq!(far.event().id, Some(first));
        assert_eq!(near.data(), "before");
        redis.crash();
        let alone: Vec<u64> = (0..3)
            .map(|n| publish::http(one.control, "a", &n.to_string()).0)
            .collect();
        for id in &alone {
            assert_eq!(near.event().id, Some(*id));
        }
        wait_for_bus(&one, false);
        assert_eq!(figure(&one, "bus_waiting"), 3);
        // Nobody can tell there what it has seen here.
        Stream::resume(two.listen, "subscribe=a", alone[1]).gap_data();
        redis.start_again();
        for id in &alone {
            assert_eq!(far.event().id, Some(*id));
        }
        wait_for_bus(&one, true);
        assert_eq!(figure(&one, "bus_waiting"), 0);
        let last = publish::http(two.control, "a", "after").0;
        for stream in [&mut near, &mut far] {
            assert_eq!(stream.event().id, Some(last));
        }
        let back = Stream::resume(two.listen, "subscribe=a", first);
        assert_eq!(back.data(), ["0", "1", "2", "after"]);
        assert_eq!(times(&one, " is away: "), 1, "once for each change");
        assert_eq!(times(&one, " is there again"), 1);
    }
}

#[test]
fn two_nodes_apart_leave_nobody_in_silence() {
    needs!("redis-server", "redis-cli");
    let mut redis = Redis::start(SAFE);
    let [one, two] = [(); 2].map(|()| node(&redis, ""));
    let mut streams = [&one, &two].map(|node| node.subscribe("subscribe=a"));
    let before = publish::http(one.control, "a", "before").0;
    redis.crash();
    let mut ids = Vec::new();
    for n in 0..3 {
        for (name, node) in [("one", &one), ("two", &two)] {
            ids.push(publish::http(node.control, "a", &format!("{name}{n}")).0);
        }
    }
    assert!(ids.is_sorted());
    // Each gives out its own share of the odd numbers, the bus the even ones.
    let share = |id: &u64| id % 128;
    let [one_has, two_has] = [share(&ids[0]), share(&ids[1])];
    assert!(one_has != two_has && one_has % 2 == 1 && two_has % 2 == 1);
    let as_the_first = ids
        .chunks(2)
        .all(|pair| pair.iter().map(share).eq([one_has, two_has]));
    assert!(as_the_first && before.is_multiple_of(2), "{ids:?}");
    redis.start_again();
    wait_for_bus(&one, true);
    wait_for_bus(&two, true);
    publish::http(one.control, "a", "after");
    for (own, other, stream) in [("one", "two", 0), ("two", "one", 1)] {
        let events = until(&mut streams[stream], "after");
        let gap = events.iter().any(|e| e.event.as_deref() == Some("gap"));
        let known: Vec<_> = events.iter().filter_map(|event| event.id).collect();
        assert!(known.is_sorted_by(|a, b| a < b), "{events:?}");
        for n in 0..3 {
            let count = |name: &str| {
                let wanted = format!("{name}{n}");
                data(&events).iter().filter(|data| **data == wanted).count()
            };
            assert_eq!(count(own), 1, "{events:?}");
            assert!(count(other) == 1 || count(other) == 0 && gap, "{events:?}");
        }
    }
    // Who was on either node meanwhile and comes back to the other is told.
    for id in &ids[..5] {
        for node in [&one, &two] {
            Stream::resume(node.listen, "subscribe=a", id).gap_data();
        }
    }
    Stream::resume(one.listen, "subscribe=a", before).gap_data();
}

#[test]
fn refuse_answers_with_an_error() {
    needs!("redis-server", "redis-cli");
    let mut redis = Redis::start(SAFE);
    let one = node(&redis, "--bus-down refuse");
    let mut stream = one.subscribe("subscribe=a");
    redis.crash();
    wait_for_bus(&one, false);
    let json = publish::ask_tcp(one.control, "{\"to\":\"a\",\"data\":\"1\",\"ack\":true}\n");
    assert!(json.starts_with("{\"error\":\"the bus is away"), "{json}");
    let http = publish::post(one.control, "/publish/a", "", b"2");
    assert_eq!(http.status, 503);
    assert!(http.json()["error"].is_string(), "{http:?}");
    publish::tcp(one.control, "a=3\n");
    one.wait_for_log("refused: the bus is away");
    assert_eq!(figure(&one, "bus_refused"), 3);
    redis.start_again();
    wait_for_bus(&one, true);
    publish::http(one.control, "a", "4");
    assert_eq!(stream.data(), "4", "what was refused is not delivered");
}

#[test]
fn a_paused_redis_delivers_each_message_once() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let [one, two] = [(); 2].map(|()| node(&redis, ""));
    let mut near = one.subscribe("subscribe=a");
    let mut far = two.subscribe("subscribe=a");
    redis.signal(Signal::SIGSTOP);
    // The first is written to the paused Redis, which will find it there; the node cannot know.
    for n in 0..5 {
        publish::http(one.control, "a", &n.to_string());
    }
    let near_events = until(&mut near, "4");
    assert_eq!(data(&near_events), ["0", "1", "2", "3", "4"]);
    redis.signal(Signal::SIGCONT);
    wait_for_bus(&one, true);
    wait_for_bus(&two, true);
    publish::http(two.control, "a", "after");
    let far = until(&mut far, "after");
    assert_eq!(data(&far), ["0", "1", "2", "3", "4", "after"]);
    assert_eq!(data(&until(&mut near, "after")), ["after"]);
}

#[test]
fn while_redis_stands_still_publishers_do_not_wait_for_it() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let one = node(&redis, "");
    redis.signal(Signal::SIGSTOP);
    publish::http(one.control, "a", "finds out");
    wait_for_bus(&one, false);
    // Meanwhile the node tries again and again, and each time waits two seconds for an answer.
    let end = Instant::now() + Duration::from_secs(5);
    let mut published = 0;
    while Instant::now() < end {
        publish::http(one.control, "a", "alone");
        published += 1;
    }
    assert!(published > 50, "{published} in five seconds");
    redis.signal(Signal::SIGCONT);
    wait_for_bus(&one, true);
}

#[test]
fn a_cut_network_loses_nothing() {
    needs!("redis-server", "redis-cli", "ip", "root");
    let far = FarEnd::new(78);
    let mut server = far.command("redis-server");
    server.args([
        "--bind",
        "198.18.78.2",
        "--protected-mode",
        "no",
        "--save",
        "",
    ]);
    let server = Program::start(&mut server);
    server.wait_for("Ready to accept connections");
    let [one, two] = ["local", "refuse"]
        .map(|down| Daemon::start(&format!("--bus redis://198.18.78.2 --bus-down {down}")));
    let mut streams = [&one, &two].map(|node| node.subscribe("subscribe=a"));
    let before = publish::http(one.control, "a", "before").0;
    far.connect(false);
    // The first of them waits until it is clear that nobody answers.
    for n in 0..3 {
        publish::http(one.control, "a", &n.to_string());
    }
    assert_eq!(
        publish::post(two.control, "/publish/a", "", b"x").status,
        503
    );
    wait_for_bus(&one, false);
    let [near, other] = &mut streams;
    assert_eq!(data(&until(near, "2")), ["before", "0", "1", "2"]);
    far.connect(true);
    wait_for_bus(&one, true);
    wait_for_bus(&two, true);
    // What was refused may all the same be in a connection that the cable's end cut, and Redis finds it there.
    let without = |data: Vec<&str>| -> Vec<String> {
        let kept = data.into_iter().filter(|data| *data != "x");
        kept.map(str::to_owned).collect()
    };
    let came = without(data(&until(other, "2")));
    assert_eq!(came, ["before", "0", "1", "2"]);
    // Redis may have found the first in its old connection, and then it has another id: a gap.
    let back = Stream::resume(two.listen, "subscribe=a", before);
    assert_eq!(without(back.data()), ["0", "1", "2"]);
}

/// Something that a Redis does not do for a while, why it says so, and how it is mended.
fn ails(how: &str, why: &str, mend: &str) {
    let redis = Redis::start("");
    let one = node(&redis, "");
    let two = node(&redis, "--bus-down refuse");
    let mut stream = one.subscribe("subscribe=a");
    let mut far = two.subscribe("subscribe=a");
    redis.ask(how);
    let id = publish::http(one.control, "a", "1").0;
    assert_eq!(stream.event().id, Some(id));
    one.wait_for_log(why);
    two.wait_for_log(why);
    let refused = publish::post(two.control, "/publish/a", "", b"2");
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains(why), "{refused:?}");
    redis.ask(mend);
    assert_eq!(far.event().id, Some(id));
    wait_for_bus(&two, true);
    publish::http(two.control, "a", "3");
    assert_eq!((stream.data(), far.data()), ("3".into(), "3".into()));
}

#[test]
fn a_redis_without_memory_is_away() {
    needs!("redis-server", "redis-cli");
    ails(
        "config set maxmemory 1",
        "Redis has no memory left",
        "config set maxmemory 0",
    );
}

#[test]
fn a_replica_is_away_until_it_takes_writes() {
    needs!("redis-server", "redis-cli");
    ails(
        "replicaof 127.0.0.1 1",
        "Redis is a replica that takes no writes",
        "replicaof no one",
    );
}

#[test]
fn what_redis_has_lost_is_added_again() {
    needs!("redis-server", "redis-cli");
    let mut redis = Redis::start("");
    let [one, two] = [(); 2].map(|()| node(&redis, ""));
    let mut streams = [&one, &two].map(|node| node.subscribe("subscribe=a"));
    let ids: Vec<u64> = (0..700)
        .map(|n| publish::http(one.control, "a", &n.to_string()).0)
        .collect();
    for stream in &mut streams {
        assert_eq!(until(stream, "699").len(), 700);
    }
    redis.crash();
    wait_for_bus(&one, false);
    wait_for_bus(&two, false);
    redis.start_empty();
    wait_for_bus(&one, true);
    wait_for_bus(&two, true);
    // A node without a history of its own has everything from the stream.
    let three = node(&redis, "");
    let back = Stream::resume(three.listen, "subscribe=a", ids[0]);
    assert_eq!((back.events.len(), back.gap.is_none()), (699, true));
    let last = publish::http(three.control, "a", "last").0;
    assert!(last > ids[699]);
    for stream in &mut streams {
        assert_eq!(stream.event().id, Some(last), "neither a copy nor a gap");
    }
    assert!(figure(&one, "bus_restored") + figure(&two, "bus_restored") >= 700);
}

#[test]
fn a_stream_that_is_deleted_comes_back() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let [one, two] = [(); 2].map(|()| node(&redis, ""));
    let mut streams = [&one, &two].map(|node| node.subscribe("subscribe=a"));
    let first = publish::http(one.control, "a", "1").0;
    for stream in &mut streams {
        assert_eq!(stream.event().id, Some(first));
    }
    redis.ask("flushall");
    let second = publish::http(one.control, "a", "2").0;
    for stream in &mut streams {
        assert_eq!(stream.event().id, Some(second));
    }
    let three = node(&redis, "");
    let back = Stream::resume(three.listen, "subscribe=a", first);
    assert_eq!((back.data(), back.gap.is_none()), (vec!["2"], true));
}

#[test]
fn what_nobody_holds_any_more_is_a_gap() {
    needs!("redis-server", "redis-cli");
    let mut redis = Redis::start("");
    let one = node(&redis, "");
    let mut two = node(&redis, "");
    let first = publish::http(one.control, "a", "1").0;
    let mut stream = one.subscribe("subscribe=a");
    // Node one stands still while Redis and the other node lose an event.
    one.signal(Signal::SIGSTOP);
    let lost = publish::http(two.control, "a", "lost").0;
    redis.crash();
    two.crash();
    redis.start_again();
    two.start_again();
    wait_for_bus(&two, true);
    let next = publish::http(two.control, "a", "2").0;
    one.signal(Signal::SIGCONT);
    wait_for_bus(&one, true);
    assert!(first < lost && lost < next);
    let events = until(&mut stream, "2");
    assert!(
        events
            .iter()
            .any(|event| event.event.as_deref() == Some("gap"))
    );
    let back = Stream::resume(one.listen, "subscribe=a", first);
    back.gap_data();
}
