//! In place of the way to a WebSocket server, in a build that knows none.

use crate::tunnel::connecting::Step;
use crate::tunnel::remote::Remote;
use crate::tunnel::world::Fake;
use crate::wire::ws::client_handshake::Agreed;
use crate::wire::{Next, Unwelcome};

/// No tunnel has one.
pub(super) enum Way {}

impl Way {
    pub(super) fn remote(&self) -> Remote {
        match *self {}
    }

    pub(super) fn is_terminal(&self) -> bool {
        match *self {}
    }

    pub(super) fn steps(&self) -> Vec<Step> {
        match *self {}
    }

    pub(super) fn follow(&mut self, _: &str) -> bool {
        match *self {}
    }

    pub(super) fn answer(&mut self, _: u8, _: usize, _: &Fake, _: bool) -> Vec<u8> {
        match *self {}
    }

    pub(super) fn hear(&self, _: &Fake, _: &[u8]) -> (Agreed, Result<Next, Unwelcome>) {
        match *self {}
    }
}
