//! The PROXY header that a trusted proxy owes before anything else.
//!
//! Never a byte more is read than belongs to the header, so whoever reads next
//! finds the connection as if the client itself had just made it.

use super::link::{Link, Read};
use crate::net::{Lent, Transport};
use crate::wire::proxy_protocol::{self, Header, Malformed, Parsed};

/// What reading it came to.
#[derive(Debug)]
pub enum Step {
    /// It is not whole yet.
    Incomplete,
    /// The proxy left before it was.
    Gone,
    /// It is not one.
    Refused(Malformed),
    /// It is whole.
    Done(Header),
}

/// A PROXY header as far as it has come.
#[derive(Debug, Default)]
pub struct ProxyHeader {
    bytes: Vec<u8>,
}

impl ProxyHeader {
    /// Whether anything has come.
    pub fn has_begun(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Reads until the header is whole, wrong, or not there yet.
    pub fn read<T: Transport>(&mut self, link: &mut Link<T>, lent: &mut Lent) -> Step {
        loop {
            let needs = match proxy_protocol::parse(&self.bytes) {
                Ok(Parsed::Incomplete { needs }) => needs,
                Ok(Parsed::Done { header, .. }) => return Step::Done(header),
                Err(why) => return Step::Refused(why),
            };
            let seen = self.bytes.len();
            self.bytes.resize(seen + needs, 0);
            let read = link.read(&mut self.bytes[seen..], lent);
            match read {
                Read::Bytes(n) => self.bytes.truncate(seen + n),
                Read::Blocked => {
                    self.bytes.truncate(seen);
                    return Step::Incomplete;
                }
                Read::End | Read::Broken(_) => return Step::Gone,
            }
        }
    }
}
