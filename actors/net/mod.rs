//! Sockets: addresses and binding.

pub mod bind;
pub mod stream;
