//! Connections that somebody else has accepted, or made.

use super::listener::Peer;
use super::stream::{self, Stream, canonical};
use socket2::{Domain, Socket};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;

/// Makes a connection ready for the poll, and says who is at its other end.
///
/// # Errors
/// The peer is gone already, or what the system says.
pub fn connection(socket: Socket) -> io::Result<(Stream, Peer)> {
    socket.set_nonblocking(true)?;
    if socket.local_addr()?.domain() == Domain::UNIX {
        let stream = mio::net::UnixStream::from_std(OwnedFd::from(socket).into());
        return Ok((Stream::Unix(stream), Peer::Unix));
    }
    stream::prepare_client(&socket)?;
    let stream = std::net::TcpStream::from(socket);
    let peer = stream.peer_addr().map_err(|e| match e.kind() {
        ErrorKind::NotConnected => io::Error::new(e.kind(), "the client is gone already"),
        _ => e,
    })?;
    let stream = Stream::Tcp(mio::net::TcpStream::from_std(stream));
    Ok((stream, Peer::Tcp(canonical(peer))))
}
