//! The end: nobody new is let in, and who is there has some time to finish.
//!
//! Another process may take over the address, so nobody who got through to
//! this one may be lost. Connections that wait in the kernel's queue would be
//! reset with it: they are accepted first. Who has connected has a moment for
//! its request, and then its tunnel like everybody else's.

use super::{End, Server, listening};
use log::{info, warn};
use std::time::{Duration, Instant};

/// How long a request may take to arrive and find its backend after the stop.
const GRACE: Duration = Duration::from_secs(2);

impl Server {
    /// Stops to accept, and lets the tunnels end.
    pub(super) fn stop(&mut self) {
        self.notifier.stopping();
        self.listeners.look();
        for _ in 0..listening::MOST_TURNS {
            self.accept();
        }
        self.listeners.close(self.poll.registry());
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

    /// Whether it is over, and how. To be asked when the tunnels that ended
    /// are gone.
    pub(super) fn end(&mut self) -> Option<End> {
        if self.table.clients() > 0 {
            self.idle_since = None;
            return None;
        }
        self.idle_since.get_or_insert(self.now);
        if let Some(well) = self.only {
            return Some(End::Served(well));
        }
        if self.drain_at.is_some() {
            info!("stopped");
            return Some(End::Drained);
        }
        if self.idle_until().is_none_or(|until| self.now < until) {
            return None;
        }
        // Whoever came until now is still served; whoever comes after this
        // makes the one that opened the socket start adit again.
        self.listeners.look();
        self.accept();
        if self.table.clients() > 0 {
            return None;
        }
        self.notifier.stopping();
        info!("stopped: no client was there for exit-idle");
        Some(End::Idle)
    }

    /// When no client has been there for long enough.
    pub(super) fn idle_until(&self) -> Option<Instant> {
        // While accepting pauses, clients may be there.
        if self.listeners.resume_at().is_some() {
            return None;
        }
        Some(self.idle_since? + self.settings.exit_idle?)
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
