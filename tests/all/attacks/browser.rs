//! A web page in a real browser that tries to publish: by everything that makes the browser write to a port of
//! this machine.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::spawn;
use std::time::Duration;

use support::{Daemon, PATIENCE, Port, Program, needs, publish};

/// What came on each connection to a port on which nobody understands it.
type Recorded = Arc<Mutex<Vec<Vec<u8>>>>;

/// Listens on a port, answers to requests, and keeps what comes.
fn record(at: SocketAddr) -> Recorded {
    let listener = TcpListener::bind(at).unwrap();
    let recorded = Recorded::default();
    let kept = Arc::clone(&recorded);
    spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let kept = Arc::clone(&kept);
            spawn(move || {
                socket
                    .set_read_timeout(Some(Duration::from_secs(2)))
                    .unwrap();
                let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
                while let Ok(count @ 1..) = socket.read(&mut buffer) {
                    all.extend_from_slice(&buffer[..count]);
                    if buffer[0].is_ascii_uppercase() {
                        let answer =
                            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                        let _gone = socket.write_all(answer);
                        break;
                    }
                }
                kept.lock().unwrap().push(all);
            });
        }
    });
    recorded
}

#[test]
fn a_page_in_a_browser_publishes_nothing() {
    needs!("node", "chromium", "npm:playwright-core");
    let daemon = Daemon::start("--control unix:{dir}/socket");
    let mut stream = daemon.subscribe("subscribe=room1");
    let port = Port::reserve();
    let recorded = record(port.address());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/all/attacks/page.mjs");
    let ports = [daemon.control.port(), port.number()].map(|port| port.to_string());
    let mut browser = Program::start(
        Command::new("node")
            .arg(script)
            .arg(daemon.file("chromium"))
            .args(&ports),
    );
    let ended = browser.end_within(6 * PATIENCE);
    let said = browser.last_words();
    assert!(ended.is_some_and(|status| status.success()), "{said}");
    for way in [
        "fetch",
        "form",
        "websocket",
        "tls",
        "webrtc",
        "webtransport",
    ] {
        for page in ["", "rebound "] {
            let tried = format!("tried {way} {page}{}", ports[0]);
            assert!(said.contains(&tried), "{tried}: {said}");
        }
    }
    // The browser did write all of it, and none of it came through.
    let recorded = std::mem::take(&mut *recorded.lock().unwrap());
    let begun = |with: &[u8]| {
        recorded
            .iter()
            .filter(|bytes| bytes.starts_with(with))
            .count()
    };
    assert!(
        begun(b"POST /publish/room1 ") > 8 && begun(b"\x16\x03") > 0,
        "{recorded:?}"
    );
    let stun = recorded.iter().find(|bytes| bytes.starts_with(&[0]));
    let stun = stun.unwrap_or_else(|| panic!("no STUN: {said} {recorded:?}"));
    publish::http(daemon.control, "room1", "end");
    assert_eq!(stream.data(), "end");
    let metrics = daemon.metrics();
    for reason in ["control_character", "forbidden"] {
        let line = format!("hasses_refused_total{{reason=\"{reason}\"}} ");
        assert!(metrics.contains(&line), "{metrics}");
    }
    // What the browser wrote is a message: where no page can come from it is taken for one.
    publish::unix(&daemon.file("socket"), stun);
    let forged = stream.data();
    assert!(forged.starts_with("FORGED+BY+A+WEB+PAGE"), "{forged}");
}
