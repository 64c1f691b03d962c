//! The control listener actor, and one actor for each connection of a publisher.
//!
//! | file | subject |
//! | --- | --- |
//! | this | accepting; telling HTTP and text apart |
//! | [`auth`] | who may publish where a secret is asked for |
//! | [`connection`] | reading and writing the socket |
//! | [`handshakes`] | whose TLS handshake goes on |
//! | [`places`] | how many there may be, and who has to go |
//! | [`text`] | text and JSON lines |
//! | [`http`] | HTTP |
//! | [`http2`] | connections that carry several streams, each of which is a publisher |

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use async_io::Timer;
use futures_lite::FutureExt;

use crate::config::Settings;
use crate::intake::SILENCE;
use crate::logger;
use crate::messages::publisher;
use crate::model::Channel;
use crate::net::accept::Acceptor;
use crate::net::peer::{Peer, counted};
use crate::net::tls::Trouble;
use crate::net::{Bound, Listener};
use crate::runtime::supervisor::{Spawner, Stage};
use crate::runtime::{Address, CancellationToken, Failure, Gone, timer};
use crate::wire::auth::AUTH;
use crate::wire::http::{Answer, Refused, looks_like_http};
use crate::wire::http2::frame::PREFACE_BEGINS;

mod auth;
mod connection;
mod handshakes;
mod http;
mod http2;
mod places;
mod text;

use connection::{Broken, Connection, REQUEST_TIME};
use places::Place;
pub use places::Places;

/// After this long without a word the system asks whether a publisher is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// How long a message may be unfinished without growing, where nobody has to know a secret.
const UNFINISHED_TIME: Duration = Duration::from_secs(60);
/// Bytes of answers that the system may hold for a publisher that does not read.
const SEND_BUFFER: usize = 256 * 1024;

/// Accepts publishers and gives each connection an actor, until it is asked to stop.
///
/// # Errors
/// The socket cannot be watched.
pub async fn run(
    bound: Rc<Bound>,
    settings: Rc<Settings>,
    sequencer: Address<publisher::Request>,
    places: Rc<Places>,
    open_stream: OpenStream,
    spawner: Spawner,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let mut acceptor = Acceptor::new(&bound).map_err(|error| Failure(error.to_string()))?;
    let channel = match bound.listener {
        Listener::Tcp(_) => Channel::Tcp,
        Listener::Unix(_) => Channel::Unix,
    };
    if channel == Channel::Tcp {
        // Connections inherit it. Where the system refuses, who vanishes stays until others need the place.
        let _refused = bound.keep_alive(KEEP_ALIVE);
        acceptor.bound_send_buffers(SEND_BUFFER);
    }
    let accept = async {
        loop {
            let (socket, peer) = acceptor.next().await;
            let config = settings.now();
            let identity = config.tls.as_ref().filter(|_| bound.tls).cloned();
            let (name, guarded) = (format!("publisher {peer}"), config.control_secret.is_some());
            let address = peer.ip().map(|address| counted(address, config.ip6_prefix));
            match places.take(address, config.max_publishers, guarded) {
                Some((place, given_up)) => {
                    let (settings, sequencer) = (Rc::clone(&settings), sequencer.clone());
                    let open_stream = Rc::clone(&open_stream);
                    let streams = spawner.clone();
                    spawner.temporary(name.clone(), Stage::Intake, move |stop| {
                        let publisher = Publisher {
                            settings,
                            sequencer,
                            channel,
                            name,
                            peer,
                            place,
                            open_stream,
                            spawner: streams,
                            stop,
                        };
                        publisher.live(Connection::new(socket, identity.as_ref()), given_up)
                    });
                }
                None => {
                    // A handshake is more work than this is worth.
                    let connection = identity.is_none().then(|| Connection::new(socket, None));
                    let (most, sequencer) = (config.max_publishers, sequencer.clone());
                    spawner.temporary(name.clone(), Stage::Intake, move |_| {
                        turn_away(connection, name, most, sequencer)
                    });
                }
            }
        }
    };
    accept.or(stop.cancelled()).await;
    Ok(())
}

/// Makes a client actor, which may read everything, of one end of a pair of sockets, for somebody who comes
/// from that address.
pub type OpenStream = Rc<dyn Fn(OwnedFd, Peer) -> io::Result<()>>;

/// Tells a publisher for whom there is no place that there is none; without a `connection` the log alone is
/// told.
async fn turn_away(
    connection: Option<Result<Connection, Failure>>,
    name: String,
    most: usize,
    sequencer: Address<publisher::Request>,
) -> Result<(), Failure> {
    let why = format!("there are {most} publishers already, as many as --max-publishers allows");
    logger::refused("publisher", format_args!("{name}: refused: {why}"));
    let count = |reply| publisher::Request::Count {
        refused: vec![("publisher", 1)],
        lossy_utf8: 0,
        reply,
    };
    // The registry is gone only with the process.
    let _gone = sequencer.call(count).await;
    if let Some(connection) = connection.transpose()? {
        let mut bytes = Vec::new();
        Answer::refused_json(&Refused::new(503, why))
            .with("Retry-After", 10)
            .write(SystemTime::now().into(), &mut bytes);
        // What is not taken at once is not worth waiting for either.
        let _taken = connection.try_write(&bytes);
        connection.finish();
    }
    Ok(())
}

/// What a connection's actor knows.
struct Publisher {
    settings: Rc<Settings>,
    sequencer: Address<publisher::Request>,
    channel: Channel,
    name: String,
    peer: Peer,
    place: Place,
    open_stream: OpenStream,
    spawner: Spawner,
    stop: CancellationToken,
}

impl Publisher {
    /// Speaks with the publisher until its connection ends.
    async fn live(
        self,
        connection: Result<Connection, Failure>,
        given_up: CancellationToken,
    ) -> Result<(), Failure> {
        let (mut connection, publisher) = (connection?, Rc::new(self));
        let given_up = async {
            given_up.cancelled().await;
            Err(Broken::GivenUp(publisher.place.why()))
        };
        match publisher.serve(&mut connection).or(given_up).await {
            Err(Broken::Failed(error)) => {
                log::debug!("{}: {error}", publisher.name);
                connection.reset();
            }
            Err(Broken::GivenUp(why)) => {
                connection.reset();
                let name = &publisher.name;
                logger::refused("publisher", format_args!("{name}: given up: {why}"));
                // The registry is gone only with the process.
                let _gone = publisher.count_refused("publisher").await;
            }
            Ok(()) | Err(Broken::Gone) => {}
        }
        Ok(())
    }

    async fn serve(self: &Rc<Self>, connection: &mut Connection) -> Result<(), Broken> {
        if let Err(error) = connection.shake_hands(&self.place).await {
            return self.not_shaken(connection, error).await;
        }
        let (due, secret) = (Instant::now() + REQUEST_TIME, self.secret());
        if self.channel == Channel::Unix {
            // Its file's mode has let it in.
            self.place.is_proven();
        }
        let late = async {
            timer(secret.is_some().then_some(due)).await;
            Ok(Seen::Text)
        };
        match self.how(connection, secret.is_some()).or(late).await? {
            Seen::Http => {
                http::serve(self, connection).await?;
                // What is unread would reset the connection and take the answer with it.
                connection.finish();
                connection.discard().await;
                Ok(())
            }
            Seen::Http2 => http2::carry(self, connection).await,
            Seen::Stuck => self.stuck().await,
            begun => {
                if let Some(secret) = secret {
                    if !self.proves(connection, &secret, due).await? {
                        return Ok(());
                    }
                    self.place.is_proven();
                }
                let served = text::serve(self, connection, begun == Seen::Silence).await;
                connection.finish();
                served
            }
        }
    }

    /// The same for one of the streams of its connection.
    fn of_stream(&self, place: Place, stop: CancellationToken) -> Self {
        Self {
            settings: Rc::clone(&self.settings),
            sequencer: self.sequencer.clone(),
            channel: self.channel,
            name: self.name.clone(),
            peer: self.peer.clone(),
            place,
            open_stream: Rc::clone(&self.open_stream),
            spawner: self.spawner.clone(),
            stop,
        }
    }

    /// How long a message may be unfinished without growing; none where that is not limited.
    fn patience(&self) -> Option<Duration> {
        (self.channel == Channel::Tcp && self.secret().is_none()).then_some(UNFINISHED_TIME)
    }

    /// Tells that a message did not grow for too long, so that its connection ends.
    async fn stuck(&self) -> Result<(), Broken> {
        logger::refused(
            "timeout",
            format_args!(
                "{}: refused: its message has been unfinished for {} seconds",
                self.name,
                UNFINISHED_TIME.as_secs()
            ),
        );
        self.count_refused("timeout").await
    }

    /// Tells how many bytes of a message or body wait for the rest of it.
    fn unfinished(&self, bytes: usize) {
        self.place
            .unfinished(bytes, self.settings.now().total_buffer);
    }

    /// Counts one refusal.
    async fn count_refused(&self, reason: &'static str) -> Result<(), Broken> {
        Ok(self.count(vec![(reason, 1)], 0).await?)
    }

    /// Counts refusals, and messages with bytes that were no UTF-8.
    async fn count(&self, refused: Vec<(&'static str, u64)>, lossy_utf8: u64) -> Result<(), Gone> {
        publisher::count(&self.sequencer, refused, lossy_utf8).await
    }

    /// Says why the TLS handshake failed: to the publisher too, if it does not speak TLS.
    async fn not_shaken(&self, connection: &Connection, error: io::Error) -> Result<(), Broken> {
        log::debug!("{}: refused: {error}", self.name);
        self.count_refused("tls").await?;
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
        if connection.is_http2() {
            return Ok(Seen::Http2);
        }
        let (mut may_have_mark, patience) = (true, self.patience());
        loop {
            if may_have_mark && !connection.bytes().is_empty() {
                // In front of all else; of a part of it more is awaited.
                may_have_mark = !connection.skip_mark();
            }
            // Neither protocol minds line ends in front; they are not kept, however many come.
            connection.skip_line_ends();
            if guarded && connection.bytes().starts_with(AUTH) {
                return Ok(Seen::Text);
            }
            if connection.bytes().starts_with(PREFACE_BEGINS) {
                return Ok(Seen::Http2);
            }
            let open = may_have_mark && !connection.bytes().is_empty()
                || PREFACE_BEGINS.starts_with(connection.bytes());
            if let Some(decided) = looks_like_http(connection.bytes()).filter(|_| !open) {
                return Ok(if decided { Seen::Http } else { Seen::Text });
            }
            let could_be_text =
                self.settings.now().silence_ends_message && is_no_method(connection.bytes());
            let has_target = memchr::memmem::find(connection.bytes(), b" /").is_some();
            let (due, begun) = (connection.due(), !connection.bytes().is_empty());
            let more = async {
                let count = connection.read_more().await?;
                Ok::<_, Broken>((count == 0).then_some(Seen::Text))
            };
            let silence = async {
                if could_be_text {
                    Timer::after(SILENCE).await
                } else {
                    std::future::pending().await
                };
                Ok(Some(Seen::Silence))
            };
            let late = async {
                match (has_target, patience.filter(|_| begun)) {
                    (true, _) => {
                        Timer::at(due).await;
                        Ok(Some(Seen::Http))
                    }
                    (false, Some(patience)) => {
                        Timer::after(patience).await;
                        Ok(Some(Seen::Stuck))
                    }
                    (false, None) => std::future::pending().await,
                }
            };
            let stop = self.stop.cancelled_then(Ok(Some(Seen::Text)));
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
    Http2,
    Text,
    /// Text, of which a message may have ended by silence.
    Silence,
    /// A word that has not grown for too long.
    Stuck,
}

/// Whether bytes that might still become an HTTP request are more likely an unfinished command:
/// methods are written in capitals, commands are not.
fn is_no_method(bytes: &[u8]) -> bool {
    let word = bytes.split(|&byte| byte == b' ').next().unwrap_or_default();
    word.iter().any(u8::is_ascii_lowercase)
}
