//! Clean restarts and crashes.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{ids, position, publish_numbers, resume, start};
use support::stream::{Block, Start};
use support::{Connection, Daemon, Stream, publish};

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
            let raw: Vec<&str> = start.events.iter().map(Block::without_retry).collect();
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
    // The last of its own, and the last to everyone.
    assert_eq!(recent.data(), ["", "end"]);
    let new = publish_numbers(&daemon, 0..1)[0];
    assert!(new > last, "ids grow");
    assert_eq!(ids(&resume(&daemon, last)), [new]);
}

#[test]
fn a_stop_amid_publishing_keeps_all_that_was_taken_in() {
    let mut daemon = start("--history 1000000 --history-bytes 1000000000");
    let before = position(&daemon);
    let mut taken = Vec::new();
    for _ in 0..3 {
        let publisher = TcpStream::connect(daemon.control).unwrap();
        let lines = r#"{"to":"a","data":"x","ack":true}"#.to_owned() + "\n";
        let lines = lines.repeat(100);
        thread::scope(|scope| {
            scope.spawn(|| while (&publisher).write_all(lines.as_bytes()).is_ok() {});
            let answers = BufReader::new(&publisher).lines().map_while(Result::ok);
            for (number, answer) in answers.enumerate() {
                let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
                taken.push(answer["id"].as_u64().unwrap());
                if number == 300 {
                    daemon.signal(Signal::SIGTERM);
                }
            }
        });
        assert_eq!(daemon.wait_for_exit().code(), Some(0));
        assert!(!daemon.log().contains("took too long"), "{}", daemon.log());
        daemon.start_again();
        let start = resume(&daemon, before);
        assert_eq!(start.gap, None);
        let kept = ids(&start);
        let lost = taken.iter().filter(|id| kept.binary_search(id).is_err());
        assert_eq!(lost.count(), 0, "of {} taken in", taken.len());
    }
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
    let mut daemon = start("--history 1000000 --history-bytes 1000000000");
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

#[test]
fn a_crash_stays_told_while_its_survivors_leave_the_history() {
    let mut daemon = start("--history 5");
    let before = publish_numbers(&daemon, 0..5);
    // So that all of them are in the file.
    daemon.stop();
    daemon.start_again();
    daemon.crash();
    daemon.start_again();
    for new in 0..8 {
        let start = resume(&daemon, before[4]);
        let gap = format!(r#"{{"after":{},"oldest":"#, before[4]);
        assert!(start.gap.is_some(), "no gap after {new} new events");
        assert!(start.gap_data().starts_with(&gap));
        publish_numbers(&daemon, 0..1);
    }
}
