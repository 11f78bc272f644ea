//! `record`: nothing of a WebSocket message is lost.
//!
//! A record is a frame without its mask: the first byte of RFC 6455 section
//! 5.2 (FIN and opcode, no reserved bit, no control frame), a length of four
//! bytes, the highest first, and the payload. So a message's type, its
//! fragments and an empty message pass in both directions. Only an empty
//! fragment that does not end its message is dropped: it says nothing.

use std::mem;

use super::{take_front, take_payload};
use crate::wire::{Chunk, End, Fault, Frame, Gather, Kind};

const FIN: u8 = 0x80;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;

const HEAD: usize = 5;

/// State of the framing by records.
#[derive(Debug)]
pub struct Record {
    max_message: u64,
    /// The type of the backend's message, once it has begun.
    kind: Option<Kind>,
    /// Whether a chunk of it was yielded.
    yielded: bool,
    /// Whether the record that was read last ends its message.
    fin: bool,
    /// Bytes of that record that are still to be read.
    left: u64,
    /// Bytes of the client's record that are still to be sent.
    to_send: u64,
    /// Whether that record ends its message.
    sends_fin: bool,
}

impl Record {
    pub(super) fn new(max_message: u64) -> Self {
        Record {
            max_message,
            kind: None,
            yielded: false,
            fin: false,
            left: 0,
            to_send: 0,
            sends_fin: false,
        }
    }

    pub(super) fn decode<'a>(
        &mut self,
        input: &mut &'a mut [u8],
    ) -> Result<Option<Chunk<'a>>, Fault> {
        let mut frame = None;
        if self.left == 0 {
            frame = self.take_head(input)?;
            if frame.is_none() {
                return Ok(None);
            }
        } else if input.is_empty() {
            return Ok(None);
        }
        let payload = take_payload(input, &mut self.left);
        let kind = self.kind;
        let first = !mem::replace(&mut self.yielded, true);
        let mut end = End::Open;
        if self.left == 0 && self.fin {
            end = End::Message;
            self.kind = None;
            self.yielded = false;
        }
        Ok(Some(Chunk {
            payload,
            kind,
            first,
            end,
            frame,
        }))
    }

    pub(super) fn finish(&self, input: &[u8]) -> Result<Option<Chunk<'static>>, Fault> {
        if self.kind.is_some() || !input.is_empty() {
            return Err(Fault::StreamTruncated);
        }
        Ok(None)
    }

    /// Takes the next head that has something to yield. A head is left until
    /// its payload begins, so it needs no state of its own.
    fn take_head(&mut self, input: &mut &mut [u8]) -> Result<Option<Frame>, Fault> {
        while let Some(&[first, a, b, c, d]) = input.first_chunk::<HEAD>() {
            let kind = self.kind_of(first & !FIN)?;
            let fin = first & FIN != 0;
            let len = u64::from(u32::from_be_bytes([a, b, c, d]));
            let max = self.max_message;
            if len > max {
                return Err(Fault::StreamTooBig { len, max });
            }
            if len > 0 && input.len() == HEAD {
                break;
            }
            take_front(input, HEAD);
            (self.kind, self.fin, self.left) = (Some(kind), fin, len);
            if len > 0 || fin {
                return Ok(Some(Frame { len, fin }));
            }
        }
        Ok(None)
    }

    /// The type of the message that a record begins or continues (RFC 6455
    /// section 5.4).
    fn kind_of(&self, opcode: u8) -> Result<Kind, Fault> {
        Err(Fault::StreamMalformed(match (opcode, self.kind) {
            (CONTINUATION, Some(kind)) => return Ok(kind),
            (TEXT, None) => return Ok(Kind::Text),
            (BINARY, None) => return Ok(Kind::Binary),
            (CONTINUATION, None) => "a continuation record outside of a message",
            (TEXT | BINARY, Some(_)) => "a record that begins a message within another",
            _ => "a record that is neither text, binary nor a continuation",
        }))
    }

    pub(super) fn encode<'a>(
        &mut self,
        chunk: Chunk<'a>,
        out: &mut Gather<'a>,
    ) -> Result<(), Fault> {
        let own = || Frame {
            len: chunk.payload.len() as u64,
            fin: chunk.is_last(),
        };
        let within = !chunk.first && (self.to_send > 0 || self.sends_fin);
        if chunk.frame.is_some() || !within {
            let frame = chunk.frame.unwrap_or_else(own);
            out.copy(&head(&chunk, frame)?);
            (self.to_send, self.sends_fin) = (frame.len, frame.fin);
        }
        let Chunk { payload, .. } = chunk;
        self.to_send = self.to_send.saturating_sub(payload.len() as u64);
        out.payload(payload);
        Ok(())
    }
}

fn head(chunk: &Chunk<'_>, frame: Frame) -> Result<[u8; HEAD], Fault> {
    let len = u32::try_from(frame.len).map_err(|_| Fault::TooBig {
        len: frame.len,
        max: u64::from(u32::MAX),
        limit: "record",
    })?;
    let opcode = match (chunk.first, chunk.kind) {
        (false, _) => CONTINUATION,
        (true, Some(Kind::Text)) => TEXT,
        (true, Some(Kind::Binary) | None) => BINARY,
    };
    let fin = if frame.fin { FIN } else { 0 };
    let [a, b, c, d] = len.to_be_bytes();
    Ok([fin | opcode, a, b, c, d])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::type_complexity, clippy::unwrap_used)]

    use super::super::Framing;
    use super::super::harness::{Decoded, decode_at_every_cut, encode, encode_unframed};
    use super::Kind::{Binary, Text};
    use super::*;

    #[test]
    fn type_fragments_and_emptiness_survive_wherever_the_reads_are_cut() {
        let table: &[(&[u8], &[(Kind, &[u8])])] = &[
            (b"", &[]),
            (
                b"\x81\0\0\0\x02hi\x82\0\0\0\x01\xff",
                &[(Text, b"hi"), (Binary, b"\xff")],
            ),
            (b"\x81\0\0\0\0\x82\0\0\0\0", &[(Text, b""), (Binary, b"")]),
            (
                b"\x01\0\0\0\x02ab\0\0\0\0\x01c\x80\0\0\0\x01d\x82\0\0\0\x01e",
                &[(Text, b"abcd"), (Binary, b"e")],
            ),
            (
                b"\x02\0\0\0\0\0\0\0\0\x01a\0\0\0\0\0\x80\0\0\0\0",
                &[(Binary, b"a")],
            ),
            (b"\x01\0\0\0\0\x80\0\0\0\0", &[(Text, b"")]),
        ];
        for (wire, messages) in table {
            decode_at_every_cut(Framing::Record, 2, wire, &Decoded::typed(messages));
        }
    }

    #[test]
    fn records_that_make_no_message_are_a_fault() {
        let unknown =
            Fault::StreamMalformed("a record that is neither text, binary nor a continuation");
        let outside = Fault::StreamMalformed("a continuation record outside of a message");
        let within = Fault::StreamMalformed("a record that begins a message within another");
        let too_big = Fault::StreamTooBig { len: 3, max: 2 };
        let table: &[(&[u8], &Fault)] = &[
            (b"\x83\0\0\0\0", &unknown),
            (b"\x88\0\0\0\0", &unknown),
            (b"\xc1\0\0\0\0", &unknown),
            (b"{\"a\":1}", &unknown),
            (b"\x80\0\0\0\0", &outside),
            (b"\0\0\0\0\x01a", &outside),
            (b"\x01\0\0\0\x01a\x81\0\0\0\0", &within),
            (b"\x01\0\0\0\0\x82\0\0\0\0", &within),
            (b"\x81\0\0\0\x03abc", &too_big),
            (b"\x01\0\0\0\x02ab\x80\0\0\0\x03cde", &too_big),
            (b"\x81", &Fault::StreamTruncated),
            (b"\x81\0\0\0\x02", &Fault::StreamTruncated),
            (b"\x81\0\0\0\x02a", &Fault::StreamTruncated),
            (b"\x01\0\0\0\x02ab", &Fault::StreamTruncated),
            (b"\x01\0\0\0\0", &Fault::StreamTruncated),
        ];
        for (wire, fault) in table {
            let wire = [b"\x81\0\0\0\x01.", *wire].concat();
            let decoded = Decoded::typed(&[(Text, b".")]).then((*fault).clone());
            decode_at_every_cut(Framing::Record, 2, &wire, &decoded);
        }
    }

    #[test]
    fn each_record_says_its_length_with_its_first_bytes() {
        let mut wire = *b"\x01\0\0\0\x02ab\0\0\0\0\0\0\0\0\0\x01c\x80\0\0\0\0";
        let mut input = &mut wire[..];
        let mut record = Record::new(2);
        let mut frames = Vec::new();
        while let Ok(Some(chunk)) = record.decode(&mut input) {
            let Frame { len, fin } = chunk.frame.unwrap();
            frames.push((chunk.kind, chunk.first, len, fin));
        }
        let kind = Some(Text);
        assert_eq!(
            frames,
            [
                (kind, true, 2, false),
                (kind, false, 1, false),
                (kind, false, 0, true)
            ]
        );
    }

    #[test]
    fn a_frame_becomes_a_record() {
        let table: &[(&[&[&[u8]]], &[u8])] = &[
            (&[&[b""]], b"\x82\0\0\0\0"),
            (&[&[b"abc"]], b"\x82\0\0\0\x03abc"),
            (&[&[b"a", b"bc"]], b"\x82\0\0\0\x03abc"),
            (&[&[b"abc", b""]], b"\x82\0\0\0\x03abc"),
            (
                &[&[b"a", b"b"], &[b"c"], &[b"d"]],
                b"\x02\0\0\0\x02ab\0\0\0\0\x01c\x80\0\0\0\x01d",
            ),
            (&[&[b"a"], &[b""]], b"\x02\0\0\0\x01a\x80\0\0\0\0"),
            (&[&[b""], &[b"a"]], b"\x82\0\0\0\x01a"),
        ];
        for (frames, wire) in table {
            assert_eq!(encode(Framing::Record, 1, frames), Ok(wire.to_vec()));
        }
    }

    #[test]
    fn a_chunk_without_a_frame_becomes_a_record() {
        let table: &[(&[&[u8]], &[u8])] = &[
            (&[b"abc"], b"\x82\0\0\0\x03abc"),
            (&[b"a", b"bc"], b"\x02\0\0\0\x01a\x80\0\0\0\x02bc"),
            (&[b"a", b""], b"\x02\0\0\0\x01a\x80\0\0\0\0"),
        ];
        for (chunks, wire) in table {
            let sent = encode_unframed(Framing::Record, 1, chunks);
            assert_eq!(sent, Ok(wire.to_vec()));
        }
    }

    #[test]
    fn the_first_byte_says_the_type_and_a_length_has_32_bits() {
        let sent = |kind, len| {
            let chunk = Chunk {
                payload: &mut [],
                kind,
                first: true,
                end: End::Open,
                frame: None,
            };
            head(&chunk, Frame { len, fin: true })
        };
        assert_eq!(sent(Some(Text), 1), Ok(*b"\x81\0\0\0\x01"));
        assert_eq!(sent(None, 0x0102_0304), Ok(*b"\x82\x01\x02\x03\x04"));
        assert_eq!(
            sent(Some(Binary), 0xffff_ffff),
            Ok([0x82, 255, 255, 255, 255])
        );
        let (len, max) = (1 << 32, (1 << 32) - 1);
        let limit = "record";
        assert_eq!(sent(None, len), Err(Fault::TooBig { len, max, limit }));
    }
}
