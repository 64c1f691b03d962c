//! Who may publish where a secret is asked for: the first line of text, and `Authorization` in HTTP.

use std::time::Instant;

use async_io::Timer;
use futures_lite::FutureExt;

use super::Publisher;
use super::connection::{Broken, Connection, REQUEST_TIME};
use crate::messages::publisher;
use crate::model::{Channel, Secret};
use crate::wire::auth::{bearer, first_line};
use crate::wire::http::control_api::is_open;
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
        let stop = async {
            self.stop.cancelled().await;
            Ok(None)
        };
        more.or(late).or(stop).await
    }

    async fn turn_away(&self, connection: &Connection, why: &str) -> Result<(), Broken> {
        log::warn!("{}: refused: {why}", self.name);
        let count = |reply| publisher::Request::Count {
            refused: vec![(Refused::word(401), 1)],
            lossy_utf8: 0,
            reply,
        };
        self.sequencer.call(count).await?;
        let answer = json::error(why) + "\n";
        connection.write_all(answer.as_bytes()).await?;
        // What is unread would reset the connection and take the answer with it.
        connection.finish();
        connection.discard().await;
        Ok(())
    }

    /// Whether a request may be made: by whoever knows the secret; else if no web page can have
    /// forged it, and none is asked for at that path.
    ///
    /// Errors: 401, 403.
    pub(super) fn admits(&self, request: &Request) -> Result<(), Refused> {
        let (secret, open) = (self.secret(), is_open(&request.path));
        let offered = bearer(request.authorization.as_deref());
        match (&secret, offered) {
            (Some(secret), Some(offered)) if secret.is(offered.as_bytes()) => return Ok(()),
            (Some(_), Some(_)) if !open => {
                return Err(Refused::new(401, "the secret in Authorization is wrong"));
            }
            _ => {}
        }
        let names = self.channel != Channel::Unix;
        let allowed = &self.settings.now().control_hosts;
        if let Some(why) = guard::forged(request, allowed, names) {
            return Err(Refused::new(403, why));
        }
        match secret {
            Some(_) if !open => Err(Refused::new(
                401,
                "this needs Authorization: Bearer SECRET, the one of --control-secret",
            )),
            _ => Ok(()),
        }
    }
}
