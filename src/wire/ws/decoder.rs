//! Frames to chunks and control frames (RFC 6455 sections 5.2 to 5.6).
//!
//! Data is yielded as it comes, unmasked where it lies. A head or a control
//! frame that is not whole yet is left in the input, at most 139 bytes of it;
//! the caller puts them in front of the next read.

use super::close::Close;
use super::header::{Header, Opcode, Start};
use super::utf8::Utf8;
use super::{Role, mask};
use crate::wire::{Chunk, End, Fault, Frame, Kind};

/// What a decoder finds.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A part of a message.
    Chunk(Chunk<'a>),
    /// A ping; its payload is to be sent back.
    Ping(&'a [u8]),
    /// A pong, asked for or not: a sign of life.
    Pong,
    /// The peer sends no more messages.
    HalfClose,
    /// The peer ends the connection; nothing after it counts.
    Close(Close),
}

/// Reads what the other side of `role` sends.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    /// The data frame whose payload is being read.
    frame: Option<DataFrame>,
    /// The kind of the message that is being read.
    message: Option<Kind>,
    /// Whether a chunk of that message was yielded.
    begun: bool,
    /// The kind of the latest message.
    latest: Option<Kind>,
    text: Utf8,
    half_close: HalfClose,
}

/// A head with a length in its second byte and a mask.
const SHORT_HEAD: usize = 6;

/// Whether the peer can send no more messages and yet be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HalfClose {
    /// That was not agreed on.
    Unknown,
    /// It may say so.
    Allowed,
    /// It has said so.
    Done,
}

#[derive(Debug)]
struct DataFrame {
    fin: bool,
    remaining: u64,
    key: Option<[u8; 4]>,
    /// Set until the frame's first chunk is yielded.
    opening: Option<Frame>,
}

impl Decoder {
    /// A decoder at the start of the connection.
    pub fn new(role: Role) -> Self {
        Decoder {
            role,
            frame: None,
            message: None,
            begun: false,
            latest: None,
            text: Utf8::default(),
            half_close: HalfClose::Unknown,
        }
    }

    /// Whom this reads for.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Lets the peer say that it sends no more messages, as agreed.
    pub fn allow_half_close(&mut self) {
        self.half_close = HalfClose::Allowed;
    }

    /// The kind of the peer's latest message.
    pub fn latest_kind(&self) -> Option<Kind> {
        self.latest
    }

    /// Takes the next event from the front of `input`; `None` when it needs
    /// more bytes than there are.
    ///
    /// # Errors
    /// The rule that the peer broke.
    #[inline]
    pub fn decode<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Event<'a>>, Fault> {
        loop {
            if let Some(frame) = self.frame.take() {
                return self.data(frame, input);
            }
            if let Some(event) = self.short(input)? {
                return Ok(Some(event));
            }
            let Some(start) = Start::parse(input, self.role)? else {
                return Ok(None);
            };
            self.judge_order(start.opcode)?;
            let Some((header, head_len)) = start.complete(input)? else {
                return Ok(None);
            };
            if header.opcode.is_control() {
                let whole = head_len + header.len as usize;
                if input.len() < whole {
                    return Ok(None);
                }
                let frame = take(input, whole);
                let event = control(&header, &mut frame[head_len..])?;
                if event == Event::HalfClose {
                    self.half_close = HalfClose::Done;
                }
                return Ok(Some(event));
            }
            take(input, head_len);
            self.open(&header);
        }
    }

    /// The fast way for most of what clients send: a whole message in one frame
    /// with the shortest head, all of it there. `None`: it is something else.
    #[inline]
    fn short<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Event<'a>>, Fault> {
        let &mut [first, second, a, b, c, d, ..] = &mut **input else {
            return Ok(None);
        };
        let kind = match first {
            0x81 => Kind::Text,
            0x82 => Kind::Binary,
            _ => return Ok(None),
        };
        let len = usize::from(second.wrapping_sub(0x80));
        let is_other = len > 125 || input.len() < SHORT_HEAD + len;
        let is_late = self.message.is_some() || self.half_close == HalfClose::Done;
        if is_other || is_late || self.role == Role::Client {
            return Ok(None);
        }
        let payload = &mut take(input, SHORT_HEAD + len)[SHORT_HEAD..];
        mask::apply(payload, [a, b, c, d]);
        if kind == Kind::Text && std::str::from_utf8(payload).is_err() {
            return Err(Fault::Text);
        }
        self.latest = Some(kind);
        Ok(Some(Event::Chunk(Chunk {
            payload,
            kind: Some(kind),
            first: true,
            end: End::Message,
            frame: Some(Frame {
                len: len as u64,
                fin: true,
            }),
        })))
    }

    /// Whether a frame of this kind may come now (section 5.4).
    #[inline]
    fn judge_order(&self, opcode: Opcode) -> Result<(), Fault> {
        match (opcode, self.message) {
            (Opcode::Data(_), Some(_)) => {
                Err(Fault::Protocol("new message within a fragmented one"))
            }
            (Opcode::Continuation, None) => Err(Fault::Protocol("continuation of no message")),
            (Opcode::HalfClose, Some(_)) => Err(Fault::Protocol("half-close within a message")),
            (Opcode::HalfClose, None) if self.half_close != HalfClose::Allowed => {
                Err(Fault::Protocol("reserved opcode"))
            }
            (Opcode::Data(_), None) if self.half_close == HalfClose::Done => {
                Err(Fault::Protocol("message behind a half-close"))
            }
            _ => Ok(()),
        }
    }

    /// Notes a data frame whose head was read.
    fn open(&mut self, header: &Header) {
        if let Opcode::Data(kind) = header.opcode {
            self.message = Some(kind);
            self.latest = Some(kind);
            self.begun = false;
        }
        // An empty frame that does not end its message carries nothing.
        if header.len > 0 || header.fin {
            self.frame = Some(DataFrame {
                fin: header.fin,
                remaining: header.len,
                key: header.mask,
                opening: Some(Frame {
                    len: header.len,
                    fin: header.fin,
                }),
            });
        }
    }

    /// Yields what `input` holds of the frame's payload.
    #[inline]
    fn data<'a>(
        &mut self,
        mut frame: DataFrame,
        input: &mut &'a mut [u8],
    ) -> Result<Option<Event<'a>>, Fault> {
        let kind = self.message;
        let len = frame.remaining.min(input.len() as u64);
        if len == 0 && frame.remaining > 0 {
            self.frame = Some(frame);
            return Ok(None);
        }
        let payload = take(input, len as usize);
        if let Some(key) = frame.key {
            frame.key = Some(mask::apply(payload, key));
        }
        frame.remaining -= len;
        let last = frame.remaining == 0 && frame.fin;
        if kind == Some(Kind::Text) {
            self.text.feed(payload).map_err(|_| Fault::Text)?;
            if last && !self.text.take().tail().is_empty() {
                return Err(Fault::Text);
            }
        }
        let chunk = Chunk {
            payload,
            kind,
            first: !std::mem::replace(&mut self.begun, true),
            end: if last { End::Message } else { End::Open },
            frame: frame.opening.take(),
        };
        if last {
            self.message = None;
        }
        if frame.remaining > 0 {
            self.frame = Some(frame);
        }
        Ok(Some(Event::Chunk(chunk)))
    }
}

fn control<'a>(header: &Header, payload: &'a mut [u8]) -> Result<Event<'a>, Fault> {
    if let Some(key) = header.mask {
        mask::apply(payload, key);
    }
    match header.opcode {
        Opcode::Ping => Ok(Event::Ping(payload)),
        Opcode::Close => Close::parse(payload).map(Event::Close),
        Opcode::HalfClose if payload.is_empty() => Ok(Event::HalfClose),
        Opcode::HalfClose => Err(Fault::Protocol("half-close with a payload")),
        _ => Ok(Event::Pong),
    }
}

/// Takes `n` bytes from the front of `input`.
#[inline]
fn take<'a>(input: &mut &'a mut [u8], n: usize) -> &'a mut [u8] {
    let (front, rest) = std::mem::take(input).split_at_mut(n);
    *input = rest;
    front
}
