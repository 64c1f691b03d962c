//! What TLS costs: memory of an idle stream, and processor time of a delivery beside a plain one.
//!
//! `HASSES_TLS_CLIENTS=4000 cargo test --release --test all tls::cost -- --nocapture` measures with more
//! of them, in the program that people run.

use std::env;

use super::site::Site;
use support::{Daemon, Stream, needs, publish};

/// Rounds, and broadcasts of each, sent one at a time.
const ROUNDS: usize = 5;
const BROADCASTS: usize = 20;
/// The most resident bytes of an idle stream.
const MOST_BYTES: u64 = 4608;

/// A daemon with streams.
struct Side<'a> {
    daemon: &'a Daemon,
    streams: Vec<Stream>,
    /// Resident bytes that each stream added.
    bytes: u64,
    /// Processor time of the deliveries of each round, in nanoseconds.
    nanos: Vec<u64>,
}

impl<'a> Side<'a> {
    fn fill(daemon: &'a Daemon, count: usize, open: impl Fn() -> Stream) -> Self {
        // Code that is read from disk and buffers that all share are no stream's own.
        for _ in 0..20 {
            drop(open());
        }
        daemon.wait_for_clients(0);
        let before = daemon.resident_kib();
        let streams = (0..count).map(|_| open()).collect();
        let bytes = (daemon.resident_kib() - before) * 1024 / count as u64;
        Self {
            daemon,
            streams,
            bytes,
            nanos: Vec::new(),
        }
    }

    fn broadcast(&mut self) {
        let data = "x".repeat(100);
        let before = self.running();
        for _ in 0..BROADCASTS {
            publish::http(self.daemon.control, "a", &data);
            for stream in &mut self.streams {
                assert!(stream.data() == data);
            }
        }
        self.nanos.push(self.running() - before);
    }

    /// Processor time that the daemon's one thread has used (schedstat in proc(5)).
    fn running(&self) -> u64 {
        let path = format!("/proc/{}/schedstat", self.daemon.pid());
        let text = std::fs::read_to_string(path).unwrap();
        text.split(' ').next().unwrap().parse().unwrap()
    }

    /// Microseconds of a delivery: the median.
    fn micros(&mut self) -> f64 {
        self.nanos.sort_unstable();
        let deliveries = BROADCASTS * self.streams.len();
        self.nanos[ROUNDS / 2] as f64 / 1000.0 / deliveries as f64
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "figures for a person")]
fn cost() {
    needs!("openssl");
    let _alone = support::heavy();
    let count = env::var("HASSES_TLS_CLIENTS").map_or(500, |text| text.parse().unwrap());
    let site = Site::start("--heartbeat 0");
    let plain = Daemon::start("--heartbeat 0");
    let mut tls = Side::fill(&site.daemon, count, || site.subscribe("subscribe=a"));
    let mut plain = Side::fill(&plain, count, || plain.subscribe("subscribe=a"));
    for _ in 0..ROUNDS {
        tls.broadcast();
        plain.broadcast();
    }
    let bytes = (tls.bytes, plain.bytes);
    let (with, without) = (tls.micros(), plain.micros());
    println!(
        "{count} idle streams: {} resident bytes each, plain {}; a delivery: {with:.2} µs, \
         plain {without:.2} µs, {:.2} times",
        bytes.0,
        bytes.1,
        with / without
    );
    assert!(bytes.0 <= MOST_BYTES, "{} bytes of an idle stream", bytes.0);
}
