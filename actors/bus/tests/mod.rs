//! The core in many worlds: nodes on a log in memory, publishers, clients that change nodes; the log stops, stands
//! still, loses connections, goes back or loses everything, nodes are killed and stand still. All of it, to the
//! microsecond, follows from a seed.
//!
//! `HASSES_BUS_SEEDS=100000 cargo test -p hasses-actors --lib bus::tests::every -- --nocapture` is the long one, best with
//! `--release`;
//! `HASSES_BUS_SEED=7` tells the story of one seed.

mod ledger;
#[path = "../../../tests/support/life.rs"]
#[expect(unreachable_pub, reason = "the tests with real nodes share it")]
mod life;
mod memory;
mod registry;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::mutant::{Mutant, PUT_IN};
use crate::model::BusDown;
use ledger::Figures;
use world::{Kind, World};

/// Of so many seeds one after the other, each is of another kind.
const KINDS: usize = 4;
/// Seeds in each run of the tests.
const SEEDS: u64 = 256;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Tries one seed, and says what is wrong.
fn try_seed(seed: u64) -> (Figures, Vec<String>) {
    let world = World::live(seed);
    let mut figures = ledger::check(&world);
    let kind = Kind::of(seed);
    if kind.down == BusDown::Refuse && figures.renamed > 0 {
        let fault = format!("{} events have several ids", figures.renamed);
        figures.faults.push(fault);
    }
    // Where the log loses nothing, and nodes deliver nothing alone, there is no gap.
    if kind.safe && kind.down == BusDown::Refuse && figures.gaps > 0 {
        let fault = format!("{} gaps without need", figures.gaps);
        figures.faults.push(fault);
    }
    (figures, world.story)
}

/// Tries all seeds of one kind.
#[expect(clippy::print_stdout, reason = "its figures are what it is for")]
fn every_seed(kind: u64) {
    let one = number("HASSES_BUS_SEED");
    let last = number("HASSES_BUS_SEEDS").unwrap_or(SEEDS);
    let seeds = (0..last).skip(kind as usize).step_by(KINDS);
    let seeds: Vec<u64> = match one {
        Some(seed) => (seed..=seed)
            .filter(|seed| seed % KINDS as u64 == kind)
            .collect(),
        None => seeds.collect(),
    };
    let mut sum = Figures::default();
    for seed in &seeds {
        let (figures, story) = try_seed(*seed);
        if one.is_some() {
            println!("{}", story.join("\n"));
        }
        assert!(
            figures.faults.is_empty(),
            "HASSES_BUS_SEED={seed}, {:?}:\n{}",
            Kind::of(*seed),
            figures.faults.join("\n")
        );
        sum.acknowledged += figures.acknowledged;
        sum.delivered += figures.delivered;
        sum.renamed += figures.renamed;
        sum.gaps += figures.gaps;
    }
    println!(
        "{} seeds, {:?}: {} events acknowledged, {} renamed, {} delivered, {} gaps",
        seeds.len(),
        Kind::of(kind),
        sum.acknowledged,
        sum.renamed,
        sum.delivered,
        sum.gaps
    );
    let many = 50 * seeds.len();
    assert!(
        sum.acknowledged >= many && sum.delivered >= 4 * many,
        "{sum:?}"
    );
}

#[test]
fn every_client_accounts_for_every_event_of_nodes_alone() {
    every_seed(0);
}

#[test]
fn every_client_accounts_for_every_event_that_is_not_refused() {
    every_seed(1);
}

#[test]
fn every_client_accounts_for_every_event_of_nodes_alone_on_a_safe_log() {
    every_seed(2);
}

#[test]
fn on_a_safe_log_that_nobody_goes_on_without_there_is_no_gap() {
    every_seed(3);
}

#[test]
fn a_seed_repeats_everything() {
    for seed in 0..8 {
        let [(_, first), (_, second)] = [(); 2].map(|()| try_seed(seed));
        assert_eq!(first, second);
    }
}

/// The first seed that finds a fault that was put in.
fn finds(mutant: Mutant) {
    PUT_IN.set(Some(mutant));
    let found = (0..SEEDS).find(|seed| {
        let tried = catch_unwind(AssertUnwindSafe(|| try_seed(*seed)));
        tried.is_err() || tried.is_ok_and(|(figures, _)| !figures.faults.is_empty())
    });
    PUT_IN.set(None);
    assert!(found.is_some(), "{mutant:?} is not found");
}

macro_rules! found {
    ($($name:ident: $mutant:ident,)*) => {
        $(
            #[test]
            fn $name() {
                finds(Mutant::$mutant);
            }
        )*
    };
}

found! {
    gaps_that_nobody_needs_are_found: RemembersTheDead,
    answers_that_never_come_are_found: StaysWritten,
    one_that_stands_for_its_former_self_is_found: CountsNodes,
    one_that_ends_while_it_comes_back_is_found: CountsComers,
    one_that_starts_while_others_come_back_is_found: StartsAtOnce,
    ids_that_are_given_twice_are_found: SharesIds,
    an_entry_that_was_added_twice_is_found: TakesCopies,
    what_was_acknowledged_and_lost_is_found: TrustsAcknowledgements,
    what_is_not_added_again_is_found: RestoresNothing,
    another_order_that_nobody_marks_is_found: HidesItsOrder,
}
