//! The end: nobody new is let in, and who is there has some time to finish.
//!
//! Another process may take over the address, so nobody who got through to
//! this one may be lost. Connections that wait in the kernel's queue would be
//! reset with it: they are accepted first. Who has connected has a moment for
//! its request, and then its tunnel like everybody else's.
//!
//! Where others listen on the same port, the kernel would go on giving this
//! process its share until the very end, and handshakes of TCP that are half-way
//! would end nowhere. So for a moment new ones are ignored, which sends them to
//! the others, and the half-way ones arrive.

use super::{End, Server, listening};
use log::{info, warn};
use std::time::{Duration, Instant};

/// How long a handshake of TCP may be half-way: less than the second after which
/// a client that was ignored asks again (RFC 6298 section 2).
const HANDSHAKE: Duration = Duration::from_millis(300);

/// How long a request may take to arrive and find its backend after the stop.
const GRACE: Duration = Duration::from_secs(2);

/// Stragglers are told to go again no more often than this.
const REMINDER: Duration = Duration::from_secs(1);

impl Server {
    /// Stops to accept, and lets the tunnels end.
    pub(super) fn stop(&mut self) {
        self.notifier.stopping();
        let timeout = self.settings.drain_timeout;
        self.drain_at = Some(self.now + timeout);
        self.grace_until = Some(self.now + timeout.min(GRACE));
        match self.listeners.ignore_new() {
            true => self.close_at = Some(self.now + HANDSHAKE),
            false => self.close(),
        }
        if self.table.clients() > 0 {
            warn!(
                "stopping: connections left: {}; they may end within {:?}, a second signal ends them now",
                self.table.clients(),
                self.settings.drain_timeout,
            );
        }
    }

    /// Does what it is time for, once it stops.
    pub(super) fn drain(&mut self) {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| self.now >= at);
        let [close, grace, drain] = [self.close_at, self.grace_until, self.drain_at].map(is_due);
        if close {
            self.close();
        }
        if grace {
            self.end_grace();
        }
        if drain {
            self.drain_at = Some(self.now + self.settings.drain_timeout.max(REMINDER));
            self.everyone_leaves();
        }
    }

    /// Closes the listeners, and loses nobody who waits there.
    fn close(&mut self) {
        self.close_at = None;
        self.listeners.look();
        for _ in 0..listening::MOST_TURNS {
            self.accept();
        }
        self.listeners.close(self.poll.registry());
    }

    /// Refuses the requests that have no tunnel yet.
    fn end_grace(&mut self) {
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
            let failure = self.failure.take();
            return Some(failure.map_or(End::Served(well), End::Failed));
        }
        if self.drain_at.is_some() {
            if self.close_at.is_some() {
                return None;
            }
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

    fn everyone_leaves(&mut self) {
        for key in self.table.client_keys() {
            self.leaves(key);
        }
    }

    fn leaves(&mut self, key: usize) {
        self.abandon_dial(key);
        self.with_context(key, |slot, cx| slot.tunnel.leave(cx));
        self.table.enqueue(key);
    }
}
