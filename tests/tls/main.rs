//! TLS: subscribers and publishers by `tls:` addresses, with real clients and with bad ones.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod authority;
mod certificate;
mod cost;
mod handshake;
mod programs;
mod publishers;
mod site;
mod streams;
#[path = "../support/mod.rs"]
mod support;
