//! Who is there, over all nodes.

use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Connection, Daemon, Stream, eventually, needs};

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
