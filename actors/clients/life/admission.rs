//! What becomes of a request: decided without input or output.

use std::time::Duration;

use super::answer::now;
use super::script;
use crate::auth::{self, Pass, Proof};
use crate::config::{Config, SubscribeAll};
use crate::messages::client::LimitReached;
use crate::model::{ClientId, Form, Member, Positions, Resume, Subscription, Token};
use crate::wire::http::query::Query;
use crate::wire::http::response::stream_head;
use crate::wire::http::{Answer, BodyLength, Method, Refused, Request, Version, cors, event_id};
use crate::wire::info;
use crate::wire::sse::{self, LAST_CHUNK, retry_line};

/// The longest `User-Agent` that is kept, in bytes.
const LONGEST_AGENT: usize = 512;
/// What an EventSource says it accepts.
const EVENT_STREAM: &[u8] = b"text/event-stream";
/// The query that asks whether the daemon takes streams.
const HEALTH: &str = "health";
/// Milliseconds after which a client for whom there is no room may come back.
pub(super) const COME_BACK: u32 = 30_000;

/// What a request that is not refused asks for.
pub(super) enum Admitted {
    Stream(Box<StreamRequest>),
    /// The head of a stream alone.
    Head(Version, Option<Proof>),
    /// What is no stream, and whole.
    Answer(Answer),
}

/// A stream that is asked for.
pub(super) struct StreamRequest {
    pub(super) subscription: Subscription,
    /// Who the client is for others.
    pub(super) member: Member,
    pub(super) resume: Resume,
    /// Tokens of whose kept events the last so many are wanted besides.
    pub(super) recent_of: Vec<(Token, usize)>,
    /// When the stream ends, since 1970.
    pub(super) ends: Option<Duration>,
    /// What it proved its right with, where that is asked for.
    pub(super) proof: Option<Proof>,
    pub(super) version: Version,
    pub(super) agent: Option<String>,
    /// Whether a body follows the request.
    pub(super) has_body: bool,
    /// Whether it was asked for by an EventSource, which never comes back after an error status.
    pub(super) event_source: bool,
}

/// Decides on a request, `now` being the time since 1970; `stopping`: the daemon is about to end;
/// `inside`: it comes by the control port, and may read all.
pub(super) fn admit(
    mut request: Box<Request>,
    config: &Config,
    now: Duration,
    stopping: bool,
    inside: bool,
) -> Result<Admitted, Refused> {
    if let Some(answer) = answer_without_stream(&request, config, stopping)? {
        return Ok(Admitted::Answer(answer));
    }
    let query = Query::read(request.query.as_deref())?;
    check_count(&query.subscription, config)?;
    let resume = resume(&request, &query);
    // A browser that reconnects has had them.
    let recent_of = if reconnects(&request) {
        Vec::new()
    } else {
        query.recent_of
    };
    let mut subscription = query.subscription;
    subscription.inside = inside;
    if inside {
        subscription.form = subscription.form.for_inside();
    }
    let pass = match config.subscribe_keys.as_ref().filter(|_| !inside) {
        Some(keys) => Some(auth::check(keys, &request, &subscription, now)?),
        None => None,
    };
    if subscription.all && config.subscribe_all == SubscribeAll::Nobody && !inside {
        let why =
            "subscribed to only if the server was started with --allow-all: it means every token";
        return Err(Refused::denied(&["*"], why));
    }
    let member = member(pass.as_ref(), subscription.id.as_ref(), query.info)?;
    let (mut ends, mut proof) = (None, None);
    if let Some(pass) = pass {
        subscription.id = pass.id.or(subscription.id);
        (ends, proof) = (pass.ends, Some(pass.by));
    }
    if request.method == Method::Head {
        return Ok(Admitted::Head(request.version, proof));
    }
    let event_source = is_event_source(&request);
    Ok(Admitted::Stream(Box::new(StreamRequest {
        subscription,
        member,
        resume,
        recent_of,
        ends,
        proof,
        version: request.version,
        has_body: request.body != BodyLength::None,
        agent: request.user_agent.take().map(agent),
        event_source,
    })))
}

/// The answer to a request that is for no stream.
fn answer_without_stream(
    request: &Request,
    config: &Config,
    stopping: bool,
) -> Result<Option<Answer>, Refused> {
    if request.method == Method::Unknown {
        return Err(Refused::unknown_method());
    }
    let is_script = script::is_at(&request.path, &config.path);
    if request.path != config.path && !is_script {
        let why = format!(
            "subscribers are answered on {} only; publishers use the address of --control",
            config.path
        );
        return Err(Refused::new(404, why));
    }
    match request.method {
        Method::Get | Method::Head => {}
        Method::Options => return Ok(Some(preflight(request))),
        _ => return Err(Refused::method(cors::ALLOW)),
    }
    if is_script {
        return Ok(Some(script::answer(request)));
    }
    let asks_for_health = request.query.as_deref() == Some(HEALTH);
    Ok(asks_for_health.then(|| health(stopping)))
}

/// Bounds the tokens of one subscription.
fn check_count(subscription: &Subscription, config: &Config) -> Result<(), Refused> {
    let (count, most) = (subscription.tokens.len(), config.max_tokens);
    if count <= most {
        return Ok(());
    }
    let why = format!("{count} tokens are too many for one subscription; --max-tokens is {most}");
    Err(Refused::new(400, why))
}

fn preflight(request: &Request) -> Answer {
    let mut answer = Answer::no_content();
    answer.lines = cors::preflight(request.wanted_headers.as_deref());
    answer
}

/// Whether the daemon takes streams, for who distributes them.
fn health(stopping: bool) -> Answer {
    if stopping {
        Answer::text(503, "hasses is stopping")
    } else {
        Answer::text(200, "ok")
    }
}

/// Who the client is for others: what a JWT says, or a query that is signed or needs no signature.
fn member(
    pass: Option<&Pass>,
    id: Option<&ClientId>,
    info: Option<&str>,
) -> Result<Member, Refused> {
    match pass {
        Some(pass) if pass.by == Proof::Jwt => Ok(Member {
            id: pass.id.clone(),
            info: pass.info.as_deref().map(Into::into),
        }),
        _ => Ok(Member {
            id: id.cloned(),
            info: info.map(info::read).transpose()?.map(Into::into),
        }),
    }
}

/// Whether a browser comes back by itself.
fn reconnects(request: &Request) -> bool {
    request
        .last_event_id
        .as_ref()
        .is_some_and(|id| !id.is_empty())
}

/// Whether an EventSource asks.
pub(super) fn is_event_source(request: &Request) -> bool {
    let accept = request.accept.as_deref().unwrap_or_default().as_bytes();
    let mut parts = accept.windows(EVENT_STREAM.len());
    parts.any(|part| part.eq_ignore_ascii_case(EVENT_STREAM))
}

/// Where the stream is to begin: the header that a reconnecting EventSource sends (WHATWG HTML
/// §9.2.4) wins over the query.
fn resume(request: &Request, query: &Query) -> Resume {
    let last = [request.last_event_id.as_deref(), query.last_event_id];
    let mut last = last.into_iter().flatten().filter(|id| !id.is_empty());
    match (last.next(), query.recent) {
        (Some(last), _) => Resume::After(event_id(last)),
        (None, Some(count)) => Resume::Recent(count),
        (None, None) => Resume::Live,
    }
}

impl LimitReached {
    pub(super) fn status(self) -> u16 {
        match self {
            Self::Clients => 503,
            Self::FromAddress | Self::Patterns => 429,
            Self::Disconnected => 403,
        }
    }

    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Clients => "there are as many clients as there may be; come back later",
            Self::FromAddress => "there are as many clients of your address as there may be",
            Self::Patterns => {
                "there are as many URL patterns of this kind as there may be; those of literals and :names \
                 alone have no bound"
            }
            Self::Disconnected => "this id was disconnected, and is not let in for now",
        }
    }
}

/// Refuses a client that is not to come back.
pub(super) fn refuse(refused: &Refused, cors: &str, bytes: &mut Vec<u8>) {
    let mut answer = Answer::refused_text(refused);
    answer.lines.push_str(cors);
    answer.write(now(), bytes);
}

/// Refuses a client that may come back after so many milliseconds.
pub(super) fn turn_away(refused: &Refused, later: u32, cors: &str, bytes: &mut Vec<u8>) {
    let mut answer = Answer::refused_text(refused);
    answer.lines.push_str(cors);
    answer
        .with("Retry-After", later.div_ceil(1000))
        .write(now(), bytes);
}

/// Refuses an EventSource, which may come back after so many milliseconds: by a stream that says so
/// and ends, since after an error status it would never come back.
pub(super) fn send_away(later: u32, version: Version, form: Form, cors: &str, bytes: &mut Vec<u8>) {
    let chunked = version == Version::Http11;
    stream_head(version, true, cors, now(), bytes);
    append_retry(later, form, chunked, bytes);
    bytes.extend_from_slice(if chunked { LAST_CHUNK } else { b"" });
}

/// Appends a last block that says when to come back; without positions it has no empty line, which
/// some clients take for an empty message.
pub(super) fn append_retry(milliseconds: u32, form: Form, chunked: bool, bytes: &mut Vec<u8>) {
    let line = retry_line(milliseconds);
    let end: &[u8] = match form.positions() {
        Positions::None => b"",
        Positions::Blocks | Positions::Pings | Positions::Hub => b"\n",
    };
    sse::append(&[line.as_bytes(), end], chunked, bytes);
}

/// The part of a `User-Agent` that is kept.
pub(super) fn agent(mut agent: String) -> String {
    agent.truncate(agent.floor_char_boundary(LONGEST_AGENT));
    agent.shrink_to_fit();
    agent
}

/// `retry:` with ±30 % jitter, so that the clients of a restarted daemon do not come all at once.
pub(super) fn jitter(retry: u32) -> u32 {
    let spread = retry / 10 * 3;
    fastrand::u32(retry - spread..=retry.saturating_add(spread))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::model::EventId;
    use crate::registry::tests::config;
    use crate::wire::http::Reader;

    fn admitted(request: &str, stopping: bool) -> Result<Admitted, Refused> {
        let head = format!("{request}\r\nHost: x\r\n\r\n");
        let head = Reader::new().read(head.as_bytes()).unwrap().unwrap();
        admit(
            head.request,
            &config(),
            Duration::from_secs(1),
            stopping,
            false,
        )
    }

    fn asked(request: &str) -> Box<StreamRequest> {
        match admitted(&format!("GET /sse?{request}"), false) {
            Ok(Admitted::Stream(asked)) => asked,
            _ => panic!("{request} asks for no stream"),
        }
    }

    #[test]
    fn health_tells_of_the_stop() {
        for (stopping, status) in [(false, 200), (true, 503)] {
            let answer = admitted("GET /sse?health HTTP/1.1", stopping);
            match answer {
                Ok(Admitted::Answer(answer)) => assert_eq!(answer.status, status),
                _ => panic!("no answer"),
            }
        }
    }

    #[test]
    fn of_a_list_of_ids_the_last_counts() {
        let after = |header: &str| {
            let request = format!("subscribe=a HTTP/1.1\r\nLast-Event-ID: {header}");
            asked(&request).resume
        };
        for (header, id) in [
            ("5", Some(5)),
            ("5, 6", Some(6)),
            ("6,5", Some(5)),
            ("5\r\nlast-event-id: 6", Some(6)),
            ("x, 6", None),
            ("5, x", None),
            ("5,", None),
            ("5 6", None),
        ] {
            assert_eq!(after(header), Resume::After(id.map(EventId)), "{header}");
        }
        assert_eq!(after(""), Resume::Live);
    }

    #[test]
    fn recent_events_of_a_token_are_for_first_connections() {
        let of = |request: &str| asked(request).recent_of.len();
        assert_eq!(of("subscribe=a-b&recent=1:a&recent=2:b HTTP/1.1"), 2);
        assert_eq!(of("subscribe=a-b&recent=1:a&lastEventId=7 HTTP/1.1"), 1);
        assert_eq!(
            of("subscribe=a-b&recent=1:a HTTP/1.1\r\nLast-Event-ID: 7"),
            0
        );
    }

    #[test]
    fn without_a_key_the_query_says_who_a_client_is() {
        let member = asked("subscribe=a&id=7&info=%7B%22n%22%3A%201%7D HTTP/1.1").member;
        assert_eq!(member.id.unwrap().as_str(), "7");
        assert_eq!(member.info.as_deref(), Some("{\"n\":1}"));
        assert_eq!(
            asked("subscribe=a&id=&info= HTTP/1.1").member,
            Member::default()
        );
        let refused = admitted("GET /sse?subscribe=a&info=x HTTP/1.1", false);
        assert_eq!(refused.err().unwrap().status, 400);
    }
}
