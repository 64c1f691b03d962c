//! A stream that is watched: what arrives, and when.

use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::http::{Answer, Event, Events, Socket};

use super::look::is_time_out;

/// The longest silence that is waited for.
const LONGEST: Duration = Duration::from_secs(600);

/// Something that happened on a stream.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// Bytes came.
    Bytes,
    /// A whole event or position block.
    Event(Event),
    /// The body ended as its framing says.
    End,
    /// The connection broke off.
    Broken(io::Error),
}

/// A stream, read by a thread of its own until it ends or the doctor is done.
pub(crate) struct Stream {
    arrivals: Receiver<(Instant, Arrival)>,
    closer: Option<TcpStream>,
    /// The id that a browser would come back with.
    pub(crate) last_event_id: Option<String>,
    /// When something came last.
    pub(crate) last: Instant,
}

impl Stream {
    /// Reads a stream whose head has come.
    pub(crate) fn watch(answer: Answer<Socket>) -> Self {
        let (sender, arrivals) = mpsc::channel();
        let closer = answer.socket().closer();
        thread::spawn(move || read(answer, &sender));
        Self {
            arrivals,
            closer,
            last_event_id: None,
            last: Instant::now(),
        }
    }

    /// The next arrival until `deadline`.
    pub(crate) fn next(&mut self, deadline: Instant) -> Option<(Instant, Arrival)> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.arrivals.recv_timeout(left) {
            Ok((at, arrival)) => {
                self.last = at;
                if let Arrival::Event(Event { id: Some(id), .. }) = &arrival {
                    self.last_event_id = Some(id.clone());
                }
                Some((at, arrival))
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }

    /// Waits for an event that `wanted` takes, until `deadline`, or for the end.
    pub(crate) fn find(
        &mut self,
        deadline: Instant,
        wanted: impl Fn(&Event) -> bool,
    ) -> Result<(Instant, Event), Missed> {
        while let Some((at, arrival)) = self.next(deadline) {
            match arrival {
                Arrival::Event(event) if wanted(&event) => return Ok((at, event)),
                Arrival::Event(_) | Arrival::Bytes => {}
                Arrival::End => return Err(Missed::End),
                Arrival::Broken(error) => return Err(Missed::Broken(error)),
            }
        }
        Err(Missed::Late)
    }
}

impl Drop for Stream {
    /// Ends the connection, and with it the thread.
    fn drop(&mut self) {
        if let Some(closer) = &self.closer {
            // Fails only if the connection has ended.
            let _ = closer.shutdown(Shutdown::Both);
        }
    }
}

/// Why something did not arrive.
#[derive(Debug)]
pub(crate) enum Missed {
    /// The time was over.
    Late,
    /// The stream had ended.
    End,
    /// The connection had broken off.
    Broken(io::Error),
}

/// Ends when nobody listens any more.
fn read(mut answer: Answer<Socket>, arrivals: &Sender<(Instant, Arrival)>) {
    // Cannot fail: the time is not zero.
    let _ = answer.socket().set_read_timeout(LONGEST);
    let mut events = Events::default();
    let mut piece = [0; 16 * 1024];
    loop {
        let arrival = match answer.read(&mut piece) {
            Ok(0) if answer.ended_well() => Arrival::End,
            Ok(0) => Arrival::Broken(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => {
                let at = Instant::now();
                if arrivals.send((at, Arrival::Bytes)).is_err() {
                    return;
                }
                for event in events.push(&piece[..length]) {
                    if arrivals.send((at, Arrival::Event(event))).is_err() {
                        return;
                    }
                }
                continue;
            }
            Err(error) if is_time_out(&error) => continue,
            Err(error) => Arrival::Broken(error),
        };
        let _nobody = arrivals.send((Instant::now(), arrival));
        return;
    }
}
