//! Attacks by very many connections.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::peers::{pile_up, send, subscribe};
use crate::scene::Scene;

/// Connections of one burst.
const BURST: usize = 1500;

pub(crate) fn lingering(scene: &Scene) {
    let request = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n";
    pile_up(scene, scene.daemon.listen, request, 2000);
}

/// Complains if the log grows by more than a few lines of each kind in a second.
pub(crate) fn fill_the_log(scene: &Scene) {
    let size = || scene.daemon.text_of("log").len();
    let (before, mut seconds) = (size(), 0.0);
    let request = subscribe(&format!("subscribe={}", "%01".repeat(300)));
    let began = std::time::Instant::now();
    while !scene.is_over() {
        if let Some(mut socket) = scene.connect(scene.daemon.listen)
            && socket.write_all(request.as_bytes()).is_ok()
        {
            scene.sent(request.len());
        }
        seconds = began.elapsed().as_secs_f64();
    }
    let a_second = (size() - before) as f64 / seconds;
    if a_second > 20_000.0 {
        scene.complain(format!("{a_second:.0} bytes of log in a second"));
    }
}

/// The first message of a client, which costs whoever repeats it nothing.
fn hello() -> Vec<u8> {
    let config = ClientConfig::builder()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    hello
}

/// Bursts of handshakes, on both ports by turns.
pub(crate) fn hellos(scene: &Scene) {
    let hello = hello();
    let burst = |to: SocketAddr| -> Vec<_> {
        let sockets = std::iter::from_fn(|| scene.connect(to).map(Some));
        let all = sockets.take(BURST).flatten();
        all.inspect(|socket| send(scene, socket, &hello)).collect()
    };
    for port in scene.tls.into_iter().cycle() {
        if scene.is_over() {
            return;
        }
        let burst = burst(port);
        sleep(Duration::from_millis(200));
        drop(burst);
    }
}
