//! A response head, as a client reads it.

use super::{Fields, MAX_HEAD, MAX_HEADERS};
use httparse::{EMPTY_HEADER, Status};
use std::ops::Deref;

/// Most of a peer's line that is shown to people.
const SHOWN: usize = 120;

/// A response head.
#[derive(Debug)]
pub struct Answer<'a> {
    /// Bytes of the head, its empty line included.
    pub len: usize,
    /// The status code.
    pub status: u16,
    fields: Fields<'a>,
}

impl<'a> Answer<'a> {
    /// Reads the head at the front of `input`; `None` if it is not whole yet.
    ///
    /// # Errors
    /// What came instead of an HTTP/1.1 response.
    pub fn parse(input: &'a [u8]) -> Result<Option<Self>, String> {
        let mut headers = [EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Response::new(&mut headers);
        let len = match head.parse(&input[..input.len().min(MAX_HEAD)]) {
            Ok(Status::Complete(len)) => len,
            Ok(Status::Partial) if input.len() < MAX_HEAD => return Ok(None),
            Ok(Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                return Err("answered with a head of more than 16 KiB or 100 headers".to_owned());
            }
            Err(_) => {
                let line = first_line(input);
                return Err(format!("answered {line}, which is not HTTP/1.1"));
            }
        };
        let status = head.code.unwrap_or_default();
        let fields = Fields::new(head.headers);
        Ok(Some(Answer {
            len,
            status,
            fields,
        }))
    }
}

impl<'a> Deref for Answer<'a> {
    type Target = Fields<'a>;

    fn deref(&self) -> &Fields<'a> {
        &self.fields
    }
}

/// The first line of what a peer said, quoted and made harmless.
pub(in crate::wire) fn first_line(input: &[u8]) -> String {
    let line = input.split(|&byte| byte == b'\n').next();
    let line = line.unwrap_or_default().trim_ascii_end();
    let shown = &line[..line.len().min(SHOWN)];
    let more = if shown.len() < line.len() { "…" } else { "" };
    format!("\"{}{more}\"", shown.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_cut_anywhere_is_not_whole() {
        let head = b"HTTP/1.1 407 Proxy Authentication Required\r\nX: y\r\nx:z\r\n\r\n";
        for cut in 0..head.len() {
            assert!(matches!(Answer::parse(&head[..cut]), Ok(None)), "{cut}");
        }
        let more = [&head[..], b"body"].concat();
        let answer = Answer::parse(&more).unwrap().unwrap();
        assert_eq!((answer.len, answer.status), (head.len(), 407));
        assert_eq!(answer.values("X").collect::<Vec<_>>(), ["y", "z"]);
    }

    #[test]
    fn nonsense_is_shown_with_its_first_line_and_does_no_harm() {
        for (bytes, shown) in [
            (&b"SSH-2.0-x\r\nmore"[..], "\"SSH-2.0-x\""),
            (b"\x1b[31m\x15\x03", "\"\\x1b[31m\\x15\\x03\""),
            (b"HTTP/2.0 200\r\n", "\"HTTP/2.0 200\""),
            (b"HTTP/1.1 2x0 OK\r\n", "\"HTTP/1.1 2x0 OK\""),
        ] {
            let why = Answer::parse(bytes).unwrap_err();
            assert_eq!(why, format!("answered {shown}, which is not HTTP/1.1"));
        }
        assert_eq!(first_line(&[b'a'; 200]).chars().count(), SHOWN + 3);
        let endless = [b"HTTP/1.1 200 OK\r\nX: ", &[b'y'; MAX_HEAD][..]].concat();
        assert!(Answer::parse(&endless).unwrap_err().contains("16 KiB"));
    }
}
