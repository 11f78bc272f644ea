//! Where a WebSocket server or a proxy is: parse and display.
//!
//! What is displayed is for logs, and so without the user and the password, and
//! without the query, in which a token may stand.

use crate::features::Feature;
use std::fmt;

/// What is spoken at a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// WebSocket.
    Ws,
    /// WebSocket over TLS.
    Wss,
    /// HTTP, to a proxy.
    Http,
    /// HTTP over TLS, to a proxy.
    Https,
    /// SOCKS 5, to a proxy that looks names up.
    Socks5h,
}

/// Each scheme with its name and the port that goes without saying; proxies
/// have those that curl gives them.
const SCHEMES: [(Scheme, &str, u16); 5] = [
    (Scheme::Ws, "ws", 80),
    (Scheme::Wss, "wss", 443),
    (Scheme::Http, "http", 1080),
    (Scheme::Https, "https", 443),
    (Scheme::Socks5h, "socks5h", 1080),
];

/// A user and a password, as they are, without percent-encoding.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
}

/// Passwords do not show themselves.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a user and a password")
    }
}

/// A URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// What is spoken there.
    pub scheme: Scheme,
    /// Who asks.
    pub credentials: Option<Credentials>,
    /// The host, an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path and the query.
    pub target: String,
}

impl Url {
    /// Takes a WebSocket URL apart.
    ///
    /// # Errors
    /// What is wrong with it, without the URL, which may hold a password.
    pub fn websocket(text: &str) -> Result<Url, String> {
        let forms = "write ws://HOST[:PORT]/PATH or wss://HOST[:PORT]/PATH";
        let url = Url::parse(text).map_err(|why| format!("{why}; {forms}"))?;
        match url.scheme {
            Scheme::Ws | Scheme::Wss => url.spoken(),
            _ => Err(format!("no WebSocket URL; {forms}")),
        }
    }

    /// Takes a proxy's URL apart; without a scheme it is HTTP's.
    ///
    /// # Errors
    /// What is wrong with it, without the URL, which may hold a password.
    pub fn proxy(text: &str) -> Result<Url, String> {
        let forms = "write http://HOST:PORT, https://HOST:PORT or socks5h://HOST:PORT";
        let whole = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let url = Url::parse(&whole).map_err(|why| format!("{why}; {forms}"))?;
        match url.scheme {
            Scheme::Ws | Scheme::Wss => Err(format!("no proxy's URL; {forms}")),
            _ if url.target != "/" => Err(format!("a proxy has no path; {forms}")),
            _ => url.spoken(),
        }
    }

    /// Where an answer at this URL sends its reader (RFC 3986 section 5.2); http
    /// stands for ws there.
    ///
    /// # Errors
    /// What is wrong with the location.
    pub fn moved(&self, location: &str) -> Result<Url, String> {
        let (_, own, _) = self.named();
        // A fragment is for who reads the answer, and here nobody does.
        let location = location.split('#').next().unwrap_or_default();
        if let Some((scheme, rest)) = with_scheme(location) {
            let scheme = match &*scheme.to_ascii_lowercase() {
                "https" => "wss",
                "http" => "ws",
                _ => scheme,
            };
            return Url::websocket(&format!("{scheme}:{rest}"));
        }
        if location.starts_with("//") {
            return Url::websocket(&format!("{own}:{location}"));
        }
        let here = self.target.split('?').next().unwrap_or_default();
        let (path, query) = location.split_at(location.find('?').unwrap_or(location.len()));
        let target = match path {
            "" if query.is_empty() => self.target.clone(),
            "" => format!("{here}{query}"),
            _ if path.starts_with('/') => without_dots(path) + query,
            _ => {
                let folder = here.rfind('/').map_or("/", |at| &here[..=at]);
                without_dots(&format!("{folder}{path}")) + query
            }
        };
        Ok(Url {
            target: self::target(&target)?,
            ..self.clone()
        })
    }

    /// Whether TLS is spoken there.
    pub fn is_secure(&self) -> bool {
        matches!(self.scheme, Scheme::Wss | Scheme::Https)
    }

    /// Host and port, as a proxy is told them.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.bracketed(), self.port)
    }

    /// The value of a Host header (RFC 9110 section 7.2).
    pub fn host_header(&self) -> String {
        let (_, _, usual) = self.named();
        if self.port == usual {
            self.bracketed()
        } else {
            self.authority()
        }
    }

    /// The URL, if this build speaks what it wants.
    fn spoken(self) -> Result<Url, String> {
        if self.is_secure() && !Feature::Tls.is_built_in() {
            return Err(Feature::Tls.absence().to_owned());
        }
        Ok(self)
    }

    fn bracketed(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        }
    }

    fn named(&self) -> (Scheme, &'static str, u16) {
        let own = SCHEMES.iter().find(|(scheme, ..)| *scheme == self.scheme);
        own.copied().unwrap_or(SCHEMES[0])
    }

    fn parse(text: &str) -> Result<Url, &'static str> {
        let (scheme, rest) = text.split_once("://").ok_or("no scheme")?;
        let known = |(_, name, _): &&(Scheme, &str, u16)| scheme.eq_ignore_ascii_case(name);
        let &(scheme, _, usual) = SCHEMES.iter().find(known).ok_or("no known scheme")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, resource) = rest.split_at(end);
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let (host, port) = host_and_port(place)?;
        Ok(Url {
            scheme,
            credentials: user.map(credentials).transpose()?,
            host: host.to_ascii_lowercase(),
            port: port.unwrap_or(usual),
            target: target(resource)?,
        })
    }
}

/// The scheme of what has one, and what comes behind it (RFC 3986 section 3.1).
fn with_scheme(location: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = location.split_once(':')?;
    let may_have = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
    (!scheme.is_empty() && scheme.bytes().all(may_have)).then_some((scheme, rest))
}

/// A path without its `.` and `..` (RFC 3986 section 5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    if path.ends_with("/.") || path.ends_with("/..") {
        kept.push("");
    }
    format!("/{}", kept.join("/"))
}

/// Path and query as they go into a request.
fn target(resource: &str) -> Result<String, &'static str> {
    if resource.contains('#') {
        // RFC 6455 section 3.
        return Err("a # has no place in it");
    }
    if !resource.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("other characters than ASCII must be percent-encoded");
    }
    Ok(match resource.as_bytes().first() {
        Some(b'/') => resource.to_owned(),
        _ => format!("/{resource}"),
    })
}

fn host_and_port(place: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (host, rest) = match place.strip_prefix('[') {
        Some(inner) => {
            let (host, rest) = inner.split_once(']').ok_or("a [ without its ]")?;
            let is_address = host.parse::<std::net::Ipv6Addr>().is_ok();
            (Some(host).filter(|_| is_address), rest)
        }
        None => {
            let end = place.find(':').unwrap_or(place.len());
            let host = &place[..end];
            let in_name = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
            let is_name = !host.is_empty() && host.len() < 254 && host.bytes().all(in_name);
            (Some(host).filter(|_| is_name), &place[end..])
        }
    };
    let host = host.ok_or("no host that makes sense")?;
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => None,
        None => return Err("no host that makes sense"),
        Some("") => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            let port = digits.parse().ok().filter(|&port| port != 0);
            Some(port.ok_or("no port from 1 to 65535")?)
        }
        Some(_) => return Err("the port is not a number"),
    };
    Ok((host, port))
}

/// `USER:PASSWORD`, percent-encoded.
fn credentials(text: &str) -> Result<Credentials, &'static str> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    Ok(Credentials {
        user: decoded(user)?,
        password: decoded(password)?,
    })
}

fn decoded(text: &str) -> Result<String, &'static str> {
    let wrong = "a user or password that is not percent-encoded UTF-8";
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
        let (high, low) = (digit().ok_or(wrong)?, digit().ok_or(wrong)?);
        bytes.push((high * 16 + low) as u8);
    }
    String::from_utf8(bytes).map_err(|_| wrong)
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, name, _) = self.named();
        let path = self.target.split('?').next().unwrap_or_default();
        match self.scheme {
            Scheme::Ws | Scheme::Wss => write!(f, "{name}://{}{path}", self.host_header()),
            _ => write!(f, "{name}://{}", self.authority()),
        }
    }
}

// Half of the URLs want TLS.
#[cfg(all(test, feature = "tls"))]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_displayed_without_its_secrets() {
        for (text, host, port, target, header, shown) in [
            ("ws://h", "h", 80, "/", "h", "ws://h/"),
            (
                "WSS://Example.ORG/a?t=secret",
                "example.org",
                443,
                "/a?t=secret",
                "example.org",
                "wss://example.org/a",
            ),
            ("wss://h:80?x", "h", 80, "/?x", "h:80", "wss://h:80/"),
            ("ws://h:/a/", "h", 80, "/a/", "h", "ws://h/a/"),
            (
                "ws://[2001:DB8::1]:8080/",
                "2001:db8::1",
                8080,
                "/",
                "[2001:db8::1]:8080",
                "ws://[2001:db8::1]:8080/",
            ),
            (
                "wss://me:p%40ss@[::1]",
                "::1",
                443,
                "/",
                "[::1]",
                "wss://[::1]/",
            ),
        ] {
            let url = Url::websocket(text).unwrap();
            assert_eq!((&*url.host, url.port, &*url.target), (host, port, target));
            assert_eq!((&*url.host_header(), &*url.to_string()), (header, shown));
            let has_user = text.contains('@');
            assert_eq!(url.credentials.is_some(), has_user);
        }
        let url = Url::websocket("ws://a%3Ab:p%40ss:w@h").unwrap();
        let expected = Credentials {
            user: "a:b".into(),
            password: "p@ss:w".into(),
        };
        assert_eq!(url.credentials.as_ref(), Some(&expected));
        assert!(!format!("{url:?}").contains("p@ss"));
    }

    #[test]
    fn a_proxy_needs_neither_scheme_nor_port() {
        for (text, scheme, authority) in [
            ("p", Scheme::Http, "p:1080"),
            ("p:3128", Scheme::Http, "p:3128"),
            ("u:w@p:3128/", Scheme::Http, "p:3128"),
            ("https://p", Scheme::Https, "p:443"),
            ("socks5h://[::1]", Scheme::Socks5h, "[::1]:1080"),
        ] {
            let url = Url::proxy(text).unwrap();
            assert_eq!((url.scheme, &*url.authority()), (scheme, authority));
        }
    }

    #[test]
    fn what_is_no_url_is_refused_without_being_shown() {
        for text in [
            "",
            "h",
            "h:80",
            "ws:/h",
            "ftp://h",
            "http://h",
            "ws://",
            "ws:///a",
            "ws://h#a",
            "ws://h/ä",
            "ws://h/a b",
            "ws://h:0",
            "ws://h:65536",
            "ws://h:x",
            "ws://::1",
            "ws://[::1",
            "ws://[h]",
            "ws://[::1]x",
            "ws://h\r\nx",
            "ws://secret%zz@h",
            "ws://%ff@h",
        ] {
            let why = Url::websocket(text).unwrap_err();
            assert!(why.contains("; write ws://HOST[:PORT]/PATH or"), "{why}");
            assert!(!why.contains("secret"), "{why}");
        }
        for text in ["ws://p", "socks4://p", "http://p/path", "p:x"] {
            let why = Url::proxy(text).unwrap_err();
            assert!(why.contains("; write http://HOST:PORT, https://"), "{why}");
        }
    }

    #[test]
    fn a_location_is_relative_to_where_it_was_said() {
        let url = Url::websocket("wss://h:8443/a/b?x=/y").unwrap();
        for (location, expected) in [
            ("/c?d", "wss://h:8443/c"),
            ("c", "wss://h:8443/a/c"),
            ("?d", "wss://h:8443/a/b"),
            ("", "wss://h:8443/a/b"),
            ("../c", "wss://h:8443/c"),
            ("../../../c/.", "wss://h:8443/c/"),
            ("./c/../d", "wss://h:8443/a/d"),
            ("/x/..", "wss://h:8443/"),
            ("/login?next=http://h/", "wss://h:8443/login"),
            ("/c#d", "wss://h:8443/c"),
            ("./c:d", "wss://h:8443/a/c:d"),
            ("HTTPS://other/c#d", "wss://other/c"),
            ("//other/c", "wss://other/c"),
            ("https://other:444/", "wss://other:444/"),
            ("http://other", "ws://other/"),
            ("wss://other/x", "wss://other/x"),
        ] {
            assert_eq!(url.moved(location).unwrap().to_string(), expected);
        }
        for (location, target) in [("/c?d", "/c?d"), ("?d", "/a/b?d"), ("#d", "/a/b?x=/y")] {
            assert_eq!(url.moved(location).unwrap().target, target);
        }
        for location in ["ftp://h/", "javascript:alert(1)", "mailto:a@b", "/a b"] {
            assert!(url.moved(location).is_err(), "{location}");
        }
    }
}

#[cfg(all(test, not(feature = "tls")))]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_wants_tls_is_refused_without_it() {
        let absence = Feature::Tls.absence();
        assert_eq!(Url::websocket("wss://h/").unwrap_err(), absence);
        assert_eq!(Url::proxy("https://p").unwrap_err(), absence);
        let url = Url::websocket("ws://h/").unwrap();
        assert_eq!(url.moved("https://h/").unwrap_err(), absence);
        assert!(Url::proxy("socks5h://p").is_ok());
    }
}
