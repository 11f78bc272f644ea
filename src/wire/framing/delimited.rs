//! `lines`, `crlf`, `json-lines` and `nul`: a delimiter ends a message.
//!
//! The four are one codec that differs only in its [`Rules`]. Towards the
//! backend the end is added unless the message has it already, so what a
//! terminal or a line-minded client sends does not become an extra empty line.
//! A delimiter within a message passes as it is and makes several messages of
//! one, save for `json-lines`, where no line break carries meaning and a space
//! can stand for it.
//!
//! Towards the client a line passes before its end is read, without a limit to
//! its length. Only a `\r` waits for the byte after it, since it may belong to
//! the line's end; at the backend's end it does.

use std::io::BufRead;
use std::mem;

use super::take_front;
use crate::wire::{Chunk, End, Gather};

/// In what the framings with a delimiter differ.
#[derive(Debug)]
struct Rules {
    /// What ends the client's message. Its last byte, the delimiter, ends the
    /// backend's.
    end: &'static [u8],
    /// Whether a `\r` before the delimiter belongs to the end as well.
    takes_cr: bool,
    /// Whether line breaks within the client's message become spaces.
    flattens: bool,
}

const LINES: Rules = Rules {
    end: b"\n",
    takes_cr: true,
    flattens: false,
};
const CRLF: Rules = Rules {
    end: b"\r\n",
    ..LINES
};
const JSON_LINES: Rules = Rules {
    flattens: true,
    ..LINES
};
const NUL: Rules = Rules {
    end: b"\0",
    takes_cr: false,
    flattens: false,
};

impl Rules {
    fn delimiter(&self) -> u8 {
        self.end[self.end.len() - 1]
    }
}

/// State of a framing whose messages end with a delimiter.
#[derive(Debug)]
pub struct Delimited {
    rules: &'static Rules,
    /// Whether the backend's message has begun.
    within: bool,
    /// The last byte sent of the client's message.
    sent: Option<u8>,
}

impl Delimited {
    pub(super) fn lines() -> Self {
        Delimited::new(&LINES)
    }

    pub(super) fn crlf() -> Self {
        Delimited::new(&CRLF)
    }

    pub(super) fn json_lines() -> Self {
        Delimited::new(&JSON_LINES)
    }

    pub(super) fn nul() -> Self {
        Delimited::new(&NUL)
    }

    fn new(rules: &'static Rules) -> Self {
        Delimited {
            rules,
            within: false,
            sent: None,
        }
    }

    pub(super) fn decode<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<Chunk<'a>> {
        if let Some(at) = find(self.rules.delimiter(), input) {
            let line = &mut take_front(input, at + 1)[..at];
            let len = at - self.trailing_cr(line);
            return Some(self.chunk(&mut line[..len], End::Message));
        }
        let len = input.len() - self.trailing_cr(input);
        (len > 0).then(|| self.chunk(take_front(input, len), End::Open))
    }

    /// The message that has begun, or of which a `\r` was left, ends.
    pub(super) fn finish<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<Chunk<'a>> {
        let left = mem::take(input);
        (self.within || !left.is_empty()).then(|| self.chunk(&mut [], End::Message))
    }

    fn trailing_cr(&self, bytes: &[u8]) -> usize {
        usize::from(self.rules.takes_cr && bytes.ends_with(b"\r"))
    }

    fn chunk<'a>(&mut self, payload: &'a mut [u8], end: End) -> Chunk<'a> {
        let first = !mem::replace(&mut self.within, end == End::Open);
        Chunk::untyped(payload, first, end)
    }

    pub(super) fn encode<'a>(&mut self, chunk: Chunk<'a>, out: &mut Gather<'a>) {
        let last = chunk.is_last();
        let Chunk { payload, first, .. } = chunk;
        if self.rules.flattens {
            flatten(payload);
        }
        let before = if first { None } else { self.sent };
        self.sent = payload.last().copied().or(before);
        if last {
            self.end(before, payload, out);
        } else {
            out.payload(payload);
        }
    }

    /// Ends a message with `payload`, of which `before` is the byte before.
    fn end<'a>(&self, before: Option<u8>, payload: &'a [u8], out: &mut Gather<'a>) {
        let (end, delimiter) = (self.rules.end, self.rules.delimiter());
        let split = before == Some(end[0]) && payload == &end[1..];
        let sent = before == Some(delimiter) && payload.is_empty();
        if split || sent || payload.ends_with(end) {
            out.payload(payload);
        } else {
            out.payload(payload.strip_suffix(&[delimiter]).unwrap_or(payload));
            out.copy(end);
        }
    }
}

/// Where `byte` first lies. `skip_until` searches as fast as the platform can.
fn find(byte: u8, bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    let passed = rest.skip_until(byte).ok()?;
    passed.checked_sub(1).filter(|&at| bytes[at] == byte)
}

/// Makes one line of many; in JSON a line break is white space, never part of a
/// string (RFC 8259 section 7).
fn flatten(payload: &mut [u8]) {
    for byte in payload {
        if matches!(*byte, b'\r' | b'\n') {
            *byte = b' ';
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::type_complexity)]

    use super::super::Framing::{self, Crlf, JsonLines, Lines, Nul};
    use super::super::harness::{Decoded, decode_at_every_cut, encode};
    use super::*;

    #[test]
    fn a_message_ends_at_its_delimiter_wherever_the_reads_are_cut() {
        let line_table: &[(&[u8], &[&[u8]])] = &[
            (b"", &[]),
            (b"a\nbc\n", &[b"a", b"bc"]),
            (b"a\r\nbc\r\n", &[b"a", b"bc"]),
            (b"a\r\nbc\n", &[b"a", b"bc"]),
            (b"\n\r\n\n", &[b"", b"", b""]),
            (b"a\rb\r\r\n\r\r", &[b"a\rb\r", b"\r"]),
            (b"a\n\0b", &[b"a", b"\0b"]),
            (b"last", &[b"last"]),
            (b"last\r", &[b"last"]),
            (b"a\n\r", &[b"a", b""]),
            ("é\r\n€".as_bytes(), &["é".as_bytes(), "€".as_bytes()]),
        ];
        for framing in [Lines, Crlf, JsonLines] {
            for (wire, messages) in line_table {
                decode_at_every_cut(framing, 1, wire, &Decoded::untyped(messages));
            }
        }
        let nul_table: &[(&[u8], &[&[u8]])] = &[
            (b"", &[]),
            (b"a\0bc\0", &[b"a", b"bc"]),
            (b"\0\0", &[b"", b""]),
            (b"a\r\0\r\n\0\r", &[b"a\r", b"\r\n", b"\r"]),
            (b"last", &[b"last"]),
        ];
        for (wire, messages) in nul_table {
            decode_at_every_cut(Nul, 1, wire, &Decoded::untyped(messages));
        }
    }

    #[test]
    fn the_end_is_added_unless_the_message_has_it() {
        let table: &[(Framing, &[&[u8]], &[u8])] = &[
            (Lines, &[b""], b"\n"),
            (Lines, &[b"a"], b"a\n"),
            (Lines, &[b"a\n"], b"a\n"),
            (Lines, &[b"a\r\n"], b"a\r\n"),
            (Lines, &[b"a\r"], b"a\r\n"),
            (Lines, &[b"a\n\n"], b"a\n\n"),
            (Lines, &[b"a\nb"], b"a\nb\n"),
            (Lines, &[b"a", b"b"], b"ab\n"),
            (Lines, &[b"a", b""], b"a\n"),
            (Lines, &[b"a\n", b""], b"a\n"),
            (Lines, &[b"a\n", b"b"], b"a\nb\n"),
            (Lines, &[b"a\n", b"\n"], b"a\n\n"),
            (Lines, &[b"a", b"\n"], b"a\n"),
            (Crlf, &[b""], b"\r\n"),
            (Crlf, &[b"a"], b"a\r\n"),
            (Crlf, &[b"a\r\n"], b"a\r\n"),
            (Crlf, &[b"a\n"], b"a\r\n"),
            (Crlf, &[b"\n"], b"\r\n"),
            (Crlf, &[b"a\n\n"], b"a\n\r\n"),
            (Crlf, &[b"a\r"], b"a\r\r\n"),
            (Crlf, &[b"a\nb"], b"a\nb\r\n"),
            (Crlf, &[b"a\r", b"\n"], b"a\r\n"),
            (Crlf, &[b"a\r", b""], b"a\r\r\n"),
            (Crlf, &[b"a\r\n", b""], b"a\r\n"),
            (Crlf, &[b"a", b"\n"], b"a\r\n"),
            (Crlf, &[b"a\n", b"\n"], b"a\n\r\n"),
            (Crlf, &[b"a\n", b""], b"a\n"),
            (Crlf, &[b"a\r", b"b\n"], b"a\rb\r\n"),
            (JsonLines, &[b""], b"\n"),
            (JsonLines, &[b"{}"], b"{}\n"),
            (JsonLines, &[b"{\r\n\"a\":\n1}"], b"{  \"a\": 1}\n"),
            (JsonLines, &[b"{}\n"], b"{} \n"),
            (JsonLines, &[b"{\n", b""], b"{ \n"),
            (JsonLines, &[b"{\n", b"\r}"], b"{  }\n"),
            (Nul, &[b""], b"\0"),
            (Nul, &[b"a\r\n"], b"a\r\n\0"),
            (Nul, &[b"a\0"], b"a\0"),
            (Nul, &[b"a\0", b""], b"a\0"),
            (Nul, &[b"a\0b"], b"a\0b\0"),
        ];
        for (framing, chunks, wire) in table {
            let name = format!("{framing} {chunks:?}");
            assert_eq!(encode(*framing, 1, &[chunks]), Ok(wire.to_vec()), "{name}");
        }
    }

    #[test]
    fn a_message_does_not_know_the_one_before() {
        for framing in [Lines, Crlf, Nul] {
            let mut framer = framing.framer(1);
            let mut staging = Vec::new();
            let mut out = Gather::new(&mut staging);
            for _ in 0..2 {
                let chunk = Chunk::untyped(&mut [], true, End::Message);
                assert_eq!(framer.encode(chunk, &mut out), Ok(()));
            }
            let end = encode(framing, 1, &[&[b""]]).unwrap_or_default();
            assert_eq!(out.as_single(), Some(&end.repeat(2)[..]));
        }
    }

    #[test]
    fn a_line_of_a_mebibyte_is_streamed_read_by_read() {
        let mut line = vec![b'x'; 1 << 20];
        line.push(b'\n');
        let mut lines = Delimited::lines();
        let mut seen = Vec::new();
        for mut read in line.chunks_mut(64 << 10) {
            while let Some(chunk) = lines.decode(&mut read) {
                seen.push((chunk.payload.len(), chunk.first, chunk.end));
            }
            assert!(read.is_empty());
        }
        let mut expected = vec![(64 << 10, false, End::Open); 16];
        expected[0].1 = true;
        expected.push((0, false, End::Message));
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_byte_is_found_at_its_first_place() {
        for len in 0..70 {
            let mut bytes = vec![1; len];
            assert_eq!(find(0, &bytes), None);
            for at in (0..len).rev() {
                bytes[at] = 0;
                assert_eq!(find(0, &bytes), Some(at));
            }
        }
    }
}
