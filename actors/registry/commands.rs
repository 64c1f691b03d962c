//! Commands: what publishers ask the registry about its clients and itself.

use std::time::Duration;

use super::Registry;
use crate::archive;
use crate::client::Ending;
use crate::config::Cors;
use crate::logger;
use crate::model::{Channel, Target};
use crate::wire::command::Command;
use crate::wire::report::{self, ClientRow, Status};

impl Registry {
    /// Carries out a command; the answer for the sender.
    pub(super) fn execute(&mut self, command: Command) -> String {
        match command {
            Command::TcpStatus => line(self.status().json()),
            Command::TcpNumberOfClients => {
                let all = self.all_clients();
                line(report::number_of_clients_json(self.subscribers(), all))
            }
            Command::TcpSubscribedClients(target) => {
                let count = self.reached(&target);
                line(report::subscribed_clients_json(&target, count))
            }
            Command::TcpClientList => self.client_list_json(),
            Command::Publish(publication) => {
                // A message is no command; whoever sends it as one still has it delivered.
                self.publish(publication, Channel::Tcp);
                String::new()
            }
            logged => {
                let lines = self.execute_logged(logged);
                let answer = lines.join("\n") + "\n";
                self.log.answer(lines);
                answer
            }
        }
    }

    /// Carries out a command whose answer goes to the log too.
    fn execute_logged(&mut self, command: Command) -> Vec<String> {
        match command {
            Command::Status => self.status().lines(),
            Command::ClientList => self.client_list(),
            Command::NumberOfClients => vec![report::number_of_clients(self.subscribers())],
            Command::SubscribedClients(target) => {
                let count = self.reached(&target);
                vec![report::subscribed_clients(&target, count)]
            }
            Command::SetLogLevel(level) => {
                self.log_level = level;
                logger::set_level(level);
                vec![report::log_level_set(level).into()]
            }
            Command::SetReinit(enabled) => {
                self.reinit.set(enabled);
                vec![report::reinit_set(enabled).into()]
            }
            Command::Disconnect(id) => {
                let clients = self.routes.named(&id);
                for &client in &clients {
                    self.finish(client, Ending::Disconnected);
                }
                vec![format!("Disconnected clients: {}", clients.len())]
            }
            // Answered to the sender alone, before this is reached.
            Command::Publish(_)
            | Command::TcpStatus
            | Command::TcpClientList
            | Command::TcpNumberOfClients
            | Command::TcpSubscribedClients(_) => Vec::new(),
        }
    }

    fn subscribers(&self) -> u64 {
        self.streams() as u64
    }

    /// How many clients a message to `target` would reach.
    fn reached(&mut self, target: &Target) -> u64 {
        self.routes
            .recipients(std::slice::from_ref(target), None, &mut self.recipients);
        self.recipients.len() as u64
    }

    fn status(&self) -> Status {
        let totals = self.crowd.totals();
        let config = self.settings.now();
        let about = &config.about;
        Status {
            version: about.version,
            compiled: about.compiled,
            pid: std::process::id(),
            uid: rustix::process::getuid().as_raw(),
            user: about.user.clone(),
            running: self.started.elapsed(),
            tls: None,
            log_level: self.log_level,
            reinit: self.reinit.get(),
            cors: match &config.cors {
                Cors::Any => "*".into(),
                Cors::Only(origins) => origins.join(" "),
            },
            connected: totals.connected as u64,
            subscribers: self.subscribers(),
            max_connected: self.counters.most_connected,
            handshakes: self.counters.subscriptions - self.counters.reinits,
            reinits: self.counters.reinits,
            messages_processed: self.counters.all_messages(),
            messages_sent: totals.events,
            further: vec![
                ("bytes_sent", totals.bytes),
                ("waiting_bytes", self.crowd.waiting_bytes()),
                ("slow_disconnects", self.counters.slow),
                ("replays", self.counters.replays),
                ("gaps", self.counters.gaps),
                ("refused", self.counters.refused.values().sum()),
                ("invalid_utf8", self.counters.invalid_utf8),
                ("history_events", self.history.len() as u64),
                ("history_bytes", self.history.bytes() as u64),
                (
                    "history_lost",
                    self.archive.as_ref().map_or(0, archive::Handle::lost),
                ),
                ("log_lines_dropped", self.log.dropped()),
            ]
            .into_iter()
            .chain(self.bus_figures())
            .collect(),
        }
    }

    fn client_list(&self) -> Vec<String> {
        let start = report::LIST_START.map(String::from);
        let rows = self
            .rows()
            .enumerate()
            .flat_map(|(n, row)| row.lines(n + 1));
        start
            .into_iter()
            .chain(rows)
            .chain([report::LIST_END.into()])
            .collect()
    }

    fn client_list_json(&self) -> String {
        let rows: Vec<_> = self.rows().map(|row| row.json()).collect();
        line(format!("[{}]", rows.join(",")))
    }

    fn rows(&self) -> impl Iterator<Item = ClientRow> {
        let connections = (0..).zip(&self.connections);
        connections.filter_map(|(index, record)| {
            let record = record.as_ref()?;
            let now = self.crowd.seconds();
            let since = |then: u32| Duration::from_secs(u64::from(now.saturating_sub(then)));
            let (messages, waiting_bytes) = self.crowd.figures(index);
            Some(ClientRow {
                descriptor: record.descriptor,
                address: record.peer.to_string(),
                state: if record.joined.is_some() {
                    "SSE"
                } else {
                    "NEW"
                },
                errors: 0,
                messages,
                reinits: record.reinits.into(),
                tls: false,
                connected: since(record.arrived),
                handshaked: record.joined.map(since),
                id: self.routes.id(index).cloned(),
                agent: record
                    .agent
                    .as_ref()
                    .map_or("", |agent| agent.as_str())
                    .into(),
                subscribes: self.subscribes(index),
                waiting_bytes,
            })
        })
    }
}

fn line(mut text: String) -> String {
    text.push('\n');
    text
}
