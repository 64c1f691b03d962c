//! A million subscribers on one machine: as many processes of hasses as its descriptors ask for, which
//! share one port (`SO_REUSEPORT`), and as many of load. The kernel spreads the connections.

use std::io::{BufRead, BufReader, Write, stdin};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit};

use crate::Outcome;
use crate::ledger::Target;
use crate::load::{Load, now};
use crate::servers::{Kind, free_address, hasses};
use crate::table::grouped;
use crate::usage::{Usage, available_memory};

/// Broadcasts to everyone.
const BROADCASTS: usize = 3;
/// How long a broadcast may take to reach all.
const LONGEST: Duration = Duration::from_secs(120);

/// A process that ends with us.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process of load, and what it says.
struct Crowd {
    process: Process,
    says: BufReader<ChildStdout>,
}

impl Crowd {
    fn start(server: SocketAddr, first: u32, count: u32) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["crowd", &server.to_string()])
            .args([first.to_string(), count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let says = child.stdout.take().ok_or("no output")?;
        Ok(Self {
            process: Process(child),
            says: BufReader::new(says),
        })
    }

    fn tell(&mut self, line: &str) -> Outcome<()> {
        let stdin = self.process.0.stdin.as_mut().ok_or("no input")?;
        Ok(writeln!(stdin, "{line}")?)
    }

    /// The numbers of the line that it says next.
    fn numbers(&mut self) -> Outcome<Vec<u64>> {
        let mut line = String::new();
        self.says.read_line(&mut line)?;
        let numbers: Result<Vec<u64>, _> = line.split_whitespace().map(str::parse).collect();
        Ok(numbers.map_err(|_| format!("a process of load said {line:?}"))?)
    }
}

/// One process of load: connects `count` clients, of which the first is number `first`, then says for
/// each stamp that it reads when the last of them had it, and how many did.
pub(crate) fn crowd(server: &str, first: &str, count: &str) -> Outcome<bool> {
    let (server, first, count) = (server.parse()?, first.parse()?, count.parse::<usize>()?);
    let request = |token: u32| (format!("/sse?subscribe=tok{token}"), "");
    let mut load = Load::new(server, vec![1; count], Box::new(request))?;
    load.number_from(first);
    load.connect(0..count)?;
    println!("{count}");
    for line in stdin().lines() {
        let (lane, received) = (load.ledger.lane(), load.ledger.received());
        load.ledger.publish(lane, Target::All, line?.parse()?);
        println!();
        load.idle_until(LONGEST, |load| load.ledger.quiet())?;
        println!(
            "{} {}",
            load.last_delivery,
            load.ledger.received() - received
        );
    }
    Ok(true)
}

/// Does it with the floor and with hasses, and compares their broadcasts; whether everyone got everything.
pub(crate) fn run(clients: u32, hold: f64, bus: Option<&str>) -> Outcome<bool> {
    let (floor, all_of_floor) = with(Kind::Floor, clients, hold, None)?;
    let (hasses, all_of_hasses) = with(Kind::Hasses, clients, hold, bus)?;
    println!(
        "a broadcast with hasses : with the floor: {:.2} in processor time, {:.2} in time to the last",
        hasses.cpu / floor.cpu,
        hasses.last / floor.last
    );
    Ok(all_of_floor && all_of_hasses)
}

/// What the quickest broadcast took: the servers' processor time in microseconds, and seconds until the
/// last subscriber had it.
struct Quickest {
    cpu: f64,
    last: f64,
}

/// Connects `clients` subscribers, to nodes of one `bus` if there is one, watches them for `hold` idle
/// seconds, and sends to all of them; whether everyone got everything.
fn with(kind: Kind, clients: u32, hold: f64, bus: Option<&str>) -> Outcome<(Quickest, bool)> {
    let room = getrlimit(Resource::RLIMIT_NOFILE)?.1 as u32;
    // The kernel spreads connections by chance: some processes get one or two per cent more.
    let daemons = clients.div_ceil(room / 100 * 94 - 300) as usize;
    let server = free_address()?;
    let before = available_memory();
    let mut processes = Vec::new();
    let mut controls = Vec::new();
    for _ in 0..daemons {
        let control = free_address()?;
        processes.push(start(kind, server, control, bus)?);
        controls.push(reach(control)?);
    }
    if bus.is_some() {
        // One node's publisher is enough.
        controls.truncate(1);
    }
    let pids: Vec<u32> = processes.iter().map(|process| process.0.id()).collect();
    let (empty, began) = (Usage::of(&pids)?, Instant::now());
    let part = clients.div_ceil(daemons as u32);
    let firsts = (0..clients).step_by(part as usize);
    let crowds: Outcome<Vec<Crowd>> = firsts
        .map(|first| Crowd::start(server, first, part.min(clients - first)))
        .collect();
    let mut crowds = crowds?;
    for crowd in &mut crowds {
        crowd.numbers()?;
    }
    let (full, took) = (Usage::of(&pids)?, began.elapsed());
    let each = |bytes: f64| bytes / f64::from(clients);
    println!(
        "{}: {} subscribers of {daemons} processes on one port: connected in {:.0} s, {:.1} µs of processor \
         time each; {:.0} resident bytes each, {:.1} kB each of the machine's memory, both ends and the \
         kernel included",
        kind.name(),
        grouped(f64::from(clients)),
        took.as_secs_f64(),
        each(full.cpu - empty.cpu),
        each(full.resident - empty.resident),
        each(before - available_memory()) / 1e3,
    );
    std::thread::sleep(Duration::from_secs_f64(hold));
    let idle = Usage::of(&pids)?.since(full);
    println!(
        "idle for {hold:.0} s: {:.2} s of processor time, all processes together",
        idle.cpu / 1e6
    );
    let mut quickest = Quickest {
        cpu: f64::INFINITY,
        last: f64::INFINITY,
    };
    let mut whole = true;
    for _ in 0..BROADCASTS {
        whole &= broadcast(clients, &pids, &mut controls, &mut crowds, &mut quickest)?;
    }
    Ok((quickest, whole))
}

/// Starts one server of many on the same port.
fn start(
    kind: Kind,
    server: SocketAddr,
    control: SocketAddr,
    bus: Option<&str>,
) -> Outcome<Process> {
    let mut command;
    if kind == Kind::Floor {
        command = Command::new(std::env::current_exe()?);
        let ports = [server, control].map(|address| address.port().to_string());
        command.arg("floor").args(ports);
    } else {
        command = Command::new(hasses());
        command.args(["--listen", &server.to_string()]);
        command.args(["--control", &control.to_string()]);
        command.args(["--reuse-port", "--heartbeat", "0", "--log-level", "quiet"]);
        command.args(bus.into_iter().flat_map(|url| ["--bus", url]));
    }
    Ok(Process(command.stderr(Stdio::null()).spawn()?))
}

/// Sends one message to all, by the control ports; whether everyone got it.
fn broadcast(
    clients: u32,
    pids: &[u32],
    controls: &mut [TcpStream],
    crowds: &mut [Crowd],
    quickest: &mut Quickest,
) -> Outcome<bool> {
    let stamp = now();
    for crowd in &mut *crowds {
        crowd.tell(&stamp.to_string())?;
        crowd.numbers()?;
    }
    let (before, began) = (Usage::of(pids)?, now());
    for control in controls {
        control.write_all(format!("*=@{stamp:016x}@;").as_bytes())?;
    }
    let (mut last, mut received) = (began, 0);
    for crowd in crowds {
        let said = crowd.numbers()?;
        let [at, count] = said[..] else {
            return Err("a process of load ended".into());
        };
        (last, received) = (last.max(at), received + count);
    }
    let used = Usage::of(pids)?.since(before);
    let took = (last - began) as f64 / 1e9;
    quickest.cpu = quickest.cpu.min(used.cpu);
    quickest.last = quickest.last.min(took);
    println!(
        "one message to all: {} of {} got it, the last after {took:.2} s; {:.2} µs of processor time a delivery",
        grouped(received as f64),
        grouped(f64::from(clients)),
        used.cpu / f64::from(clients),
    );
    Ok(received == u64::from(clients))
}

/// A publisher's connection to a daemon that is just starting.
fn reach(control: SocketAddr) -> Outcome<TcpStream> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match TcpStream::connect(control) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}
