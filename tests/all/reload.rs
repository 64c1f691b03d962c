//! SIGHUP: the options are read again, and nobody is dropped.

use std::fs;

use nix::sys::signal::Signal;
use support::{Daemon, Stream, eventually, publish};

const LINE: &str = "--config {dir}/conf --listen 127.0.0.1:{listen} --control 127.0.0.1:{control}";

/// A daemon whose options, in which `{dir}` stands for its directory, stand in the file `conf`.
fn with_file(options: &str) -> Daemon {
    let options = options.to_owned();
    Daemon::prepared(LINE, move |place| place.write("conf", &options))
}

/// Has other options read, and waits until the log has `told`.
fn reload(daemon: &Daemon, options: &str, told: &str) {
    let dir = daemon.file("");
    let options = options.replace("{dir}", dir.to_str().unwrap());
    fs::write(daemon.file("conf"), options).unwrap();
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for_log(told);
}

fn allowed(daemon: &Daemon) -> String {
    let answer = daemon.ask("GET /sse HTTP/1.1\r\nHost: localhost\r\n\r\n");
    answer
        .header("access-control-allow-origin")
        .unwrap()
        .to_owned()
}

#[test]
fn new_options_hold_for_what_comes_next() {
    let daemon = with_file("--cors http://old.example\n--max-message 5\n");
    let mut stream = daemon.subscribe("subscribe=a");
    assert_eq!(allowed(&daemon), "http://old.example");
    reload(
        &daemon,
        "--cors http://new.example\n--max-message 50\n--history 1\n--reinit\n",
        "settings read again",
    );
    let status = publish::talk_tcp(daemon.control, "status\n");
    assert!(status.contains(&"Reinit allowed: yes".to_owned()));
    assert_eq!(allowed(&daemon), "http://new.example");
    publish::http(daemon.control, "a", "longer than five");
    assert_eq!(stream.data(), "longer than five");
    publish::http(daemon.control, "a", "second");
    let late = "GET /sse?subscribe=a&recent=9 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut late = Stream::request(daemon.listen, late);
    assert_eq!(late.data(), "second");
}

#[test]
fn a_history_file_keeps_as_much_as_the_new_options_say() {
    const FILE: &str = "--history-file {dir}/history";
    let mut daemon = with_file(&format!("{FILE}\n--history 5\n"));
    reload(
        &daemon,
        &format!("{FILE}\n--history 100\n"),
        "settings read again",
    );
    publish::talk_tcp(daemon.control, "a=x\n".repeat(50));
    daemon.stop();
    daemon.start_again();
    let start = Stream::starting(daemon.listen, "subscribe=a&recent=1000", "");
    assert_eq!(start.events.len(), 50);
}

#[test]
fn a_smaller_client_buffer_and_another_log_level_hold_at_once() {
    let daemon = with_file("--client-buffer 1000000000\n");
    let _stalled = daemon.subscribe("subscribe=a");
    let text = "x".repeat(1_000_000);
    let publish = || {
        for _ in 0..20 {
            publish::http(daemon.control, "a", &text);
        }
    };
    publish();
    daemon.wait_for_clients(1);
    reload(
        &daemon,
        "--client-buffer 100000\n--log-level debug\n",
        "settings read again",
    );
    publish();
    daemon.wait_for_clients(0);
    daemon.subscribe("subscribe=seen-in-the-log");
    daemon.wait_for_log("seen, in, the, log");
}

#[test]
fn wrong_options_change_nothing() {
    let daemon = with_file("--cors http://old.example\n");
    let mut stream = daemon.subscribe("subscribe=a");
    reload(
        &daemon,
        "--cors http://new.example\n--heartbeat soon\n",
        "stay as they were",
    );
    daemon.wait_for_log("--heartbeat");
    assert_eq!(allowed(&daemon), "http://old.example");
    publish::http(daemon.control, "a", "still here");
    assert_eq!(stream.data(), "still here");
}

#[test]
fn what_needs_a_restart_is_named() {
    let daemon = with_file("");
    for line in [
        "--reuse-port",
        "--bus redis://127.0.0.1:1",
        "--fifo pipe",
        "--history-file history",
        "--log log",
        "--pidfile pid",
        "--user nobody",
        "--group nogroup",
        "--daemon",
    ] {
        let option = line.split(' ').next().unwrap();
        let told = format!("{option} was changed; that needs a restart");
        reload(&daemon, &format!("{line}\n"), &told);
    }
    eventually("an answer", || {
        (daemon
            .ask("GET /sse HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .status
            == 400)
            .then_some(())
    });
}

#[test]
fn signals_that_its_parent_had_blocked_are_heard() {
    let blocked = "env --block-signal=TERM,INT,HUP";
    let program = format!("{blocked} {}", env!("CARGO_BIN_EXE_hasses"));
    let mut daemon = Daemon::instead(&program, "");
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for_log("settings read again");
    daemon.stop();
}
