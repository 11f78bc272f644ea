//! A backend is dialled for a tunnel, address by address, until one answers or
//! none is left.

use super::backends::Dial;
use super::fault::contain;
use super::{Server, register};
use crate::net::Transport;
use crate::tunnel::{Readiness, Refusal, Scratch, Side};
use log::error;
use std::io::{self, ErrorKind};

impl Server {
    /// Looks how far the dialling of a backend is, if one is being dialled.
    pub(super) fn continue_dial(&mut self, key: usize) {
        let Some(mut dial) = self.table.get(key).and_then(|slot| slot.dial.take()) else {
            return;
        };
        let late = dial.deadline().is_some_and(|until| self.now >= until);
        let lent = &mut self.scratch.made.lent;
        let connected = match dial.socket() {
            Some(socket) => contain(|| socket.connected(lent)).unwrap_or_else(|fault| {
                self.scratch = Scratch::default();
                Err(io::Error::other(fault))
            }),
            None => Ok(false),
        };
        match connected {
            Ok(true) => {
                if let Some((backend, socket)) = dial.take(&mut self.backends, self.now) {
                    let name = self.backends.name(backend).clone();
                    // TLS may have read more than its handshake.
                    let has_read = socket.secured().is_some();
                    self.with_context(key, |slot, cx| {
                        slot.backend = Some(backend);
                        slot.tunnel.connected(socket, &name, cx);
                        // What was told of the connection while it was made.
                        let mut early = std::mem::take(&mut slot.early);
                        early.readable |= has_read;
                        slot.tunnel.ready(Side::Backend, early);
                    });
                }
            }
            Ok(false) if !late => {
                if let Some(slot) = self.table.get(key) {
                    slot.dial = Some(dial);
                }
            }
            failed => {
                let timed_out = io::Error::new(ErrorKind::TimedOut, "connect timeout");
                let error = failed.err().unwrap_or(timed_out);
                dial.failed(&error, &mut self.backends, self.now);
                let next = dial.next(&mut self.backends, self.now);
                self.dialled(key, dial, next);
            }
        }
    }

    /// A connection to a backend was begun, or none can be.
    pub(super) fn dialled(&mut self, key: usize, mut dial: Box<Dial>, next: Result<(), Refusal>) {
        let watched = next.and_then(|()| match dial.socket() {
            Some(socket) => {
                register(self.poll.registry(), socket, key, Side::Backend).map_err(|e| {
                    error!("cannot watch a backend's connection: {e}");
                    Refusal::BackendUnreachable
                })
            }
            None => Err(Refusal::BackendUnreachable),
        });
        match watched {
            Ok(()) => {
                if let Some(slot) = self.table.get(key) {
                    slot.dial = Some(dial);
                    slot.early = Readiness::default();
                }
            }
            Err(refusal) => {
                dial.abandon(&mut self.backends);
                self.with_context(key, |slot, cx| slot.tunnel.refuse(&refusal, cx));
            }
        }
    }

    /// Ends the search for a backend that a tunnel has given up.
    pub(super) fn forget_dial(&mut self, key: usize) {
        let given_up = self.table.get(key).filter(|slot| !slot.tunnel.is_opening());
        if let Some(dial) = given_up.and_then(|slot| slot.dial.take()) {
            dial.abandon(&mut self.backends);
        }
    }
}
