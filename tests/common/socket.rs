//! A stream of either family, under the addresses that adit's user writes.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::Duration;

use socket2::{Domain, SockRef, Type};

use super::PATIENCE;
use super::tls::Secured;

/// A connected stream whose reads and writes fail after [`PATIENCE`].
pub enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<Secured>),
}

impl Socket {
    /// Connects to `HOST:PORT`, `unix:/path` or `unix:@name`.
    #[track_caller]
    pub fn connect(address: &str) -> Self {
        let socket = match address.strip_prefix("unix:") {
            None => TcpStream::connect(address).map(Socket::Tcp),
            Some(path) => match path.strip_prefix('@') {
                None => UnixStream::connect(path).map(Socket::Unix),
                Some(name) => SocketAddr::from_abstract_name(name)
                    .and_then(|name| UnixStream::connect_addr(&name))
                    .map(Socket::Unix),
            },
        };
        socket
            .unwrap_or_else(|e| panic!("connecting to {address}: {e}"))
            .prepared()
    }

    /// Connects to `HOST:PORT` from an address of this machine's own choice:
    /// all of 127.0.0.0/8 is there to be many clients.
    #[track_caller]
    pub fn connect_from(source: IpAddr, address: &str) -> Self {
        let address: std::net::SocketAddr = address.parse().unwrap();
        let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None);
        let socket = socket.unwrap();
        let source = std::net::SocketAddr::new(source, 0);
        socket.bind(&source.into()).unwrap();
        socket
            .connect(&address.into())
            .unwrap_or_else(|e| panic!("connecting from {source} to {address}: {e}"));
        Socket::Tcp(socket.into()).prepared()
    }

    /// With no delay and with the time limits of a test.
    pub fn prepared(self) -> Self {
        self.each(
            |s| s.set_nodelay(true),
            |_| Ok(()), // a Unix socket never waits to fill a segment
        );
        self.patience(PATIENCE);
        self
    }

    pub fn patience(&self, limit: Duration) {
        let limit = Some(limit);
        self.each(|s| s.set_read_timeout(limit), |s| s.set_read_timeout(limit));
        self.each(
            |s| s.set_write_timeout(limit),
            |s| s.set_write_timeout(limit),
        );
    }

    /// A second handle to the same stream, for a thread of its own.
    pub fn handle(&self) -> Self {
        match self {
            Socket::Tcp(s) => Socket::Tcp(s.try_clone().unwrap()),
            Socket::Unix(s) => Socket::Unix(s.try_clone().unwrap()),
            Socket::Tls(_) => panic!("TLS has one state, and so one handle"),
        }
    }

    /// The TLS that is spoken here.
    #[track_caller]
    pub fn tls(&mut self) -> &mut Secured {
        match self {
            Socket::Tls(secured) => secured,
            _ => panic!("no TLS is spoken here"),
        }
    }

    /// Ends what this side says; it can still listen. TLS is only cut by that,
    /// see [`Secured::finish`].
    pub fn finish(&self) {
        self.each(
            |s| s.shutdown(Shutdown::Write),
            |s| s.shutdown(Shutdown::Write),
        );
    }

    /// Ends with an RST instead of a FIN.
    pub fn reset(self) {
        if let Some(stream) = self.tcp() {
            SockRef::from(stream)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
        }
    }

    /// Makes the kernel hold little, so that a test sees the queues of adit.
    pub fn small_buffers(&self) {
        if let Some(stream) = self.tcp() {
            let socket = SockRef::from(stream);
            socket.set_recv_buffer_size(32 << 10).unwrap();
            socket.set_send_buffer_size(32 << 10).unwrap();
        }
    }

    #[track_caller]
    pub fn say(&mut self, bytes: &[u8]) {
        self.write_all(bytes).unwrap();
    }

    /// Exactly `n` bytes.
    #[track_caller]
    pub fn hear(&mut self, n: usize) -> Vec<u8> {
        let mut bytes = vec![0; n];
        self.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Everything up to the other side's FIN.
    #[track_caller]
    pub fn hear_all(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes).unwrap();
        bytes
    }

    /// Whether the connection is over: a FIN, or an RST where `reset` is as good.
    pub fn is_over(&mut self) -> bool {
        match self.read(&mut [0]) {
            Ok(n) => n == 0,
            Err(e) => e.kind() == ErrorKind::ConnectionReset,
        }
    }

    #[track_caller]
    fn each<T>(
        &self,
        tcp: impl FnOnce(&TcpStream) -> io::Result<T>,
        unix: impl FnOnce(&UnixStream) -> io::Result<T>,
    ) -> T {
        match self {
            Socket::Tcp(stream) => tcp(stream),
            Socket::Unix(stream) => unix(stream),
            Socket::Tls(secured) => tcp(&secured.tcp),
        }
        .unwrap()
    }

    fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Socket::Tcp(stream) => Some(stream),
            Socket::Unix(_) => None,
            Socket::Tls(secured) => Some(&secured.tcp),
        }
    }
}

impl Read for Socket {
    /// Past interruptions: a read with a time limit is not begun anew by the
    /// kernel when the process was stopped for a moment.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match self {
                Socket::Tcp(stream) => stream.read(buffer),
                Socket::Unix(stream) => stream.read(buffer),
                Socket::Tls(secured) => secured.read(buffer),
            };
            match read {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.write(bytes),
            Socket::Unix(stream) => stream.write(bytes),
            Socket::Tls(secured) => secured.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.write_vectored(slices),
            Socket::Unix(stream) => stream.write_vectored(slices),
            Socket::Tls(secured) => secured.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
