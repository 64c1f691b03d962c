//! What others write to the stream in Redis: it parts no node from the others.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{Redis, figure, node};
use support::{Daemon, Stream, eventually, needs, publish};

/// Both nodes hear of both, in one order.
fn are_one(one: &Daemon, two: &Daemon, streams: &mut [Stream; 2]) {
    for (node, text) in [(one, "by one"), (two, "by two")] {
        let id = publish::http(node.control, "a", text).0;
        for stream in &mut *streams {
            let event = stream.event();
            assert_eq!((event.data.as_deref(), event.id), (Some(text), Some(id)));
        }
    }
}

#[test]
fn entries_of_others_are_passed_over() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let [one, mut two] = [(); 2].map(|()| node(&redis, ""));
    let mut streams = [&one, &two].map(|node| node.subscribe("subscribe=a"));
    are_one(&one, &two, &mut streams);
    let micros = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_micros() as u64
    };
    let foreign = [
        // An id that hasses does not make, no fields of its own, and numbers that are none.
        "XADD hasses:events {+5}-5 p 1 b x",
        "XADD hasses:events {+9}-0 hello world",
        "XADD hasses:events {+13}-0 p none b x",
        "XADD hasses:events * p 1 b x",
        // Far in the future: nothing could be added behind it.
        "XADD hasses:events 9007199254740991-0 p 1 b x",
        "XADD hasses:events 18446744073709551614-3 p 1 b x",
    ];
    for (number, line) in foreign.iter().enumerate() {
        let mut line = (*line).to_owned();
        for ahead in [5, 9, 13] {
            let id = (micros() + 1000 + ahead).to_string();
            line = line.replace(&format!("{{+{ahead}}}"), &id);
        }
        // A time in milliseconds, as `*` gives, is far below ours, and refused by Redis itself.
        redis.ask(&line);
        are_one(&one, &two, &mut streams);
        let seen = figure(&one, "bus_passed_over");
        assert!(number == 3 || seen > 0, "{line}: {seen}");
        assert_eq!(figure(&one, "bus_losses"), 0, "{line}");
    }
    assert!(
        one.log().contains("that hasses did not write; passed over"),
        "{}",
        one.log()
    );
    // A node that starts later finds them all.
    two.stop();
    two.start_again();
    eventually("it is one of them again", || {
        (figure(&two, "bus_up") == 1).then_some(())
    });
    let [near, _] = streams;
    let mut streams = [near, two.subscribe("subscribe=a")];
    are_one(&one, &two, &mut streams);
}

#[test]
fn a_message_that_is_too_large_here_is_a_gap() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let one = node(&redis, "");
    let two = node(&redis, "--max-message 1000");
    let mut near = one.subscribe("subscribe=a");
    let mut far = two.subscribe("subscribe=a");
    publish::http(one.control, "a", &"x".repeat(5000));
    publish::http(one.control, "a", "after");
    assert_eq!(near.data().len(), 5000);
    let gap = far.event();
    assert_eq!(gap.event.as_deref(), Some("gap"));
    assert_eq!(far.data(), "after");
    assert_eq!(near.data(), "after");
    assert_eq!(figure(&two, "bus_passed_over"), 1);
    assert!(
        two.log().contains("more than --max-message"),
        "{}",
        two.log()
    );
}
