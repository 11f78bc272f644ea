//! The payload of a Close frame (RFC 6455 sections 5.5.1 and 7.4).

use super::header::MAX_CONTROL;
use crate::wire::Fault;

/// What a peer's Close says: its status code, or `None` where it gave none.
///
/// The reason is judged and then dropped: it is meant for logs, and what a
/// peer writes stays out of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close(pub Option<u16>);

impl Close {
    /// Reads the payload of a Close frame.
    ///
    /// # Errors
    /// [`Fault::Protocol`] for one byte or a code that may not be sent,
    /// [`Fault::Text`] for a reason that is not UTF-8.
    pub fn parse(payload: &[u8]) -> Result<Close, Fault> {
        let Some((code, reason)) = payload.split_first_chunk::<2>() else {
            return match payload {
                [] => Ok(Close(None)),
                _ => Err(Fault::Protocol("close payload of one byte")),
            };
        };
        let code = u16::from_be_bytes(*code);
        if !may_be_sent(code) {
            return Err(Fault::Protocol("close code that may not be sent"));
        }
        match std::str::from_utf8(reason) {
            Ok(_) => Ok(Close(Some(code))),
            Err(_) => Err(Fault::Text),
        }
    }

    /// The payload of a Close frame: the code and as much of the reason as fits.
    pub fn payload(self, reason: &str) -> Vec<u8> {
        let Some(code) = self.0 else {
            return Vec::new();
        };
        let mut end = reason.len().min(MAX_CONTROL - 2);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        [&code.to_be_bytes(), &reason.as_bytes()[..end]].concat()
    }
}

/// Whether a Close frame may carry this code: those of RFC 6455 section 7.4.1
/// and the IANA registry but for 1004 (no meaning), 1005, 1006 and 1015 (never
/// on the wire), and the ranges for libraries and applications.
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_accepted_or_refused_as_the_rfc_says() {
        for code in [
            1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999,
            4000, 4999,
        ] {
            let payload = Close(Some(code)).payload("bye");
            assert_eq!(Close::parse(&payload), Ok(Close(Some(code))));
        }
        for code in [
            0u16, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
        ] {
            assert!(
                matches!(Close::parse(&code.to_be_bytes()), Err(Fault::Protocol(_))),
                "{code}"
            );
        }
    }

    #[test]
    fn an_empty_payload_has_no_code_and_one_byte_is_refused() {
        assert_eq!(Close::parse(&[]), Ok(Close(None)));
        assert!(Close(None).payload("unsaid").is_empty());
        assert_eq!(
            Close::parse(&[3]),
            Err(Fault::Protocol("close payload of one byte"))
        );
    }

    #[test]
    fn a_reason_is_utf8_of_at_most_123_bytes() {
        assert_eq!(Close::parse(&[3, 232, 0xff]), Err(Fault::Text));
        assert_eq!(Close::parse(&[3, 232, 0xe2, 0x82]), Err(Fault::Text));
        let long = Close(Some(1011)).payload(&"é".repeat(100));
        assert_eq!(long.len(), 2 + 122, "cut at a character");
        assert_eq!(Close::parse(&long), Ok(Close(Some(1011))));
    }
}
