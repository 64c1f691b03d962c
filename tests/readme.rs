//! What README.md shows works as it stands there.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use support::readme::{Snippet, snippets};
use support::{Daemon, Program};

fn of_kind(kind: &str) -> Vec<Snippet> {
    let found: Vec<Snippet> = snippets()
        .into_iter()
        .filter(|snippet| snippet.kind == kind)
        .collect();
    assert!(!found.is_empty(), "README.md has no {kind}");
    found
}

#[test]
fn its_first_two_minutes() {
    let daemon = Daemon::start("");
    let subscriber = &of_kind("subscriber")[0];
    let subscriber = Program::start(&mut subscriber.in_background(&daemon));
    daemon.wait_for_clients(1);
    let publisher = &of_kind("publish")[0];
    publisher.run(&daemon);
    subscriber.wait_for(&format!("data: {}", publisher.published()[0]));
}

#[test]
fn its_publishers() {
    let daemon = Daemon::start("--fifo {dir}/in");
    let mut stream = daemon.subscribe("subscribe=room1");
    for snippet in of_kind("publish") {
        let written = snippet.run(&daemon);
        for text in snippet.published() {
            assert_eq!(stream.data(), text, "{snippet:?}");
        }
        if snippet.text.contains("\"ack\":true") {
            assert!(written.starts_with("{\"id\":"), "{written}");
        }
    }
    // Each published what it shows, and nothing more.
    support::publish::http(daemon.control, "room1", "end");
    assert_eq!(stream.data(), "end");
}

#[test]
fn its_publishers_with_a_secret() {
    let line = "--listen 127.0.0.1:{listen} --control 127.0.0.1:{control} \
                --control-secret {dir}/secret";
    let daemon = Daemon::prepared(line, |place| place.write("secret", "0123456789abcdef\n"));
    let mut stream = daemon.subscribe("subscribe=room1");
    for snippet in of_kind("secret") {
        snippet.run(&daemon);
        for text in snippet.published() {
            assert_eq!(stream.data(), text, "{snippet:?}");
        }
    }
}

#[test]
fn its_hook_for_certificates() {
    let daemon = Daemon::start("");
    let folder = daemon.file("");
    let mut hook = of_kind("hook").remove(0);
    // There is no group of this name here, and no systemd.
    hook.text = hook.text.replace(" -g hasses", "");
    let write = |name: &str, text: &str| fs::write(daemon.file(name), text).unwrap();
    write("fullchain.pem", "chain");
    write("privkey.pem", "key");
    write("hook", &hook.text_for(&daemon));
    write(
        "systemctl",
        "#!/bin/sh\necho \"$@\" > \"$RENEWED_LINEAGE/told\"\n",
    );
    let runnable = Permissions::from_mode(0o755);
    fs::set_permissions(daemon.file("systemctl"), runnable).unwrap();
    let path = format!("{}:{}", folder.display(), env::var("PATH").unwrap());
    let status = Command::new("sh")
        .arg("-e")
        .arg(daemon.file("hook"))
        .env("PATH", path)
        .env("RENEWED_LINEAGE", &folder)
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(daemon.text_of("told"), "reload hasses\n");
    for (name, text) in [("cert.pem", "chain"), ("key.pem", "key")] {
        let metadata = fs::metadata(daemon.file(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o640);
        assert_eq!(daemon.text_of(name), text);
    }
}

#[test]
fn its_command() {
    let daemon = Daemon::start("");
    for snippet in of_kind("command") {
        let answer = snippet.run(&daemon);
        assert!(answer.starts_with("------- status of hasses"), "{answer}");
    }
}

#[test]
fn its_options_are_those_of_the_program() {
    let readme = include_str!("../README.md");
    let help = support::run(env!("CARGO_BIN_EXE_hasses"), &["--help"]);
    let help = String::from_utf8(help.stdout).unwrap();
    let options = |text: &str| -> std::collections::BTreeSet<String> {
        text.split("--")
            .skip(1)
            .map(|rest| {
                let end = rest.find(|char: char| !char.is_ascii_lowercase() && char != '-');
                rest[..end.unwrap_or(rest.len())].to_owned()
            })
            .filter(|name| {
                !name.is_empty()
                    && !name.starts_with('-')
                    && !["opt", "option"].contains(&name.as_str())
            })
            .collect()
    };
    let table = readme.split("## Options").nth(1).unwrap();
    let table = table.split("\n## ").next().unwrap();
    let (told, known) = (options(table), options(&help));
    let told: Vec<&String> = told.iter().collect();
    for option in &told {
        assert!(known.contains(*option), "--{option} is in README.md alone");
    }
    for option in &known {
        assert!(told.contains(&option), "--{option} is missing in README.md");
    }
}
