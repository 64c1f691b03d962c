//! Who is there, over all nodes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Connection, Daemon, Stream, eventually, needs, number_from};

use super::{Redis, node};

fn page(node: &Daemon) -> Value {
    let request = "GET /presence/room HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut connection = Connection::to(node.control);
    connection.send(request.as_bytes()).response().json()
}

fn ids(node: &Daemon) -> Vec<String> {
    let page = page(node);
    let members = page["members"].as_array().unwrap().iter();
    members
        .map(|one| one["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn streams_are_counted_on_all_nodes() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let [one, two] = [(); 2].map(|()| node(&redis, "--presence room --presence-grace 1"));
    let mut streams = Vec::new();
    for (node, query) in [
        (&one, "&id=ann"),
        (&two, "&id=ann"),
        (&two, "&id=ann"),
        (&one, ""),
        (&two, ""),
        (&two, ""),
    ] {
        streams.push(node.subscribe(&format!("subscribe=room{query}")));
    }
    let wait = |counts: (u64, u64)| {
        for node in [&one, &two] {
            eventually("all streams", || {
                let page = page(node);
                let ann = page["members"][0]["streams"].as_u64();
                (ann == Some(counts.0) && page["anonymous"] == counts.1).then_some(())
            });
        }
    };
    wait((3, 3));
    // Two of her streams end, and one of those without an id.
    streams.truncate(5);
    streams.drain(1..3);
    wait((1, 2));
    let members = two.subscribe("subscribe=room&presence=1").event();
    let members: Value = serde_json::from_str(members.data.as_deref().unwrap()).unwrap();
    assert_eq!(members["anonymous"], 3, "this one too");
}

#[test]
fn a_backend_that_goes_to_another_node_is_told_of_a_gap() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let [one, two] = [(); 2].map(|()| node(&redis, "--presence room --presence-grace 1"));
    let _ann = one.subscribe("subscribe=room&id=ann");
    eventually("the member on both", || {
        (ids(&two) == ["ann"]).then_some(())
    });
    let position = page(&one)["position"].as_u64().unwrap();
    let watch = |node: &Daemon, id: u64| {
        let request =
            format!("GET /presence HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: {id}\r\n\r\n");
        Stream::request(node.control, &request)
    };
    let _bob = one.subscribe("subscribe=room&id=bob");
    assert_eq!(
        told(&mut watch(&one, position)),
        ("join".to_owned(), "bob".to_owned())
    );
    assert_eq!(watch(&two, position).event().event.as_deref(), Some("gap"));
}

fn told(stream: &mut Stream) -> (String, String) {
    let block = stream.event();
    let data: Value = serde_json::from_str(block.data.as_deref().unwrap()).unwrap();
    let id = data["id"].as_str().unwrap_or_default().to_owned();
    (block.event.unwrap(), id)
}

#[test]
fn members_are_those_of_all_nodes_and_a_dead_nodes_leave_once() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let options = "--presence room --presence-grace 1";
    let [one, mut two] = [(); 2].map(|()| node(&redis, options));
    let mut ann = one.subscribe("subscribe=room&id=ann&presence=1");
    assert_eq!(told(&mut ann).0, "members");
    let _bobs: Vec<Stream> = (0..3)
        .map(|n| two.subscribe(&format!("subscribe=room&id=bob{n}")))
        .collect();
    let mut joined: Vec<_> = (0..3).map(|_| told(&mut ann)).collect();
    joined.sort();
    let all = ["bob0", "bob1", "bob2"].map(str::to_owned);
    let named = |name: &str| all.clone().map(|id| (name.to_owned(), id)).to_vec();
    assert_eq!(joined, named("join"));
    // A node that has just started is told of all.
    let three = node(&redis, options);
    for node in [&one, &two, &three] {
        eventually("all members", || (ids(node).len() == 4).then_some(()));
    }
    // One goes to another node: nothing is shown.
    let _bob = three.subscribe("subscribe=room&id=bob0");
    let began = Instant::now();
    two.crash();
    let mut left: Vec<_> = (0..2).map(|_| told(&mut ann)).collect();
    assert!(
        began.elapsed() < Duration::from_secs(17),
        "{:?}",
        began.elapsed()
    );
    left.sort();
    assert_eq!(left, named("leave")[1..]);
    for node in [&one, &three] {
        eventually("the rest", || (ids(node) == ["ann", "bob0"]).then_some(()));
    }
    support::publish::http(one.control, "room", "nothing before this");
    assert_eq!(ann.data(), "nothing before this");
}

#[test]
fn a_node_that_started_without_redis_is_known_as_soon_as_that_is_there() {
    needs!("redis-server", "redis-cli");
    let mut redis = Redis::start("");
    let options = "--presence room --presence-grace 1";
    let one = node(&redis, options);
    let _bob = one.subscribe("subscribe=room&id=bob");
    redis.crash();
    let two = Daemon::start(&format!("--allow-all --bus {} {options}", redis.url()));
    let mut ann = two.subscribe("subscribe=room&id=ann&presence=1");
    assert_eq!(told(&mut ann).0, "members");
    assert_eq!(ids(&two), ["ann"]);
    redis.start_again();
    for node in [&one, &two] {
        eventually("all members", || {
            (ids(node) == ["ann", "bob"]).then_some(())
        });
    }
    let gap = ann.event().event;
    assert_eq!(gap.as_deref(), Some("gap"), "nobody knows what was before");
    assert_eq!(told(&mut ann), ("join".to_owned(), "bob".to_owned()));
}

/// What a backend hears until it has heard of so many members that they `name`: how often of each.
fn heard(stream: &mut Stream, name: &str, count: usize) -> BTreeMap<String, usize> {
    let mut heard = BTreeMap::new();
    while heard.len() < count {
        let (what, id) = told(stream);
        assert_eq!(what, name, "{id}");
        *heard.entry(id).or_default() += 1;
    }
    heard
}

/// `HASSES_PRESENCE=10000 cargo test --test all a_crowd_of_members -- --nocapture` is the large one.
#[test]
#[expect(clippy::print_stdout, reason = "its figures are what it is for")]
fn a_crowd_of_members_comes_once_and_those_of_a_dead_node_leave_once() {
    needs!("redis-server", "redis-cli");
    let count = number_from("HASSES_PRESENCE", 300) as usize;
    let redis = Redis::start("");
    let mut nodes = [(); 3].map(|()| node(&redis, "--presence room --presence-grace 2"));
    let watch = |node: &Daemon| {
        let request = "GET /presence HTTP/1.1\r\nHost: localhost\r\n\r\n";
        Stream::request(node.control, request)
    };
    let mut watchers = [watch(&nodes[0]), watch(&nodes[1])];
    let name = |n: usize| format!("m{n:05}");
    let began = Instant::now();
    let mut streams: Vec<Stream> = (0..count)
        .map(|n| nodes[n % 3].subscribe(&format!("subscribe=room&id={}", name(n))))
        .collect();
    let connected = began.elapsed();
    for watcher in &mut watchers {
        let joins = heard(watcher, "join", count);
        assert!(joins.values().all(|times| *times == 1), "{joins:?}");
    }
    let joined = began.elapsed();
    // Every third goes to another node before its own dies: nothing is shown of that.
    for n in (2..count).step_by(9) {
        streams[n] = nodes[0].subscribe(&format!("subscribe=room&id={}", name(n)));
    }
    let left: Vec<String> = (2..count)
        .step_by(3)
        .filter(|n| n % 9 != 2)
        .map(name)
        .collect();
    let moved = (2..count).step_by(9).count();
    for node in &nodes[..2] {
        // Their old streams ended when the new ones had begun.
        eventually("what went to another node", || {
            let streams = on_node(node);
            let there = (2..count).step_by(9).filter(|n| streams[&name(*n)] == 1);
            (streams.len() == count && there.count() == moved).then_some(())
        });
    }
    let began = Instant::now();
    nodes[2].crash();
    let mut took = Duration::ZERO;
    for watcher in &mut watchers {
        let leaves = heard(watcher, "leave", left.len());
        took = took.max(began.elapsed());
        assert!(leaves.keys().eq(&left), "{leaves:?}");
        assert!(leaves.values().all(|times| *times == 1), "{leaves:?}");
    }
    assert!(took < Duration::from_secs(37), "{took:?}");
    for node in &nodes[..2] {
        assert_eq!(on_node(node).len(), count - left.len());
    }
    // Nothing comes behind that.
    let _last = nodes[0].subscribe("subscribe=room&id=last");
    for watcher in &mut watchers {
        assert_eq!(told(watcher), ("join".to_owned(), "last".to_owned()));
    }
    println!(
        "{count} members over 3 nodes: connected in {connected:.1?}, all told of by {joined:.1?}; of a node that was \
         killed {} left in {took:.1?}",
        left.len()
    );
}

/// All members that a node knows, and how many streams each has.
fn on_node(node: &Daemon) -> BTreeMap<String, u64> {
    let mut path = "/presence/room?limit=10000".to_owned();
    let mut all = BTreeMap::new();
    loop {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = Connection::to(node.control)
            .send(request.as_bytes())
            .response();
        for member in answer.json()["members"].as_array().unwrap() {
            let id = member["id"].as_str().unwrap().to_owned();
            all.insert(id, member["streams"].as_u64().unwrap());
        }
        match answer.header("link") {
            Some(link) => path = link.split(['<', '>']).nth(1).unwrap().to_owned(),
            None => return all,
        }
    }
}
