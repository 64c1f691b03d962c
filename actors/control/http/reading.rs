//! Requests on their way in: heads and bodies, each within its time.

use std::time::Instant;

use async_io::Timer;
use futures_lite::FutureExt;

use super::super::Publisher;
use super::super::connection::{BODY_SILENCE, BODY_TIME, Broken, Connection, REQUEST_TIME};
use super::Unanswered;
use crate::wire::http::response::CONTINUE;
use crate::wire::http::{Body, BodyLength, Reader, Refused, Request};

/// Reads a request's head; none if the publisher has left.
pub(super) async fn head(connection: &mut Connection) -> Result<Option<Box<Request>>, Unanswered> {
    let due = connection.due();
    let mut reader = Reader::new();
    loop {
        if let Some(head) = reader.read(connection.bytes())? {
            connection.consume(head.length);
            return Ok(Some(head.request));
        }
        let late = || {
            format!(
                "the request's head was not complete within {} seconds",
                REQUEST_TIME.as_secs()
            )
        };
        if more(connection, due, late).await? == 0 {
            return Ok(None);
        }
    }
}

/// Reads more of a request until `due`; 0 = the publisher has ended its side.
///
/// Errors: 408, saying what was `late`.
async fn more(
    connection: &mut Connection,
    due: Instant,
    late: impl Fn() -> String,
) -> Result<usize, Unanswered> {
    connection.flush().await?;
    let more = async { Ok(connection.read_more().await?) };
    let late = async {
        Timer::at(due).await;
        Err(Refused::new(408, late()).into())
    };
    more.or(late).await
}

/// A request's body, which has still to be read.
pub(super) struct Incoming {
    length: BodyLength,
    /// Whether the publisher waits for `100 Continue` before it sends the body.
    asks: bool,
    state: State,
}

/// How far a body was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing of it.
    Unread,
    /// To its end, so that the next request follows.
    Whole,
    /// To a place from which no way leads to the next request.
    Lost,
}

impl Incoming {
    /// The body of a request whose head was read.
    pub(super) fn of(request: &Request) -> Self {
        let none = matches!(request.body, BodyLength::None | BodyLength::Length(0));
        Self {
            length: request.body,
            asks: request.expect_continue,
            state: if none { State::Whole } else { State::Unread },
        }
    }

    /// Reads it, at most `max` bytes.
    ///
    /// Errors: 413, 400, 408.
    pub(super) async fn read(
        &mut self,
        publisher: &Publisher,
        connection: &mut Connection,
        max: usize,
    ) -> Result<Vec<u8>, Unanswered> {
        if self.state == State::Whole {
            return Ok(Vec::new());
        }
        self.state = State::Lost;
        let mut body = Body::new(self.length, max)?;
        if self.asks && connection.bytes().is_empty() {
            connection.flush().await?;
            connection.write_all(CONTINUE).await?;
        }
        let read = self.feed(publisher, connection, &mut body, false).await;
        publisher.unfinished(0);
        read?;
        Ok(body.take())
    }

    /// Reads what is left of it, at most `max` bytes, and throws it away; whether the next request
    /// follows. To be asked for before an answer that does not need the body.
    pub(super) async fn pass_over(
        &mut self,
        publisher: &Publisher,
        connection: &mut Connection,
        max: usize,
    ) -> Result<bool, Broken> {
        // One who asks first may leave the body out (RFC 9110 §10.1.1), and nobody can tell.
        if self.state == State::Unread && !self.asks {
            self.state = State::Lost;
            if let Ok(mut body) = Body::new(self.length, max) {
                match self.feed(publisher, connection, &mut body, true).await {
                    Ok(()) | Err(Unanswered::Refused(_)) => {}
                    Err(Unanswered::Broken(broken)) => return Err(broken),
                }
            }
        }
        Ok(self.state == State::Whole)
    }

    /// Feeds a body until it is complete: 10 seconds for each next byte, and 5 minutes in all.
    async fn feed(
        &mut self,
        publisher: &Publisher,
        connection: &mut Connection,
        body: &mut Body,
        discards: bool,
    ) -> Result<(), Unanswered> {
        let end = Instant::now() + BODY_TIME;
        loop {
            let count = body.feed(connection.bytes())?;
            connection.consume(count);
            if body.is_complete() {
                self.state = State::Whole;
                return Ok(());
            }
            if discards {
                body.forget()?
            } else {
                publisher.unfinished(body.len())
            }
            let (due, late) = next_byte(end, Instant::now());
            if more(connection, due, late).await? == 0 {
                let why = "the connection ended before the request's body did";
                return Err(Refused::new(400, why).into());
            }
        }
    }
}

/// When the next byte of a body has to come that must be whole at `end`, and what is wrong if it does not.
fn next_byte(end: Instant, now: Instant) -> (Instant, fn() -> String) {
    let silent = now + BODY_SILENCE;
    if end <= silent {
        let late = || {
            let most = BODY_TIME.as_secs();
            format!("the request's body was not complete within {most} seconds")
        };
        (end, late)
    } else {
        let late = || {
            let most = BODY_SILENCE.as_secs();
            format!("nothing of the request's body came for {most} seconds")
        };
        (silent, late)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_body_has_ten_seconds_for_each_byte_and_five_minutes_in_all() {
        let began = Instant::now();
        let after = |seconds: u64| began + Duration::from_secs(seconds);
        let end = began + BODY_TIME;
        for (now, due, late) in [
            (0, 10, "nothing of the request's body came for 10 seconds"),
            (
                289,
                299,
                "nothing of the request's body came for 10 seconds",
            ),
            (
                295,
                300,
                "the request's body was not complete within 300 seconds",
            ),
        ] {
            let (found, why) = next_byte(end, after(now));
            assert_eq!((found, why()), (after(due), late.to_owned()));
        }
    }
}
