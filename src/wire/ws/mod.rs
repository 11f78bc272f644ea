//! One side of a WebSocket connection (RFC 6455), in either role.
//!
//! A [`Connection`] is a [`Decoder`] for what the peer sends and an [`Encoder`]
//! for what goes to it, and between the two the little that ties them together:
//! pongs that answer pings, the one Close of each side, and the kind of message
//! that the peer last used. Before it comes the handshake: [`handshake`] is the
//! server's part and [`client_handshake`] the client's.

pub mod client_handshake;
pub mod close;
pub mod decoder;
pub mod encoder;
pub mod handshake;
pub mod header;
pub mod mask;
pub mod utf8;

#[cfg(any(test, fuzzing))]
pub(crate) mod harness;
#[cfg(test)]
mod tests;

pub use close::Close;
pub use decoder::{Decoder, Event};
pub use encoder::Encoder;

use super::{Chunk, Fault, Gather, Kind, WriteQueue};
use header::Opcode;

/// Which side of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Answers the handshake; takes masked frames and sends unmasked ones.
    Server,
    /// Opens the connection; sends masked frames and takes unmasked ones.
    Client,
}

/// Which type the messages towards the WebSocket peer have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FrameType {
    /// Text, always.
    Text,
    /// Binary, always.
    Binary,
    /// The type that the peer last used; before its first message, as `Auto`.
    Mirror,
    /// What suits the framing: see [`super::framing::Framing::auto_kind`].
    #[default]
    Auto,
}

/// What happens where bytes that are to be text are not UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InvalidUtf8 {
    /// The connection ends with 1011.
    #[default]
    Close,
    /// Each ill-formed sequence becomes U+FFFD.
    Replace,
}

/// How bytes without a type become messages with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// Which type they get.
    pub frame_type: FrameType,
    /// What [`FrameType::Auto`] stands for.
    pub auto: Kind,
    /// What happens to text that is none.
    pub invalid: InvalidUtf8,
}

/// While as many bytes wait for the peer, no further pong is queued: only the
/// newest ping is answered, when there is room again (section 5.5.3).
const CONTROL_ROOM: usize = 16 * 1024;

/// One side of a connection.
#[derive(Debug)]
pub struct Connection {
    decoder: Decoder,
    encoder: Encoder,
    /// The payload of the newest ping that there was no room to answer.
    unanswered: Option<Box<[u8]>>,
    close_sent: bool,
    /// Whether the client may end its half alone: see
    /// [`handshake::HALF_CLOSE`].
    half_close: bool,
}

impl Connection {
    /// A connection whose handshake is done, and agreed on `half_close` or not.
    pub fn new(role: Role, text: Text, half_close: bool) -> Self {
        let mut decoder = Decoder::new(role);
        if half_close && role == Role::Server {
            decoder.allow_half_close();
        }
        Connection {
            decoder,
            encoder: Encoder::new(role, text),
            unanswered: None,
            close_sent: false,
            half_close,
        }
    }

    /// Which side this is.
    pub fn role(&self) -> Role {
        self.decoder.role()
    }

    /// Takes the next event from the front of `input`: see [`Decoder::decode`].
    ///
    /// # Errors
    /// The rule that the peer broke.
    #[inline]
    pub fn decode<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Event<'a>>, Fault> {
        self.decoder.decode(input)
    }

    /// Appends a chunk for the peer: see [`Encoder::encode`]. After a Close
    /// nothing is appended (section 5.5.1).
    ///
    /// # Errors
    /// [`Fault::StreamText`] for text that is not UTF-8.
    #[inline]
    pub fn encode<'a>(&mut self, chunk: Chunk<'a>, out: &mut Gather<'a>) -> Result<(), Fault> {
        if self.close_sent {
            return Ok(());
        }
        self.encoder.encode(chunk, self.decoder.latest_kind(), out)
    }

    /// Whether messages go to the peer whatever their bytes are: see
    /// [`head`](Self::head).
    pub fn takes_unseen(&self) -> bool {
        !self.close_sent && self.encoder.takes_unseen(self.decoder.latest_kind())
    }

    /// The head of a message of `len` bytes that [go unseen](Self::takes_unseen).
    pub fn head(&self, len: usize) -> header::Encoded {
        self.encoder.head(len)
    }

    /// Ends the chunks for the peer: see [`Encoder::finish`].
    ///
    /// # Errors
    /// [`Fault::StreamText`] for text that ends within a character.
    pub fn finish(&mut self, out: &mut Gather<'_>) -> Result<(), Fault> {
        if self.close_sent {
            return Ok(());
        }
        self.encoder.finish(out)
    }

    /// Asks the peer for a sign of life.
    pub fn ping(&mut self, queue: &mut WriteQueue) {
        if !self.close_sent {
            queue.push(&self.encoder.control(Opcode::Ping, &[]));
        }
    }

    /// Answers a ping: at once, or when [`answer`](Self::answer) finds room.
    pub fn pong(&mut self, payload: &[u8], queue: &mut WriteQueue) {
        self.unanswered = Some(payload.into());
        self.answer(queue);
    }

    /// Answers the newest unanswered ping if the queue has room now.
    pub fn answer(&mut self, queue: &mut WriteQueue) {
        if queue.len() < CONTROL_ROOM && !self.close_sent {
            if let Some(payload) = self.unanswered.take() {
                queue.push(&self.encoder.control(Opcode::Pong, &payload));
            }
        }
    }

    /// Sends the one Close of this side; a second call does nothing.
    pub fn close(&mut self, close: Close, reason: &str, queue: &mut WriteQueue) {
        if !self.close_sent {
            queue.push(&self.encoder.control(Opcode::Close, &close.payload(reason)));
            self.close_sent = true;
        }
    }

    /// Says that no more messages will be sent, though the peer's are still
    /// heard; `false` if that cannot be said.
    pub fn half_close(&mut self, queue: &mut WriteQueue) -> bool {
        let can = self.half_close && self.role() == Role::Client && !self.encoder.is_within();
        if can && !self.close_sent {
            queue.push(&self.encoder.control(Opcode::HalfClose, &[]));
        }
        can
    }

    /// Whether this side has sent its Close.
    pub fn close_sent(&self) -> bool {
        self.close_sent
    }
}
