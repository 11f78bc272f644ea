//! `adit connect`: local connections are led to a WebSocket server.

use std::io;
use std::sync::Arc;

use log::{Level, log_enabled};

use crate::config::connect::Local;
use crate::net::stdio;
use crate::server::{End, Loader, Server, Settings};

/// Leads them there: those that come in until it is told to stop, or standard
/// input and output until that is over.
///
/// # Errors
/// What went wrong.
pub fn run(local: &Local, settings: Settings) -> Result<End, String> {
    match local {
        Local::Stdio => one(settings),
        Local::Listen(_) => {
            let again = settings.clone();
            let load: Loader = Arc::new(move || Ok(again.clone()));
            let server = Server::new(settings, load)?;
            server.run().map_err(|e| e.to_string())
        }
    }
}

fn one(settings: Settings) -> Result<End, String> {
    let failed = |e: io::Error| format!("standard input and output: {e}");
    // Its log is off unless it was asked for.
    if !log_enabled!(Level::Warn) {
        for server in settings.unverified() {
            eprintln!("adit: warning: the certificate of {server} is not verified");
        }
    }
    let (connection, copying) = stdio::connect().map_err(failed)?;
    let server = Server::adopt(settings, connection.into())?;
    let end = server.run().map_err(|e| e.to_string())?;
    // What the connection ended with was then only a consequence.
    if let Some(e) = copying.unread() {
        return Err(format!("standard input: {e}"));
    }
    // All that came has to arrive.
    let written = copying.wait().map_err(|e| format!("standard output: {e}"));
    match end {
        End::Failed(_) => Ok(end),
        _ => written.map(|()| end),
    }
}
