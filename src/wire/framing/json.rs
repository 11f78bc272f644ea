//! `json`: each JSON value (RFC 8259) is a message.
//!
//! The backend may write its values back to back, with any white space between
//! them, or as a text sequence (RFC 7464), whose record separators are white
//! space here. What ends a value is seen by depth and strings alone: whether
//! the value is valid is the reader's business. An array, an object and a
//! string end with their last byte; a number or a literal ends where something
//! else begins, at the latest with the backend.

use super::take_front;
use crate::wire::{Chunk, End, Fault, Gather};

/// Where in a value the backend's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before a value.
    Between,
    /// In a number or a literal that is a value of its own.
    Scalar,
    /// In an array or object, outside of strings.
    Nested,
    /// In a string.
    String,
    /// In a string, behind a `\`.
    Escape,
}

/// State of the framing by JSON values.
#[derive(Debug)]
pub struct Json {
    place: Place,
    /// Arrays and objects that are open.
    depth: u64,
    max_depth: u64,
}

impl Json {
    /// A value with `max_message` bytes can be nested no deeper than that.
    pub(super) fn new(max_message: u64) -> Self {
        Json {
            place: Place::Between,
            depth: 0,
            max_depth: max_message,
        }
    }

    pub(super) fn decode<'a>(
        &mut self,
        input: &mut &'a mut [u8],
    ) -> Result<Option<Chunk<'a>>, Fault> {
        let first = self.place == Place::Between;
        if first {
            let value = input.iter().position(|&byte| !is_space(byte));
            take_front(input, value.unwrap_or(input.len()));
        }
        if input.is_empty() {
            return Ok(None);
        }
        let (len, end) = match self.scan(input)? {
            Some(len) => (len, End::Message),
            None => (input.len(), End::Open),
        };
        let payload = take_front(input, len);
        Ok(Some(Chunk::untyped(payload, first, end)))
    }

    /// A number or a literal ends with the backend, nothing else does.
    pub(super) fn finish(&mut self) -> Result<Option<Chunk<'static>>, Fault> {
        match self.place {
            Place::Between => Ok(None),
            Place::Scalar => {
                self.place = Place::Between;
                Ok(Some(Chunk::untyped(&mut [], false, End::Message)))
            }
            Place::Nested | Place::String | Place::Escape => Err(Fault::StreamTruncated),
        }
    }

    /// Goes on to the end of the value, and returns where that is.
    fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        let mut at = 0;
        while at < bytes.len() {
            at += uneventful(self.place, &bytes[at..]);
            let Some(&byte) = bytes.get(at) else {
                break;
            };
            if self.place == Place::Scalar {
                self.place = Place::Between;
                return Ok(Some(at));
            }
            self.step(byte)?;
            at += 1;
            if self.place == Place::Between {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// Takes a byte that changes the place.
    fn step(&mut self, byte: u8) -> Result<(), Fault> {
        self.place = match (self.place, byte) {
            (Place::Escape, _) => Place::String,
            (Place::String, b'\\') => Place::Escape,
            (Place::String, _) => self.place_within(),
            (_, b'"') => Place::String,
            (_, b'{' | b'[') => {
                self.depth += 1;
                self.check_depth()?;
                Place::Nested
            }
            (Place::Nested, _) => {
                self.depth -= 1;
                self.place_within()
            }
            (_, b'}' | b']' | b',' | b':') => {
                return Err(Fault::StreamMalformed(
                    "a bracket, comma or colon where a JSON value begins",
                ));
            }
            _ => Place::Scalar,
        };
        Ok(())
    }

    /// The place behind a string, array or object.
    fn place_within(&self) -> Place {
        if self.depth == 0 {
            Place::Between
        } else {
            Place::Nested
        }
    }

    fn check_depth(&self) -> Result<(), Fault> {
        let (len, max) = (self.depth, self.max_depth);
        if len > max {
            return Err(Fault::StreamTooBig { len, max });
        }
        Ok(())
    }

    pub(super) fn encode<'a>(&mut self, chunk: Chunk<'a>, out: &mut Gather<'a>) {
        let last = chunk.is_last();
        let Chunk { payload, .. } = chunk;
        out.payload(payload);
        if last {
            out.copy(b"\n");
        }
    }
}

/// How many bytes at the front do not change the place.
fn uneventful(place: Place, bytes: &[u8]) -> usize {
    let event = match place {
        Place::Nested => bytes
            .iter()
            .position(|byte| matches!(byte, b'{' | b'[' | b'"' | b'}' | b']')),
        Place::String => bytes.iter().position(|byte| matches!(byte, b'"' | b'\\')),
        Place::Scalar => bytes.iter().position(|&byte| {
            is_space(byte) || matches!(byte, b'{' | b'[' | b'"' | b'}' | b']' | b',' | b':')
        }),
        Place::Between | Place::Escape => Some(0),
    };
    event.unwrap_or(bytes.len())
}

/// White space between values, RFC 7464's record separator included.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x1e)
}

#[cfg(test)]
mod tests {
    use super::super::Framing;
    use super::super::harness::{Decoded, decode_at_every_cut, encode};
    use super::*;

    #[test]
    fn a_value_is_a_message_wherever_the_reads_are_cut() {
        let table: &[(&str, &[&str])] = &[
            ("", &[]),
            (" \t\r\n", &[]),
            ("{}", &["{}"]),
            ("{}{}", &["{}", "{}"]),
            ("{}\n[]\r\n  {}", &["{}", "[]", "{}"]),
            (
                r#"{"a":[1,{"b":2}]}[[]]"#,
                &[r#"{"a":[1,{"b":2}]}"#, "[[]]"],
            ),
            ("{ \"a\" :\n\t1 }\n", &["{ \"a\" :\n\t1 }"]),
            ("\x1e{\"a\":1}\n\x1e[2]\n", &["{\"a\":1}", "[2]"]),
            (r#"{"}":"]"}["{"]"#, &[r#"{"}":"]"}"#, r#"["{"]"#]),
            (r#"["\"]"]["\\"]"#, &[r#"["\"]"]"#, r#"["\\"]"#]),
            (r#""a""b\"" "\\""#, &[r#""a""#, r#""b\"""#, r#""\\""#]),
            ("1 -2.5e3\ntrue", &["1", "-2.5e3", "true"]),
            (
                "1{}2[]3\"a\"null",
                &["1", "{}", "2", "[]", "3", "\"a\"", "null"],
            ),
            ("1\x1e2\x1e", &["1", "2"]),
            ("[\"é\u{1e}\"]\"€\"", &["[\"é\u{1e}\"]", "\"€\""]),
        ];
        for (wire, messages) in table {
            let messages: Vec<_> = messages.iter().map(|message| message.as_bytes()).collect();
            let decoded = Decoded::untyped(&messages);
            decode_at_every_cut(Framing::Json, 100, wire.as_bytes(), &decoded);
        }
    }

    #[test]
    fn what_is_no_value_or_ends_within_one_is_a_fault() {
        let stray = Fault::StreamMalformed("a bracket, comma or colon where a JSON value begins");
        let too_deep = Fault::StreamTooBig { len: 4, max: 3 };
        let table: &[(&str, &[&str], &Fault)] = &[
            (",", &[], &stray),
            ("{}]", &["{}"], &stray),
            ("{},{}", &["{}"], &stray),
            ("1,2", &["1"], &stray),
            ("\"a\":1", &["\"a\""], &stray),
            (" }", &[], &stray),
            ("[[[]]][[[[]]]]", &["[[[]]]"], &too_deep),
            ("{\"a\":[{\"b\":[", &[], &too_deep),
            ("{}{", &["{}"], &Fault::StreamTruncated),
            ("[1, 2", &[], &Fault::StreamTruncated),
            ("\"a", &[], &Fault::StreamTruncated),
            ("[\"a\\", &[], &Fault::StreamTruncated),
        ];
        for (wire, messages, fault) in table {
            let messages: Vec<_> = messages.iter().map(|message| message.as_bytes()).collect();
            let decoded = Decoded::untyped(&messages).then((*fault).clone());
            decode_at_every_cut(Framing::Json, 3, wire.as_bytes(), &decoded);
        }
    }

    #[test]
    fn a_line_break_follows_each_message() {
        let sent = |chunks: &[&[u8]]| encode(Framing::Json, 1, &[chunks]);
        assert_eq!(sent(&[b"{}"]), Ok(b"{}\n".to_vec()));
        assert_eq!(sent(&[b"[1,", b"2]", b""]), Ok(b"[1,2]\n".to_vec()));
        assert_eq!(sent(&[b"{}\n"]), Ok(b"{}\n\n".to_vec()));
    }
}
