//! Messages that are taken in together, and lie in one entry of the stream.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::signal::Signal;

use super::{Redis, figure, node, wait_for_bus};
use support::{Stream, eventually, needs, publish};

/// Publishes these numbers in one request, to the token `a`; their ids.
fn batch(address: SocketAddr, numbers: Range<usize>) -> Vec<u64> {
    let line = |n| format!(r#"{{"to":"a","data":"{n}"}}"#);
    let all = numbers.map(line).collect::<Vec<_>>().join(",");
    let body = format!("[{all}]");
    let answer = publish::post(address, "/publish", "application/json", body.as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = answer.json();
    let ids = answer.as_array().unwrap().iter();
    ids.map(|answer| answer["id"].as_u64().unwrap()).collect()
}

fn numbers(numbers: Range<usize>) -> Vec<String> {
    numbers.map(|n| n.to_string()).collect()
}

fn entries(redis: &Redis) -> usize {
    redis.ask("xlen hasses:events").trim().parse().unwrap()
}

#[test]
fn a_batch_is_one_entry_and_its_events_have_ids_of_their_own() {
    needs!("redis-server", "redis-cli");
    let mut redis = Redis::start("");
    let one = node(&redis, "");
    let two = node(&redis, "--history 100");
    let mut stream = two.subscribe("subscribe=a");
    let before = entries(&redis);
    let ids = batch(one.control, 0..500);
    assert_eq!(entries(&redis), before + 1);
    assert!(ids.is_sorted_by(|a, b| a + 2 == *b), "{ids:?}");
    for (n, id) in ids.iter().enumerate() {
        let event = stream.event();
        assert_eq!((event.id, event.data), (Some(*id), Some(n.to_string())));
    }
    let mut near = one.subscribe("subscribe=a");
    let next = publish::http(two.control, "a", "500").0;
    assert!(next > ids[499]);
    assert_eq!(near.event().id, Some(next));
    // Who comes back in the midst of it gets the rest, from any node that still has it.
    let rest = numbers(451..501);
    let comes_back = |address| {
        let back = Stream::resume(address, "subscribe=a", ids[450]);
        assert!(back.gap.is_none());
        assert_eq!(back.data(), rest);
    };
    let three = node(&redis, "");
    for node in [&one, &two, &three] {
        comes_back(node.listen);
    }
    Stream::resume(two.listen, "subscribe=a", ids[300]).gap_data();
    // Also when Redis has lost it and got it again.
    redis.crash();
    for node in [&one, &two, &three] {
        wait_for_bus(node, false);
    }
    redis.start_empty();
    for node in [&one, &two, &three] {
        wait_for_bus(node, true);
    }
    comes_back(node(&redis, "").listen);
    let restored = [&one, &two, &three].map(|node| figure(node, "bus_restored"));
    assert!(restored.iter().sum::<u64>() >= 501, "{restored:?}");
    let last = publish::http(one.control, "a", "last").0;
    for data in ["500", "last"] {
        assert_eq!(stream.data(), data, "neither copies nor a gap");
    }
    assert!(last > next);
}

#[test]
fn batches_come_once_while_redis_comes_and_goes() {
    needs!("redis-server", "redis-cli");
    let mut redis = Redis::start("--appendonly yes --appendfsync always");
    let [one, two] = [(); 2].map(|()| node(&redis, "--history 1000000 --history-bytes 1000000000"));
    let mut streams = [&one, &two].map(|node| node.subscribe("subscribe=a"));
    let ends = AtomicBool::new(false);
    let published = thread::scope(|scope| {
        let publishers = [0, 1].map(|_| {
            scope.spawn(|| {
                let mut next = 0;
                while !ends.load(Ordering::Relaxed) {
                    batch(one.control, next..next + 50);
                    next += 50;
                }
                next
            })
        });
        let grown = |by| {
            let before = figure(&one, "msgproccnt");
            eventually("more are taken in", || {
                (figure(&one, "msgproccnt") > before + by).then_some(())
            });
        };
        for crash in [true, false, true] {
            grown(1000);
            if crash {
                redis.crash()
            } else {
                redis.signal(Signal::SIGSTOP)
            }
            wait_for_bus(&one, false);
            grown(100);
            if crash {
                redis.start_again()
            } else {
                redis.signal(Signal::SIGCONT)
            }
            wait_for_bus(&one, true);
            wait_for_bus(&two, true);
        }
        grown(1000);
        ends.store(true, Ordering::Relaxed);
        publishers.map(|publisher| publisher.join().unwrap())
    });
    publish::http(one.control, "a", "end");
    let mut all: Vec<String> = published
        .into_iter()
        .flat_map(|end| numbers(0..end))
        .collect();
    all.sort();
    for stream in &mut streams {
        let (mut ids, mut data) = (Vec::new(), Vec::new());
        loop {
            let event = stream.event();
            assert_eq!(event.event, None, "a gap");
            ids.extend(event.id);
            match event.data.unwrap() {
                end if end == "end" => break,
                other => data.push(other),
            }
        }
        assert!(ids.is_sorted_by(|a, b| a < b));
        data.sort();
        assert!(data == all, "{} of {}", data.len(), all.len());
    }
}
