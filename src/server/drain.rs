//! The end: nobody new is let in, and who is there has some time to finish.

use super::Server;
use log::warn;

impl Server {
    /// Stops to accept, and lets the tunnels end.
    pub(super) fn stop(&mut self) {
        self.listeners.close();
        self.drain_at = Some(self.now + self.settings.drain_timeout);
        if !self.table.is_empty() {
            warn!(
                "stopping: connections left: {}; they may end within {:?}, a second signal ends them now",
                self.table.len(),
                self.settings.drain_timeout,
            );
        }
        for key in self.table.keys() {
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
        for key in self.table.keys() {
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
