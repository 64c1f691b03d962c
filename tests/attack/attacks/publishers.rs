//! Attacks on the control port.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread::{sleep, spawn};
use std::time::Duration;

use crate::peers::{ask, flood, pile_up, post, send};
use crate::scene::Scene;

fn request(method_and_target: &str) -> String {
    format!("{method_and_target} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// One request again and again on one connection.
pub(crate) fn pipeline(scene: &Scene, method_and_target: &str) {
    flood(
        scene,
        &[(scene.daemon.control, "", &request(method_and_target))],
    );
}

pub(crate) fn figures(scene: &Scene) {
    let requests = ["HEAD /", "GET /status", "GET /metrics", "GET /nothing"].map(request);
    let kinds = requests
        .each_ref()
        .map(|text| (scene.daemon.control, "", &**text));
    flood(scene, &kinds);
}

/// Bytes that are thrown away: behind a refusal, behind a streamed answer, on a stream.
pub(crate) fn discarded(scene: &Scene) {
    let bytes = "x".repeat(4096);
    let (listen, control) = (scene.daemon.listen, scene.daemon.control);
    let begins = [
        (control, request("GET /live")),
        (control, request("BREW /")),
        (listen, request("GET /nothing")),
        (listen, "GET /sse?subscribe=a HTTP/1.0\r\n\r\n".to_owned()),
        (listen, request("GET /sse?subscribe=a")),
    ];
    flood(
        scene,
        &begins
            .each_ref()
            .map(|(to, begin)| (*to, &**begin, &*bytes)),
    );
}

/// Complains if anything reaches a subscriber of the token that pages try to publish to.
pub(crate) fn listen_for_forged(scene: &Scene) {
    let mut stream = scene.daemon.subscribe("subscribe=room1");
    // What comes until the daemon ends is what was forged.
    spawn(move || {
        if let Some(event) = stream.try_event() {
            panic!("a page has published {event:?}");
        }
    });
}

/// A request of STUN as Chromium writes it over TCP (RFC 4571, RFC 8489), where a page has chosen the user
/// name: its length is 59, which is `;`, and the message stands in it.
fn stun_frame() -> Vec<u8> {
    let name = "room1=FORGED+BY+A+WEB+PAGE/THROUGH/WEBRTC/ICE/TCP_____:abcd";
    let head = [0, 0x58 + 20, 0, 1, 0, 0x58, 0x21, 0x12, 0xa4, 0x42];
    [
        &head[..],
        b"\xc5abcdefghi\x1fl\x00\x06\x00;",
        name.as_bytes(),
        b"\x00\xc0\x57\x00\x04\x00\x01\n\x80\x2a;room1=AND/MORE;\n",
    ]
    .concat()
}

pub(crate) fn stun(scene: &Scene) {
    let frames = stun_frame().repeat(4);
    pile_up(scene, scene.daemon.control, &frames, 100);
    let metrics = scene.daemon.metrics();
    if !metrics.contains("reason=\"control_character\"") {
        scene.complain("no frame was refused".into());
    }
}

pub(crate) fn unread(scene: &Scene) {
    let requests = request("GET /").repeat(2000);
    pile_up(scene, scene.daemon.control, requests.as_bytes(), 5000);
}

/// Asks for lists on four connections and reads nothing.
pub(crate) fn lists(scene: &Scene) {
    let asked = "tcpclientlist;".repeat(65_534 / 14);
    let sockets: Vec<TcpStream> = std::iter::from_fn(|| scene.connect(scene.daemon.control))
        .take(4)
        .collect();
    while !scene.is_over() {
        for socket in &sockets {
            send(scene, socket, asked.as_bytes());
        }
        sleep(Duration::from_millis(1));
    }
}

/// Bodies that once took a hundred times their bytes.
pub(crate) fn json(scene: &Scene) {
    let full = 8 << 20;
    let message = r#"{"to":"a","data":""},"#;
    let bodies = [
        format!("[{}{{}}]", "{},".repeat(full / 3 - 2)),
        format!(
            "{{\"to\":[{}\"a\"],\"data\":\"\"}}",
            "\"a\",".repeat(900_000)
        ),
        format!("[{}]", message.repeat(10_000).trim_end_matches(',')),
    ];
    let all = bodies.map(|body| {
        let head =
            post("/publish", body.len()).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        head + &body
    });
    for request in all.iter().cycle() {
        if scene.is_over() {
            return;
        }
        ask(scene, scene.daemon.control, request.as_bytes());
    }
}

/// Bodies of which the last byte never comes.
pub(crate) fn unfinished(scene: &Scene) {
    let length = 8 << 20;
    let bytes = vec![b' '; 1 << 20];
    let head = post("/publish", length);
    let mut sockets: Vec<(TcpStream, usize)> = Vec::new();
    while !scene.is_over() {
        if sockets.len() < 512
            && let Some(socket) = scene.connect(scene.daemon.control)
        {
            send(scene, &socket, head.as_bytes());
            sockets.push((socket, length - 1));
        }
        // Whoever was given up comes again.
        sockets.retain_mut(|(socket, left)| {
            match socket.write(&bytes[..bytes.len().min(*left)]) {
                Ok(count) => {
                    scene.sent(count);
                    *left -= count;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
            let ended = socket.read(&mut [0; 4096]);
            matches!(ended, Err(error) if error.kind() == ErrorKind::WouldBlock)
        });
    }
}
