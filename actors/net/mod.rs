//! Sockets: addresses, binding and accepting, streams, TLS, peers.

pub mod accept;
pub mod bind;
pub mod door;
pub mod endpoint;
pub mod identity;
pub mod peer;
pub mod stream;
pub mod tls;

pub use bind::{BindError, Bound, Listener, Rights, bind, check};
pub use door::Door;
pub use endpoint::{Endpoint, EndpointError};
