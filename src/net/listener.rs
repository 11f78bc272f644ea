//! Sockets that accept connections.

use super::inherited::Inherited;
use super::source::source;
use super::stream::{self, Stream, canonical};
use crate::address::Listen;
use mio::net::{TcpListener, UnixListener, UnixStream};
use rustix::fs::Mode;
#[cfg(any(target_os = "linux", target_os = "android"))]
use socket2::SockFilter;
use socket2::{Domain, Protocol, Socket, Type};
use std::fmt;
use std::fs::Permissions;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::SocketAddr as UnixAddress;
use std::path::{Path, PathBuf};

/// As many connections may wait to be accepted; the kernel may allow fewer.
pub const BACKLOG: i32 = 1024;

/// Instructions of Linux's socket filters (networking/filter.rst of its
/// documentation). What is returned is how much of a packet to keep.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod bpf {
    pub const LOAD_BYTE: u16 = 0x30;
    pub const AND: u16 = 0x54;
    pub const IF_EQUAL: u16 = 0x15;
    pub const RETURN: u16 = 0x06;
}

/// A listening socket. A Unix one's file is removed when it is dropped, unless
/// somebody else has made it.
#[derive(Debug)]
pub enum Listener {
    /// On an IPv4 or IPv6 address.
    Tcp(TcpListener),
    /// On a socket file.
    Unix(UnixListener, Option<SocketFile>),
}

/// How a socket is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// The permission bits of a Unix socket's file; `None`: as the umask has it.
    pub mode: Option<u32>,
    /// Whether other processes may listen on the same TCP address.
    pub reuse_port: bool,
}

/// Who connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// From an IPv4 or IPv6 address; port 0 where a proxy did not say it.
    Tcp(SocketAddr),
    /// From this machine.
    Unix,
}

impl Peer {
    /// The IP address, never an IPv4-mapped IPv6 one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Peer::Tcp(address) => Some(address.ip().to_canonical()),
            Peer::Unix => None,
        }
    }
}

impl Listener {
    /// Opens all sockets of an address: a host name may have several, and no
    /// host at all means every address, IPv6 and IPv4.
    ///
    /// # Errors
    /// Why one of them cannot be opened.
    pub fn open(
        address: &Listen,
        manner: Manner,
        inherited: &Inherited,
    ) -> io::Result<Vec<Listener>> {
        let tcp = |address| Listener::tcp(address, manner.reuse_port);
        match address {
            Listen::Tcp { host: None, port } => {
                let every = |ip: IpAddr| tcp(SocketAddr::new(ip, *port)).map(|l| vec![l]);
                // Without IPv6 in the kernel, every address is every IPv4 one.
                every(Ipv6Addr::UNSPECIFIED.into()).or_else(|e| match e.kind() {
                    ErrorKind::AddrInUse | ErrorKind::PermissionDenied => Err(e),
                    _ => every(Ipv4Addr::UNSPECIFIED.into()),
                })
            }
            Listen::Tcp {
                host: Some(host),
                port,
            } => {
                let mut addresses: Vec<_> = (host.as_str(), *port).to_socket_addrs()?.collect();
                addresses.sort();
                addresses.dedup();
                addresses.into_iter().map(tcp).collect()
            }
            Listen::Unix(path) => Listener::unix(path, manner.mode).map(|l| vec![l]),
            Listen::Systemd(_) | Listen::Fd(_) => {
                let sockets = inherited.sockets(address)?.into_iter();
                sockets.map(Listener::inherited).collect()
            }
        }
    }

    fn tcp(address: SocketAddr, reuse_port: bool) -> io::Result<Listener> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        if address.is_ipv6() {
            socket.set_only_v6(!address.ip().is_unspecified())?;
        }
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        // What is accepted here has these options from here.
        stream::prepare_client(&socket)?;
        if reuse_port {
            socket.set_reuse_port(true)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(Listener::Tcp(TcpListener::from_std(socket.into())))
    }

    fn unix(path: &Path, mode: Option<u32>) -> io::Result<Listener> {
        remove_stale(path)?;
        // The mode must hold from the first moment on, not from a later chmod.
        let umask = mode.map(|mode| rustix::process::umask(Mode::from_raw_mode(!mode & 0o777)));
        let bound = UnixListener::bind(path);
        if let Some(umask) = umask {
            rustix::process::umask(umask);
        }
        let file = SocketFile(path.to_owned());
        Ok(Listener::Unix(bound?, Some(file)))
    }

    /// Who else has the socket may have set it otherwise.
    fn inherited(socket: Socket) -> io::Result<Listener> {
        socket.set_nonblocking(true)?;
        if socket.local_addr()?.domain() == Domain::UNIX {
            let listener = UnixListener::from_std(OwnedFd::from(socket).into());
            return Ok(Listener::Unix(listener, None));
        }
        stream::prepare_client(&socket)?;
        Ok(Listener::Tcp(TcpListener::from_std(socket.into())))
    }

    /// Whether only this machine reaches it.
    pub fn is_local(&self) -> bool {
        match self {
            Listener::Tcp(listener) => {
                let address = listener.local_addr();
                address.is_ok_and(|address| address.ip().to_canonical().is_loopback())
            }
            Listener::Unix(..) => true,
        }
    }

    /// Gives the socket's file another access mode.
    ///
    /// # Errors
    /// What the system says.
    pub fn change_mode(&self, mode: u32) -> io::Result<()> {
        match self {
            Listener::Tcp(_) | Listener::Unix(_, None) => Ok(()),
            Listener::Unix(_, Some(SocketFile(path))) => {
                std::fs::set_permissions(path, Permissions::from_mode(mode))
            }
        }
    }

    /// Ignores whoever asks for a connection from now on; who has been answered
    /// still connects. There are others to answer on the same port as soon as
    /// this socket is closed, and a client asks again.
    ///
    /// # Errors
    /// What the system says.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn ignore_new(&self) -> io::Result<()> {
        let Listener::Tcp(listener) = self else {
            return Ok(());
        };
        // What a filter sees begins with the TCP header, whose byte 13 has the
        // flags (RFC 9293 section 3.1): SYN without ACK is the first of three.
        const SYN: u32 = 0x02;
        const ACK: u32 = 0x10;
        socket2::SockRef::from(listener).attach_filter(&[
            SockFilter::new(bpf::LOAD_BYTE, 0, 0, 13),
            SockFilter::new(bpf::AND, 0, 0, SYN | ACK),
            SockFilter::new(bpf::IF_EQUAL, 0, 1, SYN),
            SockFilter::new(bpf::RETURN, 0, 0, 0),
            SockFilter::new(bpf::RETURN, 0, 0, u32::MAX),
        ])
    }

    /// Elsewhere a port is not shared out, but the last to come has it all.
    ///
    /// # Errors
    /// None.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub fn ignore_new(&self) -> io::Result<()> {
        Ok(())
    }

    /// Accepts a connection.
    ///
    /// # Errors
    /// `WouldBlock` if none waits, else what the system says.
    pub fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, address) = listener.accept()?;
                #[cfg(not(any(target_os = "linux", target_os = "android")))]
                stream::prepare(&socket2::SockRef::from(&stream))?;
                Ok((Stream::Tcp(stream), Peer::Tcp(canonical(address))))
            }
            Listener::Unix(listener, _) => {
                let (stream, _) = listener.accept()?;
                Ok((Stream::Unix(stream), Peer::Unix))
            }
        }
    }
}

/// The address that the socket really has.
impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listener::Tcp(listener) => match listener.local_addr() {
                Ok(address) => write!(f, "{address}"),
                Err(e) => write!(f, "an unknown address ({e})"),
            },
            Listener::Unix(_, Some(SocketFile(path))) => write!(f, "unix:{}", path.display()),
            Listener::Unix(listener, None) => write_name(f, &listener.local_addr()),
        }
    }
}

/// The name of a Unix socket, as an address has it.
fn write_name(f: &mut fmt::Formatter<'_>, address: &io::Result<UnixAddress>) -> fmt::Result {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    use std::os::linux::net::SocketAddrExt;

    let Ok(address) = address else {
        return f.write_str("unix");
    };
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(name) = address.as_abstract_name() {
        return write!(f, "unix:@{}", name.escape_ascii());
    }
    match address.as_pathname() {
        Some(path) => write!(f, "unix:{}", path.display()),
        None => f.write_str("unix"),
    }
}

/// Without a port where it is not known.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Tcp(address) if address.port() == 0 => address.ip().fmt(f),
            Peer::Tcp(address) => address.fmt(f),
            Peer::Unix => f.write_str("unix"),
        }
    }
}

/// A socket file that goes when its listener goes.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Removes a socket file that nobody listens on any more.
fn remove_stale(path: &Path) -> io::Result<()> {
    let file = match std::fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !file.file_type().is_socket() {
        return Err(io::Error::new(
            ErrorKind::AlreadyExists,
            "the file exists and is no socket",
        ));
    }
    let live = io::Error::new(
        ErrorKind::AddrInUse,
        "another process listens on this socket",
    );
    // Not to block: a listener whose backlog is full is a live one.
    match UnixStream::connect(path) {
        Err(e) if e.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) if e.kind() == ErrorKind::WouldBlock => Err(live),
        Err(e) => Err(e),
        Ok(_) => Err(live),
    }
}

source!(Listener, self => match self {
    Listener::Tcp(listener) => listener,
    Listener::Unix(listener, _) => listener,
});
