//! Whether a web page may connect (RFC 6455 section 10.2).
//!
//! A browser says in `Origin` which page is asking, and a page cannot forge
//! it. The page may connect if its host and port are those of the request
//! itself, or if a rule lists it. What cannot be read matches only `any`.

use std::fmt;
use std::str::FromStr;

use super::host::{HostPattern, authority};

/// One entry of the option `origin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginRule {
    /// `any`: every origin, `null` and unreadable ones included.
    Any,
    /// `null`: pages without an origin of their own, as in a sandboxed frame.
    Null,
    /// `https://HOST[:PORT]`.
    Like {
        /// The scheme, in lower case.
        scheme: String,
        /// The host or hosts.
        host: HostPattern,
        /// The port or ports.
        port: OriginPort,
    },
}

/// The port of an [`OriginRule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginPort {
    /// `:*`: any.
    Any,
    /// This one, or the scheme's default; `None` where the scheme has none.
    Is(Option<u16>),
}

impl OriginPort {
    fn matches(self, port: Option<u16>) -> bool {
        self == OriginPort::Any || self == OriginPort::Is(port)
    }
}

/// The origins that may connect besides the request's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(pub Vec<OriginRule>);

impl Origins {
    /// Whether a page of this origin may connect with a request for this host
    /// (both as the headers have them). `https`: whether it is known that the
    /// request came over TLS.
    pub fn allow(&self, origin: &str, host: &str, https: bool) -> bool {
        let parsed = parse(origin);
        parsed
            .as_ref()
            .is_some_and(|origin| origin.is_own(host, https))
            || self.0.iter().any(|rule| match rule {
                OriginRule::Any => true,
                OriginRule::Null => origin == "null",
                OriginRule::Like { scheme, host, port } => parsed.as_ref().is_some_and(|origin| {
                    origin.scheme.eq_ignore_ascii_case(scheme)
                        && host.matches(origin.host)
                        && port.matches(origin.port)
                }),
            })
    }
}

/// An origin taken apart, its port made explicit.
struct Origin<'a> {
    scheme: &'a str,
    host: &'a str,
    port: Option<u16>,
}

impl Origin<'_> {
    /// Whether the page came from the host that it now connects to. Over TLS
    /// it must have come so too: a page without TLS can be anybody's on the way.
    /// Without, the scheme is not compared, since a proxy in front may have
    /// taken TLS off; it decides the default port on both sides.
    fn is_own(&self, host: &str, https: bool) -> bool {
        let default = default_port(self.scheme);
        default.is_some()
            && (!https || self.scheme.eq_ignore_ascii_case("https"))
            && authority(host).is_some_and(|(name, port)| {
                name.eq_ignore_ascii_case(self.host) && port.or(default) == self.port
            })
    }
}

/// RFC 6454 section 7.1: a scheme, a host and perhaps a port, no more.
fn parse(text: &str) -> Option<Origin<'_>> {
    let (scheme, rest) = text.split_once("://")?;
    let (host, port) = authority(rest)?;
    is_scheme(scheme).then_some(Origin {
        scheme,
        host,
        port: port.or(default_port(scheme)),
    })
}

fn default_port(scheme: &str) -> Option<u16> {
    [("http", 80), ("https", 443)]
        .into_iter()
        .find_map(|(name, port)| scheme.eq_ignore_ascii_case(name).then_some(port))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

impl FromStr for OriginRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "any" => Ok(OriginRule::Any),
            "null" => Ok(OriginRule::Null),
            _ => parse_rule(text).map_err(|why| {
                format!(
                    "{why}; write an origin like https://example.org, https://*.example.org, \
                     https://example.org:8443 or https://example.org:*, or null, or any"
                )
            }),
        }
    }
}

fn parse_rule(text: &str) -> Result<OriginRule, &'static str> {
    let (scheme, rest) = text.split_once("://").ok_or("no scheme")?;
    if !is_scheme(scheme) {
        return Err("no scheme");
    }
    if rest.contains(['/', '?', '#']) {
        return Err("an origin ends with its host or port, without a slash or path");
    }
    let (rest, any_port) = match rest.strip_suffix(":*") {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let (wild, name) = match rest.strip_prefix("*.") {
        Some(name) => ("*.", name),
        None => ("", rest),
    };
    let (host, port) = authority(name).ok_or("no host, or not one that can be an origin's")?;
    let host = format!("{wild}{host}").parse()?;
    let port = match port {
        Some(_) if any_port => return Err("two ports"),
        _ if any_port => OriginPort::Any,
        port => OriginPort::Is(port.or(default_port(scheme))),
    };
    Ok(OriginRule::Like {
        scheme: scheme.to_ascii_lowercase(),
        host,
        port,
    })
}

impl fmt::Display for OriginRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OriginRule::Any => f.write_str("any"),
            OriginRule::Null => f.write_str("null"),
            OriginRule::Like { scheme, host, port } => match port {
                OriginPort::Any => write!(f, "{scheme}://{host}:*"),
                OriginPort::Is(Some(port)) if default_port(scheme) != Some(*port) => {
                    write!(f, "{scheme}://{host}:{port}")
                }
                OriginPort::Is(_) => write!(f, "{scheme}://{host}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    fn origins(rules: &[&str]) -> Origins {
        Origins(rules.iter().map(|rule| rule.parse().unwrap()).collect())
    }

    #[test]
    fn a_page_may_connect_to_its_own_host_and_port() {
        for (origin, host, expected) in [
            ("http://h:8080", "h:8080", true),
            ("http://h", "h", true),
            ("http://h", "h:80", true),
            ("http://h:80", "h", true),
            ("https://h", "h", true),
            // A proxy that takes TLS off leaves the Host header as it was.
            ("https://h", "h:443", true),
            ("https://h:443", "h", true),
            ("https://h:8443", "h:8443", true),
            ("https://h", "h:80", false),
            ("http://h", "h:443", false),
            ("http://h:8080", "h", false),
            ("http://h", "h:8080", false),
            ("http://H.Example", "h.eXample", true),
            ("HTTP://h", "h", true),
            ("http://[::1]:8080", "[::1]:8080", true),
            ("http://[::1]", "[::1]:80", true),
            ("http://[::1]", "[::2]", false),
            ("http://127.0.0.1", "localhost", false),
            ("http://a.h", "h", false),
            ("http://h", "a.h", false),
            ("http://evilh", "h", false),
            // Not the web's schemes: no default port, so never its own.
            ("ftp://h", "h", false),
            ("chrome-extension://h", "h", false),
            // What is no origin is nobody's own.
            ("null", "null", false),
            ("null", "h", false),
            ("", "", false),
            ("h", "h", false),
            ("http://", "", false),
            ("http://h/", "h", false),
            ("http://h/x", "h", false),
            ("http://h:", "h", false),
            ("http://h:80:80", "h", false),
            ("http://h@evil.example", "h", false),
            ("http://user@h", "h", false),
            ("http://user:pw@h", "h", false),
            ("http://evil.example#@h", "h", false),
            ("http://evil.example\\@h", "h", false),
            ("http://h http://evil.example", "h", false),
            ("http://h", "h:", false),
            ("http://h", "h:80@evil.example", false),
            ("http://h", "user@h", false),
        ] {
            assert_eq!(
                Origins::default().allow(origin, host, false),
                expected,
                "{origin} to {host}"
            );
        }
    }

    #[test]
    fn over_tls_a_page_without_it_is_not_the_own() {
        for (origin, host, expected) in [
            ("https://h", "h", true),
            ("HTTPS://h", "h:443", true),
            ("https://h:8443", "h:8443", true),
            ("http://h", "h", false),
            ("http://h:443", "h:443", false),
            ("http://h:8443", "h:8443", false),
            ("https://h", "h:8443", false),
        ] {
            let found = Origins::default().allow(origin, host, true);
            assert_eq!(found, expected, "{origin} to {host}");
        }
        // What is listed is allowed, whatever its scheme.
        assert!(origins(&["http://h"]).allow("http://h", "h", true));
    }

    #[test]
    fn a_listed_origin_may_connect_too() {
        for (rule, origin, expected) in [
            ("https://app.example.org", "https://app.example.org", true),
            (
                "https://app.example.org",
                "https://app.example.org:443",
                true,
            ),
            (
                "https://app.example.org:443",
                "https://app.example.org",
                true,
            ),
            ("HTTPS://App.Example.ORG", "https://app.example.org", true),
            ("https://app.example.org", "HTTPS://APP.example.org", true),
            ("https://app.example.org", "http://app.example.org", false),
            (
                "https://app.example.org",
                "https://app.example.org:8443",
                false,
            ),
            ("https://app.example.org", "https://example.org", false),
            (
                "https://app.example.org",
                "https://app.example.org.evil.org",
                false,
            ),
            (
                "https://app.example.org",
                "https://app.example.org@evil.org",
                false,
            ),
            (
                "https://app.example.org",
                "https://evil.org/https://app.example.org",
                false,
            ),
            ("https://example.org", "https://evilexample.org", false),
            ("https://*.example.org", "https://a.example.org", true),
            ("https://*.example.org", "https://a.b.example.org", true),
            ("https://*.example.org", "https://example.org", false),
            ("https://*.example.org", "https://evilexample.org", false),
            ("https://*.example.org", "https://.example.org", false),
            ("https://*.example.org", "https://a.example.org:8443", false),
            (
                "https://*.example.org",
                "https://evil.org#.example.org",
                false,
            ),
            (
                "https://*.example.org:*",
                "https://a.example.org:8443",
                true,
            ),
            ("http://localhost:*", "http://localhost", true),
            ("http://localhost:*", "http://localhost:3000", true),
            ("http://localhost:*", "https://localhost:3000", false),
            ("http://[::1]:3000", "http://[::1]:3000", true),
            ("http://[::1]:*", "http://[::1]:3000", true),
            ("capacitor://localhost", "capacitor://localhost", true),
            ("capacitor://localhost", "http://localhost", false),
            ("moz-extension://0f-1", "moz-extension://0f-1", true),
            ("null", "null", true),
            ("null", "https://a.example", false),
            ("null", "", false),
            ("any", "https://a.example", true),
            ("any", "null", true),
            ("any", "what is this", true),
        ] {
            assert_eq!(
                origins(&[rule]).allow(origin, "other.example", false),
                expected,
                "{rule} {origin}"
            );
        }
    }

    #[test]
    fn the_list_adds_to_the_own_origin() {
        let origins = origins(&["https://a.example", "null"]);
        for origin in ["https://a.example", "null", "https://h"] {
            assert!(origins.allow(origin, "h", false), "{origin}");
        }
        assert!(!origins.allow("https://b.example", "h", false));
    }

    #[test]
    fn a_rule_displays_as_it_is_written() {
        for text in [
            "any",
            "null",
            "https://example.org",
            "http://example.org:443",
            "https://*.example.org:*",
            "http://[::1]:3000",
            "app://x",
        ] {
            assert_eq!(text.parse::<OriginRule>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_bad_rule_says_what_is_allowed() {
        let path = "an origin ends with its host or port, without a slash or path";
        let host = "no host, or not one that can be an origin's";
        for (text, why) in [
            ("", "no scheme"),
            ("*", "no scheme"),
            ("example.org", "no scheme"),
            ("example.org:443", "no scheme"),
            ("//example.org", "no scheme"),
            ("://example.org", "no scheme"),
            ("*://example.org", "no scheme"),
            ("https://example.org/", path),
            ("https://example.org/app", path),
            ("https://example.org?x", path),
            ("https://", host),
            ("https://*", host),
            ("https://:443", host),
            ("https://user@example.org", host),
            ("https://a.*.org", host),
            ("https://example.org:65536", host),
            ("https://example.org:80:*", "two ports"),
        ] {
            let error = text.parse::<OriginRule>().unwrap_err();
            assert!(
                error.starts_with(&format!("{why}; write an origin like https://")),
                "{text}: {error}"
            );
        }
    }
}
