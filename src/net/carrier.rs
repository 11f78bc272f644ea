//! What TLS travels over, and what its reads and writes come to: those of a
//! socket, and so of whatever travels over one.

use std::io::{self, IoSlice};

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// As many bytes; 0 at the end.
    pub bytes: usize,
    /// Whether it is certain that nothing more is there: an event will tell
    /// when more has come.
    pub drained: bool,
}

impl Received {
    /// As many bytes, and nothing is known of more.
    pub fn some(bytes: usize) -> Self {
        Received {
            bytes,
            drained: false,
        }
    }
}

/// What a write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// As many bytes were taken.
    pub bytes: usize,
    /// Whether it is certain that nothing more fits: an event will tell when
    /// there is room.
    pub full: bool,
}

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
