//! The control listener actor, and one actor for each connection of a publisher.
//!
//! | file | subject |
//! | --- | --- |
//! | this | accepting; telling HTTP and text apart |
//! | [`auth`] | who may publish where a secret is asked for |
//! | [`connection`] | reading and writing the socket |
//! | [`text`] | text and JSON lines |
//! | [`http`] | HTTP |

use std::io;
use std::rc::Rc;
use std::time::{Instant, SystemTime};

use async_io::Timer;
use futures_lite::FutureExt;

use crate::config::Settings;
use crate::intake::SILENCE;
use crate::messages::publisher;
use crate::model::Channel;
use crate::net::accept::Acceptor;
use crate::net::identity::Identity;
use crate::net::tls::Trouble;
use crate::net::{Bound, Listener};
use crate::runtime::supervisor::{Spawner, Stage};
use crate::runtime::{Address, CancellationToken, Failure};
use crate::wire::auth::AUTH;
use crate::wire::http::{Answer, Refused, looks_like_http};

mod auth;
mod connection;
mod http;
mod text;

use connection::{Broken, Connection, REQUEST_TIME};

/// Accepts publishers and gives each connection an actor, until it is asked to stop.
///
/// # Errors
/// The socket cannot be watched.
pub async fn run(
    bound: Rc<Bound>,
    settings: Rc<Settings>,
    sequencer: Address<publisher::Request>,
    spawner: Spawner,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let mut acceptor = Acceptor::new(&bound).map_err(|error| Failure(error.to_string()))?;
    let channel = match bound.listener {
        Listener::Tcp(_) => Channel::Tcp,
        Listener::Unix(_) => Channel::Unix,
    };
    let accept = async {
        loop {
            let (socket, peer) = acceptor.next().await;
            let name = format!("publisher {peer}");
            let (settings, sequencer) = (Rc::clone(&settings), sequencer.clone());
            let identity = settings
                .now()
                .tls
                .as_ref()
                .filter(|_| bound.tls)
                .map(Identity::without_http2);
            spawner.temporary(name.clone(), Stage::Intake, move |stop| async move {
                let publisher = Publisher {
                    settings,
                    sequencer,
                    channel,
                    name,
                    stop,
                };
                let mut connection = Connection::new(socket, identity.as_ref())?;
                match publisher.serve(&mut connection).await {
                    Err(Broken::Failed(error)) => log::debug!("{}: {error}", publisher.name),
                    Ok(()) | Err(Broken::Gone) => {}
                }
                Ok(())
            });
        }
    };
    accept.or(stop.cancelled()).await;
    Ok(())
}

/// What a connection's actor knows.
struct Publisher {
    settings: Rc<Settings>,
    sequencer: Address<publisher::Request>,
    channel: Channel,
    name: String,
    stop: CancellationToken,
}

impl Publisher {
    async fn serve(&self, connection: &mut Connection) -> Result<(), Broken> {
        if let Err(error) = connection.shake_hands().await {
            return self.not_shaken(connection, error).await;
        }
        let (due, secret) = (Instant::now() + REQUEST_TIME, self.secret());
        let late = async {
            match &secret {
                Some(_) => Timer::at(due).await,
                None => std::future::pending().await,
            };
            Ok(Seen::Text)
        };
        let begun = self.how(connection, secret.is_some()).or(late).await?;
        if begun == Seen::Http {
            http::serve(self, connection).await?;
            // What is unread would reset the connection and take the answer with it.
            connection.finish();
            connection.discard().await;
            Ok(())
        } else {
            if let Some(secret) = secret
                && !self.proves(connection, &secret, due).await?
            {
                return Ok(());
            }
            let served = text::serve(self, connection, begun == Seen::Silence).await;
            connection.finish();
            served
        }
    }

    /// Says why the TLS handshake failed: to the publisher too, if it does not speak TLS.
    async fn not_shaken(&self, connection: &Connection, error: io::Error) -> Result<(), Broken> {
        log::debug!("{}: refused: {error}", self.name);
        let count = |reply| publisher::Request::Count {
            refused: vec![("tls", 1)],
            lossy_utf8: 0,
            reply,
        };
        self.sequencer.call(count).await?;
        if let Some(trouble @ Trouble::NotTls) = Trouble::of(&error) {
            let refused = Refused::new(400, trouble.to_string());
            let mut bytes = Vec::new();
            Answer::refused_json(&refused).write(SystemTime::now().into(), &mut bytes);
            connection.write_all(&bytes).await?;
            connection.finish();
            connection.discard().await;
        }
        Ok(())
    }

    /// Reads until it is clear how the publisher speaks. Where it has to be `guarded` by a secret, an
    /// `auth` line is text before it is whole, even one like `auth /…`, which base64 may give.
    async fn how(&self, connection: &mut Connection, guarded: bool) -> Result<Seen, Broken> {
        loop {
            // Neither protocol minds line ends in front; they are not kept, however many come.
            connection.skip_line_ends();
            if guarded && connection.bytes().starts_with(AUTH) {
                return Ok(Seen::Text);
            }
            if let Some(decided) = looks_like_http(connection.bytes()) {
                return Ok(if decided { Seen::Http } else { Seen::Text });
            }
            let could_be_text =
                self.settings.now().silence_ends_message && is_no_method(connection.bytes());
            let has_target = memchr::memmem::find(connection.bytes(), b" /").is_some();
            let due = connection.due();
            let more = async {
                let count = connection.read_more().await?;
                Ok::<_, Broken>((count == 0).then_some(Seen::Text))
            };
            let silence = async {
                match could_be_text {
                    true => Timer::after(SILENCE).await,
                    false => std::future::pending().await,
                };
                Ok(Some(Seen::Silence))
            };
            let late = async {
                match has_target {
                    true => Timer::at(due).await,
                    false => std::future::pending().await,
                };
                Ok(Some(Seen::Http))
            };
            let stop = async {
                self.stop.cancelled().await;
                Ok(Some(Seen::Text))
            };
            if let Some(seen) = more.or(silence).or(late).or(stop).await? {
                return Ok(seen);
            }
        }
    }
}

/// How a publisher speaks.
#[derive(PartialEq, Eq)]
enum Seen {
    Http,
    Text,
    /// Text, of which a message may have ended by silence.
    Silence,
}

/// Whether bytes that might still become an HTTP request are more likely an unfinished command:
/// methods are written in capitals, commands are not.
fn is_no_method(bytes: &[u8]) -> bool {
    let word = bytes.split(|&byte| byte == b' ').next().unwrap_or_default();
    word.iter().any(u8::is_ascii_lowercase)
}
