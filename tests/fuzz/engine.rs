//! Feeds a check with kept inputs, then with changed ones.

use std::any::Any;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, fs, io};

use fastrand::Rng;
use hasses_actors::model::Token;

use crate::mutate::mutate;

/// Checks the inputs of `folders`, then so many changed ones or, in a long run, as many as there is
/// time for. The `Rng` that `check` gets is made of the input's own seed, so all of it can be
/// repeated.
pub(crate) fn fuzz(
    name: &str,
    folders: &[&str],
    inputs: u64,
    mut check: impl FnMut(&[u8], &mut Rng),
) {
    let corpus = corpus(folders);
    for input in &corpus {
        attempt(name, 0, input, &mut Rng::with_seed(0), &mut check);
    }
    let time = number("HASSES_FUZZ_SECONDS").map(Duration::from_secs);
    let first = number("HASSES_FUZZ_SEED").unwrap_or_else(|| match time {
        Some(_) => fastrand::u64(1..1 << 48),
        None => 1,
    });
    let begun = Instant::now();
    let mut done = 0;
    while time.map_or(done < inputs, |time| begun.elapsed() < time) {
        let seed = first + done;
        let mut rng = Rng::with_seed(seed);
        let input = mutate(&corpus, &mut rng);
        attempt(name, seed, &input, &mut rng, &mut check);
        done += 1;
    }
    if time.is_some() {
        // Past the harness, which hides what a test that succeeds prints.
        let line = format!("{name}: {done} inputs from seed {first} on\n");
        io::stderr().write_all(line.as_bytes()).unwrap();
    }
}

/// All kept inputs, in an order that is always the same.
pub(crate) fn corpus(folders: &[&str]) -> Vec<Vec<u8>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut paths = Vec::new();
    for folder in folders {
        let entries = fs::read_dir(corpus.join(folder)).unwrap();
        paths.extend(entries.map(|entry| entry.unwrap().path()));
    }
    paths.sort();
    let read = |path| fs::read(path).unwrap();
    paths.iter().map(read).collect()
}

fn number(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    Some(value.parse().unwrap())
}

fn attempt(
    name: &str,
    seed: u64,
    input: &[u8],
    rng: &mut Rng,
    check: &mut impl FnMut(&[u8], &mut Rng),
) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(input, rng))) {
        panic!(
            "{name}, HASSES_FUZZ_SEED={seed}: {}\nthe input: b\"{}\"",
            text(&*panic),
            input.escape_ascii()
        );
    }
}

fn text(panic: &dyn Any) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic")
}

/// The input in portions: byte by byte, or in a few of any length, of which some may be empty.
pub(crate) fn portions<'a>(input: &'a [u8], rng: &mut Rng) -> Vec<&'a [u8]> {
    if rng.u8(..) < 64 {
        return input.chunks(1).collect();
    }
    let mut ends: Vec<_> = (0..rng.usize(1..6))
        .map(|_| rng.usize(..=input.len()))
        .collect();
    ends.push(input.len());
    ends.sort_unstable();
    let mut start = 0;
    ends.iter()
        .map(|end| {
            let portion = &input[start..*end];
            start = *end;
            portion
        })
        .collect()
}

/// That an error text is one line, and short, whatever came in.
pub(crate) fn assert_safe(text: &str) {
    assert!(!text.contains(char::is_control), "a control character");
    assert!(text.len() < 1200, "an error of {} bytes", text.len());
}

/// That a name which was taken has 1 to 255 bytes and no control character.
pub(crate) fn assert_name(name: &str) {
    assert_text(name, 255);
}

/// That a token has no `*` either. Parsers take one of 4,096 bytes, as with --mercure it may have them.
pub(crate) fn assert_token(token: &Token) {
    assert_text(token.as_str(), 4096);
    assert!(!token.as_str().contains('*'), "a star in {token}");
}

fn assert_text(text: &str, most: usize) {
    assert!((1..=most).contains(&text.len()), "{} bytes", text.len());
    assert!(!text.contains(char::is_control), "a control character");
}
