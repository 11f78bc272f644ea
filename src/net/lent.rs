//! What the loop lends to its connections: nothing of it is needed from one call
//! to the next, so one of each is enough for all.

use super::pipe::Pipe;

/// Buffers that a transport may use during a call, the same for the whole loop.
#[derive(Debug, Default)]
pub struct Lent {
    /// What came from the socket and is not deciphered yet.
    pub received: Vec<u8>,
    /// What is gathered to be enciphered together.
    pub plain: Vec<u8>,
    /// What was enciphered and is not sent yet.
    pub sealed: Vec<u8>,
    /// What the kernel moves by itself.
    pub pipe: Pipe,
}
