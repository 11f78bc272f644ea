//! How a value is written: text to value, or to what is allowed instead.
//!
//! The messages name neither the key nor what was seen: the table of words does
//! that for all of them.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::address::{AddressError, Listen};

/// An address to listen at or to connect to.
pub(super) fn address<T: FromStr<Err = AddressError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.reason())
}

/// Where the admin pages are. They are for whoever can connect, so a bare port,
/// which is one of every address, does not do.
pub(super) fn admin(text: &str) -> Result<Listen, String> {
    let forms = |why: &str| format!("{why}; write HOST:PORT, [IPV6]:PORT or unix:/path");
    match text
        .parse()
        .map_err(|error: AddressError| forms(error.why()))?
    {
        Listen::Tcp { host: None, port } => Err(format!(
            "no host; write 127.0.0.1:{port} for this machine alone, or the address of a \
             network whose hosts may all read the pages"
        )),
        Listen::Systemd(_) | Listen::Fd(_) => Err(forms("adit opens this one itself")),
        address => Ok(address),
    }
}

/// One of these names.
pub(crate) fn choice<T>(
    text: &str,
    names: impl IntoIterator<Item = (&'static str, T)>,
) -> Result<T, String> {
    let mut seen = Vec::new();
    for (name, value) in names {
        if name == text {
            return Ok(value);
        }
        seen.push(name);
    }
    Err(format!("write {}", one_of(&seen)))
}

/// `a, b or c`.
pub(super) fn one_of(names: &[&str]) -> String {
    match names {
        [most @ .., last] if !most.is_empty() => format!("{} or {last}", most.join(", ")),
        _ => names.concat(),
    }
}

/// A path as it comes in a request.
pub(super) fn path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err("write a path that begins with /".to_owned());
    }
    if text.contains(['?', '#']) {
        return Err("write the path alone, without ? or #".to_owned());
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("write it percent-encoded, as it comes in a request".to_owned());
    }
    Ok(text.to_owned())
}

/// A user or group, by name or number. A colon would end it in passwd(5).
pub(super) fn account(text: &str) -> Result<String, String> {
    let allowed = |c: char| !c.is_control() && !c.is_whitespace() && c != ':';
    if text.is_empty() || !text.chars().all(allowed) {
        return Err("write a name like nobody, or a number".to_owned());
    }
    Ok(text.to_owned())
}

/// A folder, wherever the program was started.
pub(super) fn folder(text: &str) -> Result<PathBuf, String> {
    match text.starts_with('/') {
        true => Ok(text.into()),
        false => Err("write a path that begins with /".to_owned()),
    }
}

/// A file's name.
pub(super) fn file(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("write the path of a file".to_owned()),
        _ => Ok(text.into()),
    }
}

/// What a challenge can name: RFC 9110 section 5.6.4 has it in quotes.
pub(super) fn realm(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
    match text.bytes().all(allowed) {
        true => Ok(text.to_owned()),
        false => Err("write ASCII without \" and \\".to_owned()),
    }
}

/// RFC 6455 section 4.1: a subprotocol is a token of RFC 9110 section 5.6.2.
pub(super) fn token(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text.is_empty() || !text.bytes().all(allowed) {
        return Err("write one name of letters, digits and !#$%&'*+-.^_`|~".to_owned());
    }
    Ok(text.to_owned())
}

/// Digits and what follows them. A number that is too large for the type is too
/// large for every limit here as well.
fn number(text: &str) -> Option<(u64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    (!digits.is_empty()).then(|| (digits.parse().unwrap_or(u64::MAX), unit))
}

/// More than there can be file descriptors.
const MAX_COUNT: u64 = u32::MAX as u64;

/// A limit that may be off.
pub(super) fn count(text: &str) -> Result<Option<usize>, String> {
    if text == "off" {
        return Ok(None);
    }
    match number(text) {
        Some((n @ 1..=MAX_COUNT, "")) => Ok(usize::try_from(n).ok()),
        _ => Err(format!("write a number from 1 to {MAX_COUNT}, or off")),
    }
}

/// The most that RFC 6455 section 5.2 lets a frame announce.
const MAX_SIZE: u64 = i64::MAX as u64;

/// A number of bytes.
pub(super) fn size(text: &str) -> Result<u64, String> {
    const FORMS: &str = "write a number of bytes, like 65536, 64KiB, 1MiB, 1MB or 1GiB";
    let (n, unit) = number(text).ok_or(FORMS)?;
    let bytes: u64 = match unit {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return Err(FORMS.to_owned()),
    };
    match n.checked_mul(bytes) {
        Some(size @ 1..=MAX_SIZE) => Ok(size),
        _ => Err(format!("the range is 1 to {MAX_SIZE} bytes")),
    }
}

/// A year: long enough for anyone, and safe to add to any clock.
const MAX_MILLIS: u64 = 8760 * 3_600_000;

/// A bare number is seconds. 0 is refused, because half of all programs take
/// it for "at once" and half for "never".
fn millis(text: &str) -> Result<Duration, &'static str> {
    const FORMS: &str = "write a time like 500ms, 10s, 5m or 1h";
    let (n, unit) = number(text).ok_or(FORMS)?;
    let unit = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(FORMS),
    };
    match n.checked_mul(unit) {
        Some(millis @ 1..=MAX_MILLIS) => Ok(Duration::from_millis(millis)),
        _ => Err("the range is 1ms to 8760h"),
    }
}

/// A time.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    match text {
        "off" => Err("it cannot be off; the range is 1ms to 8760h".to_owned()),
        _ => millis(text).map_err(str::to_owned),
    }
}

/// A time that may be off.
pub(super) fn duration_or_off(text: &str) -> Result<Option<Duration>, String> {
    match text {
        "off" => Ok(None),
        _ => millis(text)
            .map(Some)
            .map_err(|why| format!("{why}, or off")),
    }
}

/// The permission bits of a file.
pub(super) fn mode(text: &str) -> Result<u32, String> {
    match text.len() {
        3 | 4 if text.bytes().all(|byte| byte.is_ascii_digit()) => u32::from_str_radix(text, 8)
            .ok()
            .filter(|&mode| mode <= 0o777),
        _ => None,
    }
    .ok_or_else(|| "write octal digits from \"0000\" to \"0777\", like \"0660\"".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_or_is_seconds() {
        for (text, expected) in [
            ("1ms", Some(Duration::from_millis(1))),
            ("500ms", Some(Duration::from_millis(500))),
            ("10", Some(Duration::from_secs(10))),
            ("10s", Some(Duration::from_secs(10))),
            ("007s", Some(Duration::from_secs(7))),
            ("5m", Some(Duration::from_secs(300))),
            ("1h", Some(Duration::from_secs(3600))),
            ("8760h", Some(Duration::from_secs(8760 * 3600))),
            ("off", None),
        ] {
            assert_eq!(duration_or_off(text), Ok(expected), "{text}");
            assert_eq!(duration(text).ok(), expected, "{text}");
        }
        let forms = "write a time like 500ms, 10s, 5m or 1h";
        let range = "the range is 1ms to 8760h";
        for (text, why) in [
            ("", forms),
            ("s", forms),
            ("-1", forms),
            ("+1", forms),
            ("1.5s", forms),
            ("1 s", forms),
            ("1S", forms),
            ("1d", forms),
            ("1m30s", forms),
            ("Off", forms),
            ("never", forms),
            ("0", range),
            ("0ms", range),
            ("8761h", range),
            ("99999999999999999999", range),
            ("18446744073709551615h", range),
        ] {
            assert_eq!(duration(text), Err(why.to_owned()), "{text}");
            assert_eq!(duration_or_off(text), Err(format!("{why}, or off")));
        }
    }

    #[test]
    fn a_size_has_a_unit_or_is_bytes() {
        for (text, expected) in [
            ("1", 1),
            ("65536", 65536),
            ("10B", 10),
            ("64KiB", 65536),
            ("64kB", 64000),
            ("64KB", 64000),
            ("1MiB", 1 << 20),
            ("1MB", 1_000_000),
            ("1GiB", 1 << 30),
            ("1GB", 1_000_000_000),
            ("9223372036854775807", i64::MAX as u64),
        ] {
            assert_eq!(size(text), Ok(expected), "{text}");
        }
        for text in ["", "-1", "1.5MiB", "1 MiB", "1M", "1mib", "1TiB", "off"] {
            assert!(
                size(text).is_err_and(|why| why.starts_with("write a number of bytes")),
                "{text}"
            );
        }
        for text in [
            "0",
            "0KiB",
            "9223372036854775808",
            "9999999999GiB",
            "99999999999999999999",
        ] {
            assert_eq!(
                size(text),
                Err("the range is 1 to 9223372036854775807 bytes".to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn a_count_is_at_least_one() {
        assert_eq!(count("1"), Ok(Some(1)));
        assert_eq!(count("100000"), Ok(Some(100_000)));
        assert_eq!(count("off"), Ok(None));
        for text in [
            "0",
            "-1",
            "+1",
            "",
            "1k",
            "1.0",
            "4294967296",
            "99999999999999999999",
        ] {
            assert_eq!(
                count(text),
                Err("write a number from 1 to 4294967295, or off".to_owned())
            );
        }
    }

    #[test]
    fn a_mode_is_three_or_four_octal_digits() {
        assert_eq!(mode("0660"), Ok(0o660));
        assert_eq!(mode("660"), Ok(0o660));
        assert_eq!(mode("0000"), Ok(0));
        assert_eq!(mode("0777"), Ok(0o777));
        for text in ["", "66", "0o660", "00660", "0668", "1777", "+660", "rw-"] {
            assert!(mode(text).is_err(), "{text}");
        }
    }
}
