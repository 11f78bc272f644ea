//! What comes before messages: requests, answers, PROXY headers.

use super::Choices;
use crate::address::Listen;
use crate::cidr::Cidr;
use crate::net::Peer;
use crate::tunnel::Need;
use crate::tunnel::identity::{Trusted, TrustedProxy, identify};
use crate::tunnel::policy::{self, Route};
use crate::tunnel::world::World;
use crate::wire::dialogue::{Talk, talk};
use crate::wire::http::{Connect, Request};
use crate::wire::proxy_protocol::{self, Header, Parsed, Version};
use crate::wire::socks::Socks;
use crate::wire::ws::client_handshake::{ClientHandshake, ClientRequest};
use crate::wire::ws::handshake::Upgrade;

/// A request head: a client hears the same wherever it is cut.
pub(super) fn request(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let path = choices.one_of(&["/", "/chat"]);
    let mut cuts = choices.cuts();
    let head = choices.0;
    judge(head);
    // A head that is not whole is judged where it may end; this one ends.
    let head = [head, b"\r\n\r\n"].concat();
    let route = || Route {
        path: path.to_owned(),
        ..Route::default()
    };
    let whole = open(route(), &[&head]);
    assert_eq!(open(route(), &cuts.cut(&head)), whole);
}

/// What a client hears that says this, and what its tunnel waits for.
fn open(route: Route, pieces: &[&[u8]]) -> (Need, Vec<u8>) {
    let mut world = World::connected(route);
    let mut need = Need::Event;
    for piece in pieces {
        world.client_sends(piece);
        // It waits for its backend whatever comes behind the head.
        match world.pump() {
            Need::Event => {}
            other => need = other,
        }
    }
    (need, world.take_client_received())
}

/// Reads all that can be read out of a request.
fn judge(head: &[u8]) {
    let Ok(Some(request)) = Request::parse(head) else {
        return;
    };
    assert!(request.len <= head.len());
    let everybody = Cidr::around("192.0.2.1".parse().expect("an address"), 8);
    let trusted = Trusted(vec![TrustedProxy::Network(everybody)]);
    let proxy = Peer::Tcp("192.0.2.1:1".parse().expect("an address"));
    let _ = identify(&request, proxy, &trusted);
    let Ok(upgrade) = Upgrade::read(&request) else {
        return;
    };
    assert_eq!(upgrade.accept().len(), 28);
    let asked = policy::Request {
        host: request.host,
        https: false,
        path: request.path,
        origin: request.single("Origin"),
        subprotocols: upgrade.subprotocols,
    };
    let listener: Listen = "80".parse().expect("a port");
    let _ = policy::choose(&[Route::default()], &listener, &asked);
}

/// What a server or a proxy answers: how it is understood does not depend on
/// the cuts.
pub(super) fn answers(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let kind = choices.byte() % 4;
    let mut cuts = choices.cuts();
    let pieces = cuts.cut(choices.0);
    let whole = hear(kind, &[choices.0]);
    let cut = hear(kind, &pieces);
    match (cut, whole) {
        (Ok((said, rest)), Ok((whole_said, whole_rest))) => {
            assert_eq!(said, whole_said);
            assert_eq!(rest.is_some(), whole_rest.is_some());
            // Not all that is behind it had come.
            let (rest, whole) = (rest.unwrap_or_default(), whole_rest.unwrap_or_default());
            assert!(whole.starts_with(&rest));
        }
        // The words may show as much of an answer as had come.
        (cut, whole) => assert_eq!(cut.is_err(), whole.is_err()),
    }
}

fn hear(kind: u8, pieces: &[&[u8]]) -> Talk {
    let credentials = || Some(("user".to_owned(), "password".to_owned()));
    match kind {
        0 => {
            let request = ClientRequest {
                target: "/".to_owned(),
                host: "example.org".to_owned(),
                fields: Vec::new(),
                subprotocols: vec!["chat".to_owned()],
            };
            let mut handshake = ClientHandshake::new(request, *b"the sample nonce");
            talk(|heard| handshake.hear(heard), pieces)
        }
        1 => {
            let connect = Connect::new("example.org:443".to_owned(), None);
            talk(|heard| connect.hear(heard), pieces)
        }
        2 => {
            let mut socks = Socks::new("example.org", 443, None);
            talk(|heard| socks.hear(heard), pieces)
        }
        _ => {
            let mut socks = Socks::new("::1", 443, credentials());
            talk(|heard| socks.hear(heard), pieces)
        }
    }
}

/// A PROXY header: who reads only what it needs reads to its last byte and no
/// further, and what it says can be said again.
pub(super) fn proxy_protocol(bytes: &[u8]) {
    let mut came = 0;
    let read = loop {
        match proxy_protocol::parse(&bytes[..came]) {
            Ok(Parsed::Incomplete { needs }) => {
                assert!(needs > 0);
                if came + needs > bytes.len() {
                    break None;
                }
                came += needs;
            }
            Ok(Parsed::Done { len, header }) => {
                assert_eq!(len, came, "what is behind it is somebody else's");
                break Some(Ok(header));
            }
            Err(why) => break Some(Err(why)),
        }
    };
    let whole = match proxy_protocol::parse(bytes) {
        Ok(Parsed::Incomplete { .. }) => None,
        Ok(Parsed::Done { header, .. }) => Some(Ok(header)),
        Err(why) => Some(Err(why)),
    };
    match (read, whole) {
        // What is wrong may show sooner or later, and more than one thing may
        // be wrong; but nothing wrong is ever right.
        (None | Some(Err(_)), Some(Err(_))) | (Some(Err(_)), None) => {}
        (read, whole) => {
            assert_eq!(read, whole);
            if let Some(Ok(header)) = whole {
                say_again(&header);
            }
        }
    }
}

fn say_again(header: &Header) {
    for version in [Version::V1, Version::V2] {
        let said = header.bytes(version);
        let Ok(Parsed::Done { len, header: heard }) = proxy_protocol::parse(&said) else {
            panic!("{header:?} cannot be said in {version:?}");
        };
        assert_eq!(len, said.len());
        assert_eq!(heard.bytes(version), said, "{header:?}");
        if version == Version::V2 {
            assert_eq!(heard.extras, header.extras);
        }
    }
}
