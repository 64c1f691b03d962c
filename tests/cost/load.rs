//! The load: one thing at a time, and each awaited, so that every run does the same.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use nix::sys::signal::Signal;

use support::http2::{Client, DATA};
use support::{Daemon, PATIENCE};

/// A connection, mostly a subscriber's, and what has come on it that was not asked for yet.
pub(crate) struct Subscriber {
    socket: TcpStream,
    unread: Vec<u8>,
}

impl Subscriber {
    /// Reads on until `text` has come, and takes all up to its end.
    fn wait_for(&mut self, text: &str) {
        let mut buffer = [0; 4096];
        loop {
            let length = text.len();
            let mut windows = self.unread.windows(length);
            if let Some(at) = windows.position(|part| part == text.as_bytes()) {
                self.unread.drain(..at + length);
                return;
            }
            let count = self.socket.read(&mut buffer).unwrap();
            assert!(count > 0, "closed before {text:?} came");
            self.unread.extend_from_slice(&buffer[..count]);
        }
    }

    fn to(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let unread = Vec::new();
        Self { socket, unread }
    }

    /// Publishes to a witness, and waits until both have what is theirs.
    fn post(&mut self, witness: &mut Self, number: usize, together: usize, fields: &str) {
        let post = |n: usize| {
            format!(
                "POST /publish/witness HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n\
                 Content-Length: 100\r\nUser-Agent: cost\r\n{fields}\r\n{number:0>50}{n:0>49}."
            )
        };
        let posts: String = (0..together).map(post).collect();
        self.socket.write_all(posts.as_bytes()).unwrap();
        for _ in 0..together {
            self.wait_for("\"recipients\":1}");
        }
        witness.wait_for(&format!("{number:0>50}{:0>49}.", together - 1));
    }

    /// Asks for a stream without waiting for the answer.
    fn ask(address: SocketAddr, token: &str) -> Self {
        let mut asked = Self::to(address);
        let request = format!(
            "GET /sse?subscribe={token} HTTP/1.1\r\nHost: {address}\r\n\
             Accept: text/event-stream\r\nUser-Agent: cost\r\n\r\n"
        );
        asked.socket.write_all(request.as_bytes()).unwrap();
        asked
    }

    /// Waits for the answer's head and the first position block.
    fn answered(&mut self) {
        self.wait_for("\r\n\r\n");
        self.wait_for("\nid: ");
        self.wait_for("\n\n\r\n");
    }
}

/// Subscribes so many to a token, one after the other.
pub(crate) fn connect(address: SocketAddr, token: &str, count: usize) -> Vec<Subscriber> {
    let subscribe = |_| {
        let mut subscriber = Subscriber::ask(address, token);
        subscriber.answered();
        subscriber
    };
    (0..count).map(subscribe).collect()
}

/// Connections of HTTP/2, with so many streams of a token on each.
pub(crate) fn connect_streams(
    address: SocketAddr,
    token: &str,
    connections: usize,
    streams: usize,
) -> Vec<Client> {
    let connect = |_| {
        let mut client = Client::to(address);
        // All streams share the connection's window, and nothing here is to wait for it.
        client.window(0, 1 << 30);
        for n in 0..streams {
            client.subscribe(2 * n as u32 + 1, &format!("subscribe={token}"));
        }
        client
    };
    (0..connections).map(connect).collect()
}

/// Publishes messages of 100 bytes to the token `crowd`; all streams have each before the next is sent.
pub(crate) fn deliver_to_streams(
    control: SocketAddr,
    crowd: &mut [Client],
    streams: usize,
    messages: usize,
) {
    publish_each(control, messages, |text| {
        for client in &mut *crowd {
            let mut missing = streams;
            while missing > 0 {
                let payload = client.next(DATA).payload;
                let has_it = payload
                    .windows(text.len())
                    .any(|part| part == text.as_bytes());
                missing -= usize::from(has_it);
            }
        }
    });
}

/// Subscribes one to each of these, a hundred at a time.
pub(crate) fn connect_each(address: SocketAddr, tokens: &[String]) -> Vec<Subscriber> {
    let hundred = |tokens: &[String]| {
        let asked = tokens.iter().map(|token| Subscriber::ask(address, token));
        let mut asked: Vec<Subscriber> = asked.collect();
        asked.iter_mut().for_each(Subscriber::answered);
        asked
    };
    tokens.chunks(100).flat_map(hundred).collect()
}

/// Subscribes so many, and lets them leave. The daemon is halted meanwhile, so that it always
/// finds all of them at once.
pub(crate) fn come_and_go(daemon: &Daemon, count: usize) {
    daemon.signal(Signal::SIGSTOP);
    let ask = |_| Subscriber::ask(daemon.listen, "room");
    let mut all: Vec<Subscriber> = (0..count).map(ask).collect();
    daemon.signal(Signal::SIGCONT);
    all.iter_mut().for_each(Subscriber::answered);
    daemon.signal(Signal::SIGSTOP);
    drop(all);
    daemon.signal(Signal::SIGCONT);
}

/// Publishes `messages` of 100 bytes to the token `crowd`; all have each before the next is sent.
pub(crate) fn deliver(control: SocketAddr, crowd: &mut [Subscriber], messages: usize) {
    publish_each(control, messages, |text| {
        for subscriber in &mut *crowd {
            subscriber.wait_for(text);
        }
    });
}

/// Publishes `messages` of 100 bytes to the token `crowd`, each when the one before `arrived`.
fn publish_each(control: SocketAddr, messages: usize, mut arrived: impl FnMut(&str)) {
    let mut publisher = TcpStream::connect(control).unwrap();
    for number in 0..messages {
        let text = format!("{number:0>99}.");
        publisher
            .write_all(format!("crowd={text};").as_bytes())
            .unwrap();
        arrived(&text);
    }
}

/// Publishes, `together` in one write, messages of 100 bytes to nobody and behind them one to the
/// token `witness`, which has it before the next write.
pub(crate) fn publish(
    control: SocketAddr,
    witness: &mut Subscriber,
    writes: usize,
    together: usize,
) {
    let mut publisher = TcpStream::connect(control).unwrap();
    let nobody = format!("nobody={};", "x".repeat(100));
    for number in 0..writes {
        let last = format!("last {number}.");
        let text = format!("{}witness={last};", nobody.repeat(together - 1));
        publisher.write_all(text.as_bytes()).unwrap();
        witness.wait_for(&last);
    }
}

/// Publishes by HTTP, `together` in one write, messages of 100 bytes to the token `witness`, which has
/// the last before the next write, as the publisher has all answers.
pub(crate) fn publish_http(
    control: SocketAddr,
    witness: &mut Subscriber,
    writes: usize,
    together: usize,
) {
    let mut publisher = Subscriber::to(control);
    for number in 0..writes {
        publisher.post(witness, number, together, "");
    }
}

/// The same, each message with a connection of its own.
pub(crate) fn publish_http_apart(control: SocketAddr, witness: &mut Subscriber, messages: usize) {
    for number in 0..messages {
        let mut publisher = Subscriber::to(control);
        publisher.post(witness, number, 1, "Connection: close\r\n");
    }
}
