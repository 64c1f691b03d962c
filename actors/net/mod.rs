//! Sockets: addresses and binding, streams, peers.

pub mod bind;
pub mod peer;
pub mod stream;
