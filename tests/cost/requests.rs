//! No request holds the loop: the worst request of each kind, on a daemon with a full history and 10,000 clients, and the
//! instructions that it costs. Nothing may cost its tokens times the history, or its tokens times the clients.

use std::fs;
use std::net::SocketAddr;

use support::{Connection, Daemon, Stream, eventually, needs, publish, run};

use super::counted::{raise_descriptors, release_build};
use super::judge;
use super::load::{Subscriber, connect_each};

const CLIENTS: usize = 10_000;
/// So long is the target of a request at most.
const LONGEST: usize = 8_000;

/// A daemon that callgrind watches, with clients and a full history.
struct Busy {
    daemon: Daemon,
    dumps: u32,
    _clients: Vec<Subscriber>,
}

impl Busy {
    fn start() -> Self {
        raise_descriptors(CLIENTS as u64 + 500);
        let tool = "valgrind --tool=callgrind --callgrind-out-file={dir}/counted";
        let program = format!("{tool} {}", release_build());
        let daemon = Daemon::instead(
            &program,
            "--heartbeat 0 --allow-all --reinit --max-tokens 2000",
        );
        // First, as this is for nobody yet.
        fill(&daemon);
        let names: Vec<String> = (0..CLIENTS).map(|n| format!("t{n}")).collect();
        let clients = connect_each(daemon.listen, &names);
        Self {
            daemon,
            dumps: 0,
            _clients: clients,
        }
    }

    /// What was counted since the last time.
    fn count(&mut self) -> u64 {
        let pid = self.daemon.pid().to_string();
        run("callgrind_control", &["--dump", &pid]);
        self.dumps += 1;
        let file = self.daemon.file(&format!("counted.{}", self.dumps));
        eventually("what was counted", || {
            let text = fs::read_to_string(&file).ok()?;
            let total = text
                .lines()
                .rev()
                .find_map(|line| line.strip_prefix("totals: "));
            total?.trim().parse().ok()
        })
    }

    /// Does something whose end can be seen, and judges what it cost, in millions of instructions.
    fn judge(&mut self, what: &str, bound: f64, work: impl FnOnce(&Daemon)) {
        self.count();
        work(&self.daemon);
        let millions = self.count() as f64 / 1e6;
        judge(&format!("million instructions for {what}"), millions, bound);
    }
}

/// Names of three letters, so that many stand in one request.
fn names() -> impl Iterator<Item = String> {
    let letters = || (b'a'..=b'z').map(char::from);
    letters().flat_map(move |a| {
        letters().flat_map(move |b| letters().map(move |c| format!("{a}{b}{c}")))
    })
}

/// As many names as a request can hold.
fn most_names() -> String {
    let names: Vec<String> = names().take(LONGEST / 4 - 20).collect();
    names.join("-")
}

/// The most events for all that are kept, and some for each of many tokens.
fn fill(daemon: &Daemon) {
    let mut text = "*=for all\n".repeat(1_100);
    for name in names().take(LONGEST / 4) {
        text += &format!("{name}=one\n{name}=two\n");
    }
    let mut publisher = Connection::to(daemon.control);
    // Its answer shows that all before it was taken in.
    publisher
        .send(text.as_bytes())
        .send(b"tcpnumberofclients\n");
    publisher.line();
}

fn get(address: SocketAddr, target: &str) -> Connection {
    let mut connection = Connection::to(address);
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    connection.send(request.as_bytes());
    connection
}

/// A subscription, up to its position.
fn subscribe(daemon: &Daemon, query: &str, events: std::ops::Range<usize>) -> Stream {
    let stream = Stream::answered(get(daemon.listen, &format!("/sse?{query}")));
    let start = stream.start();
    assert!(
        events.contains(&start.events.len()),
        "{}",
        start.events.len()
    );
    start.stream
}

/// What subscribers can ask for; most of it needs no key.
fn judge_subscribers(busy: &mut Busy) {
    let names = most_names();
    let before = Stream::starting(busy.daemon.listen, "subscribe=nobody", "").position;
    busy.judge(
        "many tokens, and all that is kept of them",
        25.0,
        |daemon| {
            drop(subscribe(
                daemon,
                &format!("subscribe={names}&recent=9999999"),
                2_000..6_000,
            ));
        },
    );
    busy.judge("many tokens, and one event of each", 12.0, |daemon| {
        drop(subscribe(
            daemon,
            &format!("subscribe={names}&recent=1"),
            1_000..6_000,
        ));
    });
    busy.judge("everything that is kept of all tokens", 8.0, |daemon| {
        drop(subscribe(
            daemon,
            "subscribe=*&recent=9999999",
            2_000..6_000,
        ));
    });
    busy.judge("many tokens that come back without a gap", 4.0, |daemon| {
        drop(subscribe(
            daemon,
            &format!("subscribe={names}&lastEventId={before}"),
            0..1,
        ));
    });
    busy.judge("many tokens that come back after long", 18.0, |daemon| {
        drop(subscribe(
            daemon,
            &format!("subscribe={names}&lastEventId=1"),
            2_000..6_000,
        ));
    });
    busy.judge("other tokens on an open stream", 7.0, |daemon| {
        let mut stream = subscribe(daemon, &format!("subscribe={names}"), 0..1);
        let request = format!("GET /sse?subscribe=x-{names} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.send(request.as_bytes());
        drop(Stream::answered(stream.into_connection()).start());
    });
    busy.judge("a long address where nothing is", 1.0, |daemon| {
        let answer = get(daemon.listen, &format!("/{names}")).response();
        assert_eq!(answer.status, 404);
    });
}

/// What publishers can ask for.
fn judge_publishers(busy: &mut Busy) {
    let control = busy.daemon.control;
    for (what, bound, line, answer) in [
        (
            "a count by a prefix",
            6.0,
            "tcpsubscribedclients:t*\n",
            "10000",
        ),
        (
            "a disconnect of nobody",
            1.0,
            "{\"disconnect\":\"nobody\",\"ack\":true}\n",
            "{",
        ),
    ] {
        busy.judge(what, bound, |_| {
            let told = publish::ask_tcp(control, line);
            assert!(told.contains(answer), "{told}");
        });
    }
    for (target, bound) in [
        ("/status", 1.0),
        ("/metrics", 1.0),
        ("/clients?search=nobody&limit=1000", 55.0),
        ("/clients?search=t&limit=1000", 11.0),
        ("/", 3.0),
    ] {
        busy.judge(target, bound, |_| {
            assert_eq!(get(control, target).response().status, 200);
        });
    }
    busy.judge("the old list of all clients", 90.0, |_| {
        assert!(publish::ask_tcp(control, "tcpclientlist\n").len() > 100 * CLIENTS);
    });
    busy.judge("a message to all, without its delivery", 4.0, |_| {
        assert_eq!(publish::http(control, "*", "x").1, CLIENTS as u64);
    });
    let list = |name: fn(usize) -> String| (0..1000).map(name).collect::<Vec<_>>().join(",");
    for (what, bound, list) in [
        (
            "a message to many prefixes",
            18.0,
            list(|n| format!("\"t{n}*\"")),
        ),
        (
            "a message to many tokens",
            8.0,
            list(|n| format!("\"t{}\"", 7 * n)),
        ),
    ] {
        busy.judge(what, bound, |_| {
            let body = format!("{{\"to\":[{list}],\"data\":\"x\"}}");
            let answer = publish::post(control, "/publish", "application/json", body.as_bytes());
            assert_eq!(answer.status, 200, "{answer:?}");
        });
    }
}

#[test]
fn no_request_holds_the_loop() {
    needs!("valgrind", "callgrind_control");
    let mut busy = Busy::start();
    judge_subscribers(&mut busy);
    judge_publishers(&mut busy);
}
