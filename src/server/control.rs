//! What reaches the loop from outside the tunnels: signals, and settings that
//! were loaded again.
//!
//! Loading reads a file and looks up names, both of which can block. So it
//! happens on a thread of its own, which wakes the loop when it is done.

use super::backends::resolve_all;
use super::fault::contain;
use super::prepared::Prepared;
use super::settings::Settings;
use super::tokens::{SIGNALS, WAKER};
use super::workers;
use crate::tunnel::auth::Vault;
use mio::{Interest, Registry, Waker};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook_mio::v1_0::Signals;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Loads the settings again, from where they came from.
pub type Loader = Arc<dyn Fn() -> Result<Settings, String> + Send + Sync>;

/// What somebody outside wants.
#[derive(Debug)]
pub enum Command {
    /// Load the settings again (SIGHUP).
    Reload,
    /// Stop (SIGTERM, SIGINT).
    Stop,
    /// Log more (SIGUSR1).
    Louder,
    /// Log less (SIGUSR2).
    Quieter,
}

/// Settings that were loaded again, or why they were not.
pub type Loaded = Result<Prepared, String>;

/// The loop's ear for the world outside.
pub struct Control {
    signals: Signals,
    waker: Arc<Waker>,
    /// `None`: the settings stay as they are.
    loader: Option<Loader>,
    /// Whether a thread is loading, and whether to start another behind it:
    /// two at a time could finish in the wrong order.
    loading: bool,
    again: bool,
    sender: Sender<Loaded>,
    receiver: Receiver<Loaded>,
}

impl Control {
    /// Listens for signals, and for threads that load.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(registry: &Registry, loader: Option<Loader>) -> io::Result<Self> {
        let mut signals = Signals::new([SIGHUP, SIGTERM, SIGINT, SIGUSR1, SIGUSR2])?;
        registry.register(&mut signals, SIGNALS, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(registry, WAKER)?);
        let (sender, receiver) = channel();
        Ok(Control {
            signals,
            waker,
            loader,
            loading: false,
            again: false,
            sender,
            receiver,
        })
    }

    /// What the signals that came say.
    pub fn commands(&mut self) -> Vec<Command> {
        let command = |signal| match signal {
            SIGHUP => Command::Reload,
            SIGUSR1 => Command::Louder,
            SIGUSR2 => Command::Quieter,
            _ => Command::Stop,
        };
        self.signals.pending().map(command).collect()
    }

    /// What wakes the loop.
    pub fn waker(&self) -> Arc<Waker> {
        self.waker.clone()
    }

    /// Starts to load the settings again; what cannot be read stays as it is in
    /// the old vault.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn load(&mut self, old: Vault) -> io::Result<()> {
        if self.loading {
            self.again = true;
            return Ok(());
        }
        match self.loader.clone() {
            Some(loader) => self.prepare(loader, old),
            None => Ok(()),
        }
    }

    /// Starts to read the files again that these settings name. If something
    /// is being loaded already, that reads them.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn renew(&mut self, settings: Settings, old: Vault) -> io::Result<()> {
        if self.loading {
            return Ok(());
        }
        self.prepare(Arc::new(move || Ok(settings.clone())), old)
    }

    fn prepare(&mut self, load: Loader, old: Vault) -> io::Result<()> {
        let (sender, waker) = (self.sender.clone(), self.waker.clone());
        let load = move || {
            let prepare = || load().and_then(|settings| Prepared::new(settings, &old, resolve_all));
            let loaded = contain(prepare).unwrap_or_else(|fault| Err(fault.to_string()));
            // Without a receiver the process is ending.
            if sender.send(loaded).is_ok() {
                let _ = waker.wake();
            }
        };
        let started = workers::start("reload", Box::new(load));
        self.loading = started.is_ok();
        started
    }

    /// Settings that were loaded since this was last asked, and whether to load
    /// them once more.
    pub fn loaded(&mut self) -> Option<(Loaded, bool)> {
        let loaded = self.receiver.try_recv().ok()?;
        self.loading = false;
        Some((loaded, std::mem::take(&mut self.again)))
    }
}
