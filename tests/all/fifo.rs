//! The named pipe: an administrator who replaces it, writers who come and go, and no work for
//! nothing.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use support::{Daemon, eventually, publish};

/// Makes a named pipe and writes into it once somebody reads it; says how long that took.
fn make_and_write(path: &Path, text: &str) -> Duration {
    use std::os::unix::fs::OpenOptionsExt;
    nix::unistd::mkfifo(path, Mode::from_bits_truncate(0o600)).unwrap();
    let began = Instant::now();
    let mut pipe = eventually("a reader of the new pipe", || {
        OpenOptions::new()
            .write(true)
            .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
            .open(path)
            .ok()
    });
    pipe.write_all(text.as_bytes()).unwrap();
    began.elapsed()
}

#[test]
fn a_replaced_pipe_is_noticed_within_about_a_second() {
    let daemon = Daemon::start("--fifo {dir}/in");
    let mut stream = daemon.subscribe("subscribe=a");
    let path = daemon.file("in");
    publish::fifo(&path, "a=first\n");
    assert_eq!(stream.data(), "first");
    let took = ["second", "third"].map(|text| {
        fs::remove_file(&path).unwrap();
        let took = make_and_write(&path, &format!("a={text}\n"));
        assert_eq!(stream.data(), text);
        took
    });
    // On a busy machine one of them may be late.
    assert!(
        took.iter().min() < Some(&Duration::from_secs(3)),
        "{took:?}"
    );
    fs::rename(&path, daemon.file("moved")).unwrap();
    make_and_write(&path, "a=fourth\n");
    assert_eq!(stream.data(), "fourth");
}

#[test]
fn who_has_the_replaced_pipe_open_loses_nothing() {
    let daemon = Daemon::start("--fifo {dir}/in");
    let mut stream = daemon.subscribe("subscribe=a");
    let path = daemon.file("in");
    let mut old = OpenOptions::new().write(true).open(&path).unwrap();
    old.write_all(b"a=first\na=half").unwrap();
    assert_eq!(stream.data(), "first");
    assert_eq!(stream.data(), "half");
    fs::remove_file(&path).unwrap();
    make_and_write(&path, "a=new\n");
    assert_eq!(stream.data(), "new");
    old.write_all(b"a=second\n").unwrap();
    assert_eq!(stream.data(), "second");
    old.write_all(b"a=last").unwrap();
    drop(old);
    assert_eq!(stream.data(), "last");
    publish::fifo(&path, "a=new again\n");
    assert_eq!(stream.data(), "new again");
}

#[test]
fn a_pipe_without_writers_costs_no_time() {
    let daemon = Daemon::start("--fifo {dir}/in --heartbeat 1");
    let mut stream = daemon.subscribe("subscribe=a");
    publish::fifo(&daemon.file("in"), "a=x\n");
    assert_eq!(stream.data(), "x");
    let before = daemon.cpu_ticks();
    for _ in 0..2 {
        assert!(stream.block().unwrap().is_position(), "a heartbeat");
    }
    let used = daemon.cpu_ticks() - before;
    assert!(used < 20, "{used} ticks of 10 ms in about two seconds");
}

#[test]
fn an_unterminated_message_counts_when_the_last_writer_closes() {
    let daemon = Daemon::start("--fifo {dir}/in");
    let mut stream = daemon.subscribe("subscribe=a");
    for number in 0..200 {
        publish::fifo(&daemon.file("in"), format!("a={number}"));
        assert_eq!(stream.data(), number.to_string());
    }
}

#[test]
fn an_unterminated_message_counts_after_a_short_silence() {
    let daemon = Daemon::start("--fifo {dir}/in");
    let mut stream = daemon.subscribe("subscribe=a");
    let mut pipe = OpenOptions::new()
        .write(true)
        .open(daemon.file("in"))
        .unwrap();
    for number in 0..3 {
        write!(pipe, "a={number}").unwrap();
        assert_eq!(stream.data(), number.to_string());
    }
}

#[test]
fn json_in_the_pipe_is_not_cut_by_silence() {
    let daemon = Daemon::start("--fifo {dir}/in");
    let mut stream = daemon.subscribe("subscribe=a");
    let mut pipe = OpenOptions::new()
        .write(true)
        .open(daemon.file("in"))
        .unwrap();
    pipe.write_all(b"{\"to\":\"a\",").unwrap();
    // A text message of another writer would show that the silence is over; here the time that
    // several round trips to the daemon take, and more than the silence, passes instead.
    let began = Instant::now();
    eventually("a longer silence", || {
        publish::http(daemon.control, "other", "x");
        (began.elapsed() > Duration::from_millis(200)).then_some(())
    });
    pipe.write_all(b"\"data\":\"whole; = \"}\n").unwrap();
    assert_eq!(stream.data(), "whole; = ");
}

#[test]
fn who_writes_without_a_pause_does_not_hold_up_a_stop() {
    let mut daemon = Daemon::start("--fifo {dir}/fifo");
    let mut stream = daemon.subscribe("subscribe=a");
    let pipe = OpenOptions::new().write(true).open(daemon.file("fifo"));
    let mut pipe = pipe.unwrap();
    // Ended by the end of the reader.
    let writer = thread::spawn(move || while pipe.write_all(&b"a=x\nb=y\n".repeat(400)).is_ok() {});
    assert_eq!(stream.data(), "x");
    daemon.stop();
    assert!(!daemon.log().contains("took too long"), "{}", daemon.log());
    writer.join().unwrap();
}
