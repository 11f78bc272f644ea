//! The little of a certificate that rustls does not tell: until when it is
//! valid, and its common name (RFC 5280 section 4.1).
//!
//! Nothing is verified here. A certificate that cannot be read just has no
//! answer.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The version of a certificate, `[0] EXPLICIT`.
const VERSION: u8 = 0xa0;
/// id-at-commonName, 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// The parts of a certificate that are of interest.
struct Parts<'a> {
    validity: &'a [u8],
    subject: &'a [u8],
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
                let (_, name) = take(&mut attribute)?;
                return std::str::from_utf8(name).ok().map(str::to_owned);
            }
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
    Some(Parts { validity, subject })
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
}
