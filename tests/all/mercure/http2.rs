//! The hub by HTTP/2.

use super::hub::{ALL_8, Hub, PATH};
use support::http2::{Client, DATA, END_HEADERS, END_STREAM, HEADERS, field, request};

/// The fields of a request that publishes a form.
fn update() -> Vec<u8> {
    let mut block = request("POST", PATH);
    field("authorization", &format!("Bearer {ALL_8}"), &mut block);
    let form = "application/x-www-form-urlencoded";
    field("content-type", form, &mut block);
    block
}

#[test]
fn updates_are_published_whatever_is_said_of_their_length() {
    let hub = Hub::start("--mercure-anonymous");
    let mut client = Client::to(hub.daemon.listen);
    client.get(1, &format!("{PATH}?match=t"));
    client.hear(1, "id: ");
    let form = "topic=t&data=two+words";
    for (stream, length) in [(3, None), (5, Some(form.len().to_string()))] {
        let mut block = update();
        if let Some(length) = &length {
            field("content-length", length, &mut block);
        }
        client.send(HEADERS, END_HEADERS, stream, &block);
        let (begin, end) = form.split_at(9);
        client.send(DATA, 0, stream, begin.as_bytes());
        client.send(DATA, END_STREAM, stream, end.as_bytes());
        // Either may come first.
        let (mut status, mut heard) = (0, String::new());
        while status == 0 || !heard.contains("data: two words\n\n") {
            let frame = client.try_frame().unwrap();
            match (frame.kind, frame.stream) {
                (HEADERS, _) => status = frame.payload[0],
                (DATA, 1) => heard += std::str::from_utf8(&frame.payload).unwrap(),
                _ => {}
            }
        }
        assert_eq!(status, 0x88, "200");
    }
}

#[test]
fn an_update_that_is_larger_than_the_windows_comes_whole() {
    let hub = Hub::start("--mercure-anonymous");
    let mut stream = hub.stream("match=t", "");
    let mut client = Client::to(hub.daemon.listen);
    let block = update();
    let data = "x".repeat(300_000);
    client.post_at_length(1, &block, format!("topic=t&data={data}").as_bytes());
    assert_eq!(client.next(HEADERS).payload[0], 0x88, "200");
    assert_eq!(stream.event().data, Some(data));
}

/// A request may be as large as it may be by HTTP/1: 32 KiB in its line, and in its fields.
#[test]
fn large_requests_are_taken() {
    let hub = Hub::start("--mercure-anonymous");
    let mut client = Client::to(hub.daemon.listen);
    let query = vec![format!("match={}", "t".repeat(3000)); 10].join("&");
    for (stream, cookie, status) in [(1, 30_000, "200"), (3, 34_000, "431")] {
        let mut block = request("GET", &format!("{PATH}?{query}"));
        field("x-filler", &"x".repeat(cookie), &mut block);
        field("authorization", &format!("Bearer {ALL_8}"), &mut block);
        let mut parts = block.chunks(16_000).peekable();
        let mut kind = HEADERS;
        while let Some(part) = parts.next() {
            let end = parts.peek().is_none();
            let flags = if end { END_HEADERS } else { 0 };
            let flags = flags | if kind == HEADERS { END_STREAM } else { 0 };
            client.send(kind, flags, stream, part);
            kind = support::http2::CONTINUATION;
        }
        let head = client.next(HEADERS).payload;
        match status {
            "200" => assert_eq!(head[0], 0x88, "{head:?}"),
            _ => assert!(head.windows(3).any(|part| part == b"431"), "{head:?}"),
        }
    }
}
