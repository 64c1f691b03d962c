//! Ports that are free, and stay free for whoever they are reserved for.

use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// A TCP port of 127.0.0.1 that Linux gives to nobody else while this lives: neither to a socket bound to port 0
/// nor to an outgoing connection. A server that sets `SO_REUSEADDR`, as all do, can bind it, also again and again;
/// while none listens, connections are refused (socket(7), ip(7): only a *listening* socket keeps another with
/// that option out).
#[derive(Debug)]
pub struct Port {
    address: SocketAddr,
    _reservation: Socket,
}

impl Port {
    /// Reserves one.
    pub fn reserve() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        let any: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
        socket.bind(&any.into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        Self {
            address,
            _reservation: socket,
        }
    }

    /// Where a server on it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.address.port()
    }
}
