//! The programs that people use: curl, both netcats, PHP, Python, Node's EventSource, a browser.

mod firefox;
mod libraries;

use std::fs;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::json;
use support::readme::snippets;
use support::{Daemon, Program, eventually, needs, publish, run, temp_dir};

const TESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/page/index.html");

/// Runs a line of shell in which `{host}`, `{port}` and `{dir}` are filled in.
fn shell(daemon: &Daemon, line: &str) -> String {
    let line = line
        .replace("{port}", &daemon.control.port().to_string())
        .replace("{host}", "127.0.0.1")
        .replace("{dir}", daemon.file("").to_str().unwrap());
    String::from_utf8(run("sh", &["-c", &line]).stdout).unwrap()
}

#[test]
fn curl_subscribes_and_publishes() {
    needs!("curl");
    let mut daemon = Daemon::start("");
    let url = format!("http://{}/sse?subscribe=room1", daemon.listen);
    let mut readers = ["--http1.1", "--http1.0"]
        .map(|version| Program::start(Command::new("curl").args(["-sSN", version, &url])));
    daemon.wait_for_clients(2);
    let publishers = [
        "curl -sS -d 'one & two' http://{host}:{port}/publish/room1",
        "printf 'p;q=r' | curl -sS --data-binary @- http://{host}:{port}/publish/room1",
        "head -c 5000 /dev/zero | tr '\\0' z | curl -sS -d @- http://{host}:{port}/publish/room1",
        "curl -sS -d x=y --http1.0 http://{host}:{port}/publish/room1",
        "curl -sS -X POST http://{host}:{port}/publish/room1",
        "curl -sS -d 'by name' http://localhost:{port}/publish/room1",
    ];
    for line in publishers {
        let answer: serde_json::Value = serde_json::from_str(&shell(&daemon, line)).unwrap();
        assert_eq!(answer["recipients"], 2, "{line}");
    }
    let shown = ["one & two", "p;q=r", "zzzz", "x=y", "", "by name"];
    for reader in &readers {
        for data in shown {
            reader.wait_for(&format!("data: {data}"));
        }
    }
    daemon.signal(Signal::SIGTERM);
    for reader in &mut readers {
        let status = reader.wait_for_end();
        assert!(status.success(), "{status}: {}", reader.output());
    }
    assert!(daemon.wait_for_exit().success());
}

#[test]
fn both_netcats() {
    needs!("nc.openbsd", "nc.traditional");
    let daemon = Daemon::start("--control unix:{dir}/control");
    let mut stream = daemon.subscribe("subscribe=room1");
    let publishers = [
        "echo 'room1=x' | nc.openbsd -N {host} {port}",
        "echo 'room1=x' | nc.openbsd -q0 {host} {port}",
        "printf 'room1=x' | nc.openbsd -N {host} {port}",
        "printf 'room1=x;' | nc.openbsd -w1 {host} {port}",
        "echo 'room1=x' | nc.openbsd -N -U {dir}/control",
        "echo 'room1=x' | nc.traditional -q0 {host} {port}",
        "printf 'room1=x' | nc.traditional -q0 {host} {port}",
        "printf 'room1=x;' | nc.traditional -w1 {host} {port}",
    ];
    for line in publishers {
        shell(&daemon, line);
        assert_eq!(stream.data(), "x", "{line}");
    }
    for line in [
        "echo tcpnumberofclients | nc.openbsd -N {host} {port}",
        "echo tcpnumberofclients | nc.openbsd -N -U {dir}/control",
        "echo tcpnumberofclients | nc.traditional -q1 {host} {port}",
    ] {
        assert_eq!(shell(&daemon, line), "{\"numberofclients\":1}\n", "{line}");
    }
}

#[test]
fn php_with_a_bare_socket() {
    needs!("php");
    for options in ["", "-p={listen} -cp={control} -nodaemon"] {
        let daemon = match options {
            "" => Daemon::start(""),
            old => Daemon::command_line(old),
        };
        let mut stream = daemon.subscribe("subscribe=room1");
        let port = daemon.control.port().to_string();
        let script = format!("{TESTS}/clients/socket.php");
        for message in ["room1=x", "room1=x;", "room1=x\n"] {
            run("php", &[&script, "127.0.0.1", &port, message]);
            assert_eq!(stream.data(), "x", "{message:?}");
        }
    }
}

#[test]
fn the_eventsource_package() {
    needs!("node", "npm:eventsource");
    let daemon = Daemon::start("--retry 100");
    let url = format!("http://{}/sse?subscribe=room1", daemon.listen);
    let script = format!("{TESTS}/clients/eventsource.mjs");
    let reader = Program::start(Command::new("node").args([&script, &url, "news"]));
    reader.wait_for("open");
    daemon.wait_for_clients(1);
    let wait = |kind: &str, id: u64, data: &str| {
        let event = json!({"type": kind, "data": data, "lastEventId": id.to_string()});
        let line = reader.wait_for(&id.to_string());
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&line).unwrap(),
            event
        );
    };
    let (id, _) = publish::http(daemon.control, "room1", "two\nlines; é");
    wait("message", id, "two\nlines; é");
    let (id, _) = publish::http(daemon.control, "room1?event=news", "");
    wait("news", id, "");
}

#[test]
fn an_eventsource_comes_back() {
    needs!("node", "npm:eventsource");
    let daemon = Daemon::start("--retry 100");
    let url = format!("http://{}/sse?subscribe=room1&id=me", daemon.listen);
    let script = format!("{TESTS}/clients/eventsource.mjs");
    let reader = Program::start(Command::new("node").args([&script, &url]));
    reader.wait_for("open");
    publish::talk_tcp(daemon.control, "disconnect:me\n");
    reader.wait_for("error, state 0");
    eventually("its return", || {
        (publish::http(daemon.control, "room1", "again").1 == 1).then_some(())
    });
    reader.wait_for("\"again\"");
}

fn browser(daemon: &Daemon, arguments: &[&str], texts: &[String]) -> Program {
    let script = format!("{TESTS}/clients/browser.mjs");
    let page = format!(
        "file://{PAGE}?token=room1&server=http://{}/sse",
        daemon.listen
    );
    Program::start(
        Command::new("node")
            .args([&script, &page, daemon.file("chromium").to_str().unwrap()])
            .args(arguments)
            .args(texts),
    )
}

/// Waits until it has shown everything and has closed its browser, which would write on otherwise.
fn closes(mut browser: Program) {
    let status = browser.wait_for_end();
    assert!(status.success(), "{}", browser.last_words());
}

#[test]
fn a_browser_shows_what_everyone_publishes() {
    needs!(
        "node",
        "chromium",
        "npm:playwright-core",
        "curl",
        "nc",
        "php",
        "python3"
    );
    let daemon = Daemon::start("--fifo {dir}/in");
    let publishers: Vec<_> = snippets()
        .into_iter()
        .filter(|snippet| snippet.kind == "publish")
        .collect();
    let texts: Vec<String> = publishers.iter().flat_map(|one| one.published()).collect();
    let browser = browser(&daemon, &[], &texts);
    browser.wait_for("ready");
    for publisher in publishers {
        publisher.run(&daemon);
    }
    for text in &texts {
        browser.wait_for(&format!("shown {text}"));
    }
    closes(browser);
}

#[test]
fn the_two_lines_for_a_browser() {
    needs!("node", "chromium", "npm:playwright-core");
    let daemon = Daemon::start("");
    let snippets = snippets();
    let script = snippets.iter().find(|one| one.kind == "browser").unwrap();
    let file = daemon.file("script.js");
    std::fs::write(&file, script.text_for(&daemon)).unwrap();
    let text = "hello to the console".to_owned();
    let arguments = ["--script", file.to_str().unwrap()];
    let browser = browser(&daemon, &arguments, std::slice::from_ref(&text));
    browser.wait_for("ready");
    // The page itself is a subscriber too.
    daemon.wait_for_clients(2);
    publish::http(daemon.control, "room1", &text);
    browser.wait_for(&format!("shown {text}"));
    closes(browser);
}

#[test]
fn the_page_tries_again_after_an_error_status() {
    needs!("node", "chromium", "npm:playwright-core");
    let dir = temp_dir();
    let key = dir.path().join("key");
    fs::write(&key, "k".repeat(32)).unwrap();
    let mut daemon = Daemon::start(&format!("--subscribe-key {}", key.display()));
    let text = "hello after all".to_owned();
    let browser = browser(&daemon, &[], std::slice::from_ref(&text));
    browser.wait_for("answer 401");
    daemon.signal(Signal::SIGTERM);
    daemon.wait_for_exit();
    let second = Daemon::command_line(&format!(
        "--listen {} --control 127.0.0.1:{{control}}",
        daemon.listen
    ));
    browser.wait_for("ready");
    publish::http(second.control, "room1", &text);
    browser.wait_for(&format!("shown {text}"));
    closes(browser);
}
