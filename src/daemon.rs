//! Leaving the terminal: the daemon goes on alone, its parent waits to hear whether the start went well.

use std::env;
use std::fs::OpenOptions;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::process;

use nix::sys::wait::waitpid;
use nix::unistd::{self, ForkResult};

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

/// Goes on as a daemon: without a terminal, in `/`, with `/dev/null` as its standard streams.
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
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    unistd::dup2_stdin(&null)?;
    unistd::dup2_stdout(&null)?;
    unistd::dup2_stderr(&null)?;
    Ok(())
}

#[expect(unsafe_code, reason = "there is no safe fork")]
fn fork() -> io::Result<ForkResult> {
    // SAFETY: fork is unsafe because in the child of a process with several threads only
    // async-signal-safe functions may be called: another thread may have held a lock (fork(2)). This
    // process has one thread: threads are started by the actors alone (async-io's helper, the
    // logger's writer), and those run after `detach` has returned.
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
