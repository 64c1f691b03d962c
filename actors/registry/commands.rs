//! Commands: what publishers ask the registry about its clients and itself.

use super::Registry;
use crate::logger;
use crate::messages::client::Ending;
use crate::messages::registry::Elsewhere;
use crate::model::deadlines::since_1970;
use crate::model::{Channel, ClientId, Cors, Target};
use crate::wire::command::Command;
use crate::wire::report::{self, Status, TlsFiles};

impl Registry {
    /// Carries out a command, for which there may be answers of other nodes; the answer for the sender.
    pub(super) fn execute(&mut self, command: Command, elsewhere: Elsewhere) -> String {
        match command {
            Command::TcpStatus => line(self.status().json()),
            Command::TcpNumberOfClients => {
                let all = self.all_clients();
                line(report::number_of_clients_json(self.subscribers(), all))
            }
            Command::TcpSubscribedClients(target) => {
                let count = self.reached(&target);
                let whole = self.whole(count, elsewhere);
                line(report::subscribed_clients_json(&target, count, whole))
            }
            // Told in portions, by `Request::List` and `Request::ClientLines`.
            Command::TcpClientList | Command::ClientList => String::new(),
            Command::Publish(publication) => {
                // A message is no command; whoever sends it as one still has it delivered.
                self.publish(publication, Channel::Tcp);
                String::new()
            }
            logged => {
                let lines = self.execute_logged(logged, elsewhere);
                let answer = lines.join("\n") + "\n";
                if logger::at_most("answers to commands", logger::A_SECOND) {
                    self.log.answer(lines);
                }
                answer
            }
        }
    }

    /// Carries out a command whose answer goes to the log too.
    fn execute_logged(&mut self, command: Command, elsewhere: Elsewhere) -> Vec<String> {
        match command {
            Command::Status => self.status().lines(),
            Command::NumberOfClients => {
                report::number_of_clients(self.subscribers(), self.all_clients())
            }
            Command::SubscribedClients(target) => {
                let count = self.reached(&target);
                report::subscribed_clients(&target, count, self.whole(count, elsewhere))
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
                let count = self.disconnect(&id);
                vec![format!("Disconnected clients: {count}")]
            }
            // Answered to the sender alone, before this is reached.
            Command::Publish(_)
            | Command::TcpStatus
            | Command::ClientList
            | Command::TcpClientList
            | Command::TcpNumberOfClients
            | Command::TcpSubscribedClients(_) => Vec::new(),
        }
    }

    /// As [`Registry::disconnect`]; with a time, in seconds since 1970, nobody named so is let in until then.
    pub(super) fn disconnect_until(&mut self, id: &ClientId, until: Option<u64>) -> usize {
        if let Some(until) = until {
            self.bans.set(id, until, since_1970().as_secs());
        }
        self.disconnect(id)
    }

    /// Ends the streams of clients that named themselves `id`; how many.
    pub(super) fn disconnect(&mut self, id: &ClientId) -> usize {
        let mut clients = self.routes.named(id);
        clients.extend(self.replaying(id));
        for &client in &clients {
            self.finish(client, Ending::Disconnected);
        }
        clients.len()
    }

    fn subscribers(&self) -> u64 {
        self.sessions.streams() as u64
    }

    /// How many clients a message to `target` would reach.
    pub(super) fn reached(&mut self, target: &Target) -> u64 {
        self.routes
            .recipients(std::slice::from_ref(target), None, &mut self.recipients);
        self.recipients.len() as u64
    }

    fn status(&self) -> Status {
        let figures = self.figures();
        let counters = &figures.counters;
        let config = self.settings.now();
        let about = &config.about;
        Status {
            version: about.version,
            compiled: about.compiled,
            pid: std::process::id(),
            uid: rustix::process::getuid().as_raw(),
            user: about.user.clone(),
            running: figures.running,
            tls: (config.tls.as_ref().filter(|_| config.encrypted)).map(|identity| TlsFiles {
                cert: identity.files.cert.display().to_string(),
                key: identity.files.key.display().to_string(),
            }),
            log_level: figures.log_level,
            reinit: figures.reinit,
            cors: match &config.cors {
                Cors::Any => "*".into(),
                Cors::Only(origins) => origins.join(" "),
            },
            connected: figures.clients.connected(),
            subscribers: figures.clients.streams(),
            max_connected: counters.most_connected,
            handshakes: counters.subscriptions - counters.reinits,
            reinits: counters.reinits,
            messages_processed: counters.all_messages(),
            messages_sent: figures.events_sent,
            further: vec![
                ("connections", counters.connections),
                ("subscriptions", counters.subscriptions),
                ("bytes_sent", figures.bytes_sent),
                ("waiting_bytes", figures.waiting_bytes),
                ("slow_disconnects", counters.slow),
                ("replays", counters.replays),
                ("gaps", counters.gaps),
                ("refused", counters.all_refused()),
                ("invalid_utf8", counters.invalid_utf8),
                ("history_events", figures.history_events),
                ("history_bytes", figures.history_bytes),
                ("history_lost", figures.history_lost),
                ("log_lines_dropped", figures.log_dropped),
            ]
            .into_iter()
            .chain(figures.bus.iter().flat_map(report::bus_keys))
            .collect(),
        }
    }
}

fn line(mut text: String) -> String {
    text.push('\n');
    text
}
