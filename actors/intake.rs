//! Text on its way in, from a FIFO, a TCP connection or a Unix socket: bytes to messages and
//! commands, given to the registry in their order.

mod items;

use std::collections::BTreeMap;
use std::time::Duration;

use smol::unblock;

use crate::config::Config;
use crate::logger;
use crate::messages::publisher::{self, CLASH, ClientLines, Listed, NotTaken, Request, Taken};
use crate::model::{Channel, Publication};
use crate::runtime::{self, Address, Answer, Gone, turn};
use crate::wire::command::Command;
use crate::wire::json;
use crate::wire::text::Splitter;
use items::{Found, Item, item_of_json, item_of_result};

/// Bytes taken in before others have their turn.
const SLICE: usize = 8 * 1024;
/// Bytes, and messages, of which one answer is awaited at most, so that who publishes much delays others
/// by little.
const NEAR: (usize, usize) = (SLICE, 512);
/// The same with a bus, where an answer comes from far away.
const FAR: (usize, usize) = (64 * 1024, 4096);
/// Bytes of answers that are gathered at most before they are written.
const ANSWERS: usize = 16 * 1024;

/// How long nothing must come for an unfinished message to be taken as whole.
pub const SILENCE: Duration = Duration::from_millis(50);

/// One source of text.
///
/// Where its answers go is told with each call, as an asynchronous function that writes a part of them;
/// what follows waits until that is written, so answers take no memory to speak of.
pub struct Intake {
    splitter: Splitter,
    /// What goes to the registry at once.
    portion: (usize, usize),
    found: Found,
    channel: Channel,
    /// The source, as log lines name it.
    source: String,
    sequencer: Address<Request>,
    /// The FIFO's last command, which may wait for others' answers.
    last: Option<Answer<String>>,
    /// Answers that are not written yet.
    answers: String,
    /// Pieces that were taken in so far.
    pieces: u64,
}

impl Intake {
    /// An intake that has seen nothing. On TCP, where a web page can have a browser write, control
    /// characters in addresses end it: see [`Intake::is_broken`].
    pub fn new(
        config: &Config,
        channel: Channel,
        source: String,
        sequencer: Address<Request>,
    ) -> Self {
        let portion = if config.bus.is_some() { FAR } else { NEAR };
        let splitter = Splitter::new(config.delimiter, config.max_message);
        Self {
            splitter: match channel {
                Channel::Tcp => splitter.guarded(),
                _ => splitter,
            },
            portion,
            found: Found {
                items: Vec::new(),
                max_message: config.max_message,
                hub: config.mercure.is_some(),
                lossy_utf8: 0,
            },
            channel,
            source,
            sequencer,
            last: None,
            answers: String::new(),
            pieces: 0,
        }
    }

    /// Takes bytes in. Others have their turns in between, as many small messages, or refusals, take
    /// their time.
    ///
    /// # Errors
    /// [`Gone`], or what `write` fails with.
    pub async fn feed<E: From<Gone>>(
        &mut self,
        bytes: &[u8],
        write: &mut impl AsyncFnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        for portion in bytes.chunks(self.portion.0) {
            for slice in portion.chunks(SLICE) {
                let Self {
                    splitter, found, ..
                } = self;
                splitter.feed(slice, &mut |piece| found.take(piece));
                turn::pause().await;
            }
            self.deliver(write).await?;
        }
        self.write(write).await
    }

    /// Nothing came for 50 ms: a text message that waits for its end has it now.
    ///
    /// # Errors
    /// As [`Intake::feed`].
    pub async fn silence<E: From<Gone>>(
        &mut self,
        write: &mut impl AsyncFnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self {
            splitter, found, ..
        } = self;
        splitter.silence(&mut |piece| found.take(piece));
        self.deliver(write).await?;
        self.write(write).await
    }

    /// Nothing more comes: what waits for its end has it now.
    ///
    /// # Errors
    /// As [`Intake::feed`].
    pub async fn finish<E: From<Gone>>(
        &mut self,
        write: &mut impl AsyncFnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self {
            splitter, found, ..
        } = self;
        splitter.finish(&mut |piece| found.take(piece));
        self.deliver(write).await?;
        self.write(write).await
    }

    /// Waits until the last command is carried out.
    pub async fn settle(&mut self) {
        if let Some(last) = self.last.take() {
            // None with the registry, and then nothing is left to be done.
            let _answer = last.wait().await;
        }
    }

    /// Whether a text message waits for its end.
    pub fn text_waits(&self) -> bool {
        self.splitter.text_waits()
    }

    /// Whether a message waits for its end, text or JSON.
    pub fn is_unfinished(&self) -> bool {
        self.splitter.unfinished()
    }

    /// How many bytes wait for the end of their message.
    pub fn waiting(&self) -> usize {
        self.splitter.waiting()
    }

    /// How many messages and commands have come, good or not.
    pub fn pieces(&self) -> u64 {
        self.pieces
    }

    /// Whether something came that no publisher writes, so that nothing is taken in any more.
    pub fn is_broken(&self) -> bool {
        self.splitter.is_broken()
    }

    /// Gives what was found to the registry, messages in batches.
    async fn deliver<E: From<Gone>>(
        &mut self,
        write: &mut impl AsyncFnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let items = std::mem::take(&mut self.found.items);
        self.pieces += items.len() as u64;
        let mut refused = BTreeMap::<_, u64>::new();
        let mut batch = Batch::default();
        for item in items {
            let item = match item {
                Item::Unread(line) => self.read(line).await,
                item => item,
            };
            match item {
                Item::Publish(publication) => batch.messages.push(publication),
                Item::PublishAcknowledged(publication) => {
                    batch.acknowledged.push(batch.messages.len());
                    batch.messages.push(publication);
                }
                Item::Execute(command) => {
                    self.publish(&mut batch).await?;
                    self.execute(command, write).await?;
                }
                Item::Refused { refusal, answered } => {
                    let reason = refusal.reason();
                    logger::refused(reason, format_args!("{}: refused: {refusal}", self.source));
                    *refused.entry(reason).or_default() += 1;
                    if answered {
                        // Answers stand in the order of what they answer.
                        self.publish(&mut batch).await?;
                        self.answer(&json::error(&refusal.to_string()));
                    }
                }
                Item::Unread(_) => {}
            }
            if batch.messages.len() >= self.portion.1 {
                self.publish(&mut batch).await?;
            }
            if self.answers.len() >= ANSWERS {
                self.write(write).await?;
            }
        }
        self.publish(&mut batch).await?;
        let lossy_utf8 = std::mem::take(&mut self.found.lossy_utf8);
        if lossy_utf8 > 0 || !refused.is_empty() {
            publisher::count(&self.sequencer, refused.into_iter().collect(), lossy_utf8).await?;
        }
        Ok(())
    }

    /// Reads a long line of JSON on another thread.
    async fn read(&mut self, line: Vec<u8>) -> Item {
        let max_message = self.found.max_message;
        let (result, lossy_utf8) = unblock(move || {
            let mut lossy_utf8 = 0;
            let result = json::message(&line, max_message, &mut lossy_utf8);
            (result, lossy_utf8)
        })
        .await;
        self.found.lossy_utf8 += lossy_utf8;
        let hub = self.found.hub;
        item_of_result(result.and_then(|message| item_of_json(message, hub)), true)
    }

    /// Publishes a batch, which is empty then.
    async fn publish(&mut self, batch: &mut Batch) -> Result<(), Gone> {
        if batch.messages.is_empty() {
            return Ok(());
        }
        let Batch {
            messages: publications,
            acknowledged,
        } = std::mem::take(batch);
        let count = publications.len();
        let channel = self.channel;
        let publish = |reply| Request::Publish {
            publications,
            channel,
            reply,
        };
        match self.sequencer.call(publish).await? {
            Ok(receipts) => {
                let wanted = acknowledged.into_iter();
                for receipt in wanted.filter_map(|index| receipts.get(index)) {
                    self.answer(&match receipt.how {
                        Taken::Now => json::receipt(receipt.id, receipt.recipients, false),
                        Taken::Before => json::receipt(receipt.id, receipt.recipients, true),
                        Taken::Clash => json::error(&format!("the message's key {CLASH}")),
                    });
                }
                let clashes = receipts
                    .iter()
                    .filter(|receipt| receipt.how == Taken::Clash);
                match clashes.count() {
                    0 => Ok(()),
                    clashes => {
                        let refused = vec![("conflict", clashes as u64)];
                        publisher::count(&self.sequencer, refused, 0).await
                    }
                }
            }
            Err(away) => {
                for _ in acknowledged {
                    self.answer(&json::error(&away.to_string()));
                }
                self.turned_away(count, &away).await
            }
        }
    }

    /// Tells of messages that the registry did not take in, and counts them.
    async fn turned_away(&mut self, count: usize, away: &NotTaken) -> Result<(), Gone> {
        logger::refused("bus", format_args!("{}: refused: {away}", self.source));
        publisher::count(&self.sequencer, vec![("bus", count as u64)], 0).await
    }

    async fn execute<E: From<Gone>>(
        &mut self,
        command: Command,
        write: &mut impl AsyncFnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        match command {
            Command::ClientList => return self.list_lines(write).await,
            Command::TcpClientList => return self.list_json(write).await,
            _ => {}
        }
        let (reply, answer) = runtime::reply();
        let execute = Request::Execute { command, reply };
        self.sequencer.try_send(execute).map_err(|_| Gone)?;
        match self.channel {
            // Nobody can be answered through a FIFO, and its messages need not wait for what goes to the
            // log; its commands wait for one another.
            Channel::Fifo => {
                if let Some(last) = self.last.replace(answer) {
                    last.wait().await.ok_or(Gone)?;
                }
            }
            _ => self.answers += &answer.wait().await.ok_or(Gone)?,
        }
        Ok(())
    }

    /// Answers `clientlist`, in portions: there may be very many clients. The log gets it too.
    async fn list_lines<E: From<Gone>>(
        &mut self,
        write: &mut impl AsyncFnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut lines = ClientLines::begin();
        while lines.next.is_some() {
            let list = |reply| Request::ClientLines { lines, reply };
            lines = self.sequencer.call(list).await?;
            self.answers += &std::mem::take(&mut lines.text);
            self.write(write).await?;
        }
        Ok(())
    }

    /// Answers `tcpclientlist`, in portions.
    async fn list_json<E: From<Gone>>(
        &mut self,
        write: &mut impl AsyncFnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        self.answers.push('[');
        let (mut next, mut first) = (Some(0), true);
        while let Some(from) = next {
            let list = |reply| Request::List {
                from,
                search: None,
                most: usize::MAX,
                reply,
            };
            let Listed {
                rows,
                count,
                next: then,
            } = self.sequencer.call(list).await?;
            if count > 0 {
                if !std::mem::take(&mut first) {
                    self.answers.push(',');
                }
                self.answers += &rows;
            }
            self.write(write).await?;
            next = then;
        }
        self.answer("]");
        Ok(())
    }

    /// Adds a line to the answers.
    fn answer(&mut self, line: &str) {
        self.answers.push_str(line);
        self.answers.push('\n');
    }

    /// Writes the answers so far.
    async fn write<E: From<Gone>>(
        &mut self,
        write: &mut impl AsyncFnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.answers.is_empty() {
            return Ok(());
        }
        // Taken: one that was long is not kept.
        let answers = std::mem::take(&mut self.answers);
        write(&answers).await
    }
}

/// Messages that go to the registry together, and which of them are to be answered.
#[derive(Default)]
struct Batch {
    messages: Vec<Publication>,
    acknowledged: Vec<usize>,
}
