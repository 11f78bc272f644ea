//! Who the client is, where a proxy stands in between.
//!
//! What a header says is worth as much as whoever sent it. From an address that
//! is not in `trusted-proxies` nothing is believed. A trusted one says who
//! connected to it, and if that is a trusted one too, what it was told counts
//! in turn, and so on from right to left: the client is the first that is not
//! trusted. What cannot be read, or is hidden, ends the walk where it stands.
//!
//! `Forwarded` goes before `X-Forwarded-For`, and that before `X-Real-IP`. A
//! proxy sets one or two of them and passes on what a client put into the
//! others, so where they name different clients one is forged, and nobody can
//! know which: such a request is refused.

use crate::cidr::Cidr;
use crate::net::Peer;
use crate::wire::Refusal;
use crate::wire::http::Request;
use crate::wire::http::forwarded::{self, Node};
use std::net::IpAddr;
use std::str::FromStr;

/// Who may say for whom it speaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trusted(pub Vec<TrustedProxy>);

/// One entry of the option `trusted-proxies`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustedProxy {
    /// Whoever connects from this network.
    Network(Cidr),
    /// Whoever connects to a Unix socket.
    Unix,
}

impl Trusted {
    /// Whether this peer is believed.
    pub fn trusts(&self, peer: Peer) -> bool {
        self.0.iter().any(|proxy| match (proxy, peer) {
            (TrustedProxy::Network(network), Peer::Tcp(address)) => network.contains(address.ip()),
            (TrustedProxy::Unix, Peer::Unix) => true,
            _ => false,
        })
    }

    /// Whether this peer is a proxy, which owes a PROXY header where those are
    /// taken. Who may open a Unix socket is the file system's to say.
    pub fn is_proxy(&self, peer: Peer) -> bool {
        peer == Peer::Unix || self.trusts(peer)
    }

    /// Whether any address at all is believed.
    pub fn has_networks(&self) -> bool {
        self.0.iter().any(|proxy| *proxy != TrustedProxy::Unix)
    }
}

impl FromStr for TrustedProxy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "unix" => Ok(TrustedProxy::Unix),
            _ => text
                .parse()
                .map(TrustedProxy::Network)
                .map_err(|why| format!("{why}; or unix for whoever connects to a Unix socket")),
        }
    }
}

/// The client of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Where it is; port 0 where the port is not known.
    pub address: Peer,
    /// Whether it is known that the request came over TLS.
    pub https: bool,
}

/// The way from the peer to the client, as one header has it.
struct Walk {
    /// The peer first, the client last.
    path: Vec<Peer>,
    /// How many hops were taken, from the right.
    hops: usize,
}

impl Walk {
    /// Goes from `peer` along the nodes, the last one first.
    fn along(nodes: impl Iterator<Item = Node>, peer: Peer, trusted: &Trusted) -> Walk {
        let mut walk = Walk {
            path: vec![peer],
            hops: 0,
        };
        for node in nodes {
            let Node::Address(address) = node else { break };
            walk.path.push(Peer::Tcp(address));
            walk.hops += 1;
            if !trusted.trusts(Peer::Tcp(address)) {
                break;
            }
        }
        walk
    }

    fn client(&self) -> Peer {
        self.path[self.path.len() - 1]
    }

    fn passes(&self, ip: IpAddr) -> bool {
        self.path.iter().any(|peer| peer.ip() == Some(ip))
    }
}

/// Finds the client of a request that `peer` sent.
///
/// # Errors
/// That a trusted proxy's headers cannot be read, or contradict each other.
pub fn identify(request: &Request<'_>, peer: Peer, trusted: &Trusted) -> Result<Client, Refusal> {
    if !trusted.trusts(peer) {
        return Ok(Client {
            address: peer,
            https: false,
        });
    }
    let hops = forwarded::forwarded(request.lines("Forwarded")).ok_or(Refusal::BadRequest(
        "the Forwarded header does not follow RFC 7239",
    ))?;
    let nodes = || hops.iter().rev().map(|hop| hop.node);
    // A proxy may tell the protocol alone.
    let by_rfc = nodes()
        .any(|node| node != Node::Unsaid)
        .then(|| Walk::along(nodes(), peer, trusted));
    let listed = forwarded::x_forwarded_for(request.lines("X-Forwarded-For"));
    let by_list =
        (!listed.is_empty()).then(|| Walk::along(listed.into_iter().rev(), peer, trusted));
    let told = by_rfc.as_ref().map_or(1, |walk| walk.hops.max(1));
    let https = hops.iter().rev().take(told).any(|hop| hop.https) || says_https(request);
    Ok(Client {
        address: agreed(by_rfc, by_list, real_ip(request), peer)?,
        https,
    })
}

/// The client that all of the headers agree on.
fn agreed(
    by_rfc: Option<Walk>,
    by_list: Option<Walk>,
    real: Option<Peer>,
    peer: Peer,
) -> Result<Peer, Refusal> {
    if let (Some(one), Some(other)) = (&by_rfc, &by_list) {
        if one.client().ip() != other.client().ip() {
            return Err(Refusal::BadRequest(
                "Forwarded and X-Forwarded-For name different clients",
            ));
        }
    }
    match (by_rfc.or(by_list), real) {
        (None, real) => Ok(real.unwrap_or(peer)),
        // It may name the proxy before the last one, which is on the way.
        (Some(walk), Some(real)) if !real.ip().is_some_and(|ip| walk.passes(ip)) => Err(
            Refusal::BadRequest("X-Real-IP is not on the way that the other headers have"),
        ),
        (Some(walk), _) => Ok(walk.client()),
    }
}

fn real_ip(request: &Request<'_>) -> Option<Peer> {
    match forwarded::node(request.single("X-Real-IP")?) {
        Node::Address(address) => Some(Peer::Tcp(address)),
        _ => None,
    }
}

/// The nearest proxy's word is the last one.
fn says_https(request: &Request<'_>) -> bool {
    let said = request.elements("X-Forwarded-Proto").last();
    said.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted(list: &[&str]) -> Trusted {
        Trusted(list.iter().map(|text| text.parse().unwrap()).collect())
    }

    fn peer(text: &str) -> Peer {
        match text {
            "unix" => Peer::Unix,
            _ => Peer::Tcp(text.parse().unwrap()),
        }
    }

    /// The client of a request with these headers from 10.0.0.1.
    fn client_of(headers: &[&str]) -> Result<Client, Refusal> {
        client_from(
            "10.0.0.1:3344",
            &["10.0.0.0/8", "2001:db8:aa::/48"],
            headers,
        )
    }

    fn client_from(from: &str, list: &[&str], headers: &[&str]) -> Result<Client, Refusal> {
        let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let head = format!("GET / HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
        let request = Request::parse(head.as_bytes()).unwrap().unwrap();
        identify(&request, peer(from), &trusted(list))
    }

    const SPOOF: [&str; 4] = [
        "Forwarded: for=192.0.2.66;proto=https",
        "X-Forwarded-For: 192.0.2.66",
        "X-Real-IP: 192.0.2.66",
        "X-Forwarded-Proto: https",
    ];

    #[test]
    fn an_untrusted_peer_is_who_it_is_whatever_it_says() {
        for (from, list) in [
            ("203.0.113.9:1", &[][..]),
            ("203.0.113.9:1", &["10.0.0.0/8", "unix"]),
            ("unix", &[]),
            ("unix", &["0.0.0.0/0", "::/0"]),
            ("[2001:db8::1]:1", &["unix", "0.0.0.0/0"]),
        ] {
            let expected = Client {
                address: peer(from),
                https: false,
            };
            assert_eq!(client_from(from, list, &SPOOF), Ok(expected), "{from}");
        }
    }

    #[test]
    fn a_trusted_peer_is_believed() {
        for (from, list) in [
            ("10.0.0.1:1", &["10.0.0.0/8"][..]),
            ("[::ffff:10.0.0.1]:1", &["10.0.0.0/8"]),
            ("unix", &["unix"]),
        ] {
            let expected = Client {
                address: peer("192.0.2.66:0"),
                https: true,
            };
            assert_eq!(client_from(from, list, &SPOOF), Ok(expected), "{from}");
        }
    }

    #[test]
    fn the_client_is_the_first_from_the_right_that_is_not_trusted() {
        for (headers, expected) in [
            (&[][..], "10.0.0.1:3344"),
            (&["X-Forwarded-For: 203.0.113.9"], "203.0.113.9:0"),
            (&["X-Forwarded-For: 203.0.113.9:47"], "203.0.113.9:47"),
            (
                &["X-Forwarded-For: 192.0.2.66, 203.0.113.9"],
                "203.0.113.9:0",
            ),
            (
                &["X-Forwarded-For: 192.0.2.66, 203.0.113.9, 10.0.0.3,10.0.0.2"],
                "203.0.113.9:0",
            ),
            (
                &[
                    "X-Forwarded-For: 192.0.2.66",
                    "X-Forwarded-For: 203.0.113.9",
                ],
                "203.0.113.9:0",
            ),
            (
                &["X-Forwarded-For: 2001:db8::9, 2001:db8:aa::1"],
                "[2001:db8::9]:0",
            ),
            // All of them are trusted: the farthest.
            (&["X-Forwarded-For: 10.0.0.3, 10.0.0.2"], "10.0.0.3:0"),
            // What is hidden ends the walk, and nothing beyond it is believed.
            (&["X-Forwarded-For: 192.0.2.66, unknown"], "10.0.0.1:3344"),
            (
                &["X-Forwarded-For: 192.0.2.66, nonsense, 10.0.0.2"],
                "10.0.0.2:0",
            ),
            (
                &[
                    "X-Forwarded-For: 192.0.2.66",
                    "X-Forwarded-For: \u{fffd}, 10.0.0.2",
                ],
                "10.0.0.2:0",
            ),
            (
                &["Forwarded: for=192.0.2.66, for=\"[2001:db8::9]:47\", for=10.0.0.2"],
                "[2001:db8::9]:47",
            ),
            (
                &["Forwarded: for=192.0.2.66, for=unknown, for=10.0.0.2"],
                "10.0.0.2:0",
            ),
            (&["Forwarded: for=192.0.2.66, for=_hidden"], "10.0.0.1:3344"),
            (&["Forwarded: for=192.0.2.66, proto=https"], "10.0.0.1:3344"),
            (&["X-Real-IP: 203.0.113.9"], "203.0.113.9:0"),
            (
                &["X-Real-IP: 203.0.113.9", "X-Real-IP: 192.0.2.66"],
                "10.0.0.1:3344",
            ),
            (&["X-Real-IP: nonsense"], "10.0.0.1:3344"),
        ] {
            let found = client_of(headers).map(|client| client.address);
            assert_eq!(found, Ok(peer(expected)), "{headers:?}");
        }
    }

    #[test]
    fn headers_that_agree_are_one_word_and_others_are_refused() {
        for (headers, expected) in [
            (
                &[
                    "Forwarded: for=\"203.0.113.9:47\"",
                    "X-Forwarded-For: 203.0.113.9",
                    "X-Real-IP: 203.0.113.9",
                ][..],
                Some("203.0.113.9:47"),
            ),
            // X-Real-IP is the peer of the last proxy alone.
            (
                &[
                    "X-Forwarded-For: 203.0.113.9, 10.0.0.2",
                    "X-Real-IP: 10.0.0.2",
                ],
                Some("203.0.113.9:0"),
            ),
            // The protocol alone is no word about the client.
            (
                &["Forwarded: proto=https", "X-Forwarded-For: 203.0.113.9"],
                Some("203.0.113.9:0"),
            ),
            (
                &["X-Forwarded-For: 203.0.113.9", "X-Real-IP: nonsense"],
                Some("203.0.113.9:0"),
            ),
            // A proxy that knows one of them passes on what a client forged in
            // the other.
            (
                &["Forwarded: for=192.0.2.66", "X-Forwarded-For: 203.0.113.9"],
                None,
            ),
            (
                &["Forwarded: for=unknown", "X-Forwarded-For: 203.0.113.9"],
                None,
            ),
            (
                &["X-Forwarded-For: 192.0.2.66", "X-Real-IP: 203.0.113.9"],
                None,
            ),
            (
                &["Forwarded: for=192.0.2.66", "X-Real-IP: 203.0.113.9"],
                None,
            ),
            (
                &["X-Forwarded-For: unknown", "X-Real-IP: 203.0.113.9"],
                None,
            ),
            (&["Forwarded: for=\"192.0.2.66, for=203.0.113.9"], None),
        ] {
            let found = client_of(headers);
            match expected {
                Some(address) => assert_eq!(found.map(|c| c.address), Ok(peer(address))),
                None => assert_eq!(found.map_err(|r| r.status()), Err(400), "{headers:?}"),
            }
        }
    }

    #[test]
    fn the_scheme_is_what_the_nearest_proxy_says() {
        for (headers, expected) in [
            (&[][..], false),
            (&["X-Forwarded-Proto: https"], true),
            (&["X-Forwarded-Proto: HTTPS"], true),
            (&["X-Forwarded-Proto: http"], false),
            (&["X-Forwarded-Proto: wss"], false),
            (&["X-Forwarded-Proto: http, https"], true),
            (&["X-Forwarded-Proto: https, http"], false),
            (
                &["X-Forwarded-Proto: https", "X-Forwarded-Proto: http"],
                false,
            ),
            (&["Forwarded: proto=https"], true),
            (&["Forwarded: for=203.0.113.9;proto=https"], true),
            (&["Forwarded: for=203.0.113.9;proto=http"], false),
            (
                &["Forwarded: for=203.0.113.9;proto=https, for=10.0.0.2"],
                true,
            ),
            (
                &["Forwarded: for=192.0.2.66;proto=https, for=203.0.113.9"],
                false,
            ),
        ] {
            let found = client_of(headers).map(|client| client.https);
            assert_eq!(found, Ok(expected), "{headers:?}");
        }
    }

    #[test]
    fn an_entry_is_a_network_or_unix() {
        let trusted = trusted(&["10.0.0.0/8", "unix"]);
        assert!(trusted.has_networks());
        assert!(!Trusted(vec![TrustedProxy::Unix]).has_networks());
        let error = "localhost".parse::<TrustedProxy>().unwrap_err();
        assert!(error.ends_with("; or unix for whoever connects to a Unix socket"));
    }
}
