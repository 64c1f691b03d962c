//! The daemon's figures.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{clock, json};
use crate::model::BusFigures;
use crate::model::LogLevel;
use crate::wire::escape::escape;

/// What `status` and `tcpstatus` tell.
#[derive(Debug, Clone)]
pub struct Status {
    /// Such as `2.0.0`.
    pub version: &'static str,
    /// The day it was compiled, such as `May  7 2020`.
    pub compiled: &'static str,
    /// The process.
    pub pid: u32,
    /// The user it runs as.
    pub uid: u32,
    /// The name of the user it was told to run as, if it was.
    pub user: Option<String>,
    /// Since the start.
    pub running: Duration,
    /// The certificate, if there is one.
    pub tls: Option<TlsFiles>,
    /// How much is logged.
    pub log_level: LogLevel,
    /// Whether a new GET on an open stream replaces its subscription.
    pub reinit: bool,
    /// The allowed origins.
    pub cors: String,
    /// Subscribers' connections now, with a subscription or before it.
    pub connected: u64,
    /// Streams now.
    pub subscribers: u64,
    /// The most connections at one time.
    pub max_connected: u64,
    /// Streams ever begun.
    pub handshakes: u64,
    /// Subscriptions ever replaced.
    pub reinits: u64,
    /// Messages ever taken in.
    pub messages_processed: u64,
    /// Events ever sent, one for each subscriber.
    pub messages_sent: u64,
    /// What the old daemon did not count: names of the JSON answer, and numbers.
    pub further: Vec<(&'static str, u64)>,
}

/// Where the certificate comes from.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The file with the chain.
    pub cert: String,
    /// The file with the private key.
    pub key: String,
}

/// What `tcpstatus` says of the bus.
pub fn bus_keys(figures: &BusFigures) -> [(&'static str, u64); 10] {
    [
        ("bus_up", figures.up.get().into()),
        ("cluster_nodes", figures.nodes.get()),
        ("cluster_clients", figures.clients()),
        ("bus_written", figures.written.get()),
        ("bus_read", figures.read.get()),
        ("bus_losses", figures.losses.get()),
        ("bus_refused", figures.refused.get()),
        ("bus_waiting", figures.waiting.get()),
        ("bus_restored", figures.restored.get()),
        ("bus_passed_over", figures.passed_over.get()),
    ]
}

impl Status {
    /// The lines of `status`, in the old layout.
    pub fn lines(&self) -> Vec<String> {
        let user = self.user.as_deref().unwrap_or("not set");
        let mut lines = vec![
            "------- status of hasses -------".to_owned(),
            format!("Version: {}", self.version),
            format!("Compiled: {}", self.compiled),
            format!("Pid: {}", self.pid),
            format!("Uid: {} ({})", self.uid, escape(user)),
            format!("Running time: {}", clock(self.running)),
            format!("Mode: {}", self.mode()),
        ];
        if let Some(files) = &self.tls {
            lines.push(format!("SSL Cert key file: {}", escape(&files.cert)));
            lines.push(format!("SSL Prvt key file: {}", escape(&files.key)));
        }
        lines.extend([
            format!("Loglevel: {}", self.log_level_number()),
            format!("Reinit allowed: {}", if self.reinit { "yes" } else { "no" }),
            format!("CORS-base url: {}", escape(&self.cors)),
            format!("Count of connected clients: {}", self.connected),
            format!("Current registred SSE clients: {}", self.subscribers),
            format!("Maximum number of connections: {}", self.max_connected),
            format!("Total client handshaked: {}", self.handshakes),
            format!("Total reinit connection: {}", self.reinits),
            format!("Total message processed: {}", self.messages_processed),
            format!("Total message sent: {}", self.messages_sent),
            "------------- end --------------".to_owned(),
        ]);
        lines
    }

    /// The answer to `tcpstatus`: the old keys in the old order, then more.
    pub fn json(&self) -> String {
        #[derive(Serialize)]
        struct Answer<'a> {
            version: &'a str,
            runningtime: String,
            mode: &'a str,
            loglevel: u8,
            allconncli: u64,
            sseconncli: u64,
            maxconncli: u64,
            msgproccnt: u64,
            msgsendcnt: u64,
            running_seconds: u64,
            pid: u32,
            handshakes: u64,
            reinits: u64,
            reinit: bool,
            cors: &'a str,
            #[serde(flatten, serialize_with = "pairs")]
            further: &'a [(&'static str, u64)],
        }
        fn pairs<S: Serializer>(
            pairs: &&[(&'static str, u64)],
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            serializer.collect_map(pairs.iter().copied())
        }
        json(&Answer {
            version: self.version,
            runningtime: clock(self.running),
            mode: self.mode(),
            loglevel: self.log_level_number(),
            allconncli: self.connected,
            sseconncli: self.subscribers,
            maxconncli: self.max_connected,
            msgproccnt: self.messages_processed,
            msgsendcnt: self.messages_sent,
            running_seconds: self.running.as_secs(),
            pid: self.pid,
            handshakes: self.handshakes,
            reinits: self.reinits,
            reinit: self.reinit,
            cors: &self.cors,
            further: &self.further,
        })
    }

    fn mode(&self) -> &'static str {
        if self.tls.is_some() {
            "SSL encrypted (https)"
        } else {
            "unencrypted (http)"
        }
    }

    fn log_level_number(&self) -> u8 {
        match self.log_level {
            LogLevel::Quiet => 0,
            LogLevel::Normal => 1,
            LogLevel::Debug => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        Status {
            version: "2.0.0",
            compiled: "May  7 2020",
            pid: 3217,
            uid: 0,
            user: None,
            running: Duration::from_secs(26),
            tls: None,
            log_level: LogLevel::Debug,
            reinit: false,
            cors: "*".into(),
            connected: 0,
            subscribers: 0,
            max_connected: 0,
            handshakes: 0,
            reinits: 0,
            messages_processed: 0,
            messages_sent: 0,
            further: Vec::new(),
        }
    }

    #[test]
    fn the_layout_is_the_old_one() {
        let expected = "\
------- status of hasses -------
Version: 2.0.0
Compiled: May  7 2020
Pid: 3217
Uid: 0 (not set)
Running time: 00:00:26
Mode: unencrypted (http)
Loglevel: 2
Reinit allowed: no
CORS-base url: *
Count of connected clients: 0
Current registred SSE clients: 0
Maximum number of connections: 0
Total client handshaked: 0
Total reinit connection: 0
Total message processed: 0
Total message sent: 0
------------- end --------------";
        assert_eq!(status().lines().join("\n"), expected);
    }

    #[test]
    fn files_and_user_are_shown() {
        let lines = Status {
            uid: 33,
            user: Some("www-data".into()),
            tls: Some(TlsFiles {
                cert: "/c.pem".into(),
                key: "/k\n.pem".into(),
            }),
            ..status()
        }
        .lines();
        assert_eq!(lines[4], "Uid: 33 (www-data)");
        assert_eq!(
            lines[6..9],
            [
                "Mode: SSL encrypted (https)",
                "SSL Cert key file: /c.pem",
                r"SSL Prvt key file: /k\n.pem"
            ]
        );
    }

    #[test]
    fn json_has_the_old_keys_in_the_old_order() {
        let status = Status {
            connected: 5,
            subscribers: 4,
            max_connected: 6,
            messages_processed: 7,
            messages_sent: 8,
            ..status()
        };
        assert!(status.json().starts_with(concat!(
            r#"{"version":"2.0.0","runningtime":"00:00:26","mode":"unencrypted (http)","#,
            r#""loglevel":2,"allconncli":5,"sseconncli":4,"maxconncli":6,"#,
            r#""msgproccnt":7,"msgsendcnt":8,"running_seconds":26,"#
        )));
    }
}
