//! What is asked for: options, files of options, questions.

use std::fs;
use std::net::TcpStream;

use super::program::*;

#[test]
fn help_and_version_go_to_standard_output() {
    let version = output(&["--version"]);
    assert_eq!(version.status.code(), Some(0));
    assert_eq!(text(&version.stdout), "hasses 2.0.0\n");
    let help = output(&["-h"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(text(&help.stdout).contains("--listen ADDR"));
}

#[test]
fn a_bad_option_is_told_in_one_line() {
    fails(
        &["--heartbeat=1x"],
        2,
        &["--heartbeat", "'1x'", "0 to 86400"],
    );
    fails(&["--bus", "http://x"], 2, &["--bus", "redis://"]);
    fails(&["-murl=/sse"], 2, &["-murl", "--path"]);
    let folder = Folder::new();
    let conf = folder.text("conf");
    fs::write(&conf, "# x\n--retry abc\n").unwrap();
    let place = format!("{conf}:2: ");
    fails(&["--config", &conf], 2, &[&place, "--retry", "'abc'"]);
    fails(
        &["--config", &folder.text("none")],
        1,
        &["--config", "none"],
    );
}

#[test]
fn check_says_what_is_wrong_and_makes_nothing() {
    let folder = Folder::new();
    let fifo = folder.text("fifo");
    let right = output(&["--check", "--fifo", &fifo, "--log", &folder.text("log")]);
    assert_eq!(right.status.code(), Some(0));
    assert_eq!(text(&right.stdout), "configuration ok\n");
    assert!(folder.names().is_empty());

    fails(&["--check", "--retry", "x"], 2, &["--retry"]);
    fails(
        &["--check", "--user", "no-such-user"],
        2,
        &["--user", "no-such-user"],
    );
    fails(
        &["--check", "--listen", "no-such-host.invalid:1"],
        1,
        &["--listen", "no-such-host"],
    );
    for option in ["--log", "--history-file", "--pidfile"] {
        fails(&["--check", option, &folder.text("no/x")], 1, &[option]);
        fails(&["--check", option, &folder.text(".")], 1, &[option]);
    }
    fs::write(&fifo, "").unwrap();
    fails(
        &["--check", "--fifo", &fifo],
        1,
        &["--fifo", &fifo, "no FIFO"],
    );
    let both = output(&[
        "--check",
        "--fifo",
        &fifo,
        "--pidfile",
        "/no/such/folder/pid",
    ]);
    assert_eq!(text(&both.stderr).lines().count(), 2);
}

#[test]
fn the_greeting_names_the_real_addresses() {
    let running = Running::start(&BOTH);
    let subscribers = running.port("http://127.0.0.1:");
    let publishers = running.port("nc -q1 127.0.0.1 ");
    TcpStream::connect(("127.0.0.1", subscribers)).unwrap();
    TcpStream::connect(("127.0.0.1", publishers)).unwrap();
    assert!(running.greeted(&format!(
        "\n  dashboard    http://127.0.0.1:{publishers}/\n"
    )));
    assert!(running.greeted(&format!(
        "\n  curl -N 'http://127.0.0.1:{subscribers}/sse?token=room1'\n  \
         echo 'room1=hello' | nc -q1 127.0.0.1 {publishers}\n"
    )));
    running.stop();
}

#[test]
fn who_has_a_fifo_alone_is_told_how_to_get_a_control_address() {
    let folder = Folder::new();
    let running = Running::start(&["--listen", "127.0.0.1:0", "--fifo", &folder.text("in")]);
    assert!(running.greeted("only the FIFO is read; --control 127.0.0.1:8085 adds one"));
    running.stop();
    let running = Running::start(&[&BOTH[..], &["--fifo", &folder.text("in")]].concat());
    assert!(running.greeted("FIFO") && !running.greeted("only the FIFO"));
    running.stop();
}

#[test]
fn a_missing_directory_is_named() {
    let folder = Folder::new();
    let file = folder.text("no/file");
    let socket = format!("unix:{file}");
    let missing = format!("{file}: there is no directory {}", folder.text("no"));
    for (option, value) in [
        ("--fifo", &file),
        ("--log", &file),
        ("--pidfile", &file),
        ("--history-file", &file),
        ("--control", &socket),
    ] {
        let line = ["--listen", "127.0.0.1:0", option, value];
        fails(&line, 1, &[option, &missing]);
        fails(&[&line[..], &["--check"]].concat(), 1, &[option, &missing]);
    }
}

#[test]
fn the_file_holds_options_and_the_command_line_wins() {
    let folder = Folder::new();
    let conf = folder.text("conf");
    fs::write(&conf, "-p=0 -cp=0\r\n-nodaemon\n--path /file # ours\n").unwrap();
    let running = Running::start(&["--config", &conf]);
    assert!(running.greeted("/file?token=room1") && running.greeted("http://[::]:"));
    running.stop();
    let running = Running::start(&["--config", &conf, "--path=/line", "--listen=127.0.0.1:0"]);
    assert!(running.greeted("/line?token=room1") && !running.greeted("http://[::]:"));
    running.stop();
}

#[test]
fn check_says_what_the_start_would_warn_of() {
    let folder = Folder::new();
    let key = folder.text("key");
    fs::write(&key, "short").unwrap();
    let checked = output(&["--check", "--subscribe-key", &key, "--control", "[::]:0"]);
    assert_eq!(checked.status.code(), Some(0));
    assert_eq!(text(&checked.stdout), "configuration ok\n");
    let warned = text(&checked.stderr);
    for part in ["32 bytes", "others", "[::]:0 is open to other hosts"] {
        assert!(warned.contains(part), "{part}: {warned}");
    }
    assert!(
        warned
            .lines()
            .all(|line| line.starts_with("hasses: warning: ")),
        "{warned}"
    );
}

#[test]
fn a_daemon_whose_log_nobody_reads_is_warned_about() {
    let folder = Folder::new();
    let log = folder.text("log");
    for (more, warns) in [(&[][..], true), (&["--log", &log][..], false)] {
        let checked = output(&[&["--check", "--daemon"][..], more].concat());
        assert_eq!(checked.status.code(), Some(0));
        let warned = text(&checked.stderr).contains("warning: --daemon without --log FILE");
        assert_eq!(warned, warns, "{}", text(&checked.stderr));
    }
}

#[test]
fn nothing_serves_two_purposes() {
    let folder = Folder::new();
    let file = folder.text("x");
    for how in [&[][..], &["--check"][..]] {
        let with = |arguments: &[&'static str]| -> Vec<&str> { [how, arguments].concat() };
        fails(
            &[
                &with(&[])[..],
                &["--pidfile", &file, "--history-file", &file],
            ]
            .concat(),
            2,
            &["--pidfile and --history-file name the same file"],
        );
        fails(
            &with(&["--listen", "127.0.0.1:9", "--control", "127.0.0.1:9"]),
            2,
            &["--listen and --control name the same address"],
        );
        fails(
            &with(&["--listen", "0.0.0.0:9", "--listen", "[::]:9"]),
            2,
            &["overlap"],
        );
        fails(&with(&["--log", "-"]), 2, &["--log '-'", "standard error"]);
    }
    assert!(!fs::exists(&file).unwrap());
}
