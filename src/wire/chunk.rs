//! A part of a message as it lies in the read buffer.
//!
//! Chunks are what one codec hands to the other. A message is one chunk or
//! many: a codec never waits for the rest of a message, so a tunnel holds none.
//! The payload is borrowed mutably, because unmasking, masking and flattening
//! line breaks all happen where the bytes lie.

/// The type of a WebSocket message (RFC 6455 section 5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text, opcode 1.
    Text,
    /// Arbitrary bytes, opcode 2.
    Binary,
}

/// How a chunk ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The message goes on in the next chunk.
    Open,
    /// The message ends with this chunk.
    Message,
    /// The message ends only because the read did: the source is a plain
    /// stream of bytes, and its end may lie within a character.
    Read,
}

/// What a source with frames or records knows where one of them begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Payload bytes of the whole frame, this chunk's included.
    pub len: u64,
    /// Whether the frame is the last one of its message. With
    /// [`Chunk::first`] this makes `len` the length of the message.
    pub fin: bool,
}

/// A part of a message.
#[derive(Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// The bytes, without framing and without mask. Empty only where the chunk
    /// ends its message.
    pub payload: &'a mut [u8],
    /// The message's type; `None` where the source has no types.
    pub kind: Option<Kind>,
    /// Whether the message begins with this chunk.
    pub first: bool,
    /// Whether and why the message ends with it.
    pub end: End,
    /// Set on the first chunk of each frame or record of a source that has
    /// them; `None` on its later chunks and for all other sources.
    pub frame: Option<Frame>,
}

impl<'a> Chunk<'a> {
    /// A part of a message of a source that has neither types nor frames.
    #[inline]
    pub fn untyped(payload: &'a mut [u8], first: bool, end: End) -> Self {
        Chunk {
            payload,
            kind: None,
            first,
            end,
            frame: None,
        }
    }

    /// Whether the message ends with this chunk.
    pub fn is_last(&self) -> bool {
        self.end != End::Open
    }
}
