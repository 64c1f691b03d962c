//! The front that the rest of the program logs through: the `log` macros, a `fern` chain behind
//! them, and the logger's mailbox at its end.

use std::panic;

use log::{Level, LevelFilter, Metadata};

use super::{Handle, recent};
use crate::model::LogLevel;
use crate::runtime::supervisor::panic_text;

/// Sets how much is logged, from now on.
pub fn set_level(level: LogLevel) {
    log::set_max_level(match level {
        LogLevel::Quiet => LevelFilter::Error,
        LogLevel::Normal => LevelFilter::Info,
        LogLevel::Debug => LevelFilter::Debug,
    });
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
            let text = record.args().to_string();
            if record.level() <= Level::Warn {
                let level = match record.level() {
                    Level::Error => "error",
                    _ => "warning",
                };
                let prefix = prefix(record.metadata());
                recent::note(level, text.strip_prefix(prefix).unwrap_or(&text));
            }
            handle.try_send(text);
        }))
}

/// Other crates have a say only when something is wrong.
fn is_wanted(record: &Metadata<'_>) -> bool {
    record.target().starts_with("hasses") || record.level() <= Level::Warn
}

fn prefix(record: &Metadata<'_>) -> &'static str {
    match record.level() {
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
        if !handle.try_send(line) {
            before(panicked);
        }
    }));
}
