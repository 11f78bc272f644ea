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

/// What is still to be done, once the server was told to stop.
pub(super) struct Stopping {
    /// When the tunnels that are left are told to go.
    drain_at: Instant,
    /// Until then handshakes of TCP that are half-way may end.
    close_at: Option<Instant>,
    /// Until then requests may still become tunnels.
    grace_until: Option<Instant>,
}

impl Stopping {
    /// When to go on.
    pub(super) fn next(&self) -> Option<Instant> {
        let moments = [Some(self.drain_at), self.close_at, self.grace_until];
        moments.into_iter().flatten().min()
    }
}

impl Server {
    /// Stops to accept, and lets the tunnels end.
    pub(super) fn stop(&mut self) {
        self.notifier.stopping();
        let timeout = self.settings.drain_timeout;
        let ignores = self.listeners.ignore_new();
        self.stopping = Some(Stopping {
            drain_at: self.now + timeout,
            close_at: ignores.then(|| self.now + HANDSHAKE),
            grace_until: Some(self.now + timeout.min(GRACE)),
        });
        if !ignores {
            self.close();
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
        let Some(stopping) = &mut self.stopping else {
            return;
        };
        let now = self.now;
        let closes = stopping.close_at.take_if(|at| now >= *at).is_some();
        let grace_ends = stopping.grace_until.take_if(|at| now >= *at).is_some();
        let drains = now >= stopping.drain_at;
        if drains {
            stopping.drain_at = now + self.settings.drain_timeout.max(REMINDER);
        }
        if closes {
            self.close();
        }
        if grace_ends {
            self.end_grace();
        }
        if drains {
            self.everyone_leaves();
        }
    }

    /// Closes the listeners, and loses nobody who waits there.
    fn close(&mut self) {
        self.listeners.look();
        for _ in 0..listening::MOST_TURNS {
            self.accept();
        }
        self.listeners.close(self.poll.registry());
    }

    /// Refuses the requests that have no tunnel yet.
    fn end_grace(&mut self) {
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
        if self.only.is_some() {
            return self.only.take();
        }
        if let Some(stopping) = &self.stopping {
            if stopping.close_at.is_some() {
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
