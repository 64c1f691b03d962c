//! The subscribers' side: very many client actors in one pool, and what each does with its connection.
//!
//! [`pool`] holds the clients and gives them their turns ([`queues`]), [`inner`] has all places, [`slot`] is one
//! of them, and [`handle`] is all that a client has of the pool. [`sending`] and [`overload`] are what others have of
//! it. [`life`] is what a client does, from its request to its last chunk.

pub mod handle;
mod http2;
mod inner;
pub mod life;
mod mailbox;
mod overload;
mod pending;
pub mod pool;
mod queues;
mod reactor;
mod sending;
mod slot;
#[cfg(test)]
mod tests;
mod timing;

pub use handle::{ClientHandle, Flushed};
pub use pool::ClientPool;
pub use sending::Heartbeat;
