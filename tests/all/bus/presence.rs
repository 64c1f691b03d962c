//! Who is there, over all nodes.

use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Connection, Daemon, Stream, eventually, needs};

use super::{Redis, node};

fn ids(node: &Daemon) -> Vec<String> {
    let request = "GET /presence/room HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let page = Connection::to(node.control)
        .send(request.as_bytes())
        .response()
        .json();
    let members = page["members"].as_array().unwrap().iter();
    members
        .map(|one| one["id"].as_str().unwrap().to_owned())
        .collect()
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
