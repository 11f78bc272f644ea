//! The head of a frame (RFC 6455 section 5.2), read and written.
//!
//! A frame is judged from its first two bytes: a peer that breaks a rule is
//! told so before the rest of the frame has come.

use super::Role;
use crate::wire::{Fault, Kind};

/// Longest head: 2 bytes, 8 of length, 4 of mask.
pub const MAX_LEN: usize = 14;

/// Most payload of a control frame (RFC 6455 section 5.5).
pub const MAX_CONTROL: usize = 125;

/// What a frame is (RFC 6455 section 11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// A further frame of a message.
    Continuation,
    /// The first frame of a message of this kind.
    Data(Kind),
    /// The end of the connection.
    Close,
    /// Asks for a pong.
    Ping,
    /// Answers a ping.
    Pong,
    /// Nothing but control frames follows: see
    /// [`HALF_CLOSE`](super::handshake::HALF_CLOSE).
    HalfClose,
}

impl Opcode {
    fn from_nibble(nibble: u8) -> Option<Opcode> {
        Some(match nibble {
            0 => Opcode::Continuation,
            1 => Opcode::Data(Kind::Text),
            2 => Opcode::Data(Kind::Binary),
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            11 => Opcode::HalfClose,
            _ => return None,
        })
    }

    fn nibble(self) -> u8 {
        match self {
            Opcode::Continuation => 0,
            Opcode::Data(Kind::Text) => 1,
            Opcode::Data(Kind::Binary) => 2,
            Opcode::Close => 8,
            Opcode::Ping => 9,
            Opcode::Pong => 10,
            Opcode::HalfClose => 11,
        }
    }

    /// Neither a message nor a part of one.
    pub fn is_control(self) -> bool {
        !matches!(self, Opcode::Data(_) | Opcode::Continuation)
    }
}

/// The head of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether the frame is the last of its message.
    pub fin: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// Bytes of payload.
    pub len: u64,
    /// The masking key, from a client.
    pub mask: Option<[u8; 4]>,
}

/// The first two bytes of a head, by which a frame is judged.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    fin: bool,
    /// What the frame is.
    pub opcode: Opcode,
    masked: bool,
    /// The payload's length, or how it is written.
    short: u8,
}

impl Start {
    /// Reads the first two bytes of a frame from the other side of `role`;
    /// `None` if they are not there yet.
    ///
    /// # Errors
    /// [`Fault::Protocol`] if they break a rule.
    #[inline]
    pub fn parse(input: &[u8], role: Role) -> Result<Option<Start>, Fault> {
        let [first, second, ..] = input else {
            return Ok(None);
        };
        let (fin, masked, short) = (first & 0x80 != 0, second & 0x80 != 0, second & 0x7f);
        if first & 0x70 != 0 {
            return Err(Fault::Protocol("reserved bit set without an extension"));
        }
        let Some(opcode) = Opcode::from_nibble(first & 0x0f) else {
            return Err(Fault::Protocol("reserved opcode"));
        };
        if opcode.is_control() && !fin {
            return Err(Fault::Protocol("fragmented control frame"));
        }
        if opcode.is_control() && usize::from(short) > MAX_CONTROL {
            return Err(Fault::Protocol("control frame of more than 125 bytes"));
        }
        match role {
            Role::Server if !masked => Err(Fault::Protocol("unmasked frame from a client")),
            Role::Client if masked => Err(Fault::Protocol("masked frame from a server")),
            _ => Ok(Some(Start {
                fin,
                opcode,
                masked,
                short,
            })),
        }
    }

    /// Reads the rest of the head, from the frame's first byte on: the head and
    /// how many bytes it takes; `None` if they are not all there yet.
    ///
    /// # Errors
    /// [`Fault::Protocol`] if the length breaks a rule.
    #[inline]
    pub fn complete(self, input: &[u8]) -> Result<Option<(Header, usize)>, Fault> {
        let Start {
            fin,
            opcode,
            masked,
            short,
        } = self;
        let Some((_, rest)) = input.split_first_chunk::<2>() else {
            return Ok(None);
        };
        let (len, rest) = match short {
            126 => match rest.split_first_chunk::<2>() {
                Some((bytes, rest)) => (u64::from(u16::from_be_bytes(*bytes)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk::<8>() {
                Some((bytes, rest)) => (u64::from_be_bytes(*bytes), rest),
                None => return Ok(None),
            },
            short => (u64::from(short), rest),
        };
        if (short == 126 && len < 126) || (short == 127 && len <= u64::from(u16::MAX)) {
            return Err(Fault::Protocol("length not in its shortest form"));
        }
        if len > i64::MAX as u64 {
            return Err(Fault::Protocol("length of 2^63 bytes or more"));
        }
        let (mask, rest) = match (masked, rest.split_first_chunk::<4>()) {
            (false, _) => (None, rest),
            (true, Some((key, rest))) => (Some(*key), rest),
            (true, None) => return Ok(None),
        };
        let header = Header {
            fin,
            opcode,
            len,
            mask,
        };
        Ok(Some((header, input.len() - rest.len())))
    }
}

impl Header {
    /// Reads the head at the front of `input`, as sent by the other side of
    /// `role`: the head and how many bytes it takes, or `None` if more bytes
    /// are needed.
    ///
    /// # Errors
    /// [`Fault::Protocol`] as soon as a byte that is there breaks a rule.
    pub fn parse(input: &[u8], role: Role) -> Result<Option<(Header, usize)>, Fault> {
        match Start::parse(input, role)? {
            Some(start) => start.complete(input),
            None => Ok(None),
        }
    }

    /// The bytes of this head, with the length in its shortest form.
    #[inline]
    pub fn encode(&self) -> Encoded {
        let mut out = Encoded {
            bytes: [0; MAX_LEN],
            len: 0,
        };
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        let first = (u8::from(self.fin) << 7) | self.opcode.nibble();
        match self.len {
            len @ 0..=125 => out.push(&[first, masked | len as u8]),
            len @ 126..=0xffff => {
                out.push(&[first, masked | 126]);
                out.push(&(len as u16).to_be_bytes());
            }
            len => {
                out.push(&[first, masked | 127]);
                out.push(&len.to_be_bytes());
            }
        }
        if let Some(key) = self.mask {
            out.push(&key);
        }
        out
    }
}

/// The bytes of a head.
#[derive(Clone, Copy, Debug)]
pub struct Encoded {
    bytes: [u8; MAX_LEN],
    len: usize,
}

impl Encoded {
    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }
}

impl std::ops::Deref for Encoded {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: Opcode = Opcode::Data(Kind::Text);
    const BINARY: Opcode = Opcode::Data(Kind::Binary);

    /// (section and name, bytes from a server, the head)
    const HEADS: &[(&str, &[u8], Header)] = &[
        (
            "5.7 hello",
            &[0x81, 5],
            Header {
                fin: true,
                opcode: TEXT,
                len: 5,
                mask: None,
            },
        ),
        (
            "5.7 first fragment",
            &[0x01, 3],
            Header {
                fin: false,
                opcode: TEXT,
                len: 3,
                mask: None,
            },
        ),
        (
            "5.7 last fragment",
            &[0x80, 2],
            Header {
                fin: true,
                opcode: Opcode::Continuation,
                len: 2,
                mask: None,
            },
        ),
        (
            "5.7 ping",
            &[0x89, 5],
            Header {
                fin: true,
                opcode: Opcode::Ping,
                len: 5,
                mask: None,
            },
        ),
        (
            "5.5.3 pong",
            &[0x8a, 0],
            Header {
                fin: true,
                opcode: Opcode::Pong,
                len: 0,
                mask: None,
            },
        ),
        (
            "5.5.1 close",
            &[0x88, 125],
            Header {
                fin: true,
                opcode: Opcode::Close,
                len: 125,
                mask: None,
            },
        ),
        (
            "5.2 longest short form",
            &[0x82, 125],
            Header {
                fin: true,
                opcode: BINARY,
                len: 125,
                mask: None,
            },
        ),
        (
            "5.2 shortest 16-bit form",
            &[0x82, 126, 0, 126],
            Header {
                fin: true,
                opcode: BINARY,
                len: 126,
                mask: None,
            },
        ),
        (
            "5.7 256 bytes",
            &[0x82, 0x7e, 1, 0],
            Header {
                fin: true,
                opcode: BINARY,
                len: 256,
                mask: None,
            },
        ),
        (
            "5.2 bit 11 of the length",
            &[0x82, 126, 8, 0],
            Header {
                fin: true,
                opcode: BINARY,
                len: 2048,
                mask: None,
            },
        ),
        (
            "5.2 longest 16-bit form",
            &[0x82, 126, 255, 255],
            Header {
                fin: true,
                opcode: BINARY,
                len: 65535,
                mask: None,
            },
        ),
        (
            "5.7 64 KiB",
            &[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0],
            Header {
                fin: true,
                opcode: BINARY,
                len: 65536,
                mask: None,
            },
        ),
        (
            "5.2 longest frame",
            &[0x82, 127, 0x7f, 255, 255, 255, 255, 255, 255, 255],
            Header {
                fin: true,
                opcode: BINARY,
                len: i64::MAX as u64,
                mask: None,
            },
        ),
    ];

    /// The same head as a client sends it.
    fn masked(bytes: &[u8], header: &Header) -> (Vec<u8>, Header) {
        let mut out = bytes.to_vec();
        out[1] |= 0x80;
        out.extend([1, 2, 3, 4]);
        (
            out,
            Header {
                mask: Some([1, 2, 3, 4]),
                ..*header
            },
        )
    }

    #[test]
    fn heads_are_read_and_written_in_both_roles() {
        for (name, bytes, header) in HEADS {
            let (masked_bytes, masked_header) = masked(bytes, header);
            for (role, bytes, header) in [
                (Role::Client, bytes.to_vec(), *header),
                (Role::Server, masked_bytes, masked_header),
            ] {
                assert_eq!(
                    Header::parse(&bytes, role),
                    Ok(Some((header, bytes.len()))),
                    "{name}"
                );
                assert_eq!(&*header.encode(), bytes, "{name}");
                for cut in 0..bytes.len() {
                    assert_eq!(
                        Header::parse(&bytes[..cut], role),
                        Ok(None),
                        "{name} cut at {cut}"
                    );
                }
            }
        }
    }

    #[test]
    fn broken_heads_are_refused_at_the_first_byte_that_tells() {
        let refused: &[(&str, &[u8])] = &[
            ("5.2 RSV1", &[0xc1, 0]),
            ("5.2 RSV2", &[0xa1, 0]),
            ("5.2 RSV3", &[0x91, 0]),
            ("5.2 opcode 3", &[0x83, 0]),
            ("5.2 opcode 7", &[0x87, 0]),
            ("5.2 opcode 12", &[0x8c, 0]),
            ("5.2 opcode 15", &[0x8f, 0]),
            ("5.5 fragmented ping", &[0x09, 0]),
            ("5.5 fragmented close", &[0x08, 0]),
            ("5.5 ping of 126 bytes", &[0x89, 126]),
            ("5.5 close of 64 KiB", &[0x88, 127]),
            ("5.2 16-bit form of 125", &[0x82, 126, 0, 125]),
            (
                "5.2 64-bit form of 65535",
                &[0x82, 127, 0, 0, 0, 0, 0, 0, 255, 255],
            ),
            (
                "5.2 most significant bit",
                &[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0],
            ),
        ];
        for (name, bytes) in refused {
            for (role, mask) in [(Role::Client, 0), (Role::Server, 0x80)] {
                let mut bytes = bytes.to_vec();
                bytes[1] |= mask;
                assert!(Header::parse(&bytes, role).is_err(), "{name}");
                assert_eq!(
                    Header::parse(&bytes[..1], role),
                    Ok(None),
                    "{name}, one byte"
                );
            }
        }
        assert!(
            Header::parse(&[0x81, 0x05], Role::Server).is_err(),
            "5.1 unmasked client"
        );
        assert!(
            Header::parse(&[0x81, 0x85], Role::Client).is_err(),
            "5.1 masked server"
        );
    }
}
