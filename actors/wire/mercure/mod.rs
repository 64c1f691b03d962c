//! The Mercure protocol: bytes to types and back, without input or output.
//!
//! | file | subject |
//! | --- | --- |
//! | [`identity`] | the hub's own URL: resolving topics against it, and the names that are reserved |
//! | [`selector`] | what a subscriber, or a right, says about topics |
//! | [`template`] | URI Templates (RFC 6570), read backwards |
//! | [`pattern`] | URL patterns (WHATWG URL Pattern) |
//! | [`query`] | the query of a subscriber |
//! | [`form`] | the form that a publisher sends |
//! | [`api`] | the subscriptions API: its paths and its documents |
//! | [`answer`] | refusals with their `WWW-Authenticate`, CORS lines, the metadata document |
//!
//! Two forms of the protocol are spoken. [`Form`] tells them apart: a query with a parameter that
//! begins with `match` has form 8, and so has a token with `typ: at+jwt`; all else has form 7.

pub mod answer;
pub mod api;
pub mod form;
pub mod identity;
pub mod pattern;
pub mod query;
pub mod selector;
pub mod template;
mod text;

pub use crate::model::Form;
use crate::model::names::MAX_TOPIC;
pub use identity::Identity;
pub use selector::Selector;

/// The path that a hub usually has.
pub const USUAL_PATH: &str = "/.well-known/mercure";

/// The most topics of one update.
pub const MAX_TOPICS: usize = 1000;
/// The most selectors of one subscription, and of one token's rights.
pub const MAX_SELECTORS: usize = 100;
