//! The command line.

use std::path::PathBuf;

use argh::FromArgs;

/// Measures hasses beside the floor (one bare send for each delivery) and nchan, and prints a table
/// in Markdown. Exits with 1 if a delivery was lost, doubled or misrouted.
#[derive(Debug, FromArgs)]
#[argh(
    example = "tests/bench/run --quick\ntests/bench/run --only W1,W3,idle --rounds 3",
    note = "Works: W1 W2 W3 W6 W7 W8 burst beside ingest fifo replay idle, and plots. Besides: --only million,\n  which needs 10 GB of memory for a million subscribers."
)]
pub(crate) struct Options {
    /// rounds of everything; figures are medians (default 5)
    #[argh(option, default = "5")]
    pub(crate) rounds: usize,
    /// a short look: one round, a tenth of the messages, 3,000 clients at most; no plots
    #[argh(switch)]
    pub(crate) quick: bool,
    /// the works to do, by their names and with commas between them (default all)
    #[argh(option)]
    pub(crate) only: Option<String>,
    /// the rivals too: hasses by HTTP beside nchan, Mercure's hub and Centrifugo, where they are
    /// installed
    #[argh(switch)]
    pub(crate) rivals: bool,
    /// servers to measure, of floor,hasses,hasses-http,nchan,mercure,centrifugo (default
    /// floor,hasses,nchan; what is not installed is left out)
    #[argh(option)]
    pub(crate) servers: Option<String>,
    /// the processor that servers run on (default 0)
    #[argh(option, default = "0")]
    pub(crate) server_cpu: usize,
    /// the processor that the load runs on (default 1)
    #[argh(option, default = "1")]
    pub(crate) load_cpu: usize,
    /// clients of the largest works (default 18500; both ends need a descriptor for each)
    #[argh(option, default = "18_500")]
    pub(crate) many: u32,
    /// subscribers of the work million (default 1000000)
    #[argh(option, default = "1_000_000")]
    pub(crate) million: u32,
    /// a bus for the work million, such as redis://127.0.0.1:6379 (default none: what is for all is
    /// published to each process)
    #[argh(option)]
    pub(crate) bus: Option<String>,
    /// seconds for which idle clients are watched (default 60; once, in the first round)
    #[argh(option, default = "60.0")]
    pub(crate) hold: f64,
    /// where the plots go (default tests/bench/plots)
    #[argh(option)]
    pub(crate) plots: Option<PathBuf>,
}

impl Options {
    /// Whether a work is asked for.
    pub(crate) fn wants(&self, work: &str) -> bool {
        match &self.only {
            Some(only) => only.split(',').any(|name| name == work),
            None => work != "plots" || !self.quick,
        }
    }
}
