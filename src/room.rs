//! How many connections the limit of open files leaves room for.

use nix::sys::resource::{Resource, getrlimit};

use crate::typed::Typed;

/// Descriptors that are left for listeners and files.
const FOR_FILES: usize = 32;

/// How many there may be of each kind of connection.
pub(crate) struct Room {
    /// Connections of publishers: at most a quarter of all, so that they never take one from a
    /// subscriber.
    pub(crate) publishers: usize,
    /// Connections of subscribers, whatever their state.
    pub(crate) connections: usize,
    /// Streams. Some more connections are accepted, to be told that there are too many.
    pub(crate) clients: usize,
    /// What was asked for and is not possible.
    pub(crate) warnings: Vec<String>,
}

impl Room {
    /// The room that the descriptor limit leaves for what the options ask for.
    pub(crate) fn of(all: &Typed) -> Self {
        let most = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(_, hard)| hard);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let most = most.saturating_sub(FOR_FILES);
        let publishers = all.max_publishers.unwrap_or(512).min(most / 4).max(1);
        let connections = most.saturating_sub(publishers).max(1);
        let allowed = connections - (connections / 10).min(64);
        let mut warnings = Vec::new();
        if let Some(asked) = all.max_clients.filter(|asked| *asked > allowed) {
            warnings.push(format!(
                "--max-clients {asked}: the limit of open files (ulimit -n) allows {allowed}, and so \
                 many there will be"
            ));
        }
        if let Some(asked) = all.max_publishers.filter(|asked| *asked > publishers) {
            warnings.push(format!(
                "--max-publishers {asked}: the limit of open files (ulimit -n) allows {publishers}, a \
                 quarter of it, and no more are let in"
            ));
        }
        Self {
            publishers,
            connections,
            clients: all.max_clients.map_or(allowed, |asked| asked.min(allowed)),
            warnings,
        }
    }
}
