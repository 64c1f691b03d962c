//! Who may publish where a secret is asked for: the first line of text, and `Authorization` in HTTP.

use std::time::Instant;

use async_io::Timer;
use futures_lite::FutureExt;

use super::Publisher;
use super::connection::{Broken, Connection, REQUEST_TIME};
use crate::logger;
use crate::model::{Channel, Secret};
use crate::wire::auth::{bearer, first_line};
use crate::wire::http::access::{self, Access};
use crate::wire::http::{Refused, Request, guard};
use crate::wire::json;

impl Publisher {
    /// The secret that holds now, where one is asked for: Unix sockets are guarded by their file's
    /// mode.
    pub(super) fn secret(&self) -> Option<Secret> {
        match self.channel {
            Channel::Unix => None,
            _ => self.settings.now().control_secret.clone(),
        }
    }

    /// Reads the `auth` line and takes it off the front; whether it is right and came until `due`.
    /// If not, the publisher has been told.
    pub(super) async fn proves(
        &self,
        connection: &mut Connection,
        secret: &Secret,
        due: Instant,
    ) -> Result<bool, Broken> {
        let mut ended = false;
        loop {
            let why = match first_line(connection.bytes(), ended) {
                // Whoever looked whether somebody listens here is not to blame.
                _ if ended && connection.bytes().is_empty() => return Ok(false),
                Ok(Some(line)) if secret.is(line.offered) => {
                    let length = line.length;
                    connection.consume(length);
                    return Ok(true);
                }
                Ok(Some(_)) => "the secret is wrong".to_owned(),
                Ok(None) => match self.more_until(connection, due).await? {
                    Some(count) => {
                        ended = count == 0;
                        continue;
                    }
                    None if self.stop.is_cancelled() || connection.bytes().is_empty() => {
                        return Ok(false);
                    }
                    None => format!(
                        "the auth line was not complete within {} seconds",
                        REQUEST_TIME.as_secs()
                    ),
                },
                Err(error) => error.to_string(),
            };
            self.turn_away(connection, &why).await?;
            return Ok(false);
        }
    }

    /// Reads once; none if nothing came until `due`, or until a stop.
    async fn more_until(
        &self,
        connection: &mut Connection,
        due: Instant,
    ) -> Result<Option<usize>, Broken> {
        let more = async { Ok(Some(connection.read_more().await?)) };
        let late = async {
            Timer::at(due).await;
            Ok(None)
        };
        let stop = self.stop.cancelled_then(Ok(None));
        more.or(late).or(stop).await
    }

    async fn turn_away(&self, connection: &Connection, why: &str) -> Result<(), Broken> {
        let word = Refused::word(401);
        logger::refused(word, format_args!("{}: refused: {why}", self.name));
        self.count_refused(word).await?;
        let answer = json::error(why) + "\n";
        connection.write_all(answer.as_bytes()).await?;
        // What is unread would reset the connection and take the answer with it.
        connection.finish();
        connection.discard().await;
        Ok(())
    }

    /// Whether the figures are shown to those alone who know a secret.
    pub(super) fn asks_for_figures(&self) -> bool {
        let config = self.settings.now();
        let set = config.control_secret.is_some() || config.watch_secret.is_some();
        set && self.channel != Channel::Unix
    }

    /// Whether whoever makes this request may see lists of clients and events too, not figures alone.
    pub(super) fn shows_lists(&self, request: &Request) -> bool {
        let config = self.settings.now();
        if self.channel == Channel::Unix {
            return true;
        }
        match (&config.control_secret, &config.watch_secret) {
            (Some(secret), _) => bearer(request.authorization.as_deref())
                .is_some_and(|offered| secret.is(offered.as_bytes())),
            (None, watch) => watch.is_none(),
        }
    }

    /// Whether a request may be made: by whoever knows the right secret; else if no web page can have
    /// forged it, and none is asked for at that path.
    ///
    /// Errors: 401, 403.
    pub(super) fn admits(&self, request: &Request) -> Result<(), Refused> {
        let access = Access::of(request);
        if access == Access::Health {
            return Ok(());
        }
        let config = self.settings.now();
        let guards = self.channel != Channel::Unix;
        let control = config.control_secret.as_ref().filter(|_| guards);
        let watch = config.watch_secret.as_ref().filter(|_| guards);
        let offered = bearer(request.authorization.as_deref());
        let knows = |secret: Option<&Secret>| {
            let pair = secret.zip(offered);
            pair.is_some_and(|(secret, offered)| secret.is(offered.as_bytes()))
        };
        if knows(control) {
            self.place.is_proven();
            return Ok(());
        }
        if access == Access::Figures && knows(watch) {
            return Ok(());
        }
        let asks = match access {
            Access::Health | Access::Page => false,
            Access::Figures | Access::Lists => control.or(watch).is_some(),
            Access::Deeds => control.is_some(),
        };
        if asks && offered.is_some() {
            return Err(wrong_secret(access, knows(watch)));
        }
        if let Some(why) = guard::forged(request, &config.control_hosts, guards) {
            return Err(Refused::new(403, why));
        }
        if asks {
            return Err(Refused::new(401, needed(access)));
        }
        if guards && config.shut_windows && access::is_new(&request.path) {
            Err(Refused::new(403, SHUT))
        } else {
            Ok(())
        }
    }
}

/// Why a page or list that the old daemon did not have is not shown.
const SHUT: &str = "with the old switches this is shown only where --control-secret or --watch-secret \
                    names a file with a secret, or --control-host the host that it is asked at";

fn needed(access: Access) -> &'static str {
    match access {
        Access::Figures => {
            "this needs Authorization: Bearer SECRET, the one of --control-secret or --watch-secret"
        }
        _ => "this needs Authorization: Bearer SECRET, the one of --control-secret",
    }
}

fn wrong_secret(access: Access, watches: bool) -> Refused {
    let why = if watches && access == Access::Lists {
        "the secret of --watch-secret opens the figures alone; this needs the one of --control-secret"
    } else {
        "the secret in Authorization is wrong"
    };
    Refused::new(401, why)
}
