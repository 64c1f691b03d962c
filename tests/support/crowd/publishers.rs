//! Publishers that write without end, whatever happens to the daemons, and keep account.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::topic::Target;
use crate::PATIENCE;

/// One event, as its publisher knows it.
#[derive(Debug)]
pub struct Sent {
    pub target: Target,
    pub outcome: Outcome,
    /// Whether it was sent again with its key, and the answer was that of the first time.
    pub repeated: bool,
}

/// What its publisher was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is on its way, with this id; and when the publisher learnt that.
    Acknowledged { id: u64, at: Instant },
    /// It was not taken in, as far as the daemon knew.
    Refused,
    /// The daemon ended before its answer.
    Unknown,
}

impl Sent {
    /// Its id, and when the publisher learnt it.
    pub fn answer(&self) -> Option<(u64, Instant)> {
        match self.outcome {
            Outcome::Acknowledged { id, at } => Some((id, at)),
            Outcome::Refused | Outcome::Unknown => None,
        }
    }
}

/// How many bytes are added to an event's data.
pub type Padding = fn(&mut fastrand::Rng) -> usize;

/// The publishers at work.
pub struct Publishers {
    stop: Arc<AtomicBool>,
    paused: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Sent>>>,
}

impl Publishers {
    /// Starts one publisher for each address, with at most `rate` events a second each. The data of
    /// an event is `PUBLISHER:NUMBER:PADDING`. A tenth of the events have a key and are sent twice, or again
    /// where the daemon ended before its answer.
    pub fn start(controls: &[SocketAddr], rate: u32, seed: u64, padding: Padding) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let paused = Arc::new(AtomicBool::new(false));
        let threads = controls.iter().enumerate().map(|(number, control)| {
            let (stop, paused) = (Arc::clone(&stop), Arc::clone(&paused));
            let publisher = Publisher {
                number,
                control: *control,
                rate,
                random: fastrand::Rng::with_seed(seed ^ (number as u64 + 1) << 32),
                padding,
            };
            thread::spawn(move || publisher.work(&stop, &paused))
        });
        Self {
            threads: threads.collect(),
            stop,
            paused,
        }
    }

    /// Until they go on, no message goes to a daemon that is started from now on.
    pub fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::SeqCst);
    }

    /// Stops them; gives what each sent, in its order.
    pub fn stop(self) -> Vec<Vec<Sent>> {
        self.stop.store(true, Ordering::Relaxed);
        let threads = self.threads.into_iter();
        threads.map(|thread| thread.join().unwrap()).collect()
    }
}

/// One of them.
struct Publisher {
    number: usize,
    control: SocketAddr,
    rate: u32,
    random: fastrand::Rng,
    padding: Padding,
}

impl Publisher {
    fn work(mut self, stop: &AtomicBool, paused: &AtomicBool) -> Vec<Sent> {
        let mut sent: Vec<Sent> = Vec::new();
        let mut connection = None;
        let mut due = Instant::now();
        // The last one, if it is to be sent again.
        let mut again: Option<String> = None;
        while !stop.load(Ordering::Relaxed) {
            due += Duration::from_secs(1) / self.rate;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if connection.is_none() {
                connection = connect(self.control).ok();
            }
            let Some(open) = &mut connection else {
                due = Instant::now();
                continue;
            };
            while paused.load(Ordering::SeqCst) && !stop.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(5));
            }
            if let Some(line) = again.take() {
                let last = sent.last_mut().expect("it was sent before");
                if !last.send_again(open, &line) {
                    connection = None;
                }
                continue;
            }
            let target = Target::random(&mut self.random);
            let padding = "x".repeat((self.padding)(&mut self.random));
            let data = format!("{}:{}:{padding}", self.number, sent.len());
            let key =
                (self.random.u8(..10) == 0).then(|| format!("{}:{}", self.number, sent.len()));
            let line = target.line(&data, key.as_deref());
            let (outcome, repeated) = publish(open, &line).unwrap_or((Outcome::Unknown, false));
            assert!(!repeated, "it was not sent before: {line}");
            if outcome == Outcome::Unknown {
                connection = None;
            }
            sent.push(Sent {
                target,
                outcome,
                repeated,
            });
            again = key.map(|_| line);
        }
        sent
    }
}

impl Sent {
    /// Sends it once more; false when the daemon has gone. One that was acknowledged has the same id.
    fn send_again(&mut self, connection: &mut BufReader<TcpStream>, line: &str) -> bool {
        let Ok((outcome, repeated)) = publish(connection, line) else {
            return false;
        };
        match (self.answer(), outcome) {
            // Of the time before a crash not everything is known.
            (None, _) => self.outcome = outcome,
            (Some((first, _)), Outcome::Acknowledged { id, .. }) if repeated => {
                assert_eq!(first, id, "{line}");
                self.repeated = true;
            }
            (Some(_), Outcome::Acknowledged { .. }) => panic!("taken in twice: {line}"),
            (Some(_), _) => {}
        }
        true
    }
}

fn connect(control: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let socket = TcpStream::connect(control)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(socket))
}

/// Publishes one line and gives what was answered, and whether that was the answer of a time before; an error
/// when the daemon has gone.
fn publish(connection: &mut BufReader<TcpStream>, line: &str) -> io::Result<(Outcome, bool)> {
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
        return Ok((Outcome::Refused, false));
    }
    let id = answer["id"].as_u64().unwrap_or_else(|| panic!("{answer}"));
    let at = Instant::now();
    let repeated = answer["repeated"] == true;
    Ok((Outcome::Acknowledged { id, at }, repeated))
}
