//! The memory of a process, and of all sockets of the machine, while something happens.

use std::fs::read_to_string;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

/// Between two looks.
const PERIOD: Duration = Duration::from_millis(20);

/// Mebibytes at the most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Resident in the daemon (proc(5): VmHWM).
    pub(crate) daemon: u64,
    /// Of the kernel for TCP, more than before (proc(5): sockstat).
    pub(crate) kernel: u64,
}

pub(crate) struct Watch {
    pid: u32,
    over: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Watch {
    pub(crate) fn begin(pid: u32) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let before = kernel_pages();
        let thread = spawn(move || {
            let mut most = 0;
            while !told.load(Ordering::Relaxed) {
                most = most.max(kernel_pages().saturating_sub(before));
                sleep(PERIOD);
            }
            most
        });
        Self { pid, over, thread }
    }

    pub(crate) fn end(self) -> Memory {
        self.over.store(true, Ordering::Relaxed);
        let kernel = (self.thread.join().unwrap() * 4096) >> 20;
        let status = read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM:"))
            .unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        Memory {
            daemon: kib.div_ceil(1024),
            kernel,
        }
    }
}

fn kernel_pages() -> u64 {
    let text = read_to_string("/proc/net/sockstat").unwrap();
    let line = text.lines().find(|line| line.starts_with("TCP:")).unwrap();
    line.split("mem ").nth(1).unwrap().trim().parse().unwrap()
}
