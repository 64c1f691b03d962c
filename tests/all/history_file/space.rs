//! The file's size, and a disk without space.

use std::fs;
use std::path::PathBuf;

use super::{files, ids, position, publish_numbers, resume, start};
use support::{Connection, Daemon, Stream, eventually, needs, publish, run};

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
fn a_full_disk_stops_the_file_but_not_the_events() {
    needs!("root");
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
    let writable = |daemon: &Daemon, now: u8| {
        let line = format!("\nhasses_history_file_writable {now}\n");
        eventually("what /metrics says of it", || {
            daemon.metrics().contains(&line).then_some(())
        });
    };
    writable(&daemon, 0);
    assert_eq!(ids(&resume(&daemon, full[0])), full[1..], "from memory");

    fs::remove_file(&filler).unwrap();
    // As soon as it can be written again, all that comes is.
    let mut publish = |daemon: &Daemon| {
        let id = publish::http(daemon.control, "a", "z").0;
        assert_eq!(live.event().id, Some(id));
        id
    };
    let mut meanwhile = 0;
    let line = eventually("a file that can be written again", || {
        publish(&daemon);
        meanwhile += 1;
        let log = daemon.log();
        let line = log
            .lines()
            .find(|line| line.contains("can be written again"));
        line.map(str::to_owned)
    });
    assert!(line.contains("history"), "{line}");
    writable(&daemon, 1);
    let after: Vec<u64> = (0..100).map(|_| publish(&daemon)).collect();
    daemon.stop();
    daemon.start_again();
    let start = resume(&daemon, after[0]);
    assert_eq!(start.gap, None, "history has resumed");
    assert_eq!(ids(&start), after[1..]);
    // What did not reach the disk, if so, is told.
    let start = resume(&daemon, first[0]);
    let complete = start.events.len() == 9 + full.len() + meanwhile + after.len();
    assert!(complete || start.gap.is_some(), "lost in silence");
}
