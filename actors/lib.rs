//! The running system of hasses.

pub mod config;
pub mod model;
pub mod net;
pub mod supervisor;
pub mod system;
pub mod wire;

pub use config::Config;
