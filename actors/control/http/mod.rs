//! A publisher that speaks HTTP.
//!
//! | file | subject |
//! | --- | --- |
//! | this | requests and answers; publishing, figures |
//! | [`flow`] | an answer that is written bit by bit |
//! | [`clients`] | `GET /clients` |
//! | [`dashboard`] | `GET /` |
//! | [`live`] | `GET /live` |

use std::time::{Duration, Instant, SystemTime};

use async_io::Timer;
use futures_lite::FutureExt;

mod clients;
mod dashboard;
mod flow;
mod live;

use super::Publisher;
use super::connection::{Broken, Connection, REQUEST_TIME};
use crate::messages::publisher::{self, Outcome, Receipt};
use crate::model::publication::{Publication, Targets};
use crate::model::{Channel, ClientId};
use crate::wire::command::{Command, Refusal};
use crate::wire::http::control_api::Route;
use crate::wire::http::response::CONTINUE;
use crate::wire::http::{Answer, Body, Date, Method, Reader, Refused, Request};
use crate::wire::json::{self, Shape};
use crate::wire::report::{METRICS_TYPE, level_word, metrics};

/// How long a connection may have no request.
const IDLE_TIME: Duration = Duration::from_secs(60);

/// A request that was read, or why none was.
type Read<T> = Result<Result<T, Refused>, Broken>;

/// Answers requests until the connection is to end.
pub(super) async fn serve(
    publisher: &Publisher,
    connection: &mut Connection,
) -> Result<(), Broken> {
    loop {
        // The first bytes of a request start its time; until then the connection may be idle.
        if connection.bytes().is_empty() && !first_bytes(publisher, connection).await? {
            return Ok(());
        }
        connection.begin_request();
        if !exchange(publisher, connection).await? || publisher.stop.is_cancelled() {
            return Ok(());
        }
    }
}

async fn first_bytes(publisher: &Publisher, connection: &mut Connection) -> Result<bool, Broken> {
    let more = async { Ok(connection.read_more().await? > 0) };
    let idle = async {
        Timer::after(IDLE_TIME).await;
        Ok(false)
    };
    let stop = async {
        publisher.stop.cancelled().await;
        Ok(false)
    };
    more.or(idle).or(stop).await
}

/// One request and its answer; whether the connection goes on.
async fn exchange(publisher: &Publisher, connection: &mut Connection) -> Result<bool, Broken> {
    let due = connection.due();
    let request = match head(connection, due).await? {
        Ok(Some(request)) => request,
        Ok(None) => return Ok(false),
        Err(refused) => {
            refuse(publisher, &refused).await?;
            let mut answered = Answer::refused_json(&refused);
            answered.head_only = Method::of(connection.bytes()) == Method::Head;
            answer(publisher, connection, answered).await?;
            return Ok(false);
        }
    };
    let mut answered = match handle(publisher, connection, &request, due).await? {
        Ok(Done::Answer(answered)) => answered,
        Ok(Done::Flowed { goes_on }) => return Ok(goes_on),
        Err(refused) => {
            refuse(publisher, &refused).await?;
            Answer::refused_json(&refused)
        }
    };
    answered.head_only = request.method == Method::Head;
    answered.close |= request.close || publisher.stop.is_cancelled();
    let goes_on = !answered.close;
    answer(publisher, connection, answered).await?;
    Ok(goes_on)
}

async fn refuse(publisher: &Publisher, refused: &Refused) -> Result<(), Broken> {
    let Refused { status, reason, .. } = refused;
    log::warn!("{}: refused with {status}: {reason}", publisher.name);
    count(publisher, vec![(Refused::word(*status), 1)], 0).await
}

async fn count(
    publisher: &Publisher,
    refused: Vec<(&'static str, u64)>,
    lossy_utf8: u64,
) -> Result<(), Broken> {
    let count = |reply| publisher::Request::Count {
        refused,
        lossy_utf8,
        reply,
    };
    Ok(publisher.sequencer.call(count).await?)
}

async fn answer(
    publisher: &Publisher,
    connection: &Connection,
    answer: Answer,
) -> Result<(), Broken> {
    let mut bytes = Vec::new();
    answer.write(Date::from(SystemTime::now()), &mut bytes);
    log::debug!("{}: answered with {}", publisher.name, answer.status);
    Ok(connection.write_all(&bytes).await?)
}

/// Reads more of a request, until its time is over.
async fn more(connection: &mut Connection, due: Instant) -> Read<usize> {
    let more = async { Ok(Ok(connection.read_more().await?)) };
    let late = async {
        Timer::at(due).await;
        let why = format!(
            "the request was not complete within {} seconds",
            REQUEST_TIME.as_secs()
        );
        Ok(Err(Refused::new(408, why)))
    };
    more.or(late).await
}

/// Reads a request's head; none if the publisher has left.
async fn head(connection: &mut Connection, due: Instant) -> Read<Option<Request>> {
    let mut reader = Reader::new();
    loop {
        match reader.read(connection.bytes()) {
            Ok(Some(head)) => {
                connection.consume(head.length);
                return Ok(Ok(Some(head.request)));
            }
            Ok(None) => match more(connection, due).await? {
                Ok(0) => return Ok(Ok(None)),
                Ok(_) => {}
                Err(refused) => return Ok(Err(refused)),
            },
            Err(refused) => return Ok(Err(refused)),
        }
    }
}

/// Reads a request's body of at most `max` bytes.
async fn body(
    connection: &mut Connection,
    request: &Request,
    due: Instant,
    max: usize,
) -> Read<Vec<u8>> {
    let mut body = match Body::new(request.body, max) {
        Ok(body) => body,
        Err(refused) => return Ok(Err(refused)),
    };
    if request.expect_continue && connection.bytes().is_empty() && !body.is_complete() {
        connection.write_all(CONTINUE).await?;
    }
    loop {
        match body.feed(connection.bytes()) {
            Ok(count) => connection.consume(count),
            Err(refused) => return Ok(Err(refused)),
        }
        if body.is_complete() {
            return Ok(Ok(body.take()));
        }
        match more(connection, due).await? {
            Ok(0) => {
                let why = "the connection ended before the request's body did";
                return Ok(Err(Refused::new(400, why)));
            }
            Ok(_) => {}
            Err(refused) => return Ok(Err(refused)),
        }
    }
}

/// What became of a request.
enum Done {
    /// This is to be its answer.
    Answer(Answer),
    /// It was answered bit by bit; whether the connection goes on.
    Flowed { goes_on: bool },
}

impl From<Answer> for Done {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

/// Does what a request asks for.
async fn handle(
    publisher: &Publisher,
    connection: &mut Connection,
    request: &Request,
    due: Instant,
) -> Read<Done> {
    if let Err(refused) = publisher.admits(request) {
        return Ok(Err(refused));
    }
    let config = publisher.settings.now();
    let route = match Route::find(request) {
        Ok(route) => route,
        Err(refused) => return Ok(Err(refused)),
    };
    // A list may hold many messages, and JSON may write a byte as six.
    let max = match route {
        Route::PublishJson { .. } => config.max_message.saturating_mul(8) + 64 * 1024,
        _ => config.max_message,
    };
    let body = match body(connection, request, due, max).await? {
        Ok(body) => body,
        Err(refused) => return Ok(Err(refused)),
    };
    let answer = match route {
        Route::Clients(page) => return clients::list(publisher, connection, request, page).await,
        Route::Live => return live::show(publisher, connection, request).await,
        Route::Dashboard => dashboard::show(),
        Route::Healthz => Answer::word("ok"),
        Route::Metrics => {
            let figures = publisher
                .sequencer
                .call(|reply| publisher::Request::Report { reply })
                .await?;
            Answer::page(METRICS_TYPE, metrics(&figures))
        }
        Route::Status => Answer::json(200, execute(publisher, Command::TcpStatus).await?),
        Route::Subscribers(target) => {
            let command = Command::TcpSubscribedClients(target);
            Answer::json(200, execute(publisher, command).await?)
        }
        Route::Disconnect(id) => disconnect(publisher, id).await?,
        Route::SetLogLevel(level) => {
            execute(publisher, Command::SetLogLevel(level)).await?;
            Answer::json(200, format!("{{\"loglevel\":\"{}\"}}\n", level_word(level)))
        }
        Route::PublishTo {
            target,
            except,
            event,
            retain,
            private,
            key,
        } => {
            let publication = Publication {
                to: Targets::One(target),
                except,
                event,
                data: text(publisher, body).await?.into(),
                retain,
                private,
                key,
                update: None,
            };
            if let Err(refusal) = json::check_hub_name(&publication, config.mercure.is_some()) {
                return Ok(Err(refused(&refusal)));
            }
            let outcome = publish(publisher, vec![publication]).await?;
            return Ok(receipts(outcome, Shape::One).map(Done::Answer));
        }
        Route::PublishJson { ndjson, key } => {
            let answer = publish_json(publisher, &body, ndjson, key.as_deref()).await?;
            return Ok(answer.map(Done::Answer));
        }
    };
    Ok(Ok(answer.into()))
}

/// Ends the streams of an id, as `disconnect:` does, and tells the log too.
async fn disconnect(publisher: &Publisher, id: ClientId) -> Result<Answer, Broken> {
    let asked = id.clone();
    let disconnect = |reply| publisher::Request::Disconnect { id: asked, reply };
    let count = publisher.sequencer.call(disconnect).await?;
    log::info!(
        "{}: disconnected {count} clients named {:?}",
        publisher.name,
        id.as_str()
    );
    Ok(Answer::json(200, format!("{{\"disconnected\":{count}}}\n")))
}

async fn publish_json(
    publisher: &Publisher,
    body: &[u8],
    ndjson: bool,
    key: Option<&str>,
) -> Read<Answer> {
    let mut lossy_utf8 = 0;
    let read = json::body(
        body,
        ndjson,
        publisher.settings.now().max_message,
        &mut lossy_utf8,
    );
    let hub = publisher.settings.now().mercure.is_some();
    let read = read.and_then(|(messages, shape)| {
        let mut each = messages.iter();
        each.try_for_each(|message| json::check_hub_name(&message.publication, hub))?;
        Ok((json::keyed(messages, key)?, shape))
    });
    if lossy_utf8 > 0 {
        count(publisher, Vec::new(), lossy_utf8).await?;
    }
    Ok(match read {
        Ok((messages, shape)) => {
            let publications = messages
                .into_iter()
                .map(|message| message.publication)
                .collect();
            receipts(publish(publisher, publications).await?, shape)
        }
        Err(refusal) => Err(refused(&refusal)),
    })
}

fn refused(refusal: &Refusal) -> Refused {
    Refused::new(
        if refusal.is_too_long() { 413 } else { 400 },
        refusal.to_string(),
    )
}

/// The body as text; what of it is no UTF-8 is replaced and counted.
async fn text(publisher: &Publisher, body: Vec<u8>) -> Result<String, Broken> {
    match String::from_utf8(body) {
        Ok(text) => Ok(text),
        Err(invalid) => {
            count(publisher, Vec::new(), 1).await?;
            Ok(String::from_utf8_lossy(invalid.as_bytes()).into_owned())
        }
    }
}

/// The answer to messages that were taken in, or were not.
fn receipts(outcome: Outcome, shape: Shape) -> Result<Answer, Refused> {
    match outcome {
        Ok(receipts) => Ok(Answer::json(200, receipt_lines(&receipts, shape))),
        Err(away) => Err(Refused::new(503, away.to_string())),
    }
}

fn receipt_lines(receipts: &[Receipt], shape: Shape) -> String {
    let each: Vec<_> = receipts
        .iter()
        .map(|receipt| json::receipt(receipt.id, receipt.recipients))
        .collect();
    match shape {
        Shape::One => each.join(","),
        Shape::List => format!("[{}]", each.join(",")),
    }
}

async fn publish(publisher: &Publisher, publications: Vec<Publication>) -> Result<Outcome, Broken> {
    let channel = Channel::Http;
    let publish = |reply| publisher::Request::Publish {
        publications,
        channel,
        reply,
    };
    Ok(publisher.sequencer.call(publish).await?)
}

async fn execute(publisher: &Publisher, command: Command) -> Result<String, Broken> {
    let execute = |reply| publisher::Request::Execute { command, reply };
    Ok(publisher.sequencer.call(execute).await?)
}
