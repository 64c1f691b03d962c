//! What is decided: names, subscriptions, ids, counters. No I/O and nothing asynchronous.

pub(crate) mod bus_figures;
pub(crate) mod busiest;
pub(crate) mod client_key;
pub(crate) mod cors;
pub(crate) mod counters;
pub mod deadlines;
pub(crate) mod histogram;
pub(crate) mod limits;
pub(crate) mod log_level;
pub mod mercure;
pub(crate) mod names;
mod note;
pub mod publication;
pub(crate) mod record;
pub mod retention;
mod sample;
pub(crate) mod secret;
pub(crate) mod sequence;
pub(crate) mod subscription;

pub use bus_figures::BusDown;
pub(crate) use bus_figures::BusFigures;
pub(crate) use client_key::ClientKey;
pub use cors::Cors;
pub(crate) use counters::{Channel, Counters};
pub(crate) use histogram::Histogram;
pub use limits::Limits;
pub use log_level::LogLevel;
pub use names::{ClientId, EventId, NameError, Token};
pub use note::Note;
pub use publication::{Publication, Target};
pub use record::Record;
pub use retention::{Policy, Retention};
pub use sample::Sample;
pub use secret::Secret;
pub(crate) use sequence::Sequence;
pub use subscription::{Form, Member, Positions, Resume, Subscription};
