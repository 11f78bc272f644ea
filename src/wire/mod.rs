//! Bytes only: the WebSocket protocol, the message framings, HTTP heads and
//! the buffers between them. Nothing here knows a socket, a clock or a log, so
//! every rule is a table test.
//!
//! A codec of either kind, [`ws::Connection`] or [`framing::Framer`], has the
//! same two verbs. `decode` takes bytes from the front of a read buffer and
//! yields the next [`Chunk`] of a message where it lies; `encode` lays what
//! goes around a chunk, and the chunk itself, into a [`Gather`]. What cannot go
//! on is a [`Fault`], which knows its close code; a request that gets no tunnel
//! at all is a [`Refusal`], which knows its HTTP status.

pub mod chunk;
pub mod dialogue;
pub mod fault;
pub mod framing;
pub mod gather;
pub mod http;
pub mod proxy_protocol;
pub mod refusal;
pub mod socks;
pub mod ws;

pub use chunk::{Chunk, End, Frame, Kind};
pub use dialogue::{Next, Unwelcome};
pub use fault::Fault;
pub use gather::Gather;
pub use refusal::{Challenge, Lack, Refusal};

pub use crate::queue::WriteQueue;
