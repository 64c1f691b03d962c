//! Answers of one line.

use std::borrow::Cow;

use serde::Serialize;

use crate::config::LogLevel;
use crate::model::Target;
use crate::wire::address;

/// The log's answer to `numberofclients`.
pub fn number_of_clients(clients: u64) -> String {
    format!("Number of connected clients: {clients}")
}

/// The answer to `tcpnumberofclients`; with a bus, also how many all nodes have.
pub fn number_of_clients_json(clients: u64, all: Option<u64>) -> String {
    let all = all.map(|all| format!(r#","cluster_clients":{all}"#));
    let all = all.unwrap_or_default();
    format!(r#"{{"numberofclients":{clients}{all}}}"#)
}

/// The log's answer to `subscribedclients:TARGET`.
pub fn subscribed_clients(target: &Target, clients: u64) -> String {
    // As Rust's Debug writes it: whatever would end the quotes or break the line is escaped.
    format!(
        "Client count subscribed for {:?}: {clients}",
        address::text(target)
    )
}

/// The answer to `tcpsubscribedclients:TARGET`.
pub fn subscribed_clients_json(target: &Target, clients: u64) -> String {
    #[derive(Serialize)]
    struct Answer<'a> {
        subscribedclients: u64,
        subscribedfor: Cow<'a, str>,
    }
    super::json(&Answer {
        subscribedclients: clients,
        subscribedfor: address::text(target),
    })
}

/// The log's answer to `loglevel_…`.
pub fn log_level_set(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Quiet => "Set loglevel to the minimum.",
        LogLevel::Normal => "Set loglevel to normal.",
        LogLevel::Debug => "Set loglevel to the maximum.",
    }
}

/// The log's answer to `reinit_…`.
pub fn reinit_set(enabled: bool) -> &'static str {
    if enabled {
        "Reinit enabled."
    } else {
        "Reinit disabled."
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::model::Token;

    #[test]
    fn answers_have_the_old_words() {
        let room = Target::Token(Token::new("room1").unwrap());
        assert_eq!(number_of_clients(3), "Number of connected clients: 3");
        assert_eq!(number_of_clients_json(3, None), r#"{"numberofclients":3}"#);
        assert_eq!(
            number_of_clients_json(3, Some(9)),
            r#"{"numberofclients":3,"cluster_clients":9}"#
        );
        assert_eq!(
            subscribed_clients(&room, 2),
            r#"Client count subscribed for "room1": 2"#
        );
        assert_eq!(
            subscribed_clients_json(&room, 2),
            r#"{"subscribedclients":2,"subscribedfor":"room1"}"#
        );
        assert_eq!(log_level_set(LogLevel::Normal), "Set loglevel to normal.");
        assert_eq!(reinit_set(false), "Reinit disabled.");
    }

    #[test]
    fn a_token_forges_nothing() {
        let token = Target::Prefix(Token::new("a\": 5\u{2028}\u{202e}").unwrap());
        assert_eq!(
            subscribed_clients(&token, 2),
            r#"Client count subscribed for "a\": 5\u{2028}\u{202e}*": 2"#
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&subscribed_clients_json(&token, 2)).unwrap()
                ["subscribedfor"],
            "a\": 5\u{2028}\u{202e}*"
        );
    }
}
