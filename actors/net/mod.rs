//! Sockets: addresses and binding.

pub mod bind;
pub mod endpoint;
pub mod stream;

pub use bind::{BindError, Bound, Listener, Rights, bind, check};
pub use endpoint::{Endpoint, EndpointError};
