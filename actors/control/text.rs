//! A publisher that speaks text and JSON lines.

use async_io::Timer;
use futures_lite::FutureExt;

use super::Publisher;
use super::connection::{Broken, Connection};
use crate::fifo::SILENCE;
use crate::intake::Intake;
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
        config,
        registry,
        channel,
        name,
        ..
    } = publisher;
    let mut intake = Intake::new(
        config.delimiter,
        config.max_message,
        *channel,
        name.clone(),
        registry.clone(),
    );
    let mut answers = intake.feed(&connection.take()).await?;
    if silence {
        answers += &intake.silence().await?;
    }
    connection.write_all(answers.as_bytes()).await?;
    let mut buffer = Vec::new();
    loop {
        let answers = match next(publisher, connection, &mut buffer, &intake).await? {
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
    publisher: &Publisher,
    connection: &Connection,
    buffer: &mut Vec<u8>,
    intake: &Intake,
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
        match publisher.config.silence_ends_message && intake.text_waits() {
            true => Timer::after(SILENCE).await,
            false => std::future::pending().await,
        };
        Ok(Event::Silence)
    };
    let stop = async {
        publisher.stop.requested().await;
        Ok(Event::Stop)
    };
    read.or(silence).or(stop).await
}

/// Takes in what has come already; a message without its end is left, as its rest may be on its way.
async fn stop(
    connection: &Connection,
    buffer: &mut Vec<u8>,
    intake: &mut Intake,
) -> Result<(), Broken> {
    while let Ok(count @ 1..) = connection.read_now(buffer) {
        let answers = intake.feed(&buffer[..count]).await?;
        connection.write_all(answers.as_bytes()).await?;
    }
    Ok(())
}
