//! A route, and everything that holds on it.

use super::addresses::Addresses;
use super::host::HostPattern;
use super::origin::Origins;
use crate::address::{Backend, Listen};
use crate::net::tls_files::ClientTls;
use crate::tunnel::access::{Auth, is_bearer};
use crate::tunnel::greeting::Greeting;
use crate::tunnel::remote::Remote;
use crate::wire::framing::Framing;
use crate::wire::proxy_protocol::Version;
use crate::wire::ws::{FrameType, InvalidUtf8};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A way from requests to backends, and everything that holds on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The line of the configuration file where the route begins; `None` for
    /// the command line's.
    pub line: Option<usize>,
    /// The listeners whose requests may take it; empty: all.
    pub listeners: Vec<Listen>,
    /// The hosts it answers for; `None`: any.
    pub host: Option<HostPattern>,
    /// The path below which it answers, by whole segments.
    pub path: String,
    /// The subprotocols it speaks; empty: whatever the client offers.
    pub subprotocols: Vec<String>,
    /// Where it leads: to the one with the fewest tunnels that can be reached.
    pub backends: Vec<Backend>,
    /// TLS towards those of them that speak it.
    pub backend_tls: ClientTls,
    /// The WebSocket server that the route leads to instead: then what comes in
    /// is no request, but a plain stream.
    pub remote: Option<Remote>,
    /// As many tunnels at a time to each backend; `None`: any number.
    pub max_connections_per_backend: Option<usize>,
    /// As many new tunnels a second; `None`: any number.
    pub new_connections_per_second: Option<usize>,
    /// How messages lie in the backend's byte stream.
    pub framing: Framing,
    /// Which type the messages towards the client have.
    pub frame_type: FrameType,
    /// What happens where the backend's text is not UTF-8.
    pub invalid_utf8: InvalidUtf8,
    /// As many bytes in a message that has to be held or announced.
    pub max_message: u64,
    /// The addresses that may connect.
    pub addresses: Addresses,
    /// The origins that may connect besides the request's own.
    pub origins: Origins,
    /// Whether a request without an origin, so not from a browser, is refused.
    pub require_origin: bool,
    /// In which version a PROXY header goes to the backend; `None`: none does.
    pub send_proxy: Option<Version>,
    /// What the backend is told behind that.
    pub greeting: Greeting,
    /// What clients have to bring.
    pub auth: Auth,
    /// A file or directory that says to which backend each token leads, in
    /// place of `backends`.
    pub token_map: Option<PathBuf>,
    /// How long things may take.
    pub timeouts: Timeouts,
}

impl Default for Route {
    fn default() -> Self {
        Route {
            line: None,
            listeners: Vec::new(),
            host: None,
            path: "/".to_owned(),
            subprotocols: Vec::new(),
            backends: Vec::new(),
            backend_tls: ClientTls::default(),
            remote: None,
            max_connections_per_backend: None,
            new_connections_per_second: None,
            framing: Framing::Raw,
            frame_type: FrameType::default(),
            invalid_utf8: InvalidUtf8::default(),
            max_message: 1 << 20,
            addresses: Addresses::default(),
            origins: Origins::default(),
            require_origin: false,
            send_proxy: None,
            greeting: Greeting::default(),
            auth: Auth::default(),
            token_map: None,
            timeouts: Timeouts::default(),
        }
    }
}

impl Route {
    /// Whether clients bring tokens.
    pub fn takes_tokens(&self) -> bool {
        self.auth.takes_tokens() || self.token_map.is_some()
    }

    /// Whether clients have to bring anything.
    pub fn asks(&self) -> bool {
        self.auth.is_asked() || self.token_map.is_some()
    }

    /// Whether this is a subprotocol here, and not a token.
    pub(super) fn is_subprotocol(&self, offered: &str) -> bool {
        !(self.takes_tokens() && is_bearer(offered))
    }
}

/// The route as messages name it: host and path.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = &self.host {
            write!(f, "{host}")?;
        }
        f.write_str(&self.path)
    }
}

/// How long things may take on a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a backend has accepted the connection.
    pub connect: Duration,
    /// Without a message in either direction; `None`: forever.
    pub idle: Option<Duration>,
    /// Until the other side answers a close.
    pub close: Duration,
    /// From one ping to the next; `None`: no pings.
    pub ping: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_secs(5),
            idle: None,
            close: Duration::from_secs(5),
            ping: Some(Duration::from_secs(30)),
        }
    }
}

/// The files that these routes read, and read again while they serve.
pub fn files(routes: &[Route]) -> Vec<&Path> {
    let mut files = Vec::new();
    for Route {
        auth, token_map, ..
    } in routes
    {
        let of_route = [
            &auth.token_file,
            &auth.hmac_key_file,
            &auth.basic_file,
            token_map,
        ];
        files.extend(of_route.into_iter().filter_map(|file| file.as_deref()));
    }
    files.sort_unstable();
    files.dedup();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let route = Route::default();
        assert_eq!(route.path, "/");
        assert_eq!(route.max_message, 1_048_576);
        assert_eq!(
            route.timeouts,
            Timeouts {
                connect: Duration::from_secs(5),
                idle: None,
                close: Duration::from_secs(5),
                ping: Some(Duration::from_secs(30)),
            }
        );
    }

    #[test]
    fn a_route_is_named_by_host_and_path() {
        let mut route = Route {
            path: "/t".to_owned(),
            ..Route::default()
        };
        assert_eq!(route.to_string(), "/t");
        route.host = Some("*.example.org".parse().unwrap());
        assert_eq!(route.to_string(), "*.example.org/t");
    }
}
