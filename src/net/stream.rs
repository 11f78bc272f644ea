//! A connected TCP or Unix stream socket.

use super::carrier::{Carrier, Received, Taken};
use super::resolve::Address;
use super::source::source;
use mio::net::{TcpStream, UnixStream};
use socket2::{SockRef, Socket, TcpKeepalive};
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// A stream socket that never blocks.
#[derive(Debug)]
pub enum Stream {
    /// Over IPv4 or IPv6.
    Tcp(TcpStream),
    /// On this machine.
    Unix(UnixStream),
}

/// Does the same with the socket of either kind.
macro_rules! each {
    ($stream:expr, $socket:ident => $do:expr) => {
        match $stream {
            Stream::Tcp($socket) => $do,
            Stream::Unix($socket) => $do,
        }
    };
}

impl Stream {
    /// Begins to connect; [`connected`](Stream::connected) tells when it is
    /// done. Small writes leave at once, and a peer that vanishes is noticed.
    ///
    /// # Errors
    /// What the system says at once: a refusal, a full backlog, no descriptor.
    pub fn connect(address: &Address) -> io::Result<Stream> {
        match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(*address)?;
                let socket = SockRef::from(&stream);
                socket.set_tcp_nodelay(true)?;
                // Nobody on this machine vanishes without a word.
                if !address.ip().is_loopback() {
                    keep_alive(&socket)?;
                }
                // Urgent bytes are bytes like others: nothing is left out.
                socket.set_out_of_band_inline(true)?;
                Ok(Stream::Tcp(stream))
            }
            Address::Unix(address) => Ok(Stream::Unix(UnixStream::connect_addr(address)?)),
        }
    }

    /// Whether a connection that was begun is there now.
    ///
    /// # Errors
    /// Why it failed.
    pub fn connected(&self) -> io::Result<bool> {
        let peer = match self {
            Stream::Tcp(socket) => socket.peer_addr().map(Some),
            Stream::Unix(socket) => socket.peer_addr().map(|_| None),
        };
        match (self, peer) {
            // A port that nobody listens on can be the one that the kernel
            // gives to this very connection, which then is with itself.
            (Stream::Tcp(socket), Ok(peer)) if socket.local_addr().ok() == peer => {
                Err(io::ErrorKind::ConnectionRefused.into())
            }
            (_, Ok(_)) => Ok(true),
            (_, Err(e)) if e.kind() == io::ErrorKind::NotConnected => {
                match each!(self, socket => socket.take_error())? {
                    Some(error) => Err(error),
                    None => Ok(false),
                }
            }
            (_, Err(e)) => Err(e),
        }
    }

    /// Whether both ends are on this machine, and the kernel hands bytes over
    /// at once.
    pub fn is_local(&self) -> bool {
        matches!(self, Stream::Unix(_))
    }

    /// The socket's descriptor.
    #[inline]
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        each!(self, socket => socket.as_fd())
    }

    /// Makes the end that the other side sees a reset.
    pub fn reset(&self) {
        if let Stream::Tcp(socket) = self {
            // Without it the end is a usual one, which does no harm.
            let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
        }
    }

    /// The address that the other side has connected to.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Stream::Tcp(socket) => socket.local_addr().ok().map(canonical),
            Stream::Unix(_) => None,
        }
    }
}

/// A short read or write of a TCP socket proves that nothing more is there or
/// fits. Linux promises so (epoll(7)), but for urgent data, which the caller
/// knows of by an event; elsewhere `WouldBlock` is waited for. A Unix socket's
/// read also ends where a file descriptor was sent along.
const SHORT_IS_ALL: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// An IPv4 client of an IPv6 socket is what it is.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Bytes for a client that may wait in the kernel and are not under way yet.
/// What waits longer waits here, where it is seen whether the client takes
/// anything, and a ping is not behind megabytes.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT: u32 = 256 * 1024;

/// A client's connection, or a listener that such connections inherit from.
pub(super) fn prepare_client(socket: &Socket) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_notsent_lowat(UNSENT)?;
    prepare(socket)
}

/// Small writes leave at once, and a peer that vanishes is noticed.
pub(super) fn prepare(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    keep_alive(socket)
}

fn keep_alive(socket: &Socket) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15));
    socket.set_tcp_keepalive(&keepalive)
}

impl Carrier for Stream {
    #[inline]
    fn read(&mut self, into: &mut [u8]) -> io::Result<Received> {
        let bytes = each!(self, socket => socket.read(into))?;
        let drained = SHORT_IS_ALL && bytes < into.len() && matches!(self, Stream::Tcp(_));
        Ok(Received { bytes, drained })
    }

    #[inline]
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<Taken> {
        let (bytes, offered) = match slices {
            [slice] => (each!(self, socket => socket.write(slice))?, slice.len()),
            _ => (
                each!(self, socket => socket.write_vectored(slices))?,
                slices.iter().map(|slice| slice.len()).sum(),
            ),
        };
        let full = SHORT_IS_ALL && bytes < offered;
        Ok(Taken { bytes, full })
    }

    fn finish(&mut self) -> io::Result<()> {
        each!(self, socket => socket.shutdown(Shutdown::Write))
    }
}

source!(Stream, self => match self {
    Stream::Tcp(socket) => socket,
    Stream::Unix(socket) => socket,
});
