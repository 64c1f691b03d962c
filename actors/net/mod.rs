//! Sockets: addresses, binding and accepting, streams, peers.

pub mod accept;
pub mod bind;
pub mod endpoint;
pub mod peer;
pub mod stream;

pub use bind::{BindError, Bound, Listener, Rights, bind, check};
pub use endpoint::{Endpoint, EndpointError};
