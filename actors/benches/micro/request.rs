//! Reading a subscriber's request.

use divan::{Bencher, black_box};
use hasses_actors::wire::http::Reader;

/// What Chromium sends.
const BROWSER: &[u8] = b"GET /sse?subscribe=room1-user624&id=17 HTTP/1.1\r\n\
    Host: example.org\r\nConnection: keep-alive\r\nsec-ch-ua-platform: \"Linux\"\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/140.0.0.0 Safari/537.36\r\nsec-ch-ua: \"Chromium\";v=\"140\"\r\n\
    Accept: text/event-stream\r\nCache-Control: no-cache\r\nsec-ch-ua-mobile: ?0\r\n\
    Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n\
    Referer: https://example.org/\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9\r\nLast-Event-ID: 1700000000000000\r\n\r\n";

/// In one piece.
#[divan::bench]
fn whole() -> bool {
    let read = Reader::new().read(black_box(BROWSER));
    read.unwrap().is_some()
}

/// In pieces of so many bytes.
#[divan::bench(args = [1, 100])]
fn in_pieces(bencher: Bencher, bytes: usize) {
    bencher.bench(|| {
        let mut reader = Reader::new();
        let ends = (bytes..BROWSER.len()).step_by(bytes).chain([BROWSER.len()]);
        let heads = ends.filter(|end| reader.read(black_box(&BROWSER[..*end])).unwrap().is_some());
        heads.count()
    });
}
