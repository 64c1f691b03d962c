//! The libraries that pages and programs use. Some have the standard's rule that a block without data is no event
//! (WHATWG HTML §9.2.6), and some do not: for those there is `positions=0`.

use std::process::Command;

use serde_json::Value;
use support::{Daemon, Program, eventually, needs, publish};

use super::TESTS;

/// A script that subscribes with several libraries at once.
struct Script {
    command: fn() -> Command,
    /// All its libraries.
    names: &'static [&'static str],
    /// Those that show each block as a message.
    without_the_rule: &'static [&'static str],
}

const NODE: Script = Script {
    command: || {
        let mut command = Command::new("node");
        command.arg(format!("{TESTS}/clients/libraries/node.mjs"));
        command
    },
    names: &["eventsource 2", "eventsource 3", "eventsource 4"],
    without_the_rule: &[],
};

const BROWSER: Script = Script {
    command: || {
        let mut command = Command::new("node");
        command.arg(format!("{TESTS}/clients/libraries/browser.mjs"));
        command
    },
    names: &[
        "EventSource",
        "event-source-polyfill",
        "extended-eventsource",
        "fetch-event-source",
        "sse.js",
    ],
    without_the_rule: &["extended-eventsource", "fetch-event-source"],
};

const PYTHON: Script = Script {
    command: || {
        let mut command = Command::new(format!("{TESTS}/python/bin/python"));
        command.arg(format!("{TESTS}/clients/libraries/python.py"));
        command
    },
    names: &[
        "aiohttp-sse-client",
        "httpx-sse",
        "requests",
        "sseclient",
        "sseclient-py",
    ],
    without_the_rule: &["httpx-sse", "sseclient"],
};

/// The type and the data of each message that a library showed.
fn shown(script: &Program, name: &str) -> Vec<(String, String)> {
    let text = script.output();
    let start = format!("{name}: {{");
    let complete = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n') && line.starts_with(&start));
    let messages = complete.map(|line| {
        let message: Value = serde_json::from_str(&line[start.len() - 1..]).unwrap();
        let part = |key: &str| message[key].as_str().unwrap_or_default().to_owned();
        (part("type"), part("data"))
    });
    messages.filter(|(kind, _)| kind != "open").collect()
}

/// Each library gets what is published, and nothing else, also across a restart of the daemon.
fn each_gets_the_events(script: &Script, further: &str) {
    let mut daemon =
        Daemon::start("--heartbeat 1 --retry 300 --history-file {dir}/history --log-level debug");
    let url = format!("http://{}/sse?token=room{further}", daemon.listen);
    let mut command = (script.command)();
    let program = Program::start(command.arg(url).arg(daemon.file("profile")));
    daemon.wait_for_clients(script.names.len());
    let events = [
        ("message", "two\nlines; ü 🎉"),
        ("news", ""),
        ("message", r#"{"n":1}"#),
        ("message", "after the restart"),
    ];
    let publish = |(kind, data): (&str, &str)| {
        let target = match kind {
            "message" => "room".to_owned(),
            kind => format!("room?event={kind}"),
        };
        publish::http(daemon.control, &target, data);
    };
    // Two heartbeats come before, between and after them.
    let mut own = daemon.subscribe("subscribe=room");
    let mut beats = || {
        for _ in 0..2 {
            while !own.block().unwrap().is_position() {}
        }
    };
    beats();
    events[..2].iter().copied().for_each(publish);
    beats();
    publish(events[2]);
    beats();
    daemon.stop();
    daemon.start_again();
    publish::http(daemon.control, "room", events[3].1);
    for name in script.names {
        eventually(&format!("{name} has all"), || {
            let shown = shown(&program, name);
            let has_last = shown.iter().any(|(_, data)| data == events[3].1);
            has_last.then_some(())
        });
    }
    for name in script.names {
        let mut shown = shown(&program, name);
        let may_be_empty =
            script.without_the_rule.contains(name) && (further.is_empty() || *name == "sseclient");
        if may_be_empty {
            // sseclient takes the last chunk of an answer (RFC 9112 §7.1) for a block, too.
            shown.retain(|(kind, data)| kind != "message" || !data.is_empty());
        }
        let events = events.map(|(kind, data)| (kind.to_owned(), data.to_owned()));
        assert_eq!(shown, events, "{name}, {further:?}");
    }
}

#[test]
fn for_node() {
    needs!(
        "node",
        "npm:eventsource",
        "npm:eventsource2",
        "npm:eventsource4"
    );
    each_gets_the_events(&NODE, "");
}

#[test]
fn for_node_without_positions() {
    needs!(
        "node",
        "npm:eventsource",
        "npm:eventsource2",
        "npm:eventsource4"
    );
    each_gets_the_events(&NODE, "&positions=0");
}

#[test]
fn for_browsers() {
    needs!("node", "chromium", "npm:playwright-core", "npm:sse.js");
    each_gets_the_events(&BROWSER, "");
}

#[test]
fn for_browsers_without_positions() {
    needs!("node", "chromium", "npm:playwright-core", "npm:sse.js");
    each_gets_the_events(&BROWSER, "&positions=0");
}

#[test]
fn for_python() {
    needs!("pip:httpx_sse", "pip:sseclient", "pip:aiohttp_sse_client");
    each_gets_the_events(&PYTHON, "");
}

#[test]
fn for_python_without_positions() {
    needs!("pip:httpx_sse", "pip:sseclient", "pip:aiohttp_sse_client");
    each_gets_the_events(&PYTHON, "&positions=0");
}
