//! Many clients and publishers that account for each event.

pub mod client;
pub mod publishers;
pub mod topic;
