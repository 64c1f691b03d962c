//! The least that a server can do: one bare `send()` for each delivery, to subscribers that are
//! found by index. No queues, no timers, no parsing beyond `*=text;` and `tokn=text;`. Every other
//! server's cost is given as a ratio to this one's in the same round.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use memchr::{memchr, memmem};
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, acceptfrom_with, bind, listen,
    recv, send, socket_with, sockopt,
};

use crate::Outcome;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
    Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Listener(bool),
    Waiting,
    Subscriber {
        token: usize,
        in_token: usize,
        in_all: usize,
    },
    Publisher,
}

#[derive(Debug)]
struct Peer {
    socket: OwnedFd,
    role: Role,
}

/// The sockets are kept by their descriptors' numbers; lists hold these numbers.
struct Floor {
    poll: OwnedFd,
    peers: Vec<Option<Peer>>,
    all: Vec<usize>,
    tokens: Vec<Vec<usize>>,
    unfinished: Vec<u8>,
    frame: Vec<u8>,
}

/// Serves until it is killed.
pub(crate) fn serve(subscribers: u16, publishers: u16) -> Outcome<()> {
    let mut floor = Floor {
        poll: epoll::create(CreateFlags::CLOEXEC)?,
        peers: Vec::new(),
        all: Vec::new(),
        tokens: Vec::new(),
        unfinished: Vec::new(),
        frame: Vec::new(),
    };
    for (port, publishes) in [(subscribers, false), (publishers, true)] {
        let (inet, flags) = (
            AddressFamily::INET,
            SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        );
        let listener = socket_with(inet, SocketType::STREAM, flags, None)?;
        // A port may be reused at once, and several processes may share it.
        sockopt::set_socket_reuseaddr(&listener, true)?;
        sockopt::set_socket_reuseport(&listener, true)?;
        bind(&listener, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
        listen(&listener, 4096)?;
        floor.watch(listener, Role::Listener(publishes))?;
    }
    let mut events: Vec<Event> = Vec::with_capacity(512);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        events.clear();
        epoll::wait(
            &floor.poll,
            rustix::buffer::spare_capacity(&mut events),
            None,
        )?;
        for event in &events {
            floor.ready(event.data.u64() as usize, &mut buffer)?;
        }
    }
}

impl Floor {
    fn watch(&mut self, socket: OwnedFd, role: Role) -> Outcome<()> {
        let number = socket.as_raw_fd() as usize;
        epoll::add(
            &self.poll,
            &socket,
            EventData::new_u64(number as u64),
            EventFlags::IN,
        )?;
        if self.peers.len() <= number {
            self.peers.resize_with(number + 1, || None);
        }
        self.peers[number] = Some(Peer { socket, role });
        Ok(())
    }

    fn ready(&mut self, number: usize, buffer: &mut [u8]) -> Outcome<()> {
        let Some(Some(peer)) = self.peers.get(number) else {
            return Ok(());
        };
        if let Role::Listener(publishes) = peer.role {
            return self.accept(number, publishes);
        }
        let role = peer.role;
        let count = match recv(&peer.socket, &mut *buffer, RecvFlags::DONTWAIT) {
            Err(Errno::AGAIN) => return Ok(()),
            Ok((_, 0)) | Err(_) => {
                self.hang_up(number);
                return Ok(());
            }
            Ok((_, count)) => count,
        };
        match role {
            Role::Waiting if buffer[..count].ends_with(b"\r\n\r\n") => {
                self.subscribe(number, &buffer[..count]);
            }
            Role::Publisher => self.publish(&buffer[..count]),
            _ => {}
        }
        Ok(())
    }

    fn accept(&mut self, listener: usize, publishes: bool) -> Outcome<()> {
        let role = if publishes {
            Role::Publisher
        } else {
            Role::Waiting
        };
        for _ in 0..64 {
            let Some(Some(peer)) = self.peers.get(listener) else {
                break;
            };
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let Ok((socket, _)) = acceptfrom_with(&peer.socket, flags) else {
                break;
            };
            sockopt::set_tcp_nodelay(&socket, true)?;
            self.watch(socket, role)?;
        }
        Ok(())
    }

    fn subscribe(&mut self, number: usize, request: &[u8]) {
        let token = memmem::find(request, b"subscribe=tok");
        let token = token.map_or(0, |at| decimal(&request[at + 13..]));
        if self.tokens.len() <= token {
            self.tokens.resize_with(token + 1, Vec::new);
        }
        if let Some(Some(peer)) = self.peers.get_mut(number) {
            let (in_token, in_all) = (self.tokens[token].len(), self.all.len());
            peer.role = Role::Subscriber {
                token,
                in_token,
                in_all,
            };
            self.tokens[token].push(number);
            self.all.push(number);
            let _gone = send(&peer.socket, ANSWER, SendFlags::NOSIGNAL);
        }
    }

    fn hang_up(&mut self, number: usize) {
        let peer = self.peers[number].take();
        let Some(Role::Subscriber {
            token,
            in_token,
            in_all,
        }) = peer.map(|peer| peer.role)
        else {
            self.unfinished.clear();
            return;
        };
        self.tokens[token].swap_remove(in_token);
        self.all.swap_remove(in_all);
        // Who took the places knows them now.
        for (moved, at_all) in [
            (self.tokens[token].get(in_token).copied(), false),
            (self.all.get(in_all).copied(), true),
        ] {
            let moved = moved.and_then(|moved| self.peers[moved].as_mut());
            if let Some(Role::Subscriber {
                in_token: t,
                in_all: a,
                ..
            }) = moved.map(|p| &mut p.role)
            {
                *(if at_all { a } else { t }) = if at_all { in_all } else { in_token };
            }
        }
    }

    fn publish(&mut self, bytes: &[u8]) {
        let mut unfinished = std::mem::take(&mut self.unfinished);
        let joined = !unfinished.is_empty();
        if joined {
            unfinished.extend_from_slice(bytes);
        }
        let mut rest = if joined { &unfinished[..] } else { bytes };
        while let Some(end) = memchr(b';', rest) {
            self.message(&rest[..end]);
            rest = &rest[end + 1..];
        }
        self.unfinished = rest.to_vec();
    }

    fn message(&mut self, message: &[u8]) {
        let Some(equals) = memchr(b'=', message) else {
            return;
        };
        let recipients = match message.first() {
            Some(b'*') => &self.all,
            _ => match self.tokens.get(decimal(&message[3..equals])) {
                Some(recipients) => recipients,
                None => return,
            },
        };
        let data = &message[equals + 1..];
        self.frame.clear();
        let size = format!("{:x}\r\nid: 1700000000\ndata: ", data.len() + 24);
        for part in [size.as_bytes(), data, b"\n\n\r\n"] {
            self.frame.extend_from_slice(part);
        }
        for number in recipients {
            if let Some(Some(peer)) = self.peers.get(*number) {
                deliver(&peer.socket, &self.frame);
            }
        }
    }
}

/// Sends all of it; waits if the socket is full.
fn deliver(socket: &OwnedFd, mut frame: &[u8]) {
    while !frame.is_empty() {
        match send(socket, frame, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(count) => frame = &frame[count..],
            Err(Errno::AGAIN) => {
                let mut wanted = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::OUT)];
                if poll(&mut wanted, None).is_err() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

/// The number at the start.
fn decimal(text: &[u8]) -> usize {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
}
