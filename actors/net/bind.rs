//! Listening sockets: made, replaced, taken over.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, SockAddr, SockRef, Socket, TcpKeepalive, Type};

use super::{Door, Endpoint, owned};

/// With the default heartbeat a dead peer is found within a minute.
const USER_TIMEOUT: Duration = Duration::from_secs(40);
/// How many connections the kernel keeps waiting (it cuts this to `net.core.somaxconn`).
const BACKLOG: i32 = 4096;

/// A socket that listens, non-blocking and closed on exec. Connections that it accepts have
/// `TCP_NODELAY` and `TCP_USER_TIMEOUT`, which Linux lets them inherit.
#[derive(Debug)]
pub struct Bound {
    /// The address that was asked for; [`Bound::address`] is the real one.
    pub endpoint: Endpoint,
    /// The socket.
    pub listener: Listener,
    /// Whether those who connect speak TLS.
    pub tls: bool,
}

impl Bound {
    /// Has the system ask those who connect from now on, after a `silence`, whether they are still there
    /// (tcp(7), `TCP_KEEPIDLE`); who does not answer is disconnected.
    ///
    /// # Errors
    /// The system's; on a Unix socket, where nobody vanishes.
    pub fn keep_alive(&self, silence: Duration) -> io::Result<()> {
        let asked = TcpKeepalive::new()
            .with_time(silence)
            .with_interval(silence / 6)
            .with_retries(6);
        match &self.listener {
            Listener::Tcp(listener) => SockRef::from(listener).set_tcp_keepalive(&asked),
            Listener::Unix(listener) => SockRef::from(listener).set_tcp_keepalive(&asked),
        }
    }
}

/// The socket of a [`Bound`].
#[derive(Debug)]
pub enum Listener {
    /// TCP over IPv4, IPv6 or both.
    Tcp(TcpListener),
    /// A Unix stream socket.
    Unix(UnixListener),
}

/// Who may do what with the file of a Unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    /// Its permission bits, exactly these whatever the umask.
    pub mode: u32,
    /// The user it is given to.
    pub owner: Option<u32>,
    /// The group it is given to.
    pub group: Option<u32>,
}

/// Why there is no listening socket at an address.
#[derive(Debug)]
pub enum BindError {
    /// The name service does not know the host.
    Resolve(Endpoint, io::Error),
    /// A live program listens on this Unix socket.
    Live(PathBuf),
    /// A file that is no socket lies at this path.
    NoSocket(PathBuf),
    /// The system refused.
    System(Endpoint, io::Error),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve(endpoint, error) => write!(f, "{endpoint} cannot be resolved: {error}"),
            Self::Live(path) => write!(
                f,
                "unix:{} is in use: another program listens on it",
                path.display()
            ),
            Self::NoSocket(path) => write!(
                f,
                "unix:{} cannot be used: a file that is no socket lies there",
                path.display()
            ),
            Self::System(endpoint, error) => match error.kind() {
                io::ErrorKind::AddrInUse => {
                    write!(f, "{endpoint} is in use")?;
                    match endpoint {
                        // It may be a connection that leads elsewhere, or one that has just ended.
                        Endpoint::Tcp { port, .. } => {
                            write!(f, "; ss -tanp 'sport = :{port}' shows by what")
                        }
                        Endpoint::Unix(_) => Ok(()),
                    }
                }
                io::ErrorKind::AddrNotAvailable => {
                    write!(f, "{endpoint} is no address of this machine")
                }
                io::ErrorKind::PermissionDenied => {
                    write!(f, "{endpoint} may not be used by this user: {error}")
                }
                _ => write!(f, "{endpoint} cannot be listened on: {error}"),
            },
        }
    }
}

impl std::error::Error for BindError {}

/// Listens at `door`: one socket, or several where a name has several addresses.
///
/// `[::]` means both families, and IPv4 alone on a machine without IPv6. With `reuse_port` other
/// processes of the same user may listen on the same TCP port (SO_REUSEPORT, socket(7)). The file
/// of a Unix socket gets `rights` before anyone can connect; one that a dead program left is
/// replaced.
pub fn bind(door: &Door, reuse_port: bool, rights: Rights) -> Result<Vec<Bound>, BindError> {
    let Door { endpoint, tls } = door;
    let bound = |listener| Bound {
        endpoint: endpoint.clone(),
        listener,
        tls: *tls,
    };
    let system = |error| BindError::System(endpoint.clone(), error);
    if let Endpoint::Unix(path) = endpoint {
        clear(path)?;
        return Ok(vec![bound(unix(path, rights).map_err(system)?)]);
    }
    let addresses = endpoint
        .resolve()
        .map_err(|error| BindError::Resolve(endpoint.clone(), error))?;
    let (mut found, mut lacking) = (Vec::new(), None);
    for address in addresses {
        match tcp(address, reuse_port) {
            Ok(listener) => found.push(bound(listener)),
            // `localhost` may name ::1 on a machine that has no IPv6.
            Err(error) if family_is_missing(&error) => lacking = Some(error),
            Err(error) => return Err(system(error)),
        }
    }
    match lacking {
        Some(error) if found.is_empty() => Err(system(error)),
        _ => Ok(found),
    }
}

fn family_is_missing(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    code == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
        || error.kind() == io::ErrorKind::AddrNotAvailable
}

fn tcp(address: SocketAddr, reuse_port: bool) -> io::Result<Listener> {
    match tcp_at(address, reuse_port) {
        Err(error) if is_v6_any(address) && family_is_missing(&error) => {
            let v4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
            tcp_at(v4, reuse_port)
        }
        result => result,
    }
}

fn is_v6_any(address: SocketAddr) -> bool {
    address.is_ipv6() && address.ip().is_unspecified()
}

fn tcp_at(address: SocketAddr, reuse_port: bool) -> io::Result<Listener> {
    // Socket::new sets CLOEXEC.
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(!is_v6_any(address))?;
    }
    // A restart need not wait for the connections of the last run to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    prepare(&socket)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(Listener::Tcp(socket.into()))
}

fn unix(path: &Path, rights: Rights) -> io::Result<Listener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    // Nobody can connect before listen(), so nobody gets in by the rights that umask left.
    let listening = owned::give(path, rustix::fs::FileType::Socket, rights)
        .and_then(|()| socket.listen(BACKLOG));
    match listening {
        Ok(()) => Ok(Listener::Unix(OwnedFd::from(socket).into())),
        Err(error) => {
            // The first error is the one to tell.
            let _ = fs::remove_file(path);
            Err(error)
        }
    }
}

/// Removes the socket file of a program that is gone, and refuses everything else that may lie at
/// `path`.
fn clear(path: &Path) -> Result<(), BindError> {
    let system = |error| BindError::System(Endpoint::Unix(path.to_owned()), error);
    match inspect(path)? {
        Found::Nothing => Ok(()),
        Found::Dead => match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(system(error)),
            _ => Ok(()),
        },
    }
}

enum Found {
    Nothing,
    Dead,
}

/// What lies at `path`; an error if it is in the way.
fn inspect(path: &Path) -> Result<Found, BindError> {
    let system = |error| BindError::System(Endpoint::Unix(path.to_owned()), error);
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(system(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(BindError::NoSocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    let attempt = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // A live program with a full queue must not hold the start up: it answers EAGAIN.
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)
    };
    match attempt() {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(Found::Dead),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(system(error)),
        // Connected, a full queue, or a datagram socket: somebody is there.
        _ => Err(BindError::Live(path.to_owned())),
    }
}

/// Whether [`bind`] would find `endpoint` resolvable and nothing in the way of a Unix socket, without
/// making or removing anything.
pub fn check(endpoint: &Endpoint) -> Result<(), BindError> {
    match endpoint {
        Endpoint::Unix(path) => inspect(path).map(|_| ()),
        Endpoint::Tcp { .. } => endpoint
            .resolve()
            .map(|_| ())
            .map_err(|error| BindError::Resolve(endpoint.clone(), error)),
    }
}

/// Sets what accepted connections inherit.
fn prepare(socket: &Socket) -> io::Result<()> {
    // An event must not wait for the acknowledgement of the one before (Nagle).
    socket.set_tcp_nodelay(true)?;
    // A peer that is gone without a word is found when what was sent to it, be it only a position
    // block, has not been acknowledged for this long (RFC 5482).
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}

impl Listener {
    /// Makes a socket that somebody else opened (systemd) behave like one that [`bind`] made.
    pub fn adopt(self) -> io::Result<Self> {
        match &self {
            Self::Tcp(socket) => {
                socket.set_nonblocking(true)?;
                prepare(&socket2::SockRef::from(socket))?;
            }
            Self::Unix(socket) => socket.set_nonblocking(true)?,
        }
        Ok(self)
    }

    /// Where it really listens.
    pub fn address(&self) -> io::Result<Endpoint> {
        match self {
            Self::Tcp(socket) => Ok(socket.local_addr()?.into()),
            Self::Unix(socket) => match socket.local_addr()?.as_pathname() {
                Some(path) => Ok(Endpoint::Unix(path.to_owned())),
                None => Err(io::Error::other("the socket has no path")),
            },
        }
    }
}

impl Bound {
    /// A second handle of the same socket.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            endpoint: self.endpoint.clone(),
            listener: match &self.listener {
                Listener::Tcp(socket) => Listener::Tcp(socket.try_clone()?),
                Listener::Unix(socket) => Listener::Unix(socket.try_clone()?),
            },
            tls: self.tls,
        })
    }

    /// Where it really listens: the port that the system chose for port 0, the address of a name.
    pub fn address(&self) -> Endpoint {
        // A socket of `bind` has an address; what was asked for is the next best answer.
        self.listener
            .address()
            .unwrap_or_else(|_| self.endpoint.clone())
    }

    /// Whether other machines can reach it.
    pub fn is_open_to_others(&self) -> bool {
        match &self.listener {
            Listener::Tcp(socket) => socket.local_addr().is_ok_and(|local| match local.ip() {
                IpAddr::V4(ip) => !ip.is_loopback(),
                IpAddr::V6(ip) => !ip.to_canonical().is_loopback(),
            }),
            Listener::Unix(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use std::net::TcpStream;
    use std::os::fd::AsFd;

    use super::*;

    const RIGHTS: Rights = Rights {
        mode: 0o600,
        owner: None,
        group: None,
    };

    fn port_of(bound: &Bound) -> u16 {
        match bound.address() {
            Endpoint::Tcp { port, .. } => port,
            Endpoint::Unix(_) => panic!("not TCP"),
        }
    }

    fn one(text: &str, reuse_port: bool) -> Result<Bound, BindError> {
        let mut all = bind(&text.parse().unwrap(), reuse_port, RIGHTS)?;
        assert_eq!(all.len(), 1);
        Ok(all.remove(0))
    }

    #[test]
    fn a_tcp_listener_has_its_options_and_a_real_port() {
        let bound = one("127.0.0.1:0", false).unwrap();
        assert_ne!(port_of(&bound), 0);
        assert!(!bound.is_open_to_others());
        let Listener::Tcp(socket) = &bound.listener else {
            panic!("not TCP")
        };
        let options = socket2::SockRef::from(socket);
        assert!(options.tcp_nodelay().unwrap() && options.nonblocking().unwrap());
        assert_eq!(options.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
        assert!(options.reuse_address().unwrap() && !options.reuse_port().unwrap());
        let flags = rustix::io::fcntl_getfd(socket.as_fd()).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));

        TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        let again = bound.try_clone().unwrap();
        assert_eq!(again.address(), bound.address());
    }

    #[test]
    fn all_addresses_means_both_families() {
        let bound = one("[::]:0", false).unwrap();
        assert!(bound.is_open_to_others());
        TcpStream::connect(("127.0.0.1", port_of(&bound))).unwrap();
    }

    #[test]
    fn a_port_in_use_is_refused_unless_it_is_shared() {
        let first = one("127.0.0.1:0", true).unwrap();
        let text = first.address().to_string();
        one(&text, true).unwrap();
        let error = one(&text, false).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "{text} is in use; ss -tanp 'sport = :{}' shows by what",
                port_of(&first)
            )
        );
    }

    #[test]
    fn a_foreign_address_is_refused() {
        let error = one("192.0.2.1:0", false).unwrap_err().to_string();
        assert_eq!(error, "192.0.2.1:0 is no address of this machine");
    }
}
