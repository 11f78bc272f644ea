//! Codecs: what is decoded is the same wherever reads are cut, and what is
//! encoded is decoded again.

use super::Choices;
use crate::wire::framing::Framing;
use crate::wire::framing::harness::{Decoded, decode, encode_message};
use crate::wire::ws::harness::{self, Seen};
use crate::wire::ws::{Decoder, Encoder, FrameType, InvalidUtf8, Role, Text};
use crate::wire::{Chunk, End, Fault, Gather, Kind};

/// Frames in either role. The messages in them are encoded in the other role
/// and decoded once more.
pub(super) fn frames(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let flags = choices.byte();
    let role = [Role::Server, Role::Client][usize::from(flags & 1)];
    let mut cuts = choices.cuts();
    let decoder = || {
        let mut decoder = Decoder::new(role);
        if flags & 2 != 0 {
            decoder.allow_half_close();
        }
        decoder
    };
    let wire = choices.0;
    let whole = harness::decode(decoder(), &[wire]);
    assert_eq!(harness::decode(decoder(), &cuts.cut(wire)), whole);

    let other = match role {
        Role::Server => Role::Client,
        Role::Client => Role::Server,
    };
    let mut encoder = Encoder::new(other, TEXT);
    let mut again = Vec::new();
    let mut messages = Vec::new();
    for seen in whole {
        if let Seen::Message(kind, message) = &seen {
            let pieces = cuts.cut(message);
            let encoded = encode(&mut encoder, Some(*kind), &pieces, &mut again);
            assert_eq!(encoded, Ok(()));
            messages.push(seen);
        }
    }
    assert_eq!(harness::decode(Decoder::new(role), &[&again]), messages);
}

const TEXT: Text = Text {
    frame_type: FrameType::Text,
    auto: Kind::Text,
    invalid: InvalidUtf8::Close,
};

/// A message that is to be text, towards a client: it arrives as it is, or not
/// at all, or with U+FFFD for what is ill-formed.
pub(super) fn text(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let invalid = choices.one_of(&[InvalidUtf8::Close, InvalidUtf8::Replace]);
    let mut cuts = choices.cuts();
    let message = choices.0;
    let mut encoder = Encoder::new(Role::Server, Text { invalid, ..TEXT });
    let mut wire = Vec::new();
    let encoded = encode(&mut encoder, None, &cuts.cut(message), &mut wire);
    let lossy = String::from_utf8_lossy(message);
    if invalid == InvalidUtf8::Close && std::str::from_utf8(message).is_err() {
        assert_eq!(encoded, Err(Fault::StreamText));
        return;
    }
    assert_eq!(encoded, Ok(()));
    let seen = harness::decode(Decoder::new(Role::Client), &[&wire]);
    assert_eq!(seen, [Seen::Message(Kind::Text, lossy.as_bytes().to_vec())]);
}

/// Encodes a message that comes in these pieces.
fn encode(
    encoder: &mut Encoder,
    kind: Option<Kind>,
    pieces: &[&[u8]],
    wire: &mut Vec<u8>,
) -> Result<(), Fault> {
    let mut pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
    if pieces.is_empty() {
        pieces.push(Vec::new());
    }
    let last = pieces.len() - 1;
    let mut staging = Vec::new();
    let mut out = Gather::new(&mut staging);
    for (index, payload) in pieces.iter_mut().enumerate() {
        let chunk = Chunk {
            payload,
            kind,
            first: index == 0,
            end: [End::Open, End::Message][usize::from(index == last)],
            frame: None,
        };
        encoder.encode(chunk, None, &mut out)?;
    }
    wire.extend(out.pieces().flatten());
    Ok(())
}

/// What a backend sends in any framing. What was decoded is, encoded and
/// decoded once more, the same.
pub(super) fn framing_decode(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let framing = choices.one_of(Framing::ALL);
    let max_message = choices.number() as u64;
    let mut cuts = choices.cuts();
    let wire = choices.0;
    let mut whole = decode(framing, max_message, [wire]);
    let mut cut = decode(framing, max_message, cuts.cut(wire));
    if framing == Framing::Raw {
        whole.messages = joined(whole.messages);
        cut.messages = joined(cut.messages);
    }
    assert_eq!(cut, whole, "{framing}");
    for (kind, message) in whole.messages {
        carry(framing, kind.unwrap_or(Kind::Text), &[cuts.cut(&message)]);
    }
}

/// What a client sends towards a backend in any framing.
pub(super) fn framing_encode(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let framing = choices.one_of(Framing::ALL);
    let kind = choices.one_of(&[Kind::Text, Kind::Binary]);
    let (mut frames, mut cuts) = (choices.cuts(), choices.cuts());
    let message = choices.0;
    let frames: Vec<_> = frames.cut(message);
    let frames: Vec<_> = frames.into_iter().map(|frame| cuts.cut(frame)).collect();
    carry(framing, kind, &frames);
}

/// A message that came in frames, and each frame in parts, is the same behind
/// its framing.
fn carry(framing: Framing, kind: Kind, frames: &[Vec<&[u8]>]) {
    let message = frames.concat().concat();
    let none = [vec![&[][..]]];
    let frames = if message.is_empty() { &none } else { frames };
    let mut wire = Vec::new();
    let encoded = encode_message(&mut framing.framer(u64::MAX), kind, frames, &mut wire);
    if let Err(fault) = encoded {
        let too_long = matches!(&fault, Fault::TooBig { len, max, .. } if len > max);
        assert!(too_long, "{framing}: {fault}");
        return;
    }
    let mut decoded = decode(framing, u64::MAX, [&wire[..]]);
    if framing == Framing::Raw && message.is_empty() {
        assert_eq!(wire, b"");
    } else if changes(framing, &message) {
        // It is carried, and makes what lines or values it makes.
    } else {
        if framing == Framing::Raw {
            decoded.messages = joined(decoded.messages);
        }
        let kind = framing.carries_type().then_some(kind);
        let messages = vec![(kind, message)];
        let ending = Ok(());
        assert_eq!(decoded, Decoded { messages, ending }, "{framing}");
    }
}

/// Whether a message has in it what ends or changes messages in the framing.
fn changes(framing: Framing, message: &[u8]) -> bool {
    match framing {
        Framing::Lines => message.contains(&b'\n') || message.ends_with(b"\r"),
        Framing::Crlf => message.contains(&b'\n'),
        Framing::JsonLines => message.contains(&b'\n') || message.contains(&b'\r'),
        Framing::Nul => message.contains(&0),
        Framing::Json => decode(framing, u64::MAX, [message]) != value(message),
        _ => false,
    }
}

/// A message that is one JSON value.
fn value(message: &[u8]) -> Decoded {
    Decoded {
        messages: vec![(None, message.to_vec())],
        ending: Ok(()),
    }
}

/// Reads are no messages: only their bytes count.
fn joined(messages: Vec<(Option<Kind>, Vec<u8>)>) -> Vec<(Option<Kind>, Vec<u8>)> {
    let bytes: Vec<u8> = messages.into_iter().flat_map(|(_, bytes)| bytes).collect();
    match bytes.is_empty() {
        true => Vec::new(),
        false => vec![(None, bytes)],
    }
}
