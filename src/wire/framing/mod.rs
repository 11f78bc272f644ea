//! How messages lie in the backend's byte stream.
//!
//! A [`Framing`] is a route's choice, a [`Framer`] one tunnel's state of it. A
//! framer waits for nothing it does not need: a message passes in chunks as it
//! is read, and is held only where its length must go before it and came in
//! fragments (see `announced`).
//!
//! A decoder holds no part of a head or of a delimiter. It leaves those bytes
//! in the input, and the caller puts them in front of the next read; they are
//! never more than [`MAX_LEFT`]. So a cut between two reads is no state, and
//! every decoder reads its heads in one piece.

use std::fmt;
use std::mem;
use std::str::FromStr;

use super::{Chunk, Fault, Gather, Kind};

mod announced;
mod content_length;
mod delimited;
#[cfg(any(test, fuzzing))]
pub(crate) mod harness;
mod json;
mod length;
mod raw;
mod record;

pub use content_length::ContentLength;
pub use delimited::Delimited;
pub use json::Json;
pub use length::{Length, Prefix};
pub use raw::Raw;
pub use record::Record;

/// As many bytes as [`Framer::decode`] can leave to be read again: the head of
/// a `content-length` message. All other framings leave at most a record's
/// head of 5 bytes.
pub const MAX_LEFT: usize = content_length::MAX_HEAD;

/// Where the backend's messages begin and end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// A plain stream of bytes; each read is a message.
    #[default]
    Raw,
    /// A message is a line that ends with `\n`.
    Lines,
    /// A message is a line that ends with `\r\n`.
    Crlf,
    /// A message is a line, and line breaks within it become spaces.
    JsonLines,
    /// A message is a JSON value, whatever is between the values.
    Json,
    /// A message ends with a zero byte.
    Nul,
    /// A binary length goes before a message.
    Length(Prefix),
    /// A `Content-Length` head goes before a message, as in the Language
    /// Server Protocol.
    ContentLength,
    /// The first byte of a WebSocket frame and a length go before a fragment.
    Record,
}

impl Framing {
    /// Each framing there is.
    pub const ALL: &[Framing] = &[
        Framing::Raw,
        Framing::Lines,
        Framing::Crlf,
        Framing::JsonLines,
        Framing::Json,
        Framing::Nul,
        Framing::Length(Prefix::U8),
        Framing::Length(Prefix::U16),
        Framing::Length(Prefix::U32),
        Framing::Length(Prefix::U32le),
        Framing::ContentLength,
        Framing::Record,
    ];

    /// The name in options and messages.
    pub fn name(self) -> &'static str {
        match self {
            Framing::Raw => "raw",
            Framing::Lines => "lines",
            Framing::Crlf => "crlf",
            Framing::JsonLines => "json-lines",
            Framing::Json => "json",
            Framing::Nul => "nul",
            Framing::Length(prefix) => prefix.name(),
            Framing::ContentLength => "content-length",
            Framing::Record => "record",
        }
    }

    /// The type of the messages towards the client where nothing else says it.
    pub fn auto_kind(self) -> Kind {
        match self {
            Framing::Lines
            | Framing::Crlf
            | Framing::JsonLines
            | Framing::Json
            | Framing::ContentLength => Kind::Text,
            Framing::Raw | Framing::Nul | Framing::Length(_) | Framing::Record => Kind::Binary,
        }
    }

    /// Whether the backend's messages say themselves which type they have.
    pub fn carries_type(self) -> bool {
        self == Framing::Record
    }

    /// A tunnel's framer. A message that announces more than `max_message`
    /// bytes, or would have to be held beyond that, is refused.
    pub fn framer(self, max_message: u64) -> Framer {
        match self {
            Framing::Raw => Framer::Raw(Raw),
            Framing::Lines => Framer::Delimited(Delimited::lines()),
            Framing::Crlf => Framer::Delimited(Delimited::crlf()),
            Framing::JsonLines => Framer::Delimited(Delimited::json_lines()),
            Framing::Nul => Framer::Delimited(Delimited::nul()),
            Framing::Json => Framer::Json(Json::new(max_message)),
            Framing::Length(prefix) => Framer::Length(Length::new(prefix, max_message)),
            Framing::ContentLength => Framer::ContentLength(ContentLength::new(max_message)),
            Framing::Record => Framer::Record(Record::new(max_message)),
        }
    }
}

impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Framing {
    type Err = UnknownFraming;

    fn from_str(name: &str) -> Result<Self, UnknownFraming> {
        let named = Framing::ALL.iter().find(|framing| framing.name() == name);
        named.copied().ok_or_else(|| UnknownFraming(name.into()))
    }
}

/// A name that is no framing's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFraming(String);

impl fmt::Display for UnknownFraming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Framing::ALL.iter().map(|framing| framing.name()).collect();
        write!(f, "framing {:?} is none of {}", self.0, names.join(", "))
    }
}

impl std::error::Error for UnknownFraming {}

/// The state of a framing between one tunnel and its backend.
#[derive(Debug)]
pub enum Framer {
    /// State of [`Framing::Raw`], which has none.
    Raw(Raw),
    /// State of the framings whose messages end with a delimiter.
    Delimited(Delimited),
    /// State of [`Framing::Json`].
    Json(Json),
    /// State of [`Framing::Length`].
    Length(Length),
    /// State of [`Framing::ContentLength`].
    ContentLength(ContentLength),
    /// State of [`Framing::Record`].
    Record(Record),
}

impl Framer {
    /// Takes the next chunk from the front of the backend's bytes. After
    /// `Ok(None)`, what is left in `input` belongs in front of the next read.
    ///
    /// # Errors
    /// If the bytes do not follow the framing or announce too much.
    pub fn decode<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Chunk<'a>>, Fault> {
        match self {
            Framer::Raw(raw) => Ok(raw.decode(input)),
            Framer::Delimited(delimited) => Ok(delimited.decode(input)),
            Framer::Json(json) => json.decode(input),
            Framer::Length(length) => length.decode(input),
            Framer::ContentLength(content_length) => content_length.decode(input),
            Framer::Record(record) => record.decode(input),
        }
    }

    /// Yields what can be delivered once the backend has ended and `decode` has
    /// left `input`; to be called until it returns `Ok(None)`.
    ///
    /// # Errors
    /// If the backend ended within a message.
    pub fn finish<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Chunk<'a>>, Fault> {
        match self {
            Framer::Raw(_) => Ok(None),
            Framer::Delimited(delimited) => Ok(delimited.finish(input)),
            Framer::Json(json) => json.finish(),
            Framer::Length(length) => length.finish(input),
            Framer::ContentLength(content_length) => content_length.finish(input),
            Framer::Record(record) => record.finish(input),
        }
    }

    /// Lays a chunk of the client's message, and what goes around it, into
    /// `out`.
    ///
    /// # Errors
    /// If the message is longer than the framing can say or may hold.
    pub fn encode<'a>(&mut self, chunk: Chunk<'a>, out: &mut Gather<'a>) -> Result<(), Fault> {
        match self {
            Framer::Raw(raw) => raw.encode(chunk, out),
            Framer::Delimited(delimited) => delimited.encode(chunk, out),
            Framer::Json(json) => json.encode(chunk, out),
            Framer::Length(length) => return length.encode(chunk, out),
            Framer::ContentLength(content_length) => return content_length.encode(chunk, out),
            Framer::Record(record) => return record.encode(chunk, out),
        }
        Ok(())
    }
}

/// Takes the first `len` bytes from `input`.
fn take_front<'a>(input: &mut &'a mut [u8], len: usize) -> &'a mut [u8] {
    let (front, rest) = mem::take(input).split_at_mut(len);
    *input = rest;
    front
}

/// Takes as much of a payload as is there, of the `left` bytes still to come.
fn take_payload<'a>(input: &mut &'a mut [u8], left: &mut u64) -> &'a mut [u8] {
    let len = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
    *left -= len as u64;
    take_front(input, len)
}

#[cfg(test)]
mod tests {

    use super::harness::{Decoded, decode, encode_message};
    use super::*;
    use arbtest::arbitrary::{Result, Unstructured};
    use arbtest::arbtest;

    #[test]
    fn a_name_says_which_framing_it_is() {
        let names = "raw, lines, crlf, json-lines, json, nul, length-u8, length-u16, length-u32, \
                     length-u32le, content-length, record";
        let all: Vec<_> = names.split(", ").map(str::parse).collect();
        let named: Vec<_> = Framing::ALL.iter().copied().map(Ok).collect();
        assert_eq!(all, named);
        let unknown = "json lines".parse::<Framing>().unwrap_err();
        assert_eq!(
            unknown.to_string(),
            format!("framing \"json lines\" is none of {names}")
        );
        assert_eq!(Framing::default().to_string(), "raw");
    }

    #[test]
    fn text_framings_are_text_and_only_records_say_their_type() {
        let text: Vec<_> = Framing::ALL
            .iter()
            .filter(|framing| framing.auto_kind() == Kind::Text)
            .map(|framing| framing.name())
            .collect();
        assert_eq!(
            text,
            ["lines", "crlf", "json-lines", "json", "content-length"]
        );
        for framing in Framing::ALL {
            assert_eq!(framing.carries_type(), *framing == Framing::Record);
        }
    }

    #[test]
    fn a_framer_is_small() {
        assert!(size_of::<Framer>() <= 64, "{}", size_of::<Framer>());
    }

    #[test]
    fn what_was_encoded_is_decoded_again() {
        arbtest(|u| {
            let framing = *u.choose(Framing::ALL)?;
            let mut framer = framing.framer(u64::MAX);
            let mut wire = Vec::new();
            let mut messages = Vec::new();
            for _ in 0..u.int_in_range(0..=4)? {
                let bytes = message(framing, u)?;
                let kind = *u.choose(&[Kind::Text, Kind::Binary])?;
                let mut frames = Vec::new();
                for frame in cut(&bytes, u)? {
                    frames.push(cut(frame, u)?);
                }
                assert_eq!(
                    encode_message(&mut framer, kind, &frames, &mut wire),
                    Ok(())
                );
                messages.push((framing.carries_type().then_some(kind), bytes));
            }
            let mut decoded = decode(framing, u64::MAX, cut(&wire, u)?);
            if framing == Framing::Raw {
                decoded.messages = joined(decoded.messages);
                messages = joined(messages);
            }
            let ending = Ok(());
            assert_eq!(decoded, Decoded { messages, ending }, "{framing}");
            Ok(())
        });
    }

    #[test]
    fn cuts_do_not_change_what_is_decoded_from_any_bytes() {
        arbtest(|u| {
            let framing = *u.choose(&Framing::ALL[1..])?;
            let max_message = u.int_in_range(0..=20)?;
            let wire = bytes(b" \n\r\0\x01\x02\x80\x81\"\\{}[],1a", u)?;
            let whole = decode(framing, max_message, [&wire[..]]);
            assert_eq!(decode(framing, max_message, cut(&wire, u)?), whole);
            assert_eq!(decode(framing, max_message, wire.chunks(1)), whole);
            Ok(())
        });
    }

    /// Some bytes, all of them in `alphabet`.
    fn bytes(alphabet: &[u8], u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
        let len = u.int_in_range(0..=40)?;
        (0..len).map(|_| u.choose(alphabet).copied()).collect()
    }

    /// A message that the framing leaves as it is.
    fn message(framing: Framing, u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
        let mut message = match framing {
            Framing::Lines | Framing::Crlf => bytes(b"\r\0ab\xff", u)?,
            Framing::JsonLines => bytes(b"\0ab\xff", u)?,
            Framing::Nul => bytes(b"\r\nab\xff", u)?,
            Framing::Json => {
                let mut value = Vec::new();
                json(&mut value, 3, u)?;
                value
            }
            _ => bytes(b"\r\n\0\x81ab\xff", u)?,
        };
        if framing == Framing::Lines && message.ends_with(b"\r") {
            message.push(b'a');
        }
        Ok(message)
    }

    /// Appends a JSON value that nests no deeper than `depth`.
    fn json(value: &mut Vec<u8>, depth: usize, u: &mut Unstructured<'_>) -> Result<()> {
        const LEAVES: &[&str] = &["0", "-1.5e3", "true", "null", "\"\"", "{}", "[ ]"];
        const STRINGS: &[&str] = &["\"a\"", "\"{\"", "\"]}\"", "\"\\\"\"", "\"\\\\\"", "\"é\""];
        let members = u.int_in_range(0..=2)?;
        if depth == 0 || members == 0 {
            let leaves = *u.choose(&[LEAVES, STRINGS])?;
            let leaf = u.choose(leaves)?;
            value.extend_from_slice(leaf.as_bytes());
            return Ok(());
        }
        let object: bool = u.arbitrary()?;
        value.push(if object { b'{' } else { b'[' });
        for n in 0..members {
            value.extend_from_slice(if n > 0 { b",\n" } else { b" " });
            if object {
                value.extend_from_slice(u.choose(STRINGS)?.as_bytes());
                value.push(b':');
            }
            json(value, depth - 1, u)?;
        }
        value.push(if object { b'}' } else { b']' });
        Ok(())
    }

    /// The parts of `bytes` between random cuts, some of them empty.
    fn cut<'b>(mut bytes: &'b [u8], u: &mut Unstructured<'_>) -> Result<Vec<&'b [u8]>> {
        let mut parts = Vec::new();
        for _ in 0..u.int_in_range(0..=4)? {
            let (part, rest) = bytes.split_at(u.choose_index(bytes.len() + 1)?);
            parts.push(part);
            bytes = rest;
        }
        parts.push(bytes);
        Ok(parts)
    }

    fn joined(messages: Vec<(Option<Kind>, Vec<u8>)>) -> Vec<(Option<Kind>, Vec<u8>)> {
        let bytes: Vec<_> = messages.into_iter().map(|(_, bytes)| bytes).collect();
        vec![(None, bytes.concat())]
    }
}
