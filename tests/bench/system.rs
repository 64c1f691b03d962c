//! The benchmark of the whole system: `tests/bench/run`, or `cargo bench --bench system -- --help`.
//!
//! Every work is done in each of several rounds by each server: [`floor`], the least that a server
//! can do; hasses, as released; nchan, if it is installed; with `--rivals` the Mercure hub and
//! Centrifugo too, and hasses published to by HTTP as these are ([`rivals`]). The server has one processor, the load
//! another. Absolute times move by a quarter from minute to minute on a virtual machine; the ratio
//! to the floor in the same round hardly does, so that is what to look at.
//!
//! How it is measured:
//!
//! * Each message carries the time when it was published, and for each expected delivery there is
//!   one bit: what is lost, doubled or misrouted is known, and makes the run fail ([`ledger`]).
//! * A server's processor time is its processes' CPU clock, from after connecting to the end of the
//!   work; the part in user mode is sampled by the kernel ([`usage`]).
//! * The load polls without sleeping, so that no server pays for waking it ([`load`]).
//! * "In flight" is a closed loop: a message leaves flight when its last receiver has it. With a
//!   rate, the stamp is when the message was due, so waiting in the publisher counts.
//! * Clients come from 127.0.0.2, 127.0.0.3 … and end with a reset, so that runs leave no traces.
//!
//! To repeat: on a quiet machine with at least two processors, `tests/bench/run` (about half an
//! hour), or `tests/bench/run --quick` for a look. If the line under the table says that the host
//! stole more than a per cent or two of the time, repeat it.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command that reports"
)]

mod client;
mod exchange;
mod floor;
mod histogram;
mod lane;
mod ledger;
mod load;
mod million;
mod options;
mod plot;
mod publisher;
mod rivals;
mod servers;
mod sweep;
mod table;
mod usage;
mod work;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use argh::{EarlyExit, FromArgs};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use options::Options;
use servers::Kind;
use table::Results;
use work::{Setting, WORKS};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let words = support::bench_words();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["floor", subscribers, publishers] => run_floor(subscribers, publishers),
        ["crowd", server, first, count] => million::crowd(server, first, count),
        _ => match Options::from_args(&["tests/bench/run"], &words) {
            Ok(options) => measure(&options),
            Err(EarlyExit { output, status }) => {
                println!("{output}");
                return if status.is_ok() {
                    ExitCode::SUCCESS
                } else {
                    ExitCode::from(2)
                };
            }
        },
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run_floor(subscribers: &str, publishers: &str) -> Outcome<bool> {
    floor::serve(subscribers.parse()?, publishers.parse()?)?;
    Ok(true)
}

/// Does all that is asked for and prints it; whether nothing was lost.
fn measure(options: &Options) -> Outcome<bool> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    if options.only.as_deref() == Some("million") {
        return million::run(options.million, options.hold, options.bus.as_deref());
    }
    usage::stay_on(options.load_cpu)?;
    let servers = wanted(options);
    let room = u32::try_from(most.saturating_sub(500)).unwrap_or(u32::MAX);
    let rounds = if options.quick { 1 } else { options.rounds };
    let mut setting = Setting {
        server_cpu: options.server_cpu,
        part: if options.quick { 0.1 } else { 1.0 },
        many: options
            .many
            .min(room)
            .min(if options.quick { 3000 } else { u32::MAX }),
        hold: if options.quick { 3.0 } else { options.hold },
    };
    let (began, stolen) = (Instant::now(), usage::stolen());
    let mut results = Results::default();
    for round in 0..rounds {
        for (work, run) in WORKS.iter().filter(|(work, _)| options.wants(work)) {
            for server in &servers {
                do_work(
                    work,
                    |server| run(setting, server),
                    *server,
                    round,
                    &mut results,
                );
            }
        }
        // Once is enough for what takes a minute.
        setting.hold = 0.0;
    }
    if !results.is_empty() {
        println!("{}\n", results.markdown(&servers));
    }
    let stolen = (usage::stolen() - stolen) / began.elapsed().as_secs_f64() * 100.0;
    println!(
        "Medians of {rounds} rounds; ratios are to the floor in the same round. {}; server on \
         processor {}, load on {}; {} clients at most; stolen by the host: {stolen:.1} % of one \
         processor.",
        usage::machine(),
        options.server_cpu,
        options.load_cpu,
        table::grouped(f64::from(setting.many)),
    );
    let mut faults = results.faults();
    if options.wants("plots") {
        let kept = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/plots"));
        let directory = options.plots.as_deref().unwrap_or(kept);
        faults += sweep::draw(setting, &servers, rounds.min(3), directory)? as f64;
        println!("Plots are in {}.", directory.display());
    }
    Ok(faults == 0.0)
}

/// The servers to measure; which of them cannot be is told.
fn wanted(options: &Options) -> Vec<Kind> {
    let wanted = |kind: &Kind| match &options.servers {
        Some(servers) => servers.split(',').any(|name| name == kind.name()),
        None => options.rivals || Kind::USUAL.contains(kind),
    };
    let mut servers: Vec<Kind> = Kind::ALL.into_iter().filter(wanted).collect();
    servers.retain(|kind| match rivals::lacks(*kind) {
        Some(what) => {
            eprintln!("{} is not measured: there is no {what}", kind.name());
            false
        }
        None => true,
    });
    servers
}

/// Does one work with one server and enters what came of it.
fn do_work(
    work: &'static str,
    run: impl Fn(Kind) -> Outcome<Option<work::Result>>,
    server: Kind,
    round: usize,
    results: &mut Results,
) {
    let result = match run(server) {
        Ok(Some(result)) => result,
        Ok(None) => return,
        Err(error) => {
            eprintln!("{work} {}: {error}", server.name());
            results.add("wrong", "", server, round, 1.0);
            return;
        }
    };
    let figures = result
        .figures
        .iter()
        .map(|(name, value)| format!(" {name} {value:.3}"));
    eprintln!(
        "{} {work} {}:{} lost {} wrong {}",
        round + 1,
        server.name(),
        figures.collect::<String>(),
        result.lost,
        result.wrong
    );
    for (figure, value) in &result.figures {
        if value.is_finite() && !(*figure == "minute" && round > 0) {
            results.add(work, figure, server, round, *value);
        }
    }
    results.add("lost", "", server, round, result.lost as f64);
    results.add("wrong", "", server, round, result.wrong as f64);
}
