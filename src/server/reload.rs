//! From settings that were loaded again to what holds from now on. Open tunnels
//! stay as they are; a file with a mistake changes nothing.

use super::control::Loaded;
use super::prepared::Prepared;
use super::{Server, limits};
use log::{error, info, warn};

impl Server {
    pub(super) fn reload(&mut self) {
        self.watch.forget_complaint();
        self.notifier.reloading();
        if let Err(e) = self.control.load(self.vault.clone()) {
            self.notifier.ready(&self.addresses());
            error!("cannot reload, keeping the old settings: {e}");
        }
    }

    /// Reads certificates and keys again, which have changed or are over soon.
    pub(super) fn renew(&mut self) {
        let settings = self.settings.clone();
        if let Err(e) = self.control.renew(settings, self.vault.clone()) {
            error!("cannot read the certificates again: {e}");
        }
    }

    pub(super) fn reloaded(&mut self, loaded: Loaded) {
        if self.stopping.is_some() {
            return;
        }
        match loaded {
            Ok(prepared) => self.follow(prepared),
            // A file that stays bad is tried each minute, and told of once.
            Err(e) if !self.watch.is_news(&e) => {}
            Err(e) => {
                error!("cannot reload, keeping the old settings:\n{e}");
                self.confined.warn_of_unreadable(&self.settings);
            }
        }
        self.notifier.ready(&self.addresses());
    }

    fn follow(&mut self, mut prepared: Prepared) {
        let (registry, confined) = (self.poll.registry(), &self.confined);
        if let Err(e) = self.listeners.open(&prepared, registry, confined) {
            return error!("cannot reload, keeping the old settings: {e}");
        }
        self.listeners.announce();
        let confinement = &self.settings.confinement;
        let settings = &mut prepared.settings;
        if settings.confinement != *confinement {
            warn!("user, group, chroot and sandbox stay as they are until a restart");
            settings.confinement = confinement.clone();
        }
        if settings.pid_file != self.settings.pid_file {
            warn!("pid-file stays as it is until a restart");
            settings.pid_file.clone_from(&self.settings.pid_file);
        }
        warn_of(&prepared.warnings);
        self.backends.learn(prepared.addresses);
        self.targets = prepared.targets;
        self.vault = prepared.vault;
        self.watch = prepared.watch;
        let settings = prepared.settings;
        self.guard.obey(settings.limits);
        self.most = limits::most_connections(settings.max_connections);
        let (listeners, routes) = (settings.listeners.len(), settings.routes.len());
        self.tally.learn(&settings.routes);
        self.settings = settings;
        info!("reloaded (listeners: {listeners}, routes: {routes}); open tunnels stay as they are");
    }
}

/// Says what is not well with the files, or soon will not be.
pub(super) fn warn_of(warnings: &[String]) {
    for warning in warnings {
        warn!("{warning}");
    }
}
