//! Who is connected.

use std::time::Duration;

use serde::Serialize;

use super::{clock, json};
use crate::model::ClientId;
use crate::wire::escape::escape_value;

/// What stands before the rows of `clientlist`.
pub const LIST_START: [&str; 2] = ["------- requested client list -------", "List of clients:"];
/// What stands after the rows of `clientlist`.
pub const LIST_END: &str = "---------------- end ----------------";

/// The most bytes of a client's `User-Agent` that are shown.
const MAX_AGENT: usize = 512;

/// What `clientlist` and `tcpclientlist` tell of one client.
#[derive(Debug, Clone)]
pub struct ClientRow {
    /// Its socket.
    pub descriptor: i32,
    /// Where it comes from, such as `192.168.1.151:50190`.
    pub address: String,
    /// How far it is: `SSE` for a stream.
    pub state: &'static str,
    /// Failed writes.
    pub errors: u64,
    /// Events sent to it.
    pub messages: u64,
    /// How often it replaced its subscription.
    pub reinits: u64,
    /// Whether it came by TLS.
    pub tls: bool,
    /// The version of HTTP that its stream is in.
    pub http: Option<&'static str>,
    /// Since it connected.
    pub connected: Duration,
    /// Since its stream began, if it has.
    pub handshaked: Option<Duration>,
    /// The name it gave itself.
    pub id: Option<ClientId>,
    /// Its `User-Agent`, or nothing.
    pub agent: String,
    /// The tokens it asked for, `*` for all.
    pub subscribes: Vec<String>,
    /// Bytes that wait to be sent to it.
    pub waiting_bytes: u64,
}

impl ClientRow {
    /// The lines of `clientlist` for this client, the `number`th from 1, in the old layout.
    pub fn lines(&self, number: usize) -> [String; 4] {
        let handshaked = self.handshaked.map_or_else(|| "-".to_owned(), clock);
        let id = self.id.as_ref().map_or("", ClientId::as_str);
        [
            format!(
                "#{number} - <{}> info: {} S:{} Err: {} Messages: {} Reinit: {} SSL:{}",
                self.descriptor,
                escape_value(&self.address),
                self.state,
                self.errors,
                self.messages,
                self.reinits,
                if self.tls { "Yes" } else { "No" },
            ),
            // Without a blank, as the scripts of old installations look for it.
            format!(
                "  Connection time: {}  Handshaked time: {handshaked} UniqId:{}",
                clock(self.connected),
                escape_value(id)
            ),
            labelled("  Agent:", self.agent()),
            labelled("  Subscribes:", &self.subscribes.join("-")),
        ]
    }

    /// One member of the list that `tcpclientlist` answers.
    pub fn json(&self) -> String {
        #[derive(Serialize)]
        struct Row<'a> {
            address: &'a str,
            state: &'a str,
            messages: u64,
            reinit: u64,
            tls: bool,
            http: Option<&'a str>,
            connected_seconds: u64,
            handshaked_seconds: Option<u64>,
            id: Option<&'a str>,
            agent: &'a str,
            subscribes: &'a [String],
            waiting_bytes: u64,
        }
        json(&Row {
            address: &self.address,
            state: self.state,
            messages: self.messages,
            reinit: self.reinits,
            tls: self.tls,
            http: self.http,
            connected_seconds: self.connected.as_secs(),
            handshaked_seconds: self.handshaked.map(|since| since.as_secs()),
            id: self.id.as_ref().map(ClientId::as_str),
            agent: self.agent(),
            subscribes: &self.subscribes,
            waiting_bytes: self.waiting_bytes,
        })
    }

    /// Whether `search`, in small letters, is in its address, id, agent or tokens, whatever their case.
    pub fn has(&self, search: &str) -> bool {
        let id = self.id.as_ref().map_or("", ClientId::as_str);
        let texts = [self.address.as_str(), id, self.agent()];
        let tokens = self.subscribes.iter().map(String::as_str);
        let mut texts = texts.into_iter().chain(tokens);
        texts.any(|text| text.to_lowercase().contains(search))
    }

    fn agent(&self) -> &str {
        let mut end = self.agent.len().min(MAX_AGENT);
        while !self.agent.is_char_boundary(end) {
            end -= 1;
        }
        &self.agent[..end]
    }
}

/// A label and what comes from outside, escaped; the label alone if nothing does.
fn labelled(label: &str, value: &str) -> String {
    match value {
        "" => label.to_owned(),
        _ => format!("{label} {}", escape_value(value)),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn row() -> ClientRow {
        ClientRow {
            descriptor: 6,
            address: "192.168.1.151:50190".into(),
            state: "SSE",
            errors: 0,
            messages: 3,
            reinits: 0,
            tls: false,
            http: Some("1.1"),
            connected: Duration::from_secs(180),
            handshaked: Some(Duration::from_secs(180)),
            id: None,
            agent: "Mozilla/5.0 (X11)".into(),
            subscribes: vec!["room624".into()],
            waiting_bytes: 0,
        }
    }

    #[test]
    fn the_layout_is_the_old_one() {
        let expected = "\
#1 - <6> info: 192.168.1.151:50190 S:SSE Err: 0 Messages: 3 Reinit: 0 SSL:No
  Connection time: 00:03:00  Handshaked time: 00:03:00 UniqId:
  Agent: Mozilla/5.0 (X11)
  Subscribes: room624";
        assert_eq!(row().lines(1).join("\n"), expected);
    }

    #[test]
    fn what_is_not_there_is_not_shown() {
        let row = ClientRow {
            handshaked: None,
            id: Some(ClientId::new("7").unwrap()),
            agent: String::new(),
            subscribes: vec!["a".into(), "b".into()],
            tls: true,
            ..row()
        };
        let lines = row.lines(2);
        assert!(lines[0].starts_with("#2 - <6>") && lines[0].ends_with("SSL:Yes"));
        assert_eq!(
            lines[1..],
            [
                "  Connection time: 00:03:00  Handshaked time: - UniqId:7",
                "  Agent:",
                "  Subscribes: a-b"
            ]
        );
    }

    #[test]
    fn it_is_found_by_what_it_says_of_itself() {
        let row = ClientRow {
            id: Some(ClientId::new("Éva").unwrap()),
            ..row()
        };
        for search in ["", "8.1.151:5", "éva", "x11", "room6"] {
            assert!(row.has(search), "{search}");
        }
        for search in ["sse", "room7", "X11"] {
            assert!(!row.has(search), "{search}");
        }
    }

    #[test]
    fn json_has_its_keys_in_order() {
        assert_eq!(
            row().json(),
            concat!(
                r#"{"address":"192.168.1.151:50190","state":"SSE","messages":3,"reinit":0,"#,
                r#""tls":false,"http":"1.1","connected_seconds":180,"handshaked_seconds":180,"id":null,"#,
                r#""agent":"Mozilla/5.0 (X11)","subscribes":["room624"],"waiting_bytes":0}"#
            )
        );
    }

    proptest! {
        #[test]
        fn nothing_from_outside_breaks_a_line(
            agent in any::<String>(),
            id in "[^\\p{Cc}]{1,60}",
            token in any::<String>(),
            long in "\\PC{500,600}",
        ) {
            let row = ClientRow {
                agent: agent.clone() + &long,
                id: Some(ClientId::new(&id).unwrap()),
                subscribes: vec![token.clone()],
                ..row()
            };
            for line in row.lines(1) {
                prop_assert!(!line.contains(char::is_control));
            }
            let json: Value = serde_json::from_str(&row.json()).unwrap();
            prop_assert!(json["agent"].as_str().unwrap().len() <= 512);
            prop_assert_eq!(&json["subscribes"][0], &Value::from(token));
            prop_assert_eq!(&json["id"], &Value::from(id));
        }
    }
}
