//! Sockets that the process was started with.
//!
//! systemd hands listening sockets over from descriptor 3 on, and says in the
//! environment how many they are and what they are called (sd_listen_fds(3)).
//! inetd has one on standard input, and on standard output and error as well:
//! what is printed there would reach the client.
//!
//! All of them are taken at the start, before a descriptor of adit's own can
//! have such a number, and kept until it stops: a reload may close the listener
//! and the next one open it again. Whoever handed a socket over still has it,
//! and O_NONBLOCK is common to all who share it, so each listener sets it anew.
//!
//! To own a descriptor by its number is unsafe, so it comes from somebody who
//! answers for it: from listenfd what the environment announces, from the
//! standard library 0, from the kernel (pidfd_getfd(2)) any other.

use crate::address::Listen;
use listenfd::ListenFd;
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};
use std::env;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;

/// The first descriptor that LISTEN_FDS counts.
const FIRST: u16 = 3;

/// Sockets that somebody else has opened to listen.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<(Place, Socket)>,
}

/// Where a socket was handed over.
#[derive(Debug)]
struct Place {
    number: u16,
    name: Option<String>,
}

impl Place {
    fn is_at(&self, address: &Listen) -> bool {
        match address {
            Listen::Systemd(None) => self.number >= FIRST,
            Listen::Systemd(name) => self.name == *name,
            Listen::Fd(number) => self.number == *number,
            Listen::Tcp { .. } | Listen::Unix(_) => false,
        }
    }
}

impl Inherited {
    /// Takes the sockets that these addresses name.
    ///
    /// # Errors
    /// What is there instead.
    pub fn take(addresses: &[&Listen]) -> Result<Inherited, String> {
        let mut sockets = Vec::new();
        let announced = match announced() {
            Err(why) if addresses.iter().any(|a| matches!(a, Listen::Systemd(_))) => {
                return Err(why);
            }
            announced => announced.unwrap_or_default(),
        };
        // Takes the announcement out of the environment, too.
        let mut passed = ListenFd::from_env();
        for (index, place) in announced.into_iter().enumerate() {
            let number = place.number;
            let mut wanted = addresses.iter().filter(|address| place.is_at(address));
            match (wanted.next(), wanted.next()) {
                (None, _) => log::warn!("fd {number} was handed over, and no listener takes it"),
                (Some(_), None) => sockets.push((place, take_passed(&mut passed, index, number)?)),
                (Some(one), Some(other)) => {
                    return Err(format!("fd {number} is wanted twice, by {one} and {other}"));
                }
            }
        }
        for address in addresses {
            let is_there = sockets
                .iter()
                .any(|(place, _): &(Place, _)| place.is_at(address));
            match address {
                Listen::Fd(number) if !is_there => {
                    let (number, name) = (*number, None);
                    sockets.push((Place { number, name }, take_number(number)?));
                }
                Listen::Systemd(_) if !is_there => {
                    return Err(format!("{address}: no socket of this name was handed over"));
                }
                _ => {}
            }
        }
        Ok(Inherited { sockets })
    }

    /// Further handles to the sockets at this address.
    ///
    /// # Errors
    /// There is none, or what the system says.
    pub fn sockets(&self, address: &Listen) -> io::Result<Vec<Socket>> {
        let sockets = self
            .sockets
            .iter()
            .filter(|(place, _)| place.is_at(address));
        let handles = sockets.map(|(_, socket)| socket.try_clone());
        let handles = handles.collect::<io::Result<Vec<_>>>()?;
        match handles.is_empty() {
            false => Ok(handles),
            true => Err(io::Error::other("such a socket is only taken at the start")),
        }
    }
}

/// What the environment says was handed over, in the order of descriptors.
fn announced() -> Result<Vec<Place>, String> {
    let Some(count) = env::var_os("LISTEN_FDS") else {
        return Err("no socket was handed over: LISTEN_FDS is not set".to_owned());
    };
    let count = match count.to_str().and_then(|count| count.parse::<u16>().ok()) {
        Some(0) => return Err("no socket was handed over: LISTEN_FDS is 0".to_owned()),
        Some(count) if count <= u16::MAX - FIRST => count,
        _ => return Err(format!("LISTEN_FDS is {count:?}, no number of sockets")),
    };
    let own = std::process::id();
    if let Some(text) = env::var_os("LISTEN_PID") {
        let pid = text.to_str().and_then(|text| text.parse::<u32>().ok());
        let pid = pid.ok_or_else(|| format!("LISTEN_PID is {text:?}, no number of a process"))?;
        if pid != own {
            return Err(format!(
                "the sockets of LISTEN_FDS are for process {pid}, and this is {own}"
            ));
        }
    }
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').map(str::to_owned);
    let place = |number| Place {
        number,
        name: names.next(),
    };
    Ok((FIRST..FIRST + count).map(place).collect())
}

/// Takes a descriptor that was announced. listenfd gives none without knowing
/// what it is.
fn take_passed(passed: &mut ListenFd, index: usize, number: u16) -> Result<Socket, String> {
    for domain in [Domain::IPV4, Domain::UNIX] {
        for kind in [Type::STREAM, Type::DGRAM, Type::SEQPACKET] {
            let taken = passed.take_custom(index, domain.into(), kind.into(), "socket");
            if let Ok(Some(socket)) = taken {
                return expect_listening(socket, number);
            }
        }
    }
    Err(format!("fd {number} is not open, or no TCP or Unix socket"))
}

/// Takes a descriptor that nobody announced.
fn take_number(number: u16) -> Result<Socket, String> {
    let socket = duplicate(number).map_err(|e| not_taken(number, &e))?;
    let socket = expect_listening(socket.into(), number)?;
    // From now on, it is closed with the listener.
    let moved = match number {
        0 => leave_standard_input(),
        _ => nix::unistd::close(i32::from(number)).map_err(io::Error::from),
    };
    moved.map_err(|e| format!("fd {number}: {e}"))?;
    Ok(socket)
}

fn not_taken(number: u16, e: &io::Error) -> String {
    match Errno::from_io_error(e) {
        Some(Errno::BADF) => format!("fd {number} is not open"),
        // Filters of containers and units often leave it out.
        Some(Errno::PERM | Errno::NOSYS) => {
            format!("fd {number}: {e}; it takes Linux 5.6 and the system call pidfd_getfd")
        }
        _ => format!("fd {number}: {e}"),
    }
}

fn duplicate(number: u16) -> io::Result<OwnedFd> {
    match number {
        0 => io::stdin().as_fd().try_clone_to_owned(),
        _ => duplicate_by_kernel(number),
    }
}

#[cfg(target_os = "linux")]
fn duplicate_by_kernel(number: u16) -> io::Result<OwnedFd> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

    let own = pidfd_open(getpid(), PidfdFlags::empty())?;
    let duplicate = pidfd_getfd(own, i32::from(number), PidfdGetfdFlags::empty())?;
    Ok(duplicate)
}

#[cfg(not(target_os = "linux"))]
fn duplicate_by_kernel(_: u16) -> io::Result<OwnedFd> {
    Err(io::ErrorKind::Unsupported.into())
}

/// What a stream socket is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Listening,
    Connected,
}

fn expect_listening(socket: Socket, number: u16) -> Result<Socket, String> {
    match judge(&socket) {
        Ok(Use::Listening) => Ok(socket),
        Ok(Use::Connected) => Err(format!(
            "fd {number} is a connection; a socket that listens is wanted, \
             and adit inetd for a connection on standard input"
        )),
        Err(what) => Err(format!(
            "fd {number} is {what}; a stream socket that listens is wanted"
        )),
    }
}

/// What this is, or why it is of no use.
fn judge(socket: &Socket) -> Result<Use, &'static str> {
    let kind = socket.r#type().map_err(|_| "no socket")?;
    let domain = socket.local_addr().map(|address| address.domain());
    match domain {
        Ok(Domain::IPV4 | Domain::IPV6 | Domain::UNIX) => {}
        _ => return Err("neither a TCP nor a Unix socket"),
    }
    match kind {
        Type::STREAM => {}
        Type::DGRAM => return Err("a datagram socket"),
        _ => return Err("no stream socket"),
    }
    match socket.peer_addr() {
        _ if socket.is_listener().unwrap_or(false) => Ok(Use::Listening),
        Ok(_) => Ok(Use::Connected),
        // A connection that was reset has nobody at its other end.
        Err(_) if matches!(socket.take_error(), Ok(Some(_))) => Ok(Use::Connected),
        Err(_) => Err("a socket that neither listens nor is connected"),
    }
}

/// Standard input, where it is a socket.
#[derive(Debug)]
pub enum StandardInput {
    /// It listens.
    Listening(Socket),
    /// It is a connection.
    Connected(Socket),
}

impl StandardInput {
    /// Another handle to standard input.
    ///
    /// # Errors
    /// It is no socket that can be served.
    pub fn open() -> Result<Self, String> {
        let socket = duplicate(0).map_err(|e| format!("standard input: {e}"))?;
        let socket = Socket::from(socket);
        match judge(&socket) {
            Ok(Use::Listening) => Ok(StandardInput::Listening(socket)),
            Ok(Use::Connected) => Ok(StandardInput::Connected(socket)),
            Err(what) => Err(format!(
                "standard input is {what}; a TCP or Unix socket is wanted, as inetd hands it over"
            )),
        }
    }
}

/// Lets go of the socket on standard input: whoever has a handle to it has the
/// last one.
///
/// # Errors
/// What the system says.
pub fn leave_standard_input() -> io::Result<()> {
    Ok(rustix::stdio::dup2_stdin(nowhere()?)?)
}

/// Points standard output elsewhere where it is the socket that standard input
/// is. Says whether it was.
///
/// # Errors
/// What the system says.
pub fn divert_output() -> io::Result<bool> {
    divert(io::stdout(), rustix::stdio::dup2_stdout)
}

/// The same for standard error.
///
/// # Errors
/// What the system says.
pub fn divert_error() -> io::Result<bool> {
    divert(io::stderr(), rustix::stdio::dup2_stderr)
}

fn divert(stream: impl AsFd, point: fn(OwnedFd) -> rustix::io::Result<()>) -> io::Result<bool> {
    let input = fstat(io::stdin())?;
    let is_input = FileType::from_raw_mode(input.st_mode).is_socket()
        && fstat(stream)
            .is_ok_and(|stream| (stream.st_dev, stream.st_ino) == (input.st_dev, input.st_ino));
    if is_input {
        point(nowhere()?)?;
    }
    Ok(is_input)
}

/// What can be written to for nothing: /dev/null, or where a root has none, a
/// socket that leads nowhere.
fn nowhere() -> io::Result<OwnedFd> {
    match File::options().read(true).write(true).open("/dev/null") {
        Ok(null) => Ok(null.into()),
        Err(_) => UnixDatagram::unbound().map(OwnedFd::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_that_is_kept_back_says_what_it_takes() {
        for (errno, expected) in [
            (Errno::BADF, "fd 3 is not open"),
            (
                Errno::PERM,
                "fd 3: Operation not permitted (os error 1); it takes Linux 5.6 and the \
                 system call pidfd_getfd",
            ),
            (Errno::MFILE, "fd 3: Too many open files (os error 24)"),
        ] {
            assert_eq!(not_taken(3, &errno.into()), expected);
        }
    }
}
