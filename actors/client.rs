//! The client actor: one for each connection of a subscriber, from its request to its last chunk.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::SystemTime;

use crate::config::{Config, SubscribeAll};
use crate::crowd::{Flushed, Seat};
use crate::model::{EventId, Subscription};
use crate::registry::ClientMessage;
use crate::system::Address;
use crate::wire::http::query::Query;
use crate::wire::http::response::stream_head;
use crate::wire::http::{Answer, Date, Head, Method, Reader, Refused, Request, Version, cors};
use crate::wire::sse::{Frame, LAST_CHUNK};

/// Bytes that one client may make us read in one turn.
const READ_A_TURN: usize = 64 * 1024;
/// The longest `User-Agent` that is kept, in bytes.
const LONGEST_AGENT: usize = 512;

/// What a client is told.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    /// An event or a position block is to be written.
    Event(Rc<Frame>),
    /// The subscription is entered, and the stream begins at this position.
    Accepted {
        /// The newest id taken in.
        position: EventId,
    },
    /// The stream is to end, after what waits is written.
    Finish {
        /// The end that this is.
        end: Ending,
    },
    /// The time for a request, or for reading a last answer, is over.
    Expired,
}

/// Why a stream is told to finish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The daemon stops.
    Stopped,
    /// A publisher asked for it with `disconnect:`.
    Disconnected,
}

/// How a client ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The peer left.
    Left,
    /// Its request was answered whole: HEAD and OPTIONS.
    Answered,
    /// Its request was refused with this status, for this reason.
    Refused(u16, String),
    /// It did not read as fast as its events came.
    Slow,
    /// Its connection broke.
    Broken(io::ErrorKind),
    /// It was told to.
    Finished(Ending),
    /// A fault in this program.
    Panicked(String),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.kind())
    }
}

/// What all clients know.
#[derive(Debug)]
pub struct Context {
    /// The settings.
    pub config: Rc<Config>,
    /// Where subscriptions are entered.
    pub registry: Address<ClientMessage>,
    /// Whether a new GET on an open stream replaces its subscription; the registry switches it.
    pub reinit: Rc<Cell<bool>>,
}

/// One client.
struct Client {
    seat: Seat,
    context: Rc<Context>,
    /// What came and is not yet used.
    input: Vec<u8>,
    chunked: bool,
}

/// A client's life.
///
/// It is as small as it can be made, for a stream lasts for hours and there are very many: what is
/// needed only until the stream is open, or for its end, has a box of its own, which goes then.
pub fn live(seat: Seat, context: Rc<Context>) -> impl Future<Output = End> {
    let mut client = Client {
        seat,
        context,
        input: Vec::new(),
        chunked: false,
    };
    // A block and no `async fn`, whose state would have room for the client twice.
    async move {
        let mut request = None;
        loop {
            if let Err(end) = Box::pin(client.begin(request)).await {
                return end;
            }
            match client.stream().await {
                Ok(next) => request = Some(next),
                Err(end) => return end,
            }
        }
    }
}

impl Client {
    /// From the request to the open stream. `again` is a request on an open stream, whose place the
    /// new one takes.
    async fn begin(&mut self, again: Option<Box<Request>>) -> Result<(), End> {
        let Self {
            seat,
            context,
            input,
            chunked,
        } = self;
        let ends_stream = again.is_some();
        let request = match again {
            Some(request) => Ok(*request),
            None => request(seat, input).await?,
        };
        let cors_lines = |origin: Option<&str>| cors::lines(&context.config.cors, origin);
        let request = match request {
            Ok(request) => request,
            Err(refused) => return Err(refuse(seat, refused, &cors_lines(None), false).await),
        };
        let cors = cors_lines(request.origin.as_deref());
        *chunked = request.version == Version::Http11;
        let subscription = match admit(&request, &context.config) {
            Ok(Admitted::Stream(subscription)) => subscription,
            Ok(Admitted::Head) => {
                let head = stream_head(request.version, &cors, Date::new(SystemTime::now()));
                return Err(answer(seat, &head, End::Answered).await);
            }
            Ok(Admitted::Preflight) => {
                let mut answer = Answer::no_content();
                answer.lines = cors + cors::PREFLIGHT;
                answer.close = true;
                return Err(write_answer(seat, answer, End::Answered).await);
            }
            Err(refused) => {
                if ends_stream {
                    write_all(seat, LAST_CHUNK).await?;
                }
                let head_only = request.method == Method::Head;
                return Err(refuse(seat, refused, &cors, head_only).await);
            }
        };
        let subscribe = ClientMessage::Subscribe {
            key: seat.key(),
            subscription,
            agent: agent(request.user_agent.as_deref()),
        };
        let head = stream_head(request.version, &cors, Date::new(SystemTime::now()));
        drop(request);
        seat.frame(*chunked);
        // Refused only when the registry is gone, and with it the process.
        let _gone = context.registry.offer(subscribe);
        let position = accepted(seat).await?;
        let retry = context.config.retry.map(jitter);
        let opening = Frame::opening(retry, position);
        let parts: [&[u8]; 3] = [
            if ends_stream { LAST_CHUNK } else { b"" },
            &head,
            opening.bytes(*chunked),
        ];
        seat.open();
        write_all(seat, &parts.concat()).await
    }

    /// Hands events out until the stream ends, or a new request takes its place.
    async fn stream(&mut self) -> Result<Box<Request>, End> {
        loop {
            if !self.takes_requests() {
                self.input = Vec::new();
            } else if let Some(request) = next_request(&mut self.input) {
                return Ok(request);
            }
            match self.seat.flush()? {
                Flushed::Empty | Flushed::Blocked => {}
                Flushed::Overflowing => return Err(End::Slow),
                Flushed::Message => {
                    if let Some(Message::Finish { end }) = self.seat.message() {
                        if self.chunked {
                            Box::pin(write_all(&self.seat, LAST_CHUNK)).await?;
                        }
                        self.seat.finish();
                        // What the peer sent was read as it came, so closing does not reset anything.
                        return Err(End::Finished(end));
                    }
                }
            }
            if self.seat.work().await && self.drain()? {
                self.seat.step_back().await;
            }
        }
    }

    /// Whether a new request may take the place of the open stream.
    fn takes_requests(&self) -> bool {
        self.chunked && self.context.reinit.get()
    }

    /// Reads what came on an open stream, and throws it away unless it may be a new request; whether
    /// there may be more for a later turn.
    fn drain(&mut self) -> Result<bool, End> {
        let keeps = self.takes_requests();
        let mut total = 0;
        while total < READ_A_TURN {
            let read = self.seat.read(|bytes| {
                if keeps {
                    self.input.extend_from_slice(bytes);
                }
                bytes.len()
            })?;
            match read {
                None => return Ok(false),
                Some(0) => return Err(End::Left),
                Some(count) => total += count,
            }
        }
        Ok(true)
    }
}

/// Reads the request, in however many pieces it comes.
async fn request(seat: &Seat, input: &mut Vec<u8>) -> Result<Result<Request, Refused>, End> {
    let mut reader = Reader::new();
    loop {
        match reader.read(input) {
            Ok(Some(head)) => {
                input.drain(..head.length);
                return Ok(Ok(head.request));
            }
            Ok(None) => {}
            Err(refused) => return Ok(Err(refused)),
        }
        seat.input().await;
        match seat.message() {
            Some(Message::Expired) if input.is_empty() => return Err(End::Left),
            Some(Message::Expired) => {
                let why = "the request was not complete within 10 seconds";
                return Ok(Err(Refused::new(408, why)));
            }
            Some(Message::Finish { end }) => return Err(End::Finished(end)),
            _ => {}
        }
        let read = seat.read(|bytes| {
            input.extend_from_slice(bytes);
            bytes.len()
        })?;
        if read == Some(0) {
            return Err(End::Left);
        }
    }
}

/// What a request that is not refused asks for.
enum Admitted {
    Stream(Subscription),
    Head,
    Preflight,
}

/// Decides on a request.
fn admit(request: &Request, config: &Config) -> Result<Admitted, Refused> {
    if request.method == Method::Unknown {
        return Err(Refused::unknown_method());
    }
    if request.path != config.path {
        let why = format!("subscribers are answered on {} only", config.path);
        return Err(Refused::new(404, why));
    }
    match request.method {
        Method::Get | Method::Head => {}
        Method::Options => return Ok(Admitted::Preflight),
        _ => return Err(Refused::method(cors::ALLOW)),
    }
    let subscription = Query::read(request.query.as_deref())?.subscription;
    if subscription.all && config.subscribe_all == SubscribeAll::Nobody {
        let why = "'*', every token, may be subscribed to only if the server was started with --allow-all";
        return Err(Refused::new(403, why));
    }
    Ok(match request.method {
        Method::Head => Admitted::Head,
        _ => Admitted::Stream(subscription),
    })
}

/// The part of a `User-Agent` that is kept.
fn agent(agent: Option<&str>) -> Option<Rc<str>> {
    agent.map(|agent| agent[..agent.floor_char_boundary(LONGEST_AGENT)].into())
}

/// Waits until the registry has entered the subscription; on an open stream, writing what that
/// still had to get.
async fn accepted(seat: &Seat) -> Result<EventId, End> {
    loop {
        match seat.flush()? {
            Flushed::Message => match seat.message() {
                Some(Message::Accepted { position }) => return Ok(position),
                Some(Message::Finish { end }) => return Err(End::Finished(end)),
                _ => {}
            },
            Flushed::Overflowing => return Err(End::Slow),
            Flushed::Blocked => {
                seat.work().await;
            }
            Flushed::Empty => seat.mail().await,
        }
    }
}

/// `retry:` with ±30 % jitter, so that the clients of a restarted daemon do not come all at once.
fn jitter(retry: u32) -> u32 {
    let spread = retry / 10 * 3;
    fastrand::u32(retry - spread..=retry.saturating_add(spread))
}

/// A GET among what a client sent on an open stream; all that is none is thrown away.
fn next_request(input: &mut Vec<u8>) -> Option<Box<Request>> {
    if input.is_empty() {
        return None;
    }
    match Reader::new().read(input) {
        Ok(Some(Head { request, length }))
            if request.method == Method::Get && request.version == Version::Http11 =>
        {
            input.drain(..length);
            Some(Box::new(request))
        }
        Ok(None) => None,
        Ok(Some(_)) | Err(_) => {
            input.clear();
            None
        }
    }
}

/// Refuses a request.
async fn refuse(seat: &Seat, refused: Refused, cors: &str, head_only: bool) -> End {
    let mut answer = Answer::refused_text(&refused);
    answer.lines.push_str(cors);
    answer.head_only = head_only;
    let end = End::Refused(refused.status, refused.reason);
    write_answer(seat, answer, end).await
}

async fn write_answer(seat: &Seat, whole: Answer, end: End) -> End {
    let mut bytes = Vec::new();
    whole.write(Date::new(SystemTime::now()), &mut bytes);
    answer(seat, &bytes, end).await
}

/// Writes a last answer and waits until the peer has read it.
async fn answer(seat: &Seat, bytes: &[u8], end: End) -> End {
    match write_all(seat, bytes).await {
        Ok(()) => wait_for_leave(seat, end).await,
        Err(broken) => broken,
    }
}

/// Writes all of `bytes`.
async fn write_all(seat: &Seat, mut bytes: &[u8]) -> Result<(), End> {
    loop {
        let count = seat.write(bytes)?;
        bytes = &bytes[count..];
        if bytes.is_empty() {
            return Ok(());
        }
        seat.output().await;
        if seat.is_overflowing() {
            return Err(End::Slow);
        }
        if seat.message() == Some(Message::Expired) {
            return Err(End::Left);
        }
    }
}

/// Ends our side and reads on until the peer has ended its own: closing with bytes unread would
/// reset the connection, and the answer might be lost with it (RFC 9112 §9.6).
async fn wait_for_leave(seat: &Seat, end: End) -> End {
    seat.finish();
    loop {
        match seat.read(|bytes| bytes.len()) {
            Ok(Some(1..)) => seat.step_back().await,
            Ok(None) => seat.input().await,
            Ok(Some(0)) | Err(_) => return end,
        }
        if seat.message() == Some(Message::Expired) {
            return end;
        }
    }
}
