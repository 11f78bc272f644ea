//! What is known of backends: their addresses, their tunnels, and which of them
//! failed.
//!
//! Of a route's backends the one with the fewest tunnels is dialled first; a
//! failure leads to the next, unseen by the client (see [`Dial`](super::dial)).
//! Where there is another backend, one that failed is passed over for a second.
//! What is known of a backend lives as long as the process, so that counts stay
//! right over a reload.

use super::connects::Connects;
use super::settings::Settings;
use crate::address::Backend;
use crate::net::{Address, resolve};
use crate::tunnel::LogLimit;
use crate::tunnel::policy::Route;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long a backend that failed is passed over where there is another.
const REST: Duration = Duration::from_secs(1);

/// How long a backend that could not be connected counts as down, unless it can
/// be again: longer than health checks take to make up their minds, and not for
/// ever, since nobody may be sent here to try it until it counts as up.
const DOWN: Duration = Duration::from_secs(30);

/// The addresses of all backends, by their names.
pub type Resolved = HashMap<Backend, Vec<Address>>;

/// How the addresses of all backends are found.
pub type Resolve = fn(&[Route]) -> Result<Resolved, String>;

/// Looks up the names of all backends. May block.
///
/// # Errors
/// Which name cannot be resolved, and why.
pub fn resolve_all(routes: &[Route]) -> Result<Resolved, String> {
    let mut resolved = Resolved::new();
    for backend in routes.iter().flat_map(|route| &route.backends) {
        if !resolved.contains_key(backend) {
            let addresses =
                resolve(backend).map_err(|e| format!("cannot resolve backend {backend}: {e}"))?;
            resolved.insert(backend.clone(), addresses);
        }
    }
    Ok(resolved)
}

/// The addresses of a backend that are known without looking anything up.
pub fn literal(backend: &Backend) -> Option<Vec<Address>> {
    let is_literal = match backend {
        Backend::Tcp { host, .. } | Backend::Tls { host, .. } => host.parse::<IpAddr>().is_ok(),
        Backend::Unix(_) | Backend::Abstract(_) => true,
    };
    is_literal.then(|| resolve(backend).ok())?
}

/// A backend's place in the table.
pub type Key = usize;

/// All backends that there ever were.
#[derive(Debug, Default)]
pub struct Backends {
    keys: HashMap<Backend, Key>,
    states: Vec<State>,
    /// How connecting goes, by the routes' places in the tally.
    connects: Vec<Connects>,
    /// How many of their failures the log takes, whoever causes them.
    pub log_limit: LogLimit,
}

#[derive(Debug)]
struct State {
    name: Backend,
    addresses: Vec<Address>,
    tunnels: usize,
    /// Until when it rests after a failure.
    down_until: Option<Instant>,
    /// When it could not be connected, if it could not at last.
    failed_at: Option<Instant>,
}

impl State {
    fn is_down(&self, now: Instant) -> bool {
        self.failed_at
            .is_some_and(|at| now.saturating_duration_since(at) < DOWN)
    }
}

#[cfg_attr(
    not(feature = "admin"),
    expect(dead_code, reason = "the admin pages tell it")
)]
impl Backends {
    /// Whether this backend could not be connected lately.
    pub fn is_down(&self, backend: &Backend, now: Instant) -> bool {
        let state = self.keys.get(backend).map(|&key| &self.states[key]);
        state.is_some_and(|state| state.is_down(now))
    }

    /// The backends that these settings name, each with its tunnels and whether
    /// it is down.
    pub fn of(&self, settings: &Settings, now: Instant) -> BTreeMap<String, (usize, bool)> {
        let named = settings.routes.iter().flat_map(|route| &route.backends);
        let keys = named.filter_map(|backend| self.keys.get(backend));
        let states = keys.map(|&key| &self.states[key]);
        let rows =
            states.map(|state| (state.name.to_string(), (state.tunnels, state.is_down(now))));
        rows.collect()
    }

    /// How connecting goes for the route at this place in the tally.
    pub fn connects(&self, place: usize) -> Cow<'_, Connects> {
        let known = self.connects.get(place).map(Cow::Borrowed);
        known.unwrap_or_default()
    }
}

impl Backends {
    /// Learns addresses, of new backends and of known ones.
    pub fn learn(&mut self, resolved: Resolved) {
        for (name, addresses) in resolved {
            match self.keys.get(&name) {
                Some(&key) => self.states[key].addresses = addresses,
                None => {
                    self.keys.insert(name.clone(), self.states.len());
                    self.states.push(State {
                        name,
                        addresses,
                        tunnels: 0,
                        down_until: None,
                        failed_at: None,
                    });
                }
            }
        }
    }

    /// The name of a backend.
    pub fn name(&self, key: Key) -> &Backend {
        &self.states[key].name
    }

    /// How connecting goes for the route at this place, to be added to.
    pub fn connects_mut(&mut self, place: usize) -> &mut Connects {
        if self.connects.len() <= place {
            self.connects.resize_with(place + 1, Connects::default);
        }
        &mut self.connects[place]
    }

    /// A tunnel to this backend is over.
    pub fn release(&mut self, key: Key) {
        self.states[key].tunnels -= 1;
    }

    /// A backend's place in the table, if it is known.
    pub fn key(&self, name: &Backend) -> Option<Key> {
        self.keys.get(name).copied()
    }

    /// How many tunnels it has.
    pub fn tunnels(&self, key: Key) -> usize {
        self.states[key].tunnels
    }

    /// Whether it is passed over where there is another.
    pub fn is_resting(&self, key: Key, now: Instant) -> bool {
        let until = self.states[key].down_until;
        until.is_some_and(|until| now < until)
    }

    /// One more tunnel is to be its own. The backend is to be
    /// [`release`](Backends::release)d when the tunnel is over.
    pub fn take(&mut self, key: Key) {
        self.states[key].tunnels += 1;
    }

    /// The addresses of a backend, which are looked up if it has a name only.
    ///
    /// # Errors
    /// What the resolver says.
    pub fn addresses(&mut self, key: Key) -> io::Result<Vec<Address>> {
        let state = &mut self.states[key];
        if state.addresses.is_empty() {
            state.addresses = resolve(&state.name)?;
        }
        Ok(state.addresses.clone())
    }

    /// It has failed, and rests a while where there are `several`.
    pub fn fails(&mut self, key: Key, several: bool, now: Instant) {
        let state = &mut self.states[key];
        state.failed_at = Some(now);
        if several {
            state.down_until = Some(now + REST);
        }
    }

    /// It has not.
    pub fn works(&mut self, key: Key) {
        let state = &mut self.states[key];
        (state.down_until, state.failed_at) = (None, None);
    }
}
