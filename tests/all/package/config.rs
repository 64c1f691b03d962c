//! `/etc/hasses/hasses.conf`: it has every option, with the values that hold without it.

use std::fs;

use support::Port;
use support::{run, temp_dir};

/// The options that stand in no config file, or that systemd's unit makes needless.
const ELSEWHERE: [&str; 6] = ["check", "config", "daemon", "help", "pidfile", "user"];

/// The options of the file, with their values and whether they hold.
fn options() -> Vec<(&'static str, &'static str, bool)> {
    let text = include_str!("../../../examples/debian/hasses.conf");
    let options = text.lines().filter_map(|line| {
        let option = line.trim_start_matches('#').strip_prefix("--")?;
        let (name, value) = option.split_once(' ').unwrap_or((option, ""));
        Some((name, value, line.starts_with("--")))
    });
    options.collect()
}

/// The options of `hasses help all`, with their defaults where those are told as they are typed.
fn known() -> Vec<(String, Option<String>)> {
    let help = run(env!("CARGO_BIN_EXE_hasses"), &["help", "all"]).stdout;
    let help = String::from_utf8(help).unwrap();
    let options = help.split("\n  --").skip(1).map(|option| {
        let name = option.split([' ', ',']).next().unwrap().to_owned();
        let default = option
            .split_once("(default ")
            .and_then(|(_, rest)| rest.split_once(')'));
        let default = default.map(|(value, _)| value.to_owned());
        let typed = default
            .filter(|value| !value.contains(' ') && !["none", "off"].contains(&value.as_str()));
        (name, typed)
    });
    options.collect()
}

#[test]
fn it_has_every_option_with_its_default() {
    let options = options();
    let known = known();
    assert!(known.len() > 30, "{known:?}");
    for (name, default) in &known {
        if ELSEWHERE.contains(&name.as_str()) {
            continue;
        }
        let found = options.iter().find(|(found, ..)| found == name);
        let (_, value, holds) = found.unwrap_or_else(|| panic!("--{name} is missing"));
        if let Some(default) = default {
            assert_eq!((*value, *holds), (default.as_str(), false), "--{name}");
        }
    }
    for (name, ..) in options {
        assert!(
            known.iter().any(|(known, _)| known == name),
            "--{name} is no option"
        );
    }
}

#[test]
fn every_line_of_it_can_be_used() {
    let dir = temp_dir();
    let path = dir.path().to_str().unwrap();
    // These need files, a group and a Redis that are not there yet.
    let lacking = [
        "bus",
        "bus-down",
        "control-secret",
        "group",
        "mercure",
        "mercure-anonymous",
        "mercure-cookie",
        "mercure-issuer",
        "mercure-origin",
        "mercure-publish-key",
        "mercure-subscribe-key",
        "mercure-subscriptions",
        "mercure-version",
        "subscribe-key",
        "tls-cert",
        "tls-key",
        "watch-secret",
    ];
    let lines = options()
        .into_iter()
        .filter(|(name, ..)| !lacking.contains(name));
    let mut text: String = lines
        .map(|(name, value, _)| format!("--{name} {value}\n"))
        .collect();
    for folder in ["/run/hasses", "/var/lib/hasses", "/var/log/hasses"] {
        text = text.replace(folder, path);
    }
    let ports = ["8080", "8085"].map(|port| (port, Port::reserve()));
    for (port, free) in &ports {
        text = text.replace(port, &free.number().to_string());
    }
    let file = dir.path().join("hasses.conf");
    fs::write(&file, text).unwrap();
    let output = run(
        env!("CARGO_BIN_EXE_hasses"),
        &["--config", file.to_str().unwrap(), "--check"],
    );
    assert_eq!(output.stdout, b"configuration ok\n");
}
