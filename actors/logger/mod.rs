//! The logger: takes lines from everywhere without making anyone wait, and writes them in order.
//!
//! Records of the `log` macros are offered to its mailbox ([`front`]); what does not fit is dropped
//! and counted. The actor gathers what waits and writes it at once, on a thread made for waiting, so
//! that a slow disk, a full one or a pipe that nobody reads never holds the loop. Lines that could
//! not be written are counted too, and as soon as writing works again the log says how many were
//! lost, and why.
//!
//! A line is `YYYY-MM-DD HH:MM:SS hasses: TEXT`, in local time, the time being that of the record.
//! Whatever the text holds, it stays one line ([`escape`]).

mod front;
mod limited;
mod output;
pub mod recent;
#[cfg(test)]
mod tests;

use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_io::Timer;
use chrono::{DateTime, Local};
use futures_lite::FutureExt;

use self::output::Output;
use crate::config::LogTarget;
use crate::model::LogLevel;
use crate::runtime::{self, Address, CancellationToken, Failure, Mailbox};
use crate::wire::escape::escape;

pub use self::front::{install_panic_hook, set_level};
pub use self::limited::{A_SECOND, at_most, refused, tell, tell_withheld};

/// How many lines may wait to be written.
const WAITING: usize = 4096;
/// Bytes after which a batch is written even if more lines wait.
const BATCH: usize = 1 << 20;
/// How long an output that refused is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// What the logger is told.
#[derive(Debug)]
pub enum Message {
    /// Write this.
    Line {
        /// When it happened.
        at: SystemTime,
        /// The text, without a line end.
        text: String,
    },
    /// Write these, the answer to a command, whatever the level is.
    Answer {
        /// When it was given.
        at: SystemTime,
        /// Its lines. They are one message, so the list of very many clients is not cut.
        lines: Vec<String>,
    },
    /// Open the log file anew, as it may have been moved away; nothing for stderr and stdout.
    Reopen,
}

/// The others' side of the logger; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    address: Address<Message>,
    /// How many messages may wait. The mailbox itself has no bound: one that had would hold the room
    /// for all of them from the start, a quarter of a megabyte that is hardly ever needed.
    bound: usize,
    // Records come from other threads too.
    dropped: Arc<AtomicU64>,
}

impl Handle {
    /// Where to send messages with waiting.
    pub fn address(&self) -> Address<Message> {
        self.address.clone()
    }

    /// How many lines were dropped so far, for want of room or because they could not be written.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Logs the answer to a command; it is dropped and counted when there is no room for it now.
    pub fn answer(&self, lines: Vec<String>) {
        let (at, count) = (SystemTime::now(), lines.len());
        self.put(Message::Answer { at, lines }, count);
    }

    /// Hands a line over if there is room for it now; else counts it and gives `false`.
    fn try_send(&self, text: String) -> bool {
        let at = SystemTime::now();
        self.put(Message::Line { at, text }, 1)
    }

    fn put(&self, message: Message, lines: usize) -> bool {
        let taken = self.address.depth() < self.bound && self.address.try_send(message).is_ok();
        if !taken {
            self.dropped.fetch_add(lines as u64, Relaxed);
        }
        taken
    }
}

/// The logger itself.
pub struct Logger {
    mailbox: Mailbox<Message>,
    target: LogTarget,
    output: Output,
    pause: Duration,
    stamp: Stamp,
    dropped: Arc<AtomicU64>,
    /// How many of the dropped lines the log has owned up to.
    reported: u64,
    /// What the output last refused with, until the log has said so.
    reason: Option<String>,
    /// Whether the last byte written is within a line.
    torn: bool,
    /// The logger's own lines, to go first in the next batch.
    own: Vec<u8>,
}

/// Opens the target and puts a logger behind the `log` macros, once per process. Lines wait until
/// [`Logger::run`]; no thread is made here, so the process may still fork.
///
/// # Errors
/// The log file cannot be opened (the text names it), or a logger is installed already.
pub fn install(target: &LogTarget, level: LogLevel) -> io::Result<(Handle, Logger)> {
    let (handle, logger) = logger(target, WAITING)?;
    front::chain(handle.clone())
        .apply()
        .map_err(io::Error::other)?;
    set_level(level);
    Ok((handle, logger))
}

pub(crate) fn logger(target: &LogTarget, bound: usize) -> io::Result<(Handle, Logger)> {
    let output = Output::open(target)?;
    let (address, mailbox) = runtime::unbounded();
    let dropped = Arc::default();
    let handle = Handle {
        address,
        bound,
        dropped: Arc::clone(&dropped),
    };
    let logger = Logger {
        mailbox,
        target: target.clone(),
        output,
        pause: PAUSE,
        stamp: Stamp::default(),
        dropped,
        reported: 0,
        reason: None,
        torn: false,
        own: Vec::new(),
    };
    Ok((handle, logger))
}

/// Lines taken from the mailbox.
struct Gathered {
    lines: Vec<u8>,
    /// Whether the file is to be reopened after them.
    reopen: bool,
}

impl Logger {
    /// Writes until it is told to stop; then writes what waits and returns.
    ///
    /// # Errors
    /// None: an output that fails is tried again.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Failure> {
        loop {
            let mut first = None;
            if self.owed() == 0 && self.own.is_empty() {
                let stopped = stop.cancelled_then(None);
                // A line that waits comes before the stop.
                first = self.mailbox.next().or(stopped).await;
                if first.is_none() {
                    return Ok(());
                }
            }
            // Asked before looking: what is sent before a stop is never left behind.
            let stopping = stop.is_cancelled();
            let Gathered { lines, reopen } = self.gather(first);
            let done = stopping && lines.is_empty() && !reopen;
            let written = self.write(lines).await;
            if reopen {
                self.reopen().await;
            } else if !written {
                if done {
                    return Ok(());
                }
                let pause = async {
                    Timer::after(self.pause).await;
                };
                pause.or(stop.cancelled()).await;
            }
        }
    }

    /// How many dropped lines the log has still to own up to.
    fn owed(&self) -> u64 {
        self.dropped.load(Relaxed) - self.reported
    }

    /// Takes what waits, up to a batch or to a [`Message::Reopen`].
    fn gather(&mut self, first: Option<Message>) -> Gathered {
        let mut lines = mem::take(&mut self.own);
        let mut next = first.or_else(|| self.mailbox.try_recv());
        while let Some(message) = next {
            match message {
                Message::Line { at, text } => self.stamp.line(at, &text, &mut lines),
                Message::Answer { at, lines: answer } => {
                    for text in answer {
                        self.stamp.line(at, &text, &mut lines);
                    }
                }
                Message::Reopen => {
                    return Gathered {
                        lines,
                        reopen: true,
                    };
                }
            }
            next = if lines.len() < BATCH {
                self.mailbox.try_recv()
            } else {
                None
            };
        }
        Gathered {
            lines,
            reopen: false,
        }
    }

    /// Writes a batch, headed by what the log has to own up to. Counts what could not be written and
    /// gives `false` then.
    async fn write(&mut self, lines: Vec<u8>) -> bool {
        let owed = self.owed();
        let head = self.head(owed);
        let (head, bytes) = (
            head.len(),
            if head.is_empty() {
                lines
            } else {
                [head, lines].concat()
            },
        );
        let output = self.output.clone();
        let (bytes, written, outcome) = smol::unblock(move || {
            let (written, outcome) = output.write(&bytes);
            (bytes, written, outcome)
        })
        .await;
        if let Some(last) = bytes[..written].last() {
            self.torn = *last != b'\n';
        }
        if written >= head {
            self.reported += owed;
            self.reason = None;
        }
        let Err(error) = outcome else { return true };
        self.reason = Some(error.to_string());
        let rest = &bytes[written.max(head)..];
        let lost = rest.iter().filter(|byte| **byte == b'\n').count();
        self.dropped.fetch_add(lost as u64, Relaxed);
        false
    }

    /// What stands before a batch: the end of a line that was cut, and the number of those lost.
    fn head(&mut self, owed: u64) -> Vec<u8> {
        let mut head = Vec::new();
        if self.torn {
            head.push(b'\n');
        }
        if owed > 0 {
            let lines = if owed == 1 {
                "log line was"
            } else {
                "log lines were"
            };
            let reason = self.reason.as_deref();
            let reason = reason.unwrap_or("they came faster than they could be written");
            let text = format!("{owed} {lines} lost: {reason}");
            self.stamp.line(SystemTime::now(), &text, &mut head);
        }
        head
    }

    async fn reopen(&mut self) {
        if !matches!(self.target, LogTarget::File(_)) {
            return;
        }
        let target = self.target.clone();
        let text = match smol::unblock(move || Output::open(&target)).await {
            Ok(output) => {
                let old = mem::replace(&mut self.output, output);
                // Closing may wait for a disk as well.
                smol::unblock(move || drop(old)).detach();
                if !log::log_enabled!(log::Level::Info) {
                    return;
                }
                "log reopened".to_string()
            }
            Err(error) => format!("error: {error}; the log goes on in the file that was open"),
        };
        self.stamp.line(SystemTime::now(), &text, &mut self.own);
    }
}

/// Formats lines, and the time only once a second.
#[derive(Default)]
struct Stamp {
    second: Option<u64>,
    text: String,
}

impl Stamp {
    fn line(&mut self, at: SystemTime, text: &str, lines: &mut Vec<u8>) {
        let second = at
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        if self.second != Some(second) {
            let time = DateTime::<Local>::from(at);
            self.text = time.format("%Y-%m-%d %H:%M:%S hasses: ").to_string();
            self.second = Some(second);
        }
        lines.extend_from_slice(self.text.as_bytes());
        lines.extend_from_slice(escape(text).as_bytes());
        lines.push(b'\n');
    }
}
