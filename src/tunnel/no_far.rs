//! In place of WebSocket servers to be led to, in a build without `adit
//! connect`: its types have no values, so no stream is led anywhere.

use super::approach::Step;
use crate::address::Backend;
use crate::net::tls_files::ClientTls;
use crate::wire::ws::hail::Agreed;
use crate::wire::ws::{Connection, Text};
use std::fmt;

/// No route leads to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Far {}

/// No stream seeks one.
#[derive(Debug)]
pub enum Seeker {}

/// None is looked for.
#[derive(Clone, Debug)]
pub enum Quest {}

#[expect(missing_docs, reason = "nobody can call it")]
impl Far {
    pub fn seeker(&self) -> Seeker {
        match *self {}
    }
}

impl fmt::Display for Far {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

#[expect(missing_docs, reason = "nobody can call it")]
impl Seeker {
    pub fn connection(self, _: Text, _: &Agreed) -> Connection {
        match self {}
    }
}

#[expect(
    missing_docs,
    clippy::missing_errors_doc,
    reason = "nobody can call them"
)]
impl Quest {
    pub fn new(far: &Far, _: &ClientTls) -> Result<Self, String> {
        match *far {}
    }

    pub fn retries(&self) -> bool {
        match *self {}
    }

    pub fn name(&self) -> String {
        match *self {}
    }

    pub fn again(&mut self) {
        match *self {}
    }

    pub fn follow(&mut self, _: &str) -> Result<(), String> {
        match *self {}
    }

    pub fn follows(&self) -> bool {
        match *self {}
    }

    pub fn way(&self) -> Result<(Backend, Vec<Step>), String> {
        match *self {}
    }
}
