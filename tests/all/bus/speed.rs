//! What the bus costs: messages a second and delay, beside one daemon alone, and processor time.
//!
//! `cargo test --release --test all bus::speed -- --nocapture` prints figures that mean something.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use super::{Redis, figure, node};
use support::{Daemon, Stream, eventually, needs, publish};

/// Messages of a flood, and single ones of which the delay is taken.
const FLOOD: usize = if cfg!(debug_assertions) {
    50_000
} else {
    500_000
};
const SINGLES: u32 = 500;
/// Messages of which each is written alone, a thousand a second, for their processor time.
const PACED: usize = if cfg!(debug_assertions) { 500 } else { 5000 };

/// Messages a second, from the first written to the last read, by one publisher of text.
fn flood(publisher: &Daemon, subscriber: &Daemon) -> f64 {
    let mut stream = subscriber.subscribe("subscribe=flood");
    let control = publisher.control;
    let began = Instant::now();
    let writer = thread::spawn(move || {
        let mut socket = TcpStream::connect(control).unwrap();
        let line = format!("flood={}\n", "x".repeat(93));
        let lines = line.repeat(1000);
        for _ in 0..FLOOD / 1000 {
            socket.write_all(lines.as_bytes()).unwrap();
        }
    });
    for _ in 0..FLOOD {
        assert_eq!(stream.event().event, None, "a gap");
    }
    let taken = began.elapsed();
    writer.join().unwrap();
    FLOOD as f64 / taken.as_secs_f64()
}

/// One message after the other, a thousand a second, none waiting for another.
fn pace(publisher: &Daemon, subscriber: &Daemon) {
    let mut stream = subscriber.subscribe("subscribe=pace");
    let mut socket = TcpStream::connect(publisher.control).unwrap();
    socket.set_nodelay(true).unwrap();
    let line = format!("pace={}\n", "x".repeat(94));
    let began = Instant::now();
    for number in 1..=PACED as u64 {
        socket.write_all(line.as_bytes()).unwrap();
        let due = began + Duration::from_millis(number);
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    for _ in 0..PACED {
        stream.event();
    }
}

/// Prints how much processor time one of these messages takes, at each of those it comes by.
#[expect(clippy::print_stdout, reason = "its figures are what it is for")]
fn processor_time(
    what: &str,
    count: usize,
    redis: &Redis,
    [publisher, subscribed, idle]: [&Daemon; 3],
    publish: impl FnOnce(&Daemon, &Daemon),
) {
    let used = || {
        let [one, two, three] = [publisher, subscribed, idle].map(Daemon::cpu_ticks);
        [redis.cpu_ticks(), one, two, three]
    };
    let (before, read) = (used(), figure(idle, "bus_read"));
    publish(publisher, subscribed);
    eventually("the idle node has read all", || {
        (figure(idle, "bus_read") == read + count as u64).then_some(())
    });
    let names = [
        "Redis, with three nodes",
        "the publisher's node",
        "a node with a subscriber",
        "a node with none",
    ];
    for ((name, before), after) in names.iter().zip(before).zip(used()) {
        let micros = (after - before) as f64 * 10_000.0 / count as f64;
        println!("{what}, {name}: {micros:.2} us of processor time for each message");
    }
}

/// From the publisher's write to the subscriber's read, in microseconds: half of them, and 99 of 100,
/// take no longer.
fn delay(publisher: &Daemon, subscriber: &Daemon) -> (u128, u128) {
    let mut stream: Stream = subscriber.subscribe("subscribe=delay");
    let mut socket = TcpStream::connect(publisher.control).unwrap();
    socket.set_nodelay(true).unwrap();
    let singles = (0..SINGLES).map(|_| {
        thread::sleep(Duration::from_millis(2));
        let began = Instant::now();
        socket.write_all(b"delay=x\n").unwrap();
        stream.event();
        began.elapsed().as_micros()
    });
    let mut singles: Vec<u128> = singles.collect();
    singles.sort_unstable();
    let at = |percent: usize| singles[(singles.len() - 1) * percent / 100];
    (at(50), at(99))
}

#[test]
#[expect(clippy::print_stdout, reason = "its figures are what it is for")]
fn what_the_bus_costs() {
    needs!("redis-server", "redis-cli");
    let _alone = support::heavy();
    let redis = Redis::start("");
    let alone = Daemon::start("--client-buffer 100000000");
    let [one, two] = [(); 2].map(|()| node(&redis, "--client-buffer 100000000"));
    let rates = [
        ("alone", flood(&alone, &alone)),
        ("by the bus, the same node", flood(&one, &one)),
        ("by the bus, another node", flood(&one, &two)),
    ];
    for (way, rate) in rates {
        println!(
            "{way}: {rate:.0} messages/s, {:.2} of alone",
            rate / rates[0].1
        );
    }
    let delays = [
        ("alone", delay(&alone, &alone)),
        ("by the bus, the same node", delay(&one, &one)),
        ("by the bus, another node", delay(&one, &two)),
    ];
    for (way, (half, most)) in delays {
        println!("{way}: delay p50 {half} us, p99 {most} us");
    }
    let idle = node(&redis, "");
    let nodes = [&one, &two, &idle];
    processor_time("a flood", FLOOD, &redis, nodes, |one, two| {
        flood(one, two);
    });
    processor_time("1,000 a second", PACED, &redis, nodes, pace);
    // Ids of both kinds stay in their order.
    assert!(publish::http(one.control, "a", "").0 < publish::http(two.control, "a", "").0);
}
