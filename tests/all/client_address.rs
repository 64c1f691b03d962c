//! Where a subscriber comes from, as proxies tell it and `--trust-proxy` lets it count.

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use support::{Connection, Daemon, Stream, eventually, publish, run};

const REQUEST: &str = "GET /sse?subscribe=a HTTP/1.1\r\nHost: x\r\n";

/// A PROXY protocol header, version 2, for a connection from 192.0.2.7:4711 (its specification,
/// §2.2).
fn proxy_header(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    bytes.extend([command, family, 0, addresses.len() as u8]);
    bytes.extend(addresses);
    bytes
}

const TCP4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x67, 0, 80];

fn via_header() -> Vec<u8> {
    proxy_header(0x21, 0x11, &TCP4)
}

fn request(forwarded_for: &str) -> Vec<u8> {
    format!("{REQUEST}X-Forwarded-For: {forwarded_for}\r\n\r\n").into_bytes()
}

fn open(daemon: &Daemon, bytes: &[u8]) -> Stream {
    let mut connection = Connection::to(daemon.listen);
    connection.send(bytes);
    let mut stream = Stream::answered(connection);
    stream.position();
    stream
}

/// The addresses of all clients, those of this machine as `local`.
fn addresses(daemon: &Daemon) -> Vec<String> {
    let list = publish::ask_tcp(daemon.control, "tcpclientlist\n");
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let rows = list.as_array().unwrap();
    let address = |row: &serde_json::Value| {
        let address = row["address"].as_str().unwrap();
        if address.starts_with("127.0.0.1:") {
            "local".to_owned()
        } else {
            address.to_owned()
        }
    };
    rows.iter().map(address).collect()
}

#[test]
fn a_trusted_proxy_tells_the_client() {
    let daemon = Daemon::start("--trust-proxy 127.0.0.0/8 --trust-proxy=2001:db8::/32");
    let with_both = [via_header(), request("198.51.100.1")].concat();
    let local = [proxy_header(0x20, 0, &[]), request("198.51.100.9")].concat();
    let unknown = [proxy_header(0x21, 0x31, &[b'x'; 216]), request("unknown")].concat();
    let chain = {
        let mut addresses = [0; 36];
        addresses[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        [proxy_header(0x21, 0x21, &addresses), request("203.0.113.4")].concat()
    };
    for (bytes, expected) in [
        (request("203.0.113.5"), "203.0.113.5"),
        (
            request("6.6.6.6, [2001:db9::7]:81, 127.0.0.9"),
            "[2001:db9::7]:81",
        ),
        (request("6.6.6.6, nonsense"), "local"),
        (format!("{REQUEST}\r\n").into_bytes(), "local"),
        // What 192.0.2.7, who is no proxy, says of others does not count.
        (with_both, "192.0.2.7:4711"),
        (local, "198.51.100.9"),
        (unknown, "local"),
        // A proxy behind a proxy.
        (chain, "203.0.113.4"),
    ] {
        let stream = open(&daemon, &bytes);
        assert_eq!(addresses(&daemon), [expected], "{bytes:?}");
        drop(stream);
        daemon.wait_for_clients(0);
    }
}

#[test]
fn anybody_else_is_not_believed() {
    for options in ["", "--trust-proxy 10.0.0.0/8"] {
        let daemon = Daemon::start(options);
        let _stream = open(&daemon, &request("203.0.113.5"));
        assert_eq!(addresses(&daemon), ["local"]);
        let mut answer = Connection::to(daemon.listen);
        let answer = answer.send(&via_header()).send(&request("")).response();
        assert_eq!(answer.status, 400);
        assert!(answer.body.contains("--trust-proxy"), "{answer:?}");
        daemon.wait_for_log(" from 127.0.0.1:");
    }
}

#[test]
fn a_refusal_is_logged_with_the_clients_address() {
    let daemon = Daemon::start("--trust-proxy 127.0.0.1");
    let answer = daemon.ask("GET /x HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.5\r\n\r\n");
    assert_eq!(answer.status, 404);
    daemon.wait_for_log("from 203.0.113.5 was refused with 404");
    let mut connection = Connection::to(daemon.listen);
    let answer = connection
        .send(&via_header())
        .send(b"nonsense\r\n")
        .response();
    assert_eq!(answer.status, 400);
    daemon.wait_for_log("from 192.0.2.7:4711 was refused with 400");
    for wrong in [
        proxy_header(0x21, 0x11, &TCP4[..11]),
        [via_header(), via_header()].concat(),
        b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n".to_vec(),
    ] {
        assert_eq!(daemon.ask(&wrong).status, 400, "{wrong:?}");
    }
}

#[test]
fn a_header_may_come_byte_by_byte() {
    let daemon = Daemon::start("--trust-proxy 127.0.0.1");
    let mut socket = TcpStream::connect(daemon.listen).unwrap();
    socket.set_nodelay(true).unwrap();
    // Twenty TLVs of nothing.
    let header = proxy_header(0x21, 0x11, &[&TCP4[..], &[4, 0, 0].repeat(20)].concat());
    for byte in [&header[..], format!("{REQUEST}\r\n").as_bytes()].concat() {
        socket.write_all(&[byte]).unwrap();
    }
    let _stream = Stream::answered(Connection::over(socket));
    daemon.wait_for_clients(1);
    assert_eq!(addresses(&daemon), ["192.0.2.7:4711"]);
}

#[test]
fn the_limit_for_one_address_holds_behind_a_proxy() {
    let daemon = Daemon::start("--trust-proxy 127.0.0.1 --max-clients-per-ip 1");
    let _one = open(&daemon, &request("203.0.113.5"));
    let _two = open(&daemon, &request("203.0.113.6"));
    let answer = daemon.ask(request("203.0.113.5"));
    assert_eq!(answer.status, 429);
    daemon.wait_for_log("from 203.0.113.5 was refused with 429");
    let _three = open(&daemon, &[via_header(), request("203.0.113.5")].concat());
    daemon.wait_for_clients(3);
}

#[test]
fn a_proxy_on_a_unix_socket_is_this_machine() {
    for (trusted, expected) in [("127.0.0.1", "203.0.113.5"), ("10.0.0.0/8", "unix")] {
        let daemon = Daemon::start(&format!(
            "--listen unix:{{dir}}/sse --trust-proxy {trusted}"
        ));
        let mut socket = UnixStream::connect(daemon.file("sse")).unwrap();
        socket.write_all(&request("203.0.113.5")).unwrap();
        daemon.wait_for_clients(1);
        assert_eq!(addresses(&daemon), [expected], "{trusted}");
    }
}

#[test]
fn a_connection_that_is_used_again_may_be_anothers() {
    let daemon = Daemon::start("--trust-proxy 127.0.0.1 --reinit --max-clients-per-ip 1");
    let mut stream = open(&daemon, &request("203.0.113.5"));
    stream.send(&request("203.0.113.6"));
    eventually("the new address", || {
        (addresses(&daemon) == ["203.0.113.6"]).then_some(())
    });
    let _one = open(&daemon, &request("203.0.113.5"));
    assert_eq!(daemon.ask(request("203.0.113.6")).status, 429);
}

#[test]
fn sighup_reads_the_proxies_again() {
    let daemon = Daemon::prepared(
        "--listen 127.0.0.1:{listen} --control 127.0.0.1:{control} --config {dir}/conf",
        |preparation| preparation.write("conf", "--trust-proxy 10.0.0.0/8\n"),
    );
    let _before = open(&daemon, &request("203.0.113.5"));
    assert_eq!(addresses(&daemon), ["local"]);
    std::fs::write(daemon.file("conf"), "--trust-proxy 127.0.0.0/8\n").unwrap();
    daemon.signal(nix::sys::signal::Signal::SIGHUP);
    daemon.wait_for_log("settings read again");
    let _after = open(&daemon, &request("203.0.113.5"));
    assert!(addresses(&daemon).contains(&"203.0.113.5".to_owned()));
}

#[test]
fn what_is_no_range_is_refused() {
    for (range, why) in [
        ("localhost", "10.0.0.0/8"),
        ("10.0.0.7/8", "write 10.0.0.0/8"),
        ("::ffff:10.0.0.1", "as IPv4"),
    ] {
        let binary = env!("CARGO_BIN_EXE_hasses");
        let line = format!("{binary} --trust-proxy {range} 2>&1; test $? = 2");
        let told = String::from_utf8(run("sh", &["-c", &line]).stdout).unwrap();
        assert!(
            told.contains("--trust-proxy") && told.contains(why),
            "{told}"
        );
    }
}
