//! History files of nodes: they fill a Redis that has nothing, and what they may lack is a gap.

use super::{Redis, figure, node, wait_for_bus};
use support::{Connection, Daemon, Stream, eventually, needs, publish};

const FILE: &str = "--history-file {dir}/history";

#[test]
fn a_history_file_fills_a_bus_that_has_nothing() {
    needs!("redis-server", "redis-cli");
    let mut redis = Redis::start("");
    let mut one = node(&redis, FILE);
    let first = publish::http(one.control, "a", "1").0;
    publish::http(one.control, "a", "2");
    one.stop();
    redis.crash();
    redis.start_again();
    one.start_again();
    wait_for_bus(&one, true);
    let back = Stream::resume(one.listen, "subscribe=a", first);
    assert_eq!((back.data(), back.gap.is_none()), (vec!["2"], true));
    let two = node(&redis, "");
    let back = Stream::resume(two.listen, "subscribe=a", first);
    assert_eq!((back.data(), back.gap.is_none()), (vec!["2"], true));
    // With a bus that has everything it is a copy, which does not grow by what it has.
    one.stop();
    one.start_again();
    let mut connection = Connection::to(one.control);
    connection.send(b"tcpstatus\n");
    eventually("both are there", || {
        (figure(&one, "history_events") == 2).then_some(())
    });
}

/// Redis has lost everything, and the node with the file is the first to come: whoever comes back gets a
/// gap, there and elsewhere.
fn comes_first(mut redis: Redis, mut one: Daemon, known: u64) {
    redis.crash();
    redis.start_again();
    one.start_again();
    wait_for_bus(&one, true);
    let two = node(&redis, "");
    for node in [&one, &two] {
        let back = Stream::resume(node.listen, "subscribe=a", known);
        back.gap_data();
        // Who stands behind it has missed nothing more.
        let back = Stream::resume(node.listen, "subscribe=a", back.position);
        assert!(back.gap.is_none());
    }
}

#[test]
fn what_others_published_after_its_end_is_a_gap() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let mut one = node(&redis, FILE);
    let mut two = node(&redis, "");
    eventually("the first knows of the second", || {
        (figure(&one, "cluster_nodes") == 2).then_some(())
    });
    let known = publish::http(one.control, "a", "known").0;
    one.stop();
    publish::http(two.control, "a", "in no file");
    two.crash();
    comes_first(redis, one, known);
}

#[test]
fn what_was_not_written_before_a_crash_is_a_gap() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let mut one = node(&redis, FILE);
    let known = publish::http(one.control, "a", "known").0;
    publish::http(one.control, "a", "perhaps in the file");
    one.crash();
    comes_first(redis, one, known);
}
