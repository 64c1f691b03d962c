//! A program that runs beside the test: what it writes is kept, and it is killed at the end.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::PATIENCE;

/// A running program; killed when dropped.
pub(crate) struct Program {
    child: Child,
    output: Arc<Transcript>,
    readers: [JoinHandle<()>; 2],
}

/// What a process wrote so far, on standard output and error.
#[derive(Default)]
struct Transcript {
    text: Mutex<String>,
    grown: Condvar,
}

impl Program {
    /// Starts it without input.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let output = Arc::new(Transcript::default());
        let readers = [
            output.follow(child.stdout.take().unwrap()),
            output.follow(child.stderr.take().unwrap()),
        ];
        Self {
            child,
            output,
            readers,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Processor time it has used, in clock ticks of 10 ms (proc(5): utime and stime).
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        let after_name = stat.rsplit_once(") ").unwrap().1;
        let fields: Vec<&str> = after_name.split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// How it ended, if it has.
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// What it wrote so far.
    pub(crate) fn output(&self) -> String {
        self.output.lock().clone()
    }

    /// What it wrote before it ended: all, unless another process that it left has its output open.
    pub(crate) fn last_words(&self) -> String {
        let deadline = Instant::now() + Duration::from_secs(1);
        while !self.readers.iter().all(JoinHandle::is_finished) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        self.output()
    }

    /// Waits for a complete line with `part` in it and returns that line.
    pub(crate) fn wait_for(&self, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut text = self.output.lock();
        loop {
            let found = text
                .split_inclusive('\n')
                .find(|line| line.ends_with('\n') && line.contains(part));
            if let Some(line) = found {
                return line.trim_end().to_owned();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{part:?} was never written:\n{text}");
            text = self.output.grown.wait_timeout(text, left).unwrap().0;
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
    fn lock(&self) -> MutexGuard<'_, String> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(self: &Arc<Self>, mut source: impl Read + Send + 'static) -> JoinHandle<()> {
        let transcript = Arc::clone(self);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = source.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]);
                transcript.lock().push_str(&text);
                transcript.grown.notify_all();
            }
        })
    }
}
