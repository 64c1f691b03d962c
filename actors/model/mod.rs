//! What is decided: names, subscriptions, ids, counters. No I/O and nothing asynchronous.

pub mod busiest;
pub mod counters;
pub mod deadlines;
pub mod histogram;
pub mod history;
pub mod names;
pub mod publication;
pub mod record;
pub mod routes;
pub mod secret;
pub mod sequence;
pub mod subscription;
pub mod update;

pub use counters::{Channel, Counters};
pub use histogram::Histogram;
pub use history::History;
pub use names::{ClientId, EventId, NameError, Token};
pub use publication::{Publication, Target};
pub use record::Record;
pub use routes::Routes;
pub use secret::Secret;
pub use sequence::Sequence;
pub use subscription::{Resume, Subscription};
pub use update::{Form, Update};
