//! What a dial is lent by the loop, and whom it is for.

use super::backends::Backends;
use crate::tunnel::{Label, Scratch};
use mio::{Registry, Token};
use std::time::Instant;

/// Whom a connection is made for.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// The tunnel.
    pub label: Label,
    /// What the connection is watched under.
    pub token: Token,
    /// The route's place in the tally.
    pub place: usize,
}

/// What a dial is lent.
pub struct DialContext<'a> {
    /// All backends.
    pub backends: &'a mut Backends,
    /// Where connections are watched.
    pub registry: &'a Registry,
    /// The buffers of the loop.
    pub scratch: &'a mut Scratch,
    /// The time of this turn.
    pub now: Instant,
}
