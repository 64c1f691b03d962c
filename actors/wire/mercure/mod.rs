//! The Mercure protocol: bytes to types and back, without input or output.
//!
//! | file | subject |
//! | --- | --- |
//! | [`query`] | the query of a subscriber |
//! | [`form`] | the form that a publisher sends |
//! | [`api`] | the subscriptions API: its paths and its documents |
//! | [`answer`] | refusals with their `WWW-Authenticate`, CORS lines, the metadata document |
//!
//! Two forms of the protocol are spoken ([`Draft`](crate::model::mercure::Draft)): a query with a
//! parameter that begins with `match` has form 8, and so has a token with `typ: at+jwt`; all else has
//! form 7.

pub mod answer;
pub mod api;
pub mod form;
pub mod query;

/// The most topics of one update.
pub const MAX_TOPICS: usize = 1000;
