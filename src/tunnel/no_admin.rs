//! In place of the admin entrance, in a build without it: there are no visits.

use crate::address::Listen;
use crate::wire::http::Request;
use std::net::SocketAddr;

/// Nobody asks for a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {}

impl Visit {
    /// Never called: no entrance is one of the admin pages.
    pub fn read(_: &Request<'_>, _: &Listen, _: Option<SocketAddr>) -> Result<Visit, Vec<u8>> {
        Err(Vec::new())
    }
}
