//! An answer that is written bit by bit, as fast as its reader takes it.

use std::io;
use std::time::SystemTime;

use futures_lite::FutureExt;

use super::super::Publisher;
use super::super::connection::{Broken, Connection};
use crate::wire::http::response::flowing_head;
use crate::wire::http::{Date, Method, Request, Version};
use crate::wire::sse::LAST_CHUNK;

/// An answer on its way.
pub(super) struct Flow<'a> {
    publisher: &'a Publisher,
    connection: &'a mut Connection,
    chunked: bool,
    goes_on: bool,
}

impl<'a> Flow<'a> {
    /// Writes the head; none if that was all, as for HEAD, after which the connection ends.
    pub(super) async fn begin(
        publisher: &'a Publisher,
        connection: &'a mut Connection,
        request: &Request,
        kind: &str,
    ) -> Result<Option<Self>, Broken> {
        connection.flush().await?;
        let head_only = request.method == Method::Head;
        let goes_on = !request.close && !head_only && request.version == Version::Http11;
        let date = Date::from(SystemTime::now());
        let head = flowing_head(request.version, kind, !goes_on, date);
        let flow = Self {
            publisher,
            connection,
            chunked: request.version == Version::Http11,
            goes_on,
        };
        flow.put(&head).await?;
        Ok((!head_only).then_some(flow))
    }

    /// Writes a bit and waits until the system has taken it.
    pub(super) async fn write(&self, bit: impl AsRef<[u8]>) -> Result<(), Broken> {
        match (bit.as_ref(), self.chunked) {
            // An empty chunk would be the last.
            ([], _) => Ok(()),
            (bit, true) => {
                let size = format!("{:x}\r\n", bit.len());
                let chunk = [size.as_bytes(), bit, b"\r\n"].concat();
                self.put(&chunk).await
            }
            (bit, false) => self.put(bit).await,
        }
    }

    /// Ends the answer; whether the connection goes on.
    pub(super) async fn end(self) -> Result<bool, Broken> {
        if self.chunked {
            self.put(LAST_CHUNK).await?;
        }
        Ok(self.goes_on && !self.publisher.stop.is_cancelled())
    }

    /// The connection, for reading.
    pub(super) fn connection(&mut self) -> &mut Connection {
        self.connection
    }

    async fn put(&self, bytes: &[u8]) -> Result<(), Broken> {
        let written = async { Ok(self.connection.write_all(bytes).await?) };
        let given_up = async {
            // A stop waits for nobody who does not read.
            self.publisher.stop.cancelled().await;
            Err(Broken::Failed(io::ErrorKind::TimedOut.into()))
        };
        written.or(given_up).await
    }
}
