//! The running system of hasses: who sends what to whom.
//!
//! ```text
//!   subscribers                                               publishers
//!       │ sockets                                  FIFO │   TCP, Unix │ HTTP
//!       ▼                                               ▼             ▼
//!   listener ──Arrived──▶ ┌────────────┐ ◀──Publish── fifo    control + one for
//!   client   ─Subscribe─▶ │  registry  │ ◀──Execute─── (intake)  each connection
//!            ──Exited───▶ └────────────┘ ◀──Tick────── clock
//!   client   ◀──Event────┘      │ ──Keep──▶ archive (history file)
//!    (one for each)             ▼
//!                            logger ◀── lines from all        signals ──Stop──▶ supervisor
//! ```
//!
//! One message, in five files: bytes come to [`fifo`] or [`control`]; [`wire::text`] and
//! [`wire::command`] make a [`model::Publication`] of them; [`registry`] gives it its id and asks
//! [`registry::routes`] for the recipients; [`wire::sse`] encodes it once; each [client][`clients::life`] gets it as
//! [`messages::client`] and writes it. Before a client is subscribed, [`auth`] decides whether it
//! may read what it asks for.
//!
//! # Who waits for whom
//!
//! Awaited sends form a graph without circles, so waiting always ends: publishers' actors wait for
//! the registry's answer to each batch (so pressure reaches the writer, and all have their turns), the
//! registry waits for the clients to have had their turns ([`clients::ClientPool::ready`]), clients wait for
//! nobody. The registry never waits for one client: a full one is disconnected. The logger is only
//! offered lines, and the archive events. With `--bus` the [`bus`] stands between publishers' actors and
//! the registry, takes the same messages and waits for its answers.
//!
//! # Two homes, one thread
//!
//! Service actors are tasks under a [`runtime::supervisor`]; clients, of which there are very many, live in
//! [`clients`]; [`runtime::executor`] runs both. What actors promise one another stands in [`runtime`].

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
