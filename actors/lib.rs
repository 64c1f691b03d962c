#![doc = include_str!("README.md")]
#![allow(
    rustdoc::private_intra_doc_links,
    reason = "the documentation is for those who work on the inside"
)]
#![allow(
    unreachable_pub,
    reason = "the face is what stands here; `pub` in a private module means all of this crate"
)]

pub mod auth;
pub mod bus;
pub mod config;
pub mod model;
pub mod net;
pub mod wire;

mod archive;
mod clients;
mod clock;
mod control;
mod fifo;
mod http2;
mod intake;
mod listener;
mod logger;
mod messages;
mod notify;
mod registry;
mod runtime;
mod signals;
mod updates;
mod wiring;

pub use config::Config;
pub use runtime::Failure;
pub use wiring::{Sockets, run};

/// What benchmarks and fuzz tests need of the inside, and nobody else.
#[doc(hidden)]
pub mod inside {
    pub use crate::archive::Archive;
    pub use crate::clients::{ClientHandle, ClientPool};
    pub use crate::messages::client::End;
    pub use crate::net::stream::Stream;
    pub use crate::registry::history::{Cursor, History};
    pub use crate::registry::routes::Routes;
    pub use crate::runtime::executor::ActorPool;
}
