//! One address that takes more than its share, and others beside it: connections that say nothing, that
//! stay after their answer, that come by IPv6 with ever new addresses.

use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use support::{Connection, Daemon, Stream, eventually, publish};

const PLAIN: &str = "GET /sse?subscribe=a HTTP/1.1\r\nHost: x\r\n\r\n";

fn connect(source: &str, to: SocketAddr) -> TcpStream {
    let source: IpAddr = source.parse().unwrap();
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

/// How many of these were refused, for this reason.
fn refused(daemon: &Daemon, reason: &str) -> u64 {
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let metrics = Connection::to(daemon.control)
        .send(request.as_bytes())
        .response();
    let name = format!("hasses_refused_total{{reason=\"{reason}\"}} ");
    let line = metrics
        .body
        .lines()
        .find_map(|line| line.strip_prefix(&name));
    line.map_or(0, |count| count.parse().unwrap())
}

/// Somebody whose request comes a while after the connection, as over a slow line or with TLS.
#[test]
fn connections_without_a_request_take_only_their_own_places() {
    let daemon = Daemon::start_after("ulimit -n 200", "");
    for _ in 0..3 {
        let mut slow = connect("127.0.0.2", daemon.listen);
        slow.write_all(b"GET /sse?subscribe=a HT").unwrap();
        // Enough for the oldest of all to go, were it not for the addresses.
        let flood: Vec<_> = (0..300)
            .map(|_| connect("127.0.0.1", daemon.listen))
            .collect();
        std::thread::sleep(Duration::from_millis(50));
        slow.write_all(b"TP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut stream = Stream::answered(Connection::over(slow));
        stream.position();
        drop(flood);
    }
    assert!(refused(&daemon, "crowded") > 100);
    let log = daemon.wait_for_log("more: crowded");
    let lines = log.lines().filter(|line| line.contains("was given up"));
    assert!(lines.count() < 200, "{log}");
}

#[test]
fn who_stays_after_the_answer_keeps_nobody_out() {
    let daemon = Daemon::start_after("ulimit -n 200", "");
    let mut stay = Vec::new();
    for _ in 0..170 {
        let mut one = connect("127.0.0.1", daemon.listen);
        one.write_all(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        stay.push(one);
    }
    for _ in 0..5 {
        let began = Instant::now();
        let mut other = Connection::over(connect("127.0.0.2", daemon.listen));
        other.send(PLAIN.as_bytes());
        Stream::answered(other).position();
        let took = began.elapsed();
        assert!(took < Duration::from_millis(900), "{took:?}");
    }
}

#[test]
fn connections_count_for_their_address_whatever_their_state() {
    let daemon = Daemon::start("--max-clients-per-ip 3");
    let silent: Vec<_> = (0..3)
        .map(|_| connect("127.0.0.1", daemon.listen))
        .collect();
    eventually("that they have come", || {
        let mut one = Connection::to(daemon.listen);
        (one.send(PLAIN.as_bytes()).head().status == 429).then_some(())
    });
    let mut other = Connection::over(connect("127.0.0.2", daemon.listen));
    assert_eq!(other.send(PLAIN.as_bytes()).head().status, 200);
    drop(silent);
    eventually("room again", || {
        let mut one = Connection::to(daemon.listen);
        (one.send(PLAIN.as_bytes()).head().status == 200).then_some(())
    });
}

/// By a trusted proxy any address can be said.
fn by_proxy(daemon: &Daemon, address: &str) -> u16 {
    let request =
        format!("GET /sse?subscribe=a HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {address}\r\n\r\n");
    let mut connection = Connection::to(daemon.listen);
    let status = connection.send(request.as_bytes()).head().status;
    // It stays, as long as the test lives.
    std::mem::forget(connection);
    status
}

#[test]
fn ipv6_addresses_count_by_their_network() {
    let options = "--trust-proxy 127.0.0.1 --max-clients-per-ip 2";
    let daemon = Daemon::start(options);
    for (address, status) in [
        ("2001:db8:1:2::1", 200),
        ("2001:db8:1:2::2", 200),
        ("2001:db8:1:2:ffff::3", 429),
        ("2001:db8:1:3::1", 200),
        ("10.0.0.1", 200),
        ("10.0.0.2", 200),
    ] {
        assert_eq!(by_proxy(&daemon, address), status, "{address}");
    }
    let daemon = Daemon::start(&format!("{options} --ip6-prefix 48"));
    for (address, status) in [
        ("2001:db8:1:2::1", 200),
        ("2001:db8:1:3::1", 200),
        ("2001:db8:1:4::1", 429),
        ("2001:db8:2:4::1", 200),
    ] {
        assert_eq!(by_proxy(&daemon, address), status, "{address}");
    }
}

/// What a subscriber with this query gets.
fn status(daemon: &Daemon, query: &str) -> u16 {
    let request = format!("HEAD /sse?{query} HTTP/1.1\r\nHost: x\r\n\r\n");
    Connection::to(daemon.listen)
        .send(request.as_bytes())
        .head()
        .status
}

#[test]
fn a_subscription_has_a_bounded_number_of_tokens() {
    let daemon = Daemon::start("--max-tokens 3");
    assert_eq!(status(&daemon, "subscribe=a-b-c-a"), 200);
    assert_eq!(status(&daemon, "subscribe=a-b&token=c&token=d"), 400);
    let refused = daemon.ask("GET /sse?subscribe=a-b-c-d HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains('3'), "{}", refused.body);
    let daemon = Daemon::start("");
    let tokens: Vec<String> = (0..257).map(|n| n.to_string()).collect();
    assert_eq!(
        status(&daemon, &format!("subscribe={}", tokens[..256].join("-"))),
        200
    );
    assert_eq!(
        status(&daemon, &format!("subscribe={}", tokens.join("-"))),
        400
    );
}

#[test]
fn refusals_do_not_fill_the_disk() {
    let daemon = Daemon::start("--log {dir}/log");
    let began = Instant::now();
    for _ in 0..1000 {
        let answer =
            daemon.ask("GET /sse?subscribe=%01 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert_eq!(answer.status, 400);
    }
    let most = 20 * (began.elapsed().as_secs() as usize + 2);
    eventually("how many more there were", || {
        daemon.text_of("log").contains("more: ").then_some(())
    });
    let log = daemon.text_of("log");
    let told = log
        .lines()
        .filter(|line| line.contains("refused with 400"))
        .count();
    assert!((20..=most).contains(&told), "{told}");
    let more = log.lines().filter_map(|line| {
        line.split("refused ")
            .nth(1)?
            .split(" more")
            .next()?
            .parse::<usize>()
            .ok()
    });
    eventually("all are told", || {
        (refused(&daemon, "bad_request") == 1000).then_some(())
    });
    assert!(told + more.sum::<usize>() <= 1000);
}

/// Bytes that the kernel holds for all TCP connections (proc(5): sockstat, in pages).
fn kernel_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/net/sockstat").unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("TCP:"))
        .unwrap();
    let pages: u64 = line.split("mem ").nth(1).unwrap().trim().parse().unwrap();
    pages * 4096
}

#[test]
fn the_kernel_keeps_little_for_those_who_do_not_read() {
    let daemon = Daemon::start("--client-buffer 65536");
    let before = kernel_bytes();
    let readers: Vec<_> = (0..20)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_recv_buffer_size(2048).unwrap();
            socket.connect(&daemon.listen.into()).unwrap();
            let mut socket = TcpStream::from(socket);
            socket.write_all(PLAIN.as_bytes()).unwrap();
            socket
        })
        .collect();
    daemon.wait_for_clients(20);
    let text = "x".repeat(50_000);
    let mut most = 0;
    for _ in 0..60 {
        publish::http(daemon.control, "a", &text);
        most = most.max(kernel_bytes().saturating_sub(before));
    }
    // 20 clients: 300 KiB each, where it was 2.5 MiB each. Other tests run beside this one.
    assert!(most < 24 << 20, "{most}");
    // All were too slow; what they have not read is thrown away.
    daemon.wait_for_clients(0);
    for reader in readers {
        let error = eventually("a reset", || reader.take_error().unwrap());
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
}
