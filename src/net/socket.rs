//! A connection as the tunnel has it: a stream, and TLS over it if that was
//! begun.

use super::source::source;
use super::stream::Stream;
use super::tls::{Acceptor, Connector, Session};
use super::transport::{Lent, Received, Secured, Taken, Transport};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

/// A connection, with or without TLS.
#[derive(Debug)]
pub struct Socket {
    stream: Stream,
    tls: Option<Box<Session>>,
}

impl Socket {
    /// A connection without TLS, as yet.
    pub fn new(stream: Stream) -> Self {
        Socket { stream, tls: None }
    }

    /// Begins TLS as the client.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn connect_tls(&mut self, connector: &Connector) -> io::Result<()> {
        self.tls = Some(Box::new(Session::connect(connector)?));
        Ok(())
    }

    /// Whether everything is there now that was begun: the connection, and
    /// TLS over it.
    ///
    /// # Errors
    /// Why it failed.
    pub fn connected(&mut self, lent: &mut Lent) -> io::Result<bool> {
        if !self.stream.connected()? {
            return Ok(false);
        }
        match &mut self.tls {
            None => Ok(true),
            Some(tls) => tls.handshake(&mut self.stream, lent),
        }
    }
}

impl Transport for Socket {
    #[inline]
    fn read(&mut self, into: &mut [u8], lent: &mut Lent) -> io::Result<Received> {
        match &mut self.tls {
            None => self.stream.read(into),
            Some(tls) => tls.read(&mut self.stream, into, lent),
        }
    }

    /// Without TLS: what a peer sends to nobody costs no deciphering, and
    /// nothing in it can be wrong.
    fn drain(&mut self, into: &mut [u8], _: &mut Lent) -> io::Result<Received> {
        self.stream.read(into)
    }

    #[inline]
    fn write(&mut self, slices: &[IoSlice<'_>], lent: &mut Lent) -> io::Result<Taken> {
        match &mut self.tls {
            None => self.stream.write(slices),
            Some(tls) => tls.write(&mut self.stream, slices, lent),
        }
    }

    #[inline]
    fn waiting(&self) -> usize {
        self.tls.as_ref().map_or(0, |tls| tls.waiting())
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            None => Ok(()),
            Some(tls) => tls.flush(&mut self.stream),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        match &mut self.tls {
            None => self.stream.finish(),
            Some(tls) => tls.finish(&mut self.stream),
        }
    }

    #[inline]
    fn plain(&self) -> Option<BorrowedFd<'_>> {
        self.tls.is_none().then(|| self.stream.as_fd())
    }

    fn local_address(&self) -> Option<SocketAddr> {
        self.stream.local_address()
    }

    fn secured(&self) -> Option<Secured> {
        self.tls.as_ref().and_then(|tls| tls.secured())
    }

    fn secure(&mut self, acceptor: &Acceptor, received: &[u8]) -> io::Result<()> {
        self.tls = Some(Box::new(Session::accept(acceptor, received)?));
        Ok(())
    }
}

source!(Socket, self => &mut self.stream);
