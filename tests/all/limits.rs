//! Limits and hostile or dead clients: too many, too slow, half open, gone without a word.

use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use socket2::{Domain, Socket, Type};
use support::far_end::FarEnd;
use support::{Connection, Daemon, Program, Response, Stream, eventually, needs, publish};

const PLAIN: &str = "GET /sse?subscribe=a HTTP/1.1\r\nHost: x\r\n\r\n";
const BROWSER: &str =
    "GET /sse?subscribe=a HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n";

/// A connection from an address of one's own choice.
fn connection_from(source: &str, to: SocketAddr) -> Connection {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let source: IpAddr = source.parse().unwrap();
    socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    Connection::over(TcpStream::from(socket))
}

/// Asks from an address and takes the whole answer.
fn ask_from(source: &str, to: SocketAddr, request: &str) -> Response {
    let mut connection = connection_from(source, to);
    connection.send(request.as_bytes()).response()
}

/// An EventSource that is told to come back later: a stream of one `retry:`, which this gives, and
/// the end.
fn is_put_off(mut connection: Connection, request: &str) -> u64 {
    connection.send(request.as_bytes());
    let mut stream = Stream::answered(connection);
    let kind = stream.head.header("content-type");
    assert_eq!(kind.as_deref(), Some("text/event-stream; charset=utf-8"));
    assert!(stream.head.header("access-control-allow-origin").is_some());
    let connection = stream.head.header("connection");
    assert_eq!(connection.as_deref(), Some("close"));
    let block = stream.block().expect("a retry");
    let retry = block.retry.expect("a retry");
    assert!((21_000..=39_000).contains(&retry), "{retry}");
    assert_eq!(block.raw, format!("retry: {retry}\n\n"));
    stream.into_connection();
    retry
}

fn is_refused(answer: &Response, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    let after = answer.header("retry-after").expect("Retry-After");
    assert!(after.parse::<u32>().unwrap() > 0, "{after}");
    assert!(answer.header("access-control-allow-origin").is_some());
    assert!(!answer.body.is_empty());
}

#[test]
fn over_max_clients_a_browser_is_put_off_and_others_get_503() {
    let daemon = Daemon::start("--max-clients 3");
    let mut streams: Vec<Stream> = (0..3).map(|_| daemon.subscribe("subscribe=a")).collect();
    let mut retries = HashSet::new();
    for _ in 0..5 {
        is_refused(&daemon.ask(PLAIN), 503);
        retries.insert(is_put_off(Connection::to(daemon.listen), BROWSER));
        let old = BROWSER.replace("1.1", "1.0");
        is_put_off(Connection::to(daemon.listen), &old);
        let several = BROWSER.replace("Accept: ", "accept: text/html;q=0.5, ");
        is_put_off(Connection::to(daemon.listen), &several);
    }
    assert!(retries.len() > 1, "no jitter: {retries:?}");
    // Those who are in notice nothing; who comes after one has left gets in.
    assert_eq!(publish::http(daemon.control, "a", "x").1, 3);
    for stream in &mut streams {
        assert_eq!(stream.data(), "x");
    }
    streams.pop();
    eventually("a place", || {
        let mut connection = Connection::to(daemon.listen);
        let head = connection.send(PLAIN.as_bytes()).head();
        (head.status == 200).then_some(())
    });
    // A backend gets in whatever the number of subscribers.
    publish::http(daemon.control, "a", "y");
    assert_eq!(streams[0].data(), "y");
}

#[test]
fn over_max_clients_per_ip_others_still_get_in() {
    let daemon = Daemon::start("--max-clients-per-ip 2");
    let mut streams = vec![
        daemon.subscribe("subscribe=a"),
        daemon.subscribe("subscribe=a"),
    ];
    for _ in 0..3 {
        is_refused(&ask_from("127.0.0.1", daemon.listen, PLAIN), 429);
        is_put_off(connection_from("127.0.0.1", daemon.listen), BROWSER);
    }
    for _ in 0..2 {
        let mut other = connection_from("127.0.0.2", daemon.listen);
        other.send(PLAIN.as_bytes());
        streams.push(Stream::answered(other));
    }
    is_refused(&ask_from("127.0.0.2", daemon.listen, PLAIN), 429);
    daemon.wait_for_clients(4);
    streams.remove(0);
    daemon.wait_for_clients(3);
    eventually("a place", || {
        let mut connection = Connection::to(daemon.listen);
        let head = connection.send(PLAIN.as_bytes()).head();
        (head.status == 200).then_some(())
    });
}

/// Soft and hard limit of descriptors (proc(5): limits).
fn descriptor_limits(pid: u32) -> (u64, u64) {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let numbers = line.unwrap().split_whitespace();
    let numbers: Vec<u64> = numbers.filter_map(|word| word.parse().ok()).collect();
    (numbers[0], numbers[1])
}

#[test]
fn descriptors_are_raised_to_the_hard_limit() {
    let daemon = Daemon::start_after("ulimit -Sn 100; ulimit -Hn 300", "");
    assert_eq!(descriptor_limits(daemon.pid()), (300, 300));
}

#[test]
fn by_default_the_descriptor_limit_bounds_the_clients() {
    let daemon = Daemon::start_after("ulimit -n 100", "");
    let mut streams = Vec::new();
    let refused = loop {
        assert!(streams.len() < 100, "more clients than descriptors");
        let mut connection = Connection::to(daemon.listen);
        connection.send(PLAIN.as_bytes());
        let head = connection.head();
        match head.status {
            200 => streams.push(connection),
            _ => break head,
        }
    };
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(streams.len() >= 30, "only {} clients", streams.len());
    is_put_off(Connection::to(daemon.listen), BROWSER);
    // Publishers have a few in reserve.
    let recipients = publish::http(daemon.control, "a", "x").1;
    assert_eq!(recipients, streams.len() as u64);
}

#[test]
fn more_clients_than_descriptors_are_warned_about_and_refused() {
    let daemon = Daemon::start_after("ulimit -n 64", "--max-clients 9999");
    let warned =
        daemon.wait_for_log("--max-clients 9999: the limit of open files (ulimit -n) allows");
    let words = warned.split("allows ").nth(1).unwrap();
    let allowed: usize = words.split(',').next().unwrap().parse().unwrap();
    let mut streams = Vec::new();
    let answers = (0..70).map(|_| {
        let mut connection = Connection::to(daemon.listen);
        connection.send(PLAIN.as_bytes());
        let status = connection.head().status;
        streams.push(connection);
        status
    });
    let refused = answers.filter(|status| *status == 503).count();
    assert_eq!(70 - refused, allowed, "each has an answer");
    let check = format!(
        "ulimit -n 64; exec {} --check --max-clients 9999 --listen 127.0.0.1:0 --control 127.0.0.1:0",
        support::hasses()
    );
    let checked = std::process::Command::new("sh")
        .args(["-c", &check])
        .output()
        .unwrap();
    let told = String::from_utf8(checked.stderr).unwrap();
    assert!(
        told.contains("--max-clients 9999: the limit of open files"),
        "{told}"
    );
}

#[test]
fn without_descriptors_accepting_pauses_and_resumes() {
    let daemon = Daemon::start("--heartbeat 1 --max-clients 1000");
    let mut streams: Vec<Stream> = (0..20).map(|_| daemon.subscribe("subscribe=a")).collect();
    let mut publisher = Connection::to(daemon.control);
    publisher.send(b"tcpnumberofclients\n").line();
    let open = fs::read_dir(format!("/proc/{}/fd", daemon.pid()));
    let open = open.unwrap().count() as u64;
    let pid = Pid::from_raw(daemon.pid() as i32);
    let limit = Rlimit {
        current: Some(open + 2),
        maximum: Some(10_000),
    };
    prlimit(pid, Resource::Nofile, limit).unwrap();

    let mut waiting: Vec<Connection> = (0..50).map(|_| Connection::to(daemon.listen)).collect();
    for connection in &mut waiting {
        connection.send(PLAIN.as_bytes());
    }
    // Two heartbeats are about two seconds, in which it must not spin.
    let before = daemon.cpu_ticks();
    for _ in 0..2 {
        assert!(streams[0].block().unwrap().is_position());
    }
    let used = daemon.cpu_ticks() - before;
    assert!(used < 40, "{used} ticks of 10 ms in two seconds");
    let unanswered = |waiting: &[Connection]| waiting.iter().filter(|c| !c.is_answered()).count();
    let left_out = unanswered(&waiting);
    assert!(left_out >= 40, "{left_out} of 50 wait");
    // Who is in goes on.
    publisher.send(b"a=x\n");
    for stream in &mut streams {
        assert_eq!(stream.data(), "x");
    }
    let lines = daemon.log().matches("Too many open files").count();
    assert!((1..=20).contains(&lines), "{lines} log lines about it");

    drop(streams);
    eventually("places for those who waited", || {
        (unanswered(&waiting) <= left_out - 15).then_some(())
    });
    let limit = Rlimit {
        current: Some(1000),
        maximum: Some(10_000),
    };
    prlimit(pid, Resource::Nofile, limit).unwrap();
    eventually("all are in", || (unanswered(&waiting) == 0).then_some(()));
    for connection in waiting {
        Stream::answered(connection);
    }
}

#[test]
fn half_open_requests_keep_nobody_out_and_time_out() {
    let daemon = Daemon::start_after("ulimit -n 300", "");
    let began = Instant::now();
    let mut half: Vec<Connection> = (0..400)
        .map(|_| {
            let mut connection = Connection::to(daemon.listen);
            connection.send(b"GET /sse?subscribe=a HTTP/1.1\r\nHost: ");
            connection
        })
        .collect();
    let mut trickling = Connection::to(daemon.listen);
    trickling.send(b"GET /sse?subscribe=a HTTP/1.1\r\nX: ");
    let asked = Instant::now();
    let mut stream = daemon.subscribe("subscribe=a");
    let took = asked.elapsed();
    // Not only when the others have had their ten seconds.
    assert!(took < Duration::from_secs(8), "let in after {took:?}");
    publish::http(daemon.control, "a", "x");
    assert_eq!(stream.data(), "x");

    let answered = eventually("an end of the trickle", || {
        trickling.send(b"y");
        trickling.is_answered().then(|| began.elapsed())
    });
    let bounds = Duration::from_secs(9)..Duration::from_secs(25);
    // One of so many may also have been turned away at once to make room.
    let early = Duration::from_secs(1);
    assert!(
        bounds.contains(&answered) || answered < early,
        "{answered:?}"
    );
    let mut timed_out = 0;
    for connection in &mut half {
        let rest = String::from_utf8(connection.rest()).unwrap();
        timed_out += usize::from(rest.starts_with("HTTP/1.1 408 "));
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(30), "the last after {took:?}");
    assert!(timed_out >= 40, "{timed_out} were answered 408");
    daemon.wait_for_clients(1);
}

/// As many connections as may be half open, and more, with their requests, before the daemon has
/// looked at any.
#[test]
fn a_rush_of_whole_requests_is_answered_whole() {
    let daemon = Daemon::start_after("ulimit -n 64", "");
    daemon.signal(Signal::SIGSTOP);
    let rush: Vec<Connection> = (0..100)
        .map(|_| {
            let mut connection = Connection::to(daemon.listen);
            connection.send(BROWSER.as_bytes());
            connection
        })
        .collect();
    daemon.signal(Signal::SIGCONT);
    // Those without a place make room for others when they have read their answers.
    let streams = rush.into_iter().map(Stream::answered);
    let streams: Vec<_> = streams.filter_map(is_no_put_off).collect();
    assert!(streams.len() >= 10, "{} streams", streams.len());
    // Descriptors were left for publishers all the time.
    let log = daemon.log();
    assert!(!log.contains("cannot accept connections"), "{log}");
}

#[test]
fn who_is_turned_away_and_stays_keeps_no_place_from_others() {
    let daemon = Daemon::start_after("ulimit -n 64", "");
    let connections = (0..100).map(|_| {
        let mut connection = Connection::to(daemon.listen);
        connection.send(PLAIN.as_bytes());
        connection
    });
    // Nobody closes anything.
    let mut connections: Vec<Connection> = connections.collect();
    let answers = connections.iter_mut().map(Connection::head);
    let refused = answers.filter(|head| head.status == 503).count();
    assert!((70..=90).contains(&refused), "{refused}");
}

/// A stream that is not ended after its `retry:`, if it is none.
fn is_no_put_off(mut stream: Stream) -> Option<Stream> {
    let retry = stream.block().expect("a retry").retry.expect("a retry");
    if retry < 20_000 {
        return Some(stream);
    }
    assert_eq!(stream.block(), None);
    None
}

#[test]
fn a_half_open_request_is_not_given_up_for_open_streams() {
    let daemon = Daemon::start_after("ulimit -n 200", "");
    let mut slow = Connection::to(daemon.listen);
    slow.send(b"GET /sse?subscribe=a HTTP/1.1\r\n");
    let streams: Vec<Stream> = (0..100).map(|_| daemon.subscribe("subscribe=a")).collect();
    slow.send(b"Host: x\r\n\r\n");
    Stream::answered(slow);
    drop(streams);
}

#[test]
fn one_half_open_request_gets_408_after_ten_seconds() {
    let daemon = Daemon::start("");
    let began = Instant::now();
    let mut silent = Connection::to(daemon.listen);
    let mut trickling = Connection::to(daemon.listen);
    trickling.send(b"GET /sse?subscribe=a HTTP/1.1\r\nX: ");
    eventually("an answer to the trickle", || {
        trickling.send(b"y");
        trickling.is_answered().then_some(())
    });
    assert_eq!(trickling.response().status, 408);
    silent.rest();
    let took = began.elapsed();
    let bounds = Duration::from_secs(9)..Duration::from_secs(25);
    assert!(bounds.contains(&took), "{took:?}");
}

#[test]
fn stalled_clients_cost_bounded_memory_and_delay_nobody() {
    let _alone = support::heavy();
    let daemon = Daemon::start("--history 0 --client-buffer 100000");
    let names: Vec<String> = (0..20).map(|number| format!("stalled{number}")).collect();
    let stalled: Vec<Stream> = names
        .iter()
        .map(|name| daemon.subscribe(&format!("subscribe={name}-all")))
        .collect();
    let mut live = daemon.subscribe("subscribe=live-all");
    let before = daemon.resident_kib();
    let text = "x".repeat(40_000);
    for _ in 0..200 {
        for name in &names {
            let line = format!("{name}={text}\n");
            publish::tcp(daemon.control, line);
        }
        // Who waited for a client that is stalled would wait in vain.
        publish::http(daemon.control, "live", "tick");
        assert_eq!(live.data(), "tick");
    }
    // 160 MB went out; 20 clients may hold 100 kB each, and one event more.
    let grown = daemon.resident_kib().saturating_sub(before);
    assert!(grown < 24_000, "grown by {grown} KiB");
    daemon.wait_for_clients(1);
    drop(stalled);
}

#[test]
fn a_peer_that_vanished_is_found_within_a_minute() {
    needs!("ip", "root");
    let far = FarEnd::new(77);
    let daemon = Daemon::command_line(
        "--listen 198.18.77.1:{listen} --listen 127.0.0.1:{listen} --control 127.0.0.1:{control} \
         --heartbeat 1",
    );
    let port = daemon.listen.port();
    let request = "GET /sse?subscribe=a HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n";
    let script = format!("exec 3<>/dev/tcp/198.18.77.1/{port}; printf '{request}' >&3; cat <&3");
    let client = Program::start(far.command("bash").args(["-c", &script]));
    client.wait_for("id: ");
    let mut live = daemon.subscribe("subscribe=a");
    daemon.wait_for_clients(2);
    far.vanish();
    let began = Instant::now();
    // An event a second, as a room has them; the others get each at once.
    loop {
        let (_, recipients) = publish::http(daemon.control, "a", "x");
        assert_eq!(live.data(), "x");
        if recipients == 1 {
            break;
        }
        let waited = began.elapsed();
        assert!(waited < Duration::from_secs(65), "still there: {waited:?}");
        live.position();
    }
    drop(client);
}
