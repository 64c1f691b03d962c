//! The way to a request: in pieces, too slowly, in plain text, in no language at all.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use super::site::{Site, Trickle, request};
use support::{Connection, PATIENCE, Stream, eventually, needs, publish};

fn refused(site: &Site, count: u64) {
    eventually(&format!("{count} refused"), || {
        (site.status("refused") == count).then_some(())
    });
}

/// Reads until the other side hangs up, however it does that.
fn rest(mut socket: TcpStream) -> Vec<u8> {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return all,
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return all,
            Err(error) => panic!("it does not hang up: {error}"),
        }
    }
}

/// The first message of a client.
fn hello(site: &Site) -> Vec<u8> {
    let mut hello = Vec::new();
    site.session().write_tls(&mut hello).unwrap();
    hello
}

#[test]
fn every_byte_may_come_alone() {
    needs!("openssl");
    let site = Site::start("");
    let socket = TcpStream::connect(site.daemon.listen).unwrap();
    let mut tls = site.over(Trickle(socket));
    tls.write_all(request("subscribe=a").as_bytes()).unwrap();
    let mut stream = Stream::answered(Connection::over(tls));
    stream.position();
    publish::http(site.daemon.control, "a", "hello");
    assert_eq!(stream.data(), "hello");
}

#[test]
fn plain_http_is_told_to_use_tls() {
    needs!("openssl");
    let site = Site::all_tls("--cors http://a.example --cors http://b.example");
    for address in [site.daemon.listen, site.daemon.control] {
        let plain = "GET /sse?subscribe=a HTTP/1.1\r\nHost: x\r\nOrigin: http://b.example\r\n\r\n";
        let mut connection = Connection::to(address);
        let answer = connection.send(plain.as_bytes()).response();
        assert_eq!((answer.version.as_str(), answer.status), ("HTTP/1.1", 400));
        assert!(answer.body.contains("use https://"), "{answer:?}");
        assert_eq!(connection.rest(), b"");
        if address == site.daemon.control {
            assert!(answer.json()["error"].is_string(), "{answer:?}");
        } else {
            let allowed = answer.header("access-control-allow-origin");
            assert_eq!(allowed.as_deref(), Some("http://b.example"));
        }
    }
}

#[test]
fn failed_handshakes_are_counted_and_their_reason_is_logged_for_who_looks_for_it() {
    needs!("openssl");
    let site = Site::start("--log-level debug");
    let send = |bytes: &[u8]| {
        let mut socket = TcpStream::connect(site.daemon.listen).unwrap();
        socket.write_all(bytes).unwrap();
        socket
    };
    // A record that is none; one of a version long gone; a message that is no first one.
    let bad: [&[u8]; 3] = [
        b"\x16\x03\x01\xff\xff",
        b"\x16\x09\x09\0\x04\x01\0\0\0",
        b"\x16\x03\x01\0\x04\x0e\0\0\0",
    ];
    for (count, bytes) in (1..).zip(bad) {
        let told = rest(send(bytes));
        // A fatal alert (RFC 8446 §6).
        assert!(told.starts_with(&[0x15, 3]) && told[5] == 2, "{told:?}");
        refused(&site, count);
    }
    // In the middle of it, one leaves.
    let socket = send(&hello(&site)[..100]);
    socket.shutdown(Shutdown::Write).unwrap();
    rest(socket);
    refused(&site, 4);
    // Who only looks whether the port is open is none of them.
    drop(send(b""));
    site.daemon.wait_for_log("the TLS handshake was broken off");
    site.daemon
        .wait_for_log("the TLS handshake failed: received corrupt message");
    site.subscribe("subscribe=a");
    assert_eq!(site.status("refused"), 4);
}

#[test]
fn a_message_without_end_is_not_kept() {
    needs!("openssl");
    let site = Site::start("");
    // A ClientHello that says it has 65,535 bytes, in records of 16 KiB.
    let mut record = vec![0; 5 + 16_384];
    record[..5].copy_from_slice(&[0x16, 3, 1, 0x40, 0]);
    let mut first = record.clone();
    first[5..9].copy_from_slice(&[1, 0, 0xff, 0xff]);
    let mut socket = TcpStream::connect(site.daemon.listen).unwrap();
    let begun = Instant::now();
    socket.write_all(&first).unwrap();
    socket.write_all(&record).unwrap();
    rest(socket);
    assert!(begun.elapsed() < Duration::from_secs(8));
}

#[test]
fn garbage_of_any_kind_harms_nobody() {
    needs!("openssl");
    let site = Site::start("--client-buffer 100000");
    let mut stream = site.subscribe("subscribe=a");
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..100 {
        let mut bytes = hello(&site);
        for _ in 0..random.usize(1..5) {
            let place = random.usize(1..bytes.len());
            bytes[place] = random.u8(..);
        }
        bytes.truncate(random.usize(1..=bytes.len()));
        let mut socket = TcpStream::connect(site.daemon.listen).unwrap();
        socket.write_all(&bytes).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        rest(socket);
    }
    // After the handshake too: a record that nobody encrypted.
    let mut tls = site.asked("subscribe=a");
    let mut head = [0; 12];
    tls.read_exact(&mut head).unwrap();
    tls.sock
        .write_all(b"\x17\x03\x03\0\x20________________________________")
        .unwrap();
    rest(tls.sock);
    publish::http(site.daemon.control, "a", "still here");
    assert_eq!(stream.data(), "still here");
}

#[test]
fn a_handshake_has_ten_seconds_and_holds_up_nobody() {
    needs!("openssl");
    let site = Site::all_tls("--log-level debug");
    let hello = hello(&site);
    let begun = Instant::now();
    let slow = [site.daemon.listen, site.daemon.control].map(|address| {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.write_all(&hello[..hello.len() / 2]).unwrap();
        socket
    });
    let mut stream = site.subscribe("subscribe=a");
    for socket in slow {
        rest(socket);
        let taken = begun.elapsed();
        assert!(
            taken > Duration::from_secs(9) && taken < Duration::from_secs(25),
            "{taken:?}"
        );
    }
    let told = "the TLS handshake was not done within 10 seconds";
    site.daemon.wait_for_log(&format!("was refused: {told}"));
    site.daemon.wait_for_log(&format!("refused: {told}"));
    let mut publisher = site.connect(site.daemon.control);
    publisher.write_all(b"a=hello\n").unwrap();
    assert_eq!(stream.data(), "hello");
}

#[test]
fn a_request_that_is_late_is_told_so_through_tls() {
    needs!("openssl");
    let site = Site::start("");
    let mut tls = site.connect(site.daemon.listen);
    tls.write_all(b"GET /sse?subscribe=a HTT").unwrap();
    assert_eq!(Connection::over(tls).response().status, 408);
}
