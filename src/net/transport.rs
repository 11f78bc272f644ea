//! What a tunnel needs of a connection, and no more: so that it can be a
//! socket, with or without TLS, or a pair of buffers in a test.

use super::carrier::{Received, Taken};
use super::lent::Lent;
use super::secured::Secured;
use super::tls::{Acceptor, Connector};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

/// A stream of bytes in both directions that never blocks.
pub trait Transport {
    /// Whether everything is there now that was begun: the connection, and TLS
    /// over it.
    ///
    /// # Errors
    /// Why it failed.
    fn connected(&mut self, lent: &mut Lent) -> io::Result<bool>;

    /// Begins TLS as the client, within TLS if that was begun before.
    ///
    /// # Errors
    /// What is wrong with the settings.
    fn connect_tls(&mut self, connector: &Connector) -> io::Result<()>;

    /// Reads what has come, at most as much as `into` holds.
    ///
    /// # Errors
    /// `WouldBlock` if nothing has come, else what broke the connection.
    fn read(&mut self, into: &mut [u8], lent: &mut Lent) -> io::Result<Received>;

    /// As `read`, of bytes that nobody will look at: what they mean is not
    /// found out, and nothing is to be [`read`](Self::read) behind them.
    ///
    /// # Errors
    /// `WouldBlock` if nothing has come, else what broke the connection.
    fn drain(&mut self, into: &mut [u8], lent: &mut Lent) -> io::Result<Received> {
        self.read(into, lent)
    }

    /// Writes as much of the slices as fits.
    ///
    /// # Errors
    /// `WouldBlock` if nothing fits, else what broke the connection.
    fn write(&mut self, slices: &[IoSlice<'_>], lent: &mut Lent) -> io::Result<Taken>;

    /// The descriptor whose bytes are this connection's, as they are, so that the
    /// kernel can move them; `None` where it cannot, as with TLS.
    fn plain(&self) -> Option<BorrowedFd<'_>>;

    /// What the other side connected to; `None` where that is no IP address.
    fn local_address(&self) -> Option<SocketAddr>;

    /// Bytes that were taken and wait in the transport itself.
    fn waiting(&self) -> usize;

    /// Sends what waits in the transport itself, as much as fits.
    ///
    /// # Errors
    /// What broke the connection.
    fn flush(&mut self) -> io::Result<()>;

    /// Ends the writing side, after all that was written. While something
    /// still waits then, it is to be called again when there is room.
    ///
    /// # Errors
    /// What broke the connection.
    fn finish(&mut self) -> io::Result<()>;

    /// Begins TLS as the server; `received` was read already and belongs to it.
    ///
    /// # Errors
    /// What is wrong with the settings.
    fn secure(&mut self, acceptor: &Acceptor, received: &[u8]) -> io::Result<()>;

    /// What is known of the other side over TLS; `None` without TLS, and until
    /// its handshake is over.
    fn secured(&self) -> Option<Secured>;

    /// Whether what was written arrives though the connection is dropped with
    /// bytes unread. A TCP socket would send a reset, which overtakes it.
    fn may_be_dropped(&self) -> bool;

    /// Makes the other side see that the end is not a good one, where that can
    /// be told; to be dropped then.
    fn reset(&mut self);
}
