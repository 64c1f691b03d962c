//! Counts over all nodes.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{Redis, figure, node, wait_for_bus};
use support::{Connection, Daemon, eventually, needs, publish};

/// How long a count takes when a node does not answer; when nobody has to be waited for it takes less.
const DEADLINE: Duration = Duration::from_secs(2);

fn by_tcp(node: &Daemon, target: &str) -> Value {
    let answer = publish::ask_tcp(node.control, &format!("tcpsubscribedclients:{target}\n"));
    serde_json::from_str(&answer).unwrap()
}

fn by_http(node: &Daemon, target: &str) -> Value {
    let request = format!("GET /subscribers/{target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut connection = Connection::to(node.control);
    connection.send(request.as_bytes()).response().json()
}

fn by_text(node: &Daemon, target: &str) -> Vec<String> {
    publish::talk_tcp(node.control, format!("subscribedclients:{target}\n"))
}

/// The counts of the node, of all, of nodes, and of those that answered.
fn counts(answer: &Value) -> [u64; 4] {
    [
        "subscribedclients",
        "cluster_subscribedclients",
        "cluster_nodes",
        "cluster_answered",
    ]
    .map(|key| answer[key].as_u64().unwrap_or_else(|| panic!("{answer}")))
}

/// Waits until all nodes know of so many.
fn wait_for_nodes(nodes: &[&Daemon], count: u64) {
    for node in nodes {
        eventually("all nodes know of one another", || {
            (figure(node, "cluster_nodes") == count).then_some(())
        });
    }
}

#[test]
fn every_node_counts_the_subscribers_of_all() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let nodes = [(); 3].map(|()| node(&redis, "--fifo {dir}/in"));
    wait_for_nodes(&nodes.each_ref(), 3);
    let [one, two, three] = &nodes;
    let _streams = [
        one.subscribe("subscribe=room"),
        one.subscribe("subscribe=room&subscribe=roof"),
        two.subscribe("subscribe=room"),
        two.subscribe("subscribe=roof"),
        three.subscribe("subscribe=*"),
        three.subscribe("token=a-room"),
    ];
    for (target, all, own) in [
        ("room", 4, [2, 1, 1]),
        ("roof", 3, [1, 1, 1]),
        ("roo*", 5, [2, 2, 1]),
        ("a-room", 2, [0, 0, 2]),
        ("*", 6, [2, 2, 2]),
        ("nobody", 1, [0, 0, 1]),
    ] {
        for (node, own) in nodes.iter().zip(own) {
            let began = Instant::now();
            let answer = by_tcp(node, target);
            assert_eq!(counts(&answer), [own, all, 3, 3], "{target}");
            assert_eq!(answer, by_http(node, target));
            let first = format!("Client count subscribed for \"{target}\"");
            let lines = [
                format!("{first}: {own}"),
                format!("{first} on all nodes: {all}"),
            ];
            assert_eq!(by_text(node, target), lines);
            for line in lines {
                node.wait_for_log(&line);
            }
            assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
        }
    }
    // The keys' order is what old scripts may rely on.
    let raw = publish::ask_tcp(one.control, "tcpsubscribedclients:room\n");
    assert!(
        raw.starts_with(r#"{"subscribedclients":2,"subscribedfor":"room","cluster_"#),
        "{raw}"
    );
    publish::fifo(
        &two.file("in"),
        "subscribedclients:by fifo\nnumberofclients\n",
    );
    two.wait_for_log("Client count subscribed for \"by fifo\" on all nodes: 1");
    two.wait_for_log("Number of connected clients on all nodes: ");
    // Nothing of it is kept, in the stream or beside it.
    assert_eq!(redis.ask("xlen hasses:events").trim(), "1");
    let keys = redis.ask("keys *");
    assert_eq!(keys.lines().count(), 2, "{keys}");
}

#[test]
fn messages_of_other_nodes_are_counted_alike_everywhere() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let [one, two] = [(); 2].map(|()| node(&redis, ""));
    let mut stream = two.subscribe("subscribe=a");
    for n in 0..10 {
        publish::http(one.control, "a", &n.to_string());
        stream.data();
    }
    publish::tcp(two.control, "a=own\n");
    assert_eq!(stream.data(), "own");
    let by_channel = |node: &Daemon, channel: &str| {
        let name = format!("hasses_messages_total{{channel=\"{channel}\"}} ");
        let metrics = node.metrics();
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
        line.map_or(0, |count| count.parse::<u64>().unwrap())
    };
    for (node, counted) in [(&one, [10, 0, 1]), (&two, [0, 1, 10])] {
        eventually("all are counted", || {
            (figure(node, "msgproccnt") == 11).then_some(())
        });
        assert_eq!(
            ["http", "tcp", "bus"].map(|channel| by_channel(node, channel)),
            counted
        );
    }
}

#[test]
fn a_node_that_stands_still_is_left_out_in_time() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let nodes = [(); 3].map(|()| node(&redis, "--fifo {dir}/in"));
    wait_for_nodes(&nodes.each_ref(), 3);
    let [one, two, three] = &nodes;
    let mut streams = nodes.each_ref().map(|node| node.subscribe("subscribe=a"));
    three.signal(Signal::SIGSTOP);
    let began = Instant::now();
    let mut asking = Connection::to(one.control);
    asking.send(b"tcpsubscribedclients:a\n");
    // Meanwhile all goes on, behind a question in the FIFO too.
    publish::fifo(&one.file("in"), "subscribedclients:a\na=from the pipe\n");
    publish::http(two.control, "a", "by HTTP");
    for stream in &mut streams[..2] {
        let mut seen = [stream.data(), stream.data()];
        seen.sort();
        assert_eq!(seen, ["by HTTP", "from the pipe"]);
    }
    assert!(!asking.is_answered());
    let answer: Value = serde_json::from_str(&asking.line()).unwrap();
    assert_eq!(counts(&answer), [1, 2, 3, 2]);
    let took = began.elapsed();
    assert!(took >= DEADLINE, "{took:?}");
    one.wait_for_log("Client count subscribed for \"a\" on 2 of 3 nodes: 2");
    // It goes on, and late answers are nobody's.
    three.signal(Signal::SIGCONT);
    let mut seen = [streams[2].data(), streams[2].data()];
    seen.sort();
    assert_eq!(seen, ["by HTTP", "from the pipe"]);
    wait_for_bus(three, true);
    eventually("all answer", || {
        (counts(&by_tcp(one, "a")) == [1, 3, 3, 3]).then_some(())
    });
    // One that stands still for long does not count any more, and nobody waits for it.
    three.signal(Signal::SIGSTOP);
    wait_for_nodes(&[one, two], 2);
    let began = Instant::now();
    assert_eq!(counts(&by_tcp(one, "a")), [1, 2, 2, 2]);
    assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
    three.signal(Signal::SIGCONT);
}

#[test]
fn nobody_waits_for_a_node_that_died() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let mut nodes = [(); 3].map(|()| node(&redis, ""));
    wait_for_nodes(&nodes.each_ref(), 3);
    let _streams = nodes.each_ref().map(|node| node.subscribe("subscribe=a"));
    nodes[2].crash();
    eventually("Redis knows that it is gone", || {
        let listeners = redis.ask("pubsub channels hasses:node:*");
        (listeners.lines().count() == 2).then_some(())
    });
    let began = Instant::now();
    assert_eq!(counts(&by_tcp(&nodes[0], "a")), [1, 2, 3, 2]);
    assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
    wait_for_nodes(&[&nodes[0]], 2);
    assert_eq!(counts(&by_tcp(&nodes[0], "a")), [1, 2, 2, 2]);
}

#[test]
fn while_the_bus_is_away_a_node_counts_its_own() {
    needs!("redis-server", "redis-cli");
    let mut redis = Redis::start("");
    let nodes = [(); 2].map(|()| node(&redis, ""));
    wait_for_nodes(&nodes.each_ref(), 2);
    let [one, two] = &nodes;
    let _streams = nodes.each_ref().map(|node| node.subscribe("subscribe=a"));
    // A paused Redis is not known to be away; the question is answered in time all the same.
    redis.signal(Signal::SIGSTOP);
    assert_eq!(counts(&by_tcp(one, "a")), [1, 1, 0, 1]);
    redis.signal(Signal::SIGCONT);
    redis.crash();
    wait_for_bus(one, false);
    let began = Instant::now();
    assert_eq!(counts(&by_http(one, "a")), [1, 1, 0, 1]);
    let lines = by_text(one, "a");
    assert_eq!(
        lines[1],
        "Client count subscribed for \"a\" on this node alone: 1"
    );
    assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
    redis.start_again();
    wait_for_bus(one, true);
    wait_for_bus(two, true);
    eventually("both answer again", || {
        (counts(&by_tcp(one, "a")) == [1, 2, 2, 2]).then_some(())
    });
}

#[test]
fn many_may_ask_at_once() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let nodes = [(); 3].map(|()| node(&redis, ""));
    wait_for_nodes(&nodes.each_ref(), 3);
    let _streams: Vec<_> = (0..30)
        .map(|n| nodes[n % 3].subscribe(&format!("subscribe=t{}", n % 10)))
        .collect();
    let mut stream = nodes[1].subscribe("subscribe=other");
    let began = Instant::now();
    let mut asking: Vec<_> = (0..200)
        .map(|n| {
            let mut connection = Connection::to(nodes[n % 3].control);
            connection.send(format!("tcpsubscribedclients:t{}\n", n % 10).as_bytes());
            connection
        })
        .collect();
    publish::http(nodes[0].control, "other", "x");
    assert_eq!(stream.data(), "x");
    for (n, connection) in asking.iter_mut().enumerate() {
        let answer: Value = serde_json::from_str(&connection.line()).unwrap();
        assert_eq!(answer["subscribedfor"], json!(format!("t{}", n % 10)));
        assert_eq!(counts(&answer), [1, 3, 3, 3]);
    }
    assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
}

#[test]
fn the_readmes_permissions_are_enough() {
    needs!("redis-server", "redis-cli");
    let readme = include_str!("../../../examples/cluster/README.md");
    let mut lines = readme.lines();
    let line = lines.find(|line| line.starts_with("The user needs "));
    let commands: Vec<String> = line
        .unwrap()
        .split('`')
        .nth(1)
        .unwrap()
        .split(' ')
        .map(|name| format!("+{}", name.to_lowercase()))
        .collect();
    let redis = Redis::start("");
    let acl = format!(
        "acl setuser me on >secret resetchannels ~hasses:* &hasses:node:* {}",
        commands.join(" ")
    );
    assert_eq!(redis.ask(&acl).trim(), "OK", "{acl}");
    let bus = format!("--bus redis://me:secret@127.0.0.1:{}", redis.port);
    let nodes = [(); 2].map(|()| Daemon::start(&bus));
    wait_for_nodes(&nodes.each_ref(), 2);
    let mut stream = nodes[1].subscribe("subscribe=a");
    publish::http(nodes[0].control, "a", "x");
    assert_eq!(stream.data(), "x");
    assert_eq!(counts(&by_tcp(&nodes[0], "a")), [0, 1, 2, 2]);
}
