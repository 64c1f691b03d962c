//! Starting, failing to start, and what is left behind, with the real program.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod asking;
mod files;
mod leaving;
mod process;
mod program;
mod rights;
#[path = "../support/mod.rs"]
mod support;
