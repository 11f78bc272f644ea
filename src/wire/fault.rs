//! Why a codec cannot go on, and which close code says so.
//!
//! One list for both codecs and both directions. The close code comes from the
//! fault's own method, never from the place that found it.

use std::fmt;

/// What a codec refused, with what was seen against what is allowed. The stream
/// is the side that speaks the framing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The WebSocket peer broke a rule of RFC 6455 section 5.
    Protocol(&'static str),
    /// The WebSocket peer's text or close reason is not UTF-8.
    Text,
    /// A message from the WebSocket peer is longer than the framing or
    /// `max-message` lets it be.
    TooBig {
        /// Bytes seen or announced, payload only.
        len: u64,
        /// Bytes allowed.
        max: u64,
        /// What allows no more: an option's or a framing's name.
        limit: &'static str,
    },
    /// The stream announced or began something that exceeds `max-message`.
    StreamTooBig {
        /// Bytes (or levels of nesting) seen.
        len: u64,
        /// As many as are allowed.
        max: u64,
    },
    /// The stream's bytes do not follow its framing.
    StreamMalformed(&'static str),
    /// The stream's bytes are to be text and are not UTF-8.
    StreamText,
    /// The stream ended within a message.
    StreamTruncated,
}

impl Fault {
    /// The close code that tells the WebSocket peer (RFC 6455 section 7.4.1).
    pub fn close_code(&self) -> u16 {
        match self {
            Fault::Protocol(_) => 1002,
            Fault::Text => 1007,
            Fault::TooBig { .. } => 1009,
            Fault::StreamTooBig { .. }
            | Fault::StreamMalformed(_)
            | Fault::StreamText
            | Fault::StreamTruncated => 1011,
        }
    }

    /// Whether the stream, rather than the WebSocket peer, is at fault.
    pub fn is_of_stream(&self) -> bool {
        self.close_code() == 1011
    }
}

impl Fault {
    /// The fault in words; `stream` is what that side is called.
    pub fn told(&self, stream: &str) -> String {
        match self {
            Fault::Protocol(rule) => (*rule).to_owned(),
            Fault::Text => "text is not valid UTF-8".to_owned(),
            Fault::TooBig { len, max, limit } => {
                format!("message of {len} bytes exceeds {limit} {max}")
            }
            Fault::StreamTooBig { len, max } => {
                format!("{stream} message of {len} exceeds max-message {max}")
            }
            Fault::StreamMalformed(what) => format!("{stream} sent {what}"),
            Fault::StreamText => {
                format!("{stream} text is not valid UTF-8: set frame-type or invalid-utf8")
            }
            Fault::StreamTruncated => format!("{stream} ended within a message"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told("backend"))
    }
}

impl std::error::Error for Fault {}
