//! A program that runs beside the test: what it writes is kept, and it is killed at the end.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::PATIENCE;

/// A running program; killed when dropped.
pub struct Program {
    child: Child,
    output: Arc<Transcript>,
}

/// What a process wrote so far, on standard output and error.
#[derive(Default)]
struct Transcript {
    written: Mutex<Written>,
    grown: Condvar,
}

#[derive(Default)]
struct Written {
    text: String,
    /// Pipes that have not ended.
    open: usize,
}

impl Program {
    /// Starts it without input.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let output = Arc::new(Transcript::default());
        output.follow(child.stdout.take().unwrap());
        output.follow(child.stderr.take().unwrap());
        Self { child, output }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Processor time it has used, in clock ticks of 10 ms (proc(5): utime and stime).
    pub fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        let after_name = stat.rsplit_once(") ").unwrap().1;
        let fields: Vec<&str> = after_name.split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// How it ended, if it has.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        let status = self.end_within(PATIENCE);
        status.unwrap_or_else(|| panic!("it does not end:\n{}", self.output()))
    }

    /// Waits for its end, at most for `patience`.
    pub fn end_within(&mut self, patience: Duration) -> Option<ExitStatus> {
        self.end_or(&[], patience)
    }

    /// As [`Program::end_within`], but also until something can be read from one of `others`.
    pub fn end_or(&mut self, others: &[BorrowedFd], patience: Duration) -> Option<ExitStatus> {
        if let Some(status) = self.has_ended() {
            return Some(status);
        }
        // It is there until somebody asks how it ended, so the number is its own.
        let process = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty()).unwrap();
        let readable = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let mut awaited: Vec<PollFd> = others.iter().copied().map(readable).collect();
        awaited.push(readable(process.as_fd()));
        let patience = Timespec::try_from(patience).unwrap();
        poll(&mut awaited, Some(&patience)).unwrap();
        if awaited.last().unwrap().revents().is_empty() {
            return None;
        }
        // It has ended, but who traces it, such as strace, may be the first to be told so.
        Some(self.child.wait().unwrap())
    }

    /// What it wrote so far.
    pub fn output(&self) -> String {
        self.output.lock().text.clone()
    }

    /// What it wrote before it ended: all, unless another process that it left has its output open.
    pub fn last_words(&self) -> String {
        let written = self.output.lock();
        let second = Duration::from_secs(1);
        let is_open = |written: &mut Written| written.open > 0;
        let waited = self
            .output
            .grown
            .wait_timeout_while(written, second, is_open);
        waited.unwrap().0.text.clone()
    }

    /// Waits for a complete line with `part` in it and returns that line.
    pub fn wait_for(&self, part: &str) -> String {
        let line = self.line_with(part);
        line.unwrap_or_else(|| panic!("{part:?} was never written:\n{}", self.output()))
    }

    /// As [`Program::wait_for`], but none when it writes no more.
    pub fn line_with(&self, part: &str) -> Option<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut written = self.output.lock();
        loop {
            let text = &written.text;
            let found = text
                .split_inclusive('\n')
                .find(|line| line.ends_with('\n') && line.contains(part));
            if let Some(line) = found {
                return Some(line.trim_end().to_owned());
            }
            if written.open == 0 {
                return None;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{part:?} was never written:\n{text}");
            written = self.output.grown.wait_timeout(written, left).unwrap().0;
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Transcript {
    /// What was written, also after a test failed while it looked at it.
    fn lock(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(self: &Arc<Self>, mut source: impl Read + Send + 'static) {
        let transcript = Arc::clone(self);
        transcript.lock().open += 1;
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = source.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]);
                transcript.lock().text.push_str(&text);
                transcript.grown.notify_all();
            }
            transcript.lock().open -= 1;
            transcript.grown.notify_all();
        });
    }
}
