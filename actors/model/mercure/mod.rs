//! A Mercure hub's terms: topics, what selects them, who may read them. No I/O and nothing of the wire.
//!
//! | file | subject |
//! | --- | --- |
//! | [`identity`] | the hub's own URL: resolving topics against it, and the names that are reserved |
//! | [`selector`] | what a subscriber, or a right, says about topics |
//! | [`template`] | URI Templates (RFC 6570), read backwards |
//! | [`pattern`] | URL patterns (WHATWG URL Pattern) |
//! | [`listener`] | what a subscriber asks for |
//! | [`readable`] | of which topics a token lets somebody read private updates |
//! | [`text`] | what a topic, an id and a type may be made of |
//! | [`update`] | what makes a message an update |

pub mod identity;
pub mod listener;
pub mod pattern;
pub mod readable;
pub mod selector;
pub mod template;
pub mod text;
pub mod update;

pub use identity::Identity;
pub use listener::Listener;
pub use readable::{Grant, Readable};
pub use selector::{MatchType, Selector, Topic};
pub use update::{Draft, Update};

/// The most selectors of one subscription, and of one token's rights.
pub const MAX_SELECTORS: usize = 100;
