//! `--history-file`: what survives a restart, a crash, a damaged file and a full disk.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use support::stream::Start;
use support::{Connection, Daemon, Stream, publish, run};

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

/// The file that holds most.
fn main_file(daemon: &Daemon) -> PathBuf {
    let files = files(daemon);
    files.into_iter().max_by_key(|file| file.1).unwrap().0
}

#[test]
fn a_clean_restart_is_no_gap() {
    let mut daemon = start("--allow-all");
    let queries = ["subscribe=a&id=7", "subscribe=b-c&id=8", "subscribe=*"];
    let mut live: Vec<Start> = queries
        .iter()
        .map(|query| Stream::starting(daemon.listen, query, ""))
        .collect();
    let before = live[0].position;
    publish::http(daemon.control, "a?event=news", "line\nline\r\n é \u{0}");
    publish::http(daemon.control, "c?except=8", "spared");
    publish::http(daemon.control, "a?retain=false", "not kept");
    let list = r#"{"to":["a","b","pre*"],"data":"list","except":"7"}"#;
    publish::json_lines(daemon.control, [list.to_owned()]);
    publish::tcp(daemon.control, "b=\n*-8=all\n");
    let last = publish::http(daemon.control, "*", "end").0;
    let mut seen: Vec<Vec<String>> = Vec::new();
    for live in &mut live {
        let mut raw = Vec::new();
        while raw.last().is_none_or(|raw: &String| !raw.contains("end")) {
            raw.push(live.stream.event().raw);
        }
        raw.retain(|raw| !raw.contains("not kept"));
        seen.push(raw);
    }
    for round in 0..3 {
        daemon.stop();
        daemon.start_again();
        for (query, seen) in queries.iter().zip(&seen) {
            let start = Stream::resume(daemon.listen, query, before);
            assert_eq!(start.gap, None, "round {round}, {query}");
            let raw: Vec<&str> = start.events.iter().map(|event| &*event.raw).collect();
            assert_eq!(raw, *seen, "round {round}, {query}");
        }
        let quiet = resume(&daemon, last);
        assert_eq!((&quiet.gap, quiet.events.len()), (&None, 0));
        // A position taken just after a start, when nothing new has come, is accepted later too.
        assert!(quiet.position >= last);
        let again = resume(&daemon, quiet.position);
        assert_eq!((again.gap, again.events.len()), (None, 0));
    }
    let recent = Stream::starting(daemon.listen, "subscribe=b&recent=1", "");
    assert_eq!(recent.data(), ["end"]);
    let new = publish_numbers(&daemon, 0..1)[0];
    assert!(new > last, "ids grow");
    assert_eq!(ids(&resume(&daemon, last)), [new]);
}

#[test]
fn a_position_of_a_clean_run_is_no_gap_after_it() {
    let mut daemon = start("");
    let mut positions = vec![position(&daemon)];
    for _ in 0..3 {
        daemon.stop();
        daemon.start_again();
        positions.push(position(&daemon));
    }
    assert!(positions.is_sorted(), "{positions:?}");
    let published = publish_numbers(&daemon, 0..2);
    for position in positions {
        let start = resume(&daemon, position);
        assert_eq!(start.gap, None, "{position}");
        assert_eq!(ids(&start), published);
    }
}

/// Publishes one event after the other; each id with the time at which it was acknowledged.
fn publish_for(daemon: &Daemon, time: Duration) -> Vec<(u64, Instant)> {
    let mut publisher = Connection::to(daemon.control);
    let mut given = Vec::new();
    let began = Instant::now();
    while began.elapsed() < time {
        publisher.send(b"{\"to\":\"a\",\"data\":\"x\",\"ack\":true}\n");
        let answer: serde_json::Value = serde_json::from_str(&publisher.line()).unwrap();
        given.push((answer["id"].as_u64().unwrap(), Instant::now()));
    }
    given
}

#[test]
fn after_a_crash_every_earlier_id_gets_a_gap_and_what_survived() {
    let mut daemon = start("--history 1000000");
    let before = position(&daemon);
    // What the file must hold.
    let mut kept: Vec<u64> = Vec::new();
    for crash in 0..3 {
        let newest = kept.last().copied().unwrap_or(before);
        let given = publish_for(&daemon, Duration::from_millis(2500));
        daemon.crash();
        let end = Instant::now();
        let safe = given
            .iter()
            .filter(|event| end - event.1 > Duration::from_secs(1));
        let safe = safe.count();
        let given: Vec<u64> = given.iter().map(|event| event.0).collect();
        let last = *given.last().unwrap();
        assert!(given[0] > newest, "crash {crash}: an id was given twice");

        daemon.start_again();
        let survived = ids(&resume(&daemon, newest));
        assert_eq!(survived, given[..survived.len()], "the first, in order");
        assert!(
            survived.len() >= safe,
            "crash {crash}: {} survived of {safe} older than a second, {} in all",
            survived.len(),
            given.len()
        );
        kept.extend(&survived);
        // Every id of before gets it, also the newest that anybody saw.
        for after in [before, newest, given[0], last] {
            let start = resume(&daemon, after);
            let wanted = format!(r#"{{"after":{after},"oldest":{}}}"#, kept[0]);
            assert_eq!(start.gap_data(), wanted, "crash {crash}");
            let newer: Vec<u64> = kept.iter().copied().filter(|id| *id > after).collect();
            assert_eq!(ids(&start), newer, "crash {crash}");
        }
        // The position of the new run is none of them.
        let position = position(&daemon);
        assert!(position > last, "crash {crash}: {position} after {last}");
        assert_eq!(resume(&daemon, position).gap, None);
        let next = publish_numbers(&daemon, 0..1)[0];
        assert!(next > position, "crash {crash}: {next} after {position}");
        assert_eq!(ids(&resume(&daemon, position)), [next]);
        kept.push(next);
    }
    // What was lost stays told after a clean restart.
    daemon.stop();
    daemon.start_again();
    assert!(resume(&daemon, before).gap.is_some());
    let start = resume(&daemon, *kept.last().unwrap());
    assert_eq!((start.gap, start.events.len()), (None, 0));
}

/// Publishes `count` events, ends the daemon and lets `damage` have the history's main file.
fn damaged(count: usize, damage: impl Fn(&Path)) -> (Daemon, u64, Vec<u64>) {
    let mut daemon = start("");
    let before = position(&daemon);
    let published = publish_numbers(&daemon, 0..count);
    daemon.stop();
    damage(&main_file(&daemon));
    daemon.start_again();
    (daemon, before, published)
}

/// Nothing false is replayed, and new events are kept as ever.
fn check_after_damage(mut daemon: Daemon, before: u64, published: &[u64]) -> usize {
    let start = resume(&daemon, before);
    let survived = start.events.len();
    for event in &start.events {
        let number: usize = event.data.as_ref().unwrap().parse().unwrap();
        assert_eq!(event.id, Some(published[number]));
    }
    assert!(
        survived == published.len() || start.gap.is_some(),
        "{survived} of {} survived, and no gap",
        published.len()
    );
    assert!(
        start.position >= *published.last().unwrap(),
        "ids never go back"
    );
    let new = publish_numbers(&daemon, 0..5);
    assert!(new[0] > *published.last().unwrap());
    daemon.stop();
    daemon.start_again();
    let again = resume(&daemon, start.position);
    assert_eq!((again.gap.as_ref(), ids(&again)), (None, new));
    survived
}

#[test]
fn a_torn_tail_is_cut_and_reported() {
    for cut in [1, 7, 100] {
        let (daemon, before, published) = damaged(500, |file| {
            let file = fs::OpenOptions::new().write(true).open(file).unwrap();
            let length = file.metadata().unwrap().len();
            file.set_len(length - cut).unwrap();
        });
        let line = daemon.wait_for_log("history");
        assert!(!line.is_empty());
        let survived = check_after_damage(daemon, before, &published);
        assert!(survived >= 400, "{survived} of 500 after {cut} bytes");
    }
}

#[test]
fn a_damaged_file_is_set_aside() {
    let garbage = "This is no history. ".repeat(1000);
    let damages: [&dyn Fn(&Path); 3] = [
        &|file| fs::write(file, &garbage).unwrap(),
        &|file| {
            let file = fs::OpenOptions::new().write(true).open(file).unwrap();
            file.write_all_at(&[0; 64], 0).unwrap();
        },
        &|file| fs::write(file, [0; 4096]).unwrap(),
    ];
    for (number, damage) in damages.iter().enumerate() {
        let damaged_text = RefCell::default();
        let (daemon, before, published) = damaged(100, |file| {
            damage(file);
            damaged_text.replace(fs::read(file).unwrap());
        });
        let line = daemon.wait_for_log("kept/history");
        assert!(!line.contains("panicked"), "{line}");
        let files = files(&daemon);
        let aside = |path: &&PathBuf| fs::read(path).unwrap() == *damaged_text.borrow();
        let aside = files.keys().find(aside);
        let aside = aside.unwrap_or_else(|| panic!("damage {number}: not aside: {files:?}"));
        let name = aside.file_name().unwrap().to_str().unwrap();
        daemon.wait_for_log(name);
        check_after_damage(daemon, before, &published);
    }
}

#[test]
fn a_byte_turned_over_gives_no_false_event() {
    for part in 1..8 {
        let (daemon, before, published) = damaged(300, |path| {
            let file = fs::OpenOptions::new().read(true).write(true).open(path);
            let file = file.unwrap();
            let at = file.metadata().unwrap().len() * part / 8;
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
        });
        check_after_damage(daemon, before, &published);
    }
}

#[test]
fn an_empty_file_is_a_new_one_and_a_bad_place_is_refused() {
    let daemon = Daemon::prepared(
        &format!("--listen 127.0.0.1:{{listen}} --control 127.0.0.1:{{control}} {FILE}"),
        |preparation| {
            fs::create_dir_all(preparation.dir.join("kept")).unwrap();
            preparation.write("kept/history", "");
        },
    );
    let before = position(&daemon);
    let published = publish_numbers(&daemon, 0..3);
    assert_eq!(ids(&resume(&daemon, before)), published);

    let output = std::process::Command::new(env!("CARGO_BIN_EXE_hasses"))
        .args(["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"])
        .args(["--history-file", "/nowhere/at/all"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("--history-file") && text.contains("/nowhere/at/all"));
}

#[test]
fn with_smaller_limits_the_newest_are_kept() {
    let mut daemon = start("");
    let before = position(&daemon);
    let published = publish_numbers(&daemon, 0..50);
    daemon.stop();
    daemon.start_again_with("--history 10");
    let start = resume(&daemon, before);
    assert_eq!(ids(&start), published[40..]);
    let wanted = format!(r#"{{"after":{before},"oldest":{}}}"#, published[40]);
    assert_eq!(start.gap_data(), wanted);
    assert_eq!(resume(&daemon, published[39]).gap, None);
}

#[test]
fn the_file_stays_within_twice_the_limits() {
    const LIMIT: u64 = 1_000_000;
    let mut daemon = start(&format!("--history 1000000 --history-bytes {LIMIT}"));
    let text = "x".repeat(900);
    let part = format!("a={text}\n").repeat(500);
    let mut publisher = Connection::to(daemon.control);
    let mut largest = 0;
    for _ in 0..40 {
        // The answer shows that all before it was taken in.
        publisher.send(part.as_bytes());
        publisher.send(b"tcpnumberofclients\n").line();
        largest = largest.max(files(&daemon).values().sum());
    }
    let before = position(&daemon);
    daemon.stop();
    largest = largest.max(files(&daemon).values().sum());
    assert!(largest > LIMIT / 2, "{largest} bytes: something was kept");
    assert!(largest <= 2 * LIMIT + 65536, "{largest} bytes on the disk");
    daemon.start_again();
    let start = resume(&daemon, before);
    assert_eq!((start.gap, start.events.len()), (None, 0));
    let all = Stream::starting(daemon.listen, "subscribe=a&recent=1000000", "");
    assert!(all.events.len() >= 500, "{}", all.events.len());
}

/// A file system of 2 MiB that is gone at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new(at: PathBuf) -> Self {
        let path = at.to_str().unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=2m", "hasses-test", path];
        run("mount", &mount);
        Self(at)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .args(["-l".as_ref(), self.0.as_os_str()])
            .status();
    }
}

#[test]
#[expect(
    clippy::print_stderr,
    reason = "who runs the tests should know what was left out"
)]
fn a_full_disk_stops_the_file_but_not_the_events() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("left out: only root can mount a small disk");
    }
    let mut daemon = start("");
    daemon.stop();
    let kept = daemon.file("kept");
    let _disk = SmallDisk::new(kept.clone());
    daemon.start_again_with("--history 100000");
    let mut live = daemon.subscribe("subscribe=a");
    let first = publish_numbers(&daemon, 0..10);

    // Another program takes all the space.
    let filler = kept.join("filler");
    let error = fs::write(&filler, vec![1; 4 << 20]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(28), "no space left: {error}");
    let text = "y".repeat(1000);
    let mut full = Vec::new();
    for _ in 0..500 {
        full.push(publish::http(daemon.control, "a", &text).0);
    }
    for _ in 0..10 {
        live.event();
    }
    for id in &full {
        assert_eq!(live.event().id, Some(*id), "live events go on");
    }
    let line = daemon.wait_for_log("No space left");
    assert!(line.contains("history"), "{line}");
    assert_eq!(ids(&resume(&daemon, full[0])), full[1..], "from memory");

    fs::remove_file(&filler).unwrap();
    // Three seconds with space: the file must have caught up by then.
    let began = Instant::now();
    let mut after = Vec::new();
    while began.elapsed() < Duration::from_secs(3) {
        let id = publish::http(daemon.control, "a", "z").0;
        assert_eq!(live.event().id, Some(id));
        after.push(id);
    }
    daemon.stop();
    daemon.start_again();
    let half = after.len() / 2;
    let start = resume(&daemon, after[half]);
    assert_eq!(start.gap, None, "history has resumed");
    assert_eq!(ids(&start), after[half + 1..]);
    // What did not reach the disk, if so, is told.
    let start = resume(&daemon, first[0]);
    let complete = start.events.len() == 9 + full.len() + after.len();
    assert!(complete || start.gap.is_some(), "lost in silence");
}
