//! What a restart remembers: a file beside the history file, written at a clean stop and taken away at
//! the start, so that after any other stop there is none.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::news::News;
use super::{Info, Now, Presence, What};
use crate::model::{ClientId, EventId, Target, Token};

/// The form of the file.
const VERSION: u32 = 1;

/// What is in the file.
#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    forgotten: u64,
    last: u64,
    events: Vec<(u64, String)>,
    /// Token, id, what is shown, and since when.
    members: Vec<(String, String, Value, u64)>,
}

/// What is remembered of the time before.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    news: Option<News>,
    members: Vec<(Token, ClientId, Info, u64)>,
}

/// The file beside a history file.
fn beside(history: &Path) -> PathBuf {
    let mut path = history.as_os_str().to_owned();
    path.push(".presence");
    path.into()
}

/// Reads the file beside a history file, and takes it away.
pub(crate) fn take(history: &Path) -> Remembered {
    let path = beside(history);
    let Ok(content) = fs::read(&path) else {
        return Remembered::default();
    };
    if let Err(error) = fs::remove_file(&path) {
        // Read again after another stop it would tell of a time that is over.
        log::warn!(
            "{}: {error}; who was there is not remembered",
            path.display()
        );
        return Remembered::default();
    }
    match serde_json::from_slice::<File>(&content) {
        Ok(file) if file.version == VERSION => file.remembered(),
        Ok(_) => Remembered::default(),
        Err(error) => {
            log::warn!(
                "{}: {error}; who was there is not remembered",
                path.display()
            );
            Remembered::default()
        }
    }
}

impl File {
    fn remembered(self) -> Remembered {
        let events = self.events.into_iter();
        let events = events.map(|(id, block)| (EventId(id), Rc::from(block)));
        let members = self
            .members
            .into_iter()
            .filter_map(|(token, id, info, since)| {
                let info = match info {
                    Value::Null => None,
                    info => Some(Rc::from(info.to_string())),
                };
                Some((
                    Token::new(&token).ok()?,
                    ClientId::new(&id).ok()?,
                    info,
                    since,
                ))
            });
        Remembered {
            news: Some(News::restored(
                EventId(self.forgotten),
                EventId(self.last),
                events,
            )),
            members: members.collect(),
        }
    }
}

impl Remembered {
    /// Begins with what is remembered; members that are not back in time leave.
    pub(in crate::registry) fn begin(self, rules: Vec<Target>, grace: Duration) -> Presence {
        let news = self.news.unwrap_or_else(News::new);
        let mut presence = Presence::new(rules, grace, news);
        let now = Now { steady: 0, unix: 0 };
        for (token, id, info, since) in self.members {
            if presence.covers(&token) {
                presence.remember(&token, id, info, since, now);
            }
        }
        presence
    }
}

impl Presence {
    /// Writes down who is there on this node, beside the history file; for a clean stop.
    pub(in crate::registry) fn save(&self, history: &Path) -> io::Result<()> {
        let news = self.news();
        let events = news.events().map(|(id, block)| (id.0, block.to_string()));
        let members = self.own_members().filter_map(|change| {
            let What::Here {
                id, since, info, ..
            } = change.what
            else {
                return None;
            };
            let info = info.and_then(|info| serde_json::from_str(&info).ok());
            let info = info.unwrap_or(Value::Null);
            Some((change.token.to_string(), id.to_string(), info, since))
        });
        let file = File {
            version: VERSION,
            forgotten: news.forgotten().0,
            last: news.last().0,
            events: events.collect(),
            members: members.collect(),
        };
        let path = beside(history);
        let new = path.with_extension("presence.new");
        let mut options = fs::OpenOptions::new();
        let mut written = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        written.write_all(&serde_json::to_vec(&file)?)?;
        written.sync_all()?;
        fs::rename(&new, &path)
    }
}
