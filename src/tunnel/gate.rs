//! What a tunnel asks before it does any work for a client.
//!
//! The one who answers has seen the other clients too, which no tunnel has. It
//! is asked as soon as the request's head is there and the real client is
//! known: before a route is looked up, and long before a backend is.

use crate::wire::Refusal;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// Knows the clients by their addresses; `None` is one without, as on a Unix
/// socket.
pub trait Gate: fmt::Debug {
    /// Whether a request of this client may go on. Asked once a connection.
    ///
    /// # Errors
    /// Which limit is exceeded.
    fn admit(&mut self, client: Option<IpAddr>) -> Result<(), Refusal>;

    /// This client failed to prove who it is: how long its answer is to wait.
    fn failed(&mut self, client: Option<IpAddr>) -> Duration;
}
