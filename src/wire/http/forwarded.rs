//! Whom a proxy speaks for: `Forwarded` (RFC 7239), `X-Forwarded-For` and
//! `X-Real-IP`.
//!
//! Each is a list of hops, the one of the nearest proxy last. What is here is
//! only their syntax; whom to believe is the tunnel's to judge. Values are read
//! as bytes, since a hop that is no text must still count as a hop: one that
//! were skipped would move a forged one into its place.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Who connected to the proxy that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// This address; port 0 where none is said.
    Address(SocketAddr),
    /// `unknown`, a name made up to hide it (RFC 7239 section 6.3), or nothing
    /// that can be read.
    Hidden,
    /// Not a word of it.
    Unsaid,
}

/// What one proxy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Who connected to it.
    pub node: Node,
    /// Whether over TLS; `false` where that is not said.
    pub https: bool,
}

/// Reads the values of `Forwarded`, in the order of their lines; `None` where
/// one of them breaks the syntax, since then nobody knows where a hop begins.
pub fn forwarded<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<Vec<Hop>> {
    let mut hops = Vec::new();
    for value in values {
        let mut rest = Pairs(value);
        loop {
            let mut hop = Hop {
                node: Node::Unsaid,
                https: false,
            };
            // A set, since a stranger may write thousands into a head.
            let mut seen = HashSet::new();
            let more = loop {
                if let Some((name, value)) = rest.pair()? {
                    if name == "for" {
                        hop.node = node(&value);
                    }
                    hop.https |= name == "proto" && value.eq_ignore_ascii_case("https");
                    // Section 4: each parameter at most once.
                    if !seen.insert(name) {
                        return None;
                    }
                }
                match rest.separator()? {
                    Some(b';') => {}
                    Some(_) => break true,
                    None => break false,
                }
            };
            if !seen.is_empty() {
                hops.push(hop);
            }
            if !more {
                break;
            }
        }
    }
    Some(hops)
}

/// Reads the values of `X-Forwarded-For`, in the order of their lines.
pub fn x_forwarded_for<'a>(values: impl Iterator<Item = &'a [u8]>) -> Vec<Node> {
    let elements = values.flat_map(|value| value.split(|&byte| byte == b','));
    let elements = elements
        .map(<[u8]>::trim_ascii)
        .filter(|text| !text.is_empty());
    elements
        .map(|text| std::str::from_utf8(text).map_or(Node::Hidden, node))
        .collect()
}

/// Reads an address as proxies write it: with or without a port, IPv6 with or
/// without brackets.
pub fn node(text: &str) -> Node {
    let address = |ip: IpAddr, port| Node::Address(SocketAddr::new(ip.to_canonical(), port));
    if let Ok(ip) = text.parse() {
        return address(ip, 0);
    }
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (ip, port) = match bracketed {
        Some((ip, port)) => {
            let port = if port.is_empty() {
                Some("0")
            } else {
                port.strip_prefix(':')
            };
            (ip.parse::<Ipv6Addr>().ok().map(IpAddr::V6), port)
        }
        None => match text.split_once(':') {
            Some((ip, port)) => (ip.parse().ok().filter(IpAddr::is_ipv4), Some(port)),
            None => (None, None),
        },
    };
    match (ip, port) {
        // Section 6: the port may be made up too.
        (Some(ip), Some(hidden)) if hidden.starts_with('_') => address(ip, 0),
        (Some(ip), Some(port)) => port
            .parse()
            .map_or(Node::Hidden, |port: u16| address(ip, port)),
        _ => Node::Hidden,
    }
}

/// The parts of a `Forwarded` value, taken from its front.
struct Pairs<'a>(&'a [u8]);

impl Pairs<'_> {
    /// `name=value`, the name in lower case, or nothing where a separator
    /// stands; `None` where it is neither.
    fn pair(&mut self) -> Option<Option<(String, String)>> {
        self.0 = self.0.trim_ascii_start();
        if matches!(self.0.first(), None | Some(b';' | b',')) {
            return Some(None);
        }
        let equals = self.0.iter().position(|&byte| byte == b'=')?;
        let name = std::str::from_utf8(&self.0[..equals]).ok()?;
        if !crate::wire::ws::handshake::is_token(name) {
            return None;
        }
        let name = name.to_ascii_lowercase();
        self.0 = &self.0[equals + 1..];
        let value = match self.0.strip_prefix(b"\"") {
            Some(rest) => {
                self.0 = rest;
                self.quoted()?
            }
            None => self.bare()?,
        };
        Some(Some((name, value)))
    }

    /// A value without quotes. An address with a colon needs some (section 4),
    /// but senders forget them, and what is meant is plain.
    fn bare(&mut self) -> Option<String> {
        let ends = |byte: &u8| matches!(byte, b';' | b',' | b' ' | b'\t');
        let end = self.0.iter().position(ends).unwrap_or(self.0.len());
        let (value, rest) = self.0.split_at(end);
        self.0 = rest;
        let plain = |&byte: &u8| byte.is_ascii_graphic() && !b"\"\\=".contains(&byte);
        let good = !value.is_empty() && value.iter().all(plain);
        good.then(|| String::from_utf8_lossy(value).into_owned())
    }

    /// The rest of a quoted string (RFC 9110 section 5.6.4).
    fn quoted(&mut self) -> Option<String> {
        let mut value = Vec::new();
        loop {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            match byte {
                b'"' => return Some(String::from_utf8_lossy(&value).into_owned()),
                b'\\' => {
                    let (&escaped, rest) = self.0.split_first()?;
                    self.0 = rest;
                    value.push(escaped);
                }
                byte => value.push(byte),
            }
        }
    }

    /// `;` or `,`, or nothing at the end; `None` where it is neither.
    fn separator(&mut self) -> Option<Option<u8>> {
        self.0 = self.0.trim_ascii_start();
        match self.0.split_first() {
            None => Some(None),
            Some((&byte @ (b';' | b','), rest)) => {
                self.0 = rest;
                Some(Some(byte))
            }
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Node {
        Node::Address(text.parse().unwrap())
    }

    #[test]
    fn an_address_is_read_in_each_form_that_proxies_write() {
        for (text, expected) in [
            ("192.0.2.43", address("192.0.2.43:0")),
            ("192.0.2.43:47011", address("192.0.2.43:47011")),
            ("192.0.2.43:_gazonk", address("192.0.2.43:0")),
            ("2001:db8::1", address("[2001:db8::1]:0")),
            ("[2001:db8:cafe::17]", address("[2001:db8:cafe::17]:0")),
            (
                "[2001:db8:cafe::17]:4711",
                address("[2001:db8:cafe::17]:4711"),
            ),
            ("[2001:db8::17]:_x", address("[2001:db8::17]:0")),
            // An IPv4 client is one, whatever the socket says.
            ("::ffff:192.0.2.43", address("192.0.2.43:0")),
            ("[::ffff:192.0.2.43]:7", address("192.0.2.43:7")),
            ("unknown", Node::Hidden),
            ("_gazonk", Node::Hidden),
            ("", Node::Hidden),
            ("localhost", Node::Hidden),
            ("[192.0.2.43]", Node::Hidden),
            ("[2001:db8::1", Node::Hidden),
            ("[2001:db8::1]x", Node::Hidden),
            ("[2001:db8::1]:", Node::Hidden),
            ("192.0.2.43:", Node::Hidden),
            ("192.0.2.43:65536", Node::Hidden),
            ("192.0.2.43 ", Node::Hidden),
            ("192.0.2.043", Node::Hidden),
            ("192.0.2.1, 192.0.2.2", Node::Hidden),
        ] {
            assert_eq!(node(text), expected, "{text}");
        }
    }

    #[test]
    fn forwarded_is_read_as_its_rfc_writes_it() {
        let hop = |node: Node, https: bool| Hop { node, https };
        let (a, b) = (address("192.0.2.43:0"), address("198.51.100.17:0"));
        for (values, expected) in [
            // Section 4.
            (&["for=\"_gazonk\""][..], vec![hop(Node::Hidden, false)]),
            (
                &["For=\"[2001:db8:cafe::17]:4711\""],
                vec![hop(address("[2001:db8:cafe::17]:4711"), false)],
            ),
            (
                &["for=192.0.2.60;proto=http;by=203.0.113.43"],
                vec![hop(address("192.0.2.60:0"), false)],
            ),
            (
                &["for=192.0.2.43, for=198.51.100.17"],
                vec![hop(a, false), hop(b, false)],
            ),
            // Section 7.1: one field, or several.
            (
                &["for=192.0.2.43", "for=198.51.100.17"],
                vec![hop(a, false), hop(b, false)],
            ),
            (
                &["for=192.0.2.43;proto=HTTPS , proto=https;FOR=198.51.100.17"],
                vec![hop(a, true), hop(b, true)],
            ),
            (&["proto=https"], vec![hop(Node::Unsaid, true)]),
            (
                &["by=_x;host=\"a;b, c\\\"d\";for=unknown"],
                vec![hop(Node::Hidden, false)],
            ),
            (&["", " , ;; ,for=192.0.2.43; "], vec![hop(a, false)]),
            // Without the quotes that it needs.
            (
                &["for=[2001:db8::1]:80;proto=https"],
                vec![hop(address("[2001:db8::1]:80"), true)],
            ),
            // A quoted comma is no end of a hop.
            (
                &["for=\"192.0.2.1, for=192.0.2.2\", for=192.0.2.43"],
                vec![hop(Node::Hidden, false), hop(a, false)],
            ),
            (&[], vec![]),
        ] {
            let read = forwarded(values.iter().map(|value| value.as_bytes()));
            assert_eq!(read, Some(expected), "{values:?}");
        }
    }

    #[test]
    fn forwarded_that_breaks_the_syntax_is_not_read_at_all() {
        for value in [
            "for",
            "for=",
            "=x",
            "for =192.0.2.1",
            "for= 192.0.2.1",
            "for=192.0.2.1 x",
            "192.0.2.1",
            "for=192.0.2.1;for=192.0.2.2",
            "for=\"192.0.2.1",
            "for=\"192.0.2.1, for=192.0.2.43",
            "for=\"192.0.2.1\\",
            "for=\"192.0.2.1\"x",
            "for=192.0.2.1\"",
            "f\u{f6}r=192.0.2.1",
            "for=192.0.2.\u{661}",
        ] {
            let values = ["for=198.51.100.17", value];
            let read = forwarded(values.iter().map(|value| value.as_bytes()));
            assert_eq!(read, None, "{value}");
        }
    }

    #[test]
    fn of_thousands_of_parameters_none_may_stand_twice() {
        let many: String = (0..4000).map(|n| format!(";x{n:x}=y")).collect();
        let hop = Hop {
            node: address("192.0.2.43:0"),
            https: true,
        };
        for (end, expected) in [("proto=https", Some(vec![hop])), ("xf9f=y", None)] {
            let value = format!("for=192.0.2.43{many};{end}");
            assert_eq!(forwarded([value.as_bytes()].into_iter()), expected);
        }
    }

    #[test]
    fn x_forwarded_for_keeps_the_place_of_what_it_cannot_read() {
        let values: [&[u8]; 4] = [
            b"192.0.2.43, nonsense,\t[2001:db8::1]:80",
            b"",
            b",, \xff ,",
            b"198.51.100.17:7",
        ];
        assert_eq!(
            x_forwarded_for(values.into_iter()),
            [
                address("192.0.2.43:0"),
                Node::Hidden,
                address("[2001:db8::1]:80"),
                Node::Hidden,
                address("198.51.100.17:7"),
            ]
        );
    }
}
