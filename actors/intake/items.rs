//! What pieces of text turn out to be: messages, commands, or what is refused.

use crate::model::Publication;
use crate::wire::auth::is_auth;
use crate::wire::command::{self, Command, Refusal};
use crate::wire::json::{self, JsonMessage};
use crate::wire::text::Piece;

/// JSON that is longer is read on another thread, as it takes longer than a turn may.
const LONG_JSON: usize = 64 * 1024;

/// What a piece of text turned out to be.
pub(super) enum Item {
    Publish(Publication),
    /// A message whose sender wants a receipt.
    PublishAcknowledged(Publication),
    /// A long line of JSON that was not read yet.
    Unread(Vec<u8>),
    Execute(Command),
    Refused {
        refusal: Refusal,
        /// Refused JSON is answered, refused text is not.
        answered: bool,
    },
}

/// What was found in a portion.
pub(super) struct Found {
    pub(super) items: Vec<Item>,
    pub(super) max_message: usize,
    /// Whether there is a Mercure hub.
    pub(super) hub: bool,
    pub(super) lossy_utf8: u64,
}

impl Found {
    pub(super) fn take(&mut self, piece: Piece<'_>) {
        let Self {
            max_message,
            lossy_utf8,
            hub,
            ..
        } = self;
        let of_json = |message| item_of_json(message, *hub);
        let (result, answered) = match piece {
            Piece::Text(text) | Piece::TooLong { head: text, .. } if is_auth(text) => return,
            Piece::Text(text) => (
                command::parse(text, *max_message, lossy_utf8)
                    .and_then(|command| item_of_command(command, *hub)),
                false,
            ),
            Piece::Json(line) if line.len() > LONG_JSON => {
                self.items.push(Item::Unread(line.to_vec()));
                return;
            }
            Piece::Json(line) => (
                json::message(line, *max_message, lossy_utf8).and_then(of_json),
                true,
            ),
            Piece::TooLong { head, json } => (Err(Refusal::too_long(head, *max_message)), json),
        };
        self.items.push(item_of_result(result, answered));
    }
}

pub(super) fn item_of_result(result: Result<Item, Refusal>, answered: bool) -> Item {
    result.unwrap_or_else(|refusal| Item::Refused { refusal, answered })
}

fn item_of_command(command: Command, hub: bool) -> Result<Item, Refusal> {
    match command {
        Command::Publish(publication) => {
            json::check_for_hub(&publication, hub)?;
            Ok(Item::Publish(publication))
        }
        command => Ok(Item::Execute(command)),
    }
}

pub(super) fn item_of_json(message: JsonMessage, hub: bool) -> Result<Item, Refusal> {
    json::check_for_hub(&message.publication, hub)?;
    Ok(if message.ack {
        Item::PublishAcknowledged(message.publication)
    } else {
        Item::Publish(message.publication)
    })
}
