//! Leaving the terminal: the daemon goes on alone, its parent waits to hear whether the start went well.
//! And whatever else needs a process of its own.

use std::env;
use std::fs::OpenOptions;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process;

use nix::sys::prctl;
use nix::sys::signal::SigSet;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{self, ForkResult};

use crate::descriptors;

/// What the daemon says when it is ready; anything else is why it is not.
const READY: &[u8] = b"\0";

/// The parent, which waits at the other end of a pipe.
#[derive(Debug)]
pub(crate) struct Parent(PipeWriter);

impl Parent {
    /// Lets the parent end with exit code 0.
    pub(crate) fn ready(mut self) {
        // Somebody may have killed the parent; the daemon does not care.
        let _ = self.0.write_all(READY);
    }

    /// Lets the parent say what went wrong, one message a line, and end with exit code 1.
    pub(crate) fn failed(mut self, messages: &[String]) {
        let _ = self.0.write_all(messages.join("\n").as_bytes());
    }
}

/// Goes on as a daemon: without a terminal, in `/`, with `/dev/null` as its standard streams, and with
/// nothing else that the calling process was given but the sockets that were taken over.
///
/// The daemon returns at once, with the parent that waits for it. The calling process stays until the
/// daemon is ready, and ends then; if the daemon failed, this returns in the calling process with
/// what to tell, one message each.
///
/// No thread may have been started before.
pub(crate) fn detach() -> Result<Parent, Vec<String>> {
    let told = |error: io::Error| vec![format!("--daemon: {error}")];
    let (reader, writer) = io::pipe().map_err(told)?;
    match fork().map_err(told)? {
        ForkResult::Parent { child } => {
            drop(writer);
            // The child in between ends as soon as it has made the daemon.
            let _ = waitpid(child, None);
            Err(wait(reader))
        }
        ForkResult::Child => {
            drop(reader);
            match leave() {
                Ok(()) => Ok(Parent(writer)),
                Err(error) => {
                    Parent(writer).failed(&told(error));
                    process::exit(1)
                }
            }
        }
    }
}

/// What remains to be done in the child.
fn leave() -> io::Result<()> {
    unistd::setsid()?;
    // The leader of a session could get a terminal again by opening one; its child cannot.
    if let ForkResult::Parent { .. } = fork()? {
        process::exit(0);
    }
    env::set_current_dir("/")?;
    descriptors::close_inherited();
    close_streams()
}

/// Makes `/dev/null` the standard streams.
fn close_streams() -> io::Result<()> {
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    unistd::dup2_stdin(&null)?;
    unistd::dup2_stdout(&null)?;
    unistd::dup2_stderr(&null)?;
    Ok(())
}

/// Lets a process of its own do some work, with the rights of this one, and gives the socket that joins
/// the two. All else that is open here is closed there. It is no child of this process, has no
/// terminal and hears no signal (but KILL), and ends when the work is done.
///
/// No thread may have been started before.
pub(crate) fn apart(work: impl FnOnce(UnixStream)) -> io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    match fork()? {
        ForkResult::Parent { child } => match waitpid(child, None)? {
            WaitStatus::Exited(_, 0) => Ok(ours),
            _ => Err(io::Error::other("a process could not be started")),
        },
        ForkResult::Child => {
            drop(ours);
            match part() {
                Ok(ForkResult::Child) => {
                    descriptors::close_all_but(theirs.as_raw_fd());
                    work(theirs);
                    process::exit(0)
                }
                Ok(ForkResult::Parent { .. }) => process::exit(0),
                Err(_) => process::exit(1),
            }
        }
    }
}

/// What is common to the child in between and to the one that stays.
fn part() -> io::Result<ForkResult> {
    unistd::setsid()?;
    SigSet::all().thread_block()?;
    prctl::set_name(c"hasses-janitor")?;
    close_streams()?;
    fork()
}

#[expect(unsafe_code, reason = "there is no safe fork")]
fn fork() -> io::Result<ForkResult> {
    // SAFETY: fork is unsafe because in the child of a process with several threads only
    // async-signal-safe functions may be called: another thread may have held a lock (fork(2)). This
    // process has one thread: threads are started by the actors alone (async-io's helper, the
    // logger's writer), and those run after `detach` and `apart` have returned.
    Ok(unsafe { unistd::fork() }?)
}

/// Waits for the daemon's word. Ends this process if all is well, else returns what is wrong.
fn wait(mut reader: PipeReader) -> Vec<String> {
    let mut told = Vec::new();
    match reader.read_to_end(&mut told) {
        Ok(_) if told == READY => process::exit(0),
        Ok(0) => vec!["--daemon: the daemon died before it was ready".to_owned()],
        Ok(_) => {
            let text = String::from_utf8_lossy(&told);
            text.lines().map(str::to_owned).collect()
        }
        Err(error) => vec![format!("--daemon: {error}")],
    }
}
