//! Publishers by HTTP/2, on the control addresses.

use std::process::Command;

use nix::sys::signal::Signal;
use support::{Daemon, needs, run};

use crate::tls::site::Site;
use support::http2::{
    Client, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM, field, request,
};

/// Posts a body in these parts.
fn post(client: &mut Client, stream: u32, path: &str, fields: &[(&str, &str)], parts: &[&str]) {
    let mut block = request("POST", path);
    for (name, value) in fields {
        field(name, value, &mut block);
    }
    client.send(HEADERS, END_HEADERS, stream, &block);
    for (place, part) in parts.iter().enumerate() {
        let last = place + 1 == parts.len();
        let flags = if last { END_STREAM } else { 0 };
        client.send(DATA, flags, stream, part.as_bytes());
    }
}

/// The answer's body, to its end.
fn body(client: &mut Client, stream: u32) -> String {
    let mut text = String::new();
    loop {
        let frame = client.next(DATA);
        assert_eq!(frame.stream, stream);
        text += std::str::from_utf8(&frame.payload).unwrap();
        if frame.flags & END_STREAM != 0 {
            return text;
        }
    }
}

#[test]
fn messages_are_published_whatever_is_said_of_their_length() {
    let daemon = Daemon::start("");
    let mut stream = daemon.subscribe("subscribe=a");
    let mut client = Client::to(daemon.control);
    let parts: [&[&str]; 4] = [
        &["one"],
        &["t", "wo"],
        &["th", "", "ree"],
        &["fo", "ur", ""],
    ];
    let mut id = 1;
    for (parts, said) in parts
        .iter()
        .flat_map(|parts| [(parts, false), (parts, true)])
    {
        let data = parts.concat();
        let length = data.len().to_string();
        let fields = [("content-length", &*length)];
        let fields = if said { &fields[..] } else { &[] };
        post(&mut client, id, "/publish/a", fields, parts);
        assert_eq!(client.next(HEADERS).payload[0], 0x88, "200");
        assert!(body(&mut client, id).contains("\"recipients\":1"));
        assert_eq!(stream.data(), data);
        id += 2;
    }
    let json = r#"[{"to":"a","data":"five"},{"to":"a","data":"six"}]"#;
    let fields = [("content-type", "application/json")];
    post(&mut client, id, "/publish", &fields, &[json]);
    assert_eq!(client.next(HEADERS).payload[0], 0x88, "200");
    assert!(body(&mut client, id).starts_with('['));
    assert_eq!([stream.data(), stream.data()], ["five", "six"]);
    // A fault ends its own stream.
    post(&mut client, id + 2, "/publish", &fields, &["[{]"]);
    assert_eq!(client.next(HEADERS).payload[0], 0x8c, "400");
    assert!(body(&mut client, id + 2).starts_with(r#"{"error":""#));
    client.get(id + 4, "/healthz");
    assert_eq!(body(&mut client, id + 4), "ok");
}

#[test]
fn a_body_that_is_larger_than_the_windows_comes_whole() {
    let daemon = Daemon::start("");
    let mut stream = daemon.subscribe("subscribe=a");
    let mut client = Client::to(daemon.control);
    let data = "x".repeat(300_000);
    client.post_at_length(1, &request("POST", "/publish/a"), data.as_bytes());
    assert_eq!(stream.data(), data);
    assert_eq!(client.next(HEADERS).payload[0], 0x88, "200");
}

#[test]
fn answers_that_go_on_share_a_connection_with_others() {
    let mut daemon = Daemon::start("");
    let mut client = Client::to(daemon.control);
    client.get(1, "/events?token=a");
    client.hear(1, "id: ");
    client.get(3, "/live");
    client.hear(3, "data: ");
    post(&mut client, 5, "/publish/a", &[], &["x"]);
    client.hear(1, "data: x\n\n");
    daemon.signal(Signal::SIGTERM);
    let (mut ended, mut goaway) = (Vec::new(), false);
    while let Some(frame) = client.try_frame() {
        if frame.kind == DATA && frame.flags & END_STREAM != 0 {
            ended.push(frame.stream);
        }
        goaway |= frame.kind == GOAWAY && frame.reason() == 0;
    }
    ended.retain(|stream| *stream != 5);
    ended.sort_unstable();
    assert_eq!((ended, goaway), (vec![1, 3], true));
    assert!(daemon.wait_for_exit().success());
}

#[test]
fn each_request_shows_the_secret() {
    let daemon = Daemon::prepared(
        "--listen 127.0.0.1:{listen} --control 127.0.0.1:{control} --control-secret {dir}/secret",
        |place| place.write("secret", "open-sesame"),
    );
    let mut client = Client::to(daemon.control);
    post(&mut client, 1, "/publish/a", &[], &["x"]);
    let refused = client.next(HEADERS);
    assert!(
        refused.payload.windows(3).any(|part| part == b"401"),
        "{refused:?}"
    );
    body(&mut client, 1);
    let fields = [("authorization", "Bearer open-sesame")];
    post(&mut client, 3, "/publish/a", &fields, &["x"]);
    assert_eq!(client.next(HEADERS).payload[0], 0x88, "200");
    // What a page of another site could have asked is refused as it is otherwise.
    let foreign = [("origin", "https://evil.example")];
    body(&mut client, 3);
    post(&mut client, 5, "/publish/a", &foreign, &["x"]);
    let refused = client.next(HEADERS);
    assert!(
        refused.payload.windows(3).any(|part| part == b"403"),
        "{refused:?}"
    );
}

/// A stream counts as a connection does: who has sent no whole request is given up first.
#[test]
fn streams_count_as_publishers() {
    let daemon = Daemon::start("--max-publishers 4");
    let mut greedy = Client::to(daemon.control);
    for stream in 0..4 {
        let id = 2 * stream + 1;
        let block = request("POST", "/publish/a");
        greedy.send(HEADERS, END_HEADERS, id, &block);
    }
    greedy.send(PING, 0, 0, b"all came");
    greedy.next(PING);
    // Its streams have all places; the next is given up for nobody but for one of them.
    let mut other = Client::to(daemon.control);
    post(&mut other, 1, "/publish/a", &[], &["x"]);
    assert_eq!(other.next(HEADERS).payload[0], 0x88, "200");
    assert_eq!(greedy.next(RST_STREAM).reason(), 8, "CANCEL");
    // One streamed answer is a quarter.
    other.get(3, "/live");
    other.hear(3, "data: ");
    other.get(5, "/live");
    let refused = other.next(HEADERS);
    assert!(
        refused.payload.windows(3).any(|part| part == b"503"),
        "{refused:?}"
    );
}

/// Real programs, by what TLS agrees on, and text beside them.
#[test]
fn curl_and_text_share_an_address_with_tls() {
    needs!("curl", "openssl");
    let site = Site::all_tls("");
    let mut stream = site.subscribe("subscribe=a");
    let (ca, port) = (site.daemon.file("ca.pem"), site.daemon.control.port());
    let url = format!("https://localhost:{port}/publish/a");
    for version in ["--http2", "--http1.1"] {
        let arguments = ["-sS", version, "--cacert", ca.to_str().unwrap()];
        let data = ["-d", version, "-w", " %{http_version}", &url];
        let answer = run("curl", &[&arguments[..], &data[..]].concat());
        let answer = String::from_utf8(answer.stdout).unwrap();
        let expected = version.trim_start_matches("--http");
        assert!(answer.ends_with(&format!(" {expected}")), "{answer}");
        assert_eq!(stream.data(), version);
    }
    use std::io::Write;
    let mut text = site.connect(site.daemon.control);
    text.write_all(b"a=by text\n").unwrap();
    assert_eq!(stream.data(), "by text");
}

/// Node says no length of a body.
#[test]
fn node_publishes() {
    needs!("node");
    let daemon = Daemon::start("");
    let mut stream = daemon.subscribe("subscribe=a");
    let script = format!(
        "const s = require('http2').connect('http://{}');
         const r = s.request({{':method': 'POST', ':path': '/publish/a'}}); r.setEncoding('utf8');
         r.on('response', h => console.log(h[':status'])); r.on('data', d => console.log(d));
         r.on('end', () => s.close()); r.write('by '); r.end('node');",
        daemon.control
    );
    let answer = Command::new("node").args(["-e", &script]).output().unwrap();
    let answer = String::from_utf8(answer.stdout).unwrap();
    assert!(answer.starts_with("200\n{\"id\":"), "{answer}");
    assert_eq!(stream.data(), "by node");
}
