//! The little of a certificate that rustls does not tell: until when it is
//! valid, and its names (RFC 5280 section 4.1).
//!
//! Nothing is verified here. A certificate that cannot be read just has no
//! answer, and a name of which it is not sure what text it is, is none.

use crate::net::AlternativeName;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const BOOLEAN: u8 = 0x01;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const TELETEX_STRING: u8 = 0x14;
const IA5_STRING: u8 = 0x16;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// The version of a certificate, `[0] EXPLICIT`.
const VERSION: u8 = 0xa0;
/// Its extensions, `[3] EXPLICIT`.
const EXTENSIONS: u8 = 0xa3;
/// id-at-commonName, 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// id-ce-subjectAltName, 2.5.29.17.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// The kinds of a GeneralName that are told (RFC 5280 section 4.2.1.6).
const RFC822_NAME: u8 = 0x81;
const DNS_NAME: u8 = 0x82;
const URI: u8 = 0x86;
const IP_ADDRESS: u8 = 0x87;

/// The parts of a certificate that are of interest.
struct Parts<'a> {
    validity: &'a [u8],
    subject: &'a [u8],
    /// What is behind the subject.
    rest: &'a [u8],
}

/// The moment after which the certificate is not valid any more.
pub fn not_after(certificate: &[u8]) -> Option<SystemTime> {
    let mut validity = parts(certificate)?.validity;
    take(&mut validity)?;
    let (tag, text) = take(&mut validity)?;
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        // Two digits: 1950 to 2049.
        UTC_TIME => {
            let year = number(text.get(..2)?)?;
            (
                if year < 50 { 2000 + year } else { 1900 + year },
                text.get(2..)?,
            )
        }
        GENERALIZED_TIME => (number(text.get(..4)?)?, text.get(4..)?),
        _ => return None,
    };
    let pair = |at: usize| rest.get(at..at + 2).and_then(number);
    let days = days_from_civil(year, pair(0)?, pair(2)?);
    let seconds = days * 86400 + pair(4)? * 3600 + pair(6)? * 60 + pair(8)?;
    let seconds = u64::try_from(seconds).unwrap_or(0);
    Some(UNIX_EPOCH + Duration::from_secs(seconds))
}

/// The common name of the subject.
pub fn common_name(certificate: &[u8]) -> Option<String> {
    let mut names = parts(certificate)?.subject;
    while !names.is_empty() {
        let mut set = expect(&mut names, SET)?;
        while !set.is_empty() {
            let mut attribute = expect(&mut set, SEQUENCE)?;
            if expect(&mut attribute, OBJECT_IDENTIFIER)? == COMMON_NAME {
                return text(take(&mut attribute)?);
            }
        }
    }
    None
}

/// A DirectoryString (RFC 5280 section 4.1.2.4). What a TeletexString holds is
/// Latin-1 wherever one is still made.
fn text((tag, bytes): (u8, &[u8])) -> Option<String> {
    match tag {
        UTF8_STRING => std::str::from_utf8(bytes).ok().map(str::to_owned),
        PRINTABLE_STRING | IA5_STRING => ascii(bytes).map(str::to_owned),
        TELETEX_STRING => Some(bytes.iter().map(|&byte| char::from(byte)).collect()),
        _ => None,
    }
}

fn ascii(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes)
        .ok()
        .filter(|text| text.is_ascii())
}

/// The alternative names of the subject, in their order, without those of
/// other kinds; none where they cannot be read to their end.
pub fn alternative_names(certificate: &[u8]) -> Vec<AlternativeName> {
    let read = || {
        let mut names = extension(certificate, SUBJECT_ALT_NAME)?;
        let mut names = expect(&mut names, SEQUENCE)?;
        let mut found = Vec::new();
        while !names.is_empty() {
            found.extend(alternative_name(take(&mut names)?));
        }
        Some(found)
    };
    read().unwrap_or_default()
}

fn alternative_name((tag, bytes): (u8, &[u8])) -> Option<AlternativeName> {
    let (kind, name) = match tag {
        RFC822_NAME => ("email", ascii(bytes)?.to_owned()),
        DNS_NAME => ("DNS", ascii(bytes)?.to_owned()),
        URI => ("URI", ascii(bytes)?.to_owned()),
        IP_ADDRESS => ("IP", ip(bytes)?.to_string()),
        _ => return None,
    };
    Some(AlternativeName { kind, name })
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|ip| Ipv4Addr::from(ip).into());
    let v6 = || <[u8; 16]>::try_from(bytes).map(|ip| Ipv6Addr::from(ip).into());
    v4.or_else(|_| v6()).ok()
}

/// What an extension holds.
fn extension<'a>(certificate: &'a [u8], id: &[u8]) -> Option<&'a [u8]> {
    let mut rest = parts(certificate)?.rest;
    // Before them come the key, and in some certificates unique identifiers.
    let mut extensions = loop {
        let (tag, content) = take(&mut rest)?;
        if tag == EXTENSIONS {
            break content;
        }
    };
    let mut extensions = expect(&mut extensions, SEQUENCE)?;
    while !extensions.is_empty() {
        let mut extension = expect(&mut extensions, SEQUENCE)?;
        let found = expect(&mut extension, OBJECT_IDENTIFIER)?;
        // Whether it is critical.
        if extension.first() == Some(&BOOLEAN) {
            take(&mut extension)?;
        }
        if found == id {
            return expect(&mut extension, OCTET_STRING);
        }
    }
    None
}

fn parts(mut certificate: &[u8]) -> Option<Parts<'_>> {
    let mut whole = expect(&mut certificate, SEQUENCE)?;
    let mut signed = expect(&mut whole, SEQUENCE)?;
    if signed.first() == Some(&VERSION) {
        take(&mut signed)?;
    }
    for _serial_algorithm_issuer in 0..3 {
        take(&mut signed)?;
    }
    let validity = expect(&mut signed, SEQUENCE)?;
    let subject = expect(&mut signed, SEQUENCE)?;
    Some(Parts {
        validity,
        subject,
        rest: signed,
    })
}

fn expect<'a>(input: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    take(input).and_then(|(found, content)| (found == tag).then_some(content))
}

/// Takes a value of DER from the front: its tag and its content.
fn take<'a>(input: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&[tag, short], rest) = input.split_first_chunk::<2>()?;
    let (len, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
            (
                bytes
                    .iter()
                    .fold(0, |len, &byte| (len << 8) | usize::from(byte)),
                rest,
            )
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    *input = rest;
    Some((tag, content))
}

fn number(digits: &str) -> Option<i64> {
    digits
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| digits.parse().ok())
        .flatten()
}

/// Days from 1970-01-01, in the Gregorian calendar. Years begin in March here,
/// so that a leap day ends one.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_over_leap_years() {
        for (date, days) in [
            ((1970, 1, 1), 0),
            ((2000, 2, 29), 11_016),
            ((2000, 3, 1), 11_017),
            ((2026, 11, 22), 20_779),
            ((2100, 3, 1), 47_541),
        ] {
            assert_eq!(days_from_civil(date.0, date.1, date.2), days, "{date:?}");
        }
    }

    #[test]
    fn a_certificate_tells_its_end_and_its_name() {
        let mut params = rcgen::CertificateParams::new(vec!["example.org".into()]).unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "a näme");
        for (year, seconds) in [(2031, 1_924_991_999), (2055, 2_682_374_399)] {
            params.not_after = rcgen::date_time_ymd(year, 1, 1) - Duration::from_secs(1);
            let key = rcgen::KeyPair::generate().unwrap();
            let certificate = params.self_signed(&key).unwrap();
            let der = certificate.der();
            let end = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(not_after(der), Some(end), "{year}");
            assert_eq!(common_name(der).as_deref(), Some("a näme"));
            for cut in 0..der.len() {
                // No cut may panic; most have no answer.
                let _ = (not_after(&der[..cut]), common_name(&der[..cut]));
            }
        }
        assert_eq!(not_after(b"no certificate"), None);
    }

    fn issued(name: rcgen::DnValue, names: Vec<rcgen::SanType>) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::default();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        params.subject_alt_names = names;
        params.is_ca = rcgen::IsCa::ExplicitNoCa;
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn a_name_is_read_by_the_kind_of_its_string() {
        use rcgen::DnValue;
        for (value, expected) in [
            (DnValue::Utf8String("é".into()), Some("é")),
            (
                DnValue::PrintableString("Ada L".try_into().unwrap()),
                Some("Ada L"),
            ),
            (DnValue::Ia5String("a@b".try_into().unwrap()), Some("a@b")),
            (
                DnValue::TeletexString("Ada".try_into().unwrap()),
                Some("Ada"),
            ),
            (DnValue::BmpString("Ada".try_into().unwrap()), None),
            (DnValue::UniversalString("Ada".try_into().unwrap()), None),
        ] {
            let found = common_name(&issued(value.clone(), Vec::new()));
            assert_eq!(found.as_deref(), expected, "{value:?}");
        }
        assert_eq!(text((TELETEX_STRING, b"\xe9")).as_deref(), Some("é"));
        for (tag, bytes) in [
            (UTF8_STRING, b"\xe9"),
            (PRINTABLE_STRING, b"\xe9"),
            (IA5_STRING, b"\xe9"),
            (OCTET_STRING, b"a"),
        ] {
            assert_eq!(text((tag, bytes)), None, "{tag}");
        }
    }

    #[test]
    fn a_certificate_tells_its_alternative_names() {
        use rcgen::SanType;
        let other = rcgen::OtherNameValue::Utf8String("other".into());
        let names = vec![
            SanType::DnsName("a.example".try_into().unwrap()),
            SanType::Rfc822Name("a@a.example".try_into().unwrap()),
            SanType::OtherName((vec![1, 2, 3], other)),
            SanType::URI("spiffe://a/b".try_into().unwrap()),
            SanType::IpAddress("192.0.2.1".parse().unwrap()),
            SanType::IpAddress("2001:db8::1".parse().unwrap()),
        ];
        let der = issued(rcgen::DnValue::Utf8String("a".into()), names);
        let expected = [
            ("DNS", "a.example"),
            ("email", "a@a.example"),
            ("URI", "spiffe://a/b"),
            ("IP", "192.0.2.1"),
            ("IP", "2001:db8::1"),
        ]
        .map(|(kind, name)| AlternativeName {
            kind,
            name: name.to_owned(),
        });
        assert_eq!(alternative_names(&der), expected);
        for cut in 0..der.len() {
            assert_eq!(alternative_names(&der[..cut]), [], "cut at {cut}");
        }
        // Whatever a byte says instead, it makes nothing fail.
        let mut altered = der.clone();
        for at in 0..der.len() {
            for byte in [0, 0x30, 0x7f, 0x80, 0x84, 0xff] {
                altered[at] = byte;
                let _ = (alternative_names(&altered), common_name(&altered));
                let _ = not_after(&altered);
            }
            altered[at] = der[at];
        }
        let none = issued(rcgen::DnValue::Utf8String("a".into()), Vec::new());
        assert_eq!(alternative_names(&none), []);
        for (tag, bytes) in [
            (DNS_NAME, &b"\xe9"[..]),
            (IP_ADDRESS, b"123"),
            (IP_ADDRESS, &[0; 8]),
            (0x82 & 0x7f, b"a"),
        ] {
            assert_eq!(alternative_name((tag, bytes)), None, "{tag}");
        }
    }
}
