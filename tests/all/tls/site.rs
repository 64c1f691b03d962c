//! A daemon that speaks TLS, and clients that trust nobody but its authority.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::authority::{Authority, ECDSA};
use support::http::{Tls, Wire};
use support::{Connection, Daemon, PATIENCE, Stream};

/// Where subscribers come by TLS, and publishers without it.
const ADDRESSES: &str = "--listen tls:127.0.0.1:{listen} --control 127.0.0.1:{control}";
const FILES: &str = "--tls-cert {dir}/site.pem --tls-key {dir}/site.key";

pub(crate) struct Site {
    pub(crate) daemon: Daemon,
    trust: Arc<ClientConfig>,
}

impl Site {
    /// Starts it with further options.
    pub(crate) fn start(options: &str) -> Self {
        Self::command_line(&format!("{ADDRESSES} {FILES} {options}"))
    }

    /// Publishers come by TLS too.
    pub(crate) fn all_tls(options: &str) -> Self {
        let addresses = ADDRESSES.replace("--control ", "--control tls:");
        Self::command_line(&format!("{addresses} {FILES} {options}"))
    }

    pub(crate) fn command_line(arguments: &str) -> Self {
        Self::command_line_with(arguments, |_| {})
    }

    /// With files that were moved to other places.
    pub(crate) fn command_line_with(arguments: &str, moved: impl Fn(&Path)) -> Self {
        let daemon = Daemon::prepared(arguments, |place| {
            Authority::new(&place.dir).issue("site", ECDSA);
            moved(&place.dir);
        });
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_file(daemon.file("ca.pem")).unwrap();
        roots.add(root).unwrap();
        let trust = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            daemon,
            trust: Arc::new(trust),
        }
    }

    /// The client's side of TLS, nothing said yet.
    pub(crate) fn session(&self) -> ClientConnection {
        let name = "localhost".try_into().unwrap();
        ClientConnection::new(Arc::clone(&self.trust), name).unwrap()
    }

    /// TLS over any socket.
    pub(crate) fn over<T: Wire>(&self, socket: T) -> Tls<T> {
        socket.tcp().set_nodelay(true).unwrap();
        socket.tcp().set_read_timeout(Some(PATIENCE)).unwrap();
        StreamOwned::new(self.session(), socket)
    }

    pub(crate) fn connect(&self, address: SocketAddr) -> Tls<TcpStream> {
        self.over(TcpStream::connect(address).unwrap())
    }

    /// A subscriber's connection on which TLS agrees on this protocol.
    pub(crate) fn speaking(&self, protocol: &[u8]) -> Tls<TcpStream> {
        let mut config = ClientConfig::clone(&self.trust);
        config.alpn_protocols = vec![protocol.to_vec()];
        let name = "localhost".try_into().unwrap();
        let session = ClientConnection::new(config.into(), name).unwrap();
        let socket = TcpStream::connect(self.daemon.listen).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        StreamOwned::new(session, socket)
    }

    /// The request for a stream, sent.
    pub(crate) fn asked(&self, query: &str) -> Tls<TcpStream> {
        let mut tls = self.connect(self.daemon.listen);
        tls.write_all(request(query).as_bytes()).unwrap();
        tls
    }

    /// A subscriber who misses nothing from now on.
    pub(crate) fn subscribe(&self, query: &str) -> Stream {
        let mut stream = Stream::answered(Connection::over(self.asked(query)));
        stream.position();
        stream
    }

    /// What stands in `tcpstatus`; publishers must come without TLS.
    pub(crate) fn status(&self, key: &str) -> serde_json::Value {
        let status = support::publish::ask_tcp(self.daemon.control, "tcpstatus\n");
        serde_json::from_str::<serde_json::Value>(&status).unwrap()[key].take()
    }
}

pub(crate) fn request(query: &str) -> String {
    format!("GET /sse?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// A socket on which every byte goes alone.
pub(crate) struct Trickle(pub(crate) TcpStream);

impl Wire for Trickle {
    fn tcp(&self) -> &TcpStream {
        &self.0
    }
}

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Trickle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(&bytes[..bytes.len().min(1)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
