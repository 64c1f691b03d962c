//! From a publisher's bytes to messages.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use hasses_actors::wire::command;
use hasses_actors::wire::text::{Piece, Splitter};

const MAX_MESSAGE: usize = 1 << 20;

/// Cutting a portion of 64 KiB into pieces.
#[divan::bench(args = [10, 100, 1000])]
fn split(bencher: Bencher, bytes: usize) {
    let message = format!("room1={};", "x".repeat(bytes));
    let portion = message.repeat(65_536 / message.len());
    let mut splitter = Splitter::new(b';', MAX_MESSAGE);
    bencher
        .counter(BytesCount::of_str(portion.as_str()))
        .counter(ItemsCount::new(65_536 / message.len()))
        .bench_local(|| {
            let mut pieces = 0;
            let mut count = |_: Piece<'_>| pieces += 1;
            splitter.feed(black_box(portion.as_bytes()), &mut count);
            pieces
        });
}

/// Reading a piece as a message of 100 bytes, by its kind of address.
#[divan::bench(args = ["room1", "room1-r17", "room*", "*"])]
fn parse(bencher: Bencher, address: &str) {
    let piece = format!("{address}={}", "x".repeat(100));
    let mut lossy_utf8 = 0;
    bencher
        .bench_local(|| command::parse(black_box(piece.as_bytes()), MAX_MESSAGE, &mut lossy_utf8));
}
