//! What is said on the way to a WebSocket server: to a proxy, to the server.

use crate::wire::http::Connect;
use crate::wire::socks::Socks;
use crate::wire::ws::client_handshake::{Agreed, ClientHandshake, ClientRequest};
use crate::wire::{Next, Unwelcome};
use std::io;

/// What somebody on the way is asked.
#[derive(Clone, Debug)]
pub enum Request {
    /// An HTTP proxy, for a connection.
    Connect(Connect),
    /// A SOCKS proxy, for a connection.
    Socks(Socks),
    /// The server, for a WebSocket.
    WebSocket(ClientRequest),
}

impl Request {
    /// The first words of the dialogue, and the dialogue.
    ///
    /// # Errors
    /// That there is no chance for a WebSocket's key.
    pub fn begin(self) -> io::Result<(Vec<u8>, Dialogue)> {
        Ok(match self {
            Request::Connect(connect) => (connect.request(), Dialogue::Connect(connect)),
            Request::Socks(socks) => (socks.request(), Dialogue::Socks(socks)),
            Request::WebSocket(request) => {
                let mut nonce = [0; 16];
                getrandom::fill(&mut nonce)
                    .map_err(|_| io::Error::other("the system has no random bytes"))?;
                let handshake = ClientHandshake::new(request, nonce);
                (handshake.request(), Dialogue::WebSocket(handshake))
            }
        })
    }
}

/// A dialogue that goes on.
#[derive(Debug)]
pub enum Dialogue {
    /// With an HTTP proxy.
    Connect(Connect),
    /// With a SOCKS proxy.
    Socks(Socks),
    /// With the server.
    WebSocket(ClientHandshake),
}

impl Dialogue {
    /// Who is spoken to, and what comes next.
    pub fn hear(&mut self, input: &[u8]) -> (&'static str, Result<Next, Unwelcome>) {
        match self {
            Dialogue::Connect(connect) => ("the proxy", connect.hear(input)),
            Dialogue::Socks(socks) => ("the proxy", socks.hear(input)),
            Dialogue::WebSocket(handshake) => ("the server", handshake.hear(input)),
        }
    }

    /// What was agreed on; with a proxy there is nothing to agree on.
    pub fn agreed(&self) -> Agreed {
        match self {
            Dialogue::Connect(_) | Dialogue::Socks(_) => Agreed::default(),
            Dialogue::WebSocket(handshake) => handshake.agreed().clone(),
        }
    }
}
