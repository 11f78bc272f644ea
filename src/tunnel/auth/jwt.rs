//! Signed tokens that expire: JWT (RFC 7519) with HS256 (RFC 7518 section
//! 3.2), and nothing else of that family.
//!
//! The header may say `HS256` and perhaps `JWT`; whatever else it says is for
//! a reader who would trust it. `exp` has to be there. Of the other claims
//! `nbf`, `sub` and adit's own `backend` and `origin` count, and one of these
//! that is not of its kind is a mistake. A token that is meant for somebody
//! (`aud`) is not meant for adit (section 4.1.3). The rest is left alone.

use super::json::{self, Value};
use super::{Grant, Secret};
use crate::address::Backend;
use crate::wire::Lack;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use ring::hmac;

/// The least that RFC 7518 section 3.2 allows for the key of HS256.
const MIN_KEY: usize = 32;

/// What signs tokens and checks them.
#[derive(Clone, Debug)]
pub struct Key(hmac::Key);

impl Key {
    /// The key of a file that holds this. A file of text, as from `openssl
    /// rand -hex 32`, ends with a line end that is not part of the key; any
    /// other file is the key to its last byte.
    ///
    /// # Errors
    /// That it is too short.
    pub fn new(file: &[u8]) -> Result<Self, String> {
        let line = file.strip_suffix(b"\n").unwrap_or(file);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let key = match line.iter().all(|byte| (b' '..=b'~').contains(byte)) {
            true => line,
            false => file,
        };
        match key.len() {
            MIN_KEY.. => Ok(Key(hmac::Key::new(hmac::HMAC_SHA256, key))),
            len => Err(format!(
                "a key of {len} bytes; at least {MIN_KEY} are needed, as from openssl rand -hex 32"
            )),
        }
    }
}

/// A token that is good until `expires`, in Unix seconds.
pub fn sign(key: &Key, grant: &Grant, expires: u64) -> Secret {
    let header = json::write(&[("alg", text("HS256")), ("typ", text("JWT"))]);
    let mut claims = vec![("exp", Value::Number(expires as f64))];
    let backend = grant.backend.as_ref().map(ToString::to_string);
    for (name, value) in [
        ("sub", &grant.subject),
        ("backend", &backend),
        ("origin", &grant.origin),
    ] {
        claims.extend(value.as_deref().map(|value| (name, text(value))));
    }
    let claims = json::write(&claims);
    let signed = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(claims));
    let tag = BASE64URL.encode(hmac::sign(&key.0, signed.as_bytes()));
    Secret::new(format!("{signed}.{tag}"))
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

/// What a token says, at a time in Unix seconds.
///
/// # Errors
/// That it is no token of this key's, or not any more.
pub fn verify(key: &Key, token: &str, now: u64) -> Result<Grant, Lack> {
    let claims = signed_claims(key, token).ok_or(Lack::WrongToken)?;
    // A NumericDate may have a fraction (section 2).
    let now = now as f64;
    let mut expires = None;
    let mut grant = Grant::default();
    for (name, value) in claims {
        match (name.as_str(), value) {
            ("exp", Value::Number(at)) => expires = Some(at),
            ("nbf", Value::Number(from)) if from <= now => {}
            ("sub", Value::Text(name)) => grant.subject = Some(name),
            ("backend", Value::Text(address)) => {
                grant.backend = Some(address.parse::<Backend>().map_err(|_| Lack::WrongToken)?);
            }
            ("origin", Value::Text(origin)) => grant.origin = Some(origin),
            ("exp" | "nbf" | "sub" | "backend" | "origin" | "aud", _) => {
                return Err(Lack::WrongToken);
            }
            _ => {}
        }
    }
    match expires {
        Some(at) if now < at => Ok(grant),
        Some(_) => Err(Lack::ExpiredToken),
        None => Err(Lack::WrongToken),
    }
}

/// The claims of a token whose header and signature are right.
fn signed_claims(key: &Key, token: &str) -> Option<json::Members> {
    let (signed, tag) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let header = object(header)?;
    let is_known = |(name, value): &(String, Value)| match (name.as_str(), value) {
        ("alg", Value::Text(name)) => name == "HS256",
        ("typ", Value::Text(name)) => name.eq_ignore_ascii_case("JWT"),
        _ => false,
    };
    if !header.iter().all(is_known) || !header.iter().any(|(name, _)| name == "alg") {
        return None;
    }
    let tag = BASE64URL.decode(tag).ok()?;
    // Compares in constant time.
    hmac::verify(&key.0, signed.as_bytes(), &tag).ok()?;
    object(claims)
}

fn object(part: &str) -> Option<json::Members> {
    json::parse(std::str::from_utf8(&BASE64URL.decode(part).ok()?).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    fn key() -> Key {
        Key::new(&[7; 32]).unwrap()
    }

    /// A token of this header and these claims, rightly signed.
    fn signed(header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(claims));
        let tag = BASE64URL.encode(hmac::sign(&key().0, signed.as_bytes()));
        format!("{signed}.{tag}")
    }

    fn claims(claims: &str) -> Result<Grant, Lack> {
        verify(&key(), &signed(r#"{"alg":"HS256"}"#, claims), NOW)
    }

    #[test]
    fn what_is_signed_is_read_until_it_expires() {
        let grant = Grant {
            subject: Some("alice \"a\"".into()),
            backend: Some("127.0.0.1:1".parse().unwrap()),
            origin: Some("https://app.example".into()),
        };
        for grant in [grant, Grant::default()] {
            let token = sign(&key(), &grant, NOW + 1);
            assert_eq!(verify(&key(), token.reveal(), NOW), Ok(grant));
            assert_eq!(
                verify(&key(), token.reveal(), NOW + 1),
                Err(Lack::ExpiredToken)
            );
        }
    }

    /// RFC 7515 appendix A.1: its key, its token, its expiry.
    #[test]
    fn the_rfcs_example_is_good_until_it_expires() {
        let jwk = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let key = Key::new(&BASE64URL.decode(jwk).unwrap()).unwrap();
        let signed = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let token = format!("{signed}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        let last = 1_300_819_379;
        assert_eq!(verify(&key, &token, last), Ok(Grant::default()));
        let late = verify(&key, &token, last + 1);
        assert_eq!(late, Err(Lack::ExpiredToken));
    }

    #[test]
    fn a_header_that_is_not_exactly_hs256_is_refused() {
        let claims = r#"{"exp":2000000}"#;
        for (header, expected) in [
            (r#"{"alg":"HS256"}"#, true),
            (r#"{"typ":"jwt","alg":"HS256"}"#, true),
            (r#"{"alg":"none"}"#, false),
            (r#"{"alg":"None"}"#, false),
            (r#"{"alg":"hs256"}"#, false),
            (r#"{"alg":"HS512"}"#, false),
            (r#"{"alg":"RS256"}"#, false),
            (r#"{"typ":"JWT"}"#, false),
            (r#"{}"#, false),
            (r#"{"alg":"HS256","alg":"none"}"#, false),
            (r#"{"alg":"HS256","kid":"1"}"#, false),
            (r#"{"alg":"HS256","crit":"b64"}"#, false),
            ("nonsense", false),
        ] {
            let token = signed(header, claims);
            assert_eq!(verify(&key(), &token, NOW).is_ok(), expected, "{header}");
        }
        let header = BASE64URL.encode(r#"{"alg":"none"}"#);
        let unsigned = format!("{header}.{}.", BASE64URL.encode(claims));
        assert_eq!(verify(&key(), &unsigned, NOW), Err(Lack::WrongToken));
    }

    #[test]
    fn a_token_that_was_altered_anywhere_is_refused() {
        let grant = Grant {
            subject: Some("alice".into()),
            ..Grant::default()
        };
        let token = sign(&key(), &grant, NOW + 60);
        let token = token.reveal();
        for at in 0..token.len() {
            for other in ["A", "B", ".", "=", ""] {
                let altered = format!("{}{other}{}", &token[..at], &token[at + 1..]);
                if altered != token {
                    assert_eq!(verify(&key(), &altered, NOW), Err(Lack::WrongToken), "{at}");
                }
            }
        }
        let foreign = Key::new(&[8; 32]).unwrap();
        assert_eq!(verify(&foreign, token, NOW), Err(Lack::WrongToken));
        for token in ["", ".", "..", "...", "a.b.c", "a.b", &format!("{token}.x")] {
            assert_eq!(verify(&key(), token, NOW), Err(Lack::WrongToken), "{token}");
        }
    }

    #[test]
    fn claims_that_count_are_of_the_right_kind() {
        for (text, expected) in [
            (r#"{"exp":1000001}"#, Ok(())),
            (r#"{"exp":1000001,"nbf":1000000,"iss":"x","iat":7}"#, Ok(())),
            (r#"{"exp":1000000}"#, Err(Lack::ExpiredToken)),
            (r#"{"exp":-1}"#, Err(Lack::ExpiredToken)),
            (r#"{}"#, Err(Lack::WrongToken)),
            (r#"{"exp":"1000001"}"#, Err(Lack::WrongToken)),
            (r#"{"exp":1000000.5,"nbf":999999.5}"#, Ok(())),
            (r#"{"exp":999999.5}"#, Err(Lack::ExpiredToken)),
            (r#"{"exp":1000001,"nbf":1000000.5}"#, Err(Lack::WrongToken)),
            (
                r#"{"exp":1e7,"admin":true,"roles":["a",{"b":[null]}],"x":{},"y":null,"z":1.5}"#,
                Ok(()),
            ),
            (r#"{"exp":1e999}"#, Err(Lack::WrongToken)),
            (r#"{"exp":null}"#, Err(Lack::WrongToken)),
            (r#"{"exp":[1000001]}"#, Err(Lack::WrongToken)),
            (r#"{"exp":1000001,"nbf":false}"#, Err(Lack::WrongToken)),
            (r#"{"exp":1000001,"sub":null}"#, Err(Lack::WrongToken)),
            (r#"{"exp":1000001,"sub":["a"]}"#, Err(Lack::WrongToken)),
            (r#"{"exp":1000001,"backend":{}}"#, Err(Lack::WrongToken)),
            (r#"{"exp":1000001,"origin":null}"#, Err(Lack::WrongToken)),
            (r#"{"exp":1000001,"aud":["other"]}"#, Err(Lack::WrongToken)),
            (r#"{"exp":1000001,"aud":null}"#, Err(Lack::WrongToken)),
            (r#"{"exp":1000001,"x":}"#, Err(Lack::WrongToken)),
            (r#"{"exp":1000001,"nbf":1000001}"#, Err(Lack::WrongToken)),
            (r#"{"exp":1000001,"sub":1}"#, Err(Lack::WrongToken)),
            (r#"{"exp":1000001,"backend":"x"}"#, Err(Lack::WrongToken)),
            (r#"{"exp":1000001,"origin":1}"#, Err(Lack::WrongToken)),
            (r#"{"exp":1000001,"aud":"other"}"#, Err(Lack::WrongToken)),
        ] {
            assert_eq!(claims(text).map(drop), expected, "{text}");
        }
    }

    #[test]
    fn a_key_has_32_bytes_without_its_line_end() {
        let hex = "0123456789abcdef0123456789abcdef";
        let token = sign(&Key::new(hex.as_bytes()).unwrap(), &Grant::default(), 9);
        for end in ["\n", "\r\n"] {
            let key = Key::new(format!("{hex}{end}").as_bytes()).unwrap();
            assert_eq!(verify(&key, token.reveal(), 0), Ok(Grant::default()));
        }
        let mut binary = [0x80; 32];
        binary[31] = b'\n';
        assert!(Key::new(&binary).is_ok(), "its last byte is no line end");
        for short in [&b""[..], b"\n", &hex.as_bytes()[..31]] {
            let error = Key::new(short).unwrap_err();
            assert!(error.ends_with("bytes; at least 32 are needed, as from openssl rand -hex 32"));
        }
        assert!(!format!("{:?}", Key::new(hex.as_bytes())).contains(hex));
    }
}
