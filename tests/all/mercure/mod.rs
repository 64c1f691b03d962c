//! `--mercure`: a hub of the Mercure protocol.
mod attacks;
mod clients;
mod http2;
mod hub;
mod nodes;
mod one_space;
mod restart;
mod starting;

use std::process::Command;

use support::{Program, needs, run};

use hub::{AUDIENCE, Hub, KEY};

/// Cases of the protocol that could run against any hub; the fewest that there must be.
const FEWEST: usize = 80;

#[test]
fn the_cases_of_the_protocol() {
    needs!("node");
    let hub = Hub::start("--mercure-anonymous --mercure-subscriptions");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/mercure/run.mjs");
    let url = hub.url();
    let output = Command::new("timeout")
        .args(["100", "node", script, "--url", &url, "--key", KEY])
        .args(["--audience", AUDIENCE])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let bad: Vec<&str> = told
        .lines()
        .filter(|line| !line.starts_with("ok "))
        .collect();
    assert!(output.status.success(), "{bad:#?} {output:?}");
    let passed = told.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(passed >= FEWEST, "{told}");
}

#[test]
fn a_query_may_be_the_body() {
    needs!("curl");
    let hub = Hub::start("--mercure-anonymous");
    let url = hub.url();
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let mut curl = Command::new("curl");
        curl.args([
            "-sNi",
            version,
            "-X",
            "QUERY",
            "-d",
            "match=a&match=b",
            &url,
        ]);
        let curl = Program::start(&mut curl);
        curl.wait_for("id: #");
        hub.publish("topic=b&data=for a query");
        curl.wait_for("data: for a query");
    }
    for (kind, length, status) in [
        ("application/json", 7, 415),
        ("application/x-www-form-urlencoded", 33 * 1024, 413),
    ] {
        let answer = hub.daemon.ask(format!(
            "QUERY /.well-known/mercure HTTP/1.1\r\nHost: h\r\nContent-Type: {kind}\r\n\
             Content-Length: {length}\r\n\r\nmatch=a"
        ));
        assert_eq!(answer.status, status, "{answer:?}");
    }
    let elsewhere = "QUERY /sse HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(hub.daemon.ask(elsewhere).status, 405);
}

#[test]
fn curl_publishes_and_subscribes() {
    needs!("curl");
    let hub = Hub::start("--mercure-anonymous");
    let mut stream = hub.stream("topic=https://example.org/books/{id}", "");
    let bearer = format!("Authorization: Bearer {}", hub::ALL_7);
    let fields = [
        "--data-urlencode",
        "topic=https://example.org/books/1",
        "-d",
        "data=x",
    ];
    let url = hub.url();
    let answer = run(
        "curl",
        &[&["-sS", "-H", &bearer], &fields[..], &[&url]].concat(),
    );
    let id = String::from_utf8(answer.stdout).unwrap();
    let event = stream.event();
    assert_eq!((event.data.as_deref(), event.id), (Some("x"), Some(id)));
}
