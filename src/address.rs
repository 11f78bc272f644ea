//! Where to listen and where a backend is: parse and display.
//!
//! What [`Display`](fmt::Display) writes parses to the same address again. No
//! name is looked up here.

use crate::features::Feature;
use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// `sun_path` holds 108 bytes, and one of them is the NUL after a path or
/// before an abstract name.
const UNIX_MAX: usize = 107;

/// Where clients connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// `8080`, `:8080`, `HOST:8080` or `[::1]:8080`.
    Tcp {
        /// The address or name; `None`: every address, IPv4 and IPv6.
        host: Option<String>,
        /// The port; 0: any free one.
        port: u16,
    },
    /// `unix:/path`.
    Unix(PathBuf),
    /// `systemd` or `systemd:NAME`: the sockets that the process was started
    /// with (sd_listen_fds(3)), all or those of this name.
    Systemd(Option<String>),
    /// `fd:0`, or `fd:3` and so on: a socket that the process was started with,
    /// by its number.
    Fd(u16),
}

/// Where adit connects to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Backend {
    /// `HOST:PORT` or `tcp:HOST:PORT`.
    Tcp {
        /// The address or name, IPv6 without brackets.
        host: String,
        /// The port, never 0.
        port: u16,
    },
    /// `tls:HOST:PORT`.
    Tls {
        /// The address or name, IPv6 without brackets.
        host: String,
        /// The port, never 0.
        port: u16,
    },
    /// `unix:/path`.
    Unix(PathBuf),
    /// `unix:@name`, a name in Linux's abstract namespace.
    Abstract(String),
}

impl From<SocketAddr> for Backend {
    fn from(address: SocketAddr) -> Self {
        Backend::Tcp {
            host: address.ip().to_string(),
            port: address.port(),
        }
    }
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    what: &'static str,
    seen: String,
    why: &'static str,
    forms: &'static str,
}

impl AddressError {
    /// The cause alone.
    pub fn why(&self) -> &'static str {
        self.why
    }

    /// The error without the text that was seen.
    pub fn reason(&self) -> String {
        format!("{}; write {}", self.why, self.forms)
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}: {}", self.what, self.seen, self.reason())
    }
}

impl std::error::Error for AddressError {}

impl FromStr for Listen {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        parse_listen(text).map_err(|why| AddressError {
            what: "listen address",
            seen: text.to_owned(),
            why,
            forms: LISTEN_FORMS,
        })
    }
}

/// How a place to listen can be written.
const LISTEN_FORMS: &str = match Feature::Activation.is_built_in() {
    true => "PORT, HOST:PORT, [IPV6]:PORT, unix:/path, systemd, systemd:NAME or fd:NUMBER",
    false => "PORT, HOST:PORT, [IPV6]:PORT or unix:/path",
};

/// How a backend can be written.
const BACKEND_FORMS: &str = match Feature::Tls.is_built_in() {
    true => "HOST:PORT, tcp:HOST:PORT, tls:HOST:PORT, unix:/path or unix:@name",
    false => "HOST:PORT, tcp:HOST:PORT, unix:/path or unix:@name",
};

impl FromStr for Backend {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        parse_backend(text).map_err(|why| AddressError {
            what: "backend",
            seen: text.to_owned(),
            why,
            forms: BACKEND_FORMS,
        })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Tcp { host: None, port } => write!(f, ":{port}"),
            Listen::Tcp {
                host: Some(host),
                port,
            } => write_tcp(f, host, *port),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
            Listen::Systemd(None) => f.write_str("systemd"),
            Listen::Systemd(Some(name)) => write!(f, "systemd:{name}"),
            Listen::Fd(number) => write!(f, "fd:{number}"),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Backend::Tcp { host, port } => write_tcp(f, host, *port),
            Backend::Tls { host, port } => {
                f.write_str("tls:")?;
                write_tcp(f, host, *port)
            }
            Backend::Unix(path) => write!(f, "unix:{}", path.display()),
            Backend::Abstract(name) => write!(f, "unix:@{name}"),
        }
    }
}

fn write_tcp(f: &mut fmt::Formatter<'_>, host: &str, port: u16) -> fmt::Result {
    if host.contains(':') {
        write!(f, "[{host}]:{port}")
    } else {
        write!(f, "{host}:{port}")
    }
}

fn parse_listen(text: &str) -> Result<Listen, &'static str> {
    if let Some(path) = text.strip_prefix("unix:") {
        if path.starts_with('@') {
            return Err("only a backend can have an abstract name");
        }
        return unix_name(path).map(|path| Listen::Unix(path.into()));
    }
    let is_inherited = text == "systemd" || text.starts_with("systemd:") || text.starts_with("fd:");
    if is_inherited && !Feature::Activation.is_built_in() {
        return Err(Feature::Activation.absence());
    }
    if text == "systemd" {
        return Ok(Listen::Systemd(None));
    }
    if let Some(name) = text.strip_prefix("systemd:") {
        return socket_name(name).map(|name| Listen::Systemd(Some(name.to_owned())));
    }
    if let Some(number) = text.strip_prefix("fd:") {
        return descriptor(number).map(Listen::Fd);
    }
    let (host, port) = host_and_port(text)?;
    Ok(Listen::Tcp { host, port })
}

/// What systemd.socket(5) takes as a FileDescriptorName.
fn socket_name(name: &str) -> Result<&str, &'static str> {
    let allowed = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b':';
    match name.len() {
        1..=255 if name.bytes().all(allowed) => Ok(name),
        _ => Err("no name that a socket unit can give"),
    }
}

fn descriptor(number: &str) -> Result<u16, &'static str> {
    if !is_number(number) {
        return Err("the descriptor is not a number");
    }
    match number.parse() {
        Ok(1 | 2) => Err("1 and 2 are for what is printed"),
        Ok(number) => Ok(number),
        Err(_) => Err("the descriptor is more than 65535"),
    }
}

fn parse_backend(text: &str) -> Result<Backend, &'static str> {
    if let Some(path) = text.strip_prefix("unix:") {
        return match path.strip_prefix('@') {
            Some(name) => unix_name(name).map(|name| Backend::Abstract(name.to_owned())),
            None => unix_name(path).map(|path| Backend::Unix(path.into())),
        };
    }
    let (tls, place) = match text.strip_prefix("tls:") {
        Some(_) if !Feature::Tls.is_built_in() => return Err(Feature::Tls.absence()),
        Some(place) => (true, place),
        None => (false, text.strip_prefix("tcp:").unwrap_or(text)),
    };
    let (host, port) = host_and_port(place)?;
    let host = host.ok_or("no host")?;
    match port {
        0 => Err("no backend has port 0"),
        _ if tls => Ok(Backend::Tls { host, port }),
        _ => Ok(Backend::Tcp { host, port }),
    }
}

fn unix_name(name: &str) -> Result<&str, &'static str> {
    match name.len() {
        0 => Err("no path or name"),
        _ if name.contains('\0') => Err("a NUL within"),
        1..=UNIX_MAX => Ok(name),
        _ => Err("longer than the 107 bytes that a Unix socket's name can have"),
    }
}

/// Takes `HOST:PORT`, `:PORT` or `PORT` apart.
fn host_and_port(text: &str) -> Result<(Option<String>, u16), &'static str> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') => (host, port),
        Some(_) => return Err("an IPv6 address needs brackets and a port"),
        None if is_number(text) => ("", text),
        None => return Err("no port"),
    };
    if port.is_empty() {
        return Err("no port");
    }
    if !is_number(port) {
        return Err("the port is not a number");
    }
    let port = port.parse().map_err(|_| "the port is more than 65535")?;
    Ok((parse_host(host)?, port))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn parse_host(text: &str) -> Result<Option<String>, &'static str> {
    if text.is_empty() {
        return Ok(None);
    }
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner
            .strip_suffix(']')
            .ok_or("a bracket without its pair")?;
        // `fe80::1%eth0`: a zone is the resolver's to judge (RFC 4007 section 11).
        let (address, zone) = inner.split_once('%').unwrap_or((inner, "-"));
        if address.parse::<Ipv6Addr>().is_err() || zone.is_empty() {
            return Err("no IPv6 address within the brackets");
        }
        return Ok(Some(inner.to_owned()));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    if !text.bytes().all(allowed) {
        return Err("the host has a character that no host name has");
    }
    if text.contains(':') {
        return Err("an IPv6 address needs brackets and a port");
    }
    Ok(Some(text.to_owned()))
}

#[cfg(test)]
mod tests {

    use super::*;

    fn tcp(host: Option<&str>, port: u16) -> Listen {
        Listen::Tcp {
            host: host.map(str::to_owned),
            port,
        }
    }

    /// Whether it names a socket of others, which this build does not take.
    fn lacks_activation(listen: &str) -> bool {
        let is_inherited = listen.starts_with("systemd") || listen.starts_with("fd:");
        is_inherited && !Feature::Activation.is_built_in()
    }

    #[test]
    fn every_form_of_a_listen_address_parses_and_displays_again() {
        let long = format!("unix:/{}", "x".repeat(106));
        for (text, expected, shown) in [
            ("8080", tcp(None, 8080), ":8080"),
            (":8080", tcp(None, 8080), ":8080"),
            ("0", tcp(None, 0), ":0"),
            ("65535", tcp(None, 65535), ":65535"),
            ("127.0.0.1:0", tcp(Some("127.0.0.1"), 0), "127.0.0.1:0"),
            ("localhost:80", tcp(Some("localhost"), 80), "localhost:80"),
            (
                "my_host-1.x:80",
                tcp(Some("my_host-1.x"), 80),
                "my_host-1.x:80",
            ),
            ("[::1]:8080", tcp(Some("::1"), 8080), "[::1]:8080"),
            ("[::]:8080", tcp(Some("::"), 8080), "[::]:8080"),
            (
                "[fe80::1%eth0]:1",
                tcp(Some("fe80::1%eth0"), 1),
                "[fe80::1%eth0]:1",
            ),
            (
                "unix:/run/a b",
                Listen::Unix("/run/a b".into()),
                "unix:/run/a b",
            ),
            (&long, Listen::Unix(long[5..].into()), &long),
            ("systemd", Listen::Systemd(None), "systemd"),
            (
                "systemd:web",
                Listen::Systemd(Some("web".into())),
                "systemd:web",
            ),
            ("fd:0", Listen::Fd(0), "fd:0"),
            ("fd:03", Listen::Fd(3), "fd:3"),
        ] {
            if lacks_activation(text) {
                continue;
            }
            let listen: Listen = text.parse().unwrap();
            assert_eq!(listen, expected, "{text}");
            assert_eq!(listen.to_string(), shown);
            assert_eq!(shown.parse(), Ok(listen));
        }
    }

    #[test]
    fn every_form_of_a_backend_parses_and_displays_again() {
        let tcp = |host: &str, port| Backend::Tcp {
            host: host.to_owned(),
            port,
        };
        for (text, expected, shown) in [
            ("localhost:5900", tcp("localhost", 5900), "localhost:5900"),
            ("tcp:192.0.2.1:1", tcp("192.0.2.1", 1), "192.0.2.1:1"),
            (
                "tcp:tcp:1",
                Backend::Tcp {
                    host: "tcp".into(),
                    port: 1,
                },
                "tcp:1",
            ),
            ("[::1]:5900", tcp("::1", 5900), "[::1]:5900"),
            ("tcp:[::1]:5900", tcp("::1", 5900), "[::1]:5900"),
            (
                "unix:/run/x.sock",
                Backend::Unix("/run/x.sock".into()),
                "unix:/run/x.sock",
            ),
            ("unix:@bus", Backend::Abstract("bus".into()), "unix:@bus"),
        ] {
            let backend: Backend = text.parse().unwrap();
            assert_eq!(backend, expected, "{text}");
            assert_eq!(backend.to_string(), shown);
        }
    }

    #[test]
    fn a_bad_listen_address_says_what_was_seen_and_what_is_allowed() {
        let long = format!("unix:/{}", "x".repeat(107));
        for (text, why) in [
            ("", "no port"),
            ("localhost", "no port"),
            ("127.0.0.1", "no port"),
            ("localhost:", "no port"),
            ("[::1]", "an IPv6 address needs brackets and a port"),
            ("::1", "an IPv6 address needs brackets and a port"),
            ("::1:8080", "an IPv6 address needs brackets and a port"),
            ("[::1:80", "a bracket without its pair"),
            ("[::g]:80", "no IPv6 address within the brackets"),
            ("[fe80::1%]:80", "no IPv6 address within the brackets"),
            ("[127.0.0.1]:80", "no IPv6 address within the brackets"),
            ("x:http", "the port is not a number"),
            ("x:+80", "the port is not a number"),
            ("65536", "the port is more than 65535"),
            ("a/b:80", "the host has a character that no host name has"),
            ("a b:80", "the host has a character that no host name has"),
            (
                "user@h:80",
                "the host has a character that no host name has",
            ),
            ("unix:", "no path or name"),
            ("unix:/a\0b", "a NUL within"),
            ("unix:@x", "only a backend can have an abstract name"),
            ("systemd:", "no name that a socket unit can give"),
            ("systemd:a:b", "no name that a socket unit can give"),
            ("fd:", "the descriptor is not a number"),
            ("fd:-1", "the descriptor is not a number"),
            ("fd:2", "1 and 2 are for what is printed"),
            ("fd:65536", "the descriptor is more than 65535"),
            (
                &long,
                "longer than the 107 bytes that a Unix socket's name can have",
            ),
        ] {
            let why = match lacks_activation(text) {
                true => Feature::Activation.absence(),
                false => why,
            };
            assert_eq!(
                text.parse::<Listen>().unwrap_err().to_string(),
                format!("listen address {text:?}: {why}; write {LISTEN_FORMS}"),
            );
        }
    }

    #[test]
    fn a_bad_backend_says_what_was_seen_and_what_is_allowed() {
        let long = format!("unix:@{}", "x".repeat(108));
        for (text, why) in [
            ("5900", "no host"),
            (":5900", "no host"),
            ("tcp:5900", "no host"),
            ("localhost", "no port"),
            ("localhost:0", "no backend has port 0"),
            (
                "http://h:80",
                "the host has a character that no host name has",
            ),
            ("unix:@", "no path or name"),
            (
                &long,
                "longer than the 107 bytes that a Unix socket's name can have",
            ),
        ] {
            assert_eq!(
                text.parse::<Backend>().unwrap_err().to_string(),
                format!("backend {text:?}: {why}; write {BACKEND_FORMS}"),
            );
        }
    }
}
