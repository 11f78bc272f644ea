//! What the backend is told before anything of the client's: a PROXY header,
//! and behind it the greeting, as the route has them.

use super::greeting::Facts;
use super::policy::{Route, host};
use crate::net::Peer;
use crate::wire::proxy_protocol::{Addresses, Extras, Header};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What is known of the connection itself.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// What the client connected to; `None` on a Unix socket.
    pub destination: Option<SocketAddr>,
    /// What is known of its TLS, and its name.
    pub extras: Extras,
}

/// The bytes to send first; empty where the route asks for none.
pub fn preface(route: &Route, facts: &Facts<'_>, connection: &Connection) -> Vec<u8> {
    let mut bytes = match route.send_proxy {
        Some(version) => header(facts, connection).bytes(version),
        None => Vec::new(),
    };
    route.greeting.write(facts, &mut bytes);
    bytes
}

fn header(facts: &Facts<'_>, connection: &Connection) -> Header {
    let mut extras = connection.extras.clone();
    if extras.authority.is_none() {
        extras.authority = host::authority(facts.host).map(|(name, _)| name.to_owned());
    }
    let addresses = match facts.client {
        Peer::Tcp(source) => Some(Addresses {
            source,
            destination: connection.destination.unwrap_or(unknown_like(source)),
        }),
        Peer::Unix => None,
    };
    Header { addresses, extras }
}

/// The client is known through a proxy on a Unix socket, and what it connected
/// to is not. The protocol has no header with one address, and the client's is
/// the one that matters.
fn unknown_like(source: SocketAddr) -> SocketAddr {
    let ip: IpAddr = match source {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(ip, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::proxy_protocol::{Parsed, Version, parse};

    fn facts(client: Peer) -> Facts<'static> {
        Facts {
            client,
            host: "example.org:8080",
            path: "/",
            query: "",
            origin: "",
            subprotocol: "",
            subject: "",
            common_name: "",
            alternative_names: &[],
        }
    }

    fn say(version: Option<Version>, client: &str, destination: Option<&str>) -> Vec<u8> {
        let route = Route {
            send_proxy: version,
            greeting: "hello %a\n".parse().unwrap(),
            ..Route::default()
        };
        let client = match client {
            "unix" => Peer::Unix,
            _ => Peer::Tcp(client.parse().unwrap()),
        };
        let connection = Connection {
            destination: destination.map(|text| text.parse().unwrap()),
            extras: Extras {
                unique_id: Some(b"1-17".into()),
                ..Extras::default()
            },
        };
        preface(&route, &facts(client), &connection)
    }

    #[test]
    fn the_header_goes_before_the_greeting() {
        for (client, destination, expected) in [
            (
                "192.0.2.1:4711",
                Some("198.51.100.1:80"),
                "PROXY TCP4 192.0.2.1 198.51.100.1 4711 80\r\nhello 192.0.2.1\n",
            ),
            (
                "[2001:db8::1]:0",
                Some("198.51.100.1:80"),
                "PROXY TCP6 2001:db8::1 ::ffff:198.51.100.1 0 80\r\nhello 2001:db8::1\n",
            ),
            (
                "192.0.2.1:0",
                None,
                "PROXY TCP4 192.0.2.1 0.0.0.0 0 0\r\nhello 192.0.2.1\n",
            ),
            ("unix", None, "PROXY UNKNOWN\r\nhello unix\n"),
        ] {
            let said = say(Some(Version::V1), client, destination);
            assert_eq!(String::from_utf8(said).unwrap(), expected);
        }
        assert_eq!(say(None, "192.0.2.1:1", None), b"hello 192.0.2.1\n");
    }

    #[test]
    fn version_2_names_the_host_and_the_connection() {
        for (client, expected) in [("192.0.2.1:4711", true), ("unix", false)] {
            let said = say(Some(Version::V2), client, Some("198.51.100.1:80"));
            let Ok(Parsed::Done { len, header }) = parse(&said) else {
                panic!("{said:?}")
            };
            assert_eq!(header.addresses.is_some(), expected);
            assert_eq!(header.extras.authority.as_deref(), Some("example.org"));
            assert_eq!(header.extras.unique_id.as_deref(), Some(&b"1-17"[..]));
            assert_eq!(&said[len..len + 6], b"hello ");
        }
    }
}
