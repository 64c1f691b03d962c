//! A publisher that speaks text and JSON lines.

use std::pin::{Pin, pin};

use async_io::Timer;
use futures_lite::FutureExt;

use super::Publisher;
use super::connection::{Broken, Connection};
use crate::intake::{Intake, SILENCE};
use crate::net::tls::Trouble;

/// What woke the reader.
enum Event {
    Read(usize),
    Silence,
    Stop,
}

/// Takes messages and commands in until the publisher ends its side.
///
/// `silence`: the publisher has been silent since its first bytes.
pub(super) async fn serve(
    publisher: &Publisher,
    connection: &mut Connection,
    silence: bool,
) -> Result<(), Broken> {
    let Publisher {
        settings,
        sequencer,
        channel,
        name,
        ..
    } = publisher;
    // A connection keeps the settings that it began with.
    let config = settings.now();
    let mut intake = Intake::new(&config, *channel, name.clone(), sequencer.clone());
    let mut answers = intake.feed(&connection.take()).await?;
    if silence {
        answers += &intake.silence().await?;
    }
    connection.write_all(answers.as_bytes()).await?;
    let silence_ends = config.silence_ends_message;
    let mut buffer = Vec::new();
    // Made once: to begin waiting anew costs as much as a delivery.
    let mut requested = pin!(publisher.stop.cancelled());
    loop {
        let answers = match next(
            requested.as_mut(),
            connection,
            &mut buffer,
            silence_ends && intake.text_waits(),
        )
        .await?
        {
            Event::Read(0) => {
                let answers = intake.finish().await?;
                return Ok(connection.write_all(answers.as_bytes()).await?);
            }
            Event::Read(count) => intake.feed(&buffer[..count]).await?,
            Event::Silence => intake.silence().await?,
            Event::Stop => return stop(connection, &mut buffer, &mut intake).await,
        };
        connection.write_all(answers.as_bytes()).await?;
    }
}

async fn next(
    requested: Pin<&mut impl Future<Output = ()>>,
    connection: &Connection,
    buffer: &mut Vec<u8>,
    silence_ends: bool,
) -> Result<Event, Broken> {
    let read = async {
        match connection.read_portion(buffer).await {
            // Nobody knows who cut it.
            Err(error) if Trouble::of(&error).is_some() => Err(error.into()),
            // A connection that is broken off has ended too: what came before counts.
            read => Ok(Event::Read(read.unwrap_or(0))),
        }
    };
    let silence = async {
        match silence_ends {
            true => Timer::after(SILENCE).await,
            false => std::future::pending().await,
        };
        Ok(Event::Silence)
    };
    let stop = async {
        requested.await;
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
    let mut left = connection.unread();
    while left > 0
        && let Ok(count @ 1..) = connection.read_now(buffer)
    {
        left = left.saturating_sub(count as u64);
        let answers = intake.feed(&buffer[..count]).await?;
        connection.write_all(answers.as_bytes()).await?;
    }
    Ok(())
}
