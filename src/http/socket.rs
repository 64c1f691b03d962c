//! Connections of the client: TCP or Unix, with or without TLS.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use hasses_actors::net::Endpoint;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::Site;

/// An open connection. Reading and writing give up after the time that [`connect`] was told.
pub(crate) struct Socket {
    stream: Stream,
    /// The TCP address of this end and of the other.
    pub(crate) addresses: Option<(SocketAddr, SocketAddr)>,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    TlsUnix(Box<StreamOwned<ClientConnection, UnixStream>>),
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The host's name has no address.
    Name(io::Error),
    /// Nothing answers at the address.
    Connect(io::Error),
    /// The TLS handshake failed: mostly a certificate that is not trusted.
    Tls(rustls::Error),
    /// The connection ended or stalled in the handshake.
    Handshake(io::Error),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => write!(f, "the host name cannot be resolved: {error}"),
            Self::Connect(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => {
                    f.write_str("connection refused; is hasses running there?")
                }
                io::ErrorKind::NotFound => {
                    f.write_str("there is no such socket; is hasses running?")
                }
                _ => error.fmt(f),
            },
            Self::Tls(error) => write!(f, "TLS: {error}"),
            Self::Handshake(error) => write!(f, "the TLS handshake failed: {error}"),
        }
    }
}

/// Connects to a site. `patience` bounds connecting, and later each read and write; `source` is the
/// address to connect from, if it matters; `alpn` are the protocols to offer (RFC 7301).
///
/// # Errors
/// Which step failed, and why.
pub(crate) fn connect(
    site: &Site,
    patience: Duration,
    source: Option<IpAddr>,
    alpn: &[&str],
) -> Result<Socket, Trouble> {
    match &site.endpoint {
        Endpoint::Unix(path) => {
            let socket = UnixStream::connect(path).map_err(Trouble::Connect)?;
            (socket.set_read_timeout(Some(patience)))
                .and_then(|()| socket.set_write_timeout(Some(patience)))
                .map_err(Trouble::Connect)?;
            let stream = if site.tls {
                Stream::TlsUnix(Box::new(handshake(site, socket, alpn)?))
            } else {
                Stream::Unix(socket)
            };
            Ok(Socket {
                stream,
                addresses: None,
            })
        }
        Endpoint::Tcp { .. } => {
            let socket = tcp(site, patience, source)?;
            let addresses =
                (socket.local_addr()).and_then(|local| Ok((local, socket.peer_addr()?)));
            let stream = if site.tls {
                Stream::Tls(Box::new(handshake(site, socket, alpn)?))
            } else {
                Stream::Tcp(socket)
            };
            Ok(Socket {
                stream,
                addresses: addresses.ok(),
            })
        }
    }
}

/// Tries each address of the host in turn, as browsers do.
fn tcp(site: &Site, patience: Duration, source: Option<IpAddr>) -> Result<TcpStream, Trouble> {
    let addresses = site.endpoint.resolve().map_err(Trouble::Name)?;
    let mut last = Trouble::Name(io::Error::other("the name has no address"));
    for address in addresses {
        match one(address, patience, source) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = Trouble::Connect(error),
        }
    }
    Err(last)
}

fn one(address: SocketAddr, patience: Duration, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = match source.filter(|source| source.is_ipv4() == address.is_ipv4()) {
        None => TcpStream::connect_timeout(&address, patience)?,
        Some(source) => {
            let domain = socket2::Domain::for_address(address);
            let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
            // So that a server can still bind the same port on all addresses.
            socket.set_reuse_address(true)?;
            socket.bind(&SocketAddr::new(source, 0).into())?;
            socket.connect_timeout(&address.into(), patience)?;
            socket.into()
        }
    };
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(patience))?;
    socket.set_write_timeout(Some(patience))?;
    Ok(socket)
}

/// What this machine trusts: the system's certificates, or those that `SSL_CERT_FILE` names.
fn trusted() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // A certificate that cannot be read is one that is not trusted.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn handshake<S: Read + Write>(
    site: &Site,
    socket: S,
    alpn: &[&str],
) -> Result<StreamOwned<ClientConnection, S>, Trouble> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Trouble::Tls)?
        .with_root_certificates(trusted())
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(site.name().to_owned())
        .map_err(|_| Trouble::Name(io::Error::other("the host name is not a DNS name")))?;
    let connection = ClientConnection::new(Arc::new(config), name).map_err(Trouble::Tls)?;
    let mut stream = StreamOwned::new(connection, socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).map_err(|error| {
            let tls = (error.get_ref()).and_then(|inner| inner.downcast_ref::<rustls::Error>());
            match tls {
                Some(tls) => Trouble::Tls(tls.clone()),
                None => Trouble::Handshake(error),
            }
        })?;
    }
    Ok(stream)
}

impl Socket {
    /// How long each later read may take.
    ///
    /// # Errors
    /// The system refuses, which it does for no time of at least a microsecond.
    pub(crate) fn set_read_timeout(&self, patience: Duration) -> io::Result<()> {
        let patience = Some(patience);
        match &self.stream {
            Stream::Tcp(socket) => socket.set_read_timeout(patience),
            Stream::Unix(socket) => socket.set_read_timeout(patience),
            Stream::Tls(stream) => stream.sock.set_read_timeout(patience),
            Stream::TlsUnix(stream) => stream.sock.set_read_timeout(patience),
        }
    }

    /// A handle that ends the connection from another thread; none for Unix sockets.
    pub(crate) fn closer(&self) -> Option<TcpStream> {
        match &self.stream {
            Stream::Tcp(socket) => socket.try_clone().ok(),
            Stream::Tls(stream) => stream.sock.try_clone().ok(),
            Stream::Unix(_) | Stream::TlsUnix(_) => None,
        }
    }

    /// The state of TLS, if there is TLS: the protocol chosen, the certificates shown.
    pub(crate) fn tls(&self) -> Option<&ClientConnection> {
        match &self.stream {
            Stream::Tls(stream) => Some(&stream.conn),
            Stream::TlsUnix(stream) => Some(&stream.conn),
            Stream::Tcp(_) | Stream::Unix(_) => None,
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Tcp(socket) => socket.read(buffer),
            Stream::Unix(socket) => socket.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
            Stream::TlsUnix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Tcp(socket) => socket.write(bytes),
            Stream::Unix(socket) => socket.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
            Stream::TlsUnix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Tcp(socket) => socket.flush(),
            Stream::Unix(socket) => socket.flush(),
            Stream::Tls(stream) => stream.flush(),
            Stream::TlsUnix(stream) => stream.flush(),
        }
    }
}
