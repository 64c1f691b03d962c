//! A chat: `cargo run --release --example chat` starts hasses and a small web server, and says which
//! address to open. Ctrl-C ends both. Another address than 127.0.0.1:8000 may follow:
//! `cargo run --release --example chat -- 192.168.1.5:8000`, for the phones in the same network.

mod daemon;
mod say;
mod web;

use std::env;
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::thread;

use async_signal::{Signal, Signals};
use futures_lite::stream;

use daemon::Daemon;

/// Where the page is, unless the command line says otherwise; or at a free port, if that is taken.
const PAGE: &str = "127.0.0.1:8000";

#[expect(clippy::print_stderr, reason = "to the person who started it")]
fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("chat: {why}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the address is for a person")]
fn run() -> Result<(), String> {
    let asked = env::args().nth(1);
    let address = asked.as_deref().unwrap_or(PAGE);
    let address: SocketAddr = address
        .parse()
        .map_err(|_| format!("{address} is no address such as {PAGE}"))?;
    let program = daemon::program()?;
    // From here on a signal waits until it is looked at, so that nobody is left behind.
    let signals = Signals::new([Signal::Int, Signal::Term, Signal::Hup, Signal::Child])
        .map_err(|error| format!("signals: {error}"))?;

    let page = TcpListener::bind(address)
        .or_else(|error| match asked {
            Some(_) => Err(error),
            None => TcpListener::bind((address.ip(), 0)),
        })
        .map_err(|error| format!("{address}: {error}"))?;
    let shown = page.local_addr().map_err(|error| error.to_string())?;
    let mut daemon = Daemon::start(&program, address.ip())?;
    let (events, control) = (daemon.events, daemon.control);
    thread::spawn(move || web::serve(&page, events, control));
    println!("Open http://{shown}/ in two windows. Ctrl-C ends it.");
    for signal in stream::block_on(signals) {
        match signal.map_err(|error| error.to_string())? {
            Signal::Child => daemon.must_live()?,
            _ => break,
        }
    }
    Ok(())
}
