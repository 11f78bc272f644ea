//! What is said over a connection before it carries messages: a request to a
//! proxy, the opening handshake of a client.
//!
//! A dialogue holds no socket. It says something first, hears what came so far,
//! and answers with what comes next. What it heard is kept by the caller until
//! the dialogue is done with it, so a cut between two reads is no state.

use std::fmt;

/// Most characters of a location that are shown.
const SHOWN: usize = 200;

/// What comes next in a dialogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// What came is not whole yet.
    Listen,
    /// This is to be said; as many bytes of what came are done with.
    Say(Vec<u8>, usize),
    /// It is over; as many bytes of what came belonged to it.
    Done(usize),
}

/// Why a dialogue came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unwelcome {
    /// The other side does not want it, or makes no sense; says what it said.
    Refused(String),
    /// As [`Refused`](Unwelcome::Refused), but it may be otherwise soon.
    NotNow(String),
    /// What is wanted is at another URL.
    Moved {
        /// The first line of the answer.
        line: String,
        /// Where it is.
        location: String,
    },
}

impl fmt::Display for Unwelcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unwelcome::Refused(text) | Unwelcome::NotNow(text) => f.write_str(text),
            Unwelcome::Moved { line, location } => {
                let place = place(location);
                write!(
                    f,
                    "{line}, so go to \"{}\" (--follow)",
                    place.escape_debug()
                )
            }
        }
    }
}

/// A location as logs may have it: without user, password and query, in which a
/// token may stand, and no longer than need be.
fn place(location: &str) -> String {
    let end = location.find(['?', '#']).unwrap_or(location.len());
    let (scheme, rest) = match location[..end].find("//") {
        Some(at) => location[..end].split_at(at + 2),
        None => ("", &location[..end]),
    };
    let path = rest.find('/').unwrap_or(rest.len());
    let host = match scheme {
        "" => 0,
        _ => rest[..path].rfind('@').map_or(0, |at| at + 1),
    };
    scheme
        .chars()
        .chain(rest[host..].chars())
        .take(SHOWN)
        .collect()
}

/// What was said in a dialogue, and what was left of what came if it is done.
#[cfg(any(test, fuzzing))]
pub(crate) type Talk = Result<(Vec<Vec<u8>>, Option<Vec<u8>>), Unwelcome>;

/// Lets a dialogue hear these pieces, one after the other.
#[cfg(any(test, fuzzing))]
pub(crate) fn talk(
    mut hear: impl FnMut(&[u8]) -> Result<Next, Unwelcome>,
    pieces: &[&[u8]],
) -> Talk {
    let (mut heard, mut said) = (Vec::new(), Vec::new());
    for piece in pieces {
        heard.extend_from_slice(piece);
        loop {
            match hear(&heard)? {
                Next::Listen => break,
                Next::Say(bytes, used) => {
                    said.push(bytes);
                    heard.drain(..used);
                }
                Next::Done(used) => return Ok((said, Some(heard[used..].to_vec()))),
            }
        }
    }
    Ok((said, None))
}
