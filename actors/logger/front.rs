//! The front that the rest of the program logs through: the `log` macros, a `fern` chain behind
//! them, and the logger's mailbox at its end.

use std::panic;

use log::{Level, LevelFilter, Metadata};

use super::{Handle, LogLevel};
use crate::supervisor::panic_text;

/// The target of records that answer a command: written at every level setting, as they are.
pub const ANSWER: &str = "answer";

/// Logs one line of the answer to a command.
///
/// It is dropped and counted when the mailbox is full; an answer of very many lines is sent, with
/// waiting, to [`Handle::address`].
pub fn answer(line: &str) {
    // The level that no setting stops.
    log::error!(target: ANSWER, "{line}");
}

/// Sets how much is logged, from now on.
pub fn set_level(level: LogLevel) {
    log::set_max_level(match level {
        LogLevel::Quiet => LevelFilter::Error,
        LogLevel::Normal => LevelFilter::Info,
        LogLevel::Debug => LevelFilter::Debug,
    });
}

/// How much is logged now.
pub fn level() -> LogLevel {
    match log::max_level() {
        LevelFilter::Off | LevelFilter::Error => LogLevel::Quiet,
        LevelFilter::Warn | LevelFilter::Info => LogLevel::Normal,
        LevelFilter::Debug | LevelFilter::Trace => LogLevel::Debug,
    }
}

/// The chain from a record to the mailbox. The level set at run time stands before it, in `log`.
pub(super) fn chain(handle: Handle) -> fern::Dispatch {
    fern::Dispatch::new()
        .level(LevelFilter::Debug)
        .filter(is_wanted)
        .format(|out, message, record| {
            out.finish(format_args!("{}{message}", prefix(record.metadata())))
        })
        .chain(fern::Output::call(move |record| {
            handle.offer(record.args().to_string());
        }))
}

/// Other crates have a say only when something is wrong.
fn is_wanted(record: &Metadata<'_>) -> bool {
    let ours = record.target().starts_with("hasses") || record.target() == ANSWER;
    ours || record.level() <= Level::Warn
}

fn prefix(record: &Metadata<'_>) -> &'static str {
    match record.level() {
        _ if record.target() == ANSWER => "",
        Level::Error => "error: ",
        Level::Warn => "warning: ",
        Level::Info | Level::Debug | Level::Trace => "",
    }
}

/// From now on a panic is one line of the log, with its place. Where the logger cannot take it (it
/// has ended, or its mailbox is full) the panic is told as it was before, on stderr.
pub fn install_panic_hook(handle: Handle) {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panicked| {
        let text = panic_text(panicked.payload());
        let line = match panicked.location() {
            Some(place) => format!("error: panicked at {place}: {text}"),
            None => format!("error: panicked: {text}"),
        };
        if !handle.offer(line) {
            before(panicked);
        }
    }));
}
