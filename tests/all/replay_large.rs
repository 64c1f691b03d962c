//! Replays of very many events: nobody waits for them, nothing joins them wrongly.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use support::{Connection, Daemon, Stream, publish};

/// Enough for every event of these tests.
const LARGE: &str = "--history 1000000 --history-bytes 1000000000";

/// Publishes the numbers of the range as `a=NUMBER PADDING`, and waits until they are taken in.
fn publish_numbers(daemon: &Daemon, numbers: std::ops::Range<usize>, padding: usize) {
    let padding = "x".repeat(padding);
    let text: String = numbers
        .map(|number| format!("a={number} {padding}\n"))
        .collect();
    let mut connection = Connection::to(daemon.control);
    connection.send(text.as_bytes());
    connection.send(b"tcpnumberofclients\n").line();
}

/// The number with which the data begins.
fn number(data: &str) -> usize {
    data.split(' ').next().unwrap().parse().unwrap()
}

/// Reads events up to the last number, which must come one after the other from `from`.
fn read_numbers(stream: &mut Stream, from: usize, last: usize) {
    for wanted in from..=last {
        assert_eq!(number(&stream.data()), wanted);
    }
}

fn resume(daemon: &Daemon, last: u64) -> Stream {
    let request =
        format!("GET /sse?subscribe=a HTTP/1.1\r\nHost: x\r\nLast-Event-ID: {last}\r\n\r\n");
    Stream::request(daemon.listen, &request)
}

#[test]
fn a_replay_of_100_000_events_holds_nobody_up() {
    let _alone = support::heavy();
    const COUNT: usize = 100_000;
    let daemon = Daemon::start(LARGE);
    let before = Stream::starting(daemon.listen, "subscribe=a", "").position;
    publish_numbers(&daemon, 0..COUNT, 200);
    let mut other = daemon.subscribe("subscribe=b");
    thread::scope(|scope| {
        let replays: Vec<_> = (0..4)
            .map(|_| {
                let mut stream = resume(&daemon, before);
                scope.spawn(move || {
                    read_numbers(&mut stream, 0, COUNT - 1);
                    Instant::now()
                })
            })
            .collect();
        let mut live = Vec::new();
        while !replays.iter().all(thread::ScopedJoinHandle::is_finished) {
            let (id, recipients) = publish::http(daemon.control, "b", "live");
            assert_eq!((other.event().id, recipients), (Some(id), 1));
            live.push(Instant::now());
        }
        for replay in replays {
            let end = replay.join().unwrap();
            let during = live.iter().filter(|time| **time < end).count();
            assert!(during >= 5, "{during} live events while it was replayed");
        }
    });
}

/// Sets its flag when it is dropped.
struct Until<'a>(&'a AtomicBool);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn live_events_join_a_replay_without_loss_or_double() {
    let _alone = support::heavy();
    const BEFORE: usize = 20_000;
    let daemon = Daemon::start(LARGE);
    let before = Stream::starting(daemon.listen, "subscribe=a", "").position;
    publish_numbers(&daemon, 0..BEFORE, 500);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        // Also when a reader fails, for whose test nobody is to wait.
        let publishing = Until(&done);
        let publisher = scope.spawn(|| {
            let mut connection = Connection::to(daemon.control);
            let mut next = BEFORE;
            while !done.load(Ordering::Relaxed) {
                let line = format!("{{\"to\":\"a\",\"data\":\"{next} live\",\"ack\":true}}\n");
                connection.send(line.as_bytes()).line();
                next += 1;
            }
            next
        });
        let mut streams = Vec::new();
        for _ in 0..10 {
            let mut stream = resume(&daemon, before);
            read_numbers(&mut stream, 0, BEFORE + 50);
            streams.push(stream);
        }
        drop(publishing);
        let last = publisher.join().unwrap() - 1;
        for stream in &mut streams {
            read_numbers(stream, BEFORE + 51, last);
        }
    });
}

#[test]
fn a_slow_reader_may_replay_more_than_its_buffer() {
    let _alone = support::heavy();
    const COUNT: usize = 2_000;
    let daemon = Daemon::start(&format!("{LARGE} --client-buffer 20000"));
    let before = Stream::starting(daemon.listen, "subscribe=a", "").position;
    publish_numbers(&daemon, 0..COUNT, 10_000);
    let requests = [
        "GET /sse?subscribe=a&lastEventId=ID HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /sse?subscribe=a&lastEventId=ID HTTP/1.0\r\n\r\n",
    ];
    for (round, request) in requests.iter().enumerate() {
        let request = request.replace("ID", &before.to_string());
        let mut stream = Stream::request(daemon.listen, &request);
        // It takes nothing for a while, in which others are served.
        let mut other = daemon.subscribe("subscribe=b");
        for _ in 0..200 {
            publish::http(daemon.control, "b", "x");
            assert_eq!(other.data(), "x");
        }
        drop(other);
        daemon.wait_for_clients(1);
        let new = COUNT + round;
        publish::http(daemon.control, "a", &format!("{new} live"));
        read_numbers(&mut stream, 0, new);
        drop(stream);
        daemon.wait_for_clients(0);
    }
}

#[test]
fn a_replay_goes_on_after_a_first_part_that_the_socket_did_not_take() {
    let _alone = support::heavy();
    // Larger than what a socket's buffers hold.
    const SIZE: usize = 8 << 20;
    let limits = "--max-message 10000000 --history-bytes 1000000000";
    let daemon = Daemon::start(limits);
    let before = Stream::starting(daemon.listen, "subscribe=a", "").position;
    publish_numbers(&daemon, 0..3, SIZE);
    let mut stream = resume(&daemon, before);
    // Its header has come, and its first event waits.
    let mut other = daemon.subscribe("subscribe=b");
    publish::http(daemon.control, "b", "x");
    assert_eq!(other.data(), "x");
    read_numbers(&mut stream, 0, 2);
    publish::http(daemon.control, "a", "3 live");
    read_numbers(&mut stream, 3, 3);
}

#[test]
fn who_is_too_slow_for_the_history_is_not_left_in_the_dark() {
    let _alone = support::heavy();
    let daemon = Daemon::start("--history 1000 --history-bytes 1000000000 --client-buffer 20000");
    let before = Stream::starting(daemon.listen, "subscribe=a", "").position;
    publish_numbers(&daemon, 0..1000, 20_000);
    let mut stream = resume(&daemon, before);
    let first = stream.event();
    assert_eq!(number(&first.data.unwrap()), 0);
    // What it has not taken yet leaves the history.
    publish_numbers(&daemon, 1000..3000, 20_000);
    let mut expected = 1;
    let mut last = first.id.unwrap();
    while let Some(event) = stream.try_event() {
        if event.event.as_deref() == Some("gap") {
            return;
        }
        let data = event.data.unwrap();
        assert_eq!(number(&data), expected, "an event is missing, and no gap");
        expected += 1;
        last = event.id.unwrap();
        if expected == 3000 {
            return;
        }
    }
    // Disconnected: it comes back, and then it is told.
    let again = Stream::resume(daemon.listen, "subscribe=a", last);
    assert!(again.gap.is_some());
    assert_eq!(number(again.data().last().unwrap()), 2999);
}
