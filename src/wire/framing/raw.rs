//! `raw`: a plain stream of bytes, of which each read is a message.

use std::mem;

use crate::wire::{Chunk, End, Gather};

/// The framing that is none.
#[derive(Debug)]
pub struct Raw;

impl Raw {
    pub(super) fn decode<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<Chunk<'a>> {
        let payload = mem::take(input);
        (!payload.is_empty()).then_some(Chunk::untyped(payload, true, End::Read))
    }

    pub(super) fn encode<'a>(&mut self, chunk: Chunk<'a>, out: &mut Gather<'a>) {
        let Chunk { payload, .. } = chunk;
        out.payload(payload);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Framing;
    use super::super::harness::{Decoded, decode, encode};
    use super::*;

    #[test]
    fn each_read_is_a_message() {
        let reads: [&[u8]; 3] = [b"ab\n", b"\0", b"cd"];
        assert_eq!(
            decode(Framing::Raw, 1, reads),
            Decoded::untyped(&[b"ab\n", b"\0", b"cd"])
        );
        assert_eq!(decode(Framing::Raw, 1, []), Decoded::untyped(&[]));
    }

    #[test]
    fn a_chunk_may_end_within_a_character() {
        let mut bytes = "é".as_bytes()[..1].to_vec();
        let mut input = &mut bytes[..];
        let chunk = Raw.decode(&mut input).map(|chunk| (chunk.first, chunk.end));
        assert_eq!(chunk, Some((true, End::Read)));
        assert!(input.is_empty());
    }

    #[test]
    fn the_clients_bytes_pass_as_they_are() {
        let wire = encode(Framing::Raw, 1, &[&[b"a\n", b""], &[b"\0b"]]);
        assert_eq!(wire, Ok(b"a\n\0b".to_vec()));
    }
}
