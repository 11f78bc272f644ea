//! The words of the configuration file and of the command line.
//!
//! Each stands here once, with its name, what it sets and what it allows, so
//! the file and the command line cannot differ. A word gets its values as text;
//! what a value's absence means stands with the settings themselves.

use std::str::FromStr;
use std::time::Duration;

use crate::address::{Backend, Listen};
use crate::server::Settings;
use crate::tunnel::policy::{OriginRule, Route};
use crate::wire::framing::Framing;
use crate::wire::ws::{FrameType, InvalidUtf8};

/// A key of the file, and the option of the same name.
pub struct Word<T: 'static> {
    /// The name, without dashes in front.
    pub name: &'static str,
    /// How to empty the list before the first value; `None` where the word
    /// takes one value.
    clear: Option<fn(&mut T)>,
    add: fn(&mut T, &str) -> Result<(), String>,
}

impl<T> Word<T> {
    const fn one(name: &'static str, add: fn(&mut T, &str) -> Result<(), String>) -> Self {
        Word {
            name,
            clear: None,
            add,
        }
    }

    const fn list(
        name: &'static str,
        clear: fn(&mut T),
        add: fn(&mut T, &str) -> Result<(), String>,
    ) -> Self {
        Word {
            name,
            clear: Some(clear),
            add,
        }
    }

    /// Whether the word takes a list.
    pub fn is_list(&self) -> bool {
        self.clear.is_some()
    }

    /// Replaces what `target` has by these values. Returns the index of each
    /// value that is not allowed, with the message.
    pub fn set<S: AsRef<str>>(&self, target: &mut T, values: &[S]) -> Vec<(usize, String)> {
        if let Some(clear) = self.clear {
            clear(target);
        }
        let add = |(index, value): (usize, &S)| {
            let value = value.as_ref();
            let why = (self.add)(target, value).err()?;
            Some((index, format!("{} {value:?}: {why}", self.name)))
        };
        values.iter().enumerate().filter_map(add).collect()
    }
}

/// The word of this name.
pub fn find<T>(words: &'static [Word<T>], name: &str) -> Option<&'static Word<T>> {
    words.iter().find(|word| word.name == name)
}

/// What a route is and where it leads: only in a `[[route]]`.
pub const PLACE: &[Word<Route>] = &[
    Word::list(
        "listener",
        |route| route.listeners.clear(),
        |route, text| push(&mut route.listeners, address::<Listen>(text)),
    ),
    Word::one("host", |route, text| {
        put(
            &mut route.host,
            text.parse().map(Some).map_err(str::to_owned),
        )
    }),
    Word::one("path", |route, text| put(&mut route.path, path(text))),
    Word::list(
        "subprotocol",
        |route| route.subprotocols.clear(),
        |route, text| push(&mut route.subprotocols, token(text)),
    ),
    Word::list(
        "backend",
        |route| route.backends.clear(),
        |route, text| push(&mut route.backends, address::<Backend>(text)),
    ),
];

/// What holds on a route: in a `[[route]]`, or above as the default for all.
pub const RULES: &[Word<Route>] = &[
    Word::one("max-connections-per-backend", |route, text| {
        put(&mut route.max_connections_per_backend, count(text))
    }),
    Word::one("framing", |route, text| {
        let names = Framing::ALL
            .iter()
            .map(|&framing| (framing.name(), framing));
        put(&mut route.framing, choice(text, names))
    }),
    Word::one("frame-type", |route, text| {
        put(&mut route.frame_type, choice(text, FRAME_TYPES))
    }),
    Word::one("invalid-utf8", |route, text| {
        put(&mut route.invalid_utf8, choice(text, INVALID_UTF8))
    }),
    Word::one("max-message", |route, text| {
        put(&mut route.max_message, size(text))
    }),
    Word::list(
        "origin",
        |route| route.origins.0.clear(),
        |route, text| push(&mut route.origins.0, text.parse::<OriginRule>()),
    ),
    Word::one("require-origin", |route, text| {
        let names = [("true", true), ("false", false)];
        put(&mut route.require_origin, choice(text, names))
    }),
    Word::one("ping-interval", |route, text| {
        put(&mut route.timeouts.ping, duration_or_off(text))
    }),
    Word::one("idle-timeout", |route, text| {
        put(&mut route.timeouts.idle, duration_or_off(text))
    }),
    Word::one("connect-timeout", |route, text| {
        put(&mut route.timeouts.connect, duration(text))
    }),
    Word::one("close-timeout", |route, text| {
        put(&mut route.timeouts.close, duration(text))
    }),
];

/// What is about the whole server: only above the tables.
pub const GLOBAL: &[Word<Settings>] = &[
    Word::one("max-connections", |settings, text| {
        put(&mut settings.max_connections, count(text))
    }),
    Word::one("handshake-timeout", |settings, text| {
        put(&mut settings.handshake_timeout, duration(text))
    }),
    Word::one("drain-timeout", |settings, text| {
        put(&mut settings.drain_timeout, duration(text))
    }),
];

/// A listener that may not have its address yet.
#[derive(Clone, Debug, Default)]
pub struct ListenDraft {
    /// The address, once it is known.
    pub address: Option<Listen>,
    /// See [`crate::server::settings::ListenerSettings::mode`].
    pub mode: Option<u32>,
}

/// What a `[[listen]]` says.
pub const LISTEN: &[Word<ListenDraft>] = &[
    Word::one("address", |listen, text| {
        put(&mut listen.address, address(text).map(Some))
    }),
    Word::one("mode", |listen, text| {
        put(&mut listen.mode, mode(text).map(Some))
    }),
];

/// The names of the frame types.
pub const FRAME_TYPES: [(&str, FrameType); 4] = [
    ("text", FrameType::Text),
    ("binary", FrameType::Binary),
    ("mirror", FrameType::Mirror),
    ("auto", FrameType::Auto),
];

/// The names of what can happen to text that is not UTF-8.
pub const INVALID_UTF8: [(&str, InvalidUtf8); 2] = [
    ("close", InvalidUtf8::Close),
    ("replace", InvalidUtf8::Replace),
];

/// The name of a value in such a table.
pub fn name_of<T: Copy + PartialEq>(names: &[(&'static str, T)], value: T) -> &'static str {
    names
        .iter()
        .find_map(|&(name, named)| (named == value).then_some(name))
        .unwrap_or_default()
}

fn put<T>(slot: &mut T, value: Result<T, String>) -> Result<(), String> {
    *slot = value?;
    Ok(())
}

fn push<T: PartialEq>(list: &mut Vec<T>, value: Result<T, String>) -> Result<(), String> {
    let value = value?;
    if list.contains(&value) {
        return Err("stands twice in the list; once is enough".to_owned());
    }
    list.push(value);
    Ok(())
}

fn address<T: FromStr<Err = crate::address::AddressError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.reason())
}

fn choice<T>(text: &str, names: impl IntoIterator<Item = (&'static str, T)>) -> Result<T, String> {
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

fn path(text: &str) -> Result<String, String> {
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

/// RFC 6455 section 4.1: a subprotocol is a token of RFC 9110 section 5.6.2.
fn token(text: &str) -> Result<String, String> {
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

fn count(text: &str) -> Result<Option<usize>, String> {
    if text == "off" {
        return Ok(None);
    }
    match number(text) {
        Some((n @ 1.., "")) if n < u64::from(u32::MAX) => Ok(usize::try_from(n).ok()),
        _ => Err("write a number from 1 to 4294967294, or off".to_owned()),
    }
}

/// The most that RFC 6455 section 5.2 lets a frame announce.
const MAX_SIZE: u64 = i64::MAX as u64;

fn size(text: &str) -> Result<u64, String> {
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
/// it for «at once» and half for «never».
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

fn duration(text: &str) -> Result<Duration, String> {
    match text {
        "off" => Err("it cannot be off; the range is 1ms to 8760h".to_owned()),
        _ => millis(text).map_err(str::to_owned),
    }
}

fn duration_or_off(text: &str) -> Result<Option<Duration>, String> {
    match text {
        "off" => Ok(None),
        _ => millis(text)
            .map(Some)
            .map_err(|why| format!("{why}, or off")),
    }
}

fn mode(text: &str) -> Result<u32, String> {
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

    fn rule(name: &str, values: &[&str]) -> Result<Route, Vec<(usize, String)>> {
        let word = find(RULES, name).or_else(|| find(PLACE, name));
        let mut route = Route::default();
        let errors = word.map(|word| word.set(&mut route, values));
        match errors {
            Some(errors) if errors.is_empty() => Ok(route),
            errors => Err(errors.unwrap_or_default()),
        }
    }

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
            "4294967295",
            "99999999999999999999",
        ] {
            assert_eq!(
                count(text),
                Err("write a number from 1 to 4294967294, or off".to_owned())
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

    #[test]
    fn what_is_not_allowed_is_said_with_what_is() {
        for (name, value, message) in [
            (
                "framing",
                "line",
                "framing \"line\": write raw, lines, crlf, json-lines, json, nul, length-u8, \
                 length-u16, length-u32, length-u32le, content-length or record",
            ),
            (
                "frame-type",
                "Text",
                "frame-type \"Text\": write text, binary, mirror or auto",
            ),
            (
                "invalid-utf8",
                "",
                "invalid-utf8 \"\": write close or replace",
            ),
            (
                "require-origin",
                "yes",
                "require-origin \"yes\": write true or false",
            ),
            (
                "max-message",
                "0",
                "max-message \"0\": the range is 1 to 9223372036854775807 bytes",
            ),
            (
                "idle-timeout",
                "0",
                "idle-timeout \"0\": the range is 1ms to 8760h, or off",
            ),
            (
                "connect-timeout",
                "off",
                "connect-timeout \"off\": it cannot be off; the range is 1ms to 8760h",
            ),
            (
                "path",
                "chat",
                "path \"chat\": write a path that begins with /",
            ),
            (
                "path",
                "/a?b",
                "path \"/a?b\": write the path alone, without ? or #",
            ),
            (
                "path",
                "/ä b",
                "path \"/ä b\": write it percent-encoded, as it comes in a request",
            ),
            (
                "host",
                "example.org:80",
                "host \"example.org:80\": the port has no place here; write the host alone",
            ),
            (
                "host",
                "https://example.org",
                "host \"https://example.org\": write a host like example.org, *.example.org, \
                 192.0.2.1 or [::1]",
            ),
            (
                "subprotocol",
                "a, b",
                "subprotocol \"a, b\": write one name of letters, digits and !#$%&'*+-.^_`|~",
            ),
            (
                "backend",
                "5900",
                "backend \"5900\": no host; write HOST:PORT, tcp:HOST:PORT, unix:/path or \
                 unix:@name",
            ),
            (
                "listener",
                "x",
                "listener \"x\": no port; write PORT, HOST:PORT, [IPV6]:PORT or unix:/path",
            ),
        ] {
            assert_eq!(rule(name, &[value]), Err(vec![(0, message.to_owned())]));
        }
    }

    #[test]
    fn every_bad_value_of_a_list_is_found() {
        let result = rule("subprotocol", &["a", "", "b", "a", "c d"]);
        let indexes = result.map_err(|errors| errors.iter().map(|error| error.0).collect());
        assert_eq!(indexes, Err(vec![1, 3, 4]));
    }

    #[test]
    fn a_list_replaces_the_list_before() {
        let mut route = Route::default();
        let word = &PLACE[3];
        assert_eq!(word.set(&mut route, &["a", "b"]), []);
        assert_eq!(word.set(&mut route, &["c"]), []);
        assert_eq!(route.subprotocols, ["c"]);
        assert_eq!(word.set::<&str>(&mut route, &[]), []);
        assert!(route.subprotocols.is_empty());
    }

    #[test]
    fn each_name_leads_to_its_value_and_back() {
        for (name, value) in FRAME_TYPES {
            assert_eq!(name_of(&FRAME_TYPES, value), name);
            assert_eq!(rule("frame-type", &[name]).map(|r| r.frame_type), Ok(value));
        }
        for (name, value) in INVALID_UTF8 {
            assert_eq!(name_of(&INVALID_UTF8, value), name);
            assert_eq!(
                rule("invalid-utf8", &[name]).map(|r| r.invalid_utf8),
                Ok(value)
            );
        }
        for &framing in Framing::ALL.iter() {
            assert_eq!(
                rule("framing", &[framing.name()]).map(|r| r.framing),
                Ok(framing)
            );
        }
    }
}
