//! Publishers that write without end, whatever happens to the daemon, and keep account.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::support::PATIENCE;
use super::topic::Target;

/// One event, as its publisher knows it.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) target: Target,
    /// Its id, and when the publisher learnt it; none if the daemon ended before its answer.
    pub(crate) answer: Option<(u64, Instant)>,
}

/// The publishers at work.
pub(crate) struct Publishers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Sent>>>,
}

impl Publishers {
    /// Starts `count` publishers with at most `rate` events a second each. The data of an event
    /// is `PUBLISHER:NUMBER:PADDING`.
    pub(crate) fn start(control: SocketAddr, count: usize, rate: u32, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..count).map(|publisher| {
            let stop = Arc::clone(&stop);
            let random = fastrand::Rng::with_seed(seed ^ (publisher as u64 + 1) << 32);
            thread::spawn(move || work(control, publisher, rate, random, &stop))
        });
        Self {
            threads: threads.collect(),
            stop,
        }
    }

    /// Stops them; gives what each sent, in its order.
    pub(crate) fn stop(self) -> Vec<Vec<Sent>> {
        self.stop.store(true, Ordering::Relaxed);
        let threads = self.threads.into_iter();
        threads.map(|thread| thread.join().unwrap()).collect()
    }
}

fn work(
    control: SocketAddr,
    publisher: usize,
    rate: u32,
    mut random: fastrand::Rng,
    stop: &AtomicBool,
) -> Vec<Sent> {
    let mut sent = Vec::new();
    let mut connection = None;
    let mut due = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        due += Duration::from_secs(1) / rate;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if connection.is_none() {
            connection = connect(control).ok();
        }
        let Some(open) = &mut connection else {
            due = Instant::now();
            continue;
        };
        let target = Target::random(&mut random);
        let padding = match random.u8(..20) {
            0 => 20_000,
            _ => random.usize(..500),
        };
        let data = format!("{publisher}:{}:{}", sent.len(), "x".repeat(padding));
        let answer = publish(open, &target.line(&data));
        if answer.is_err() {
            connection = None;
        }
        let answer = answer.ok().map(|id| (id, Instant::now()));
        sent.push(Sent { target, answer });
    }
    sent
}

fn connect(control: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let socket = TcpStream::connect(control)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(socket))
}

/// Publishes one line and gives its event's id; an error when the daemon has gone.
fn publish(connection: &mut BufReader<TcpStream>, line: &str) -> io::Result<u64> {
    connection.get_mut().write_all(line.as_bytes())?;
    let mut answer = String::new();
    if let Err(error) = connection.read_line(&mut answer) {
        assert_ne!(error.kind(), io::ErrorKind::WouldBlock, "no answer in time");
        return Err(error);
    }
    if !answer.ends_with('\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    Ok(answer["id"].as_u64().unwrap_or_else(|| panic!("{answer}")))
}
