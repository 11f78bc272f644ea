//! Host names as requests and origins write them, and patterns over them.
//!
//! Parsing is strict, because a lenient reader of `a.example@b.example` and a
//! browser can differ about who is asking: what is no plain `HOST[:PORT]`
//! matches nothing.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// Which hosts a route or an origin rule means. Always in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// This host; an IPv6 address in brackets.
    Exact(String),
    /// `*.example.org`, here without the `*.`: every host below it, at any
    /// depth, and not itself.
    Below(String),
}

impl HostPattern {
    /// Whether `host`, without a port, is meant; case does not matter, nor
    /// does the final dot of a fully qualified name.
    pub fn matches(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        match self {
            HostPattern::Exact(name) => host.eq_ignore_ascii_case(name),
            HostPattern::Below(parent) => {
                let cut = host.len().saturating_sub(parent.len());
                let (below, tail) = (host.get(..cut), host.get(cut..));
                tail.is_some_and(|tail| tail.eq_ignore_ascii_case(parent))
                    && below.is_some_and(|below| below.len() > 1 && below.ends_with('.'))
            }
        }
    }

    /// How specific the pattern is: exact before wildcard, long before short.
    pub(super) fn rank(&self) -> (bool, usize) {
        match self {
            HostPattern::Exact(name) => (true, name.len()),
            HostPattern::Below(parent) => (false, parent.len()),
        }
    }
}

impl FromStr for HostPattern {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const FORMS: &str = "write a host like example.org, *.example.org, 192.0.2.1 or [::1]";
        let (wild, name) = match text.strip_prefix("*.") {
            Some(parent) => (true, parent),
            None => (false, text),
        };
        let (name, port) = authority(name).ok_or(FORMS)?;
        if port.is_some() {
            return Err("the port has no place here; write the host alone");
        }
        match bracketed(name) {
            Some(_) if wild => return Err(FORMS),
            // The form that browsers write (RFC 5952).
            Some(address) => return Ok(HostPattern::Exact(format!("[{address}]"))),
            None => {}
        }
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        match name.split('.').any(str::is_empty) {
            true => Err(FORMS),
            false if wild => Ok(HostPattern::Below(name)),
            false => Ok(HostPattern::Exact(name)),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Exact(name) => f.write_str(name),
            HostPattern::Below(parent) => write!(f, "*.{parent}"),
        }
    }
}

/// Takes `HOST[:PORT]` apart (RFC 3986 section 3.2 without userinfo); `None`
/// where it is anything else. An IPv6 address keeps its brackets.
pub fn authority(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        // The last colon of `[::1]` lies within the brackets.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port = match port {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse().ok()?)
        }
        Some(_) => return None,
        None => None,
    };
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_name = !host.is_empty() && host.bytes().all(named);
    (is_name || bracketed(host).is_some()).then_some((host, port))
}

fn bracketed(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn an_authority_is_a_host_and_perhaps_a_port() {
        for (text, expected) in [
            ("example.org", Some(("example.org", None))),
            ("example.org:8080", Some(("example.org", Some(8080)))),
            ("[::1]", Some(("[::1]", None))),
            ("[::1]:80", Some(("[::1]", Some(80)))),
            ("192.0.2.1:1", Some(("192.0.2.1", Some(1)))),
            ("", None),
            (":80", None),
            ("example.org:", None),
            ("example.org:http", None),
            ("example.org:+80", None),
            ("example.org:65536", None),
            ("::1", None),
            ("[::1", None),
            ("[::g]", None),
            ("user@example.org", None),
            ("example.org:80@evil.org", None),
            ("example.org/x", None),
            ("example.org\\x", None),
            ("exämple.org", None),
            ("a b", None),
        ] {
            assert_eq!(authority(text), expected, "{text}");
        }
    }

    #[test]
    fn a_pattern_matches_without_regard_to_case() {
        for (pattern, host, expected) in [
            ("Example.org", "eXample.org", true),
            ("example.org", "example.org.", true),
            ("example.org.", "example.org", true),
            ("example.org", "www.example.org", false),
            ("example.org", "evilexample.org", false),
            ("*.example.org", "a.example.org", true),
            ("*.example.org", "A.b.EXAMPLE.org", true),
            ("*.example.org", "a.example.org.", true),
            ("*.example.org", "example.org", false),
            ("*.example.org", ".example.org", false),
            ("*.example.org", "evilexample.org", false),
            ("*.example.org", "org", false),
            ("*.example.org", "", false),
            ("[::1]", "[::1]", true),
            ("[0:0::1]", "[::1]", true),
            ("[FE80::A]", "[fe80::a]", true),
        ] {
            let parsed: HostPattern = pattern.parse().unwrap();
            assert_eq!(parsed.matches(host), expected, "{pattern} {host}");
            assert_eq!(parsed.to_string().parse(), Ok(parsed));
        }
    }

    #[test]
    fn a_bad_pattern_says_what_is_allowed() {
        for text in [
            "", "*", "*.", "*.[::1]", "a.*.b", "*.*.b", "*..b", "a..b", ".", "::1", "a/b",
        ] {
            let error = text.parse::<HostPattern>().unwrap_err();
            assert!(error.starts_with("write a host like"), "{text}: {error}");
        }
        for text in ["example.org:80", "*.example.org:80", "[::1]:80"] {
            let error = text.parse::<HostPattern>().unwrap_err();
            assert_eq!(error, "the port has no place here; write the host alone");
        }
    }
}
