//! Listening sockets passed by systemd (sd_listen_fds(3)).

use std::env;
use std::fs;
use std::path::Path;

use hasses_actors::net::{Endpoint, Listener};
use listenfd::ListenFd;

/// A socket that was open when this process began.
#[derive(Debug)]
pub(crate) struct Inherited {
    /// Its name in `LISTEN_FDNAMES`; empty if it has none.
    pub(crate) name: String,
    /// Where it listens.
    pub(crate) address: Endpoint,
    /// The socket.
    pub(crate) listener: Listener,
}

/// Takes over what was passed to this process, in its order.
pub(crate) fn take() -> Result<Vec<Inherited>, String> {
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut passed = ListenFd::from_env();
    let mut taken = Vec::new();
    for index in 0..passed.len() {
        let name = names.next().unwrap_or_default().to_owned();
        let told = |why: &dyn std::fmt::Display| {
            format!(
                "LISTEN_FDS: socket {} ({name:?}) cannot be used: {why}",
                index + 1
            )
        };
        let tcp = passed.take_tcp_listener(index);
        let listener = match tcp {
            Ok(Some(socket)) => Listener::Tcp(socket),
            _ => match passed.take_unix_listener(index) {
                Ok(Some(socket)) => Listener::Unix(socket),
                _ => return Err(told(&"it is neither a TCP nor a Unix stream socket")),
            },
        };
        let listener = listener.adopt().map_err(|error| told(&error))?;
        let address = listener.address().map_err(|error| told(&error))?;
        taken.push(Inherited {
            name,
            address,
            listener,
        });
    }
    Ok(taken)
}

/// Whether an address that was asked for is the one that a passed socket listens on.
pub(crate) fn is_same(asked: &Endpoint, passed: &Endpoint) -> bool {
    match (asked, passed) {
        (Endpoint::Unix(asked), Endpoint::Unix(passed)) => {
            asked == passed || is_same_file(asked, passed)
        }
        (Endpoint::Tcp { .. }, Endpoint::Tcp { .. }) => asked
            .resolve()
            .is_ok_and(|all| all.into_iter().any(|one| Endpoint::from(one) == *passed)),
        _ => false,
    }
}

/// `/var/run` and `/run` are often the same.
fn is_same_file(one: &Path, other: &Path) -> bool {
    match (fs::canonicalize(one), fs::canonicalize(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}
