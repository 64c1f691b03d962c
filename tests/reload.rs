//! SIGHUP: the options are read again, and nobody is dropped.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;

use nix::sys::signal::Signal;
use support::{Daemon, Stream, eventually, publish};

/// A daemon whose options stand in the file `conf`.
fn with_file(options: &str) -> Daemon {
    let options = options.to_owned();
    Daemon::prepared(
        "--config {dir}/conf --listen 127.0.0.1:{listen} --control 127.0.0.1:{control}",
        move |place| fs::write(place.dir.join("conf"), &options).unwrap(),
    )
}

fn reload(daemon: &Daemon, options: &str, told: &str) {
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
        "--cors http://new.example\n--max-message 50\n--history 1\n",
        "settings read again",
    );
    assert_eq!(allowed(&daemon), "http://new.example");
    publish::http(daemon.control, "a", "longer than five");
    assert_eq!(stream.data(), "longer than five");
    publish::http(daemon.control, "a", "second");
    let late = "GET /sse?subscribe=a&recent=9 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut late = Stream::request(daemon.listen, late);
    assert_eq!(late.data(), "second");
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
    reload(
        &daemon,
        "--user nobody\n",
        "--user was changed; that needs a restart",
    );
    eventually("an answer", || {
        (daemon
            .ask("GET /sse HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .status
            == 400)
            .then_some(())
    });
}
