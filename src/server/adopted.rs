//! The server of one connection that somebody else has accepted.

use super::backends::{Resolved, literal};
use super::prepared::Prepared;
use super::settings::Settings;
use super::{End, Server};
use crate::net::accepted;
use crate::tunnel::auth::Vault;
use crate::tunnel::policy::Route;

impl Server {
    /// A server for one connection, which came in at the first listener and was
    /// accepted by another process. It opens no listener and loads nothing
    /// again, and ends with that connection.
    ///
    /// # Errors
    /// What cannot be read or given up, ready to be shown.
    pub fn adopt(mut settings: Settings, socket: socket2::Socket) -> Result<Self, String> {
        for tls in settings.listeners.iter_mut().filter_map(|l| l.tls.as_mut()) {
            // No other process could know what this one gave out.
            tls.resumes = false;
        }
        settings.max_connections = Some(1);
        // Each client has such a process.
        settings.pid_file = None;
        let mut prepared = Prepared::new(settings, &Vault::default(), resolve_literals)?;
        prepared.watch.stop();
        let (entrance, _) = prepared.entrances().next().ok_or("no listener")?;
        let mut server = Self::start(prepared, None, None)?;
        server.only = Some(End::Served(false));
        let came = accepted::connection(socket);
        let (stream, peer) = came.map_err(|e| format!("standard input: {e}"))?;
        server.receive(stream, peer, &entrance);
        Ok(server)
    }
}

/// Leaves the names of backends to be looked up when one is chosen. That
/// blocks, so it is for a process that serves nobody else.
///
/// # Errors
/// None; see [`Resolve`].
fn resolve_literals(routes: &[Route]) -> Result<Resolved, String> {
    let backends = routes.iter().flat_map(|route| &route.backends);
    Ok(backends
        .map(|backend| (backend.clone(), literal(backend).unwrap_or_default()))
        .collect())
}
