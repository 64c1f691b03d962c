//! Sockets: addresses and binding.

pub mod bind;
