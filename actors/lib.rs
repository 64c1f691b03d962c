//! The running system of hasses.

pub mod config;
pub mod model;
pub mod net;
pub mod supervisor;
pub mod system;
pub mod wire;

pub use config::Config;

use std::io::{self, Write};

/// The listening sockets, opened by the shell.
#[derive(Debug)]
pub struct Sockets {
    /// Where subscribers connect.
    pub subscribers: Vec<net::Bound>,
    /// Where publishers connect.
    pub publishers: Vec<net::Bound>,
}

/// Runs until SIGTERM or SIGINT.
pub fn run(config: Config, sockets: Sockets, ready: Box<dyn FnOnce()>) -> Result<(), io::Error> {
    use async_signal::{Signal, Signals};
    use futures_lite::StreamExt;
    let mut signals = Signals::new([Signal::Term, Signal::Int])?;
    let mut stderr = io::stderr();
    write!(stderr, "{}", config.greeting.unwrap_or_default())?;
    for warning in &config.warnings {
        writeln!(stderr, "warning: {warning}")?;
    }
    ready();
    smol::block_on(signals.next());
    drop(sockets);
    Ok(())
}
