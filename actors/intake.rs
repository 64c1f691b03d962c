//! Text on its way in, from a FIFO, a TCP connection or a Unix socket: bytes to messages and
//! commands, given to the registry in their order.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::messages::publisher::{Away, Request};
use crate::model::{Channel, Publication};
use crate::runtime::turn;
use crate::runtime::{self, Address, Answer, Gone};
use crate::wire::auth::is_auth;
use crate::wire::command::{self, Command, Refusal};
use crate::wire::json;
use crate::wire::text::{Piece, Splitter};

/// Bytes taken in before others have their turn.
const SLICE: usize = 8 * 1024;
/// Bytes, and messages, of which one answer is awaited at most, so that who publishes much delays others
/// by little.
const NEAR: (usize, usize) = (SLICE, 512);
/// The same with a bus, where an answer comes from far away.
const FAR: (usize, usize) = (64 * 1024, 4096);
/// Refusals that one source may have in the log within a second; more are counted there.
const TOLD_A_SECOND: u32 = 20;

/// How long nothing must come for an unfinished message to be taken as whole.
pub const SILENCE: Duration = Duration::from_millis(50);

/// What a piece of text turned out to be.
enum Item {
    Publish(Publication),
    /// A message whose sender wants a receipt.
    PublishAcknowledged(Publication),
    Execute(Command),
    Refused {
        refusal: Refusal,
        /// Refused JSON is answered, refused text is not.
        answered: bool,
    },
}

/// One source of text.
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
    refusals: RateLimitedLog,
}

/// Refusals told in the log within a second.
struct RateLimitedLog {
    since: Instant,
    told: u32,
    untold: u64,
}

/// What was found in a portion.
struct Found {
    items: Vec<Item>,
    max_message: usize,
    /// Whether there is a Mercure hub.
    hub: bool,
    lossy_utf8: u64,
}

impl Intake {
    /// An intake that has seen nothing.
    pub fn new(
        config: &Config,
        channel: Channel,
        source: String,
        sequencer: Address<Request>,
    ) -> Self {
        let portion = if config.bus.is_some() { FAR } else { NEAR };
        Self {
            splitter: Splitter::new(config.delimiter, config.max_message),
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
            refusals: RateLimitedLog {
                since: Instant::now(),
                told: 0,
                untold: 0,
            },
        }
    }

    /// Takes bytes in; the answers for the sender. Others have their turns in between, as many small
    /// messages, or refusals, take their time.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn feed(&mut self, bytes: &[u8]) -> Result<String, Gone> {
        let mut answers = String::new();
        for portion in bytes.chunks(self.portion.0) {
            for slice in portion.chunks(SLICE) {
                let Self {
                    splitter, found, ..
                } = self;
                splitter.feed(slice, &mut |piece| found.take(piece));
                turn::pause().await;
            }
            answers += &self.deliver().await?;
        }
        Ok(answers)
    }

    /// Nothing came for 50 ms: a text message that waits for its end has it now.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn silence(&mut self) -> Result<String, Gone> {
        let Self {
            splitter, found, ..
        } = self;
        splitter.silence(&mut |piece| found.take(piece));
        self.deliver().await
    }

    /// Nothing more comes: what waits for its end has it now.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn finish(&mut self) -> Result<String, Gone> {
        let Self {
            splitter, found, ..
        } = self;
        splitter.finish(&mut |piece| found.take(piece));
        self.deliver().await
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

    /// Gives what was found to the registry, messages in batches.
    async fn deliver(&mut self) -> Result<String, Gone> {
        let mut answers = String::new();
        let items = std::mem::take(&mut self.found.items);
        let mut refused = BTreeMap::<_, u64>::new();
        let mut batch = Vec::new();
        let mut acknowledged = Vec::new();
        for item in items {
            match item {
                Item::Publish(publication) => batch.push(publication),
                Item::PublishAcknowledged(publication) => {
                    acknowledged.push(batch.len());
                    batch.push(publication);
                }
                Item::Execute(command) => {
                    self.publish(&mut batch, &mut acknowledged, &mut answers)
                        .await?;
                    answers += &self.execute(command).await?;
                }
                Item::Refused { refusal, answered } => {
                    self.refusals.warn(&self.source, &refusal);
                    *refused.entry(refusal.reason()).or_default() += 1;
                    if answered {
                        // Answers stand in the order of what they answer.
                        self.publish(&mut batch, &mut acknowledged, &mut answers)
                            .await?;
                        answers.push_str(&json::error(&refusal.to_string()));
                        answers.push('\n');
                    }
                }
            }
            if batch.len() >= self.portion.1 {
                self.publish(&mut batch, &mut acknowledged, &mut answers)
                    .await?;
            }
        }
        self.publish(&mut batch, &mut acknowledged, &mut answers)
            .await?;
        let lossy_utf8 = std::mem::take(&mut self.found.lossy_utf8);
        if lossy_utf8 > 0 || !refused.is_empty() {
            let refused = refused.into_iter().collect();
            self.sequencer
                .call(|reply| Request::Count {
                    refused,
                    lossy_utf8,
                    reply,
                })
                .await?;
        }
        Ok(answers)
    }

    async fn publish(
        &mut self,
        batch: &mut Vec<Publication>,
        acknowledged: &mut Vec<usize>,
        answers: &mut String,
    ) -> Result<(), Gone> {
        if batch.is_empty() {
            return Ok(());
        }
        let publications = std::mem::take(batch);
        let count = publications.len();
        let acknowledged = std::mem::take(acknowledged);
        let channel = self.channel;
        let publish = |reply| Request::Publish {
            publications,
            channel,
            reply,
        };
        match self.sequencer.call(publish).await? {
            Ok(receipts) => {
                for receipt in acknowledged
                    .into_iter()
                    .filter_map(|index| receipts.get(index))
                {
                    answers.push_str(&json::receipt(receipt.id, receipt.recipients));
                    answers.push('\n');
                }
                Ok(())
            }
            Err(away) => {
                for _ in acknowledged {
                    answers.push_str(&json::error(&away.to_string()));
                    answers.push('\n');
                }
                self.turned_away(count, &away).await
            }
        }
    }

    /// Tells of messages that the registry did not take in, and counts them.
    async fn turned_away(&mut self, count: usize, away: &Away) -> Result<(), Gone> {
        self.refusals.warn(&self.source, away);
        let refused = vec![("bus", count as u64)];
        self.sequencer
            .call(|reply| Request::Count {
                refused,
                lossy_utf8: 0,
                reply,
            })
            .await
    }

    async fn execute(&mut self, command: Command) -> Result<String, Gone> {
        let (reply, answer) = runtime::reply();
        let execute = Request::Execute { command, reply };
        self.sequencer.try_send(execute).map_err(|_| Gone)?;
        match self.channel {
            // Nobody can be answered through a FIFO, and its messages need not wait for what goes to the
            // log; its commands wait for one another.
            Channel::Fifo => match self.last.replace(answer) {
                Some(last) => last.wait().await.map(|_| String::new()).ok_or(Gone),
                None => Ok(String::new()),
            },
            _ => answer.wait().await.ok_or(Gone),
        }
    }
}

impl RateLimitedLog {
    /// Tells of a refusal, unless there have been many just now.
    fn warn(&mut self, source: &str, refusal: &dyn Display) {
        if self.since.elapsed() >= Duration::from_secs(1) {
            self.warn_of_rest(source);
            (self.since, self.told) = (Instant::now(), 0);
        }
        if self.told < TOLD_A_SECOND {
            self.told += 1;
            log::warn!("{source}: refused: {refusal}");
        } else {
            self.untold += 1;
        }
    }

    fn warn_of_rest(&mut self, source: &str) {
        let untold = std::mem::take(&mut self.untold);
        if untold > 0 {
            log::warn!("{source}: refused {untold} more");
        }
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.refusals.warn_of_rest(&self.source);
    }
}

impl Found {
    fn take(&mut self, piece: Piece<'_>) {
        let Self {
            max_message,
            lossy_utf8,
            hub,
            ..
        } = self;
        let of_json = |message: json::JsonMessage| {
            json::check_hub_name(&message.publication, *hub)?;
            Ok(item_of_json(message))
        };
        let (result, answered) = match piece {
            Piece::Text(text) | Piece::TooLong { head: text, .. } if is_auth(text) => return,
            Piece::Text(text) => (
                command::parse(text, *max_message, lossy_utf8).map(item_of_command),
                false,
            ),
            Piece::Json(line) => (
                json::message(line, *max_message, lossy_utf8).and_then(of_json),
                true,
            ),
            Piece::TooLong { head, json } => (Err(Refusal::too_long(head, *max_message)), json),
        };
        self.items
            .push(result.unwrap_or_else(|refusal| Item::Refused { refusal, answered }));
    }
}

fn item_of_command(command: Command) -> Item {
    match command {
        Command::Publish(publication) => Item::Publish(publication),
        command => Item::Execute(command),
    }
}

fn item_of_json(message: json::JsonMessage) -> Item {
    match message.ack {
        true => Item::PublishAcknowledged(message.publication),
        false => Item::Publish(message.publication),
    }
}
