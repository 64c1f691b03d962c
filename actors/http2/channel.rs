//! One stream of a connection, as its actor has it: something to read from and to write to.

use std::io;
use std::rc::Rc;

use super::connection::Connection;
use crate::net::stream::{self, Stream};

pub(super) struct Channel {
    connection: Rc<Connection>,
    id: u32,
}

impl Channel {
    pub(super) fn new(connection: Rc<Connection>, id: u32) -> Self {
        Self { connection, id }
    }
}

impl stream::Channel for Channel {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.connection.read(self.id, buffer)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.connection.write(self.id, bytes)
    }

    fn finish(&self) {
        self.connection.finish(self.id);
    }

    fn socket(&self) -> &Stream {
        &self.connection.socket
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.connection.forget(self.id);
    }
}
