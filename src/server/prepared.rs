//! Settings with all that has to be read and looked up for them: names of
//! backends, certificates and keys.
//!
//! All of it can block, so it is done before the loop starts, and at a reload
//! on a thread of its own.

use super::backends::{Resolve, Resolved};
use super::settings::Settings;
use crate::address::Backend;
use crate::mistake::Mistakes;
use crate::net::Manner;
use crate::net::tls::Acceptor;
use crate::tunnel::Entrance;
use crate::tunnel::auth::Vault;
use crate::tunnel::connecting::Step;
use crate::tunnel::policy::Route;
use crate::tunnel::remote::Target;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// How often files are looked at without a signal.
const LOOK: Duration = Duration::from_secs(30);

/// How often warnings of certificates that end soon are repeated.
const DAY: Duration = Duration::from_secs(86400);

/// Settings, ready to be used.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The settings.
    pub settings: Settings,
    /// The addresses of all backends.
    pub addresses: Resolved,
    /// For each listener how it answers TLS handshakes, if it does.
    pub acceptors: Vec<Option<Acceptor>>,
    /// For each route where it leads.
    pub targets: Vec<Targets>,
    /// What the files of tokens and passwords say.
    pub vault: Vault,
    /// What will be wrong soon.
    pub warnings: Vec<String>,
    /// The files that were read.
    pub watch: Watch,
}

impl Prepared {
    /// Reads what the settings name, and looks up the backends with `resolve`;
    /// of the old vault stays what cannot be read. May block.
    ///
    /// # Errors
    /// What cannot be read or found.
    pub fn new(settings: Settings, old: &Vault, resolve: Resolve) -> Result<Self, String> {
        // Before they are read: a change meanwhile must not go unseen.
        let watch = Watch::new(&settings, Instant::now());
        let vault = old
            .load(&settings.routes)
            .map_err(|mistakes| Mistakes(mistakes).to_string())?;
        let addresses = resolve(&settings.routes)?;
        let tls = Tls::load(&settings).map_err(|faults| faults.join("\n"))?;
        let mut warnings = Vec::new();
        let found = vault.warnings();
        for warning in found.iter().map(ToString::to_string).chain(tls.warnings) {
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
        Ok(Prepared {
            settings,
            addresses,
            acceptors: tls.acceptors,
            targets: tls.targets,
            vault,
            warnings,
            watch,
        })
    }
}

/// Where a route leads.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// What to do over a connection to each of its backends.
    pub backends: Vec<Vec<Step>>,
    /// The remote server that it leads to instead.
    pub remote: Option<Target>,
}

impl Prepared {
    /// What each listening socket is for, and the mode of its file; the one of
    /// the admin pages is the last.
    pub fn entrances(&self) -> impl Iterator<Item = (Entrance, Manner)> {
        let listeners = self.settings.listeners.iter().zip(&self.acceptors);
        let listeners = listeners.map(|(listener, acceptor)| {
            let entrance = Entrance {
                address: listener.address.clone(),
                tls: acceptor.clone(),
                plain: listener.tls.as_ref().is_some_and(|tls| tls.plain),
                admin: false,
            };
            (entrance, listener.manner)
        });
        let admin = self.settings.admin.iter().map(|address| {
            let entrance = Entrance {
                address: address.clone(),
                tls: None,
                plain: false,
                admin: true,
            };
            (entrance, Manner::default())
        });
        listeners.chain(admin)
    }
}

/// All certificates and keys that settings name.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    acceptors: Vec<Option<Acceptor>>,
    targets: Vec<Targets>,
    /// What will be wrong soon, or is on purpose.
    pub warnings: Vec<String>,
}

impl Tls {
    /// Reads them.
    ///
    /// # Errors
    /// All that is wrong with them, each with its file.
    pub fn load(settings: &Settings) -> Result<Self, Vec<String>> {
        let (mut tls, mut faults) = (Tls::default(), Vec::new());
        for listener in &settings.listeners {
            let loaded = listener.tls.as_ref().map(|tls| tls.load(SystemTime::now()));
            tls.acceptors.push(match loaded {
                None => None,
                Some(Ok((acceptor, soon))) => {
                    tls.warnings.extend(soon);
                    Some(acceptor)
                }
                Some(Err(fault)) => {
                    faults.push(format!("listener {}: {fault}", listener.address));
                    None
                }
            });
        }
        for route in &settings.routes {
            let mut targets = Targets::default();
            for backend in &route.backends {
                targets
                    .backends
                    .push(tls.steps(route, backend, &mut faults));
            }
            targets.remote = tls.target(route, &mut faults);
            tls.targets.push(targets);
        }
        if faults.is_empty() {
            Ok(tls)
        } else {
            Err(faults)
        }
    }

    fn steps(&mut self, route: &Route, backend: &Backend, faults: &mut Vec<String>) -> Vec<Step> {
        let Backend::Tls { host, .. } = backend else {
            return Vec::new();
        };
        if route.backend_tls.insecure {
            let text = format!("the certificate of backend {backend} is not verified");
            self.warnings.push(text);
        }
        match route.backend_tls.load(host) {
            Ok(connector) => vec![Step::Tls(connector)],
            Err(fault) => {
                faults.push(format!("backend {backend}: {fault}"));
                Vec::new()
            }
        }
    }

    fn target(&mut self, route: &Route, faults: &mut Vec<String>) -> Option<Target> {
        let remote = route.remote.as_ref()?;
        if route.backend_tls.insecure {
            let text = format!("the certificate of {remote} is not verified");
            self.warnings.push(text);
        }
        let loaded = Target::new(remote, &route.backend_tls);
        loaded.map_err(|fault| faults.push(fault)).ok()
    }
}

/// Watches the files of certificates and keys, which renewal tools replace
/// without a signal.
#[derive(Clone, Debug)]
pub struct Watch {
    files: Vec<(PathBuf, Seen)>,
    next: Instant,
    warned: Instant,
    /// Why the files could not be used when they were read last.
    complaint: Option<String>,
}

/// What tells one version of a file from another.
type Seen = Option<(SystemTime, u64)>;

impl Watch {
    fn new(settings: &Settings, now: Instant) -> Self {
        let mut files: Vec<(PathBuf, Seen)> = Vec::new();
        for path in settings.tls_files() {
            // A file that is named twice is looked at once.
            if files.iter().all(|(known, _)| known != path) {
                files.push((path.to_owned(), look(path)));
            }
        }
        Watch {
            files,
            next: now + LOOK,
            warned: now,
            complaint: None,
        }
    }

    /// Watches nothing any more.
    #[cfg(any(feature = "activation", feature = "connect"))]
    pub fn stop(&mut self) {
        self.files.clear();
    }

    /// When to look next; `None` if there is nothing to watch.
    pub fn next(&self) -> Option<Instant> {
        (!self.files.is_empty()).then_some(self.next)
    }

    /// Looks, if it is time; says whether to prepare the settings again. A file
    /// that has changed is seen as changed until it was read: what was prepared
    /// brings a watch of its own.
    pub fn is_due(&mut self, now: Instant) -> bool {
        if self.files.is_empty() || now < self.next {
            return false;
        }
        self.next = now + LOOK;
        let due = now.duration_since(self.warned) >= DAY;
        if due {
            self.warned = now;
        }
        due || self.files.iter().any(|(path, seen)| look(path) != *seen)
    }

    /// Notes why the files cannot be used, and says whether that is news.
    pub fn is_news(&mut self, complaint: &str) -> bool {
        let before = self.complaint.replace(complaint.to_owned());
        before.as_deref() != Some(complaint)
    }

    /// Somebody asks for the files to be read, and for an answer.
    pub fn forget_complaint(&mut self) {
        self.complaint = None;
    }
}

fn look(path: &Path) -> Seen {
    let file = std::fs::metadata(path).ok()?;
    Some((file.modified().ok()?, file.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::policy::Route;

    #[test]
    fn a_file_that_changed_is_tried_until_it_is_read_and_told_of_once() {
        let file = std::env::temp_dir().join(format!("adit-watch-{}", std::process::id()));
        std::fs::write(&file, "old").unwrap();
        let mut route = Route::default();
        route.backend_tls.ca = Some(file.clone());
        let settings = Settings {
            routes: vec![route],
            ..Settings::default()
        };
        let now = Instant::now();
        let mut watch = Watch::new(&settings, now);
        assert!(!watch.is_due(now));
        assert!(!watch.is_due(now + LOOK));
        std::fs::write(&file, "newer").unwrap();
        assert!(!watch.is_due(now + LOOK), "not before a minute");
        for minute in 2..5 {
            assert!(watch.is_due(now + minute * LOOK), "{minute}");
            assert_eq!(watch.is_news("it is bad"), minute == 2);
        }
        assert!(watch.is_news("it is worse"));
        watch.forget_complaint();
        assert!(watch.is_news("it is worse"));
        assert!(!Watch::new(&settings, now).is_due(now + LOOK));
        std::fs::remove_file(file).unwrap();
    }
}
