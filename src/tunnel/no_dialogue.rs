//! In place of what is said on the way to a WebSocket server, in a build without
//! `adit connect`: nobody is asked anything.

use crate::wire::ws::client_handshake::Agreed;
use crate::wire::{Next, Unwelcome};
use std::io;

/// Nobody is asked anything on the way.
#[derive(Clone, Debug)]
pub enum Request {}

/// No dialogue goes on.
#[derive(Debug)]
pub enum Dialogue {}

#[expect(
    missing_docs,
    clippy::missing_errors_doc,
    reason = "nobody can call them"
)]
impl Request {
    pub fn begin(self) -> io::Result<(Vec<u8>, Dialogue)> {
        match self {}
    }
}

#[expect(missing_docs, reason = "nobody can call them")]
impl Dialogue {
    pub fn hear(&mut self, _: &[u8]) -> (&'static str, Result<Next, Unwelcome>) {
        match *self {}
    }

    pub fn agreed(&self) -> Agreed {
        match *self {}
    }
}
