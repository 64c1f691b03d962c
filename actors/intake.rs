//! Text on its way in, from a FIFO, a TCP connection or a Unix socket: bytes to messages and
//! commands, given to the registry in their order.

use crate::model::{Channel, Publication};
use crate::registry;
use crate::system::{self, Address};
use crate::wire::command::{self, Command, Refusal};
use crate::wire::json;
use crate::wire::text::{Piece, Splitter};

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
    found: Found,
    channel: Channel,
    /// The source, as log lines name it.
    source: String,
    registry: Address<registry::Message>,
}

/// What was found in a portion.
struct Found {
    items: Vec<Item>,
    max_message: usize,
    mended: u64,
}

/// The registry is gone, and with it the process.
#[derive(Debug)]
pub struct Gone;

impl Intake {
    /// An intake that has seen nothing.
    pub fn new(
        delimiter: u8,
        max_message: usize,
        channel: Channel,
        source: String,
        registry: Address<registry::Message>,
    ) -> Self {
        Self {
            splitter: Splitter::new(delimiter, max_message),
            found: Found {
                items: Vec::new(),
                max_message,
                mended: 0,
            },
            channel,
            source,
            registry,
        }
    }

    /// Takes bytes in; the answers for the sender.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn feed(&mut self, bytes: &[u8]) -> Result<String, Gone> {
        let Self {
            splitter, found, ..
        } = self;
        splitter.feed(bytes, &mut |piece| found.take(piece));
        self.deliver().await
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

    /// Whether a text message waits for its end.
    pub fn text_waits(&self) -> bool {
        self.splitter.text_waits()
    }

    /// Gives what was found to the registry, messages in batches.
    async fn deliver(&mut self) -> Result<String, Gone> {
        let mut answers = String::new();
        let mended = std::mem::take(&mut self.found.mended);
        if mended > 0 {
            self.tell(registry::Message::Mended { messages: mended })
                .await?;
        }
        let items = std::mem::take(&mut self.found.items);
        let mut batch = Vec::with_capacity(items.len());
        let mut acknowledged = Vec::new();
        for item in items {
            match item {
                Item::Publish(publication) => batch.push(publication),
                Item::PublishAcknowledged(publication) => {
                    acknowledged.push(batch.len());
                    batch.push(publication);
                }
                other => {
                    self.publish(&mut batch, &mut acknowledged, &mut answers)
                        .await?;
                    self.other(other, &mut answers).await?;
                }
            }
        }
        self.publish(&mut batch, &mut acknowledged, &mut answers)
            .await?;
        Ok(answers)
    }

    async fn publish(
        &self,
        batch: &mut Vec<Publication>,
        acknowledged: &mut Vec<usize>,
        answers: &mut String,
    ) -> Result<(), Gone> {
        if batch.is_empty() {
            return Ok(());
        }
        let publications = std::mem::take(batch);
        let acknowledged = std::mem::take(acknowledged);
        let channel = self.channel;
        if acknowledged.is_empty() {
            return self
                .tell(registry::Message::Publish {
                    publications,
                    channel,
                    reply: None,
                })
                .await;
        }
        let (reply, receipts) = system::reply();
        self.tell(registry::Message::Publish {
            publications,
            channel,
            reply: Some(reply),
        })
        .await?;
        let receipts = receipts.wait().await.ok_or(Gone)?;
        for receipt in acknowledged
            .into_iter()
            .filter_map(|index| receipts.get(index))
        {
            answers.push_str(&json::receipt(receipt.id, receipt.recipients));
            answers.push('\n');
        }
        Ok(())
    }

    async fn other(&self, item: Item, answers: &mut String) -> Result<(), Gone> {
        match item {
            Item::Execute(command) => {
                let (reply, answer) = system::reply();
                // Nobody can be answered through a FIFO.
                let reply = (self.channel != Channel::Fifo).then_some(reply);
                self.tell(registry::Message::Execute { command, reply })
                    .await?;
                if self.channel != Channel::Fifo {
                    answers.push_str(&answer.wait().await.ok_or(Gone)?);
                }
            }
            Item::Refused { refusal, answered } => {
                log::warn!("{}: refused: {refusal}", self.source);
                self.tell(registry::Message::Refused {
                    reason: refusal.reason(),
                })
                .await?;
                if answered {
                    answers.push_str(&json::error(&refusal.to_string()));
                    answers.push('\n');
                }
            }
            Item::Publish(_) | Item::PublishAcknowledged(_) => {}
        }
        Ok(())
    }

    async fn tell(&self, message: registry::Message) -> Result<(), Gone> {
        self.registry.send(message).await.map_err(|_| Gone)
    }
}

impl Found {
    fn take(&mut self, piece: Piece<'_>) {
        let Self {
            max_message,
            mended,
            ..
        } = self;
        let (result, answered) = match piece {
            Piece::Text(text) => (
                command::parse(text, *max_message, mended).map(item_of_command),
                false,
            ),
            Piece::Json(line) => (
                json::message(line, *max_message, mended).map(item_of_json),
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
