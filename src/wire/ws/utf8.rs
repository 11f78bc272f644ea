//! UTF-8 judged as bytes come: at the first byte that no text can have there,
//! and at the end of the text.
//!
//! What is kept between two feeds is an incomplete character of at most three
//! bytes. The decoder only judges with it; the encoder holds those bytes back,
//! so that what it sends never ends within a character.

use std::str::from_utf8;

/// The bytes cannot be part of any text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid;

/// A text as far as it has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Utf8 {
    /// The incomplete character at the end.
    tail: [u8; 3],
    len: u8,
}

impl Utf8 {
    /// Judges the next bytes of the text.
    ///
    /// # Errors
    /// [`Invalid`], after which nothing of the state may be used but by
    /// [`take`](Utf8::take).
    #[inline]
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Invalid> {
        let rest = if self.len == 0 {
            bytes
        } else {
            &bytes[self.complete(bytes)?..]
        };
        match from_utf8(rest) {
            Ok(_) => Ok(()),
            Err(e) if e.error_len().is_some() => Err(Invalid),
            Err(e) => {
                self.hold(&rest[e.valid_up_to()..]);
                Ok(())
            }
        }
    }

    /// The incomplete character at the end of what was fed.
    pub fn tail(&self) -> &[u8] {
        &self.tail[..usize::from(self.len)]
    }

    /// Takes the incomplete character out, and forgets it.
    pub fn take(&mut self) -> Utf8 {
        std::mem::take(self)
    }

    /// Keeps an incomplete character for the next feed.
    ///
    /// # Panics
    /// If `tail` is longer than three bytes, which no incomplete character is.
    pub fn hold(&mut self, tail: &[u8]) {
        self.tail[..tail.len()].copy_from_slice(tail);
        self.len = tail.len() as u8;
    }

    /// Completes the held character from the front of `bytes`; returns how many
    /// of them it took.
    #[cold]
    fn complete(&mut self, bytes: &[u8]) -> Result<usize, Invalid> {
        let held = usize::from(self.len);
        let more = bytes.len().min(4 - held);
        let mut character = [0; 4];
        character[..held].copy_from_slice(self.tail());
        character[held..held + more].copy_from_slice(&bytes[..more]);
        let seen = &character[..held + more];
        let valid = match from_utf8(seen) {
            Ok(_) => seen.len(),
            Err(e) if e.valid_up_to() > 0 => e.valid_up_to(),
            Err(e) if e.error_len().is_some() => return Err(Invalid),
            Err(_) => {
                self.hold(seen);
                return Ok(more);
            }
        };
        self.len = 0;
        // The characters after the first are judged again with the rest.
        let first = from_utf8(&seen[..valid])
            .ok()
            .and_then(|text| text.chars().next());
        Ok(first.map_or(0, char::len_utf8) - held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdict on a text fed in the given pieces.
    fn judge(pieces: &[&[u8]]) -> Result<Utf8, Invalid> {
        let mut utf8 = Utf8::default();
        for piece in pieces {
            utf8.feed(piece)?;
        }
        Ok(utf8)
    }

    #[test]
    fn texts_cut_anywhere_are_judged_as_the_whole() {
        let texts: &[&[u8]] = &[
            b"",
            b"plain",
            "κόσμε".as_bytes(),
            "a€b\u{10ffff}c\u{800}".as_bytes(),
            &[0xc0, 0x80],
            &[0xed, 0xa0, 0x80],
            &[0xf4, 0x90, 0x80, 0x80],
            &[b'a', 0xe2, 0x82, 0xff],
            &[
                0xce, 0xba, 0xe1, 0xbd, 0xb9, 0xcf, 0x83, 0xce, 0xbc, 0xce, 0xb5, 0xed, 0xa0, 0x80,
            ],
            &[0xf0, 0x9f, 0x98],
            &[0x80],
        ];
        for text in texts {
            let complete = |state: Utf8| state.tail().is_empty();
            let expected = from_utf8(text).is_ok();
            let bytes: Vec<&[u8]> = text.chunks(1).collect();
            assert_eq!(
                judge(&bytes).is_ok_and(complete),
                expected,
                "{text:x?} byte by byte"
            );
            for a in 0..=text.len() {
                for b in a..=text.len() {
                    let pieces = [&text[..a], &text[a..b], &text[b..]];
                    assert_eq!(judge(&pieces).is_ok_and(complete), expected, "{pieces:x?}");
                }
            }
        }
    }

    #[test]
    fn the_first_impossible_byte_is_refused() {
        for bytes in [
            &[0xf4, 0x90][..],
            &[0xed, 0xa0],
            &[0xc0],
            &[0xf5],
            &[0xe0, 0x80],
        ] {
            let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
            assert!(judge(&pieces[..pieces.len() - 1]).is_ok(), "{bytes:x?}");
            assert_eq!(judge(&pieces), Err(Invalid), "{bytes:x?}");
        }
    }

    #[test]
    fn an_incomplete_character_is_held() {
        assert_eq!(
            judge(&[&[b'x', 0xe2], &[0x82]]).unwrap().tail(),
            [0xe2, 0x82]
        );
        assert_eq!(judge(&[&[b'x', 0xe2], &[0x82, 0xac]]).unwrap().tail(), []);
        assert_eq!(
            judge(&[&[0xe2], &[0x82, 0xac, 0xf0, 0x9f]]).unwrap().tail(),
            [0xf0, 0x9f]
        );
    }
}
