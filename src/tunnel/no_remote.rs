//! In place of remote WebSocket servers, in a build without `adit connect`: its
//! types have no values, so no stream is connected anywhere.

use super::connecting::Step;
use crate::address::Backend;
use crate::net::tls_files::ClientTls;
use crate::wire::ws::client_handshake::Agreed;
use crate::wire::ws::{Connection, Text};
use std::fmt;

/// No route leads to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remote {}

/// No stream is connected to one.
#[derive(Debug)]
pub enum LocalStream {}

/// None is dialled.
#[derive(Clone, Debug)]
pub enum Target {}

#[expect(missing_docs, reason = "nobody can call it")]
impl Remote {
    pub fn local_stream(&self) -> LocalStream {
        match *self {}
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

#[expect(missing_docs, reason = "nobody can call it")]
impl LocalStream {
    pub fn connection(self, _: Text, _: &Agreed) -> Connection {
        match self {}
    }
}

#[expect(
    missing_docs,
    clippy::missing_errors_doc,
    reason = "nobody can call them"
)]
impl Target {
    pub fn new(remote: &Remote, _: &ClientTls) -> Result<Self, String> {
        match *remote {}
    }

    pub fn retries(&self) -> bool {
        match *self {}
    }

    pub fn name(&self) -> String {
        match *self {}
    }

    pub fn reset(&mut self) {
        match *self {}
    }

    pub fn redirect(&mut self, _: &str) -> Result<(), String> {
        match *self {}
    }

    pub fn follows_redirects(&self) -> bool {
        match *self {}
    }

    pub fn next_hop(&self) -> Result<(Backend, Vec<Step>), String> {
        match *self {}
    }
}
