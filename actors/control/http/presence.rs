//! `GET /presence/TOKEN`: who is there, in pages. `GET /presence`: joins and leaves as an event stream.

use std::time::Duration;

use async_io::Timer;
use futures_lite::FutureExt;

use super::super::Publisher;
use super::super::connection::{Broken, Connection};
use super::flow::Flow;
use super::{Done, Unanswered};
use crate::messages::publisher::{self, PresenceNews};
use crate::model::{ClientId, EventId, Token};
use crate::wire::http::{Answer, Refused, Request, event_id};
use crate::wire::sse::retry_line;

/// Answers with a page of those who are there, which says in a `Link` field (RFC 8288) where the next one
/// is, if there is one.
pub(super) async fn page(
    publisher: &Publisher,
    token: Token,
    after: Option<ClientId>,
    limit: usize,
) -> Result<Answer, Unanswered> {
    let every = percent_encoding::NON_ALPHANUMERIC;
    let encoded = |text: &str| percent_encoding::utf8_percent_encode(text, every).to_string();
    let path = format!("/presence/{}", encoded(token.as_str()));
    let ask = |reply| publisher::Request::Presence {
        token,
        after,
        most: limit,
        reply,
    };
    let Some(page) = publisher.sequencer.call(ask).await? else {
        let why =
            "it is not known who listens to this token; --presence names those of which it is";
        return Err(Refused::new(404, why).into());
    };
    let answer = Answer::json(200, page.json);
    Ok(match page.next {
        None => answer,
        Some(next) => {
            let next = encoded(next.as_str());
            let target = format!("{path}?after={next}&limit={limit}");
            answer.with("Link", format_args!("<{target}>; rel=\"next\""))
        }
    })
}

/// What the next wait of a stream came to.
enum Step {
    News(PresenceNews),
    Silence,
    Over,
}

/// Sends joins and leaves as they come, until the reader leaves or the daemon stops.
pub(super) async fn events(
    publisher: &Publisher,
    connection: &mut Connection,
    request: &Request,
    last: Option<String>,
) -> Result<Done, Unanswered> {
    let _streaming = publisher.streaming()?;
    let kind = "text/event-stream; charset=utf-8";
    let Some(mut flow) = Flow::begin(publisher, connection, request, kind).await? else {
        return Ok(Done::Flowed { goes_on: false });
    };
    // The header that a reader which comes back sends wins.
    let seen = request.last_event_id.clone().filter(|id| !id.is_empty());
    let seen = seen.or(last.filter(|id| !id.is_empty()));
    let seen = seen.map(|id| event_id(&id));
    let start = |reply| publisher::Request::PresenceStart { seen, reply };
    let begun = publisher.sequencer.call(start).await?;
    let retry = publisher.settings.now().retry.map(retry_line);
    let mut at = begun.last;
    // What is kept comes before the first position.
    let mut text = retry.unwrap_or_default() + &begun.text;
    loop {
        match next(publisher, &mut flow, at, Some(Duration::ZERO)).await? {
            Step::News(news) => {
                text += &news.text;
                at = news.last;
                flow.write(&text).await?;
                text.clear();
            }
            Step::Silence => break,
            Step::Over => return end(flow, &text).await,
        }
    }
    flow.write(&(text + &position(at))).await?;
    loop {
        let heartbeat = publisher.settings.now().heartbeat;
        match next(publisher, &mut flow, at, heartbeat).await? {
            Step::News(news) => {
                at = news.last;
                flow.write(&news.text).await?;
            }
            Step::Silence => flow.write(&position(at)).await?,
            Step::Over => return end(flow, "").await,
        }
    }
}

async fn end(flow: Flow<'_>, text: &str) -> Result<Done, Unanswered> {
    flow.write(text).await?;
    flow.end().await?;
    Ok(Done::Flowed { goes_on: false })
}

fn position(id: EventId) -> String {
    format!("id: {id}\n\n")
}

/// Waits for what comes behind an id. What the reader sends is thrown away.
async fn next(
    publisher: &Publisher,
    flow: &mut Flow<'_>,
    after: EventId,
    patience: Option<Duration>,
) -> Result<Step, Broken> {
    let news = async {
        let ask = |reply| publisher::Request::PresenceNews { after, reply };
        Ok(Step::News(publisher.sequencer.call(ask).await?))
    };
    let silence = async {
        match patience {
            Some(Duration::ZERO) => {
                // Whatever is there already is answered before this.
                let ask = |reply| publisher::Request::PresenceStart { seen: None, reply };
                publisher.sequencer.call(ask).await?;
            }
            Some(patience) => drop(Timer::after(patience).await),
            None => std::future::pending().await,
        }
        Ok(Step::Silence)
    };
    let stop = publisher.stop.cancelled_then(Ok(Step::Over));
    let connection = flow.connection();
    let left = async {
        while connection.read_more().await? > 0 {
            connection.take();
        }
        Ok(Step::Over)
    };
    news.or(stop).or(left).or(silence).await
}
