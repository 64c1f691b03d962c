//! Attacks on the program, and what each costs whom: `tests/attack/run`, or
//! `cargo bench --bench attack -- --help`.
//!
//! Each attack has a daemon of its own, which it attacks for some seconds with everything that one thread can
//! do. Meanwhile bystanders, who come from another address, measure how long they wait ([`bystander`]), and
//! the memory of the daemon and of the kernel's sockets is watched ([`watch`]). A line of the table says what
//! the attack cost the attacker, what it did to the others, and whether both stayed within their bounds:
//!
//! * the delay: 10 ms, or 50 ms while a large RSA key signs handshakes;
//! * the memory: what the options of that daemon allow.
//!
//! The daemon has one processor, attackers and bystanders the other; where this runs as root, bystanders go
//! before everything else there, so that what they measure is the daemon. To repeat: a quiet machine with two
//! processors. While anything else uses the daemon's processor, delays say nothing.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command that reports"
)]
#![expect(
    clippy::unwrap_used,
    reason = "a failed attack ends the run by a panic"
)]

mod attacks;
mod bystander;
mod peers;
mod scene;
mod watch;

use std::process::ExitCode;
use std::time::Duration;

use argh::{EarlyExit, FromArgs};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use attacks::{ATTACKS, Attack};
use bystander::Bystanders;
use scene::Scene;
use watch::Watch;

/// Attacks the program in every way that is known and prints a table in Markdown. Exits with 1 if a
/// bystander waited longer, or memory grew larger, than is promised.
#[derive(Debug, FromArgs)]
#[argh(example = "tests/attack/run --only healthz,tls-rsa4096 --seconds 10")]
struct Options {
    /// how long each attack lasts (default 4)
    #[argh(option, default = "4")]
    seconds: u64,
    /// the attacks to make, by their names and with commas between them (default all)
    #[argh(option)]
    only: Option<String>,
    /// say the names of the attacks
    #[argh(switch)]
    list: bool,
}

fn main() -> ExitCode {
    let words = support::bench_words();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let options = match Options::from_args(&["tests/attack/run"], &words) {
        Ok(options) => options,
        Err(EarlyExit { output, status }) => {
            println!("{output}");
            return ExitCode::from(if status.is_ok() { 0 } else { 2 });
        }
    };
    if options.list {
        for attack in ATTACKS {
            println!("{:18} {}", attack.name, attack.what);
        }
        return ExitCode::SUCCESS;
    }
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let wanted = |attack: &&Attack| match &options.only {
        Some(only) => only.split(',').any(|name| name == attack.name),
        None => true,
    };
    println!(
        "| attack | connections | kB/s | longest wait, ms: event / request / new stream | peak of the daemon, \
         MiB | of the kernel, MiB | bounds: ms, MiB, MiB | |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |"
    );
    let lasts = Duration::from_secs(options.seconds);
    let failed = ATTACKS
        .iter()
        .filter(wanted)
        .filter(|attack| !make(attack, lasts))
        .count();
    match failed {
        0 => ExitCode::SUCCESS,
        failed => {
            eprintln!("attack: {failed} attacks did more than they may");
            ExitCode::FAILURE
        }
    }
}

/// Makes one attack and prints its line; whether all stayed within bounds.
fn make(attack: &Attack, lasts: Duration) -> bool {
    let scene = Scene::set(attack);
    (attack.prepare)(&scene);
    let watch = Watch::begin(scene.daemon.pid());
    let bystanders = Bystanders::of(&scene);
    std::thread::sleep(Duration::from_millis(500));
    std::thread::scope(|threads| {
        threads.spawn(|| (attack.run)(&scene));
        std::thread::sleep(lasts);
        scene.end();
    });
    // What an attack leaves behind may hold others up too, such as a thousand ends at once.
    std::thread::sleep(Duration::from_millis(500));
    let waits = bystanders.end();
    let memory = watch.end();
    let (connections, bytes) = scene.cost();
    let bounds = &attack.bounds;
    let longest = waits.longest();
    let fine = longest <= Duration::from_millis(bounds.delay)
        && memory.daemon <= bounds.daemon
        && memory.kernel <= bounds.kernel
        && scene.complaint().is_none();
    println!(
        "| {}{} | {connections} | {} | {waits} | {} | {} | {}, {}, {} | {} |",
        attack.what,
        scene
            .complaint()
            .map_or_else(String::new, |complaint| format!(": {complaint}")),
        bytes / 1000 / lasts.as_secs().max(1),
        memory.daemon,
        memory.kernel,
        bounds.delay,
        bounds.daemon,
        bounds.kernel,
        if fine { "ok" } else { "**NOT**" },
    );
    fine
}
