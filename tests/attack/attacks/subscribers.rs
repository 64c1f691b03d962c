//! Attacks by subscribers.

use std::io::Write;
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use support::publish;

use crate::peers::{ask, flood, post, send, subscribe};
use crate::scene::Scene;

/// As many as fit into one URL that is taken.
const TOKENS: usize = 256;

fn names(of: usize) -> String {
    let names: Vec<String> = (0..TOKENS).map(|n| format!("x{of}.{n}")).collect();
    names.join("-")
}

/// Fills the history with messages to all.
pub(crate) fn fill(scene: &Scene, count: usize) {
    let secret = format!("auth {}\n", crate::scene::SECRET);
    let text = secret + &"*=x\n".repeat(count) + "{\"to\":\"*\",\"data\":\"x\",\"ack\":true}\n";
    publish::talk_tcp(scene.daemon.control, text);
}

fn clients(scene: &Scene, count: usize, buffer: Option<usize>) -> Vec<TcpStream> {
    let connect = || scene.connect_with(scene.daemon.listen, buffer);
    std::iter::from_fn(connect).take(count).collect()
}

/// Clients that are there and do nothing, until the end.
pub(crate) fn idle(scene: &Scene, count: usize) {
    let all = clients(scene, count, None);
    for (socket, n) in all.iter().zip(0..) {
        send(
            scene,
            socket,
            subscribe(&format!("subscribe=idle{n}")).as_bytes(),
        );
    }
    scene.daemon.wait_for_clients(count);
    std::mem::forget(all);
}

pub(crate) fn recent(scene: &Scene) {
    let request = subscribe(&format!("subscribe={}&recent=999999999", names(0)));
    leave_early(scene, &request);
}

pub(crate) fn recent_of_all(scene: &Scene) {
    leave_early(scene, &subscribe("subscribe=*&recent=99999"));
}

/// Asks and leaves, again and again, ten at a time.
fn leave_early(scene: &Scene, request: &str) {
    while !scene.is_over() {
        let some = clients(scene, 10, None);
        for socket in &some {
            send(scene, socket, request.as_bytes());
        }
        sleep(Duration::from_millis(5));
    }
}

pub(crate) fn tokens(scene: &Scene) {
    let requests: Vec<String> = (0..1000)
        .map(|n| subscribe(&format!("subscribe={}", names(n))))
        .collect();
    while !scene.is_over() {
        let all = clients(scene, requests.len(), None);
        for (socket, request) in all.iter().zip(&requests) {
            send(scene, socket, request.as_bytes());
        }
        publish::tcp(scene.daemon.control, "x*=for all of them\n");
        sleep(Duration::from_millis(300));
        // They leave at once.
        drop(all);
        sleep(Duration::from_millis(100));
    }
}

pub(crate) fn replays(scene: &Scene) {
    let all = clients(scene, 1000, Some(2048));
    for (socket, n) in all.iter().zip(0..) {
        let query = format!("subscribe={}&lastEventId=1", names(n));
        send(scene, socket, subscribe(&query).as_bytes());
    }
    let mut publisher = scene.connect(scene.daemon.control).unwrap();
    while !scene.is_over() {
        let _gone = publisher.write_all(b"x*=x\na=x\n");
        sleep(Duration::from_millis(5));
    }
}

pub(crate) fn reinit(scene: &Scene) {
    let request = subscribe("subscribe=a&recent=99999");
    flood(scene, &[(scene.daemon.listen, &request, &request)]);
}

pub(crate) fn deaf(scene: &Scene) {
    let _all = listeners(scene, 400);
    let text = "y".repeat(50_000);
    let body = format!("{{\"to\":\"deaf\",\"data\":\"{text}\"}}");
    let head = post("/publish", body.len()).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    let request = head + &body;
    while !scene.is_over() {
        ask(scene, scene.daemon.control, request.as_bytes());
        sleep(Duration::from_millis(5));
    }
}

pub(crate) fn deaf_to_small(scene: &Scene) {
    let _all = listeners(scene, 2000);
    let text = "deaf=0123456789\n".repeat(100);
    let mut publisher = scene.connect(scene.daemon.control).unwrap();
    while !scene.is_over() {
        let _gone = publisher.write_all(text.as_bytes());
        scene.sent(text.len());
        sleep(Duration::from_millis(2));
    }
}

/// Clients that never read.
fn listeners(scene: &Scene, count: usize) -> Vec<TcpStream> {
    let all = clients(scene, count, Some(2048));
    for socket in &all {
        send(scene, socket, subscribe("subscribe=deaf").as_bytes());
    }
    all
}
