//! The works that are drawn: the same with more and more clients.

use std::fs;
use std::path::Path;

use crate::Outcome;
use crate::exchange::{broadcast, unicast};
use crate::lane::Order;
use crate::ledger::Target;
use crate::plot::{Line, Plot};
use crate::servers::Kind;
use crate::table::median;
use crate::work::Setting;

/// Measures with 100 clients to as many as there may be, and writes three plots. Returns how many
/// deliveries went wrong, except nchan's.
pub(crate) fn draw(
    setting: Setting,
    servers: &[Kind],
    rounds: usize,
    directory: &Path,
) -> Outcome<u64> {
    let mut sizes = vec![100, 1000, 2500, 5000, 10_000, setting.many];
    sizes.retain(|size| *size <= setting.many);
    sizes.dedup();
    let lines = || -> Vec<Line> {
        let line = |kind: &Kind| Line {
            name: kind.name(),
            points: Vec::new(),
        };
        servers.iter().map(line).collect()
    };
    let (mut cost, mut memory, mut latency) = (lines(), lines(), lines());
    let mut faults = 0;
    for clients in &sizes {
        for (at, server) in servers.iter().enumerate() {
            let mut figures = [const { Vec::new() }; 3];
            for _ in 0..rounds {
                let order = Order::Always(Target::Token(clients / 2));
                let to_one = unicast(setting, *server, *clients, order, 8, 10_000)?;
                let to_all = broadcast(setting, *server, *clients, 20)?;
                let found = [(&to_one, "cpu"), (&to_one, "resident"), (&to_all, "last")];
                for (values, (result, name)) in figures.iter_mut().zip(found) {
                    if !server.is_rival() && name != "resident" {
                        faults += result.lost + result.wrong;
                    }
                    values.extend(result.figure(name));
                }
            }
            let x = f64::from(*clients);
            let [costs, residents, lasts] = figures.map(|values| median(values).unwrap_or(0.0));
            cost[at].points.push((x, costs));
            memory[at].points.push((x, residents / f64::from(1 << 20)));
            latency[at].points.push((x, lasts / 1000.0));
        }
    }
    fs::create_dir_all(directory)?;
    for (file, title, unit, lines) in [
        (
            "cost.svg",
            "CPU time for a message to one of the clients",
            "µs",
            cost,
        ),
        ("memory.svg", "Resident memory of the server", "MiB", memory),
        (
            "latency.svg",
            "Time until a broadcast has reached the last client",
            "ms",
            latency,
        ),
    ] {
        let plot = Plot {
            title,
            unit,
            x: "clients connected",
            lines,
        };
        fs::write(directory.join(file), plot.svg())?;
    }
    Ok(faults)
}
