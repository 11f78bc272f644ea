//! Whose request it is, by all that is known: the connection itself, the PROXY
//! header before it, and what a trusted proxy says in the request.
//!
//! What is known of a connection holds for whoever made it, and not for another
//! for whom that one speaks.

use super::Label;
use super::identity::{Client, Trusted, identify};
use super::preface::Connection;
use crate::net::stream::canonical;
use crate::net::{AlternativeName, Secured};
use crate::wire::Refusal;
use crate::wire::http::Request;
use crate::wire::proxy_protocol::{Extras, Header, Ssl};
use std::net::SocketAddr;

/// What is seen of the connection itself.
#[derive(Debug)]
pub struct Seen {
    /// What the client connected to, where that matters.
    pub local: Option<SocketAddr>,
    /// What is known of its TLS.
    pub secured: Option<Secured>,
}

/// What is known of who makes a request.
#[derive(Debug)]
pub struct Requester {
    /// Who it is.
    pub client: Client,
    /// What a backend may be told of its connection.
    pub connection: Connection,
    /// What its certificate says beside what a PROXY header can.
    pub alternative_names: Vec<AlternativeName>,
}

impl Requester {
    /// Finds out whose request it is; `header`: what a proxy has said before.
    /// Who the client is goes into its label.
    ///
    /// # Errors
    /// That a trusted proxy's headers cannot be read, or contradict each other.
    pub fn of(
        request: &Request<'_>,
        header: Option<&Header>,
        seen: Seen,
        trusted: &Trusted,
        run: u64,
        label: &mut Label,
    ) -> Result<Requester, Refusal> {
        let named = label.client;
        let mut client = match header {
            // A proxy that does not know its client may have let anybody write
            // the headers.
            Some(header) if header.addresses.is_none() => Client {
                address: named,
                https: false,
            },
            _ => identify(request, named, trusted)?,
        };
        label.client = client.address;
        let addresses = header.and_then(|header| header.addresses);
        // What was said of a proxy's own connection is not said of its client's.
        let mut extras = match header {
            Some(header) if client.address == named => header.extras.clone(),
            _ => Extras::default(),
        };
        // So it is with this connection's own TLS.
        let mut alternative_names = Vec::new();
        if let Some(secured) = seen.secured.filter(|_| client.address == named) {
            extras.authority = secured.server_name.or(extras.authority);
            extras.alpn = secured.alpn;
            extras.ssl = Some(Ssl {
                tls: true,
                certificate: secured.certificate,
                session_certificate: secured.certificate,
                verified: secured.certificate,
                version: Some(secured.version.to_owned()),
                common_name: secured.common_name,
            });
            alternative_names = secured.alternative_names;
        }
        client.https |= extras.ssl.as_ref().is_some_and(|ssl| ssl.tls);
        let id = header.and_then(|header| header.extras.unique_id.clone());
        let own_id = || format!("{run:x}-{}", label.id).into_bytes();
        extras.unique_id = Some(id.unwrap_or_else(own_id));
        let destination = addresses.map(|addresses| canonical(addresses.destination));
        Ok(Requester {
            client,
            connection: Connection {
                destination: destination.or(seen.local),
                extras,
            },
            alternative_names,
        })
    }
}
