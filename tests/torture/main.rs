//! Two thousand clients come, stall, leave and come back while four publishers write and the
//! daemon is reloaded, killed and restarted: every client must account for every event.
//!
//! `HASSES_TORTURE_SECONDS=600 cargo test --release --test torture -- --nocapture` is the long
//! one; `HASSES_TORTURE_SEED` repeats what chance decided in the clients and publishers.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crowd;
mod ledger;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crowd::Crowd;
use ledger::{Figures, Ledger, Run};
use nix::sys::signal::Signal;
use support::crowd::publishers::Publishers;
use support::crowd::topic::{TOKENS, To};
use support::{Daemon, Stream, number_from};

const CLIENTS: usize = 2000;
const PUBLISHERS: usize = 4;
/// Events a second of each publisher.
const RATE: u32 = 50;

/// Some stay away for longer than these many events, so there are gaps; and some stall for longer
/// than the buffer holds.
const OPTIONS: &str = "--history 100\n--history-for t1* 20\n--history-bytes 64MiB\n\
                       --history-file {dir}/history\n--client-buffer 32768\n--heartbeat 2\n--allow-all\n";

fn configured() -> Daemon {
    let addresses = "--listen 127.0.0.1:{listen} --control 127.0.0.1:{control}";
    let arguments = format!("{addresses} --config {{dir}}/conf");
    Daemon::prepared(&arguments, |preparation| {
        preparation.write("conf", &preparation.fill(OPTIONS));
    })
}

/// How many events are kept of what is published to this.
fn keeps(to: &To) -> usize {
    if to.name().starts_with("t1") { 20 } else { 100 }
}

/// Some events are much larger than the others.
fn padding(random: &mut fastrand::Rng) -> usize {
    match random.u8(..20) {
        0 => 20_000,
        _ => random.usize(..500),
    }
}

/// The daemon, its lives, and its memory by the second.
struct Patient {
    daemon: Daemon,
    runs: Vec<Run>,
    memory: Vec<(Duration, u64)>,
}

impl Patient {
    fn start() -> Self {
        let mut patient = Self {
            daemon: configured(),
            runs: Vec::new(),
            memory: Vec::new(),
        };
        patient.note_run();
        patient
    }

    fn note_run(&mut self) {
        let address = self.daemon.listen;
        self.runs.push(Run {
            first_position: Stream::starting(address, "subscribe=nothing", "").position,
            killed: None,
        });
    }

    /// Ends it in one way or the other and starts it again.
    fn restart(&mut self, clean: bool, crowd: &mut Crowd, publishers: &Publishers) {
        if clean {
            self.daemon.signal(Signal::SIGTERM);
            // Its streams end when their clients have taken what is queued, or after five seconds.
            crowd.read_to_the_end();
            self.daemon.wait_for_exit();
        } else {
            self.daemon.crash();
            self.runs.last_mut().unwrap().killed = Some(Instant::now());
            crowd.read_to_the_end();
        }
        // The first position is to be known before the first event.
        publishers.pause(true);
        self.daemon.start_again();
        self.note_run();
        publishers.pause(false);
        crowd.run += 1;
    }
}

/// Torments the daemon for this long; two crashes and a clean restart fall into the first minute.
fn torment(patient: &mut Patient, crowd: &mut Crowd, publishers: &Publishers, time: Duration) {
    let quarter = time.min(Duration::from_secs(60)) / 4;
    let mut restarts = vec![(3, false), (2, true), (1, false)];
    let began = Instant::now();
    let mut second = 0;
    while began.elapsed() < time || !restarts.is_empty() {
        crowd.live(Duration::from_secs(1));
        second += 1;
        if second % 3 == 0 {
            patient.daemon.signal(Signal::SIGHUP);
        }
        let memory = patient.daemon.resident_kib();
        patient.memory.push((began.elapsed(), memory));
        if let Some((part, clean)) = restarts.last().copied()
            && began.elapsed() >= quarter * part
        {
            restarts.pop();
            patient.restart(clean, crowd, publishers);
        }
    }
}

/// What each token is left with: the events by which `recent=1` begins, which are noted as seen.
fn last_values(daemon: &Daemon, crowd: &mut Crowd) -> Vec<BTreeSet<u64>> {
    let of = |token: u16| {
        let start = Stream::starting(daemon.listen, &format!("subscribe=t{token}&recent=1"), "");
        let events = start.events.iter().map(|event| {
            let id = event.id.expect("an id");
            let mut numbers = event.data.as_deref().expect("data").split(':');
            let mut number = || numbers.next().unwrap().parse().expect("a number");
            let event = (number(), number());
            assert_eq!(*crowd.sightings.entry(id).or_insert(event), event, "{id}");
            id
        });
        events.collect()
    };
    (0..TOKENS).map(of).collect()
}

/// The mean of what the daemon held in a part of the time, in KiB.
fn mean_memory(patient: &Patient, from: u64, to: u64) -> u64 {
    let part = Duration::from_secs(from)..Duration::from_secs(to);
    let taken = patient.memory.iter().filter(|at| part.contains(&at.0));
    let taken: Vec<u64> = taken.map(|at| at.1).collect();
    taken.iter().sum::<u64>() / taken.len() as u64
}

#[test]
#[expect(clippy::print_stdout, reason = "its figures are what it is for")]
fn every_client_accounts_for_every_event() {
    let seconds = number_from("HASSES_TORTURE_SECONDS", 60);
    let seed = number_from("HASSES_TORTURE_SEED", 1);
    let mut patient = Patient::start();
    let mut crowd = Crowd::new(CLIENTS, patient.daemon.listen, seed);
    let controls = [patient.daemon.control; PUBLISHERS];
    let publishers = Publishers::start(&controls, RATE, seed, padding);
    let time = Duration::from_secs(seconds);
    torment(&mut patient, &mut crowd, &publishers, time);
    let sent = publishers.stop();
    let address = patient.daemon.listen;
    let newest = Stream::starting(address, "subscribe=nothing", "").position;
    crowd.gather(newest);
    let last_values = last_values(&patient.daemon, &mut crowd);
    patient.daemon.stop();

    let mut figures = Figures::default();
    let ledger = Ledger::new(&patient.runs, &sent, &crowd.sightings, keeps, &mut figures);
    ledger.check_last_values(&last_values, &mut figures);
    for (number, client) in crowd.clients.iter().enumerate() {
        ledger.check(number, client, &mut figures);
    }
    let published = sent.iter().flatten();
    let answered = published.clone().filter(|sent| sent.answer().is_some());
    let repeated = published.clone().filter(|sent| sent.repeated).count();
    println!(
        "torture, seed {seed}, {seconds} s: {CLIENTS} clients, {} streams, {} cut off; \
         events published {}, acknowledged {}, sent again {repeated}; delivered {}, of which replayed {}; \
         gaps {}, which cover {} events; last values {}; duplicates {}, losses {}, otherwise wrong {}",
        crowd.streams(),
        crowd.cut_off,
        published.count(),
        answered.count(),
        figures.delivered,
        figures.replayed,
        figures.gaps,
        figures.covered,
        figures.last_values,
        figures.duplicates,
        figures.losses,
        figures.wrong,
    );
    let faults = (figures.duplicates, figures.losses, figures.wrong);
    assert_eq!(faults, (0, 0, 0), "{}", figures.faults.join("\n"));
    assert!(
        figures.replayed > 0 && figures.gaps > 0 && repeated > 0,
        "nothing was tried"
    );
    if seconds >= 240 {
        let (early, late) = (
            // The last restart was not long before the end of the first minute.
            mean_memory(&patient, 120, 180),
            mean_memory(&patient, seconds - 60, seconds),
        );
        let minutes: Vec<u64> = (1..seconds / 60)
            .map(|minute| mean_memory(&patient, minute * 60, minute * 60 + 60))
            .collect();
        println!("memory in each minute after the first, in KiB: {minutes:?}");
        assert!(late * 20 <= early * 21, "grown by more than 5 %");
    }
}
