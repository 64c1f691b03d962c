//! Answers to commands: plain figures made text for the log, in the layout that readers of the old
//! daemon's log know, or JSON.

mod answers;
mod clients;
mod figures;
mod live;
mod metrics;
mod status;

pub use answers::{
    Whole, log_level_set, number_of_clients, number_of_clients_json, reinit_set,
    subscribed_clients, subscribed_clients_json,
};
pub use clients::{ClientRow, LIST_END, LIST_START};
pub use figures::{Clients, Figures, Presence, level_word};
pub use live::{More, Setup, Tokens, live};
pub use metrics::{METRICS_TYPE, metrics};
pub use status::{Status, TlsFiles, bus_keys};

use std::time::Duration;

use serde::Serialize;

/// `HH:MM:SS`, with as many digits of hours as it takes.
fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}")
}

/// One line of JSON, without a newline, with the keys in the order of the fields.
fn json(fields: &impl Serialize) -> String {
    serde_json::to_string(fields).expect("structs of numbers and text have no error to give")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_grow() {
        assert_eq!(clock(Duration::from_millis(26_999)), "00:00:26");
        assert_eq!(clock(Duration::from_secs(3 * 3600 + 62)), "03:01:02");
        assert_eq!(clock(Duration::from_secs(1000 * 3600)), "1000:00:00");
    }
}
