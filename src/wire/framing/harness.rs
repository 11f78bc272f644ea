//! The caller of a framer as tests and fuzz targets need it: it reads, keeps
//! what a decoder leaves, ends, and joins chunks into messages, checking on the
//! way what a chunk promises.

#![cfg_attr(fuzzing, allow(dead_code, reason = "tests use more of it"))]

use super::{Framer, Framing, MAX_LEFT};
use crate::wire::{Chunk, End, Fault, Frame, Gather, Kind};

/// What came out of a decoder: whole messages, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) messages: Vec<(Option<Kind>, Vec<u8>)>,
    pub(crate) ending: Result<(), Fault>,
}

impl Decoded {
    pub(crate) fn untyped(messages: &[&[u8]]) -> Self {
        Decoded {
            messages: messages
                .iter()
                .map(|bytes| (None, bytes.to_vec()))
                .collect(),
            ending: Ok(()),
        }
    }

    pub(crate) fn typed(messages: &[(Kind, &[u8])]) -> Self {
        let owned = |&(kind, bytes): &(Kind, &[u8])| (Some(kind), bytes.to_vec());
        Decoded {
            messages: messages.iter().map(owned).collect(),
            ending: Ok(()),
        }
    }

    pub(crate) fn then(self, fault: Fault) -> Self {
        Decoded {
            ending: Err(fault),
            ..self
        }
    }
}

/// Joins chunks into messages.
#[derive(Default)]
struct Joiner {
    messages: Vec<(Option<Kind>, Vec<u8>)>,
    begun: Option<(Option<Kind>, Vec<u8>)>,
    left_of_frame: u64,
}

impl Joiner {
    fn join(&mut self, chunk: &Chunk<'_>) {
        assert!(chunk.is_last() || !chunk.payload.is_empty());
        assert_eq!(chunk.first, self.begun.is_none());
        if let Some(frame) = chunk.frame {
            assert_eq!(self.left_of_frame, 0);
            self.left_of_frame = frame.len;
        }
        self.left_of_frame = self
            .left_of_frame
            .saturating_sub(chunk.payload.len() as u64);
        let (kind, bytes) = self.begun.get_or_insert((chunk.kind, Vec::new()));
        assert_eq!(*kind, chunk.kind);
        bytes.extend_from_slice(chunk.payload);
        if chunk.is_last() {
            assert_eq!(self.left_of_frame, 0);
            self.messages.extend(self.begun.take());
        }
    }
}

/// Decodes some reads and the end of the stream.
pub(crate) fn decode<'r>(
    framing: Framing,
    max_message: u64,
    reads: impl IntoIterator<Item = &'r [u8]>,
) -> Decoded {
    let mut joiner = Joiner::default();
    let ending = drive(framing.framer(max_message), reads, &mut joiner);
    if ending.is_ok() {
        assert_eq!(joiner.begun, None, "{framing} ended within a message");
    }
    Decoded {
        messages: joiner.messages,
        ending,
    }
}

fn drive<'r>(
    mut framer: Framer,
    reads: impl IntoIterator<Item = &'r [u8]>,
    joiner: &mut Joiner,
) -> Result<(), Fault> {
    let mut left = Vec::new();
    for read in reads {
        let mut bytes = [&left, read].concat();
        let mut input = &mut bytes[..];
        while let Some(chunk) = framer.decode(&mut input)? {
            joiner.join(&chunk);
        }
        assert!(input.len() <= MAX_LEFT);
        left = input.to_vec();
    }
    let mut input = &mut left[..];
    while let Some(chunk) = framer.finish(&mut input)? {
        joiner.join(&chunk);
    }
    assert!(input.is_empty());
    Ok(())
}

/// Asserts what is decoded from one read, from any two and from single bytes.
pub(crate) fn decode_at_every_cut(
    framing: Framing,
    max_message: u64,
    wire: &[u8],
    expected: &Decoded,
) {
    let shown = wire.escape_ascii();
    for cut in 0..=wire.len() {
        let (start, rest) = wire.split_at(cut);
        let decoded = decode(framing, max_message, [start, rest]);
        assert_eq!(&decoded, expected, "{framing} {shown} cut at {cut}");
    }
    let decoded = decode(framing, max_message, wire.chunks(1));
    assert_eq!(&decoded, expected, "{framing} {shown} byte by byte");
}

/// What the first chunk of `wire` says of its frame.
pub(crate) fn first_frame(framing: Framing, wire: &[u8]) -> Option<Frame> {
    let mut bytes = wire.to_vec();
    let chunk = framing.framer(u64::MAX).decode(&mut &mut bytes[..]);
    chunk.ok().flatten().and_then(|chunk| chunk.frame)
}

/// Encodes a message that came in frames, and each frame in parts.
pub(crate) fn encode(
    framing: Framing,
    max_message: u64,
    frames: &[&[&[u8]]],
) -> Result<Vec<u8>, Fault> {
    let frames: Vec<_> = frames.iter().map(|parts| parts.to_vec()).collect();
    let mut wire = Vec::new();
    let mut framer = framing.framer(max_message);
    encode_message(&mut framer, Kind::Binary, &frames, &mut wire)?;
    Ok(wire)
}

/// As [`encode`], with a framer that goes on to the next message.
pub(crate) fn encode_message(
    framer: &mut Framer,
    kind: Kind,
    frames: &[Vec<&[u8]>],
    wire: &mut Vec<u8>,
) -> Result<(), Fault> {
    let mut chunks = Vec::new();
    for (n, parts) in frames.iter().enumerate() {
        let fin = n + 1 == frames.len();
        let len = parts.concat().len() as u64;
        let mut frame = Some(Frame { len, fin });
        for (m, part) in parts.iter().enumerate() {
            let last = fin && m + 1 == parts.len();
            if last || !part.is_empty() {
                chunks.push((part.to_vec(), frame.take()));
            }
        }
    }
    send(framer, Some(kind), &mut chunks, wire)
}

/// Encodes a message from a source that has no frames.
pub(crate) fn encode_unframed(
    framing: Framing,
    max_message: u64,
    parts: &[&[u8]],
) -> Result<Vec<u8>, Fault> {
    let mut chunks: Vec<_> = parts.iter().map(|part| (part.to_vec(), None)).collect();
    let mut wire = Vec::new();
    send(
        &mut framing.framer(max_message),
        None,
        &mut chunks,
        &mut wire,
    )?;
    Ok(wire)
}

fn send(
    framer: &mut Framer,
    kind: Option<Kind>,
    chunks: &mut [(Vec<u8>, Option<Frame>)],
    wire: &mut Vec<u8>,
) -> Result<(), Fault> {
    let mut staging = Vec::new();
    let mut out = Gather::new(&mut staging);
    let count = chunks.len();
    for (n, (payload, frame)) in chunks.iter_mut().enumerate() {
        let end = if n + 1 == count {
            End::Message
        } else {
            End::Open
        };
        let chunk = Chunk {
            payload,
            kind,
            first: n == 0,
            end,
            frame: *frame,
        };
        framer.encode(chunk, &mut out)?;
    }
    wire.extend(out.pieces().flatten());
    Ok(())
}
