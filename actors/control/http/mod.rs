//! A publisher that speaks HTTP.
//!
//! | file | subject |
//! | --- | --- |
//! | this | requests and answers |
//! | [`reading`] | heads and bodies, each within its time |
//! | [`publishing`] | `POST /publish` |
//! | [`flow`] | an answer that is written bit by bit |
//! | [`clients`] | `GET /clients` |
//! | [`dashboard`] | `GET /` |
//! | [`live`] | `GET /live` |
//! | [`events`] | `GET /events` |

use std::pin::{Pin, pin};
use std::time::{Duration, Instant, SystemTime};

use async_io::Timer;
use futures_lite::FutureExt;

mod clients;
mod dashboard;
mod events;
mod flow;
mod live;
mod presence;
mod publishing;
mod reading;

use super::Publisher;
use super::connection::{Broken, Connection};
use super::places::Streaming;
use crate::logger;
use crate::messages::publisher;
use crate::model::ClientId;
use crate::model::deadlines::since_1970;
use crate::runtime::Gone;
use crate::wire::command::Command;
use crate::wire::http::control_api::Route;
use crate::wire::http::{Answer, Date, Method, Refused, Request};
use crate::wire::report::{METRICS_TYPE, level_word, metrics};
use reading::Incoming;

/// How long a connection may have no request.
const IDLE_TIME: Duration = Duration::from_secs(60);
/// Seconds after which one may try again what could not be done now.
const RETRY_AFTER: u64 = 5;

/// Why a request is not answered with what it asked for.
#[derive(Debug)]
enum Unanswered {
    /// It is refused: this is its answer.
    Refused(Refused),
    /// The connection cannot go on.
    Broken(Broken),
}

impl From<Refused> for Unanswered {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl<T: Into<Broken>> From<T> for Unanswered {
    fn from(broken: T) -> Self {
        Self::Broken(broken.into())
    }
}

/// Answers requests until the connection is to end. Answers to requests that came together are written
/// together.
pub(super) async fn serve(
    publisher: &Publisher,
    connection: &mut Connection,
) -> Result<(), Broken> {
    // Made once: to begin waiting anew costs more than the rest of a wait.
    let mut idle = Timer::never();
    let mut cancelled = pin!(publisher.stop.cancelled());
    loop {
        let goes_on = exchange(publisher, connection).await?;
        if !goes_on || publisher.stop.is_cancelled() {
            return Ok(connection.flush().await?);
        }
        publisher.place.has_whole();
        if connection.is_to_flush() {
            connection.flush().await?;
        }
        // The first bytes of a request start its time; until then the connection may be idle.
        if connection.bytes().is_empty()
            && !first_bytes(connection, &mut idle, cancelled.as_mut()).await?
        {
            return Ok(());
        }
        connection.begin_request();
    }
}

async fn first_bytes(
    connection: &mut Connection,
    idle: &mut Timer,
    cancelled: Pin<&mut impl Future<Output = ()>>,
) -> Result<bool, Broken> {
    let due = Instant::now() + IDLE_TIME;
    let more = async { Ok(connection.read_more().await? > 0) };
    let idle = async {
        // One that was set for an earlier wait is early, and is set again then.
        if !idle.will_fire() {
            idle.set_at(due);
        }
        while Pin::new(&mut *idle).await < due {
            idle.set_at(due);
        }
        Ok(false)
    };
    let stop = async {
        cancelled.await;
        Ok(false)
    };
    more.or(idle).or(stop).await
}

/// One request and its answer; whether the connection goes on.
async fn exchange(publisher: &Publisher, connection: &mut Connection) -> Result<bool, Broken> {
    let request = match reading::head(connection).await {
        Ok(Some(request)) => request,
        Ok(None) => return Ok(false),
        Err(Unanswered::Broken(broken)) => return Err(broken),
        Err(Unanswered::Refused(refused)) => {
            publisher.refuse(&refused).await?;
            let mut answered = Answer::refused_json(&refused);
            answered.head_only = Method::of(connection.bytes()) == Method::Head;
            answer(publisher, connection, &answered);
            return Ok(false);
        }
    };
    let mut body = Incoming::of(&request);
    let mut answered = match handle(publisher, connection, &request, &mut body).await {
        Ok(Done::Answer(answered)) => answered,
        Ok(Done::Flowed { goes_on }) => return Ok(goes_on),
        Err(Unanswered::Broken(broken)) => return Err(broken),
        Err(Unanswered::Refused(refused)) => {
            publisher.refuse(&refused).await?;
            let mut answered = Answer::refused_json(&refused);
            if refused.status == 503 {
                answered = answered.with("Retry-After", RETRY_AFTER);
            }
            answered.close = false;
            answered
        }
    };
    if !answered.close {
        let max = publisher.settings.now().max_message.saturating_mul(8);
        answered.close = !body.pass_over(publisher, connection, max).await?;
    }
    answered.head_only = request.method == Method::Head;
    answered.close |= request.close || publisher.stop.is_cancelled();
    let goes_on = !answered.close;
    answer(publisher, connection, &answered);
    Ok(goes_on)
}

fn answer(publisher: &Publisher, connection: &mut Connection, answer: &Answer) {
    connection.answer(|bytes| answer.write(Date::from(SystemTime::now()), bytes));
    log::debug!("{}: answered with {}", publisher.name, answer.status);
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
    body: &mut Incoming,
) -> Result<Done, Unanswered> {
    publisher.admits(request)?;
    let route = Route::find(request)?;
    let max_message = publisher.settings.now().max_message;
    let answer = match route {
        Route::Clients(page) => {
            ready(publisher, connection, body).await?;
            return clients::list(publisher, connection, request, page).await;
        }
        Route::Live => {
            ready(publisher, connection, body).await?;
            return live::show(publisher, connection, request).await;
        }
        Route::Presence {
            token,
            after,
            limit,
        } => presence::page(publisher, token, after, limit).await?,
        Route::PresenceEvents { last } => {
            ready(publisher, connection, body).await?;
            return presence::events(publisher, connection, request, last).await;
        }
        Route::Dashboard => dashboard::show(publisher.asks_for_figures()),
        Route::Healthz if publisher.stop.is_cancelled() => {
            return Err(Refused::new(503, "hasses is stopping").into());
        }
        Route::Healthz => Answer::word("ok"),
        Route::Metrics => {
            let report = |reply| publisher::Request::Report { reply };
            let figures = publisher.sequencer.call(report).await?;
            Answer::page(METRICS_TYPE, metrics(&figures))
        }
        Route::Status => Answer::json(200, publisher.execute(Command::TcpStatus).await?),
        Route::Subscribers(target) => {
            let command = Command::TcpSubscribedClients(target);
            Answer::json(200, publisher.execute(command).await?)
        }
        Route::Disconnect { id, seconds } => disconnect(publisher, id, seconds).await?,
        Route::Events => {
            ready(publisher, connection, body).await?;
            return events::show(publisher, connection, request).await;
        }
        Route::SetLogLevel(level) => {
            publisher.execute(Command::SetLogLevel(level)).await?;
            Answer::json(200, format!("{{\"loglevel\":\"{}\"}}\n", level_word(level)))
        }
        Route::PublishTo(publication) => {
            let data = body.read(publisher, connection, max_message).await?;
            publishing::one(publisher, data, publication).await?
        }
        Route::PublishJson { ndjson, key } => {
            // A list may hold many messages, and JSON may write a byte as six.
            let max = max_message.saturating_mul(8);
            let body = body.read(publisher, connection, max).await?;
            publishing::json(publisher, body, ndjson, key).await?
        }
    };
    Ok(answer.into())
}

/// Makes sure that an answer which is written bit by bit can begin, whatever body came with its request.
async fn ready(
    publisher: &Publisher,
    connection: &mut Connection,
    body: &mut Incoming,
) -> Result<(), Unanswered> {
    let max = publisher.settings.now().max_message;
    body.read(publisher, connection, max).await.map(drop)
}

/// Ends the streams of an id, as `disconnect:` does, and tells the log too.
async fn disconnect(
    publisher: &Publisher,
    id: ClientId,
    seconds: Option<u64>,
) -> Result<Answer, Gone> {
    let asked = id.clone();
    let until = seconds.map(|seconds| since_1970().as_secs() + seconds);
    let disconnect = |reply| publisher::Request::Disconnect {
        id: asked,
        until,
        reply,
    };
    let count = publisher.sequencer.call(disconnect).await?;
    log::info!(
        "{}: disconnected {count} client{} named {:?}{}",
        publisher.name,
        if count == 1 { "" } else { "s" },
        id.as_str(),
        seconds.map_or_else(String::new, |seconds| format!(
            ", which are not let in for {seconds} s"
        ))
    );
    Ok(Answer::json(200, format!("{{\"disconnected\":{count}}}\n")))
}

impl Publisher {
    /// The right to a streamed answer, which lasts as long as what is returned.
    ///
    /// # Errors
    /// 503 where there are so many already that another cannot begin.
    fn streaming(&self) -> Result<Streaming<'_>, Refused> {
        let most = self.settings.now().max_publishers;
        self.place.stream(most).ok_or_else(|| {
            Refused::new(
                503,
                format!(
                    "there are {} streamed answers already, a quarter of --max-publishers",
                    (most / 4).max(1)
                ),
            )
        })
    }

    /// Tells the log of a refusal, and counts it.
    async fn refuse(&self, refused: &Refused) -> Result<(), Gone> {
        let Refused { status, reason, .. } = refused;
        let word = Refused::word(*status);
        let name = &self.name;
        logger::refused(
            word,
            format_args!("{name}: refused with {status}: {reason}"),
        );
        self.count(vec![(word, 1)], 0).await
    }

    async fn execute(&self, command: Command) -> Result<String, Gone> {
        let execute = |reply| publisher::Request::Execute { command, reply };
        self.sequencer.call(execute).await
    }
}
