//! `length-u8` to `length-u32le`: a binary length goes before a message.

use super::announced::{Announced, Head, Limit};
use crate::wire::{Chunk, Fault, Gather};

/// How a message's length is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// One byte.
    U8,
    /// Two bytes, the high one first.
    U16,
    /// Four bytes, the highest one first.
    U32,
    /// Four bytes, the lowest one first.
    U32le,
}

impl Prefix {
    /// The name of the framing with this prefix.
    pub fn name(self) -> &'static str {
        match self {
            Prefix::U8 => "length-u8",
            Prefix::U16 => "length-u16",
            Prefix::U32 => "length-u32",
            Prefix::U32le => "length-u32le",
        }
    }

    fn size(self) -> usize {
        match self {
            Prefix::U8 => 1,
            Prefix::U16 => 2,
            Prefix::U32 | Prefix::U32le => 4,
        }
    }

    fn limit(self) -> Limit {
        Limit {
            max: u64::MAX >> (64 - 8 * self.size()),
            name: self.name(),
        }
    }

    fn parse(self, input: &[u8]) -> Option<Head> {
        let size = self.size();
        let prefix = input.get(..size)?;
        let mut len = [0; 8];
        let message = if self == Prefix::U32le {
            len[..size].copy_from_slice(prefix);
            u64::from_le_bytes(len)
        } else {
            len[8 - size..].copy_from_slice(prefix);
            u64::from_be_bytes(len)
        };
        Some(Head { size, message })
    }

    fn write(self, len: u64, out: &mut Gather<'_>) {
        let size = self.size();
        if self == Prefix::U32le {
            out.copy(&len.to_le_bytes()[..size]);
        } else {
            out.copy(&len.to_be_bytes()[8 - size..]);
        }
    }
}

/// State of a framing with a binary length.
#[derive(Debug)]
pub struct Length {
    prefix: Prefix,
    announced: Announced,
}

impl Length {
    pub(super) fn new(prefix: Prefix, max_message: u64) -> Self {
        Length {
            prefix,
            announced: Announced::new(max_message),
        }
    }

    pub(super) fn decode<'a>(
        &mut self,
        input: &mut &'a mut [u8],
    ) -> Result<Option<Chunk<'a>>, Fault> {
        let prefix = self.prefix;
        self.announced
            .decode(input, |input| Ok(prefix.parse(input)))
    }

    pub(super) fn finish(&self, input: &[u8]) -> Result<Option<Chunk<'static>>, Fault> {
        self.announced.finish(input)
    }

    pub(super) fn encode<'a>(
        &mut self,
        chunk: Chunk<'a>,
        out: &mut Gather<'a>,
    ) -> Result<(), Fault> {
        let prefix = self.prefix;
        let head = |len, out: &mut Gather<'a>| prefix.write(len, out);
        self.announced.encode(chunk, out, prefix.limit(), head)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::type_complexity)]

    use super::super::Framing;
    use super::super::harness::{
        Decoded, decode, decode_at_every_cut, encode, encode_unframed, first_frame,
    };
    use super::Prefix::{U8, U16, U32, U32le};
    use super::*;
    use crate::wire::Frame;

    #[test]
    fn a_length_goes_before_a_message_wherever_the_reads_are_cut() {
        let table: &[(Prefix, &[u8], &[&[u8]])] = &[
            (U8, b"", &[]),
            (U8, b"\x02ab\x00\x01c", &[b"ab", b"", b"c"]),
            (U16, b"\x00\x02ab\x00\x00\x00\x01c", &[b"ab", b"", b"c"]),
            (U32, b"\x00\x00\x00\x02ab\x00\x00\x00\x00", &[b"ab", b""]),
            (U32le, b"\x02\x00\x00\x00ab\x00\x00\x00\x00", &[b"ab", b""]),
        ];
        for (prefix, wire, messages) in table {
            let framing = Framing::Length(*prefix);
            decode_at_every_cut(framing, 2, wire, &Decoded::untyped(messages));
            let sent: Result<Vec<_>, _> = messages
                .iter()
                .map(|message| encode(framing, 2, &[&[message]]))
                .collect();
            assert_eq!(sent.map(|sent| sent.concat()), Ok(wire.to_vec()));
        }
    }

    #[test]
    fn the_bytes_of_a_length_are_in_order() {
        let long = vec![7; 0x0102];
        let table: &[(Prefix, &[u8])] = &[
            (U16, b"\x01\x02"),
            (U32, b"\x00\x00\x01\x02"),
            (U32le, b"\x02\x01\x00\x00"),
        ];
        for (prefix, head) in table {
            let framing = Framing::Length(*prefix);
            let wire = [head, &long[..]].concat();
            assert_eq!(encode(framing, 1000, &[&[&long]]), Ok(wire.clone()));
            assert_eq!(
                decode(framing, 1000, [&wire[..]]),
                Decoded::untyped(&[&long])
            );
        }
    }

    #[test]
    fn an_announced_message_says_its_length_with_its_first_bytes() {
        for (framing, wire) in [
            (Framing::Length(U8), &b"\x05a"[..]),
            (Framing::ContentLength, b"Content-Length: 5\r\n\r\na"),
        ] {
            let frame = Some(Frame { len: 5, fin: true });
            assert_eq!(first_frame(framing, wire), frame, "{framing}");
        }
    }

    #[test]
    fn what_exceeds_the_limits_or_ends_early_is_a_fault() {
        let table: &[(Prefix, &[u8], &[&[u8]], Fault)] = &[
            (
                U8,
                b"\x01a\x03bcd",
                &[b"a"],
                Fault::StreamTooBig { len: 3, max: 2 },
            ),
            (
                U32,
                b"\xff\xff\xff\xff",
                &[],
                Fault::StreamTooBig {
                    len: 0xffff_ffff,
                    max: 2,
                },
            ),
            (U8, b"\x01", &[], Fault::StreamTruncated),
            (U8, b"\x02ab\x02a", &[b"ab"], Fault::StreamTruncated),
            (U16, b"\x00", &[], Fault::StreamTruncated),
        ];
        for (prefix, wire, messages, fault) in table {
            let decoded = Decoded::untyped(messages).then(fault.clone());
            decode_at_every_cut(Framing::Length(*prefix), 2, wire, &decoded);
        }
    }

    #[test]
    fn a_message_of_one_frame_streams_behind_its_length() {
        let wire = encode(Framing::Length(U8), 1, &[&[b"ab", b"c"]]);
        assert_eq!(wire, Ok(b"\x03abc".to_vec()));
    }

    #[test]
    fn a_fragmented_message_is_assembled() {
        let framing = Framing::Length(U16);
        let frames: &[&[&[u8]]] = &[&[b"ab", b"c"], &[b""], &[b"d"], &[b""]];
        assert_eq!(encode(framing, 4, frames), Ok(b"\x00\x04abcd".to_vec()));
        assert_eq!(encode(framing, 4, &[&[b""], &[b""]]), Ok(vec![0, 0]));
    }

    #[test]
    fn a_source_without_frames_is_taken_chunk_by_chunk() {
        let framing = Framing::Length(U8);
        assert_eq!(
            encode_unframed(framing, 9, &[b"abc"]),
            Ok(b"\x03abc".to_vec())
        );
        assert_eq!(
            encode_unframed(framing, 9, &[b"ab", b"c"]),
            Ok(b"\x03abc".to_vec())
        );
    }

    #[test]
    fn a_message_that_is_too_long_names_its_limit() {
        let long = vec![0; 65536];
        let too_big = |len, max, limit| Err(Fault::TooBig { len, max, limit });
        let table: &[(Prefix, u64, &[&[&[u8]]], _)] = &[
            (U8, 1000, &[&[&long[..256]]], too_big(256, 255, "length-u8")),
            (
                U8,
                1000,
                &[&[&long[..255]], &[b"a"]],
                too_big(256, 255, "length-u8"),
            ),
            (
                U16,
                1 << 20,
                &[&[&long]],
                too_big(65536, 65535, "length-u16"),
            ),
            (U32, 3, &[&[b"ab"], &[b"cd"]], too_big(4, 3, "max-message")),
            (U8, 3, &[&[b"ab"], &[b"cd"]], too_big(4, 3, "max-message")),
        ];
        for (prefix, max, frames, fault) in table {
            assert_eq!(&encode(Framing::Length(*prefix), *max, frames), fault);
        }
    }
}
