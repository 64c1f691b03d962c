//! Whatever bytes come in: no panic, the same result however they were split, and nothing taken that
//! is out of bounds.
//!
//! Each test first takes the kept inputs of `tests/corpus` as they are, then changes them at random
//! for a short, always equal run. A long run, with a new seed, so many seconds for each test:
//!
//! ```sh
//! HASSES_FUZZ_SECONDS=600 cargo test --release --test fuzz -- --test-threads=12
//! ```
//!
//! A failure names its seed, and `HASSES_FUZZ_SEED=N` begins with just that input. Once the fault is
//! repaired, the input, which is shown too, belongs into `tests/corpus`.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod engine;
mod history;
mod http;
mod messages;
mod mutate;
mod proxies;
mod stream;

use engine::fuzz;

#[test]
fn request_heads() {
    fuzz("request heads", &["http"], 2_000, http::reader);
}

#[test]
fn request_bodies() {
    fuzz("request bodies", &["body", "json"], 3_000, http::body);
}

#[test]
fn http_or_text() {
    fuzz("HTTP or text", &["http", "text"], 1_500, http::detection);
}

#[test]
fn proxy_headers() {
    fuzz("proxy headers", &["proxy"], 3_000, proxies::header);
}

#[test]
fn forwarded_for() {
    fuzz("X-Forwarded-For", &["forwarded"], 3_000, proxies::forwarded);
}

#[test]
fn queries() {
    fuzz("queries", &["query"], 2_000, http::query);
}

#[test]
fn text_streams() {
    fuzz("text streams", &["text", "json"], 2_000, messages::stream);
}

#[test]
fn json_messages() {
    fuzz("JSON messages", &["json"], 2_000, messages::json);
}

#[test]
fn json_bodies() {
    fuzz("JSON bodies", &["json"], 2_000, messages::json_body);
}

#[test]
fn event_streams() {
    fuzz("event streams", &["text", "json"], 2_000, stream::events);
}

#[test]
fn history_files() {
    let place = history::Place::new("damaged");
    let written = history::written(&place);
    fuzz("history files", &["history"], 150, |input, _| {
        history::damaged(&place, &written, input);
    });
}

#[test]
fn forged_history_files() {
    let place = history::Place::new("forged");
    fuzz("forged history files", &["history"], 150, |input, _| {
        history::forged(&place, input);
    });
}
