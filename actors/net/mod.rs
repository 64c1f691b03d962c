//! Sockets: addresses, binding and accepting, streams, TLS, peers.

pub mod accept;
pub mod bind;
pub mod bus_url;
pub mod door;
pub mod endpoint;
pub mod identity;
pub mod peer;
pub mod stream;
pub mod tls;
pub mod trust;

pub use bind::{BindError, Bound, Listener, Rights, bind, check};
pub use bus_url::BusUrl;
pub use door::Door;
pub use endpoint::{Endpoint, EndpointError};
