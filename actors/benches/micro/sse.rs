//! Encoding an event once, for all who get it.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use hasses_actors::model::EventId;
use hasses_actors::wire::sse::Frame;

/// One line of so many bytes.
#[divan::bench(args = [10, 100, 10_000])]
fn one_line(bencher: Bencher, bytes: usize) {
    let text = "x".repeat(bytes);
    let id = EventId(1_700_000_000_000_000);
    bencher
        .counter(BytesCount::new(bytes))
        .bench(|| Frame::event(id, None, black_box(&text)));
}

/// A hundred lines of ten bytes, with a name.
#[divan::bench]
fn many_lines(bencher: Bencher) {
    let text = "123456789\n".repeat(100);
    let id = EventId(1_700_000_000_000_000);
    bencher
        .counter(BytesCount::of_str(text.as_str()))
        .bench(|| Frame::event(id, Some("update"), black_box(&text)));
}
