//! What is decided: names, subscriptions, ids, counters. No I/O and nothing asynchronous.

pub mod bus_figures;
pub mod busiest;
pub mod counters;
pub mod deadlines;
pub mod histogram;
pub mod limits;
pub mod mercure;
pub mod names;
pub mod publication;
pub mod record;
pub mod secret;
pub mod sequence;
pub mod subscription;

pub use bus_figures::{BusDown, BusFigures};
pub use counters::{Channel, Counters};
pub use histogram::Histogram;
pub use limits::Limits;
pub use names::{ClientId, EventId, NameError, Token};
pub use publication::{Publication, Target};
pub use record::Record;
pub use secret::Secret;
pub use sequence::Sequence;
pub use subscription::{Form, Positions, Resume, Subscription};
