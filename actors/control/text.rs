//! A publisher that speaks text and JSON lines.

use std::pin::{Pin, pin};
use std::time::Duration;

use async_io::Timer;
use futures_lite::FutureExt;

use super::Publisher;
use super::connection::{Broken, Connection};
use crate::intake::{Intake, SILENCE};
use crate::logger;
use crate::net::tls::Trouble;

/// What woke the reader.
enum Event {
    Read(usize),
    Silence,
    Stuck,
    Stop,
}

/// What is waited for besides more bytes.
struct Awaited {
    /// Whether silence ends a message.
    silence: bool,
    /// How long the message that waits for its end may do so; none: as long as it likes.
    patience: Option<Duration>,
}

/// Takes messages and commands in until the publisher ends its side.
///
/// `silence`: the publisher has been silent since its first bytes.
pub(super) async fn serve(
    publisher: &Publisher,
    connection: &mut Connection,
    silence: bool,
) -> Result<(), Broken> {
    // A connection keeps the settings that it began with.
    let config = publisher.settings.now();
    let (name, registry) = (publisher.name.clone(), publisher.sequencer.clone());
    let mut intake = Intake::new(&config, publisher.channel, name, registry);
    let begun = connection.take();
    let connection = &*connection;
    let mut write = async |answers: &str| {
        let written = connection.write_all(answers.as_bytes()).await;
        written.map_err(Broken::from)
    };
    intake.feed(&begun, &mut write).await?;
    drop(begun);
    if silence {
        intake.silence(&mut write).await?;
    }
    let (silence_ends, patience) = (config.silence_ends_message, publisher.patience());
    let mut buffer = Vec::new();
    let mut pieces = 0;
    // Made once: to begin waiting anew costs as much as a delivery.
    let mut cancelled = pin!(publisher.stop.cancelled());
    loop {
        if intake.is_broken() {
            return broken(publisher, connection).await;
        }
        if std::mem::replace(&mut pieces, intake.pieces()) != intake.pieces() {
            publisher.place.has_whole();
        }
        publisher.unfinished(intake.waiting());
        let awaited = Awaited {
            silence: silence_ends && intake.text_waits(),
            patience: patience.filter(|_| intake.is_unfinished()),
        };
        match next(cancelled.as_mut(), connection, &mut buffer, awaited).await? {
            Event::Read(0) => return intake.finish(&mut write).await,
            Event::Read(count) => intake.feed(&buffer[..count], &mut write).await?,
            Event::Silence => intake.silence(&mut write).await?,
            Event::Stuck => return publisher.stuck().await,
            Event::Stop => return stop(connection, &mut buffer, &mut intake).await,
        }
    }
}

/// Ends a connection on which something came that no publisher writes.
async fn broken(publisher: &Publisher, connection: &Connection) -> Result<(), Broken> {
    logger::refused(
        "control_character",
        format_args!(
            "{}: refused: a control character in an address; a web page may have made a browser write \
             it, so nothing more is taken from this connection",
            publisher.name
        ),
    );
    publisher.count_refused("control_character").await?;
    connection.finish();
    connection.discard().await;
    Ok(())
}

async fn next(
    cancelled: Pin<&mut impl Future<Output = ()>>,
    connection: &Connection,
    buffer: &mut Vec<u8>,
    awaited: Awaited,
) -> Result<Event, Broken> {
    let read = async {
        match connection.read_portion(buffer).await {
            // TLS ended without close_notify: an attacker may have cut it, so an unfinished message does
            // not count.
            Err(error) if Trouble::of(&error).is_some() => Err(error.into()),
            // A connection that is broken off has ended too: what came before counts.
            read => Ok(Event::Read(read.unwrap_or(0))),
        }
    };
    let silence = async {
        match (awaited.silence, awaited.patience) {
            (true, _) => {
                Timer::after(SILENCE).await;
                Ok(Event::Silence)
            }
            (false, Some(patience)) => {
                Timer::after(patience).await;
                Ok(Event::Stuck)
            }
            (false, None) => std::future::pending().await,
        }
    };
    let stop = async {
        cancelled.await;
        Ok(Event::Stop)
    };
    // First, as one who writes without a pause always has something to be read.
    stop.or(read).or(silence).await
}

/// Takes in what has come by now, and nothing that comes meanwhile; a message without its end is left,
/// as its rest may be on its way.
async fn stop(
    connection: &Connection,
    buffer: &mut Vec<u8>,
    intake: &mut Intake,
) -> Result<(), Broken> {
    let mut write = async |answers: &str| {
        let written = connection.write_all(answers.as_bytes()).await;
        written.map_err(Broken::from)
    };
    let mut left = connection.unread();
    while left > 0
        && let Ok(count @ 1..) = connection.read_now(buffer)
    {
        left = left.saturating_sub(count as u64);
        intake.feed(&buffer[..count], &mut write).await?;
    }
    Ok(())
}
