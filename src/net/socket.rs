//! A connection as the tunnel has it: a stream, and TLS over it if that was
//! begun; twice where a proxy speaks it and the server behind the proxy too.

use super::carrier::{Carrier, Received, Taken};
use super::lent::Lent;
use super::secured::Secured;
use super::source::source;
use super::stream::Stream;
use super::tls::{Acceptor, Connector, Session};
use super::transport::Transport;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

/// A connection, with or without TLS.
#[derive(Debug)]
pub struct Socket {
    stream: Stream,
    tls: Option<Box<Layers>>,
}

/// TLS, once or twice.
#[derive(Debug)]
struct Layers {
    inner: Session,
    /// To a proxy, around the other.
    outer: Option<Box<Session>>,
}

/// Does the same with the session and what carries it, or else with the stream.
macro_rules! carried {
    ($socket:expr, $stream:ident => $plain:expr, ($tls:ident, $carrier:ident) => $do:expr) => {{
        let Socket { stream, tls } = $socket;
        match tls.as_deref_mut() {
            None => {
                let $stream = stream;
                $plain
            }
            Some(Layers {
                inner: $tls,
                outer: None,
            }) => {
                let $carrier = stream;
                $do
            }
            Some(Layers {
                inner: $tls,
                outer: Some(outer),
            }) => {
                let $carrier = &mut Through { stream, outer };
                $do
            }
        }
    }};
}

impl Socket {
    /// A connection without TLS, as yet.
    pub fn new(stream: Stream) -> Self {
        Socket { stream, tls: None }
    }
}

impl Transport for Socket {
    fn connected(&mut self, lent: &mut Lent) -> io::Result<bool> {
        if !self.stream.connected()? {
            return Ok(false);
        }
        carried!(self, _stream => Ok(true), (tls, carrier) => tls.handshake(carrier, lent))
    }

    fn connect_tls(&mut self, connector: &Connector) -> io::Result<()> {
        let inner = Session::connect(connector)?;
        let outer = self.tls.take().map(|before| Box::new(before.inner));
        self.tls = Some(Box::new(Layers { inner, outer }));
        Ok(())
    }

    #[inline]
    fn read(&mut self, into: &mut [u8], lent: &mut Lent) -> io::Result<Received> {
        carried!(self, stream => stream.read(into), (tls, carrier) => tls.read(carrier, into, lent))
    }

    /// Without TLS: what a peer sends to nobody costs no deciphering, and
    /// nothing in it can be wrong.
    fn drain(&mut self, into: &mut [u8], _: &mut Lent) -> io::Result<Received> {
        self.stream.read(into)
    }

    #[inline]
    fn write(&mut self, slices: &[IoSlice<'_>], lent: &mut Lent) -> io::Result<Taken> {
        carried!(
            self,
            stream => stream.write(slices),
            (tls, carrier) => tls.write(carrier, slices, lent)
        )
    }

    #[inline]
    fn waiting(&self) -> usize {
        let layers = self.tls.iter().flat_map(|tls| {
            let outer = tls.outer.iter().map(|outer| outer.waiting());
            outer.chain([tls.inner.waiting()])
        });
        layers.sum()
    }

    fn flush(&mut self) -> io::Result<()> {
        let outer = self.tls.as_mut().and_then(|tls| tls.outer.as_mut());
        if let Some(outer) = outer {
            outer.flush(&mut self.stream)?;
        }
        carried!(self, _stream => Ok(()), (tls, carrier) => tls.flush(carrier))
    }

    fn finish(&mut self) -> io::Result<()> {
        carried!(self, stream => stream.finish(), (tls, carrier) => tls.finish(carrier))
    }

    #[inline]
    fn plain(&self) -> Option<BorrowedFd<'_>> {
        self.tls.is_none().then(|| self.stream.as_fd())
    }

    fn local_address(&self) -> Option<SocketAddr> {
        self.stream.local_address()
    }

    fn secured(&self) -> Option<Secured> {
        self.tls.as_ref().and_then(|tls| tls.inner.secured())
    }

    fn secure(&mut self, acceptor: &Acceptor, received: &[u8]) -> io::Result<()> {
        let inner = Session::accept(acceptor, received)?;
        self.tls = Some(Box::new(Layers { inner, outer: None }));
        Ok(())
    }

    fn may_be_dropped(&self) -> bool {
        self.stream.is_local()
    }

    fn reset(&mut self) {
        self.stream.reset();
    }
}

/// TLS to a proxy, as far as the TLS within it sees it. That is rare enough to
/// have its buffers made for each call.
struct Through<'a> {
    stream: &'a mut Stream,
    outer: &'a mut Session,
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

source!(Socket, self => &mut self.stream);
