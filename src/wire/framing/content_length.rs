//! `content-length`: a head with `Content-Length: n` goes before a message, as
//! in the base protocol of the Language Server and Debug Adapter Protocols.
//!
//! Towards the backend it is exactly `Content-Length: n\r\n\r\n`. Towards the
//! client it is read as leniently as those protocols' own libraries read it:
//! the name in any case, line ends without `\r`, other fields ignored. Only the
//! length itself leaves no doubt.

use super::announced::{Announced, Head, Limit};
use crate::wire::{Chunk, Fault, Gather};

/// As many bytes as a head can have, its empty line included.
pub(super) const MAX_HEAD: usize = 8192;

/// State of the framing with a `Content-Length` head.
#[derive(Debug)]
pub struct ContentLength {
    announced: Announced,
}

impl ContentLength {
    pub(super) fn new(max_message: u64) -> Self {
        ContentLength {
            announced: Announced::new(max_message),
        }
    }

    pub(super) fn decode<'a>(
        &mut self,
        input: &mut &'a mut [u8],
    ) -> Result<Option<Chunk<'a>>, Fault> {
        self.announced.decode(input, parse)
    }

    pub(super) fn finish(&self, input: &[u8]) -> Result<Option<Chunk<'static>>, Fault> {
        self.announced.finish(input)
    }

    pub(super) fn encode<'a>(
        &mut self,
        chunk: Chunk<'a>,
        out: &mut Gather<'a>,
    ) -> Result<(), Fault> {
        let any = Limit {
            max: u64::MAX,
            name: "content-length",
        };
        self.announced.encode(chunk, out, any, |len, out| {
            out.copy(b"Content-Length: ");
            out.copy(decimal(len, &mut [0; 20]));
            out.copy(b"\r\n\r\n");
        })
    }
}

/// Reads a head at the front of the input, unless it is cut.
fn parse(input: &[u8]) -> Result<Option<Head>, Fault> {
    let mut rest = &input[..input.len().min(MAX_HEAD)];
    let mut size = 0;
    let mut message = None;
    while let Some(len) = rest.iter().position(|&byte| byte == b'\n') {
        size += len + 1;
        let line = &rest[..len];
        rest = &rest[len + 1..];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            let missing = Fault::StreamMalformed("a head without a Content-Length");
            let message = message.ok_or(missing)?;
            return Ok(Some(Head { size, message }));
        }
        let Some(length) = parse_length(line)? else {
            continue;
        };
        if message.is_some_and(|message| message != length) {
            return Err(Fault::StreamMalformed(
                "two Content-Lengths that differ in one head",
            ));
        }
        message = Some(length);
    }
    if input.len() > MAX_HEAD {
        return Err(Fault::StreamMalformed(
            "a Content-Length head of more than 8192 bytes",
        ));
    }
    Ok(None)
}

/// The length that a line of a head announces, if it is the line that does.
fn parse_length(line: &[u8]) -> Result<Option<u64>, Fault> {
    let Some(colon) = line.iter().position(|&byte| byte == b':') else {
        return Err(Fault::StreamMalformed("a head line without a colon"));
    };
    if !line[..colon].eq_ignore_ascii_case(b"content-length") {
        return Ok(None);
    }
    let digits = line[colon + 1..].trim_ascii();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Fault::StreamMalformed(
            "a Content-Length that is not a number",
        ));
    }
    // Beyond 64 bits any length is too big, whichever it is.
    Ok(Some(digits.iter().fold(0, |length: u64, digit| {
        length
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    })))
}

/// The digits of `n`.
fn decimal(mut n: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut from = digits.len();
    loop {
        from -= 1;
        digits[from] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            return &digits[from..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Framing;
    use super::super::harness::{Decoded, decode, decode_at_every_cut, encode};
    use super::*;

    #[test]
    fn a_head_goes_before_a_message_wherever_the_reads_are_cut() {
        let table: &[(&[u8], &[&[u8]])] = &[
            (b"", &[]),
            (b"Content-Length: 2\r\n\r\n{}", &[b"{}"]),
            (
                b"Content-Length: 0\r\n\r\nContent-Length: 3\r\n\r\na\nb",
                &[b"", b"a\nb"],
            ),
            (b"content-LENGTH:\t2 \r\n\r\n{}", &[b"{}"]),
            (b"Content-Length:2\n\n{}", &[b"{}"]),
            (
                b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\n\
                  Content-Length: 002\r\nX:\r\n\r\n{}",
                &[b"{}"],
            ),
            (b"Content-Length: 1\r\ncontent-length: 1\r\n\r\na", &[b"a"]),
        ];
        for (wire, messages) in table {
            let decoded = Decoded::untyped(messages);
            decode_at_every_cut(Framing::ContentLength, 3, wire, &decoded);
        }
    }

    #[test]
    fn a_head_that_leaves_doubt_is_a_fault() {
        let no_number = "a Content-Length that is not a number";
        let table: &[(&[u8], &str)] = &[
            (b"\r\n", "a head without a Content-Length"),
            (b"X: 1\r\n\r\n", "a head without a Content-Length"),
            (
                b"Content-Length : 1\r\n\r\na",
                "a head without a Content-Length",
            ),
            (b"{}\n", "a head line without a colon"),
            (b"Content-Length: \r\n\r\n", no_number),
            (b"Content-Length: +1\r\n\r\na", no_number),
            (b"Content-Length: -1\r\n\r\na", no_number),
            (b"Content-Length: 1x\r\n\r\na", no_number),
            (b"Content-Length: 1 1\r\n\r\na", no_number),
            (
                b"Content-Length: 1\r\nContent-Length: 2\r\n\r\na",
                "two Content-Lengths that differ in one head",
            ),
        ];
        for (wire, what) in table {
            let wire = [b"Content-Length: 1\n\n.", *wire].concat();
            let decoded = Decoded::untyped(&[b"."]).then(Fault::StreamMalformed(what));
            decode_at_every_cut(Framing::ContentLength, 3, &wire, &decoded);
        }
    }

    #[test]
    fn a_message_too_long_or_cut_short_is_a_fault() {
        let too_big = |len| Fault::StreamTooBig { len, max: 3 };
        let table: &[(&[u8], Fault)] = &[
            (b"Content-Length: 4\r\n\r\n", too_big(4)),
            (
                b"Content-Length: 99999999999999999999\r\n\r\n",
                too_big(u64::MAX),
            ),
            (b"Content-Length: 3\r\n\r\nab", Fault::StreamTruncated),
            (b"Content-Length: 3\r\n\r\n", Fault::StreamTruncated),
            (b"Content-Length: 0\r\n\r", Fault::StreamTruncated),
            (b"C", Fault::StreamTruncated),
        ];
        for (wire, fault) in table {
            let decoded = Decoded::untyped(&[]).then(fault.clone());
            decode_at_every_cut(Framing::ContentLength, 3, wire, &decoded);
        }
    }

    #[test]
    fn a_head_has_at_most_8192_bytes() {
        let head = |size: usize| {
            let around = "Content-Length: 1\r\nX:\r\n\r\n".len();
            let filler = "x".repeat(size - around);
            format!("Content-Length: 1\r\nX:{filler}\r\n\r\na").into_bytes()
        };
        let decoded = |wire: &[u8], read| decode(Framing::ContentLength, 1, wire.chunks(read));
        let refused = Fault::StreamMalformed("a Content-Length head of more than 8192 bytes");
        for read in [100_000, 8192, 1000] {
            assert_eq!(decoded(&head(8192), read), Decoded::untyped(&[b"a"]));
            let refused = Decoded::untyped(&[]).then(refused.clone());
            assert_eq!(decoded(&head(8193), read), refused);
        }
    }

    #[test]
    fn the_length_is_sent_in_decimal() {
        let sent = |message: &[u8]| encode(Framing::ContentLength, 1, &[&[message]]);
        assert_eq!(sent(b""), Ok(b"Content-Length: 0\r\n\r\n".to_vec()));
        assert_eq!(sent(b"{}\n"), Ok(b"Content-Length: 3\r\n\r\n{}\n".to_vec()));
        assert_eq!(decimal(1_234_567_890, &mut [0; 20]), b"1234567890");
        assert_eq!(decimal(u64::MAX, &mut [0; 20]), b"18446744073709551615");
    }

    #[test]
    fn a_fragmented_message_is_assembled_up_to_max_message() {
        let frames: &[&[&[u8]]] = &[&[b"ab"], &[b"c"]];
        let wire = b"Content-Length: 3\r\n\r\nabc".to_vec();
        assert_eq!(encode(Framing::ContentLength, 3, frames), Ok(wire));
        let fault = Fault::TooBig {
            len: 3,
            max: 2,
            limit: "max-message",
        };
        assert_eq!(encode(Framing::ContentLength, 2, frames), Err(fault));
    }
}
