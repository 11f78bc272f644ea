//! A pipe through which the kernel moves bytes from one connection to another,
//! so that they are never copied into the process (splice(2)).
//!
//! The loop has one such pipe, and it is empty between calls: what the
//! destination refuses is poured out before anybody else fills it. Where the
//! system cannot move bytes so, it says so once and is not asked again.

use super::carrier::Taken;
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Bytes that the pipe is to hold: enough that the calls cost little beside the
/// bytes, and no more than a client that stalls may leave waiting.
const CAPACITY: usize = 128 * 1024;

/// The pipe of the loop; made when it is first used.
#[derive(Debug, Default)]
pub struct Pipe {
    /// Where bytes come out and go in.
    ends: Option<(OwnedFd, OwnedFd)>,
    /// Bytes that are in it.
    held: usize,
    /// Whether the system cannot move bytes so.
    unusable: bool,
}

impl Pipe {
    /// Whether the system can move bytes so, as far as is known.
    pub fn is_usable(&self) -> bool {
        !self.unusable
    }

    /// Moves bytes that have come to `from` into the pipe: how many, 0 at the
    /// end.
    ///
    /// # Errors
    /// `WouldBlock` if nothing has come, `Unsupported` if bytes cannot be moved
    /// so, or not now, else what broke the connection.
    pub fn fill(&mut self, from: BorrowedFd<'_>) -> io::Result<usize> {
        if self.held > 0 {
            // Left behind by a connection that broke: nobody else's.
            *self = Pipe::default();
        }
        self.try_fill(from).map_err(|e| match e {
            // PERM is what a filter of system calls says.
            Errno::INVAL | Errno::NOSYS | Errno::PERM => {
                self.unusable = true;
                io::ErrorKind::Unsupported.into()
            }
            // No pipe now, but maybe for the next read.
            Errno::MFILE | Errno::NFILE | Errno::NOMEM => io::ErrorKind::Unsupported.into(),
            e => e.into(),
        })
    }

    fn try_fill(&mut self, from: BorrowedFd<'_>) -> Result<usize, Errno> {
        let (_, into) = match &mut self.ends {
            Some(ends) => ends,
            none => none.insert(system::open()?),
        };
        self.held = system::splice(from, into, CAPACITY)?;
        Ok(self.held)
    }

    /// Sends `head`, and what is in the pipe behind it. What is not taken is
    /// left for [`pour`](Self::pour).
    ///
    /// # Errors
    /// `WouldBlock` if nothing is taken, else what broke the connection.
    pub fn send(&mut self, head: &[u8], to: BorrowedFd<'_>) -> io::Result<Taken> {
        let mut bytes = send(to, head, SendFlags::MORE | SendFlags::NOSIGNAL)?;
        while let (true, 1.., Some((out, _))) = (bytes >= head.len(), self.held, &self.ends) {
            match system::splice(out, to, self.held) {
                Ok(moved) => {
                    self.held -= moved;
                    bytes += moved;
                }
                Err(Errno::AGAIN) => break,
                Err(e) => return Err(e.into()),
            }
        }
        let full = bytes < head.len() || self.held > 0;
        Ok(Taken { bytes, full })
    }

    /// Empties the pipe: what is in it goes to `each`, in order.
    ///
    /// # Errors
    /// What the system says, of which nothing is known.
    pub fn pour(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        let mut piece = [0; 8 * 1024];
        while let (1.., Some((out, _))) = (self.held, &self.ends) {
            let bytes = rustix::io::read(out, &mut piece)?;
            self.held -= bytes;
            each(&piece[..bytes]);
        }
        Ok(())
    }
}

#[cfg(target_os = "linux")]
mod system {
    use super::{CAPACITY, Errno, OwnedFd};
    use rustix::fd::AsFd;
    use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with};

    pub fn open() -> Result<(OwnedFd, OwnedFd), Errno> {
        let ends = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // A smaller pipe does as well, only slower.
        let _ = fcntl_setpipe_size(&ends.1, CAPACITY);
        Ok(ends)
    }

    pub fn splice(from: impl AsFd, to: impl AsFd, most: usize) -> Result<usize, Errno> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        rustix::pipe::splice(from, None, to, None, most, flags)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{Errno, OwnedFd};
    use rustix::fd::AsFd;

    pub fn open() -> Result<(OwnedFd, OwnedFd), Errno> {
        Err(Errno::NOSYS)
    }

    pub fn splice(_: impl AsFd, _: impl AsFd, _: usize) -> Result<usize, Errno> {
        Err(Errno::NOSYS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    fn pair() -> (UnixStream, UnixStream) {
        let (near, far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        (near, far)
    }

    #[test]
    fn what_is_refused_is_poured_out_and_nothing_is_lost() {
        let ((from, mut source), (to, mut sink)) = (pair(), pair());
        let sent: Vec<u8> = (0..CAPACITY).map(|i| (i % 251) as u8).collect();
        let mut pipe = Pipe::default();
        let mut expected = Vec::new();
        let mut rest = Vec::new();
        // Until the destination, which nobody reads, takes no more.
        for _ in 0..1000 {
            source.write_all(&sent[..50_000]).unwrap();
            let filled = pipe.fill(from.as_fd()).unwrap();
            assert!(filled > 0);
            expected.extend_from_slice(b"head");
            let taken = pipe.send(b"head", to.as_fd()).map(|taken| taken.bytes);
            let taken = taken.unwrap_or(0);
            rest.extend_from_slice(&b"head"[taken.min(4)..]);
            pipe.pour(|piece| rest.extend_from_slice(piece)).unwrap();
            expected.extend_from_slice(&sent[..filled]);
            // The rest of a short fill, so that all rounds are alike.
            let mut left = 50_000 - filled;
            while left > 0 {
                let filled = pipe.fill(from.as_fd()).unwrap();
                pipe.pour(|piece| rest.extend_from_slice(piece)).unwrap();
                expected.extend_from_slice(&sent[50_000 - left..][..filled]);
                left -= filled;
            }
            if !rest.is_empty() {
                break;
            }
        }
        assert!(!rest.is_empty());
        drop(to);
        let mut seen = Vec::new();
        sink.read_to_end(&mut seen).unwrap();
        seen.extend_from_slice(&rest);
        assert!(seen == expected, "{} of {}", seen.len(), expected.len());
    }

    #[test]
    fn what_bytes_cannot_be_moved_from_is_said_once_and_not_asked_again() {
        let mut pipe = Pipe::default();
        assert!(pipe.is_usable());
        // The kernel splices from nothing of this kind: EINVAL.
        let epoll = rustix::event::epoll::create(rustix::event::epoll::CreateFlags::CLOEXEC);
        let refused = pipe.fill(epoll.unwrap().as_fd()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::Unsupported);
        assert!(!pipe.is_usable());
    }

    #[test]
    fn what_a_broken_connection_left_reaches_nobody_else() {
        let ((from, mut source), (to, sink)) = (pair(), pair());
        let mut pipe = Pipe::default();
        drop(sink);
        source.write_all(b"secret").unwrap();
        assert_eq!(pipe.fill(from.as_fd()).unwrap(), 6);
        assert!(pipe.send(b"head", to.as_fd()).is_err());
        let (to, mut sink) = pair();
        source.write_all(b"open").unwrap();
        assert_eq!(pipe.fill(from.as_fd()).unwrap(), 4);
        assert_eq!(pipe.send(b"head", to.as_fd()).unwrap().bytes, 8);
        let mut seen = [0; 8];
        sink.read_exact(&mut seen).unwrap();
        assert_eq!(&seen, b"headopen");
    }

    #[test]
    fn nothing_to_move_and_the_end_are_told_apart() {
        let (from, source) = pair();
        let mut pipe = Pipe::default();
        let nothing = pipe.fill(from.as_fd()).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        drop(source);
        assert_eq!(pipe.fill(from.as_fd()).unwrap(), 0);
    }
}
