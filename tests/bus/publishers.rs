//! Publishers on several nodes that write without end, whatever happens, and keep account.

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
    pub(crate) outcome: Outcome,
}

/// What its publisher was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is on its way, with this id.
    Acknowledged(u64),
    /// It was not taken in, as far as the node knew.
    Refused,
    /// The node died.
    Unknown,
}

/// The publishers at work.
pub(crate) struct Publishers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Sent>>>,
}

impl Publishers {
    /// Starts one for each address, with at most `rate` events a second. The data of an event is
    /// `PUBLISHER:NUMBER:`.
    pub(crate) fn start(controls: &[SocketAddr], rate: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = controls.iter().enumerate().map(|(publisher, control)| {
            let (stop, control) = (Arc::clone(&stop), *control);
            let random = fastrand::Rng::with_seed(publisher as u64);
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
        let line = target.line(&format!("{publisher}:{}:", sent.len()));
        let outcome = publish(open, &line).unwrap_or(Outcome::Unknown);
        if outcome == Outcome::Unknown {
            connection = None;
        }
        sent.push(Sent { target, outcome });
    }
    sent
}

fn connect(control: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let socket = TcpStream::connect(control)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(socket))
}

fn publish(connection: &mut BufReader<TcpStream>, line: &str) -> io::Result<Outcome> {
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
    if answer["error"].is_string() {
        return Ok(Outcome::Refused);
    }
    let id = answer["id"].as_u64().unwrap_or_else(|| panic!("{answer}"));
    Ok(Outcome::Acknowledged(id))
}
