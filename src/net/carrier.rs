//! What TLS travels over: a socket, or TLS to a proxy.

use super::stream::Stream;
use super::tls::Session;
use super::transport::{Lent, Received, Taken};
use std::io::{self, IoSlice};

/// What records travel over: a socket, or another TLS session.
pub trait Carrier {
    /// See [`Transport::read`](super::Transport::read).
    ///
    /// # Errors
    /// `WouldBlock`, or what broke the connection.
    fn read(&mut self, into: &mut [u8]) -> io::Result<Received>;

    /// See [`Transport::write`](super::Transport::write).
    ///
    /// # Errors
    /// `WouldBlock`, or what broke the connection.
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<Taken>;

    /// See [`Transport::finish`](super::Transport::finish).
    ///
    /// # Errors
    /// What broke the connection.
    fn finish(&mut self) -> io::Result<()>;
}

/// TLS to a proxy, as far as the TLS within it sees it. That is rare enough to
/// have its buffers made for each call.
pub(super) struct Through<'a> {
    pub(super) stream: &'a mut Stream,
    pub(super) outer: &'a mut Session,
}

impl Carrier for Through<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<Received> {
        self.outer.read(self.stream, into, &mut Lent::default())
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<Taken> {
        self.outer.write(self.stream, slices, &mut Lent::default())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.outer.finish(self.stream)
    }
}
