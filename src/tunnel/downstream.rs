//! Who came to adit and waits for the connection upstream, and what becomes of
//! the two once it is there.

use super::connecting::Connected;
use super::link::Link;
use super::remote::LocalStream;
use super::session::Session;
use super::terms::Terms;
use crate::net::Transport;
use crate::wire::http;
use crate::wire::ws::handshake::HALF_CLOSE;
use crate::wire::ws::{Connection, Role};
use std::time::Instant;

/// Who waits for the connection upstream.
#[derive(Debug)]
pub enum Downstream {
    /// A WebSocket client.
    WebSocket(PendingUpgrade),
    /// A plain stream, to be connected to a remote server.
    Stream(LocalStream),
}

/// An opening handshake that is answered once the backend is there.
#[derive(Debug)]
pub struct PendingUpgrade {
    /// `Sec-WebSocket-Accept`.
    pub accept: String,
    /// The subprotocol to answer with.
    pub subprotocol: Option<String>,
    /// Whether the client can end its half of the connection alone.
    pub half_close: bool,
    /// What came behind the head.
    pub early: Vec<u8>,
    /// What the backend gets before that.
    pub preface: Vec<u8>,
}

impl Downstream {
    /// Whether it is a plain stream.
    pub fn is_stream(&self) -> bool {
        matches!(self, Downstream::Stream(_))
    }

    /// Joins the links downstream and upstream: a tunnel, and what came over its
    /// WebSocket already. A client gets its 101 then, and its backend the
    /// preface.
    pub fn join<T: Transport>(
        self,
        mut downstream: Link<T>,
        connected: Connected<T>,
        terms: &Terms,
        now: Instant,
    ) -> (Session<T>, Vec<u8>) {
        let framer = terms.framing.framer(terms.max_message);
        let Connected {
            link: mut upstream,
            agreed,
            early,
        } = connected;
        let (peer, stream, early) = match self {
            Downstream::WebSocket(pending) => {
                upstream.queue().push(&pending.preface);
                downstream.queue().push(&http::switching_protocols(
                    &pending.accept,
                    pending.subprotocol.as_deref(),
                    pending.half_close.then_some(HALF_CLOSE),
                ));
                let connection = Connection::new(Role::Server, terms.text, pending.half_close);
                ((downstream, connection), upstream, pending.early)
            }
            Downstream::Stream(stream) => {
                let connection = stream.connection(terms.text, &agreed);
                ((upstream, connection), downstream, early)
            }
        };
        let waits = terms.framing.carries_type();
        let session = Session::new(peer, (stream, framer), terms.timeouts, waits, now);
        (session, early)
    }
}
