//! What README.md shows works as it stands there.

use std::env;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::thread;
use std::time::Instant;

use nix::sys::signal::Signal;

use support::readme::{Snippet, snippets};
use support::{Daemon, Program, needs};

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
    needs!("curl", "nc");
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
    needs!("curl", "nc", "php", "python3", "node");
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
fn what_its_publishers_get_no_answer_to_may_be_published() {
    needs!("php", "python3", "node");
    let daemon = Daemon::start("");
    let mut stream = daemon.subscribe("subscribe=room1");
    let mut snippets = of_kind("publish");
    snippets.retain(|snippet| snippet.text.contains("not confirmed"));
    assert_eq!(snippets.len(), 3);
    daemon.signal(Signal::SIGSTOP);
    let told: Vec<String> = thread::scope(|scope| {
        let told = |snippet| {
            let (begun, daemon) = (Instant::now(), &daemon);
            scope.spawn(move || {
                let snippet: &Snippet = snippet;
                let told = snippet.told(daemon);
                format!("{told} after {} s", begun.elapsed().as_secs() / 10)
            })
        };
        let threads: Vec<_> = snippets.iter().map(told).collect();
        let ended = threads.into_iter().map(|thread| thread.join().unwrap());
        ended.collect()
    });
    daemon.signal(Signal::SIGCONT);
    for told in told {
        assert!(told.contains("not confirmed"), "{told}");
        assert!(told.ends_with(" after 0 s"), "{told}");
    }
    let mut published: Vec<String> = snippets.iter().flat_map(Snippet::published).collect();
    let mut came: Vec<String> = published.iter().map(|_| stream.data()).collect();
    published.sort();
    came.sort();
    assert_eq!(came, published);
}

#[test]
fn its_publishers_tell_a_refusal_from_no_answer() {
    needs!("php", "python3", "node");
    let line = "--listen 127.0.0.1:{listen} --control 127.0.0.1:{control} \
                --control-secret {dir}/control-secret";
    let daemon = Daemon::prepared(line, |place| {
        place.write("control-secret", "0123456789abcdef\n")
    });
    let mut snippets = of_kind("publish");
    snippets.retain(|snippet| snippet.text.contains("not confirmed"));
    assert_eq!(snippets.len(), 3);
    for snippet in snippets {
        let told = snippet.told(&daemon);
        assert!(told.contains("refused: "), "{told}");
        assert!(told.contains("{\"error\":"), "{told}");
        assert!(!told.contains("not confirmed"), "{told}");
    }
}

#[test]
fn its_backend_says_when_it_cannot_sign() {
    needs!("php");
    let daemon = Daemon::start("");
    let mut snippet = of_kind("sign").remove(0);
    assert_eq!(snippet.language, "php");
    snippet.text = snippet.text.replace(
        "<?php\n",
        "<?php\nregister_shutdown_function(fn () => print(http_response_code()));\n",
    );
    assert_eq!(snippet.told(&daemon), "cannot read the secret500");
}

#[test]
fn its_second_try_publishes_once() {
    needs!("curl", "openssl");
    let daemon = Daemon::start("");
    let mut stream = daemon.subscribe("subscribe=room1");
    // The first answer does not arrive.
    let lossy = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = lossy.local_addr().unwrap().port();
    let control = daemon.control;
    let lost = thread::spawn(move || {
        for times in 0..2 {
            let (mut client, _) = lossy.accept().unwrap();
            let mut hasses = TcpStream::connect(control).unwrap();
            let mut request = [0; 4096];
            let mut length = 0;
            while !request[..length].ends_with(b"hello, once") {
                length += client.read(&mut request[length..]).unwrap();
            }
            hasses.write_all(&request[..length]).unwrap();
            let mut answer = [0; 4096];
            let length = hasses.read(&mut answer).unwrap();
            if times == 1 {
                client.write_all(&answer[..length]).unwrap();
            }
        }
    });
    let mut snippet = of_kind("repeat").remove(0);
    snippet.text = snippet.text.replace("8085", &port.to_string());
    let told = snippet.run(&daemon);
    lost.join().unwrap();
    assert!(told.contains("\"repeated\":true"), "{told}");
    support::publish::http(daemon.control, "room1", "end");
    assert_eq!([stream.data(), stream.data()], ["hello, once", "end"]);
}

#[test]
fn its_publishers_with_a_secret() {
    needs!("curl", "nc", "php", "python3", "node");
    let line = "--listen 127.0.0.1:{listen} --control 127.0.0.1:{control} \
                --control-secret {dir}/control-secret";
    let daemon = Daemon::prepared(line, |place| {
        place.write("control-secret", "0123456789abcdef\n")
    });
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

/// A daemon with a secret in its directory, and further options.
fn with_secret(options: &str) -> Daemon {
    let arguments = format!(
        "--listen 127.0.0.1:{{listen}} --control 127.0.0.1:{{control}} \
         --subscribe-key {{dir}}/key {options}"
    );
    Daemon::prepared(&arguments, |place| {
        place.write("key", "5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e\n");
    })
}

#[test]
fn its_secret() {
    needs!("openssl");
    let daemon = Daemon::start("");
    let mut snippet = of_kind("key").remove(0);
    // Not everybody may give a file away.
    let folder = daemon.file("made");
    snippet.text = snippet
        .text
        .replace(" && chgrp www-data /etc/hasses/secret", "")
        .replace("/etc/hasses", folder.to_str().unwrap());
    // Made where it is missing, and left where it is there.
    for _ in 0..2 {
        snippet.run(&daemon);
        assert_eq!(daemon.text_of("made/secret").trim_end().len(), 64);
        let mode = |name: &str| {
            let metadata = fs::metadata(daemon.file(name)).unwrap();
            metadata.permissions().mode() & 0o777
        };
        assert_eq!(mode("made"), 0o755);
        assert_eq!(mode("made/secret"), 0o640);
    }
}

#[test]
fn its_signed_urls() {
    needs!("php", "python3", "node");
    let daemon = with_secret("");
    for snippet in of_kind("sign") {
        let query = snippet.run(&daemon);
        let mut stream = daemon.subscribe(query.trim_end());
        support::publish::http(daemon.control, "room1?except=7", "not for 7");
        support::publish::http(daemon.control, "room1", &snippet.language);
        assert_eq!(stream.data(), snippet.language);
    }
}

#[test]
fn its_jwts() {
    needs!("php", "python3", "node");
    let daemon = with_secret("");
    for snippet in of_kind("jwt") {
        let jwt = snippet.run(&daemon);
        let mut stream = daemon.subscribe(&format!("subscribe=news-room_1&auth={jwt}"));
        support::publish::http(daemon.control, "news?except=7", "not for 7");
        support::publish::http(daemon.control, "room_1", "x");
        assert_eq!(stream.data(), "x");
        let other = format!("GET /sse?subscribe=room2&auth={jwt} HTTP/1.0\r\n\r\n");
        assert_eq!(daemon.ask(other).status, 403);
    }
}

#[test]
fn its_page_goes_on_with_a_new_url_when_the_old_one_has_expired() {
    needs!("node", "npm:eventsource");
    let daemon = with_secret("--retry 100");
    let key = daemon.file("key");
    let sign = |time: &str| {
        let arguments = ["sign", "--key", key.to_str().unwrap(), "--for", time];
        let query = [&arguments[..], &["subscribe=room1&id=7&ping=1"]].concat();
        let signed = support::run(env!("CARGO_BIN_EXE_hasses"), &query).stdout;
        std::fs::write(daemon.file("query"), signed.trim_ascii_end()).unwrap();
    };
    let script = daemon.file("page.mjs");
    std::fs::write(&script, of_kind("page")[0].text_for(&daemon)).unwrap();
    sign("3s");
    let client = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/page.mjs");
    let mut command = std::process::Command::new("node");
    let page = Program::start(command.arg(client).arg(script).arg(daemon.file("query")));
    daemon.wait_for_clients(1);
    support::publish::http(daemon.control, "room1", "first");
    page.wait_for("first");
    // Its own URL brings it back until that has expired; then it asks for another, and goes on
    // after the last event that it had.
    sign("1h");
    support::eventually("the page's second question", || {
        support::publish::talk_tcp(daemon.control, "disconnect:7\n");
        (daemon.log().contains("the URL expired")).then_some(())
    });
    support::publish::http(daemon.control, "room1", "missed");
    page.wait_for("missed");
    let written = page.output();
    assert_eq!(written.matches("asked").count(), 2, "{written}");
    assert_eq!(written.matches("first").count(), 1, "{written}");
}

#[test]
fn its_ways_to_watch() {
    needs!("curl", "nc");
    let daemon = Daemon::start("");
    let status = of_kind("status")[0].run(&daemon);
    assert!(status.starts_with("version "), "{status}");
    let live = Program::start(&mut of_kind("live")[0].in_background(&daemon));
    live.wait_for("data: {\"time\":");
    let answer = support::Connection::to(daemon.control)
        .send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .response();
    let told = |name: &str| {
        include_str!("../../examples/watching/README.md").contains(&format!("`{name}"))
    };
    let names = answer.body.lines();
    for name in names.filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = name.split(' ').next().unwrap();
        assert!(
            told(name),
            "{name} is missing in examples/watching/README.md"
        );
    }
}

#[test]
fn its_options_are_those_of_the_program() {
    let readme = include_str!("../../README.md");
    let help = support::run(env!("CARGO_BIN_EXE_hasses"), &["help", "all"]);
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

/// Where a link leads, and a line without what is code in it.
fn links(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for (_, rest) in line
            .match_indices("](")
            .map(|(at, _)| line.split_at(at + 2))
        {
            found.extend(rest.split_once(')').map(|(target, _)| target.to_owned()));
        }
    }
    found
}

/// A heading as it stands in a link, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = |char: char| char.is_alphanumeric() || " -_".contains(char);
    let text: String = heading.chars().filter(|char| kept(*char)).collect();
    text.trim().to_lowercase().replace(' ', "-")
}

#[test]
fn links_lead_somewhere() {
    let top = std::path::Path::new(support::TOP);
    let mut pages = vec![
        top.join("README.md"),
        top.join("examples/README.md"),
        top.join("tests/bench/README.md"),
    ];
    for entry in fs::read_dir(top.join("examples")).unwrap() {
        pages.push(entry.unwrap().path().join("README.md"));
    }
    for page in pages.iter().filter(|page| page.exists()) {
        let text = fs::read_to_string(page).unwrap();
        for link in links(&text) {
            if link.starts_with("http") {
                continue;
            }
            let (file, part) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{}: {link}", page.display());
            if !part.is_empty() {
                let there = fs::read_to_string(&target).unwrap();
                let mut headings = there.lines().filter(|line| line.starts_with('#'));
                assert!(
                    headings.any(|line| anchor(line.trim_start_matches('#')) == part),
                    "{}: {link}",
                    page.display()
                );
            }
        }
    }
}

#[test]
fn no_token_of_its_examples_is_split() {
    let mut pages = support::readme::pages();
    for name in ["hasses.php", "hasses.py", "sse.js"] {
        pages
            .push(fs::read_to_string(format!("{}/examples/clients/{name}", support::TOP)).unwrap());
    }
    for page in pages {
        assert!(!page.contains("user-42"), "{page}");
    }
}

#[test]
fn the_readme_is_short_enough_to_be_read() {
    let lines = include_str!("../../README.md").lines().count();
    assert!(lines < 350, "{lines}");
}
