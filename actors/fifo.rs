//! The FIFO actor: reads what publishers write into the named pipe.

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use async_io::Async;
use futures_lite::FutureExt;
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use smol::unblock;

use crate::config::Settings;
use crate::intake::{Intake, SILENCE};
use crate::messages::publisher;
use crate::model::Channel;
use crate::runtime::supervisor::{Spawner, Stage};
use crate::runtime::{Address, CancellationToken, Failure, Gone, timer};

/// Bytes of one read; a pipe holds 64 KiB.
const PORTION: usize = 64 * 1024;
/// How often it is looked whether the file at the path is still the one that is open.
const LOOK: Duration = Duration::from_millis(500);

/// What woke the reader.
enum Event {
    /// This many bytes came; none: no writer has the pipe open any more.
    Read(usize),
    Silence,
    Look,
    Stop,
}

/// A pipe's read end, and which file that is.
struct Pipe {
    source: Async<OwnedFd>,
    file: (u64, u64),
    /// Whether a writer has had it open since.
    wrote: Cell<bool>,
}

/// Nobody can be answered through a FIFO.
async fn nobody(_answer: &str) -> Result<(), Gone> {
    Ok(())
}

/// Reads the FIFO at `path` until it is asked to stop; then what is in it still. A pipe that another
/// took the place of is given to an actor of its own, in `spawner`.
///
/// # Errors
/// The pipe cannot be opened or read.
pub async fn run(
    settings: Rc<Settings>,
    path: PathBuf,
    sequencer: Address<publisher::Request>,
    spawner: Spawner,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure(format!("{}: {error}", path.display()));
    let new_intake = || {
        let source = format!("FIFO {}", path.display());
        Intake::new(&settings.now(), Channel::Fifo, source, sequencer.clone())
    };
    let mut intake = new_intake();
    let mut pipe = Pipe::open(&path).map_err(failed)?;
    let mut buffer = vec![0; PORTION];
    let mut looked = Instant::now();
    let mut missed = false;
    loop {
        let event = next(&pipe, &mut buffer, &intake, Some(looked), &stop)
            .await
            .map_err(failed)?;
        let done = match event {
            Event::Read(0) => {
                let done = intake.finish(&mut nobody).await;
                pipe = Pipe::open_while(&path, pipe).map_err(failed)?;
                done
            }
            Event::Read(count) => intake.feed(&buffer[..count], &mut nobody).await,
            Event::Silence => intake.silence(&mut nobody).await,
            Event::Look => {
                looked = Instant::now();
                let replaced = replaced(&path, &pipe).await;
                let told = std::mem::replace(&mut missed, replaced.is_err());
                match replaced {
                    Ok(None) => Ok(()),
                    Ok(Some(new)) => {
                        let done = pipe.take_in(&mut buffer, &mut intake).await;
                        let old = std::mem::replace(&mut pipe, new);
                        let its_intake = std::mem::replace(&mut intake, new_intake());
                        let name = format!("FIFO {}, replaced", path.display());
                        spawner.temporary(name, Stage::Intake, move |stop| {
                            read_out(old, its_intake, stop)
                        });
                        done
                    }
                    Err(error) => {
                        if !told {
                            log::warn!("FIFO {}: {error}; waiting for it", path.display());
                        }
                        Ok(())
                    }
                }
            }
            Event::Stop => {
                let done = pipe.empty(&mut buffer, &mut intake).await;
                intake.settle().await;
                done
            }
        };
        if matches!(event, Event::Stop) || done.is_err() {
            return Ok(());
        }
    }
}

/// The pipe at `path`, if that is not the one that is read.
async fn replaced(path: &Path, read: &Pipe) -> io::Result<Option<Pipe>> {
    if look(path).await? == read.file {
        return Ok(None);
    }
    let new = Pipe::open(path)?;
    log::info!("FIFO {} was made anew; reading the new one", path.display());
    Ok(Some(new))
}

/// Reads a pipe that is at its path no more until its last writer has gone: who has it open cannot
/// know that, and loses nothing.
async fn read_out(pipe: Pipe, mut intake: Intake, stop: CancellationToken) -> Result<(), Failure> {
    // With no writer, reading gives the end at once.
    pipe.wrote.set(true);
    let mut buffer = vec![0; PORTION];
    loop {
        let event = next(&pipe, &mut buffer, &intake, None, &stop)
            .await
            .map_err(|error| Failure(error.to_string()))?;
        let done = match event {
            Event::Read(count @ 1..) => intake.feed(&buffer[..count], &mut nobody).await,
            Event::Silence => intake.silence(&mut nobody).await,
            Event::Look => Ok(()),
            Event::Read(0) | Event::Stop => {
                let _gone = pipe.empty(&mut buffer, &mut intake).await;
                intake.settle().await;
                return Ok(());
            }
        };
        if done.is_err() {
            return Ok(());
        }
    }
}

/// Waits for what comes first: `looked` says when it was last looked whether the file was replaced.
async fn next(
    pipe: &Pipe,
    buffer: &mut [u8],
    intake: &Intake,
    looked: Option<Instant>,
    stop: &CancellationToken,
) -> io::Result<Event> {
    let read = async { pipe.read(buffer).await.map(Event::Read) };
    let silence = async {
        timer(intake.text_waits().then(|| Instant::now() + SILENCE)).await;
        Ok(Event::Silence)
    };
    let look = async {
        timer(looked.map(|looked| looked + LOOK)).await;
        Ok(Event::Look)
    };
    let stop = stop.cancelled_then(Ok(Event::Stop));
    // First, as a pipe that is written without a pause always has something to be read.
    stop.or(read).or(silence).or(look).await
}

impl Pipe {
    fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = open(path, flags, Mode::empty())?;
        let stat = fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Fifo {
            return Err(io::Error::other(
                "is no FIFO; remove it, or name another with --fifo",
            ));
        }
        Ok(Self {
            source: Async::new(file)?,
            file: (stat.st_dev, stat.st_ino),
            wrote: Cell::new(false),
        })
    }

    /// Opens a new read end after the last writer has gone, as the old one would tell of that
    /// without end. The old one is closed after, so that what a new writer writes meanwhile stays.
    fn open_while(path: &Path, old: Self) -> io::Result<Self> {
        match Self::open(path) {
            // The file was replaced: what is in the old pipe was read to its end just now.
            Ok(new) => Ok(new),
            // The file is gone; the pipe that is open can be had anew as long as it is open.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let descriptor = std::os::fd::AsRawFd::as_raw_fd(old.source.get_ref());
                Self::open(Path::new(&format!("/proc/self/fd/{descriptor}")))
            }
            Err(error) => Err(error),
        }
    }

    async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // Until a writer has come, reading gives an end that is none, but the poller is quiet.
        if !self.wrote.get() {
            self.source.readable().await?;
            self.wrote.set(true);
        }
        loop {
            match self.read_now(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.source.readable().await?;
                }
                result => return result,
            }
        }
    }

    fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        rustix::io::retry_on_intr(|| rustix::io::read(self.source.get_ref(), &mut *buffer))
            .map_err(io::Error::from)
    }

    /// Takes in what is in the pipe by now, as the last of it.
    async fn empty(&self, buffer: &mut [u8], intake: &mut Intake) -> Result<(), Gone> {
        self.take_in(buffer, intake).await?;
        intake.finish(&mut nobody).await
    }

    /// Takes in what is in the pipe by now, and nothing that comes meanwhile.
    async fn take_in(&self, buffer: &mut [u8], intake: &mut Intake) -> Result<(), Gone> {
        let mut left = rustix::io::ioctl_fionread(self.source.get_ref()).unwrap_or(0);
        while left > 0
            && let Ok(count @ 1..) = self.read_now(buffer)
        {
            left = left.saturating_sub(count as u64);
            intake.feed(&buffer[..count], &mut nobody).await?;
        }
        Ok(())
    }
}

/// Which file is at the path now. Asked on another thread, as a disk may be slow.
async fn look(path: &Path) -> io::Result<(u64, u64)> {
    let path = path.to_owned();
    unblock(move || {
        let stat = rustix::fs::stat(&path)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Fifo => Ok((stat.st_dev, stat.st_ino)),
            _ => Err(io::Error::other("is no FIFO any more")),
        }
    })
    .await
}
