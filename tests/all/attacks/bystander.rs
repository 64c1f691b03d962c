//! Somebody who has nothing to do with an attack: how long is a message on its way meanwhile?

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use support::{Daemon, Stream};

/// Between two messages of a bystander.
const PERIOD: Duration = Duration::from_millis(5);
/// Four of five messages must be faster than that, and so many must come through. This is far more than
/// the daemon promises, as these tests run in a debug build and beside others; what it promises is
/// measured by `tests/attack/run`. An attack that works stops all messages while it lasts.
const LONG: Duration = Duration::from_millis(150);
const FEWEST: usize = 10;
/// How often it is looked at most whether messages are on their way for long, and how long each time.
const LOOKS: usize = 5;
const ATTACK: Duration = Duration::from_millis(1500);

/// A publisher and a subscriber of a token of their own.
pub(crate) struct Bystander {
    publisher: TcpStream,
    stream: Stream,
}

impl Bystander {
    pub(crate) fn of(daemon: &Daemon) -> Self {
        let publisher = TcpStream::connect(daemon.control).unwrap();
        publisher.set_nodelay(true).unwrap();
        let stream = daemon.subscribe("subscribe=bystander");
        Self { publisher, stream }
    }

    /// Publishes a message and waits for it; how long that took.
    fn delay(&mut self) -> Duration {
        let began = Instant::now();
        self.publisher.write_all(b"bystander=x\n").unwrap();
        self.stream.data();
        began.elapsed()
    }

    /// Lets an attack go on for a while, and fails when a message is on its way for long meanwhile.
    /// `attack` is called again and again until then. Whatever else the machine does only adds to the delays,
    /// so it is looked at several times whether they are long.
    pub(crate) fn withstands(mut self, attack: impl FnMut() + Send + 'static) {
        let attack = Attack::begin(attack);
        let mut looks: Vec<Vec<Duration>> = Vec::new();
        while looks.len() < LOOKS && looks.last().is_none_or(|delays| is_harm(delays)) {
            looks.push(self.look());
        }
        attack.end();
        let harmed = looks.iter().all(|delays| is_harm(delays));
        assert!(!harmed, "so long messages were on their way: {looks:?}");
    }

    /// How long messages are on their way, for a while; sorted.
    fn look(&mut self) -> Vec<Duration> {
        let (mut delays, began) = (Vec::new(), Instant::now());
        while began.elapsed() < ATTACK {
            delays.push(self.delay());
            std::thread::sleep(PERIOD);
        }
        delays.sort();
        delays
    }
}

fn is_harm(delays: &[Duration]) -> bool {
    delays.len() < FEWEST || delays[delays.len() * 4 / 5] > LONG
}

/// An attack that goes on in a thread of its own.
struct Attack {
    over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Attack {
    fn begin(mut attack: impl FnMut() + Send + 'static) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let thread = spawn(move || {
            while !told.load(Ordering::Relaxed) {
                attack();
            }
        });
        Self { over, thread }
    }

    fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}
