//! SOCKS 5: a proxy is asked to let a connection through (RFC 1928), with a
//! user and password if it wants them (RFC 1929). Names are left to the proxy
//! to look up.

use super::dialogue::{Next, Unwelcome};
use super::http::first_line;
use std::net::IpAddr;

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const PASSWORD: u8 = 2;
const CONNECT: u8 = 1;

/// A request to a SOCKS 5 proxy.
#[derive(Clone, Debug)]
pub struct Socks {
    host: String,
    port: u16,
    credentials: Option<(String, String)>,
    stage: Stage,
}

/// What is waited for.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The method that the proxy chooses.
    Method,
    /// Whether it takes the password.
    Verdict,
    /// Whether there is a connection.
    Reply,
}

impl Socks {
    /// Asks for a connection to `host`, an IPv6 address without brackets; a
    /// user or password of more than 255 bytes cannot be said.
    pub fn new(host: &str, port: u16, credentials: Option<(String, String)>) -> Self {
        Socks {
            host: host.to_owned(),
            port,
            credentials,
            stage: Stage::Method,
        }
    }

    /// What is said first: the methods.
    pub fn request(&self) -> Vec<u8> {
        match self.credentials {
            None => vec![VERSION, 1, NO_AUTHENTICATION],
            Some(_) => vec![VERSION, 2, NO_AUTHENTICATION, PASSWORD],
        }
    }

    /// Hears what came.
    ///
    /// # Errors
    /// What the proxy refuses, or that it is none.
    pub fn hear(&mut self, input: &[u8]) -> Result<Next, Unwelcome> {
        if matches!(self.stage, Stage::Method | Stage::Reply) {
            match input.first() {
                None => return Ok(Next::Listen),
                Some(&VERSION) => {}
                Some(_) => {
                    let line = first_line(input);
                    return refused(&format!("answered {line}, which is not SOCKS 5"));
                }
            }
        }
        match (self.stage, input) {
            (Stage::Method, &[_, NO_AUTHENTICATION, ..]) => Ok(self.say_target()),
            (Stage::Method, &[_, PASSWORD, ..]) => self.say_password(),
            (Stage::Method, &[_, _, ..]) if self.credentials.is_none() => {
                refused("wants a user and password (--proxy-auth-file)")
            }
            (Stage::Method, &[_, _, ..]) => refused("takes no user and password"),
            (Stage::Verdict, &[_, 0, ..]) => Ok(self.say_target()),
            (Stage::Verdict, &[_, _, ..]) => refused("does not take this user and password"),
            (Stage::Reply, &[_, 0, _, kind, first, ..]) => {
                let address = match kind {
                    1 => 4,
                    4 => 16,
                    3 => 1 + usize::from(first),
                    _ => return refused("answered with an address of no known kind"),
                };
                let whole = 4 + address + 2;
                Ok(if input.len() < whole {
                    Next::Listen
                } else {
                    Next::Done(whole)
                })
            }
            (Stage::Reply, &[_, code, ..]) if code != 0 => Err(reply(code)),
            _ => Ok(Next::Listen),
        }
    }

    fn say_password(&mut self) -> Result<Next, Unwelcome> {
        let Some((user, password)) = &self.credentials else {
            return refused("chose a method that was not offered");
        };
        let mut bytes = vec![1];
        for text in [user, password] {
            let Ok(len) = u8::try_from(text.len()) else {
                return refused("cannot be told a user or password of more than 255 bytes");
            };
            bytes.push(len);
            bytes.extend_from_slice(text.as_bytes());
        }
        self.stage = Stage::Verdict;
        Ok(Next::Say(bytes, 2))
    }

    fn say_target(&mut self) -> Next {
        let mut bytes = vec![VERSION, CONNECT, 0];
        match self.host.parse() {
            Ok(IpAddr::V4(ip)) => {
                bytes.push(1);
                bytes.extend_from_slice(&ip.octets());
            }
            Ok(IpAddr::V6(ip)) => {
                bytes.push(4);
                bytes.extend_from_slice(&ip.octets());
            }
            Err(_) => {
                // No name has more than 253 bytes (RFC 1035 section 2.3.4).
                let name = &self.host.as_bytes()[..self.host.len().min(255)];
                bytes.extend([3, name.len() as u8]);
                bytes.extend_from_slice(name);
            }
        }
        bytes.extend_from_slice(&self.port.to_be_bytes());
        self.stage = Stage::Reply;
        Next::Say(bytes, 2)
    }
}

fn refused<T>(text: &str) -> Result<T, Unwelcome> {
    Err(Unwelcome::Refused(text.to_owned()))
}

/// What a reply other than success means (RFC 1928 section 6).
fn reply(code: u8) -> Unwelcome {
    let (text, lasts) = match code {
        1 => ("general failure", false),
        2 => ("not allowed by its rules", true),
        3 => ("network unreachable", false),
        4 => ("host unreachable", false),
        5 => ("connection refused", false),
        6 => ("time to live expired", false),
        7 => ("command not supported", true),
        8 => ("address type not supported", true),
        _ => ("unknown reply", true),
    };
    let text = format!("answered {code}, {text}");
    if lasts {
        Unwelcome::Refused(text)
    } else {
        Unwelcome::NotNow(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::dialogue::{Talk, talk};

    /// A dialogue with a proxy that says these bytes, in two pieces cut at each
    /// place.
    fn with(host: &str, user: Option<(&str, &str)>, bytes: &[u8]) -> Talk {
        let owned = |(user, password): (&str, &str)| (user.to_owned(), password.to_owned());
        let new = || Socks::new(host, 443, user.map(owned));
        let mut socks = new();
        let whole = talk(|input| socks.hear(input), &[bytes]);
        for cut in 0..bytes.len() {
            let mut socks = new();
            let pieces = [&bytes[..cut], &bytes[cut..]];
            let (said, done) = match talk(|input| socks.hear(input), &pieces) {
                Err(e) => {
                    // Nonsense is shown as far as it has come.
                    assert!(whole.is_err(), "{e}");
                    continue;
                }
                Ok(talked) => talked,
            };
            let expected = whole.as_ref().unwrap();
            assert_eq!((&said, done.is_some()), (&expected.0, expected.1.is_some()));
        }
        whole
    }

    #[test]
    fn a_name_is_left_to_the_proxy_and_an_address_is_said_as_one() {
        for (host, address) in [
            ("h.example", &b"\x03\x09h.example"[..]),
            ("192.0.2.1", b"\x01\xc0\0\x02\x01"),
            ("::1", b"\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"),
        ] {
            let target = [b"\x05\x01\0", address, b"\x01\xbb"].concat();
            for bound in [&b"\x01\0\0\0\0\0\0"[..], &[4; 19], b"\x03\x01h\0\x50"] {
                let bytes = [b"\x05\0\x05\0\0", bound].concat();
                let (said, rest) = with(host, None, &bytes).unwrap();
                assert_eq!((said, rest), (vec![target.clone()], Some(Vec::new())));
            }
        }
        assert_eq!(Socks::new("h", 1, None).request(), b"\x05\x01\0");
    }

    #[test]
    fn a_password_is_said_to_a_proxy_that_asks_for_it() {
        let bytes = b"\x05\x02\x01\0\x05\0\0\x01\0\0\0\0\0\0";
        let (said, rest) = with("h", Some(("user", "pw")), bytes).unwrap();
        let target = b"\x05\x01\0\x03\x01h\x01\xbb".to_vec();
        assert_eq!(said, [b"\x01\x04user\x02pw".to_vec(), target.clone()]);
        assert_eq!(rest, Some(Vec::new()));
        let bytes = b"\x05\0\x05\0\0\x01\0\0\0\0\0\0more";
        let (said, rest) = with("h", Some(("user", "pw")), bytes).unwrap();
        assert_eq!((said, rest), (vec![target], Some(b"more".to_vec())));
        let request = Socks::new("h", 1, Some(Default::default())).request();
        assert_eq!(request, b"\x05\x02\0\x02");
    }

    #[test]
    fn each_refusal_says_what_is_wrong() {
        let user = Some(("user", "pw"));
        for (user, bytes, why, lasts) in [
            (
                None,
                &b"HTTP/1.1 400 Bad\r\n"[..],
                "answered \"HTTP/1.1 400 Bad\", which is not SOCKS 5",
                true,
            ),
            (
                None,
                b"\x04\x5a",
                "answered \"\\x04Z\", which is not SOCKS 5",
                true,
            ),
            (
                None,
                b"\x05\xff",
                "wants a user and password (--proxy-auth-file)",
                true,
            ),
            (
                None,
                b"\x05\x02",
                "chose a method that was not offered",
                true,
            ),
            (user, b"\x05\xff", "takes no user and password", true),
            (
                user,
                b"\x05\x02\x01\x01",
                "does not take this user and password",
                true,
            ),
            (
                None,
                b"\x05\0\x05\x02\0\x01",
                "answered 2, not allowed by its rules",
                true,
            ),
            (
                None,
                b"\x05\0\x05\x05\0\x01",
                "answered 5, connection refused",
                false,
            ),
            (None, b"\x05\0\x05\x63", "answered 99, unknown reply", true),
            (
                None,
                b"\x05\0\x05\0\0\x02\0",
                "answered with an address of no known kind",
                true,
            ),
        ] {
            let refused = with("h", user, bytes).unwrap_err();
            assert_eq!(refused.to_string(), why);
            assert_eq!(matches!(refused, Unwelcome::Refused(_)), lasts, "{why}");
        }
    }
}
