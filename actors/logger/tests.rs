#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::{env, fs, process};

use futures_lite::future::zip;
use log::{Level, LevelFilter, Log, Record};

use super::*;

/// A directory of its own for one test, gone afterwards.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("hasses-logger-{}-{name}", process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn log(&self) -> PathBuf {
        self.0.join("log")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn to_file(path: &Path, bound: usize) -> (Handle, Logger) {
    let (handle, mut logger) = logger(&LogTarget::File(path.into()), bound).unwrap();
    logger.pause = Duration::from_millis(1);
    (handle, logger)
}

/// Lets the logger live until `story` is told, and then stop.
fn run(logger: Logger, story: impl Future<Output = ()>) {
    let (guard, stop) = runtime::cancellation();
    let story = async {
        story.await;
        drop(guard);
    };
    let (outcome, ()) = async_io::block_on(zip(logger.run(stop), story));
    assert_eq!(outcome, Ok(()));
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        Timer::after(Duration::from_millis(1)).await;
    }
}

/// The texts of a log, each line checked for its head.
fn texts(log: &str) -> Vec<&str> {
    assert!(log.is_empty() || log.ends_with('\n'));
    log.lines().map(text_of).collect()
}

fn text_of(line: &str) -> &str {
    let (time, text) = line.split_once(" hasses: ").unwrap();
    let shape: String = time
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, "0000-00-00 00:00:00");
    text
}

#[test]
fn a_stop_writes_what_waits_in_order() {
    let place = Place::new("order");
    let (handle, logger) = to_file(&place.log(), WAITING);
    for n in 0..WAITING {
        assert!(handle.try_send(n.to_string()));
    }
    run(logger, async {});
    let log = fs::read_to_string(place.log()).unwrap();
    let expected: Vec<_> = (0..WAITING).map(|n| n.to_string()).collect();
    assert_eq!(texts(&log), expected);
    assert_eq!(handle.dropped(), 0);
    let mode = fs::metadata(place.log()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777 & !0o640, 0, "{mode:o}");
}

#[test]
fn threads_lose_and_double_nothing() {
    let place = Place::new("threads");
    let (handle, logger) = to_file(&place.log(), WAITING);
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let handle = handle.clone();
            thread::spawn(move || {
                for n in 0..1000 {
                    assert!(handle.try_send(format!("{writer} {n}")));
                }
            })
        })
        .collect();
    run(logger, async {
        until(|| writers.iter().all(thread::JoinHandle::is_finished)).await;
    });
    let log = fs::read_to_string(place.log()).unwrap();
    for writer in 0..4 {
        let of_writer = texts(&log)
            .into_iter()
            .filter_map(|text| text.strip_prefix(&format!("{writer} ")));
        assert!(of_writer.eq((0..1000).map(|n| n.to_string())));
    }
}

#[test]
fn a_record_is_one_line_whatever_it_holds() {
    let place = Place::new("hostile");
    let (handle, logger) = to_file(&place.log(), WAITING);
    let (_, front) = front::chain(handle.clone()).into_log();
    let say = |level, target, text: &str| {
        front.log(
            &Record::builder()
                .level(level)
                .target(target)
                .args(format_args!("{text}"))
                .build(),
        );
    };
    say(
        Level::Error,
        "hasses_actors::clients::life",
        "a\n2020-01-01 00:00:00 hasses: forged\r\n",
    );
    say(Level::Warn, "hasses", "\x1b[31m\0\u{202e}\u{2028}\u{85}");
    say(Level::Info, "hasses", "");
    say(Level::Debug, "hasses", r"C:\new é 🙂");
    say(Level::Warn, "polling", "theirs");
    say(Level::Info, "polling", "unwanted");
    handle.answer(vec!["Pid: 7\t".into(), "Uid: 0".into()]);
    run(logger, async {});
    let log = fs::read_to_string(place.log()).unwrap();
    assert_eq!(
        texts(&log),
        [
            r"error: a\n2020-01-01 00:00:00 hasses: forged\r\n",
            r"warning: \u{1b}[31m\u{0}\u{202e}\u{2028}\u{85}",
            "",
            r"C:\new é 🙂",
            "warning: theirs",
            r"Pid: 7\t",
            "Uid: 0",
        ]
    );
}

#[test]
fn lines_for_a_full_disk_are_counted_and_told_of_afterwards() {
    let place = Place::new("full");
    symlink("/dev/full", place.log()).unwrap();
    let (handle, logger) = to_file(&place.log(), WAITING);
    run(logger, async {
        for n in 0..3 {
            assert!(handle.try_send(n.to_string()));
        }
        until(|| handle.dropped() == 3).await;
        fs::remove_file(place.log()).unwrap();
        assert!(handle.address().send(Message::Reopen).await.is_ok());
        assert!(handle.try_send("well again".into()));
    });
    let log = fs::read_to_string(place.log()).unwrap();
    let told = "3 log lines were lost: No space left on device (os error 28)";
    assert_eq!(texts(&log), [told, "well again"]);
    assert_eq!(handle.dropped(), 3);
}

#[test]
fn a_full_disk_does_not_hold_up_a_stop() {
    let (handle, mut logger) = to_file(Path::new("/dev/full"), WAITING);
    logger.pause = Duration::from_secs(3600);
    run(logger, async {
        assert!(handle.try_send("first".into()));
        until(|| handle.dropped() == 1).await;
        assert!(handle.try_send("second".into()));
    });
    assert_eq!(handle.dropped(), 2);
}

#[test]
fn a_reopened_file_is_a_new_one_and_a_lost_one_is_kept() {
    let place = Place::new("reopen");
    let (handle, logger) = to_file(&place.log(), WAITING);
    let old = place.0.join("log.1");
    run(logger, async {
        assert!(handle.try_send("one".into()));
        fs::rename(place.log(), &old).unwrap();
        assert!(handle.try_send("two".into()));
        assert!(handle.offer_reopen());
        assert!(handle.try_send("three".into()));
        until(|| fs::read_to_string(place.log()).is_ok_and(|log| log.ends_with("three\n"))).await;
        fs::remove_file(place.log()).unwrap();
        fs::create_dir(place.log()).unwrap();
        assert!(handle.offer_reopen());
    });
    assert_eq!(texts(&fs::read_to_string(old).unwrap()), ["one", "two"]);
}

#[test]
fn a_file_that_cannot_be_opened_anew_is_named_in_the_old_one() {
    let place = Place::new("kept");
    let (handle, logger) = to_file(&place.log(), WAITING);
    let old = place.0.join("log.1");
    fs::rename(place.log(), &old).unwrap();
    fs::create_dir(place.log()).unwrap();
    run(logger, async {
        assert!(handle.offer_reopen());
        assert!(handle.try_send("on".into()));
    });
    let log = fs::read_to_string(old).unwrap();
    let failed = format!(
        "error: cannot open the log file {:?}: Is a directory (os error 21); the log goes on in the file that was open",
        place.log()
    );
    assert_eq!(texts(&log), [&failed, "on"]);
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_at_the_start() {
    let target = LogTarget::File("/nowhere/log".into());
    let error = logger(&target, 1).err().unwrap();
    let text = r#"cannot open the log file "/nowhere/log": No such file or directory (os error 2)"#;
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_pipe_that_nobody_reads_holds_up_nobody() {
    const LINES: u64 = 5000;
    let (mut reader, writer) = io::pipe().unwrap();
    let (handle, mut logger) = to_file(Path::new("/dev/null"), 100);
    logger.output = Output::File(Arc::new(writer.into()));
    let long = "x".repeat(100);
    let mut taken = Vec::new();
    let (begin, begun) = std::sync::mpsc::channel();
    let reading = thread::spawn(move || {
        begun.recv().unwrap();
        io::read_to_string(&mut reader).unwrap()
    });
    run(logger, async {
        for n in 0..LINES {
            let text = format!("{n} {long}");
            if handle.try_send(text.clone()) {
                taken.push(text);
            }
            futures_lite::future::yield_now().await;
        }
        begin.send(()).unwrap();
    });
    let log = reading.join().unwrap();
    // Losses from before the pipe was full may have been told of by themselves.
    let told = " lost: they came faster than they could be written";
    let (tellings, lines): (Vec<_>, Vec<_>) = texts(&log)
        .into_iter()
        .partition(|text| text.ends_with(told));
    let lost = tellings
        .iter()
        .map(|text| text.split_once(' ').unwrap().0.parse::<u64>().unwrap());
    assert_eq!(lost.sum::<u64>(), handle.dropped());
    assert_eq!(lines, taken);
    assert_eq!(taken.len() as u64 + handle.dropped(), LINES);
    assert!(handle.dropped() > 0);
}

#[test]
fn a_reader_that_went_away_costs_its_lines_only() {
    let place = Place::new("gone");
    let (reader, writer) = io::pipe().unwrap();
    let (handle, mut logger) = to_file(&place.log(), WAITING);
    logger.output = Output::File(Arc::new(writer.into()));
    drop(reader);
    run(logger, async {
        assert!(handle.try_send("lost".into()));
        until(|| handle.dropped() == 1).await;
        assert!(handle.offer_reopen());
        assert!(handle.try_send("found".into()));
    });
    let told = "1 log line was lost: Broken pipe (os error 32)";
    assert_eq!(
        texts(&fs::read_to_string(place.log()).unwrap()),
        [told, "found"]
    );
}

const CHILD: &str = "HASSES_TEST_LOGGER";

/// The macros, the level and the panic hook are a whole process's, so this runs in one of its own.
#[test]
fn levels_change_at_run_time_and_a_panic_is_one_line() {
    if env::var_os(CHILD).is_some() {
        return in_child();
    }
    let child = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "logger::tests::levels_change_at_run_time_and_a_panic_is_one_line",
            "--nocapture",
        ])
        .env(CHILD, "1")
        .output()
        .unwrap();
    assert!(child.status.success(), "{child:?}");
    let log = String::from_utf8(child.stderr).unwrap();
    let (logged, direct) = log.split_once("\nthread ").unwrap();
    let mut lines: Vec<_> = logged
        .lines()
        .filter(|line| !line.is_empty())
        .map(text_of)
        .collect();
    let panicked = lines.pop().unwrap();
    assert_eq!(
        lines,
        [
            "error: normal",
            "warning: normal",
            "normal",
            "normal's answer", //
            "error: quiet",
            "quiet's answer", //
            "error: debug",
            "warning: debug",
            "debug",
            "debug",
            "debug's answer",
        ]
    );
    assert!(
        panicked.starts_with("error: panicked at actors/logger/tests.rs:"),
        "{panicked}"
    );
    assert!(panicked.ends_with(r": a\nb"), "{panicked}");
    assert!(direct.contains("nobody logs"), "{direct}");
}

fn in_child() {
    let say = |handle: &Handle, name| {
        log::error!("{name}");
        log::warn!("{name}");
        log::info!("{name}");
        log::debug!("{name}");
        handle.answer(vec![format!("{name}'s answer")]);
    };
    let (handle, logger) = install(&LogTarget::Stderr, LogLevel::Normal).unwrap();
    assert!(install(&LogTarget::Stderr, LogLevel::Normal).is_err());
    install_panic_hook(handle.clone());
    for (name, at, most) in [
        ("normal", LogLevel::Normal, LevelFilter::Info),
        ("quiet", LogLevel::Quiet, LevelFilter::Error),
        ("debug", LogLevel::Debug, LevelFilter::Debug),
    ] {
        set_level(at);
        assert_eq!(log::max_level(), most);
        say(&handle, name);
    }
    assert!(thread::spawn(|| panic!("a\nb")).join().is_err());
    run(logger, async {});
    io::stderr().write_all(b"\n").unwrap();
    assert!(thread::spawn(|| panic!("nobody logs")).join().is_err());
}

impl Handle {
    fn offer_reopen(&self) -> bool {
        self.address.try_send(Message::Reopen).is_ok()
    }
}
