//! What a process used, and what the machine is, as Linux tells it (proc(5), clock_getcpuclockid(3)).

use std::fs;
use std::path::Path;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::time::ClockId;
use nix::unistd::Pid;

use crate::Outcome;

/// What a server used so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Processor time, exact, in microseconds. On loopback the receiver's TCP work runs in the
    /// sender's `send()` and is in it, for every server alike.
    pub(crate) cpu: f64,
    /// The same in user and system mode, sampled in ticks: good to some per cent over a second.
    pub(crate) user_ticks: f64,
    pub(crate) system_ticks: f64,
    /// Resident bytes.
    pub(crate) resident: f64,
}

impl Usage {
    /// Of these processes together.
    pub(crate) fn of(pids: &[u32]) -> Outcome<Self> {
        let mut sum = Self::default();
        for pid in pids {
            let time = ClockId::pid_cpu_clock_id(Pid::from_raw(*pid as i32))?.now()?;
            sum.cpu += time.tv_sec() as f64 * 1e6 + time.tv_nsec() as f64 / 1e3;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
            let mut fields = stat
                .rsplit(')')
                .next()
                .unwrap_or_default()
                .split(' ')
                .skip(12);
            let mut ticks = || {
                fields
                    .next()
                    .and_then(|field| field.parse().ok())
                    .unwrap_or(0.0)
            };
            sum.user_ticks += ticks();
            sum.system_ticks += ticks();
            let status = format!("/proc/{pid}/smaps_rollup");
            sum.resident += number_after(&status, "Rss:").unwrap_or(0.0) * 1024.0;
        }
        Ok(sum)
    }

    /// What was used since `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            cpu: self.cpu - before.cpu,
            user_ticks: self.user_ticks - before.user_ticks,
            system_ticks: self.system_ticks - before.system_ticks,
            resident: self.resident - before.resident,
        }
    }

    /// Which part of the time was in user mode.
    pub(crate) fn user_part(self) -> f64 {
        self.user_ticks / (self.user_ticks + self.system_ticks).max(1.0)
    }
}

/// A process and all below it.
pub(crate) fn family(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let below = children
        .split_whitespace()
        .filter_map(|child| child.parse().ok());
    std::iter::once(pid).chain(below.flat_map(family)).collect()
}

/// Keeps this process, and those that it starts from now on, on one processor.
pub(crate) fn stay_on(cpu: usize) -> Outcome<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// Seconds that the host took from all processors since the start.
pub(crate) fn stolen() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = stat.lines().next().unwrap_or_default();
    let ticks = first
        .split_whitespace()
        .nth(8)
        .and_then(|field| field.parse().ok());
    ticks.unwrap_or(0.0) / 100.0
}

/// Bytes of memory that the machine has left.
pub(crate) fn available_memory() -> f64 {
    number_after("/proc/meminfo", "MemAvailable:").unwrap_or(0.0) * 1024.0
}

/// Processor, cores, memory, kernel, in one line.
pub(crate) fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name\t: "));
    let cores = cpu
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let memory = number_after("/proc/meminfo", "MemTotal:").unwrap_or(0.0) / 1024.0 / 1024.0;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let model = model.unwrap_or("unknown processor").trim();
    format!(
        "{model}, {cores} cores, {memory:.0} GiB, Linux {}",
        kernel.trim()
    )
}

fn number_after(path: impl AsRef<Path>, key: &str) -> Option<f64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}
