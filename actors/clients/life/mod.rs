//! The client actor: one for each connection of a subscriber, from its request to its last chunk.

use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;

use crate::auth::Proof;
use crate::clients::{ClientHandle, Flushed, http2};
use crate::config::Settings;
use crate::messages::client::{End, Ending, Message, Posted};
use crate::messages::registry::FromClient;
use crate::model::deadlines::since_1970;
use crate::runtime::Address;
use crate::wire::http::response::stream_head;
use crate::wire::http::{Answer, Method, Refused, Request, cors};
use crate::wire::sse::LAST_CHUNK;

/// Bytes that one client may make us read in one turn.
const READ_A_TURN: usize = 64 * 1024;
/// Milliseconds after which the streams of a daemon that stops come back: later than usual, as some
/// browsers give up for good when a connection is refused (Firefox, for a page of another origin).
const STOPPED: std::ops::RangeInclusive<u32> = 2000..=6000;

mod admission;
mod answer;
mod introduction;
mod mercure;
mod opening;
mod request;
mod script;
mod unserved;

use admission::{Admitted, admit, append_retry};
use answer::{answer, now, write_all, write_answer};
use introduction::Introduction;
use request::{next_request, request};
use unserved::Unserved;

/// What all clients know.
#[derive(Debug)]
pub struct Context {
    /// The settings.
    pub settings: Rc<Settings>,
    /// Where subscriptions are entered.
    pub registry: Address<FromClient>,
    /// Where goes what is posted to the Mercure hub.
    pub updates: Address<Posted>,
    /// Whether a new GET on an open stream replaces its subscription; the registry switches it.
    pub reinit: Rc<Cell<bool>>,
    /// Whether these clients come by the control port, where they have shown what they have to.
    pub inside: bool,
    /// Whether it was told that a trusted proxy tells nobody's address.
    pub told_of_proxy: Cell<bool>,
    /// Whether the daemon is about to end; the listeners switch it.
    pub stopping: Cell<bool>,
}

impl Context {
    /// What the clients know that come by the control port (`inside`), or that do not.
    pub fn new(
        settings: Rc<Settings>,
        registry: Address<FromClient>,
        updates: Address<Posted>,
        reinit: Rc<Cell<bool>>,
        inside: bool,
    ) -> Self {
        Self {
            settings,
            registry,
            updates,
            reinit,
            inside,
            told_of_proxy: Cell::new(false),
            stopping: Cell::new(false),
        }
    }

    /// Tells the registry something. Do not bind the result of `try_send` in an `async fn`: a rejected
    /// message would enlarge the future.
    pub fn cast(&self, message: FromClient) {
        // Refused only when the registry is gone, and with it the process.
        let _gone = self.registry.try_send(message);
    }
}

/// One client.
struct Client {
    handle: ClientHandle,
    context: Rc<Context>,
    /// What came and is not yet used.
    // Boxed, as only few streams have any: a bare Vec would make every client's state larger.
    #[expect(clippy::box_collection, reason = "see the line above")]
    input: Option<Box<Vec<u8>>>,
}

/// A client's life.
///
/// It is as small as it can be made, for a stream lasts for hours and there are very many: what is
/// needed only until the stream is open, or for its end, has a box of its own, which goes then.
pub fn live(handle: ClientHandle, context: Rc<Context>) -> impl Future<Output = End> {
    let mut client = Client {
        handle,
        context,
        input: None,
    };
    // A block and no `async fn`, whose state would have room for the client twice.
    async move {
        match Box::pin(client.begin(None)).await {
            Ok(()) => {}
            Err(End::Upgraded) => {
                let input = client.input.take().map(|input| *input).unwrap_or_default();
                return http2::carry(client.handle, client.context, input).await;
            }
            Err(end) => return end,
        }
        loop {
            let request = match client.stream().await {
                Ok(request) => request,
                Err(end) => return end,
            };
            if let Err(end) = Box::pin(client.begin(Some(request))).await {
                return end;
            }
        }
    }
}

impl Client {
    /// From the request to the open stream. `again` is a request on an open stream, whose place the
    /// new one takes.
    async fn begin(&mut self, again: Option<Box<Request>>) -> Result<(), End> {
        let ends_stream = again.is_some();
        let request = match self.introduced(again).await {
            Ok(request) => Ok(request),
            Err(Unserved::Refused(refused)) => Err(refused),
            Err(Unserved::Ended(end)) => return Err(end),
        };
        // As they are now that the request is there.
        let config = self.context.settings.now();
        let hub = config.mercure.as_ref().filter(|_| !self.context.inside);
        // The request is gone before an answer is awaited.
        let (cors, head_only, admitted) = match request {
            Ok(request) if hub.is_some_and(|hub| hub.hub.answers(&request.path)) => {
                return Box::pin(self.hub(request, config, ends_stream)).await;
            }
            Ok(request) => (
                cors::lines(&config.cors, request.origin.as_deref()),
                request.method == Method::Head,
                admit(
                    request,
                    &config,
                    since_1970(),
                    self.context.stopping.get(),
                    self.context.inside,
                ),
            ),
            Err(refused) => {
                let input = self.input.as_deref().map_or(&[][..], Vec::as_slice);
                let origin = cors::origin_of(input);
                let head_only = Method::of(input) == Method::Head;
                (cors::lines(&config.cors, origin), head_only, Err(refused))
            }
        };
        drop(config);
        match admitted {
            Ok(Admitted::Stream(asked)) => {
                let cors = with_proof(cors, asked.proof);
                self.open(asked, &cors, ends_stream).await
            }
            Ok(Admitted::Head(version, proof)) => {
                let mut head = Vec::new();
                stream_head(version, true, &with_proof(cors, proof), now(), &mut head);
                Err(answer(&self.handle, &head, End::Answered).await)
            }
            Ok(Admitted::Answer(mut answer)) => {
                answer.lines.push_str(&cors);
                answer.close = true;
                self.answer(answer, head_only, ends_stream, End::Answered)
                    .await
            }
            Err(refused) => {
                let mut answer = Answer::refused_text(&refused);
                answer.lines.push_str(&cors);
                if refused.denied.is_some() {
                    answer.lines.push_str(cors::EXPOSE_DENIED);
                }
                let end = End::Refused(refused.status, refused.reason);
                self.answer(answer, head_only, ends_stream, end).await
            }
        }
    }

    /// Reads the request, unless it is there already; then it is known whom the client speaks for.
    async fn introduced(
        &mut self,
        again: Option<Box<Request>>,
    ) -> Result<Box<Request>, Unserved<Refused>> {
        let input = &mut **self.input.get_or_insert_default();
        let mut introduction = Introduction::new(&self.handle, &self.context, again.is_none());
        let request = match again {
            Some(request) => Ok(request),
            None => {
                let hub = self.context.settings.hub_path();
                request(&self.handle, input, &mut introduction, hub).await
            }
        };
        if let Err(Unserved::Ended(end)) = &request {
            if *end == End::Upgraded {
                // A header of the PROXY protocol holds for all streams.
                introduction.complete(None);
            }
            return request;
        }
        self.handle.asked();
        introduction.complete(request.as_deref().ok());
        request
    }

    /// Answers with what is no stream, and so ends the client.
    async fn answer(
        &self,
        mut answer: Answer,
        head_only: bool,
        ends_stream: bool,
        end: End,
    ) -> Result<(), End> {
        if ends_stream {
            self.end_stream().await?;
        }
        answer.head_only = head_only;
        Err(write_answer(&self.handle, answer, end).await)
    }

    /// Ends the open stream, as something else than a stream takes its place.
    async fn end_stream(&self) -> Result<(), End> {
        let key = self.handle.key();
        self.context.cast(FromClient::Ended { key });
        write_all(&self.handle, LAST_CHUNK).await
    }

    /// Hands events out until the stream ends, or a new request takes its place.
    async fn stream(&mut self) -> Result<Box<Request>, End> {
        loop {
            if !self.takes_requests() {
                self.input = None;
            } else if let Some(input) = &mut self.input {
                if let Some(request) = next_request(input) {
                    return Ok(request);
                }
                if input.is_empty() {
                    self.input = None;
                }
            }
            // A line of its own, or its whole result would be a part of every client's state.
            let ending = self.hand_out()?;
            if let Some(end) = ending {
                let last = Box::new(last_bytes(&self.handle, end));
                Box::pin(async { write_all(&self.handle, &last).await }).await?;
                self.handle.finish();
                // What the peer sent was read as it came, so closing does not reset anything.
                return Err(End::Finished(end));
            }
            if self.handle.work().await && self.drain()? {
                self.handle.step_back().await;
            }
        }
    }

    /// Writes events as far as the socket takes them; whether the stream is to end.
    fn hand_out(&self) -> Result<Option<Ending>, End> {
        match self.handle.flush()? {
            Flushed::Empty | Flushed::Blocked => {}
            Flushed::Overflowing => return Err(End::Slow),
            Flushed::Message => match self.handle.message() {
                Some(Message::Finish { end }) => return Ok(Some(end)),
                Some(Message::More) => {
                    let key = self.handle.key();
                    self.context.cast(FromClient::More { key });
                }
                _ => {}
            },
        }
        Ok(None)
    }

    /// Whether a new request may take the place of the open stream.
    fn takes_requests(&self) -> bool {
        self.context.reinit.get() && self.handle.is_replaceable()
    }

    /// Reads what came on an open stream, and throws it away unless it may be a new request; whether
    /// there may be more for a later turn.
    fn drain(&mut self) -> Result<bool, End> {
        let keeps = self.takes_requests();
        let mut total = 0;
        while total < READ_A_TURN {
            let read = self.handle.read(|bytes| {
                if keeps {
                    self.input.get_or_insert_default().extend_from_slice(bytes);
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

/// The head's further lines, with how its right was proved.
fn with_proof(cors: Cow<'static, str>, proof: Option<Proof>) -> Cow<'static, str> {
    match proof {
        None => cors,
        Some(proof) => Cow::Owned(cors.into_owned() + &cors::proof(proof.word())),
    }
}

/// What a stream ends with.
fn last_bytes(handle: &ClientHandle, end: Ending) -> Vec<u8> {
    let mut bytes = Vec::new();
    let chunked = handle.is_chunked();
    if end == Ending::Stopped {
        let milliseconds = fastrand::u32(STOPPED);
        append_retry(milliseconds, handle.form(), chunked, &mut bytes);
    }
    if chunked {
        bytes.extend_from_slice(LAST_CHUNK);
    }
    bytes
}
