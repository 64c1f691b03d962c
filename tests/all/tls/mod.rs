//! TLS: subscribers and publishers by `tls:` addresses, with real clients and with bad ones.

pub(crate) mod authority;
mod certificate;
mod cost;
mod handshake;
mod programs;
mod publishers;
pub(crate) mod site;
mod streams;
