//! What the server is told before it starts, and again at each reload.

use std::time::Duration;

/// Everything the loop needs to know; made by `config`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a request head may take to arrive.
    pub handshake_timeout: Duration,
    /// How long tunnels may go on after SIGTERM.
    pub drain_timeout: Duration,
    /// As many clients at a time; `None`: what the file descriptors allow.
    pub max_connections: Option<usize>,
}
