//! Nodes that act as one while all is well.

use std::net::SocketAddr;

use super::{Redis, figure, node};
use support::{Connection, Stream, eventually, needs, publish};

fn text(address: SocketAddr, lines: impl Iterator<Item = String>) -> Vec<u64> {
    publish::json_lines(address, lines)
}

#[test]
fn all_nodes_deliver_the_same_events_in_the_same_order() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let nodes = [(); 3].map(|()| node(&redis, ""));
    let mut streams = nodes.each_ref().map(|node| node.subscribe("subscribe=a"));
    let controls = nodes.each_ref().map(|node| node.control);
    let publishers = controls.map(|control| {
        std::thread::spawn(move || {
            let port = control.port();
            let line = move |n| format!(r#"{{"to":"a","data":"{port}:{n}"}}"#);
            text(control, (0..200).map(line))
        })
    });
    let published = publishers.map(|thread| thread.join().unwrap());
    for ids in &published {
        assert!(ids.is_sorted_by(|a, b| a < b), "one publisher's order");
    }
    let seen = streams.each_mut().map(|stream| {
        let events: Vec<_> = (0..600).map(|_| stream.event().raw).collect();
        events
    });
    assert!(seen[0] == seen[1] && seen[1] == seen[2], "other orders");
    let ids = seen[0].iter().map(|raw| {
        let id = raw.lines().next().unwrap().strip_prefix("id: ").unwrap();
        id.parse::<u64>().unwrap()
    });
    let ids: Vec<u64> = ids.collect();
    assert!(ids.is_sorted_by(|a, b| a < b) && *ids.last().unwrap() < 1 << 53);
    let mut acknowledged = published.concat();
    acknowledged.sort_unstable();
    assert_eq!(acknowledged, ids);
    assert_eq!(figure(&nodes[0], "msgproccnt"), 600);
}

#[test]
fn everything_of_a_message_crosses_the_bus() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let [one, two] = [(); 2].map(|()| node(&redis, ""));
    let mut spared = two.subscribe("subscribe=a&id=me");
    let mut other = two.subscribe("subscribe=abc");
    let mut all = two.subscribe("subscribe=*");
    publish::json_lines(
        one.control,
        [
            r#"{"to":["a","x"],"data":"1\n2","event":"e","except":"me"}"#.to_owned(),
            r#"{"to":"ab*","data":""}"#.to_owned(),
            r#"{"to":"*","data":"é","retain":false}"#.to_owned(),
        ],
    );
    assert_eq!(spared.data(), "é");
    assert_eq!((other.data(), other.data()), (String::new(), "é".into()));
    let first = all.event();
    assert_eq!(first.event.as_deref(), Some("e"));
    assert_eq!(first.data.as_deref(), Some("1\n2"));
    assert_eq!((all.data(), all.data()), (String::new(), "é".into()));
    // The receipt counts the subscribers of the publisher's own node.
    let mut own = one.subscribe("subscribe=a");
    assert_eq!(publish::http(one.control, "a", "x").1, 1);
    assert_eq!((own.data(), all.data()), ("x".into(), "x".into()));
    let late = Stream::starting(two.listen, "subscribe=*&recent=9", "");
    assert_eq!(late.data(), ["1\n2", "", "x"], "é was not to be kept");
    // A list, all of text's channels, and an empty list.
    publish::tcp(one.control, "a=t;b=u\n");
    assert_eq!(all.data(), "t");
    let empty = publish::post(one.control, "/publish", "application/json", b"[]");
    assert_eq!((empty.status, empty.body.trim()), (200, "[]"));
}

#[test]
fn who_changes_nodes_gets_what_it_missed() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let [one, two] = [(); 2].map(|()| node(&redis, ""));
    let mut stream = one.subscribe("subscribe=a");
    let first = publish::http(one.control, "a", "1").0;
    assert_eq!(stream.event().id, Some(first));
    drop(stream);
    publish::http(one.control, "a", "2");
    publish::http(two.control, "b", "not for it");
    publish::http(two.control, "a", "3");
    let back = Stream::resume(two.listen, "subscribe=a", first);
    assert_eq!((back.data(), back.gap.is_none()), (vec!["2", "3"], true));
    // A node that starts now has it all from the stream.
    let three = node(&redis, "");
    let back = Stream::resume(three.listen, "subscribe=a", first);
    assert_eq!((back.data(), back.gap.is_none()), (vec!["2", "3"], true));
    // A position of one node is good on another, and no event is missed behind it.
    let position = back.position;
    let quiet = Stream::resume(one.listen, "subscribe=a", position);
    assert_eq!((quiet.data(), quiet.gap.is_none()), (vec![], true));
    let unknown = Stream::resume(one.listen, "subscribe=a", position - 1);
    unknown.gap_data();
}

#[test]
fn who_has_seen_more_than_the_node_waits_for_it() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let [one, two] = [(); 2].map(|()| node(&redis, ""));
    let last = publish::http(one.control, "a", "1").0;
    eventually("node two has it", || {
        (figure(&two, "bus_read") == 1).then_some(())
    });
    // Node two stands still while the client goes there with what it saw on node one.
    two.signal(nix::sys::signal::Signal::SIGSTOP);
    let ids: Vec<u64> = (0..3)
        .map(|n| publish::http(one.control, "a", &n.to_string()).0)
        .collect();
    let request = format!(
        "GET /sse?subscribe=a HTTP/1.1\r\nHost: x\r\nLast-Event-ID: {}\r\n\r\n",
        ids[1]
    );
    let mut connection = Connection::to(two.listen);
    connection.send(request.as_bytes());
    two.signal(nix::sys::signal::Signal::SIGCONT);
    let mut back = Stream::answered(connection).start();
    assert!(back.gap.is_none() && back.position >= ids[1]);
    // It may come before the position or after it.
    match back.data().as_slice() {
        [] => assert_eq!(back.stream.event().id, Some(ids[2])),
        other => assert_eq!(other, ["2"]),
    }
    assert!(last < back.position);
    // What never comes is a gap, after a while.
    let never = Stream::resume(two.listen, "subscribe=a", back.position + 60_000_000);
    never.gap_data();
}

#[test]
fn the_whole_is_counted_and_dead_nodes_are_not() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let one = node(&redis, "");
    let mut two = node(&redis, "");
    let _streams = [one.subscribe("subscribe=a"), two.subscribe("subscribe=a")];
    let whole = |nodes, clients| {
        eventually("a count of the whole", || {
            let now = (
                figure(&one, "cluster_nodes"),
                figure(&one, "cluster_clients"),
            );
            (now == (nodes, clients)).then_some(())
        });
    };
    whole(2, 2);
    assert_eq!(figure(&one, "sseconncli"), 1);
    let all = publish::ask_tcp(one.control, "tcpnumberofclients\n");
    assert_eq!(all, r#"{"numberofclients":1,"cluster_clients":2}"#);
    let mut connection = Connection::to(one.control);
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let metrics = connection.send(request.as_bytes()).response().body;
    for line in ["hasses_bus_up 1\n", "hasses_cluster_clients 2\n"] {
        assert!(metrics.contains(line), "{metrics}");
    }
    // Its own are counted at once.
    let _another = one.subscribe("subscribe=a");
    assert_eq!(figure(&one, "cluster_clients"), 3);
    two.crash();
    whole(1, 2);
    // Who ends as it should says so.
    let mut three = node(&redis, "");
    whole(2, 2);
    three.stop();
    let nodes = redis.ask("hlen hasses:nodes");
    assert_eq!(nodes.trim(), "1");
}

#[test]
fn an_id_is_kept_out_on_all_nodes() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let [one, two] = [(); 2].map(|()| node(&redis, ""));
    let stream = two.subscribe("subscribe=a&id=me");
    let answer = publish::post(one.control, "/disconnect/me?for=60", "", b"");
    assert_eq!(answer.status, 200);
    stream.into_connection();
    for node in [&one, &two] {
        let refused = node.ask("GET /sse?subscribe=a&id=me HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(refused.status, 403, "{refused:?}");
    }
    publish::post(two.control, "/disconnect/me?for=0", "", b"");
    eventually("leave on the other node", || {
        let text = "GET /sse?subscribe=a&id=me HTTP/1.1\r\nHost: x\r\n\r\n";
        let head = Connection::to(one.listen).send(text.as_bytes()).head();
        (head.status == 200).then_some(())
    });
}

#[test]
fn a_client_is_disconnected_wherever_it_is() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let [one, two] = [(); 2].map(|()| node(&redis, ""));
    for way in ["text", "http"] {
        let mut named = two.subscribe("subscribe=a&id=me");
        let mut other = two.subscribe("subscribe=a&id=you");
        publish::http(one.control, "a", "before");
        match way {
            "text" => publish::tcp(one.control, "disconnect:me\n"),
            _ => assert_eq!(
                publish::post(one.control, "/disconnect/me", "", b"").status,
                200
            ),
        }
        assert_eq!(named.data(), "before");
        assert!(named.try_event().is_none() && named.ended_well);
        publish::http(one.control, "a", "after");
        assert_eq!(
            (other.data(), other.data()),
            ("before".into(), "after".into())
        );
    }
}

#[test]
fn the_stream_is_trimmed_by_the_limits() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let one = node(&redis, "--history 100 --history-age 7");
    let flood = |from: u32| {
        let line = |n: u32| format!(r#"{{"to":"a","data":"{n}"}}"#);
        publish::json_lines(one.control, (from..from + 400).map(line));
    };
    flood(0);
    let length = || {
        redis
            .ask("xlen hasses:events")
            .trim()
            .parse::<u64>()
            .unwrap()
    };
    // What is young stays, so that a node which is a little late misses nothing.
    assert_eq!(length(), 401);
    eventually("old entries go", || {
        // Redis lets whole blocks of entries go.
        (length() < 300).then_some(())
    });
    let back = Stream::resume(one.listen, "subscribe=a", 1);
    back.gap_data();
}

#[test]
fn prefixes_and_databases_keep_apart() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let one = node(&redis, "");
    let url = redis.url();
    let others = [
        format!("--bus {url}?prefix=other"),
        format!("--bus {url}/1"),
    ];
    let others = others.map(|bus| support::Daemon::start(&bus));
    let mut streams = others.each_ref().map(|node| node.subscribe("subscribe=a"));
    publish::http(one.control, "a", "not for them");
    for (node, stream) in others.iter().zip(&mut streams) {
        publish::http(node.control, "a", "own");
        assert_eq!(stream.data(), "own");
    }
}
