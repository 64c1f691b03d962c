//! What single steps on a message's way cost: `cargo bench --bench micro`, or with a part of a name
//! behind it. No system call is made in what is timed.
//!
//! These say where time goes inside the process; the whole system is measured by `tests/bench/run`,
//! and what must not become dearer is counted by `cargo test --test cost`.
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

mod fan_out;
mod grammar;
mod request;
mod seek;
mod sse;

fn main() {
    divan::main();
}
