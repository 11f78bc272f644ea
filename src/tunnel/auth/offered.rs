//! What a request brings along: a token in one of four places, or a user's
//! name and password.
//!
//! A browser's WebSocket can set no header, so beside `Authorization: Bearer`
//! (RFC 6750 section 2.1) a token may come in a cookie, in the query parameter
//! `token`, or as an offered subprotocol `bearer.TOKEN`. Where tokens are taken,
//! the last is no subprotocol to anybody else: it is never chosen and never
//! echoed.

use super::Secret;
use crate::tunnel::access::BEARER;
use crate::wire::Refusal;
use crate::wire::http::Request;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// What a request brings along.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offered {
    /// The one token.
    pub token: Option<Secret>,
    /// The user and password.
    pub basic: Option<Basic>,
}

/// `Authorization: Basic` (RFC 7617).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basic {
    /// The user's name, which is no secret.
    pub user: String,
    /// The password.
    pub password: Secret,
}

impl Offered {
    /// A request with this token, wherever it stands.
    pub fn token(token: Option<&str>) -> Self {
        Offered {
            token: token.map(Secret::new),
            basic: None,
        }
    }

    /// What a request brings: where tokens are taken, one also in the cookie of
    /// this name.
    ///
    /// # Errors
    /// That it brings two different tokens, or something that cannot be read.
    pub fn read(
        request: &Request<'_>,
        takes_tokens: bool,
        cookie: Option<&str>,
    ) -> Result<Self, Refusal> {
        let authorization = request.single("Authorization");
        if authorization.is_none() && request.has("Authorization") {
            return Err(Refusal::BadRequest(
                "at most one Authorization header is allowed",
            ));
        }
        let (scheme, credentials) = authorization
            .and_then(|value| value.split_once(' '))
            .map(|(scheme, credentials)| (scheme, credentials.trim()))
            .unwrap_or_default();
        let mut tokens: Vec<String> = Vec::new();
        let mut basic = None;
        if scheme.eq_ignore_ascii_case("Bearer") {
            tokens.push(credentials.to_owned());
        } else if scheme.eq_ignore_ascii_case("Basic") {
            basic = Some(read_basic(credentials)?);
        }
        if !takes_tokens {
            return Ok(Offered { token: None, basic });
        }
        if let Some(name) = cookie {
            tokens.extend(cookies(request, name).map(str::to_owned));
        }
        for pair in request.query.split('&') {
            if let Some(("token", value)) = pair.split_once('=') {
                tokens.push(decoded(value)?);
            }
        }
        let subprotocols = request.elements("Sec-WebSocket-Protocol");
        tokens.extend(
            subprotocols
                .filter_map(|s| s.strip_prefix(BEARER))
                .map(str::to_owned),
        );
        tokens.retain(|token| !token.is_empty());
        tokens.dedup();
        match &tokens[..] {
            [] => Ok(Offered { token: None, basic }),
            [token] => Ok(Offered {
                token: Some(Secret::new(token)),
                basic,
            }),
            _ => Err(Refusal::BadRequest(
                "more than one token came, and they differ",
            )),
        }
    }
}

fn read_basic(credentials: &str) -> Result<Basic, Refusal> {
    let decoded = BASE64_STANDARD.decode(credentials).ok();
    let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    match text.as_deref().and_then(|text| text.split_once(':')) {
        Some((user, password)) => Ok(Basic {
            user: user.to_owned(),
            password: Secret::new(password),
        }),
        None => Err(Refusal::BadRequest(
            "Authorization: Basic must be followed by USER:PASSWORD in base64",
        )),
    }
}

/// The values of the cookies of this name (RFC 6265 section 4.2.1).
fn cookies<'a>(request: &Request<'a>, name: &str) -> impl Iterator<Item = &'a str> {
    let pairs = request.values("Cookie").flat_map(|value| value.split(';'));
    pairs.filter_map(move |pair| {
        let (of, value) = pair.trim_matches([' ', '\t']).split_once('=')?;
        let unquoted = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
        (of == name).then_some(unquoted.unwrap_or(value))
    })
}

/// A value of the query without its percent-encoding. `+` stays: no token has
/// a space, and many have a plus.
fn decoded(value: &str) -> Result<String, Refusal> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let encoded = (first == b'%').then(|| after.first_chunk::<2>()).flatten();
        let hex = encoded.and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex
            .filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).map_err(|_| Refusal::BadRequest("the token must be text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a request with this target and these headers brings.
    fn offered(target: &str, headers: &str) -> Result<Offered, Refusal> {
        let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
        let request = Request::parse(head.as_bytes()).unwrap().unwrap();
        Offered::read(&request, true, Some("adit"))
    }

    #[test]
    fn a_token_is_found_in_each_of_its_four_places() {
        for (target, headers) in [
            ("/", "Authorization: Bearer T0k~n\r\n"),
            ("/", "authorization:  bearer   T0k~n \r\n"),
            ("/", "Cookie: adit=T0k~n\r\n"),
            ("/", "Cookie: a=b; adit=T0k~n; c=d\r\n"),
            ("/", "Cookie: a=b\r\nCookie: adit=\"T0k~n\"\r\n"),
            ("/?token=T0k~n", ""),
            ("/?a=b&token=T0k~n&c=d", ""),
            ("/x?token=%54%30k%7en", ""),
            ("http://h/x?token=T0k~n", ""),
            ("/", "Sec-WebSocket-Protocol: bearer.T0k~n\r\n"),
            ("/", "Sec-WebSocket-Protocol: mqtt, bearer.T0k~n\r\n"),
            (
                "/?token=T0k~n&token=",
                "Authorization: Bearer T0k~n\r\nCookie: adit=T0k~n\r\n\
                 Sec-WebSocket-Protocol: bearer.T0k~n\r\n",
            ),
        ] {
            let offered = offered(target, headers).unwrap();
            let token = offered.token.as_ref().map(Secret::reveal);
            assert_eq!(token, Some("T0k~n"), "{target} {headers}");
        }
    }

    #[test]
    fn what_only_looks_like_a_token_is_none() {
        for (target, headers) in [
            ("/token=T", ""),
            ("/?tokens=T", ""),
            ("/?Token=T", ""),
            ("/?token", ""),
            ("/?token=", ""),
            ("/?a=token=T", ""),
            ("/#?token=T", ""),
            ("/", "Cookie: xadit=T; adit\r\n"),
            ("/", "Cookie: ADIT=T\r\n"),
            ("/", "Authorization: T\r\n"),
            ("/", "Authorization: Bearer\r\n"),
            ("/", "Authorization: Digest T\r\n"),
            ("/", "Sec-WebSocket-Protocol: bearer, Bearer.T, bearer.\r\n"),
        ] {
            let offered = offered(target, headers);
            assert_eq!(offered, Ok(Offered::default()), "{target} {headers}");
        }
    }

    #[test]
    fn different_tokens_and_unreadable_ones_are_refused() {
        for (target, headers) in [
            ("/?token=a&token=b", ""),
            ("/?token=a", "Authorization: Bearer b\r\n"),
            (
                "/?token=a",
                "Cookie: adit=a\r\nSec-WebSocket-Protocol: bearer.A\r\n",
            ),
            ("/", "Cookie: adit=a; adit=b\r\n"),
            (
                "/",
                "Authorization: Bearer a\r\nAuthorization: Bearer a\r\n",
            ),
            ("/?token=%ff", ""),
            ("/", "Authorization: Basic !\r\n"),
            ("/", "Authorization: Basic YWxpY2U=\r\n"),
            ("/", "Authorization: Basic\r\n"),
        ] {
            let refusal = offered(target, headers);
            if headers == "Authorization: Basic\r\n" {
                assert_eq!(refusal, Ok(Offered::default()), "no credentials at all");
            } else {
                assert_eq!(refusal.unwrap_err().status(), 400, "{target} {headers}");
            }
        }
    }

    #[test]
    fn a_users_password_may_have_colons() {
        // `alice:wonder:land` in base64.
        let offered = offered("/", "Authorization: basic YWxpY2U6d29uZGVyOmxhbmQ=\r\n").unwrap();
        let basic = offered.basic.clone().unwrap();
        assert_eq!(
            (basic.user.as_str(), basic.password.reveal()),
            ("alice", "wonder:land")
        );
        assert!(!format!("{offered:?}").contains("wonder"));
    }

    #[test]
    fn percent_encoding_is_undone_and_what_is_none_stays() {
        for (value, expected) in [
            ("a%2Bb+c%2fd", "a+b+c/d"),
            ("%", "%"),
            ("%4", "%4"),
            ("%zz%41", "%zzA"),
            ("%+1", "%+1"),
            ("%c3%a9", "é"),
        ] {
            assert_eq!(decoded(value).unwrap(), expected);
        }
    }
}
