//! A hub, and what is asked of it.

use std::time::{Duration, Instant};

use support::{Connection, Daemon, PATIENCE, Preparation, Response};

/// The secret of the reference hub's documentation.
pub(crate) const KEY: &str = "!ChangeThisMercureHubJWTSecretKey!";
/// The public URL of the hubs here.
pub(crate) const AUDIENCE: &str = "https://localhost/.well-known/mercure";
/// Tokens that may do everything until the year 2100, of either version.
pub(crate) const ALL_7: &str = "eyJhbGciOiAiSFMyNTYiLCAidHlwIjogIkpXVCJ9.eyJtZXJjdXJlIjogeyJwdWJsaXNoIjogWyIqIl0sICJzdWJzY3JpYmUiOiBbIioiXX19.3nVGBKT8IWa0wFs38kF0G1M-0z8T6ftikbSSryICCPI";
pub(crate) const ALL_8: &str = "eyJhbGciOiAiSFMyNTYiLCAidHlwIjogImF0K2p3dCJ9.eyJpc3MiOiAiaHR0cHM6Ly9sb2NhbGhvc3QiLCAiYXVkIjogImh0dHBzOi8vbG9jYWxob3N0Ly53ZWxsLWtub3duL21lcmN1cmUiLCAiZXhwIjogNDEwMjQ0NDgwMCwgImF1dGhvcml6YXRpb25fZGV0YWlscyI6IFt7InR5cGUiOiAiaHR0cHM6Ly9tZXJjdXJlLnJvY2tzL2F1dGhvcml6YXRpb24tZGV0YWlsIiwgImFjdGlvbnMiOiBbInB1Ymxpc2giLCAic3Vic2NyaWJlIl0sICJ0b3BpY3MiOiBbeyJtYXRjaCI6ICIqIiwgIm1hdGNoX3R5cGUiOiAiZXhhY3QifV19XX0.ArSqaM18NmzwYr75jzCsaQjWCSk8fnLryIxLtdysRkY";
pub(crate) const PATH: &str = "/.well-known/mercure";

/// A daemon that is a hub.
pub(crate) struct Hub {
    pub(crate) daemon: Daemon,
}

pub(crate) fn write_key(place: &Preparation) {
    place.write("key", KEY);
}

/// What makes a hub of a daemon.
pub(crate) fn options() -> String {
    format!(
        "--mercure {AUDIENCE} --mercure-publish-key {{dir}}/key --mercure-subscribe-key {{dir}}/key"
    )
}

impl Hub {
    /// Starts one with further options.
    pub(crate) fn start(more: &str) -> Self {
        let arguments = format!(
            "--listen 127.0.0.1:{{listen}} --control 127.0.0.1:{{control}} {} {more}",
            options()
        );
        Self {
            daemon: Daemon::prepared(&arguments, write_key),
        }
    }

    /// Where it is asked.
    pub(crate) fn url(&self) -> String {
        format!("http://{}{PATH}", self.daemon.listen)
    }

    /// Publishes a form with further header lines.
    pub(crate) fn post(&self, form: &str, lines: &str) -> Response {
        let length = form.len();
        self.daemon.ask(format!(
            "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n{lines}\r\n{form}"
        ))
    }

    /// Publishes a form that must be taken, by a token of version 1.0; the id.
    pub(crate) fn publish(&self, form: &str) -> String {
        self.publish_by(form, ALL_8)
    }

    pub(crate) fn publish_by(&self, form: &str, token: &str) -> String {
        let answer = self.post(form, &format!("Authorization: Bearer {token}\r\n"));
        assert_eq!(answer.status, 200, "{form} {answer:?}");
        answer.body
    }

    /// Asks for a path below the hub's.
    pub(crate) fn get(&self, path: &str, lines: &str) -> Response {
        self.daemon.ask(format!(
            "GET {PATH}{path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n"
        ))
    }

    /// Subscribes and waits for the position: from then on nothing is missed.
    pub(crate) fn stream(&self, query: &str, lines: &str) -> Events {
        let mut events = Events::open(self, query, lines);
        while events.position.is_none() {
            assert!(events.more(), "no position came");
        }
        events
    }

    /// A hidden mark: what was to come before it has come when it is there.
    pub(crate) fn is_quiet(&self, events: &mut Events, topic: &str) {
        let mark = format!("mark {:?}", Instant::now());
        self.publish(&format!("topic={topic}&data={mark}"));
        assert_eq!(events.event().data.as_deref(), Some(&*mark));
    }
}

/// A block of a stream of the hub's.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: Option<String>,
    pub(crate) event: Option<String>,
    pub(crate) data: Option<String>,
}

/// A stream of the hub's, in which ids are texts.
pub(crate) struct Events {
    connection: Connection,
    pub(crate) head: Response,
    pub(crate) position: Option<String>,
    events: Vec<Event>,
}

impl Events {
    pub(crate) fn open(hub: &Hub, query: &str, lines: &str) -> Self {
        let query = query.replace('{', "%7B").replace('}', "%7D");
        let mut connection = Connection::to(hub.daemon.listen);
        let request = format!("GET {PATH}?{query} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
        connection.send(request.as_bytes());
        let head = connection.head();
        assert_eq!(head.status, 200, "{head:?}");
        Self {
            connection,
            head,
            position: None,
            events: Vec::new(),
        }
    }

    /// Reads a chunk; whether there was one.
    fn more(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let Some(size) = self.connection.until(b"\r\n", deadline) else {
            return false;
        };
        let size = std::str::from_utf8(&size).unwrap().trim_end();
        let size = usize::from_str_radix(size, 16).expect("a chunk's size");
        let chunk = self.connection.exactly(size + 2, deadline);
        let text = String::from_utf8(chunk).unwrap();
        for block in text
            .trim_end()
            .split("\n\n")
            .filter(|block| !block.is_empty())
        {
            let mut event = Event::default();
            for line in block.lines() {
                let (field, value) = line.split_once(": ").unwrap_or((line, ""));
                let value = value.to_owned();
                match field {
                    "id" => event.id = Some(value),
                    "event" => event.event = Some(value),
                    "data" => {
                        let data = event.data.get_or_insert_default();
                        if !data.is_empty() {
                            data.push('\n');
                        }
                        data.push_str(&value);
                    }
                    _ => {}
                }
            }
            match event.data {
                Some(_) => self.events.push(event),
                None => self.position = event.id.or(self.position.take()),
            }
        }
        size > 0
    }

    /// The next event.
    pub(crate) fn event(&mut self) -> Event {
        let deadline = Instant::now() + PATIENCE + Duration::from_secs(5);
        while self.events.is_empty() {
            assert!(self.more() && Instant::now() < deadline, "no event came");
        }
        self.events.remove(0)
    }

    pub(crate) fn data(&mut self) -> String {
        self.event().data.unwrap()
    }
}
