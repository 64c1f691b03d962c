//! Those who have nothing to do with an attack: an event every 20 ms, a request, a new stream. How long does
//! each wait at the most?

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use rustix::thread::gettid;

use crate::scene::{BYSTANDER, SECRET, Scene, socket};

/// Between two events, and two requests.
const PERIOD: Duration = Duration::from_millis(20);
/// A bystander that waits for so long waits no more.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Bystanders {
    over: Arc<AtomicBool>,
    threads: [JoinHandle<Duration>; 3],
}

/// The longest waits.
pub(crate) struct Waits([Duration; 3]);

impl Waits {
    pub(crate) fn longest(&self) -> Duration {
        self.0.into_iter().max().unwrap_or_default()
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [event, request, stream] = self.0.map(|wait| wait.as_secs_f64() * 1000.0);
        write!(f, "{event:.1} / {request:.1} / {stream:.1}")
    }
}

impl Bystanders {
    pub(crate) fn of(scene: &Scene) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (listen, control) = (scene.daemon.listen, scene.daemon.control);
        let mut events = Events::of(listen, control);
        let threads = [
            measure(&over, move || events.one()),
            measure(&over, move || {
                let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
                answered(control, request, b"ok")
            }),
            measure(&over, move || {
                let request = "GET /sse?subscribe=other HTTP/1.1\r\nHost: localhost\r\n\r\n";
                answered(listen, request, b"id: ")
            }),
        ];
        Self { over, threads }
    }

    pub(crate) fn end(self) -> Waits {
        self.over.store(true, Ordering::Relaxed);
        Waits(self.threads.map(|thread| thread.join().unwrap()))
    }
}

/// Does something every 20 ms; the longest that it took. What fails took as long as a bystander has patience.
fn measure(
    over: &Arc<AtomicBool>,
    mut what: impl FnMut() -> io::Result<()> + Send + 'static,
) -> JoinHandle<Duration> {
    let over = Arc::clone(over);
    spawn(move || {
        go_first();
        let mut longest = Duration::ZERO;
        while !over.load(Ordering::Relaxed) {
            let began = Instant::now();
            longest = longest.max(match what() {
                Ok(()) => began.elapsed(),
                Err(_) => PATIENCE,
            });
            sleep(PERIOD.saturating_sub(began.elapsed()));
        }
        longest
    })
}

/// Has this thread go before all others of its processor, where that is allowed (sched(7)): what it measures
/// is to be the daemon, and not how busy its attacker is.
fn go_first() {
    let thread = gettid().as_raw_nonzero().to_string();
    let _refused = Command::new("chrt")
        .args(["--rr", "--pid", "10", &thread])
        .output();
}

fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket(BYSTANDER, None);
    socket.connect_timeout(&to.into(), PATIENCE)?;
    socket.set_tcp_nodelay(true)?;
    let socket = TcpStream::from(socket);
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// Reads until `end` has come.
fn read_to(socket: &mut TcpStream, read: &mut Vec<u8>, end: &[u8]) -> io::Result<()> {
    let mut buffer = [0; 4096];
    while !read.windows(end.len()).any(|part| part == end) {
        match socket.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => read.extend_from_slice(&buffer[..count]),
        }
    }
    Ok(())
}

/// A connection of its own, and its answer up to `end`.
fn answered(to: SocketAddr, request: &str, end: &[u8]) -> io::Result<()> {
    let mut socket = connect(to)?;
    socket.write_all(request.as_bytes())?;
    let mut read = Vec::new();
    read_to(&mut socket, &mut read, b"\r\n\r\n")?;
    read_to(&mut socket, &mut read, end)
}

/// A publisher and a subscriber.
struct Events {
    publisher: TcpStream,
    subscriber: TcpStream,
    count: u64,
}

impl Events {
    fn of(listen: SocketAddr, control: SocketAddr) -> Self {
        let mut publisher = connect(control).unwrap();
        // Where no secret is asked for, the line is passed over.
        publisher
            .write_all(format!("auth {SECRET}\n").as_bytes())
            .unwrap();
        let mut subscriber = connect(listen).unwrap();
        let request = "GET /sse?subscribe=bystander HTTP/1.1\r\nHost: localhost\r\n\r\n";
        subscriber.write_all(request.as_bytes()).unwrap();
        read_to(&mut subscriber, &mut Vec::new(), b"\nid: ").unwrap();
        Self {
            publisher,
            subscriber,
            count: 0,
        }
    }

    fn one(&mut self) -> io::Result<()> {
        self.count += 1;
        let text = format!("number {}!", self.count);
        self.publisher
            .write_all(format!("bystander={text}\n").as_bytes())?;
        read_to(&mut self.subscriber, &mut Vec::new(), text.as_bytes())
    }
}
