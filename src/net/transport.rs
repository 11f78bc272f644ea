//! What a tunnel needs of a connection, and no more: so that it can be a TCP
//! or Unix socket, or a pair of buffers in a test.

use std::io::{self, IoSlice};

/// A stream of bytes in both directions that never blocks.
pub trait Transport {
    /// Reads what has come, at most as much as `into` holds; 0 at the end.
    ///
    /// # Errors
    /// `WouldBlock` if nothing has come, else what broke the connection.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize>;

    /// Writes as much of the slices as fits, and says how much that was.
    ///
    /// # Errors
    /// `WouldBlock` if nothing fits, else what broke the connection.
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Ends the writing side, after all that was written.
    ///
    /// # Errors
    /// What broke the connection.
    fn finish(&mut self) -> io::Result<()>;
}
