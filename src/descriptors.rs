//! The open descriptors of this process, as the system lists them.

use std::fs;
use std::os::fd::RawFd;

use nix::libc::O_CLOEXEC;
use nix::unistd;

/// Where there is no /proc: they are given out from the lowest number on.
const UNLISTED: RawFd = 1024;

/// Closes what whoever started this process left open, so that nobody waits for its end. The standard
/// streams stay.
///
/// Everything that this process opens itself is closed on exec; what came here by an exec is not.
pub(crate) fn close_inherited() {
    open()
        .filter(|number| is_inherited(*number))
        .for_each(close);
}

/// Closes everything but the standard streams and `kept`: for a process that will end without
/// dropping what owns them.
pub(crate) fn close_all_but(kept: RawFd) {
    open().filter(|number| *number != kept).for_each(close);
}

fn open() -> impl Iterator<Item = RawFd> {
    let listed = fs::read_dir("/proc/self/fd").map(|entries| {
        let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        numbers.collect()
    });
    let numbers: Vec<RawFd> = listed.unwrap_or_else(|_| (0..UNLISTED).collect());
    numbers.into_iter().filter(|number| *number > 2)
}

/// Whether the descriptor's flags (octal, proc_pid_fdinfo(5)) lack `O_CLOEXEC`.
fn is_inherited(number: RawFd) -> bool {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap_or_default();
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & O_CLOEXEC == 0)
}

fn close(number: RawFd) {
    // The one that listed them is closed already.
    let _ = unistd::close(number);
}
