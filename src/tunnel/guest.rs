//! Who waits for a backend, and what becomes of the two once it is there.

use super::approach::Arrival;
use super::far::Seeker;
use super::link::Link;
use super::session::Session;
use super::terms::Terms;
use crate::net::Transport;
use crate::wire::http;
use crate::wire::ws::handshake::HALF_CLOSE;
use crate::wire::ws::{Connection, Role};
use std::time::Instant;

/// Who waits for a backend.
#[derive(Debug)]
pub enum Guest {
    /// A WebSocket client.
    Web(Hello),
    /// A plain stream that a WebSocket server is sought for.
    Stream(Seeker),
}

/// What passes when a WebSocket client's backend is there.
#[derive(Debug)]
pub struct Hello {
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

impl Guest {
    /// Whether it is a plain stream.
    pub fn is_stream(&self) -> bool {
        matches!(self, Guest::Stream(_))
    }

    /// Joins who came with what was gone to: a tunnel, and what came over its
    /// WebSocket already. A client gets its 101 then, and its backend the
    /// preface.
    pub fn join<T: Transport>(
        self,
        mut came: Link<T>,
        arrival: Arrival<T>,
        terms: &Terms,
        now: Instant,
    ) -> (Session<T>, Vec<u8>) {
        let framer = terms.framing.framer(terms.max_message);
        let Arrival {
            link: mut gone_to,
            agreed,
            early,
        } = arrival;
        let (peer, stream, early) = match self {
            Guest::Web(hello) => {
                gone_to.queue().push(&hello.preface);
                came.queue().push(&http::switching_protocols(
                    &hello.accept,
                    hello.subprotocol.as_deref(),
                    hello.half_close.then_some(HALF_CLOSE),
                ));
                let connection = Connection::new(Role::Server, terms.text, hello.half_close);
                ((came, connection), gone_to, hello.early)
            }
            Guest::Stream(seeker) => {
                let connection = seeker.connection(terms.text, &agreed);
                ((gone_to, connection), came, early)
            }
        };
        let waits = terms.framing.carries_type();
        let session = Session::new(peer, (stream, framer), terms.timeouts, waits, now);
        (session, early)
    }
}
