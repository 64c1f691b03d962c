//! `--history-file`: what survives a restart, a crash, a damaged file and a full disk.
mod damage;
mod restart;
mod space;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use support::stream::Start;
use support::{Daemon, Stream, publish};

const FILE: &str = "--history-file {dir}/kept/history";

/// A daemon whose history file lies in a directory of its own, `kept`.
fn start(options: &str) -> Daemon {
    let arguments =
        format!("--listen 127.0.0.1:{{listen}} --control 127.0.0.1:{{control}} {FILE} {options}");
    Daemon::prepared(&arguments, |preparation| {
        fs::create_dir_all(preparation.dir.join("kept")).unwrap();
    })
}

fn resume(daemon: &Daemon, last: u64) -> Start {
    Stream::resume(daemon.listen, "subscribe=a", last)
}

fn position(daemon: &Daemon) -> u64 {
    Stream::starting(daemon.listen, "subscribe=a", "").position
}

/// Publishes `a=NUMBER` for each number of the range and returns the ids.
fn publish_numbers(daemon: &Daemon, numbers: std::ops::Range<usize>) -> Vec<u64> {
    let line = |number| format!(r#"{{"to":"a","data":"{number}"}}"#);
    publish::json_lines(daemon.control, numbers.map(line))
}

/// The ids of the events before the position.
fn ids(start: &Start) -> Vec<u64> {
    start.events.iter().map(|event| event.id.unwrap()).collect()
}

/// The files of the history, each with the bytes it takes on the disk.
fn files(daemon: &Daemon) -> HashMap<PathBuf, u64> {
    fs::read_dir(daemon.file("kept"))
        .unwrap()
        .map(|entry| entry.unwrap())
        // One may be replaced while we look.
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?.blocks() * 512)))
        .collect()
}
