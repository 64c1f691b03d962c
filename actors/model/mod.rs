//! What is decided: names, subscriptions, ids, counters. No I/O and nothing asynchronous.

pub mod names;
pub mod publication;
pub mod sequence;
pub mod subscription;

pub use names::{ClientId, EventId, NameError, Token};
pub use publication::{Publication, Target};
pub use subscription::Subscription;
