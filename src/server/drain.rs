//! The end: nobody new is let in, and who is there has some time to finish.
//!
//! Another process may take over the address, so nobody who got through to
//! this one may be lost. Connections that wait in the kernel's queue would be
//! reset with it: they are accepted first. Who has connected has a moment for
//! its request, and then its tunnel like everybody else's.

use super::{Server, listening};
use log::warn;
use std::time::Duration;

/// How long a request may take to arrive and find its backend after the stop.
const GRACE: Duration = Duration::from_secs(2);

impl Server {
    /// Stops to accept, and lets the tunnels end.
    pub(super) fn stop(&mut self) {
        self.listeners.look();
        for _ in 0..listening::MOST_TURNS {
            self.accept();
        }
        self.listeners.close();
        let timeout = self.settings.drain_timeout;
        self.drain_at = Some(self.now + timeout);
        self.grace_until = Some(self.now + timeout.min(GRACE));
        if self.table.clients() > 0 {
            warn!(
                "stopping: connections left: {}; they may end within {:?}, a second signal ends them now",
                self.table.clients(),
                self.settings.drain_timeout,
            );
        }
    }

    /// Refuses the requests that have no tunnel yet.
    pub(super) fn end_grace(&mut self) {
        self.grace_until = None;
        for key in self.table.client_keys() {
            if self
                .table
                .get(key)
                .is_some_and(|slot| slot.tunnel.is_opening())
            {
                self.leaves(key);
            }
        }
    }

    pub(super) fn everyone_leaves(&mut self) {
        for key in self.table.client_keys() {
            self.leaves(key);
        }
    }

    fn leaves(&mut self, key: usize) {
        if let Some(dial) = self.table.get(key).and_then(|slot| slot.dial.take()) {
            dial.abandon(&mut self.backends);
        }
        self.with_context(key, |slot, cx| slot.tunnel.leave(cx));
        self.table.enqueue(key);
    }
}
