//! The PROXY protocol, versions 1 and 2, as HAProxy's `proxy-protocol.txt`
//! defines it: what a proxy says of a connection before its first byte.
//!
//! The rule is to take nothing on trust but the addresses themselves. A header
//! is refused at its first wrong byte, a length is believed only within a
//! bound, and what a length promises must be there to the byte. The parser
//! never asks for a byte that may not belong to the header, so that whoever
//! comes next, TLS or HTTP, finds the stream where it begins.

mod v1;
mod v2;

pub use v1::MAX_V1;
pub use v2::MAX_V2;

use std::net::{IpAddr, SocketAddr};

/// How a header is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A line of text.
    V1,
    /// Binary, with room for more than addresses.
    V2,
}

/// What a header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Who is connected with whom; `None` where the proxy speaks for itself
    /// (LOCAL) or does not know (UNKNOWN, or no IP addresses).
    pub addresses: Option<Addresses>,
    /// What version 2 can say beside that.
    pub extras: Extras,
}

/// The two ends of the connection that is relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The client.
    pub source: SocketAddr,
    /// What it connected to.
    pub destination: SocketAddr,
}

/// The TLVs of a version 2 header that somebody here has a use for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// The protocol that TLS agreed on.
    pub alpn: Option<Vec<u8>>,
    /// The host that the client asked for: TLS's server name, or HTTP's host.
    pub authority: Option<String>,
    /// A name for the connection, at most 128 bytes.
    pub unique_id: Option<Vec<u8>>,
    /// The TLS of the client's connection.
    pub ssl: Option<Ssl>,
}

/// What is known of the client's TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ssl {
    /// Whether the client connected over TLS at all.
    pub tls: bool,
    /// Whether it gave a certificate over this connection.
    pub certificate: bool,
    /// Whether it gave one in this TLS session, which may have begun with an
    /// earlier connection.
    pub session_certificate: bool,
    /// Whether that certificate was good.
    pub verified: bool,
    /// Like `TLSv1.3`.
    pub version: Option<String>,
    /// The common name in the certificate's subject.
    pub common_name: Option<String>,
}

/// How far the bytes at the start of a connection are a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// They are the beginning of one; at least so many more belong to it.
    Incomplete {
        /// Never 0.
        needs: usize,
    },
    /// Their front is a whole one.
    Done {
        /// Bytes of the header.
        len: usize,
        /// What it says.
        header: Header,
    },
}

/// Why bytes are no header: what is wrong with them.
pub type Malformed = &'static str;

/// Reads the header at the front of `input`.
///
/// # Errors
/// What is wrong, as soon as it shows.
pub fn parse(input: &[u8]) -> Result<Parsed, Malformed> {
    let begins = |start: &[u8]| {
        let n = input.len().min(start.len());
        input[..n] == start[..n]
    };
    if input.is_empty() {
        Ok(Parsed::Incomplete {
            needs: v1::SHORTEST,
        })
    } else if begins(v1::START) {
        v1::parse(&input[..input.len().min(MAX_V1)])
    } else if begins(v2::SIGNATURE) {
        v2::parse(input)
    } else {
        Err("it begins with no PROXY header")
    }
}

/// Whether this is the beginning of something that means to be a header.
pub fn is_header(input: &[u8]) -> bool {
    input.starts_with(v1::START) || input.starts_with(v2::SIGNATURE)
}

impl Addresses {
    /// Both in one family: where they differ, as IPv6, the IPv4 one mapped.
    fn in_one_family(self) -> Addresses {
        if self.source.is_ipv4() == self.destination.is_ipv4() {
            return self;
        }
        let to_v6 = |address: SocketAddr| match address.ip() {
            IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
            IpAddr::V6(_) => address,
        };
        Addresses {
            source: to_v6(self.source),
            destination: to_v6(self.destination),
        }
    }
}

impl Header {
    /// The header in this version.
    pub fn bytes(&self, version: Version) -> Vec<u8> {
        match version {
            Version::V1 => v1::bytes(self),
            Version::V2 => v2::bytes(self),
        }
    }
}

impl Extras {
    /// The common name in the client's certificate, if that was good.
    pub fn verified_name(&self) -> Option<&str> {
        let ssl = self.ssl.as_ref()?;
        let good = (ssl.certificate || ssl.session_certificate) && ssl.verified;
        ssl.common_name.as_deref().filter(|_| good)
    }
}

#[cfg(test)]
mod tests;
