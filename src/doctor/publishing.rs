//! How the doctor publishes its test events: by the control address, or by a command of the user's.

use std::process::{Command, Stdio};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::control::Asked;
use crate::failure::Failure;

/// A way to publish.
pub(crate) enum Publishing<'a> {
    /// By HTTP to the control address.
    Control(&'a Asked),
    /// By a shell command, which gets the token and the data as `$1` and `$2`.
    Command(&'a str),
    /// None, and why.
    None(String),
}

impl<'a> Publishing<'a> {
    /// The way that the command line names, or the control address if it answers.
    pub(crate) fn find(asked: &'a Asked) -> Self {
        if let Some(command) = asked.own("publish") {
            return Self::Command(command);
        }
        match asked.request("GET", "/status", b"") {
            Ok(_) => Self::Control(asked),
            Err(failure) => Self::None(failure.messages.concat()),
        }
    }

    /// Publishes an event.
    ///
    /// # Errors
    /// It was not taken in, and why.
    pub(crate) fn publish(&self, token: &str, data: &str) -> Result<(), String> {
        match self {
            Self::Control(asked) => {
                let token = utf8_percent_encode(token, NON_ALPHANUMERIC);
                let target = format!("/publish/{token}");
                let answered = asked.request("POST", &target, data.as_bytes());
                answered.map(drop).map_err(joined)
            }
            Self::Command(command) => {
                let status = Command::new("/bin/sh")
                    .args(["-c", command, "sh", token, data])
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .status()
                    .map_err(|error| error.to_string())?;
                if status.success() {
                    Ok(())
                } else {
                    Err(format!("--publish ended with {status}"))
                }
            }
            Self::None(why) => Err(why.clone()),
        }
    }

    /// Ends the streams with an id, if there is a control address.
    pub(crate) fn disconnect(&self, id: &str) -> Option<Result<(), String>> {
        let Self::Control(asked) = self else {
            return None;
        };
        let answered = asked.request("POST", &format!("/disconnect/{id}"), b"");
        Some(answered.map(drop).map_err(joined))
    }

    /// What hasses knows of the client with an id, if there is a control address that tells.
    pub(crate) fn client(&self, id: &str) -> Option<Option<Value>> {
        let Self::Control(asked) = self else {
            return None;
        };
        let answer = asked
            .request("GET", &format!("/clients?search={id}"), b"")
            .ok()?;
        let list: Vec<Value> = serde_json::from_slice(&answer).ok()?;
        Some(list.into_iter().find(|client| client["id"] == id))
    }
}

fn joined(failure: Failure) -> String {
    failure.messages.concat()
}
