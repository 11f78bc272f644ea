//! From settings that were loaded again to what holds from now on. Open tunnels
//! stay as they are; a file with a mistake changes nothing.

use super::control::Loaded;
use super::{Server, limits};
use crate::tunnel::auth::Vault;
use log::{error, info, warn};

impl Server {
    pub(super) fn reload(&mut self) {
        if let Err(e) = self.control.load(self.vault.clone()) {
            error!("cannot reload, keeping the old settings: {e}");
        }
    }

    pub(super) fn reloaded(&mut self, loaded: Loaded) {
        if self.drain_at.is_some() {
            return;
        }
        let (mut settings, resolved, vault) = match loaded {
            Ok(loaded) => loaded,
            Err(e) => {
                error!("cannot reload, keeping the old settings:\n{e}");
                return self.confined.warn_of_unreadable(&self.settings);
            }
        };
        let (registry, confined) = (self.poll.registry(), &self.confined);
        if let Err(e) = self.listeners.open(&settings.listeners, registry, confined) {
            return error!("cannot reload, keeping the old settings: {e}");
        }
        let confinement = &self.settings.confinement;
        if settings.confinement != *confinement {
            warn!("user, group, chroot and sandbox stay as they are until a restart");
            settings.confinement = confinement.clone();
        }
        self.backends.learn(resolved);
        self.guard.obey(settings.limits);
        warn_of(&vault);
        self.vault = vault;
        self.most = limits::most_connections(settings.max_connections);
        let (listeners, routes) = (settings.listeners.len(), settings.routes.len());
        self.settings = settings;
        info!("reloaded (listeners: {listeners}, routes: {routes}); open tunnels stay as they are");
    }
}

/// Says what is not well with the files of tokens and keys.
pub(super) fn warn_of(vault: &Vault) {
    for warning in vault.warnings() {
        warn!("{warning}");
    }
}
