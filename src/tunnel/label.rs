//! Whom a line of the log is about.

use crate::net::Peer;
use std::fmt;

/// A tunnel's name in the log: `#17 192.0.2.7:5123`, or where a proxy stands
/// in between, `#17 192.0.2.7:5123 via 10.0.0.1:3344`.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// Counts connections since the start.
    pub id: u64,
    /// The client; the peer until more is known.
    pub client: Peer,
    /// Who connected.
    pub peer: Peer,
}

impl Label {
    /// The name of a connection that nothing has come from yet.
    pub fn new(id: u64, peer: Peer) -> Self {
        Label {
            id,
            client: peer,
            peer,
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{} {}", self.id, self.client)?;
        if self.client != self.peer {
            write!(f, " via {}", self.peer)?;
        }
        Ok(())
    }
}
