//! Chunks to frames (RFC 6455 section 5.4).
//!
//! A chunk becomes a frame: a message that comes in one chunk is one frame, a
//! longer one streams as fragments. Text is judged on its way out, and never
//! ends within a character, neither a message nor a fragment: an incomplete
//! character is held back until the rest of it comes.

use super::header::{Encoded, Header, Opcode};
use super::utf8::Utf8;
use super::{FrameType, InvalidUtf8, Role, Text, mask};
use crate::wire::{Chunk, End, Fault, Gather, Kind};

/// Longest fragment: pings and pongs can pass between two of them.
pub const FRAGMENT: usize = 64 * 1024;

/// Writes what the side in `role` sends.
#[derive(Debug)]
pub struct Encoder {
    text: Text,
    /// A client's masking keys; `None` for a server.
    keys: Option<Box<mask::Keys>>,
    /// The kind of the message that is being sent.
    kind: Kind,
    /// Whether a frame of it was sent.
    open: bool,
    /// The incomplete character that was held back.
    held: Utf8,
}

impl Encoder {
    /// An encoder at the start of the connection.
    pub fn new(role: Role, text: Text) -> Self {
        let keys = (role == Role::Client).then(Box::default);
        Encoder {
            text,
            keys,
            kind: Kind::Binary,
            open: false,
            held: Utf8::default(),
        }
    }

    /// Appends a chunk, as one frame or none. `latest` is the kind of the
    /// peer's latest message.
    ///
    /// # Errors
    /// [`Fault::StreamText`] for text that is not UTF-8.
    #[inline]
    pub fn encode<'a>(
        &mut self,
        chunk: Chunk<'a>,
        latest: Option<Kind>,
        out: &mut Gather<'a>,
    ) -> Result<(), Fault> {
        if chunk.first {
            self.kind = chunk.kind.unwrap_or_else(|| self.text.kind(latest));
        }
        match self.kind {
            Kind::Binary => {
                let held = self.held.take();
                self.frame(held.tail(), chunk.payload, chunk.end, out);
                Ok(())
            }
            Kind::Text => self.encode_text(chunk, out),
        }
    }

    /// Whether a whole message goes out now with its bytes as they are: binary,
    /// without a mask, and no other message is open.
    pub fn takes_unseen(&self, latest: Option<Kind>) -> bool {
        let binary = self.text.kind(latest) == Kind::Binary;
        binary && self.keys.is_none() && !self.open && self.held.tail().is_empty()
    }

    /// The head of a message of `len` bytes that [go unseen](Self::takes_unseen).
    pub fn head(&self, len: usize) -> Encoded {
        let header = Header {
            fin: true,
            opcode: Opcode::Data(Kind::Binary),
            len: len as u64,
            mask: None,
        };
        header.encode()
    }

    /// Ends the stream of chunks: what is still held back can never be
    /// completed.
    ///
    /// # Errors
    /// [`Fault::StreamText`] if that breaks the text.
    pub fn finish(&mut self, out: &mut Gather<'_>) -> Result<(), Fault> {
        if self.held.tail().is_empty() {
            return Ok(());
        }
        let rest = Chunk::untyped(&mut [], false, End::Message);
        self.encode_text(rest, out)
    }

    fn encode_text<'a>(&mut self, chunk: Chunk<'a>, out: &mut Gather<'a>) -> Result<(), Fault> {
        let Chunk { payload, end, .. } = chunk;
        let before = self.held;
        let valid = self.held.feed(payload).is_ok();
        let held = self.held.tail().len();
        if valid && (held == 0 || end != End::Message) {
            if held <= payload.len() {
                let whole = payload.len() - held;
                self.frame(before.tail(), &mut payload[..whole], end, out);
            }
            return Ok(());
        }
        self.held.take();
        match self.text.invalid {
            InvalidUtf8::Close => Err(Fault::StreamText),
            InvalidUtf8::Replace => {
                self.replace(&[before.tail(), payload].concat(), end, out);
                Ok(())
            }
        }
    }

    /// Sends text with U+FFFD for what is ill-formed.
    fn replace(&mut self, bytes: &[u8], end: End, out: &mut Gather<'_>) {
        let mut text = String::with_capacity(bytes.len());
        let mut pieces = bytes.utf8_chunks().peekable();
        while let Some(piece) = pieces.next() {
            text.push_str(piece.valid());
            let rest = piece.invalid();
            let incomplete = std::str::from_utf8(rest).is_err_and(|e| e.error_len().is_none());
            if incomplete && pieces.peek().is_none() && end != End::Message {
                self.held.hold(rest);
            } else if !rest.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        // Replacing can make three bytes of one, more than a fragment may hold.
        let mut rest = text.as_str();
        while rest.len() > FRAGMENT {
            let within = (0..=FRAGMENT).rev().find(|&at| rest.is_char_boundary(at));
            let (front, back) = rest.split_at(within.unwrap_or(rest.len()));
            self.frame(front.as_bytes(), &mut [], End::Open, out);
            rest = back;
        }
        self.frame(rest.as_bytes(), &mut [], end, out);
    }

    /// Appends one frame of `front` and `payload`, which may be masked in place.
    #[inline]
    fn frame<'a>(&mut self, front: &[u8], payload: &'a mut [u8], end: End, out: &mut Gather<'a>) {
        let len = front.len() + payload.len();
        let fin = end != End::Open;
        // An empty fragment that ends nothing says nothing; nor does a read of
        // which all is held back.
        if len == 0 && (!fin || (end == End::Read && !self.open)) {
            return;
        }
        let opcode = if self.open {
            Opcode::Continuation
        } else {
            Opcode::Data(self.kind)
        };
        let key = self.keys.as_mut().map(|keys| keys.next_key());
        out.copy(
            &Header {
                fin,
                opcode,
                len: len as u64,
                mask: key,
            }
            .encode(),
        );
        match key {
            None => out.copy(front),
            Some(key) => {
                let mut front = front.to_vec();
                let turned = mask::apply(&mut front, key);
                mask::apply(payload, turned);
                out.copy(&front);
            }
        }
        out.payload(payload);
        self.open = !fin;
    }

    /// Whether a message has begun and not ended.
    pub fn is_within(&self) -> bool {
        self.open
    }

    /// The bytes of a control frame.
    pub fn control(&mut self, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        let key = self.keys.as_mut().map(|keys| keys.next_key());
        let header = Header {
            fin: true,
            opcode,
            len: payload.len() as u64,
            mask: key,
        };
        let mut frame = header.encode().to_vec();
        let head_len = frame.len();
        frame.extend_from_slice(payload);
        if let Some(key) = key {
            mask::apply(&mut frame[head_len..], key);
        }
        frame
    }
}

impl Text {
    /// The kind of a message from a source without types.
    fn kind(&self, latest: Option<Kind>) -> Kind {
        match self.frame_type {
            FrameType::Text => Kind::Text,
            FrameType::Binary => Kind::Binary,
            FrameType::Mirror => latest.unwrap_or(self.auto),
            FrameType::Auto => self.auto,
        }
    }
}
