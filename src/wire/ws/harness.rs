//! The caller of a decoder as tests and fuzz targets need it: it reads, keeps
//! what the decoder leaves, and joins chunks into messages, checking on the way
//! what a chunk promises.

use super::header;
use super::{Close, Decoder, Event};
use crate::wire::{End, Kind};
use Seen::*;

/// What a decoder made of some bytes, with chunks joined into messages.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    Message(Kind, Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    HalfClose,
    Closed(Option<u16>),
    Failed(u16),
}

/// Decodes `pieces` as reads that follow one another; what the decoder leaves
/// goes in front of the next piece.
pub(crate) fn decode(mut decoder: Decoder, pieces: &[&[u8]]) -> Vec<Seen> {
    let (mut seen, mut held, mut message) = (Vec::new(), Vec::new(), None);
    for piece in pieces {
        let mut buffer = [&held[..], piece].concat();
        let mut input = buffer.as_mut_slice();
        loop {
            match decoder.decode(&mut input) {
                Ok(None) => break,
                Ok(Some(Event::Chunk(chunk))) => {
                    let kind = chunk.kind.expect("a WebSocket message has a kind");
                    assert_eq!(
                        chunk.first,
                        message.is_none(),
                        "first marks the first chunk"
                    );
                    assert!(
                        !chunk.payload.is_empty() || chunk.is_last(),
                        "an empty chunk ends"
                    );
                    let (_, bytes) = message.get_or_insert((kind, Vec::new()));
                    bytes.extend_from_slice(chunk.payload);
                    if chunk.end == End::Message {
                        let (kind, bytes) = message.take().expect("just inserted");
                        seen.push(Message(kind, bytes));
                    }
                }
                Ok(Some(Event::Ping(payload))) => seen.push(Ping(payload.to_vec())),
                Ok(Some(Event::Pong)) => seen.push(Pong),
                Ok(Some(Event::HalfClose)) => seen.push(HalfClose),
                Ok(Some(Event::Close(Close(code)))) => {
                    seen.push(Closed(code));
                    return seen;
                }
                Err(fault) => {
                    seen.push(Failed(fault.close_code()));
                    return seen;
                }
            }
        }
        held = input.to_vec();
        assert!(
            held.len() < header::MAX_LEN + header::MAX_CONTROL,
            "{} bytes held",
            held.len()
        );
    }
    seen
}
