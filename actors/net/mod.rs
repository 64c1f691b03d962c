//! Sockets: addresses, binding and accepting, streams, TLS, peers.

pub(crate) mod accept;
pub(crate) mod bind;
pub(crate) mod bus_url;
pub(crate) mod door;
pub(crate) mod endpoint;
pub mod identity;
pub(crate) mod owned;
pub(crate) mod peer;
pub(crate) mod stream;
pub(crate) mod tls;
pub mod trust;

pub use bind::{BindError, Bound, Listener, Rights, bind, check};
pub use bus_url::BusUrl;
pub use door::Door;
pub use endpoint::{Endpoint, EndpointError};
pub use owned::give;
pub use rustix::fs::FileType;
