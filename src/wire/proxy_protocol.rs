//! The PROXY protocol, versions 1 and 2, as HAProxy's `proxy-protocol.txt`
//! defines it: what a proxy says of a connection before its first byte.
//!
//! The rule is to take nothing on trust but the addresses themselves. A header
//! is refused at its first wrong byte, a length is believed only within a
//! bound, and what a length promises must be there to the byte. The parser
//! never asks for a byte that may not belong to the header, so that whoever
//! comes next, TLS or HTTP, finds the stream where it begins.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Most bytes of a version 1 header, its CR LF included (section 2.1).
pub const MAX_V1: usize = 107;

/// Most bytes of a version 2 header behind its first 16. The field allows
/// 65535; addresses and a few TLVs take some hundred.
pub const MAX_V2: usize = 4096;

const V1: &[u8] = b"PROXY ";
const V2: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of a version 2 header up to and with its length.
const V2_HEAD: usize = 16;
/// `PROXY UNKNOWN` and its line end: no header of either version is shorter.
const SHORTEST: usize = 15;
/// The bytes of addresses and ports in a version 2 header, by family.
const V2_TCP4: usize = 12;
const V2_TCP6: usize = 36;
const V2_UNIX: usize = 216;

/// TLV types (section 2.2.1).
const ALPN: u8 = 0x01;
const AUTHORITY: u8 = 0x02;
const CRC32C: u8 = 0x03;
const UNIQUE_ID: u8 = 0x05;
const SSL: u8 = 0x20;
const SSL_VERSION: u8 = 0x21;
const SSL_CN: u8 = 0x22;

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
        Ok(Parsed::Incomplete { needs: SHORTEST })
    } else if begins(V1) {
        parse_v1(&input[..input.len().min(MAX_V1)])
    } else if begins(V2) {
        parse_v2(input)
    } else {
        Err("it begins with no PROXY header")
    }
}

/// Whether this is the beginning of something that means to be a header.
pub fn is_header(input: &[u8]) -> bool {
    input.starts_with(V1) || input.starts_with(V2)
}

fn parse_v1(input: &[u8]) -> Result<Parsed, Malformed> {
    let Some(end) = input.iter().position(|&b| b == b'\r' || b == b'\n') else {
        return match v1_needs(input) {
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
        Some(rest) => Some(v1_addresses(rest).ok_or("its PROXY header has no valid addresses")?),
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
fn v1_needs(line: &[u8]) -> usize {
    if line.len() < SHORTEST {
        return SHORTEST - line.len();
    }
    let fields = if line.starts_with(b"PROXY TCP") { 5 } else { 0 };
    let spaces = line.iter().filter(|&&b| b == b' ').count();
    2 + 2 * usize::saturating_sub(fields, spaces)
}

fn v1_addresses(rest: &str) -> Option<Addresses> {
    let mut fields = rest.split(' ');
    let mut next = || fields.next();
    let parse_ip: fn(&str) -> Option<IpAddr> = match next()? {
        "TCP4" => |text| text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => |text| text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => return None,
    };
    let (source, destination) = (parse_ip(next()?)?, parse_ip(next()?)?);
    let (from, to) = (v1_port(next()?)?, v1_port(next()?)?);
    next().is_none().then_some(Addresses {
        source: SocketAddr::new(source, from),
        destination: SocketAddr::new(destination, to),
    })
}

fn v1_port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

fn parse_v2(input: &[u8]) -> Result<Parsed, Malformed> {
    let Some(head) = input.get(..V2_HEAD) else {
        let needs = V2_HEAD - input.len();
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
        0x11 | 0x12 => V2_TCP4,
        0x21 | 0x22 => V2_TCP6,
        0x31 | 0x32 => V2_UNIX,
        _ => return Err("its PROXY header has an unknown address family"),
    };
    if len < addresses {
        return Err("its PROXY header is shorter than its addresses");
    }
    let whole = V2_HEAD + len;
    let Some(body) = input.get(V2_HEAD..whole) else {
        let needs = whole - input.len();
        return Ok(Parsed::Incomplete { needs });
    };
    // Section 2.2: what comes with LOCAL is to be skipped unread.
    let header = match is_local {
        true => Header::default(),
        false => Header {
            addresses: v2_addresses(head[13], body),
            extras: v2_extras(&input[..whole], V2_HEAD + addresses)?,
        },
    };
    Ok(Parsed::Done { len: whole, header })
}

/// The addresses of a stream over IP; of others nothing here has a use.
fn v2_addresses(family: u8, body: &[u8]) -> Option<Addresses> {
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
fn v2_extras(header: &[u8], from: usize) -> Result<Extras, Malformed> {
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
            SSL => extras.ssl = Some(v2_ssl(value)?),
            CRC32C => check_crc(header, header.len() - tlvs.0.len() - value.len(), value)?,
            _ => {}
        }
    }
    Ok(extras)
}

fn v2_ssl(value: &[u8]) -> Result<Ssl, Malformed> {
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
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg())
        })
    })
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
            Version::V1 => self.v1(),
            Version::V2 => self.v2(),
        }
    }

    /// The header in version 1, which has no room for the extras.
    fn v1(&self) -> Vec<u8> {
        let Some(addresses) = self.addresses else {
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

    /// The header in version 2. An extra that is longer than the protocol
    /// allows, or than its readers do, is left out.
    fn v2(&self) -> Vec<u8> {
        let mut header = V2.to_vec();
        match self.addresses.map(Addresses::in_one_family) {
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
        self.extras.write(&mut header);
        // At most 36 bytes of addresses and 1700 of extras.
        let len = u16::try_from(header.len() - V2_HEAD).unwrap_or_default();
        header[14..16].copy_from_slice(&len.to_be_bytes());
        header
    }
}

impl Extras {
    /// The common name in the client's certificate, if that was good.
    pub fn verified_name(&self) -> Option<&str> {
        let ssl = self.ssl.as_ref()?;
        let good = (ssl.certificate || ssl.session_certificate) && ssl.verified;
        ssl.common_name.as_deref().filter(|_| good)
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use arbtest::arbitrary::{Result as Arbitrary, Unstructured};

    fn done(input: &[u8]) -> (usize, Header) {
        match parse(input) {
            Ok(Parsed::Done { len, header }) => (len, header),
            other => panic!("{:?}: {other:?}", input.escape_ascii().to_string()),
        }
    }

    fn header(source: &str, destination: &str) -> Header {
        Header {
            addresses: Some(Addresses {
                source: source.parse().unwrap(),
                destination: destination.parse().unwrap(),
            }),
            extras: Extras::default(),
        }
    }

    /// A version 2 header of these bytes behind the signature, its length put
    /// in.
    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let len = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&V2[..], &[command, family], &len, body].concat()
    }

    const TCP4: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 0x12, 0x34, 0, 80];

    /// Headers of either version with what they say.
    fn good() -> Vec<(Vec<u8>, Header)> {
        let tcp4 = header("192.0.2.1:4660", "192.0.2.2:80");
        let mut tcp6 = [0; 36];
        tcp6[15] = 1;
        tcp6[31] = 2;
        tcp6[33] = 7;
        let with = |extras| Header {
            extras,
            ..tcp4.clone()
        };
        let tlv = |bytes: &[u8]| v2(0x21, 0x11, &[&TCP4, bytes].concat());
        vec![
            (
                b"PROXY TCP4 192.0.2.1 192.0.2.2 4660 80\r\n".into(),
                tcp4.clone(),
            ),
            (
                b"PROXY TCP6 ::1 2001:db8::2 65535 0\r\n".into(),
                header("[::1]:65535", "[2001:db8::2]:0"),
            ),
            (
                format!("PROXY TCP6 {0} {0} 65535 65535\r\n", ["ffff"; 8].join(":")).into(),
                header(
                    &format!("[{}]:65535", ["ffff"; 8].join(":")),
                    &format!("[{}]:65535", ["ffff"; 8].join(":")),
                ),
            ),
            (b"PROXY UNKNOWN\r\n".into(), Header::default()),
            (b"PROXY UNKNOWN what ever 1\r\n".into(), Header::default()),
            // The longest that section 2.1 allows.
            (
                format!("PROXY UNKNOWN {}\r\n", "x".repeat(91)).into(),
                Header::default(),
            ),
            (v2(0x20, 0x00, b""), Header::default()),
            (v2(0x20, 0x11, b"what ever"), Header::default()),
            (v2(0x20, 0xff, &[0xff; MAX_V2]), Header::default()),
            (v2(0x21, 0x00, b""), Header::default()),
            (v2(0x21, 0x31, &[0; 216]), Header::default()),
            (v2(0x21, 0x12, &TCP4), Header::default()),
            (v2(0x21, 0x11, &TCP4), tcp4.clone()),
            (v2(0x21, 0x21, &tcp6), header("[::1]:7", "[::2]:0")),
            (tlv(&[0xee, 0, 1, b'x', 0x04, 0, 2, 0, 0]), tcp4.clone()),
            (
                tlv(b"\x01\0\x02h2\x02\0\x03a.b\x05\0\x02id"),
                with(Extras {
                    alpn: Some(b"h2".into()),
                    authority: Some("a.b".into()),
                    unique_id: Some(b"id".into()),
                    ssl: None,
                }),
            ),
            (
                tlv(b"\x20\0\x13\x05\0\0\0\0\x21\0\x07TLSv1.3\x22\0\x01N"),
                with(Extras {
                    ssl: Some(Ssl {
                        tls: true,
                        certificate: false,
                        session_certificate: true,
                        verified: true,
                        version: Some("TLSv1.3".into()),
                        common_name: Some("N".into()),
                    }),
                    ..Extras::default()
                }),
            ),
        ]
    }

    #[test]
    fn a_header_is_read_and_what_follows_is_left() {
        for (bytes, expected) in good() {
            for tail in [&b""[..], b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", &[0; 5000]] {
                let input = [&bytes, tail].concat();
                assert_eq!(done(&input), (bytes.len(), expected.clone()));
            }
        }
    }

    #[test]
    fn a_header_cut_anywhere_asks_for_no_byte_beyond_its_end() {
        for (bytes, expected) in good() {
            for cut in 0..bytes.len() {
                match parse(&bytes[..cut]) {
                    Ok(Parsed::Incomplete { needs }) => {
                        assert!((1..=bytes.len() - cut).contains(&needs), "{cut}: {needs}");
                    }
                    other => panic!("cut at {cut}: {other:?}"),
                }
            }
            // As the tunnel reads it.
            let (mut seen, mut reads) = (0, 0);
            while let Ok(Parsed::Incomplete { needs }) = parse(&bytes[..seen]) {
                seen += needs;
                reads += 1;
            }
            assert_eq!(done(&bytes[..seen]), (bytes.len(), expected));
            assert!(reads <= 50, "{reads} reads");
        }
    }

    #[test]
    fn a_usual_header_is_read_in_few_reads() {
        let line = b"PROXY TCP4 192.168.100.100 192.168.100.101 56324 443\r\n";
        for (bytes, most) in [(&line[..], 12), (&v2(0x21, 0x11, &TCP4), 3)] {
            let (mut seen, mut reads) = (0, 0);
            while let Ok(Parsed::Incomplete { needs }) = parse(&bytes[..seen]) {
                seen += needs;
                reads += 1;
            }
            assert!(reads <= most, "{reads} reads");
        }
    }

    fn assert_refused(table: &[(&[u8], Malformed)]) {
        for &(bytes, why) in table {
            assert_eq!(parse(bytes), Err(why), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn what_begins_otherwise_is_refused_at_its_first_wrong_byte() {
        let why = "it begins with no PROXY header";
        for bytes in [
            &b"G"[..],
            b"PX",
            b"PROXY\t",
            b"proxy ",
            b"\r\n\r\r",
            b"\r\n\r\n\0\r\nQUIT\r",
            b"\x16\x03",
        ] {
            assert_refused(&[(bytes, why)]);
        }
    }

    #[test]
    fn a_line_that_is_no_header_is_refused() {
        for line in [
            "",
            "TCP4",
            "UNKNOWNX",
            "UDP4 1.1.1.1 1.1.1.1 1 1",
            "tcp4 1.1.1.1 1.1.1.1 1 1",
            "TCP4 1.1.1.1 1.1.1.1 1",
            "TCP4 1.1.1.1 1.1.1.1 1 1 1",
            "TCP4 1.1.1.1 1.1.1.1 1 1 ",
            "TCP4  1.1.1.1 1.1.1.1 1 1",
            "TCP4\t1.1.1.1 1.1.1.1 1 1",
            "TCP4 1.1.1 1.1.1.1 1 1",
            "TCP4 01.1.1.1 1.1.1.1 1 1",
            "TCP4 ::1 ::1 1 1",
            "TCP6 1.1.1.1 1.1.1.1 1 1",
            "TCP6 fe80::1%eth0 ::1 1 1",
            "TCP4 1.1.1.1 1.1.1.1 65536 1",
            "TCP4 1.1.1.1 1.1.1.1 01 1",
            "TCP4 1.1.1.1 1.1.1.1 +1 1",
            "TCP4 1.1.1.1 1.1.1.1 1 ",
        ] {
            let bytes = format!("PROXY {line}\r\n");
            assert_refused(&[(bytes.as_bytes(), "its PROXY header has no valid addresses")]);
        }
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
        let long = long.as_bytes();
        assert_eq!(long.len(), MAX_V1 + 1);
        let (too_long, end) = (
            "its PROXY header is longer than 107 bytes",
            "its PROXY header does not end with CR LF",
        );
        assert_refused(&[
            (&long[..106], too_long),
            (&long[..107], too_long),
            (long, too_long),
            (b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\n", end),
            (b"PROXY UNKNOWN\rx", end),
            (b"PROXY TCP4 \xff\r\n", "its PROXY header is not text"),
        ]);
    }

    #[test]
    fn a_version_2_header_that_lies_is_refused_before_its_body_has_come() {
        let mut long = v2(0x21, 0x11, &TCP4);
        long[14] = 0x10;
        long[15] = 0x01;
        let command = "its PROXY header has an unknown version or command";
        let family = "its PROXY header has an unknown address family";
        let short = "its PROXY header is shorter than its addresses";
        for (bytes, why) in [
            (v2(0x11, 0x11, &TCP4), command),
            (v2(0x22, 0x11, &TCP4), command),
            (v2(0x21, 0x41, &TCP4), family),
            (v2(0x21, 0x10, &TCP4), family),
            (long, "its PROXY header is longer than 4096 bytes"),
            (v2(0x21, 0x11, &TCP4[..11]), short),
            (v2(0x21, 0x21, &[0; 35]), short),
            (v2(0x21, 0x31, &[0; 215]), short),
        ] {
            assert_refused(&[(&bytes[..V2_HEAD], why)]);
        }
    }

    #[test]
    fn a_field_that_lies_is_refused() {
        let tlv = |bytes: &[u8]| v2(0x21, 0x11, &[&TCP4, bytes].concat());
        let field = "its PROXY header has a field that is longer than the header";
        let text = "its PROXY header has a text that is not UTF-8";
        let sum = "its PROXY header has a wrong checksum";
        for (bytes, why) in [
            (tlv(&[1]), field),
            (tlv(&[1, 0]), field),
            (tlv(&[1, 0, 1]), field),
            (tlv(&[0xee, 0xff, 0xff, 1]), field),
            (v2(0x21, 0x00, b"x"), field),
            (tlv(&[0x20, 0, 8, 1, 0, 0, 0, 0, 0x21, 0, 9]), field),
            (
                tlv(&[0x20, 0, 4, 1, 0, 0, 0]),
                "its PROXY header has a TLS part that is cut off",
            ),
            (tlv(&[2, 0, 1, 0xff]), text),
            (
                tlv(&[&[5, 0, 129][..], &[0; 129]].concat()),
                "its PROXY header has a unique id longer than 128 bytes",
            ),
            (tlv(&[3, 0, 4, 0, 0, 0, 0]), sum),
            (tlv(&[3, 0, 0]), sum),
        ] {
            assert_refused(&[(&bytes, why)]);
        }
    }

    #[test]
    fn a_checksum_is_held_against_the_whole_header() {
        // RFC 3720 appendix B.4 has more; this one is every catalogue's.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        let mut bytes = v2(0x21, 0x11, &[&TCP4[..], &[3, 0, 4, 0, 0, 0, 0]].concat());
        let sum = crc32c(&bytes);
        bytes[31..35].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(done(&bytes).1, header("192.0.2.1:4660", "192.0.2.2:80"));
        bytes[16] ^= 1;
        assert!(parse(&bytes).is_err());
    }

    #[test]
    fn what_is_written_is_read_again() {
        arbtest::arbtest(|u| {
            let header = arbitrary_header(u)?;
            let canonical = header.addresses.map(Addresses::in_one_family);
            let expected = Header {
                addresses: canonical,
                ..header.clone()
            };
            let tail: Vec<u8> = u.arbitrary()?;
            let bytes = header.v2();
            assert_eq!(
                done(&[&bytes, &tail[..]].concat()),
                (bytes.len(), expected.clone())
            );
            let bytes = header.v1();
            let (len, read) = done(&[&bytes, &tail[..]].concat());
            assert_eq!((len, read.addresses), (bytes.len(), expected.addresses));
            Ok(())
        });
    }

    #[test]
    fn no_bytes_make_the_parser_fail_or_run_over() {
        arbtest::arbtest(|u| {
            let mut bytes = arbitrary_header(u)?.v2();
            for _ in 0..u.int_in_range(0..=4)? {
                let at = u.int_in_range(0..=bytes.len() - 1)?;
                bytes[at] = u.arbitrary()?;
            }
            bytes.truncate(u.int_in_range(0..=bytes.len())?);
            match parse(&bytes) {
                Ok(Parsed::Done { len, .. }) => assert!(len <= bytes.len()),
                Ok(Parsed::Incomplete { needs }) => {
                    assert!(needs > 0 && bytes.len() + needs <= V2_HEAD + MAX_V2);
                }
                Err(_) => {}
            }
            Ok(())
        });
    }

    #[test]
    fn a_name_counts_only_in_a_certificate_that_was_good() {
        for (certificate, session_certificate, verified, expected) in [
            (true, true, true, true),
            (false, true, true, true),
            (true, false, true, true),
            (false, false, true, false),
            (true, true, false, false),
        ] {
            let ssl = Ssl {
                tls: true,
                certificate,
                session_certificate,
                verified,
                version: None,
                common_name: Some("N".into()),
            };
            let extras = Extras {
                ssl: Some(ssl),
                ..Extras::default()
            };
            assert_eq!(extras.verified_name(), expected.then_some("N"));
        }
    }

    #[test]
    fn an_extra_that_is_too_long_is_left_out() {
        let long = Header {
            extras: Extras {
                authority: Some("x".repeat(256)),
                unique_id: Some(vec![0; 129]),
                alpn: Some(vec![0; 70_000]),
                ssl: None,
            },
            ..header("192.0.2.1:1", "192.0.2.2:2")
        };
        assert_eq!(
            done(&long.v2()).1,
            header("192.0.2.1:1", "192.0.2.2:2"),
            "the addresses stay"
        );
    }

    fn arbitrary_address(u: &mut Unstructured<'_>) -> Arbitrary<SocketAddr> {
        let ip = match u.arbitrary()? {
            true => IpAddr::from(u.arbitrary::<[u8; 4]>()?),
            false => IpAddr::from(u.arbitrary::<[u8; 16]>()?),
        };
        Ok(SocketAddr::new(ip, u.arbitrary()?))
    }

    fn arbitrary_text(u: &mut Unstructured<'_>) -> Arbitrary<Option<String>> {
        let text: Option<String> = u.arbitrary()?;
        Ok(text.filter(|text| text.len() <= 64))
    }

    fn arbitrary_header(u: &mut Unstructured<'_>) -> Arbitrary<Header> {
        let addresses = match u.ratio(3, 4)? {
            true => Some(Addresses {
                source: arbitrary_address(u)?,
                destination: arbitrary_address(u)?,
            }),
            false => None,
        };
        let bytes = |text: Option<String>| text.map(String::into_bytes);
        let ssl = match u.arbitrary()? {
            true => Some(Ssl {
                tls: u.arbitrary()?,
                certificate: u.arbitrary()?,
                session_certificate: u.arbitrary()?,
                verified: u.arbitrary()?,
                version: arbitrary_text(u)?,
                common_name: arbitrary_text(u)?,
            }),
            false => None,
        };
        let extras = Extras {
            alpn: bytes(arbitrary_text(u)?),
            authority: arbitrary_text(u)?,
            unique_id: bytes(arbitrary_text(u)?),
            ssl,
        };
        Ok(Header { addresses, extras })
    }
}
