//! `--control-secret`: who knows it may publish over TCP, and nobody else; it is shown nowhere.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use support::daemon::Preparation;
use support::{Connection, Daemon, Response, publish};

/// As `openssl rand -base64` makes them.
const SECRET: &str = "/s3cret+Key_1=";

fn write_secret(place: &Preparation) {
    place.write("secret", &format!("{SECRET}\n"));
    let mode = Permissions::from_mode(0o640);
    fs::set_permissions(place.dir.join("secret"), mode).unwrap();
}

fn started(arguments: &str) -> Daemon {
    let line = format!("--control-secret {{dir}}/secret {arguments}");
    Daemon::prepared(&line, write_secret)
}

/// A daemon that asks for the secret, in which everything is logged.
fn guarded(options: &str) -> Daemon {
    let addresses = "--listen 127.0.0.1:{listen} --control 127.0.0.1:{control}";
    started(&format!("{addresses} --log-level debug {options}"))
}

fn request(daemon: &Daemon, line: &str, fields: &str) -> Response {
    let text = format!(
        "{line} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n",
        daemon.control
    );
    Connection::to(daemon.control)
        .send(text.as_bytes())
        .response()
}

fn bearer(secret: &str) -> String {
    format!("Authorization: Bearer {secret}\r\n")
}

/// How much was refused so far.
fn refused(daemon: &Daemon) -> u64 {
    let status = request(daemon, "GET /status", &bearer(SECRET));
    assert_eq!(status.status, 200, "{status:?}");
    status.json()["refused"].as_u64().unwrap()
}

#[test]
fn text_and_json_follow_the_auth_line() {
    let daemon = guarded("");
    let mut stream = daemon.subscribe("subscribe=a");
    for (start, text) in [
        ("", "a=one;a=two\na=end"),
        ("\r\n\n", "a=one\r\na=two\n{\"to\":\"a\",\"data\":\"end\"}"),
        (
            "",
            "auth again\n{\"to\":\"a\",\"data\":\"one\"}\na=two;a=end\n",
        ),
    ] {
        for end in ["\n", "\r\n"] {
            let all = format!("{start}auth {SECRET}{end}{text}");
            publish::tcp(daemon.control, &all);
            assert_eq!(stream.data_until("end"), ["one", "two"], "{all:?}");
            let mut pieces = Connection::to(daemon.control);
            for byte in all.as_bytes() {
                pieces.send(&[*byte]);
            }
            drop(pieces);
            assert_eq!(
                stream.data_until("end"),
                ["one", "two"],
                "{all:?} in pieces"
            );
        }
    }
    let mut connection = Connection::to(daemon.control);
    connection.send(format!("auth {SECRET}\n").as_bytes());
    for data in ["x", "y"] {
        let line = format!("{{\"to\":\"a\",\"data\":\"{data}\",\"ack\":true}}\n");
        let answer: Value = serde_json::from_str(&connection.send(line.as_bytes()).line()).unwrap();
        assert_eq!(answer["recipients"], 1);
        assert_eq!(stream.data(), data);
    }
    assert_eq!(refused(&daemon), 0);
}

#[test]
fn who_does_not_know_it_is_told_and_nothing_is_taken() {
    let daemon = guarded("");
    let mut stream = daemon.subscribe("subscribe=a");
    let table = [
        "a=x\n".to_owned(),
        "a=x".to_owned(),
        "status\n".to_owned(),
        "{\"to\":\"a\",\"data\":\"x\"}\n".to_owned(),
        format!("auth {SECRET}x\na=x\n"),
        format!("auth {}\na=x\n", &SECRET[1..]),
        format!("auth  {SECRET}\na=x\n"),
        format!("auth {SECRET};a=x\n"),
        format!("AUTH {SECRET}\na=x\n"),
        format!("a=x\nauth {SECRET}\na=x\n"),
        "auth \na=x\n".to_owned(),
        "auth\na=x\n".to_owned(),
        "auth half".to_owned(),
    ];
    for (before, text) in (0..).zip(&table) {
        assert_eq!(refused(&daemon), before, "before {text:?}");
        let answers = publish::talk_tcp(daemon.control, text);
        assert_eq!(answers.len(), 1, "{text:?}");
        let answer: Value = serde_json::from_str(&answers[0]).unwrap();
        assert!(answer["error"].is_string(), "{text:?} {answer}");
    }
    // Who only looks whether somebody listens is no attacker.
    publish::tcp(daemon.control, "");
    publish::tcp(daemon.control, format!("auth {SECRET}\na=end"));
    assert_eq!(stream.data(), "end");
    assert_eq!(refused(&daemon), table.len() as u64);
    daemon.wait_for_log("refused: the secret is wrong");
    daemon.wait_for_log("refused: the first line must be auth SECRET");
    assert!(!daemon.log().contains("3cret"), "{}", daemon.log());
}

#[test]
fn it_must_be_said_within_ten_seconds() {
    let daemon = guarded("");
    let started = Instant::now();
    let mut half = Connection::to(daemon.control);
    let mut silent = Connection::to(daemon.control);
    let mut known = Connection::to(daemon.control);
    half.send(format!("auth {SECRET}").as_bytes());
    known.send(format!("auth {SECRET}\n").as_bytes());
    let answer: Value = serde_json::from_str(&half.line()).unwrap();
    assert!(answer["error"].as_str().unwrap().contains("10 seconds"));
    assert_eq!(half.rest(), b"");
    // It may belong to an HTTP client that keeps a spare one.
    assert_eq!(silent.rest(), b"");
    assert!(started.elapsed() > Duration::from_secs(9));
    let mut stream = daemon.subscribe("subscribe=a");
    known.send(b"a=x\n");
    assert_eq!(stream.data(), "x");
}

#[test]
fn http_asks_for_a_bearer() {
    let daemon = guarded("");
    let mut stream = daemon.subscribe("subscribe=a");
    for fields in [
        String::new(),
        bearer("wrong"),
        bearer(&SECRET[1..]),
        format!("Authorization: Basic {SECRET}\r\n"),
        format!("Authorization: {SECRET}\r\n"),
        "Authorization: Bearer\r\n".to_owned(),
    ] {
        for line in [
            "POST /publish/a",
            "POST /publish",
            "GET /status",
            "GET /nowhere",
        ] {
            let answer = request(&daemon, line, &fields);
            assert_eq!(answer.status, 401, "{line} {fields} {answer:?}");
            assert_eq!(answer.header("www-authenticate").as_deref(), Some("Bearer"));
            assert!(answer.json()["error"].is_string());
        }
        let health = request(&daemon, "GET /healthz", &fields);
        assert_eq!((health.status, health.body.as_str()), (200, "ok"));
        assert_ne!(request(&daemon, "GET /", &fields).status, 401);
    }
    // A page that forged the request would not know it, so who asks for what does not matter.
    let own = format!("Host: {}", daemon.control);
    for fields in [
        own.clone(),
        "Host: hasses.example.org".to_owned(),
        format!("{own}\r\nOrigin: https://admin.example.org"),
    ] {
        for scheme in ["Bearer", "bearer"] {
            let text = format!(
                "POST /publish/a HTTP/1.1\r\n{fields}\r\nAuthorization: {scheme} {SECRET}\r\n\
                 Content-Length: 1\r\n\r\nx"
            );
            let answer = Connection::to(daemon.control)
                .send(text.as_bytes())
                .response();
            assert_eq!(answer.status, 200, "{text} {answer:?}");
            assert_eq!(stream.data(), "x");
        }
    }
}

#[test]
fn files_guard_the_pipe_and_unix_sockets() {
    let daemon = guarded("--fifo {dir}/in --control unix:{dir}/socket");
    let mut stream = daemon.subscribe("subscribe=a");
    publish::fifo(&daemon.file("in"), "a=pipe\n");
    assert_eq!(stream.data(), "pipe");
    publish::unix(&daemon.file("socket"), "a=socket\n");
    assert_eq!(stream.data(), "socket");
    // A script that always says it is not punished, nor is what it says shown.
    publish::fifo(&daemon.file("in"), format!("auth {SECRET}\na=pipe\n"));
    assert_eq!(stream.data(), "pipe");
    publish::unix(&daemon.file("socket"), format!("auth {SECRET}\na=socket\n"));
    assert_eq!(stream.data(), "socket");
    assert_eq!(refused(&daemon), 0);
    assert!(!daemon.log().contains("3cret"), "{}", daemon.log());
}

#[test]
fn where_none_is_asked_for_it_may_be_said() {
    let daemon = Daemon::start("--log-level debug --max-message 100");
    let mut stream = daemon.subscribe("subscribe=a&token=auth%20a");
    publish::tcp(daemon.control, format!("auth {SECRET}\r\na=text\n"));
    assert_eq!(stream.data(), "text");
    let body = format!("{}Content-Length: 4\r\n\r\nhttp", bearer(SECRET));
    let text = format!("POST /publish/a HTTP/1.1\r\nHost: localhost\r\n{body}");
    let answer = Connection::to(daemon.control)
        .send(text.as_bytes())
        .response();
    assert_eq!(answer.status, 200);
    assert_eq!(stream.data(), "http");
    // A token may be named like that.
    publish::tcp(daemon.control, "auth a=message\n");
    assert_eq!(stream.data(), "message");
    publish::tcp(
        daemon.control,
        format!("auth s3cret{}\na=end\n", "x".repeat(9999)),
    );
    assert_eq!(stream.data(), "end");
    assert!(!daemon.log().contains("3cret"), "{}", daemon.log());
}

#[test]
fn silence_does_not_cut_it() {
    let daemon = started("-p={listen} -cp={control} -nodaemon");
    let open = Daemon::command_line("-p={listen} -cp={control} -nodaemon");
    for daemon in [&daemon, &open] {
        let mut stream = daemon.subscribe("subscribe=a");
        let mut slow = Connection::to(daemon.control);
        for piece in ["auth /s3c", "ret+Key", &format!("_1=\na={}", "sent")] {
            slow.send(piece.as_bytes());
            // Longer than the silence that ends a message, which is what is looked at.
            std::thread::sleep(Duration::from_millis(120));
        }
        // The message behind it is ended by silence.
        assert_eq!(stream.data(), "sent");
        drop(slow);
        publish::tcp(daemon.control, format!("auth {SECRET}\na=end"));
        assert_eq!(stream.data(), "end");
        assert!(!daemon.log().contains("ret+Key"), "{}", daemon.log());
    }
}

#[test]
fn it_is_read_again() {
    let daemon = guarded("");
    let mut stream = daemon.subscribe("subscribe=a");
    let mut known = Connection::to(daemon.control);
    known.send(format!("auth {SECRET}\na=first\n").as_bytes());
    assert_eq!(stream.data(), "first");
    let reload = |text: &str, told: &str| {
        fs::write(daemon.file("secret"), text).unwrap();
        daemon.signal(Signal::SIGHUP);
        daemon.wait_for_log(told)
    };
    let status = |secret| request(&daemon, "GET /status", &bearer(secret)).status;
    let told = reload("\n", "the settings stay as they were");
    assert!(
        told.contains("--control-secret /") && told.contains("empty"),
        "{told}"
    );
    assert_eq!((status(SECRET), status("")), (200, 401));

    let mut old = Connection::to(daemon.control);
    let text = format!(
        "GET /status HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
        bearer(SECRET)
    );
    assert_eq!(old.send(text.as_bytes()).response().status, 200);
    reload("another", "settings read again");
    assert_eq!((status(SECRET), status("another")), (401, 200));
    let answers = publish::talk_tcp(daemon.control, format!("auth {SECRET}\na=old\n"));
    assert!(answers[0].starts_with("{\"error\":"), "{answers:?}");
    // In HTTP each request brings it; text, once it is known to be good, goes on.
    assert_eq!(old.send(text.as_bytes()).response().status, 401);
    known.send(b"a=still known\n");
    assert_eq!(stream.data(), "still known");
    publish::tcp(daemon.control, "auth another\na=new");
    assert_eq!(stream.data(), "new");

    fs::remove_file(daemon.file("secret")).unwrap();
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for_log("No such file");
    assert_eq!(status("another"), 200);
}

#[test]
fn to_ask_for_none_any_more_is_warned_about() {
    let line = "--listen 127.0.0.1:{listen} --control 127.0.0.1:{control} --config {dir}/conf";
    let daemon = Daemon::prepared(line, |place| {
        write_secret(place);
        place.write("conf", "--control-secret {dir}/secret\n");
    });
    assert_eq!(request(&daemon, "GET /status", "").status, 401);
    fs::write(daemon.file("conf"), "").unwrap();
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for_log("--control-secret is not given any more");
    daemon.wait_for_log("settings read again");
    assert_eq!(request(&daemon, "GET /status", "").status, 200);
}

#[test]
fn it_is_shown_nowhere() {
    let daemon = guarded("");
    let pid = daemon.pid();
    for file in ["cmdline", "environ"] {
        let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("3cret"), "{file}");
    }
    let commands = "status\nclientlist\ntcpstatus\ntcpclientlist\n";
    let answers = publish::talk_tcp(daemon.control, format!("auth {SECRET}\n{commands}"));
    assert!(answers.len() > 4, "{answers:?}");
    assert!(!answers.concat().contains("3cret"), "{answers:?}");
    let status = request(&daemon, "GET /status", &bearer(SECRET));
    assert!(!status.body.contains("3cret"));
    request(&daemon, "POST /publish/%zz", &bearer(SECRET));
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for_log("settings read again");
    assert!(!daemon.log().contains("3cret"), "{}", daemon.log());
}

#[test]
fn with_one_an_open_port_is_no_longer_warned_about() {
    let warning = "asks for no secret";
    let open = Daemon::command_line("--listen 127.0.0.1:{listen} --control 0.0.0.0:{control}");
    open.wait_for_log(warning);
    let mut guarded = started("--listen 127.0.0.1:{listen} --control 0.0.0.0:{control}");
    // Its first lines say how one publishes there.
    guarded.wait_for_log("(echo \"auth $(cat '/");
    guarded.stop();
    assert!(!guarded.log().contains(warning), "{}", guarded.log());
}
