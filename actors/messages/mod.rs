//! What each actor may be told: one file for each. Imperatives ask for something, participles tell a fact.
//!
//! The mailboxes of the supervisor, the logger and the archive take messages of their own, which stand
//! beside those actors.

pub mod client;
pub mod publisher;
pub mod registry;
