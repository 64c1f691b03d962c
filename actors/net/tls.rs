//! TLS on a socket (RFC 8446, RFC 5246), by rustls' unbuffered API: a connection keeps no buffers of
//! its own, so that an idle stream stays small. What is kept is what cannot be used yet: a part of a
//! record that came, and the rest of a record that the socket did not take.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus, WriteTraffic,
};

use super::identity::{HTTP2, Identity};
use super::stream::{receive, send};

/// The most data in one record (RFC 8446 §5.1).
const RECORD: usize = 16 * 1024;
/// What encryption adds to it at most, with a `KeyUpdate` in front of it.
const OVERHEAD: usize = 512;
/// Bytes of one read.
const PORTION: usize = 32 * 1024;
/// The longest part of a record, or of a handshake message, that may wait for its rest. A record may
/// have 18 KiB (RFC 5246 §6.2.3); messages of clients that are longer are not met.
const PART: usize = 20 * 1024;
/// Bytes of records without any data in them that one read may bring.
const FRUITLESS: usize = 256 * 1024;
/// The first byte of a handshake record (RFC 8446 §5.1).
const HANDSHAKE: u8 = 0x16;

thread_local! {
    /// Shared by all connections, for what is read and for what is encrypted.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; PORTION].into());
}
const _: () = assert!(PORTION >= RECORD + OVERHEAD);

/// What is wrong with what a client sent.
#[derive(Debug)]
pub enum Trouble {
    /// It does not speak TLS. What it sent can be read, and it can be answered, as it is.
    NotTls,
    /// The handshake failed.
    Handshake(rustls::Error),
    /// It left within the handshake.
    Left,
    /// It did not come to the end of the handshake in time.
    Late,
    /// What came after the handshake is wrong.
    Broken(rustls::Error),
    /// A handshake message is longer than anyone needs, or records without data come without end.
    TooLong,
}

impl Trouble {
    /// The trouble that a socket's error stands for, if it does.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTls => f.write_str(
                "this port speaks TLS, and was spoken to in plain text; \
                 use https:// instead of http://",
            ),
            Self::Handshake(error) => write!(f, "the TLS handshake failed: {error}"),
            Self::Left => f.write_str("the TLS handshake was broken off"),
            Self::Late => f.write_str("the TLS handshake was not done within 10 seconds"),
            Self::Broken(error) => write!(f, "TLS failed: {error}"),
            Self::TooLong => f.write_str("TLS failed: too much came that is no data"),
        }
    }
}

impl std::error::Error for Trouble {}

impl From<Trouble> for io::Error {
    fn from(trouble: Trouble) -> Self {
        Self::new(io::ErrorKind::InvalidData, trouble)
    }
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing came.
    New,
    /// The handshake began.
    Handshake,
    /// Data flows.
    Open,
    /// The peer has ended its side.
    Ended,
    /// The peer does not speak TLS.
    Plain,
    /// What the peer sent was wrong.
    Failed,
}

/// The server's side of one connection.
pub(super) struct Session {
    connection: UnbufferedServerConnection,
    stage: Stage,
    /// Records that came and are not used yet: between two reads no whole one.
    incoming: Vec<u8>,
    /// Data that came with the end of the handshake and is not read yet.
    data: Vec<u8>,
    /// Records that the socket did not take: at most one of data, and answers to the peer's own.
    unsent: Vec<u8>,
}

impl Session {
    /// The side of a server that has `identity`.
    ///
    /// # Errors
    /// None is expected.
    pub(super) fn new(identity: &Identity) -> io::Result<Self> {
        let connection = UnbufferedServerConnection::new(identity.server.clone());
        Ok(Self {
            connection: connection.map_err(Trouble::Handshake)?,
            stage: Stage::New,
            incoming: Vec::new(),
            data: Vec::new(),
            unsent: Vec::new(),
        })
    }

    /// Bytes that the socket has still to take.
    pub(super) fn unsent(&self) -> usize {
        self.unsent.len()
    }

    /// Whether HTTP/2 was agreed on.
    pub(super) fn is_http2(&self) -> bool {
        self.connection.alpn_protocol() == Some(HTTP2)
    }

    /// Whether data cannot flow yet.
    pub(super) fn is_handshaking(&self) -> bool {
        matches!(self.stage, Stage::New | Stage::Handshake)
    }

    /// Goes on with the handshake until it is done.
    ///
    /// # Errors
    /// `WouldBlock` when more must come first; a [`Trouble`]; the socket's.
    pub(super) fn shake_hands(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        while self.is_handshaking() {
            if self.take_in(socket)? == 0 {
                return self.left().map(|_| ());
            }
        }
        Ok(())
    }

    /// Reads what is there; 0 = the peer has ended its side.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; a [`Trouble`]; the socket's.
    pub(super) fn read(&mut self, socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
        let mut fruitless = 0;
        while self.data.is_empty() {
            match self.stage {
                Stage::Plain => return receive(socket, buffer),
                Stage::Ended | Stage::Failed => return Ok(0),
                _ => {}
            }
            let came = self.take_in(socket)?;
            fruitless += came;
            if came == 0 {
                return self.left();
            }
            if self.data.is_empty() && fruitless > FRUITLESS {
                return Err(Trouble::TooLong.into());
            }
        }
        let count = self.data.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.data[..count]);
        self.data.drain(..count);
        self.data.shrink_to_fit();
        Ok(count)
    }

    /// The end of the connection. That there was no word of it (RFC 8446 §6.1) is no error, as many
    /// clients say none; who says nothing at all only looked whether somebody is there.
    fn left(&self) -> io::Result<usize> {
        match self.stage {
            Stage::Handshake => Err(Trouble::Left.into()),
            _ => Ok(0),
        }
    }

    /// Reads from the socket once, and uses what came; how much that was.
    fn take_in(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        let came = SCRATCH.with_borrow_mut(|scratch| {
            let came = receive(socket, scratch)?;
            self.incoming.extend_from_slice(&scratch[..came]);
            io::Result::Ok(came)
        })?;
        if self.stage == Stage::New && came > 0 {
            if self.incoming[0] != HANDSHAKE {
                self.stage = Stage::Plain;
                self.data = std::mem::take(&mut self.incoming);
                return Err(Trouble::NotTls.into());
            }
            self.stage = Stage::Handshake;
        }
        let used = self.process();
        // What is queued for the peer tells it what is wrong, if something is.
        self.push(socket)?;
        used?;
        Ok(came)
    }

    /// Uses the records that came, as far as they are whole.
    fn process(&mut self) -> Result<(), Trouble> {
        let mut used = 0;
        let mut failed = None;
        let mut goes_on = true;
        while goes_on {
            let Self {
                connection,
                incoming,
                data,
                unsent,
                ..
            } = self;
            let UnbufferedStatus { discard, state } =
                connection.process_tls_records(&mut incoming[used..]);
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(Ok(record)) = traffic.next_record() {
                        data.extend_from_slice(record.payload);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(record)) => encode(record, unsent),
                Ok(ConnectionState::TransmitTlsData(sent)) => sent.done(),
                Ok(ConnectionState::PeerClosed) => self.stage = Stage::Ended,
                Ok(ConnectionState::WriteTraffic(_)) if self.stage == Stage::Handshake => {
                    self.stage = Stage::Open;
                }
                // All is used; early data is never asked for.
                Ok(_) => goes_on = false,
                Err(error) => failed = Some(error),
            }
            used += discard;
            if failed.is_some() {
                // There is an alert to be sent, which tells the peer, but nothing more to be read.
                goes_on = connection.wants_write();
            }
        }
        self.incoming.drain(..used);
        self.incoming.shrink_to_fit();
        let trouble = match failed {
            Some(error) if self.is_handshaking() => Trouble::Handshake(error),
            Some(error) => Trouble::Broken(error),
            None if self.incoming.len() > PART => Trouble::TooLong,
            None => return Ok(()),
        };
        self.stage = Stage::Failed;
        Err(trouble)
    }

    /// Writes as much as the socket takes, and at most one record more, whose rest is kept.
    ///
    /// # Errors
    /// `WouldBlock` when the rest of an earlier record is still kept; the socket's.
    pub(super) fn write(&mut self, socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
        if self.stage == Stage::Plain {
            return send(socket, bytes);
        }
        let mut count = 0;
        for piece in bytes.chunks(RECORD) {
            if !self.push(socket)? {
                break;
            }
            self.send(socket, |traffic, record| {
                traffic.encrypt(piece, record).map_err(io::Error::other)
            })?;
            count += piece.len();
        }
        match count {
            0 if !bytes.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(count),
        }
    }

    /// Sends what is kept; whether nothing is kept any more.
    ///
    /// # Errors
    /// The socket's.
    pub(super) fn push(&mut self, socket: BorrowedFd<'_>) -> io::Result<bool> {
        while !self.unsent.is_empty() {
            match send(socket, &self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
            self.unsent.shrink_to_fit();
        }
        Ok(true)
    }

    /// Tells the peer that nothing more comes (RFC 8446 §6.1), if the socket takes it.
    pub(super) fn close(&mut self, socket: BorrowedFd<'_>) {
        // Who cannot be told is gone, or still in the handshake.
        let _gone = self.send(socket, |traffic, record| {
            traffic.queue_close_notify(record).map_err(io::Error::other)
        });
    }

    /// Sends one record that `make` makes, and keeps what the socket does not take.
    fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        make: impl FnOnce(&mut WriteTraffic<'_, Side>, &mut [u8]) -> io::Result<usize>,
    ) -> io::Result<()> {
        if self.stage == Stage::Failed {
            return Err(io::ErrorKind::NotConnected.into());
        }
        // All that came has been used, so this is the state unless the handshake is not done.
        let state = self
            .connection
            .process_tls_records(&mut self.incoming)
            .state;
        let Ok(ConnectionState::WriteTraffic(mut traffic)) = state else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        SCRATCH.with_borrow_mut(|scratch| {
            let length = make(&mut traffic, scratch)?;
            let record = &scratch[..length];
            let count = if self.unsent.is_empty() {
                match send(socket, record) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                    result => result?,
                }
            } else {
                0
            };
            self.unsent.extend_from_slice(&record[count..]);
            Ok(())
        })
    }
}

type Side = rustls::server::ServerConnectionData;

/// Puts a record of the protocol itself behind those that wait.
fn encode(mut record: EncodeTlsData<'_, Side>, unsent: &mut Vec<u8>) {
    if let Err(EncodeError::InsufficientSize(needs)) = record.encode(&mut []) {
        let start = unsent.len();
        unsent.resize(start + needs.required_size, 0);
        // It has the room that it asked for.
        let _fits = record.encode(&mut unsent[start..]);
    }
}
