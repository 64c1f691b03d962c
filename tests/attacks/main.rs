//! What an attacker may try, each refused with the right status. Beside it stand the tests of what
//! each door is for: `publish_http`, `control_secret`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bystander;
mod control;
#[path = "../support/mod.rs"]
mod support;
mod turns;
