//! Tokens, and the files that say which are good.

use super::Choices;
use crate::address::Backend;
use crate::tunnel::access::Secret;
use crate::tunnel::auth::htpasswd::Htpasswd;
use crate::tunnel::auth::json::{self, Value};
use crate::tunnel::auth::jwt::{self, Key};
use crate::tunnel::auth::token_file::TokenFile;
use crate::tunnel::auth::token_map::TokenMap;
use crate::tunnel::auth::{Grant, Offered, time};
use crate::wire::Lack;
use crate::wire::http::Request;

const KEY: &[u8] = b"a key of at least thirty-two bytes";
const NOW: u64 = 1_000_000;

/// A text that is one of several things.
pub(super) fn tokens(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let kind = choices.byte() % 8;
    let Ok(text) = std::str::from_utf8(choices.0) else {
        return;
    };
    match kind {
        0 => object(text),
        1 => foreign(text),
        2 => own(text),
        3 => mistakes(TokenFile::parse(text).map(drop), text),
        4 => mistakes(Htpasswd::parse(text).map(drop), text),
        5 => mistakes(TokenMap::default().add(text), text),
        6 => drop(time::parse(text)),
        _ => offered(text),
    }
}

/// A JSON object: what was read can be written and read again.
fn object(text: &str) {
    let Some(members) = json::parse(text) else {
        return;
    };
    let named: Vec<_> = members
        .iter()
        .map(|(name, value)| (&**name, value.clone()))
        .collect();
    let again = json::parse(&json::write(&named));
    assert_eq!(again.as_ref(), Some(&members), "{text}");
    for (_, value) in members {
        assert!(!matches!(value, Value::Number(number) if !number.is_finite()));
    }
}

/// A token that nobody signed lets nobody in.
fn foreign(text: &str) {
    let key = Key::new(KEY).expect("long enough");
    assert_eq!(jwt::verify(&key, text, NOW), Err(Lack::WrongToken));
}

/// A token that was signed says what it was signed for until it expires, and
/// nothing once it was changed.
fn own(text: &str) {
    let key = Key::new(KEY).expect("long enough");
    let mut lines = text.lines().map(str::to_owned);
    let grant = Grant {
        subject: lines.next(),
        origin: lines.next(),
        backend: lines.next().and_then(|line| line.parse::<Backend>().ok()),
    };
    let token = jwt::sign(&key, &grant, NOW);
    let token = token.reveal();
    assert_eq!(jwt::verify(&key, token, NOW - 1), Ok(grant));
    assert_eq!(jwt::verify(&key, token, NOW), Err(Lack::ExpiredToken));
    let at = text.len() % token.len();
    let other = if token.as_bytes()[at] == b'A' {
        "B"
    } else {
        "A"
    };
    let changed = [&token[..at], other, &token[at + 1..]].concat();
    assert_eq!(jwt::verify(&key, &changed, NOW - 1), Err(Lack::WrongToken));
}

/// A request that brings something.
fn offered(text: &str) {
    let Ok(Some(request)) = Request::parse(text.as_bytes()) else {
        return;
    };
    for takes_tokens in [false, true] {
        if let Ok(offered) = Offered::read(&request, takes_tokens, Some("token")) {
            let token = offered.token.as_ref().map(Secret::reveal);
            assert!(token.is_none_or(|token| takes_tokens && !token.is_empty()));
        }
    }
}

/// What is wrong with a file is told with lines that it has.
fn mistakes(read: Result<(), Vec<(usize, String)>>, text: &str) {
    let Err(mistakes) = read else {
        return;
    };
    assert!(!mistakes.is_empty());
    let lines = text.split('\n').count();
    for (line, told) in mistakes {
        assert!(
            (1..=lines).contains(&line),
            "line {line} of {lines}: {told}"
        );
        assert!(!told.contains(char::is_control), "{told:?}");
    }
}
