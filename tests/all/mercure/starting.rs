//! Options, keys and the environment of the reference hub.

use std::process::Command;

use nix::sys::signal::Signal;
use support::{Daemon, eventually, hasses};

use super::hub::{ALL_7, ALL_8, AUDIENCE, Hub, KEY};

/// What a start says that must fail with this code.
fn fails(arguments: &[&str], code: i32) -> String {
    let output = Command::new(hasses()).args(arguments).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?} {told}");
    told
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    for (arguments, named) in [
        (&["--mercure", AUDIENCE][..], "--mercure-subscribe-key"),
        (&["--mercure", AUDIENCE], "--mercure-anonymous"),
        (&["--mercure-anonymous"], "--mercure-anonymous"),
        (
            &["--mercure-origin", "https://a.example"],
            "--mercure-origin",
        ),
        (
            &["--mercure", "example.org", "--mercure-anonymous"],
            "public URL",
        ),
        (
            &[
                "--mercure",
                AUDIENCE,
                "--mercure-anonymous",
                "--mercure-version",
                "9",
            ],
            "7 (0.x) or 8",
        ),
        (
            &[
                "--mercure",
                AUDIENCE,
                "--mercure-anonymous",
                "--mercure-origin",
                "*",
            ],
            "must be named",
        ),
        (
            &[
                "--mercure",
                AUDIENCE,
                "--mercure-anonymous",
                "--mercure-cookie",
                "a b",
            ],
            "cookie",
        ),
    ] {
        let told = fails(arguments, 2);
        assert!(told.contains(named), "{arguments:?} {told}");
    }
    let told = fails(
        &[
            "--mercure",
            AUDIENCE,
            "--mercure-subscribe-key",
            "/nowhere/key",
        ],
        1,
    );
    assert!(told.contains("/nowhere/key"), "{told}");
}

#[test]
fn a_new_key_holds_after_sighup() {
    let hub = Hub::start("--mercure-anonymous");
    hub.publish("topic=a&data=x");
    std::fs::write(hub.daemon.file("key"), "another key, of 32 bytes and a few").unwrap();
    hub.daemon.signal(Signal::SIGHUP);
    let bearer = format!("Authorization: Bearer {ALL_8}\r\n");
    eventually("the old key holds no longer", || {
        (hub.post("topic=a&data=x", &bearer).status == 401).then_some(())
    });
    std::fs::write(hub.daemon.file("key"), KEY).unwrap();
    hub.daemon.signal(Signal::SIGHUP);
    eventually("it holds again", || {
        (hub.post("topic=a&data=x", &bearer).status == 200).then_some(())
    });
}

#[test]
fn one_version_alone() {
    let hub = Hub::start("--mercure-anonymous --mercure-version 8");
    assert_eq!(hub.get("?topic=a", "").status, 400);
    assert_eq!(
        hub.post("topic=a", &format!("Authorization: Bearer {ALL_7}\r\n"))
            .status,
        401
    );
    hub.publish("topic=a&data=x");
    let hub = Hub::start("--mercure-anonymous --mercure-version 7");
    assert_eq!(hub.get("?match=a", "").status, 400);
    assert_eq!(
        hub.post("topic=a", &format!("Authorization: Bearer {ALL_8}\r\n"))
            .status,
        401
    );
    hub.publish_by("topic=a&data=x", ALL_7);
}

#[test]
fn without_a_publishers_key_nobody_publishes() {
    let daemon = Daemon::start(&format!("--mercure {AUDIENCE} --mercure-anonymous"));
    daemon.wait_for_log("--mercure-publish-key");
    let hub = Hub { daemon };
    assert_eq!(
        hub.post("topic=a", &format!("Authorization: Bearer {ALL_8}\r\n"))
            .status,
        403
    );
    // A token means nothing where there is no key for it.
    hub.stream("match=a", &format!("Authorization: Bearer {ALL_8}\r\n"));
}

#[test]
fn the_environment_of_the_reference_hub() {
    let environment = format!(
        "export SERVER_NAME=':80' MERCURE_PUBLISHER_JWT_KEY='{KEY}' MERCURE_PUBLISHER_JWT_ALG=HS256 \
         MERCURE_SUBSCRIBER_JWT_KEY='{KEY}' MERCURE_TRANSPORT_URL=bolt://x \
         MERCURE_TRUSTED_ISSUERS=https://localhost \
         MERCURE_EXTRA_DIRECTIVES='anonymous\nsubscriptions\nresource_identifier {AUDIENCE}\ndemo'"
    );
    let daemon = Daemon::start_after(&environment, "");
    for named in ["MERCURE_TRANSPORT_URL", "demo is not known"] {
        daemon.wait_for_log(named);
    }
    let hub = Hub { daemon };
    let mut stream = hub.stream("match=a", "");
    hub.publish("topic=a&data=x");
    assert_eq!(stream.data(), "x");
    let list = hub.get(
        "/subscriptions",
        &format!("Authorization: Bearer {ALL_8}\r\n"),
    );
    assert_eq!(list.status, 200);
}

#[test]
fn the_image_takes_the_place_of_the_reference_hubs() {
    let file = include_str!("../../../examples/docker/Dockerfile.mercure");
    let entry = file
        .lines()
        .find_map(|line| line.strip_prefix("ENTRYPOINT "));
    let words: Vec<String> = serde_json::from_str(entry.unwrap()).unwrap();
    let options = words[1..].join(" ").replace("/data", "{dir}");
    let environment = format!(
        "export SERVER_NAME=:{{listen}} MERCURE_PUBLISHER_JWT_KEY='{KEY}' MERCURE_SUBSCRIBER_JWT_KEY='{KEY}' \
         MERCURE_EXTRA_DIRECTIVES='anonymous\npublic_urls {AUDIENCE}'"
    );
    let daemon = Daemon::with_environment(&environment, &options);
    let hub = Hub { daemon };
    let mut stream = hub.stream("match=a", "");
    hub.publish("topic=a&data=x");
    assert_eq!(stream.data(), "x");
}

#[test]
fn without_the_option_there_is_no_hub() {
    let daemon = Daemon::start("");
    let hub = Hub { daemon };
    assert_eq!(hub.get("?match=a", "").status, 404);
    assert_eq!(hub.post("topic=a", "").status, 404);
}
