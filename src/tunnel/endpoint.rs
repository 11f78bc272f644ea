//! One side of a tunnel: a link and the codec that its bytes are in.

use super::link::{Link, Read};
use crate::net::{Lent, Pipe, Transport};
use crate::wire::framing::Framer;
use crate::wire::ws::{Close, Connection, Event};
use crate::wire::{Chunk, Fault, Gather};
use std::io;
use std::ops::AddAssign;

/// How messages lie in a side's bytes. Both kinds have the same verbs, and
/// that is why one function relays in both directions.
#[derive(Debug)]
pub enum Codec {
    /// WebSocket, in either role.
    WebSocket(Connection),
    /// A message framing.
    Framing(Framer),
}

impl Codec {
    /// Takes the next event from the front of `input`; `None` when it needs
    /// more bytes than there are.
    ///
    /// # Errors
    /// The rule that the side broke.
    #[inline]
    pub fn decode<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Event<'a>>, Fault> {
        match self {
            Codec::WebSocket(connection) => connection.decode(input),
            Codec::Framing(framer) => Ok(framer.decode(input)?.map(Event::Chunk)),
        }
    }

    /// As `decode`, once nothing more will come. A WebSocket that ends without
    /// a Close has nothing more to say.
    ///
    /// # Errors
    /// That the side ended where it may not.
    pub fn decode_end<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Event<'a>>, Fault> {
        match self {
            Codec::WebSocket(_) => Ok(None),
            Codec::Framing(framer) => Ok(framer.finish(input)?.map(Event::Chunk)),
        }
    }

    /// Appends a chunk of the other side's.
    ///
    /// # Errors
    /// Why this side's codec cannot carry it.
    #[inline]
    pub fn encode<'a>(&mut self, chunk: Chunk<'a>, out: &mut Gather<'a>) -> Result<(), Fault> {
        match self {
            Codec::WebSocket(connection) => connection.encode(chunk, out),
            Codec::Framing(framer) => framer.encode(chunk, out),
        }
    }

    /// Whether each read of this side's is a message, whatever its bytes are.
    #[inline]
    fn gives_unseen(&self) -> bool {
        matches!(self, Codec::Framing(Framer::Raw(_)))
    }

    /// The WebSocket connection to which a message of the other side's can go
    /// whatever its bytes are.
    #[inline]
    fn unseeing(&self) -> Option<&Connection> {
        match self {
            Codec::WebSocket(connection) => Some(connection).filter(|it| it.takes_unseen()),
            Codec::Framing(_) => None,
        }
    }

    /// Ends the chunks of the other side's.
    ///
    /// # Errors
    /// That they may not end there.
    pub fn encode_end(&mut self, out: &mut Gather<'_>) -> Result<(), Fault> {
        match self {
            Codec::WebSocket(connection) => connection.finish(out),
            Codec::Framing(_) => Ok(()),
        }
    }
}

/// What came from a side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages that have ended.
    pub messages: u64,
    /// Bytes of payload.
    pub bytes: u64,
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
    }
}

/// One side of a tunnel.
#[derive(Debug)]
pub struct Endpoint<T> {
    /// Its connection.
    pub link: Link<T>,
    /// The form of its bytes.
    pub codec: Codec,
    /// The end of the last read that the codec could not use yet.
    held: Vec<u8>,
    /// What came from it.
    pub traffic: Traffic,
}

impl<T: Transport> Endpoint<T> {
    /// A side of which nothing was read or written yet.
    pub fn new(link: Link<T>, codec: Codec) -> Self {
        Endpoint {
            link,
            codec,
            held: Vec::new(),
            traffic: Traffic::default(),
        }
    }

    /// Reads once into `buffer`, behind what was held from the last read; says
    /// how many bytes there are together.
    #[inline]
    pub fn read(&mut self, buffer: &mut [u8], lent: &mut Lent) -> Read {
        let held = self.held.len();
        if held > 0 && self.link.is_readable() {
            buffer[..held].copy_from_slice(&self.held);
        }
        match self.link.read(&mut buffer[held..], lent) {
            Read::Bytes(n) => Read::Bytes(held + n),
            other => other,
        }
    }

    /// Moves a message into the pipe, if its bytes need not be seen on the way
    /// to `dst` and there are so many that this is cheaper than to copy them.
    /// For few bytes it is not: it takes twice the calls.
    #[inline]
    pub fn fill(&mut self, dst: &Endpoint<T>, pipe: &mut Pipe) -> Option<Read> {
        let unseen = self.link.is_lavish() && self.codec.gives_unseen();
        if !unseen || dst.codec.unseeing().is_none() || !dst.link.takes_pipe() {
            return None;
        }
        self.link.fill(pipe)
    }

    /// Sends the message of `len` bytes that is in the pipe.
    ///
    /// # Errors
    /// What broke the connection, once.
    pub fn send_piped(&mut self, len: usize, pipe: &mut Pipe) -> io::Result<()> {
        match self.codec.unseeing() {
            Some(connection) => self.link.send_piped(&connection.head(len), pipe),
            None => pipe.pour(|_| ()),
        }
    }

    /// Keeps what the codec left of a read for the next one. A side that waits
    /// for nothing holds no memory.
    #[inline]
    pub fn hold(&mut self, rest: &[u8]) {
        if rest.is_empty() {
            if self.held.capacity() > 0 {
                self.held = Vec::new();
            }
        } else {
            self.held.clear();
            self.held.extend_from_slice(rest);
        }
    }

    /// Takes out what was held.
    pub fn take_held(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// Answers a ping, if this side has pings.
    pub fn pong(&mut self, payload: &[u8]) {
        if let Codec::WebSocket(connection) = &mut self.codec {
            connection.pong(payload, self.link.queue());
        }
    }

    /// Asks for a sign of life, if this side can be asked.
    pub fn ping(&mut self) {
        if let Codec::WebSocket(connection) = &mut self.codec {
            connection.ping(self.link.queue());
        }
    }

    /// Says that no more messages will come, while this side's are still heard;
    /// `false` if it cannot be told.
    pub fn half_close(&mut self) -> bool {
        match &mut self.codec {
            Codec::WebSocket(connection) => connection.half_close(self.link.queue()),
            Codec::Framing(_) => false,
        }
    }

    /// Says that nothing more will come, if this side can be told.
    pub fn close(&mut self, close: Close, reason: &str) {
        if let Codec::WebSocket(connection) = &mut self.codec {
            connection.close(close, reason, self.link.queue());
        }
    }

    /// Writes what waits, and a pong that waited for room behind it.
    ///
    /// # Errors
    /// That the connection broke while bytes for it were left.
    #[inline]
    pub fn flush(&mut self, lent: &mut Lent) -> io::Result<()> {
        self.link.flush(lent)?;
        if let Codec::WebSocket(connection) = &mut self.codec {
            connection.answer(self.link.queue());
        }
        if self.link.is_flushed() {
            return Ok(());
        }
        self.link.flush(lent)
    }

    /// Bytes of memory that this side holds beside itself.
    pub fn memory(&self) -> usize {
        self.link.memory() + self.held.capacity()
    }
}
