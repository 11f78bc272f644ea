//! How a line looks: what stands in front of it for whoever takes it, and the
//! message as text or JSON. Time is a parameter.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use log::Level;

use super::Format;

/// The facility of daemons, RFC 5424 section 6.2.1.
const DAEMON: u8 = 3;

/// What stands in front of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// Nothing.
    Nothing,
    /// `<6>`, which the journal takes off again (sd-daemon(3)).
    Priority,
    /// That of RFC 5424 section 6.2, for this host and process.
    Syslog {
        /// The host's name; `-` where it has none.
        host: String,
        /// The process.
        pid: u32,
    },
}

impl Head {
    /// That of RFC 5424 here and for this process.
    pub fn syslog() -> Self {
        let uname = rustix::system::uname();
        let host = uname.nodename().to_string_lossy();
        // Section 6: printable ASCII, at most 255 of it.
        let is_printable = host.bytes().all(|byte| byte.is_ascii_graphic());
        Head::Syslog {
            host: match (1..=255).contains(&host.len()) && is_printable {
                true => host.into_owned(),
                false => "-".to_owned(),
            },
            pid: std::process::id(),
        }
    }
}

/// How all lines of a log look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// How the message is written.
    pub format: Format,
    /// What stands in front of it.
    pub head: Head,
}

impl Look {
    /// The lines of a message, each with its end. In text a message of several
    /// lines has a head for each, since to the log they are several.
    pub fn lines(&self, level: Level, message: &str, now: SystemTime) -> Vec<String> {
        let time = rfc3339(now);
        let head = match &self.head {
            Head::Nothing => String::new(),
            Head::Priority => format!("<{}>", severity(level)),
            Head::Syslog { host, pid } => {
                let priority = DAEMON * 8 + severity(level);
                format!("<{priority}>1 {time} {host} adit {pid} - - ")
            }
        };
        match self.format {
            Format::Json => {
                let message = quoted(message);
                let level = name(level);
                let object =
                    format!("{{\"time\":\"{time}\",\"level\":\"{level}\",\"message\":{message}}}");
                vec![format!("{head}{object}\n")]
            }
            // Whoever takes a head notes the time as well.
            Format::Text => {
                let time = match self.head {
                    Head::Nothing => format!("{time} "),
                    _ => String::new(),
                };
                let line = |text| format!("{head}{time}{level:5} {text}\n");
                message.lines().map(line).collect()
            }
        }
    }
}

/// RFC 5424 section 6.2.1, as sd-daemon(3) has it too.
fn severity(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// `error`, `warn`, `info`, `debug` or `trace`.
pub fn name(level: Level) -> String {
    level.as_str().to_ascii_lowercase()
}

/// A JSON string, RFC 8259 section 7.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c < ' ' => {
                // Writing to a String does not fail.
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// `2026-11-22T06:26:36.042Z`.
fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, milliseconds) = (since.as_secs(), since.subsec_millis());
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}

/// The date so many days after 1970-01-01. Years begin in March here, so that
/// the leap day is the last.
fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_OF_400_YEARS: u64 = 146_097;
    // From 0000-03-01 to 1970-01-01.
    let days = days + 719_468;
    let (era, day) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (year * 365 + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    match month {
        0..10 => (era * 400 + year, month + 3, day),
        _ => (era * 400 + year + 1, month - 9, day),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64, milliseconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(seconds * 1000 + milliseconds)
    }

    fn lines(format: Format, head: &Head, level: Level, message: &str) -> Vec<String> {
        let head = head.clone();
        Look { format, head }.lines(level, message, at(1_795_328_796, 42))
    }

    #[test]
    fn a_line_has_what_its_taker_does_not_note() {
        let syslog = Head::Syslog {
            host: "gate".into(),
            pid: 17,
        };
        let text = |head, level| lines(Format::Text, head, level, "a \"b\"").concat();
        let json = |head, level| lines(Format::Json, head, level, "a \"b\"").concat();
        let object = |level| {
            format!(
                "{{\"time\":\"2026-11-22T06:26:36.042Z\",\"level\":\"{level}\",\
                 \"message\":\"a \\\"b\\\"\"}}\n"
            )
        };
        assert_eq!(
            text(&Head::Nothing, Level::Info),
            "2026-11-22T06:26:36.042Z INFO  a \"b\"\n"
        );
        assert_eq!(text(&Head::Priority, Level::Warn), "<4>WARN  a \"b\"\n");
        assert_eq!(
            text(&syslog, Level::Error),
            "<27>1 2026-11-22T06:26:36.042Z gate adit 17 - - ERROR a \"b\"\n"
        );
        assert_eq!(json(&Head::Nothing, Level::Info), object("info"));
        let behind = |head: &str, level| format!("{head}{}", object(level));
        assert_eq!(json(&Head::Priority, Level::Debug), behind("<7>", "debug"));
        assert_eq!(
            json(&syslog, Level::Trace),
            behind("<31>1 2026-11-22T06:26:36.042Z gate adit 17 - - ", "trace")
        );
    }

    #[test]
    fn a_message_of_two_lines_is_two_lines_in_text_and_one_in_json() {
        let message = "bad:\nf:1: no";
        assert_eq!(
            lines(Format::Text, &Head::Priority, Level::Error, message),
            ["<3>ERROR bad:\n", "<3>ERROR f:1: no\n"]
        );
        let json = lines(Format::Json, &Head::Priority, Level::Error, message);
        assert_eq!(json.len(), 1);
        assert!(
            json[0].ends_with("\"message\":\"bad:\\nf:1: no\"}\n"),
            "{json:?}"
        );
    }

    #[test]
    fn whatever_json_forbids_is_escaped() {
        for (text, expected) in [
            ("", r#""""#),
            ("aé\u{2028}😀/", "\"aé\u{2028}😀/\""),
            ("\"\\\r\n\t", r#""\"\\\r\n\t""#),
            (
                "\0\u{1b}[0m\u{1f}\u{7f}",
                "\"\\u0000\\u001b[0m\\u001f\u{7f}\"",
            ),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }

    #[test]
    fn a_time_is_written_as_rfc_3339_has_it() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (68_169_599, "1972-02-28T23:59:59.000Z"),
            (68_169_600, "1972-02-29T00:00:00.000Z"),
            (951_825_600, "2000-02-29T12:00:00.000Z"),
            (1_795_328_796, "2026-11-22T06:26:36.000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799, "9999-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(rfc3339(at(seconds, 0)), expected);
        }
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(rfc3339(before), "1970-01-01T00:00:00.000Z");
    }
}
