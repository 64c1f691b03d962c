//! Several nodes are one hub.

use nix::sys::signal::Signal;
use serde_json::Value;
use support::{Daemon, eventually, needs};

use super::hub::{ALL_8, Hub, options, write_key};
use crate::bus::redis::Redis;

const BEARER: &str = "Authorization: Bearer ";

fn node(redis: &Redis) -> Hub {
    let arguments = format!(
        "--listen 127.0.0.1:{{listen}} --control 127.0.0.1:{{control}} {} --mercure-anonymous \
         --mercure-subscriptions --presence-grace 1 --bus {}",
        options(),
        redis.url()
    );
    Hub {
        daemon: Daemon::prepared(&arguments, write_key),
    }
}

fn listed(hub: &Hub, topic: &str) -> Vec<Value> {
    let path = format!("/subscriptions/exact/{topic}");
    let answer = hub.get(&path, &format!("{BEARER}{ALL_8}\r\n"));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["subscriptions"].as_array().unwrap().clone()
}

#[test]
fn an_update_and_a_subscription_are_known_everywhere() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let (one, other) = (node(&redis), node(&redis));
    let mut here = one.stream("match=a", "");
    let mut there = other.stream("match_urlpattern=/:x&match=a", "");
    let id = one.publish("topic=a&data=x&id=urn:x&type=t");
    for stream in [&mut here, &mut there] {
        let event = stream.event();
        assert_eq!(
            (event.id.as_deref(), event.event.as_deref()),
            (Some(&*id), Some("t"))
        );
    }
    // Who comes back to the other node goes on there.
    other.publish("topic=a&data=y");
    let mut again = other.stream("match=a&last_event_id=urn:x", "");
    assert_eq!(again.data(), "y");
    for hub in [&one, &other] {
        eventually("all subscriptions are listed on both nodes", || {
            (listed(hub, "a").len() == 3).then_some(())
        });
    }
    // A private one reaches nobody without a right, on either.
    one.publish("topic=a&data=secret&private=on");
    let mut friend = other.stream(
        "match=a&last_event_id=urn:x",
        &format!("{BEARER}{ALL_8}\r\n"),
    );
    assert_eq!(friend.data(), "y");
    assert_eq!(friend.data(), "secret");
    let third = node(&redis);
    eventually("a new node knows who is there", || {
        (listed(&third, "a").len() == 4).then_some(())
    });
}

#[test]
fn the_subscriptions_of_a_node_that_dies_end_once() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let (mut one, other, third) = (node(&redis), node(&redis), node(&redis));
    let _gone = [one.stream("match=a", ""), one.stream("match=a", "")];
    let _stays = other.stream("match=a", "");
    for hub in [&other, &third] {
        eventually("all are there", || {
            (listed(hub, "a").len() == 3).then_some(())
        });
    }
    let bearer = format!("{BEARER}{ALL_8}\r\n");
    let pattern = "match_urlpattern=/.well-known/mercure/subscriptions/:t/a/:s&match=mark";
    let mut watcher = third.stream(pattern, &bearer);
    one.daemon.crash();
    for hub in [&other, &third] {
        eventually("theirs have ended", || {
            (listed(hub, "a").len() == 1).then_some(())
        });
    }
    third.publish("topic=mark&data=end");
    let mut told = 0;
    loop {
        let data = watcher.data();
        if data == "end" {
            break;
        }
        assert!(data.contains("\"active\":false"), "{data}");
        told += 1;
    }
    assert_eq!(told, 2, "each once, though two nodes saw it");
}

#[test]
fn a_node_that_was_taken_for_dead_tells_again_who_is_there() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let (one, other) = (node(&redis), node(&redis));
    let mut stays = one.stream("match=a", "");
    eventually("it is there", || {
        (listed(&other, "a").len() == 1).then_some(())
    });
    one.daemon.signal(Signal::SIGSTOP);
    eventually("the other takes the node for dead", || {
        listed(&other, "a").is_empty().then_some(())
    });
    one.daemon.signal(Signal::SIGCONT);
    for hub in [&other, &one] {
        eventually("it is there again", || {
            (listed(hub, "a").len() == 1).then_some(())
        });
    }
    other.publish("topic=a&data=x");
    assert_eq!(stays.data(), "x");
}
