//! Addresses as people write them: `HOST:PORT`, `[::]:PORT`, `unix:/path`.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The most bytes the path of a Unix socket may have: `sun_path` holds 108, the last is NUL (unix(7)).
pub const MAX_UNIX_PATH: usize = 107;

/// The most bytes of a host name (RFC 1035 §2.3.4, in text form).
const MAX_HOST: usize = 253;

/// Where something listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A TCP address that is not resolved yet.
    Tcp {
        /// A name or an IP address, an IPv6 address without its brackets. `::` means both families.
        host: String,
        /// The port; 0 lets the system choose one.
        port: u16,
    },
    /// A Unix stream socket.
    Unix(PathBuf),
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointError {
    /// It has neither the form `HOST:PORT` nor `unix:/path`.
    Form,
    /// What stands after the last `:` is no port.
    Port,
    /// What stands before the port is neither a name nor an IP address.
    Host,
    /// Nothing stands after `unix:`.
    NoPath,
    /// The path of the socket has more than [`MAX_UNIX_PATH`] bytes.
    LongPath,
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "not an address; it needs HOST:PORT, [::]:PORT or unix:/path, with tls: in front for TLS",
            Self::Port => "not an address: the port is a number from 0 to 65535",
            Self::Host => {
                "not an address: the host is a name, an IPv4 address or an IPv6 address in brackets"
            }
            Self::NoPath => "not an address: a path stands after unix:",
            Self::LongPath => "the path of a Unix socket has at most 107 bytes",
        })
    }
}

impl std::error::Error for EndpointError {}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Self::unix(Path::new(path));
        }
        let (host, port) = text.rsplit_once(':').ok_or(EndpointError::Form)?;
        // `u16::from_str` would let a `+` pass.
        if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(EndpointError::Port);
        }
        Ok(Self::Tcp {
            host: host_of(host).ok_or(EndpointError::Host)?,
            port: port.parse().map_err(|_| EndpointError::Port)?,
        })
    }
}

/// The host without its brackets, if it is one.
fn host_of(text: &str) -> Option<String> {
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.strip_suffix(']')?;
        // A zone (`fe80::1%eth0`) is left to the resolver.
        let address = inner.split_once('%').map_or(inner, |(address, _)| address);
        return matches!(address.parse(), Ok(IpAddr::V6(_))).then(|| inner.to_owned());
    }
    let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    ((1..=MAX_HOST).contains(&text.len()) && text.bytes().all(named)).then(|| text.to_owned())
}

impl Endpoint {
    /// The Unix socket at `path`, which may be relative.
    pub fn unix(path: &Path) -> Result<Self, EndpointError> {
        match path.as_os_str().as_bytes() {
            [] => Err(EndpointError::NoPath),
            bytes if bytes.len() > MAX_UNIX_PATH => Err(EndpointError::LongPath),
            _ => Ok(Self::Unix(path.to_owned())),
        }
    }

    /// The IP addresses it means, at least one; none at all for a Unix socket. It may ask the
    /// name service and wait for it.
    pub fn resolve(&self) -> std::io::Result<Vec<SocketAddr>> {
        let Self::Tcp { host, port } = self else {
            return Ok(Vec::new());
        };
        let mut found: Vec<SocketAddr> = Vec::new();
        for address in (host.as_str(), *port).to_socket_addrs()? {
            if !found.contains(&address) {
                found.push(address);
            }
        }
        if found.is_empty() {
            return Err(std::io::Error::other("the name has no address"));
        }
        Ok(found)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp {
            host: address.ip().to_string(),
            port: address.port(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn what_is_written_is_understood_and_shown_again() {
        for text in [
            "127.0.0.1:8080",
            "localhost:0",
            "[::]:65535",
            "[::1]:1",
            "[fe80::1%eth0]:1",
            "unix:/run/hasses.sock",
            "unix:relative.sock",
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        use EndpointError::*;
        let long = format!("unix:/{}", "x".repeat(MAX_UNIX_PATH));
        for (text, why) in [
            ("8080", Form),
            ("", Form),
            ("localhost", Form),
            ("localhost:", Port),
            ("localhost:+1", Port),
            ("localhost:65536", Port),
            (":8080", Host),
            ("*:8080", Host),
            ("::1:8080", Host),
            ("[127.0.0.1]:80", Host),
            ("[::1:80", Host),
            ("a b:80", Host),
            ("http://localhost:80", Host),
            ("unix:", NoPath),
            (long.as_str(), LongPath),
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(why), "{text}");
        }
    }

    #[test]
    fn a_name_resolves_to_each_address_once() {
        let endpoint: Endpoint = "localhost:7".parse().unwrap();
        let found = endpoint.resolve().unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback()));
        let endpoint: Endpoint = "[::]:7".parse().unwrap();
        assert_eq!(endpoint.resolve().unwrap().len(), 1);
    }
}
