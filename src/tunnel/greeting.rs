//! The option `greeting`: a template of what a backend is told first.
//!
//! What a client chose, it cannot use to say more than its field: whatever
//! RFC 3986 does not allow in a URI, so line breaks, spaces, quotes, control
//! and non-ASCII characters, is percent-encoded, and one pass of decoding gives
//! the value back. The Host, path, query and origin are in that encoding
//! already, so their `%` stays; in the other fields it becomes `%25`. A comma
//! within an alternative name is `%2C`, since one stands between two of them.
//!
//! | letter | field |
//! |---|---|
//! | `%a` | the client's address; `unix` on a Unix socket |
//! | `%h` | the client's host name, or its address: names are not looked up |
//! | `%p` | the client's port, 0 where it is not known |
//! | `%H` | the Host header |
//! | `%u` | the path |
//! | `%q` | the query, without its question mark |
//! | `%o` | the origin |
//! | `%s` | the subprotocol |
//! | `%t` | the subject of the client's token |
//! | `%c` | the common name in the client's certificate, if that was verified |
//! | `%C` | the alternative names in it, like `DNS:a.example,IP:192.0.2.1` |
//! | `%%` | a percent sign |
//!
//! What a client does not have is empty.

use crate::net::{AlternativeName, Peer};
use std::str::FromStr;

/// What is known of a tunnel's client.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Where it is.
    pub client: Peer,
    /// The Host header.
    pub host: &'a str,
    /// The path as it was sent.
    pub path: &'a str,
    /// The query as it was sent.
    pub query: &'a str,
    /// The origin; empty if there is none.
    pub origin: &'a str,
    /// The subprotocol that the answer names; empty if there is none.
    pub subprotocol: &'a str,
    /// The subject of its token; empty if there is none.
    pub subject: &'a str,
    /// The common name in its certificate, if that was verified, or empty.
    pub common_name: &'a str,
    /// The alternative names in a certificate that was shown to adit itself.
    pub alternative_names: &'a [AlternativeName],
}

/// What stands for a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Address,
    Port,
    Host,
    Path,
    Query,
    Origin,
    Subprotocol,
    Subject,
    CommonName,
    AlternativeNames,
}

const FIELDS: [(char, Field); 11] = [
    ('a', Field::Address),
    ('h', Field::Address),
    ('p', Field::Port),
    ('H', Field::Host),
    ('u', Field::Path),
    ('q', Field::Query),
    ('o', Field::Origin),
    ('s', Field::Subprotocol),
    ('t', Field::Subject),
    ('c', Field::CommonName),
    ('C', Field::AlternativeNames),
];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(Field),
}

/// A template, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Greeting(Vec<Piece>);

impl FromStr for Greeting {
    type Err = String;

    fn from_str(template: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut chars = template.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                text.push(c);
                continue;
            }
            let letter = chars.next().ok_or("a % at the end; write %%")?;
            if letter == '%' {
                text.push('%');
                continue;
            }
            let Some(&(_, field)) = FIELDS.iter().find(|(known, _)| *known == letter) else {
                return Err(format!(
                    "%{} stands for nothing; write {} or %%",
                    letter.escape_debug(),
                    FIELDS.map(|(letter, _)| format!("%{letter}")).join(", ")
                ));
            };
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(Piece::Field(field));
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Ok(Greeting(pieces))
    }
}

impl Greeting {
    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Says it for one client.
    pub fn write(&self, facts: &Facts<'_>, out: &mut Vec<u8>) {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Field(field) => field.write(facts, out),
            }
        }
    }
}

impl Field {
    fn write(self, facts: &Facts<'_>, out: &mut Vec<u8>) {
        let mut free = |value: &str| escape(value, "%", out);
        match self {
            Field::Address => free(&address(facts.client)),
            Field::Port => free(&port(facts.client)),
            Field::Subprotocol => free(facts.subprotocol),
            Field::Subject => free(facts.subject),
            Field::CommonName => free(facts.common_name),
            Field::AlternativeNames => {
                for (index, AlternativeName { kind, name }) in (0..).zip(facts.alternative_names) {
                    let comma = if index > 0 { "," } else { "" };
                    out.extend_from_slice(format!("{comma}{kind}:").as_bytes());
                    escape(name, "%,", out);
                }
            }
            Field::Host => escape(facts.host, "", out),
            Field::Path => escape(facts.path, "", out),
            Field::Query => escape(facts.query, "", out),
            Field::Origin => escape(facts.origin, "", out),
        }
    }
}

/// IRC would take a colon in front for the beginning of the last parameter, so
/// there `::1` is `0::1`, which is the same address everywhere.
fn address(client: Peer) -> String {
    match client.ip().map(|ip| ip.to_string()) {
        Some(text) if text.starts_with(':') => format!("0{text}"),
        Some(text) => text,
        None => client.to_string(),
    }
}

fn port(client: Peer) -> String {
    match client {
        Peer::Tcp(address) => address.port().to_string(),
        Peer::Unix => "0".to_owned(),
    }
}

/// Appends the value so that it cannot leave its field; `too` are characters
/// that a URI may have and the field may not.
fn escape(value: &str, too: &str, out: &mut Vec<u8>) {
    for byte in value.bytes() {
        let in_uri = byte.is_ascii_alphanumeric() || b"%-._~:/?#[]@!$&'()*+,;=".contains(&byte);
        if in_uri && !too.as_bytes().contains(&byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(client: &str) -> Facts<'static> {
        Facts {
            client: match client {
                "unix" => Peer::Unix,
                _ => Peer::Tcp(client.parse().unwrap()),
            },
            host: "example.org:8080",
            path: "/a/%20b",
            query: "c=d&e",
            origin: "https://example.org",
            subprotocol: "text.ircv3.net",
            subject: "alice",
            common_name: "Alice A",
            alternative_names: &[],
        }
    }

    fn names(names: &[(&'static str, &str)]) -> Vec<AlternativeName> {
        let of = |&(kind, name): &(_, &str)| AlternativeName {
            kind,
            name: name.to_owned(),
        };
        names.iter().map(of).collect()
    }

    fn say(template: &str, facts: &Facts<'_>) -> String {
        let mut out = Vec::new();
        template.parse::<Greeting>().unwrap().write(facts, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_letter_stands_for_its_field() {
        let facts = facts("192.0.2.1:4711");
        for (template, expected) in [
            ("", ""),
            ("plain\r\n", "plain\r\n"),
            (
                "WEBIRC pw adit %h %a\r\n",
                "WEBIRC pw adit 192.0.2.1 192.0.2.1\r\n",
            ),
            ("%a", "192.0.2.1"),
            ("%p", "4711"),
            ("%H", "example.org:8080"),
            ("%u", "/a/%20b"),
            ("%q", "c=d&e"),
            ("%o", "https://example.org"),
            ("%s", "text.ircv3.net"),
            ("%t", "alice"),
            ("%c", "Alice%20A"),
            ("%C", ""),
            ("100%%%p%%a", "100%4711%a"),
        ] {
            assert_eq!(say(template, &facts), expected, "{template}");
        }
    }

    #[test]
    fn an_address_has_no_colon_in_front() {
        for (client, expected) in [
            ("[::1]:80", "0::1 0::1 80"),
            ("[2001:db8::1]:80", "2001:db8::1 2001:db8::1 80"),
            ("[::ffff:192.0.2.1]:80", "192.0.2.1 192.0.2.1 80"),
            ("192.0.2.1:0", "192.0.2.1 192.0.2.1 0"),
            ("unix", "unix unix 0"),
        ] {
            assert_eq!(say("%a %h %p", &facts(client)), expected);
        }
    }

    #[test]
    fn no_value_can_leave_its_field() {
        let all: String = (0..=0x10_u32)
            .chain(0x1e..0x80)
            .chain([0x85, 0xa0, 0x2028, 0x1f600])
            .filter_map(char::from_u32)
            .collect();
        let facts = Facts {
            client: Peer::Unix,
            host: &all,
            path: &all,
            query: &all,
            origin: &all,
            subprotocol: &all,
            subject: &all,
            common_name: &all,
            alternative_names: &names(&[("DNS", &all), ("URI", &all)]),
        };
        for letter in FIELDS.map(|(letter, _)| letter) {
            let said = say(&format!("%{letter}"), &facts);
            let safe = |b: u8| b.is_ascii_graphic() && !b"\"\\<>^`{|}".contains(&b);
            assert!(said.bytes().all(safe), "%{letter}: {said}");
        }
    }

    #[test]
    fn alternative_names_are_told_apart_by_commas() {
        for (certificate, expected) in [
            (&[("DNS", "a.example")][..], "DNS:a.example"),
            (
                &[
                    ("email", "a@b"),
                    ("URI", "x:y,DNS:z"),
                    ("IP", "2001:db8::1"),
                ],
                "email:a@b,URI:x:y%2CDNS:z,IP:2001:db8::1",
            ),
            (&[("URI", "a%2Cb c\r\n")], "URI:a%252Cb%20c%0D%0A"),
        ] {
            let facts = Facts {
                alternative_names: &names(certificate),
                ..facts("unix")
            };
            assert_eq!(say("%C", &facts), expected);
        }
    }

    #[test]
    fn one_pass_of_decoding_gives_the_value_back() {
        let facts = Facts {
            subject: "a%20b \u{e9}\r\n",
            path: "/a%20b",
            ..facts("unix")
        };
        assert_eq!(say("%t", &facts), "a%2520b%20%C3%A9%0D%0A");
        assert_eq!(say("%u", &facts), "/a%20b");
    }

    #[test]
    fn an_unknown_letter_is_named_with_those_that_are_known() {
        for (template, error) in [
            (
                "WEBIRC %x",
                "%x stands for nothing; write %a, %h, %p, %H, %u, %q, %o, %s, %t, %c, %C or %%",
            ),
            ("%A", "%A stands for nothing"),
            ("% ", "%  stands for nothing"),
            ("%\r", "%\\r stands for nothing"),
            ("100%", "a % at the end; write %%"),
            ("%%%", "a % at the end; write %%"),
        ] {
            let found = template.parse::<Greeting>().unwrap_err();
            assert!(found.starts_with(error), "{template}: {found}");
        }
    }
}
