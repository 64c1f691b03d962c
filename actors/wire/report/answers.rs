//! Answers of one line.

use std::borrow::Cow;

use serde::Serialize;

use crate::model::LogLevel;
use crate::model::Target;
use crate::wire::address;

/// A count over the nodes of a bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole {
    /// What was counted, on this node too.
    pub clients: u64,
    /// Nodes that there are; 0 where that is not known, as the bus is away.
    pub nodes: u64,
    /// Nodes that have counted, this one included.
    pub answered: u64,
}

impl Whole {
    fn place(&self) -> String {
        match self {
            Self { nodes: 0, .. } => "this node alone".into(),
            Self {
                nodes, answered, ..
            } if answered == nodes => "all nodes".into(),
            Self {
                nodes, answered, ..
            } => format!("{answered} of {nodes} nodes"),
        }
    }
}

/// The log's answer to `numberofclients`; with a bus, also how many all nodes have.
pub fn number_of_clients(clients: u64, all: Option<u64>) -> Vec<String> {
    let all = all.map(|all| format!("Number of connected clients on all nodes: {all}"));
    let own = format!("Number of connected clients: {clients}");
    [own].into_iter().chain(all).collect()
}

/// The answer to `tcpnumberofclients`; with a bus, also how many all nodes have.
pub fn number_of_clients_json(clients: u64, all: Option<u64>) -> String {
    let all = all.map(|all| format!(r#","cluster_clients":{all}"#));
    let all = all.unwrap_or_default();
    format!(r#"{{"numberofclients":{clients}{all}}}"#)
}

/// The log's answer to `subscribedclients:TARGET`; with a bus, also how many all nodes have.
pub fn subscribed_clients(target: &Target, clients: u64, whole: Option<Whole>) -> Vec<String> {
    let target = address::text(target);
    // As Rust's Debug writes it: whatever would end the quotes or break the line is escaped.
    let line =
        |place: &str, count| format!("Client count subscribed for {target:?}{place}: {count}");
    let whole = whole.map(|whole| line(&format!(" on {}", whole.place()), whole.clients));
    [line("", clients)].into_iter().chain(whole).collect()
}

/// The answer to `tcpsubscribedclients:TARGET`; with a bus, also how many all nodes have.
pub fn subscribed_clients_json(target: &Target, clients: u64, whole: Option<Whole>) -> String {
    #[derive(Serialize)]
    struct Answer<'a> {
        subscribedclients: u64,
        subscribedfor: Cow<'a, str>,
        #[serde(flatten)]
        whole: Option<InWhole>,
    }
    #[derive(Serialize)]
    struct InWhole {
        cluster_subscribedclients: u64,
        cluster_nodes: u64,
        cluster_answered: u64,
    }
    super::json(&Answer {
        subscribedclients: clients,
        subscribedfor: address::text(target),
        whole: whole.map(|whole| InWhole {
            cluster_subscribedclients: whole.clients,
            cluster_nodes: whole.nodes,
            cluster_answered: whole.answered,
        }),
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
        assert_eq!(
            number_of_clients(3, None),
            ["Number of connected clients: 3"]
        );
        assert_eq!(number_of_clients_json(3, None), r#"{"numberofclients":3}"#);
        assert_eq!(
            number_of_clients_json(3, Some(9)),
            r#"{"numberofclients":3,"cluster_clients":9}"#
        );
        assert_eq!(
            subscribed_clients(&room, 2, None),
            [r#"Client count subscribed for "room1": 2"#]
        );
        assert_eq!(
            subscribed_clients_json(&room, 2, None),
            r#"{"subscribedclients":2,"subscribedfor":"room1"}"#
        );
        assert_eq!(log_level_set(LogLevel::Normal), "Set loglevel to normal.");
        assert_eq!(reinit_set(false), "Reinit disabled.");
    }

    #[test]
    fn with_a_bus_the_whole_is_told_after_it() {
        let room = Target::Token(Token::new("room1").unwrap());
        assert_eq!(
            number_of_clients(3, Some(9))[1],
            "Number of connected clients on all nodes: 9"
        );
        for (nodes, answered, place) in [
            (3, 3, "all nodes"),
            (3, 2, "2 of 3 nodes"),
            (0, 1, "this node alone"),
        ] {
            let whole = Whole {
                clients: 9,
                nodes,
                answered,
            };
            let first = r#"Client count subscribed for "room1""#;
            assert_eq!(
                subscribed_clients(&room, 2, Some(whole)),
                [format!("{first}: 2"), format!("{first} on {place}: 9")]
            );
            let json = format!(
                "{{\"subscribedclients\":2,\"subscribedfor\":\"room1\",\
                 \"cluster_subscribedclients\":9,\"cluster_nodes\":{nodes},\"cluster_answered\":{answered}}}"
            );
            assert_eq!(subscribed_clients_json(&room, 2, Some(whole)), json);
        }
    }

    #[test]
    fn a_token_forges_nothing() {
        let token = Target::Prefix(Token::new("a\": 5\u{2028}\u{202e}").unwrap());
        assert_eq!(
            subscribed_clients(&token, 2, None),
            [r#"Client count subscribed for "a\": 5\u{2028}\u{202e}*": 2"#]
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&subscribed_clients_json(&token, 2, None))
                .unwrap()["subscribedfor"],
            "a\": 5\u{2028}\u{202e}*"
        );
    }
}
