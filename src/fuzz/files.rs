//! Files that a user writes.

use crate::config;

/// A configuration file: it is settings, or mistakes that each have a line of
/// the file and one line of words.
pub(super) fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Err(mistakes) = config::parse(text, "adit.toml") else {
        return;
    };
    assert!(!mistakes.0.is_empty());
    let lines = text.split('\n').count();
    for mistake in mistakes.0 {
        let line = mistake.line.unwrap_or(1);
        assert!((1..=lines).contains(&line), "{mistake} of {lines} lines");
        let told = mistake.to_string();
        assert!(!told.contains(char::is_control), "{told:?}");
    }
}
