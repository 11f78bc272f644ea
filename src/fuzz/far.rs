//! The way to a WebSocket server, which answers as it likes.

use super::{Choices, tunnel};
use crate::net::tls_files::ClientTls;
use crate::tunnel::connecting::Step;
use crate::tunnel::remote::{Remote, Target};
use crate::tunnel::world::{Fake, welcome};
use crate::url::Url;
use crate::wire::http::{MAX_HEAD, Request};
use crate::wire::ws::client_handshake::{Agreed, ClientHandshake, ClientRequest};
use crate::wire::ws::handshake::Upgrade;
use crate::wire::{Next, Unwelcome};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::sync::OnceLock;

/// Answers that open no WebSocket that adit could want; with a location they
/// lead to another.
const ANSWERS: [&str; 9] = [
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n\r\n",
    "HTTP/1.1 308 Permanent Redirect\r\nLocation: ws://other/\r\n\r\n",
    "HTTP/1.1 307 Temporary Redirect\r\nLocation: ftp://other/\r\n\r\n",
    "HTTP/1.1 401 Unauthorized\r\nContent-Type: text/plain\r\n\r\nno\n",
    "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\r\n<html>",
    "SSH-2.0-OpenSSH_9.9\r\n",
];

/// Runs operations over the tunnel of a stream that is led to a server.
pub(super) fn operations(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let (remote, target) = destination();
    let way = Way {
        remote: remote.clone(),
        target: target.clone(),
        is_terminal: choices.byte() & 1 != 0,
        answer: None,
    };
    tunnel::run(choices, Some(way));
}

/// To find the public authorities takes longer than a run.
fn destination() -> &'static (Remote, Target) {
    static DESTINATION: OnceLock<(Remote, Target)> = OnceLock::new();
    DESTINATION.get_or_init(|| {
        let remote = Remote {
            follow: 2,
            ..Remote::at(Url::websocket("ws://h/").expect("a URL"))
        };
        let target = Target::new(&remote, &ClientTls::default()).expect("no files");
        (remote, target)
    })
}

/// Where a remote server is dialled, and what it has still to say there.
pub(super) struct Way {
    remote: Remote,
    target: Target,
    is_terminal: bool,
    answer: Option<Vec<u8>>,
}

impl Way {
    /// What the route says of it.
    pub(super) fn remote(&self) -> Remote {
        self.remote.clone()
    }

    /// Whether the stream is one that need not be waited for.
    pub(super) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// What has to be said there.
    pub(super) fn steps(&self) -> Vec<Step> {
        self.target.next_hop().expect("no TLS").1
    }

    /// Goes where an answer says; `false` if that is not allowed, or it is not
    /// played here.
    pub(super) fn follow(&mut self, location: &str) -> bool {
        self.answer = None;
        self.target.redirect(location).is_ok() && self.steps().len() == 1
    }

    /// As many more bytes of the answer to what a server got, which is of
    /// this kind if none has begun.
    pub(super) fn answer(
        &mut self,
        kind: u8,
        most: usize,
        server: &Fake,
        half_close: bool,
    ) -> Vec<u8> {
        if self.answer.is_none() {
            let kind = usize::from(kind) % 16;
            let other = kind.checked_sub(1).and_then(|index| ANSWERS.get(index));
            self.answer = match other {
                Some(text) => Some(text.as_bytes().to_vec()),
                None if kind == 15 => {
                    Some([b"HTTP/1.1 101 X\r\nX: ", &[b'x'; MAX_HEAD][..]].concat())
                }
                None => welcome(&server.0.borrow().received, half_close),
            };
        }
        let rest = self.answer.as_mut();
        rest.map_or(Vec::new(), |rest| {
            rest.drain(..most.min(rest.len())).collect()
        })
    }

    /// What its codec makes of all that a server has said, in one piece; and the
    /// request before it is one.
    pub(super) fn hear(&self, server: &Fake, said: &[u8]) -> (Agreed, Result<Next, Unwelcome>) {
        let received = &server.0.borrow().received;
        let request = Request::parse(received).expect("a request");
        // Nobody knows the key of one that is not whole.
        let nonce = request.map_or([0; 16], |request| {
            Upgrade::read(&request).expect("an upgrade");
            let key = request.single("Sec-WebSocket-Key").expect("a key");
            let nonce = BASE64_STANDARD.decode(key).expect("base64");
            nonce.try_into().expect("16 bytes")
        });
        let mut handshake = ClientHandshake::new(ClientRequest::default(), nonce);
        let heard = handshake.hear(said);
        (handshake.agreed().clone(), heard)
    }
}
