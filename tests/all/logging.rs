//! The log: its lines, its levels, and a file that is moved away.

use std::fs;

use nix::sys::signal::Signal;
use support::{Daemon, Stream, eventually, publish};

/// `YYYY-MM-DD HH:MM:SS hasses: ` stands before every line of a log file.
fn is_stamped(line: &str) -> bool {
    let shape: String = line
        .chars()
        .take(28)
        .map(|char| if char.is_ascii_digit() { '0' } else { char })
        .collect();
    shape == "0000-00-00 00:00:00 hasses: "
}

fn wait_for(daemon: &Daemon, file: &str, part: &str) -> String {
    eventually(&format!("{part:?} in {file}"), || {
        let text = daemon.text_of(file);
        (text.contains(part) && text.ends_with('\n')).then_some(text)
    })
}

#[test]
fn a_hangup_reopens_the_file() {
    let daemon = Daemon::start("--log {dir}/log");
    let mut stream = daemon.subscribe("subscribe=a");
    let count = |token: &str| {
        publish::talk_tcp(daemon.control, format!("subscribedclients:{token}\n"));
    };
    count("first");
    wait_for(&daemon, "log", "\"first\"");
    fs::rename(daemon.file("log"), daemon.file("log.1")).unwrap();
    count("second");
    wait_for(&daemon, "log.1", "\"second\"");
    daemon.signal(Signal::SIGHUP);
    eventually("a new file", || daemon.file("log").exists().then_some(()));
    count("third");
    let text = wait_for(&daemon, "log", "\"third\"");
    assert!(!text.contains("second"), "{text}");
    assert!(!daemon.text_of("log.1").contains("third"));
    publish::http(daemon.control, "a", "nobody was dropped");
    assert_eq!(stream.data(), "nobody was dropped");
}

#[test]
fn nothing_forges_a_line() {
    let daemon = Daemon::start("--log {dir}/log --log-level debug --max-message 200");
    let evil = "x\r2026-01-01 00:00:00 hasses: forged\u{1b}[31m\u{85}\u{2028}\0";
    let request = "GET /sse?subscribe=a%E2%80%A8b&id=%E2%80%AEid HTTP/1.1\r\nHost: x\r\n\
         User-Agent: agent\u{2028}2026-01-01 00:00:00 hasses: forged\u{85}\r\n\r\n";
    let mut stream = Stream::request(daemon.listen, request);
    stream.position();
    for text in [
        format!("{evil}\n"),
        format!("{evil}=y\n"),
        format!("a-{evil}=y\n"),
        format!("subscribedclients:{evil}\n"),
        format!("disconnect:{evil}\n"),
        format!("a={}{evil}\n", "long".repeat(100)),
        format!("{{\"to\":\"a\",\"{}\":1}}\n", "k\\u000a\\u001b"),
    ] {
        publish::talk_tcp(daemon.control, text);
    }
    daemon.ask("GET /%0a%1b\x1b[31m HTTP/1.1\r\nHost: x\r\n\r\n");
    daemon.ask("GET /sse?subscribe=%0A2026-01-01&token=%1b HTTP/1.1\r\nHost: x\r\n\r\n");
    publish::talk_tcp(daemon.control, "clientlist\nsubscribedclients:end\n");
    let text = wait_for(&daemon, "log", "subscribed for \"end\"");
    for line in text.lines() {
        assert!(is_stamped(line), "{line:?}");
        let broken = |char: char| char.is_control() || "\u{2028}\u{2029}\u{202e}".contains(char);
        assert!(!line.contains(broken), "{line:?}");
        let forged = line.find("hasses: forged").is_some_and(|at| at < 25);
        assert!(!forged, "{line:?}");
    }
}

#[test]
fn levels() {
    let mut lengths = Vec::new();
    for level in ["quiet", "normal", "debug"] {
        let daemon = Daemon::start(&format!("--log {{dir}}/log --log-level {level}"));
        let mut stream = daemon.subscribe("subscribe=a");
        publish::http(daemon.control, "a", "x");
        publish::tcp(daemon.control, "nonsense\na=y\n");
        assert_eq!([stream.data(), stream.data()], ["x", "y"]);
        // Answers to commands are logged at every level.
        publish::talk_tcp(daemon.control, "numberofclients\n");
        let text = wait_for(&daemon, "log", "Number of connected clients: 1");
        lengths.push(text.lines().count());
    }
    assert_eq!(lengths[0], 1, "quiet: the answer alone");
    assert!(lengths[0] < lengths[1], "{lengths:?}");
    assert!(lengths[1] < lengths[2], "{lengths:?}");
}

#[test]
fn what_is_said_during_a_stop_is_logged_too() {
    let mut daemon = Daemon::start("--log {dir}/log --log-level debug");
    let _streams: Vec<_> = (0..20).map(|_| daemon.subscribe("subscribe=a")).collect();
    daemon.stop();
    let log = daemon.text_of("log");
    assert_eq!(log.matches("ended as the daemon stops").count(), 20);
}

#[test]
fn what_is_refused_is_logged_with_the_reason() {
    let daemon = Daemon::start("--max-message 10");
    for (text, reason) in [
        ("bogus\n", "bogus"),
        ("a*b=x\n", "a*b"),
        ("a=12345678901\n", "10"),
        ("{\"to\":\"a\",\"data\":1}\n", "data"),
    ] {
        publish::talk_tcp(daemon.control, text);
        daemon.wait_for_log(reason);
    }
}

#[test]
fn a_quiet_log_still_warns_of_what_may_be_unsafe() {
    let daemon = Daemon::start("--log-level quiet --listen 127.0.0.1:0 --control 0.0.0.0:0");
    daemon.wait_for_log("warning: the control port 0.0.0.0:");
}
