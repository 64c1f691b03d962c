//! Torn, damaged, empty and impossible files.

use std::cell::RefCell;
use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{FILE, files, ids, position, publish_numbers, resume, start};
use support::{Daemon, temp_dir};

/// The file that holds most.
fn main_file(daemon: &Daemon) -> PathBuf {
    let files = files(daemon);
    files.into_iter().max_by_key(|file| file.1).unwrap().0
}

/// Publishes `count` events, ends the daemon and lets `damage` have the history's main file.
fn damaged(count: usize, damage: impl Fn(&Path)) -> (Daemon, u64, Vec<u64>) {
    let mut daemon = start("");
    let before = position(&daemon);
    let published = publish_numbers(&daemon, 0..count);
    daemon.stop();
    // All is in the file, and yet its end was not clean.
    daemon.start_again();
    daemon.crash();
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
    assert!(start.gap.is_some(), "its end was not clean");
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
    // What a write leaves that was cut short: half an event, or room that was never filled.
    for torn in [&b"\x40\0\0\0half an event"[..], &[0; 300]] {
        let (daemon, before, published) = damaged(500, |path| {
            let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
            file.write_all(torn).unwrap();
        });
        let line = daemon.wait_for_log("kept/history");
        assert!(line.contains("cut"), "{line}");
        assert_eq!(check_after_damage(daemon, before, &published), 500);
    }
    // What was safe on the disk and is missing.
    for cut in [1, 7, 100] {
        let (daemon, before, published) = damaged(500, |file| {
            let file = fs::OpenOptions::new().write(true).open(file).unwrap();
            let length = file.metadata().unwrap().len();
            file.set_len(length - cut).unwrap();
        });
        daemon.wait_for_log("kept/history");
        let survived = check_after_damage(daemon, before, &published);
        assert!((490..500).contains(&survived), "{survived} after {cut}");
    }
}

#[test]
fn a_damaged_file_is_set_aside() {
    // It begins as a history file does, and both copies of its header are gone.
    let garbage = format!("hasses history 2{}", "This is no history. ".repeat(1000));
    let damages: [&dyn Fn(&Path); 2] = [&|file| fs::write(file, &garbage).unwrap(), &|file| {
        fs::write(file, b"hasses hist").unwrap()
    }];
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
    for part in 0..8 {
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
fn a_file_of_another_kind_is_refused_and_left_as_it_is() {
    for content in [
        &b"a letter to somebody\n"[..],
        &[0; 5000],
        b"\x7fELF",
        b"h\n",
    ] {
        let dir = temp_dir();
        let file = dir.path().join("letter");
        fs::write(&file, content).unwrap();
        let options = format!(
            "--listen 127.0.0.1:0 --control 127.0.0.1:0 --history-file {}",
            file.display()
        );
        for check in ["", " --check"] {
            let options = format!("{options}{check}");
            let output = Command::new(env!("CARGO_BIN_EXE_hasses"))
                .args(options.split(' '))
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            let said = String::from_utf8(output.stderr).unwrap()
                + &String::from_utf8(output.stdout).unwrap();
            assert!(
                said.contains("letter") && said.contains("no history file"),
                "{said}"
            );
            assert_eq!(fs::read(&file).unwrap(), content);
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        }
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
