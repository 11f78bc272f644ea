//! Version 2: binary, with room for more than addresses (section 2.2).

use super::{Addresses, Extras, Header, Malformed, Parsed, Ssl};
use std::net::{IpAddr, SocketAddr};

/// Most bytes of a version 2 header behind its first 16. The field allows
/// 65535; addresses and a few TLVs take some hundred.
pub const MAX_V2: usize = 4096;

/// What every one begins with.
pub(super) const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes of a version 2 header up to and with its length.
pub(super) const HEAD: usize = 16;

/// The bytes of addresses and ports in a version 2 header, by family.
const TCP4: usize = 12;
const TCP6: usize = 36;
const UNIX: usize = 216;

/// TLV types (section 2.2.1).
const ALPN: u8 = 0x01;
const AUTHORITY: u8 = 0x02;
const CRC32C: u8 = 0x03;
const UNIQUE_ID: u8 = 0x05;
const SSL: u8 = 0x20;
const SSL_VERSION: u8 = 0x21;
const SSL_CN: u8 = 0x22;

/// Reads the header at the front of `input`, which begins as one.
pub(super) fn parse(input: &[u8]) -> Result<Parsed, Malformed> {
    let Some(head) = input.get(..HEAD) else {
        let needs = HEAD - input.len();
        return Ok(Parsed::Incomplete { needs });
    };
    let len = usize::from(u16::from_be_bytes([head[14], head[15]]));
    if len > MAX_V2 {
        return Err("its PROXY header is longer than 4096 bytes");
    }
    let is_local = match head[12] {
        0x20 => true,
        0x21 => false,
        _ => return Err("its PROXY header has an unknown version or command"),
    };
    let addresses = match head[13] {
        _ if is_local => 0,
        0x00 => 0,
        0x11 | 0x12 => TCP4,
        0x21 | 0x22 => TCP6,
        0x31 | 0x32 => UNIX,
        _ => return Err("its PROXY header has an unknown address family"),
    };
    if len < addresses {
        return Err("its PROXY header is shorter than its addresses");
    }
    let whole = HEAD + len;
    let Some(body) = input.get(HEAD..whole) else {
        let needs = whole - input.len();
        return Ok(Parsed::Incomplete { needs });
    };
    // Section 2.2: what comes with LOCAL is to be skipped unread.
    let header = match is_local {
        true => Header::default(),
        false => Header {
            addresses: addresses_in(head[13], body),
            extras: extras_in(&input[..whole], HEAD + addresses)?,
        },
    };
    Ok(Parsed::Done { len: whole, header })
}

/// The addresses of a stream over IP; of others nothing here has a use.
fn addresses_in(family: u8, body: &[u8]) -> Option<Addresses> {
    let port = |at: usize| Some(u16::from_be_bytes([*body.get(at)?, *body.get(at + 1)?]));
    let (source, destination, ports) = match family {
        0x11 => {
            let ip = |at: usize| <[u8; 4]>::try_from(body.get(at..at + 4)?).ok();
            (IpAddr::from(ip(0)?), IpAddr::from(ip(4)?), 8)
        }
        0x21 => {
            let ip = |at: usize| <[u8; 16]>::try_from(body.get(at..at + 16)?).ok();
            (IpAddr::from(ip(0)?), IpAddr::from(ip(16)?), 32)
        }
        _ => return None,
    };
    Some(Addresses {
        source: SocketAddr::new(source, port(ports)?),
        destination: SocketAddr::new(destination, port(ports + 2)?),
    })
}

/// The TLVs of `header`, which begin at `from`.
fn extras_in(header: &[u8], from: usize) -> Result<Extras, Malformed> {
    let mut extras = Extras::default();
    let mut tlvs = Tlvs(&header[from..]);
    while let Some(tlv) = tlvs.next() {
        let (kind, value) = tlv?;
        match kind {
            ALPN => extras.alpn = Some(value.to_vec()),
            AUTHORITY => extras.authority = Some(text(value)?),
            UNIQUE_ID if value.len() > 128 => {
                return Err("its PROXY header has a unique id longer than 128 bytes");
            }
            UNIQUE_ID => extras.unique_id = Some(value.to_vec()),
            SSL => extras.ssl = Some(ssl_in(value)?),
            CRC32C => check_crc(header, header.len() - tlvs.0.len() - value.len(), value)?,
            _ => {}
        }
    }
    Ok(extras)
}

fn ssl_in(value: &[u8]) -> Result<Ssl, Malformed> {
    let [flags, v0, v1, v2, v3, rest @ ..] = value else {
        return Err("its PROXY header has a TLS part that is cut off");
    };
    let mut ssl = Ssl {
        tls: flags & 0x01 != 0,
        certificate: flags & 0x02 != 0,
        session_certificate: flags & 0x04 != 0,
        verified: [v0, v1, v2, v3] == [&0; 4],
        ..Ssl::default()
    };
    for tlv in Tlvs(rest) {
        match tlv? {
            (SSL_VERSION, value) => ssl.version = Some(text(value)?),
            (SSL_CN, value) => ssl.common_name = Some(text(value)?),
            _ => {}
        }
    }
    Ok(ssl)
}

fn text(value: &[u8]) -> Result<String, Malformed> {
    let text = std::str::from_utf8(value).map(str::to_owned);
    text.map_err(|_| "its PROXY header has a text that is not UTF-8")
}

/// Takes type-length-value triples off the front, or the fact that what is
/// left is none.
struct Tlvs<'a>(&'a [u8]);

impl<'a> Iterator for Tlvs<'a> {
    type Item = Result<(u8, &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = std::mem::take(&mut self.0);
        if bytes.is_empty() {
            return None;
        }
        let tlv = bytes.split_at_checked(3).and_then(|(head, rest)| {
            let len = usize::from(u16::from_be_bytes([head[1], head[2]]));
            let (value, rest) = rest.split_at_checked(len)?;
            self.0 = rest;
            Some((head[0], value))
        });
        Some(tlv.ok_or("its PROXY header has a field that is longer than the header"))
    }
}

/// Section 2.2.3: the sum, which lies at `at`, is over the whole header with
/// the sum's own bytes zero.
fn check_crc(header: &[u8], at: usize, value: &[u8]) -> Result<(), Malformed> {
    let mut zeroed = header.to_vec();
    zeroed[at..at + value.len()].fill(0);
    match value == crc32c(&zeroed).to_be_bytes() {
        true => Ok(()),
        false => Err("its PROXY header has a wrong checksum"),
    }
}

/// CRC-32C (RFC 9260 appendix A), bit by bit: headers are short and few.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg())
        })
    })
}

/// The header in version 2. An extra that is longer than the protocol allows,
/// or than its readers do, is left out.
pub(super) fn bytes(from: &Header) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    match from.addresses.map(Addresses::in_one_family) {
        None => header.extend([0x21, 0x00, 0, 0]),
        Some(addresses) => {
            let ends = [addresses.source, addresses.destination];
            let family = if ends[0].is_ipv4() { 0x11 } else { 0x21 };
            header.extend([0x21, family, 0, 0]);
            for end in ends {
                match end.ip() {
                    IpAddr::V4(ip) => header.extend(ip.octets()),
                    IpAddr::V6(ip) => header.extend(ip.octets()),
                }
            }
            for end in ends {
                header.extend(end.port().to_be_bytes());
            }
        }
    }
    from.extras.write(&mut header);
    // At most 36 bytes of addresses and 1700 of extras.
    let len = u16::try_from(header.len() - HEAD).unwrap_or_default();
    header[14..16].copy_from_slice(&len.to_be_bytes());
    header
}

impl Extras {
    fn write(&self, out: &mut Vec<u8>) {
        write_tlv(out, ALPN, self.alpn.as_deref(), 255);
        write_tlv(
            out,
            AUTHORITY,
            self.authority.as_deref().map(str::as_bytes),
            255,
        );
        write_tlv(out, UNIQUE_ID, self.unique_id.as_deref(), 128);
        let ssl = self.ssl.as_ref().map(Ssl::bytes);
        write_tlv(out, SSL, ssl.as_deref(), 1024);
    }
}

impl Ssl {
    fn bytes(&self) -> Vec<u8> {
        let flags = u8::from(self.tls)
            | u8::from(self.certificate) << 1
            | u8::from(self.session_certificate) << 2;
        let mut value = vec![flags];
        value.extend(u32::from(!self.verified).to_be_bytes());
        let version = self.version.as_deref().map(str::as_bytes);
        write_tlv(&mut value, SSL_VERSION, version, 64);
        let common_name = self.common_name.as_deref().map(str::as_bytes);
        write_tlv(&mut value, SSL_CN, common_name, 512);
        value
    }
}

fn write_tlv(out: &mut Vec<u8>, kind: u8, value: Option<&[u8]>, most: u16) {
    let Some(value) = value else {
        return;
    };
    if let Some(len) = u16::try_from(value.len()).ok().filter(|&len| len <= most) {
        out.push(kind);
        out.extend(len.to_be_bytes());
        out.extend(value);
    }
}
