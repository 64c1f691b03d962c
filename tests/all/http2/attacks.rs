//! What a peer may do with frames to have the daemon work, or remember, more than it does itself.

use std::io::Write;
use std::time::{Duration, Instant};

use support::{Daemon, publish};

use support::http2::{
    CONTINUATION, Client, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, field, frame, request,
};

const PROTOCOL: u32 = 1;
const FLOW_CONTROL: u32 = 3;
const REFUSED: u32 = 7;
const CALM: u32 = 11;

/// Writes these bytes again and again until the daemon has enough of it; the reason that it gives.
/// Somebody else is served meanwhile.
fn flood(daemon: &Daemon, mut client: Client, mut bytes: impl FnMut(u32) -> Vec<u8>) -> u32 {
    let mut stream = daemon.subscribe("subscribe=bystander");
    let before = daemon.resident_kib();
    let ended = (0..200_000).find(|&round| client.socket.write_all(&bytes(round)).is_err());
    assert!(ended.is_some(), "it went on for ever");
    publish::http(daemon.control, "bystander", "x");
    assert_eq!(stream.data(), "x");
    let grown = daemon.resident_kib().saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB");
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        match client.try_frame() {
            Some(frame) if frame.kind == GOAWAY => return frame.reason(),
            Some(_) => {}
            // What was on its way when it was closed may take the reason with it.
            None => return CALM,
        }
    }
    panic!("it is not closed");
}

#[test]
fn floods_of_frames_end_the_connection() {
    let daemon = Daemon::start("");
    let one = |kind, flags, stream, payload: &[u8]| frame(kind, flags, stream, payload);
    for bytes in [
        one(SETTINGS, 0, 0, &[]),
        one(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff]),
        one(PING, 0, 0, b"12345678"),
        one(PRIORITY, 0, 1, &[0, 0, 0, 3, 1]),
        one(DATA, 0, 1, &[]),
        one(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
        one(0x77, 0, 0, b"unknown"),
    ] {
        let mut client = Client::to(daemon.listen);
        client.send(HEADERS, END_HEADERS, 1, &request("GET", "/sse?subscribe=a"));
        let reason = flood(&daemon, client, |_| bytes.repeat(10));
        assert_eq!(reason, CALM, "{bytes:?}");
    }
}

/// CVE-2023-44487: streams that are begun and reset at once.
#[test]
fn rapid_resets_end_the_connection() {
    let daemon = Daemon::start("");
    let client = Client::to(daemon.listen);
    let reason = flood(&daemon, client, |round| {
        let stream = 2 * round + 1;
        let block = request("GET", "/sse?subscribe=a");
        let mut bytes = frame(HEADERS, END_HEADERS | END_STREAM, stream, &block);
        bytes.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        bytes
    });
    assert_eq!(reason, CALM);
    daemon.wait_for_clients(1 - 1);
}

/// CVE-2025-8671: streams that the daemon has to reset, for faults that are made on purpose.
#[test]
fn faults_on_purpose_end_the_connection() {
    let daemon = Daemon::start("");
    let client = Client::to(daemon.listen);
    let reason = flood(&daemon, client, |round| {
        let stream = 2 * round + 1;
        let block = request("GET", "/sse?subscribe=a");
        let mut bytes = frame(HEADERS, END_HEADERS | END_STREAM, stream, &block);
        bytes.extend(frame(WINDOW_UPDATE, 0, stream, &[0; 4]));
        bytes
    });
    assert_eq!(reason, CALM);
}

/// CVE-2024-27316: a header block without an end.
#[test]
fn a_header_block_without_an_end_ends_the_connection() {
    let daemon = Daemon::start("");
    for part in [&b""[..], &[0; 1000]] {
        let mut client = Client::to(daemon.listen);
        client.send(HEADERS, 0, 1, &request("GET", "/sse?subscribe=a"));
        let reason = flood(&daemon, client, |_| {
            frame(CONTINUATION, 0, 1, part).repeat(10)
        });
        assert_eq!(reason, CALM);
    }
}

/// A few bytes that stand for very much: a large field of the table, named very often.
#[test]
fn a_bomb_of_fields_is_too_large_and_costs_no_memory() {
    let daemon = Daemon::start("");
    let mut client = Client::to(daemon.listen);
    let before = daemon.resident_kib();
    for stream in [1, 3, 5] {
        let mut block = request("GET", "/sse?subscribe=a");
        if stream == 1 {
            // With the length in three bytes: 3,900.
            block.extend([0x40, 1, b'a', 0x7f, 0xbd, 0x1d]);
            block.extend([b'x'; 127 + 61 + 29 * 128]);
        }
        block.extend([0xbe; 8000]);
        client.send(HEADERS, END_HEADERS | END_STREAM, stream, &block);
        let head = client.next(HEADERS);
        assert!(
            head.payload.windows(3).any(|part| part == b"431"),
            "{head:?}"
        );
    }
    assert!(daemon.resident_kib() < before + 4096);
    // The connection goes on, and so does its table.
    client.subscribe(7, "subscribe=a");
}

#[test]
fn games_with_windows_are_lost() {
    let daemon = Daemon::start("");
    let mut client = Client::to(daemon.listen);
    client.subscribe(1, "subscribe=a");
    client.window(1, 0);
    assert_eq!(client.next(RST_STREAM).reason(), PROTOCOL);
    client.subscribe(3, "subscribe=a");
    client.window(3, (1 << 31) - 1);
    let reset = client.next(RST_STREAM);
    assert_eq!((reset.stream, reset.reason()), (3, FLOW_CONTROL));
    client.window(0, 0);
    assert_eq!(client.goaway(), PROTOCOL);
    for (settings, reason) in [(&[(4, 1 << 31)][..], FLOW_CONTROL), (&[(5, 16)], PROTOCOL)] {
        let mut client = Client::to(daemon.listen);
        client.settings(settings);
        assert_eq!(client.goaway(), reason);
    }
    // A window that is taken back below zero: nothing is sent until it is open again.
    let mut client = Client::to(daemon.listen);
    client.subscribe(1, "subscribe=a");
    client.settings(&[(4, 0)]);
    client.next(SETTINGS);
    publish::http(daemon.control, "a", "late");
    assert_eq!(client.frame_within(Duration::from_millis(200)), None);
    client.settings(&[(4, 65_535)]);
    client.hear(1, "data: late");
}

#[test]
fn there_are_a_hundred_streams_at_most() {
    let daemon = Daemon::start("");
    let mut client = Client::to(daemon.listen);
    for stream in 0..100 {
        client.subscribe(2 * stream + 1, "subscribe=a");
    }
    client.get(201, "/sse?subscribe=a");
    let reset = client.next(RST_STREAM);
    assert_eq!((reset.stream, reset.reason()), (201, REFUSED));
    assert_eq!(publish::http(daemon.control, "a", "x").1, 100);
}

/// Who reads nothing at all costs what its streams may have waiting, and no more.
#[test]
fn a_connection_that_is_not_read_is_given_up() {
    let daemon = Daemon::start("--client-buffer 65536 --history 0");
    let mut client = Client::with(daemon.listen, &[(4, 1 << 30)]);
    client.window(0, 1 << 30);
    for stream in 0..10 {
        client.subscribe(2 * stream + 1, "subscribe=a");
    }
    let before = daemon.resident_kib();
    let text = "x".repeat(20_000);
    for _ in 0..400 {
        publish::http(daemon.control, "a", &text);
    }
    daemon.wait_for_clients(0);
    let grown = daemon.resident_kib().saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB");
}

#[test]
fn requests_that_are_none_are_refused_one_by_one() {
    let daemon = Daemon::start("");
    let mut client = Client::to(daemon.listen);
    let mut stream = 1;
    for (name, value) in [
        ("Accept", "x"),
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("a", "x\r\nb: y"),
        (":path", "/other"),
    ] {
        let mut block = request("GET", "/sse?subscribe=a");
        field(name, value, &mut block);
        client.send(HEADERS, END_HEADERS | END_STREAM, stream, &block);
        let reset = client.next(RST_STREAM);
        assert_eq!((reset.stream, reset.reason()), (stream, PROTOCOL), "{name}");
        stream += 2;
    }
    client.subscribe(stream, "subscribe=a");
}
