//! Version 1: a line of text (section 2.1).

use super::{Addresses, Extras, Header, Malformed, Parsed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Most bytes of a version 1 header, its CR LF included (section 2.1).
pub const MAX_V1: usize = 107;

/// What every one begins with.
pub(super) const START: &[u8] = b"PROXY ";

/// `PROXY UNKNOWN` and its line end: no header of either version is shorter.
pub(super) const SHORTEST: usize = 15;

/// Reads the line at the front of at most `MAX_V1` bytes.
pub(super) fn parse(input: &[u8]) -> Result<Parsed, Malformed> {
    let Some(end) = input.iter().position(|&b| b == b'\r' || b == b'\n') else {
        return match needs_of(input) {
            needs if input.len() + needs <= MAX_V1 => Ok(Parsed::Incomplete { needs }),
            _ => Err("its PROXY header is longer than 107 bytes"),
        };
    };
    match &input[end..] {
        [b'\r'] if end + 1 < MAX_V1 => return Ok(Parsed::Incomplete { needs: 1 }),
        [b'\r', b'\n', ..] => {}
        [b'\r'] => return Err("its PROXY header is longer than 107 bytes"),
        _ => return Err("its PROXY header does not end with CR LF"),
    }
    let line = std::str::from_utf8(&input[..end]).unwrap_or_default();
    let addresses = match line.strip_prefix("PROXY ") {
        // Section 2.1: whatever follows UNKNOWN is to be ignored.
        Some(rest) if rest == "UNKNOWN" || rest.starts_with("UNKNOWN ") => None,
        Some(rest) => Some(addresses_in(rest).ok_or("its PROXY header has no valid addresses")?),
        None => return Err("its PROXY header is not text"),
    };
    let extras = Extras::default();
    Ok(Parsed::Done {
        len: end + 2,
        header: Header { addresses, extras },
    })
}

/// How many bytes a line without its end lacks at least: the shortest header
/// that begins so, or for each field that is missing a space and a digit.
fn needs_of(line: &[u8]) -> usize {
    if line.len() < SHORTEST {
        return SHORTEST - line.len();
    }
    let fields = if line.starts_with(b"PROXY TCP") { 5 } else { 0 };
    let spaces = line.iter().filter(|&&b| b == b' ').count();
    2 + 2 * usize::saturating_sub(fields, spaces)
}

fn addresses_in(rest: &str) -> Option<Addresses> {
    let mut fields = rest.split(' ');
    let mut next = || fields.next();
    let parse_ip: fn(&str) -> Option<IpAddr> = match next()? {
        "TCP4" => |text| text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => |text| text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => return None,
    };
    let (source, destination) = (parse_ip(next()?)?, parse_ip(next()?)?);
    let (from, to) = (port(next()?)?, port(next()?)?);
    next().is_none().then_some(Addresses {
        source: SocketAddr::new(source, from),
        destination: SocketAddr::new(destination, to),
    })
}

fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

/// The header in version 1, which has no room for the extras.
pub(super) fn bytes(header: &Header) -> Vec<u8> {
    let Some(addresses) = header.addresses else {
        return b"PROXY UNKNOWN\r\n".to_vec();
    };
    let Addresses {
        source,
        destination,
    } = addresses.in_one_family();
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    format!(
        "PROXY {family} {} {} {} {}\r\n",
        source.ip(),
        destination.ip(),
        source.port(),
        destination.port()
    )
    .into_bytes()
}
