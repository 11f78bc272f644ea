//! In place of TLS, in a build without it: its types have no values, so a
//! connection that speaks TLS cannot come to be.

use super::carrier::{Carrier, Received, Taken};
use super::lent::Lent;
use super::secured::Secured;
use super::tls_files::{ClientTls, ServerTls};
use crate::features::Feature;
use std::io::{self, IoSlice};
use std::time::SystemTime;

/// No listener answers TLS handshakes.
#[derive(Clone, Debug)]
pub enum Acceptor {}

/// No backend is asked for TLS.
#[derive(Clone, Debug)]
pub enum Connector {}

/// No connection has TLS.
#[derive(Debug)]
pub enum Session {}

impl ServerTls {
    /// Reads nothing.
    ///
    /// # Errors
    /// Always: there is no TLS.
    pub fn load(&self, _: SystemTime) -> Result<(Acceptor, Vec<String>), String> {
        Err(Feature::Tls.absence().to_owned())
    }
}

impl ClientTls {
    /// Reads nothing.
    ///
    /// # Errors
    /// Always: there is no TLS.
    pub fn load(&self, _: &str) -> Result<Connector, String> {
        Err(Feature::Tls.absence().to_owned())
    }
}

#[expect(
    missing_docs,
    clippy::missing_errors_doc,
    reason = "nobody can call them"
)]
impl Connector {
    pub fn to(&self, _: &str) -> Result<Connector, String> {
        match *self {}
    }

    pub fn name(&self) -> String {
        match *self {}
    }

    pub fn for_http(self) -> Connector {
        match self {}
    }
}

#[expect(
    missing_docs,
    clippy::missing_errors_doc,
    reason = "nobody can call them"
)]
impl Session {
    pub fn accept(acceptor: &Acceptor, _: &[u8]) -> io::Result<Self> {
        match *acceptor {}
    }

    pub fn connect(connector: &Connector) -> io::Result<Self> {
        match *connector {}
    }

    pub fn secured(&self) -> Option<Secured> {
        match *self {}
    }

    pub fn handshake(&mut self, _: &mut impl Carrier, _: &mut Lent) -> io::Result<bool> {
        match *self {}
    }

    pub fn read(
        &mut self,
        _: &mut impl Carrier,
        _: &mut [u8],
        _: &mut Lent,
    ) -> io::Result<Received> {
        match *self {}
    }

    pub fn write(
        &mut self,
        _: &mut impl Carrier,
        _: &[IoSlice<'_>],
        _: &mut Lent,
    ) -> io::Result<Taken> {
        match *self {}
    }

    pub fn waiting(&self) -> usize {
        match *self {}
    }

    pub fn is_flushed(&self) -> bool {
        match *self {}
    }

    pub fn flush(&mut self, _: &mut impl Carrier) -> io::Result<()> {
        match *self {}
    }

    pub fn finish(&mut self, _: &mut impl Carrier) -> io::Result<()> {
        match *self {}
    }
}
