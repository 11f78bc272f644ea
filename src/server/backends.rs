//! Which backend a tunnel gets, and how it is reached.
//!
//! Of a route's backends the one with the fewest tunnels is dialled first, and
//! each of its addresses in turn; a failure leads to the next, unseen by the
//! client. Where there is another backend, one that failed is passed over for
//! a second. What is known of a backend lives as long as the process, so that
//! counts stay right over a reload.

use super::connects::{Connects, cause};
use super::settings::Settings;
use crate::address::Backend;
use crate::net::tls::Connector;
use crate::net::{Address, Socket, Stream, resolve};
use crate::tunnel::policy::Route;
use crate::tunnel::{Label, Ration, Refusal};
use log::warn;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::sync::{Arc, Weak};
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

/// Leaves the names of backends to be looked up when one is chosen. That
/// blocks, so it is for a process that serves nobody else.
///
/// # Errors
/// None; see [`Resolve`].
pub fn resolve_literals(routes: &[Route]) -> Result<Resolved, String> {
    let backends = routes.iter().flat_map(|route| &route.backends);
    Ok(backends
        .map(|backend| (backend.clone(), literal(backend).unwrap_or_default()))
        .collect())
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
    pub ration: Ration,
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

/// An attempt to get a backend for a tunnel.
#[derive(Debug)]
pub struct Dial {
    /// Who wants it.
    label: Label,
    /// As long as this is there, it is still wanted.
    wish: Arc<()>,
    /// The route's place in the tally.
    place: usize,
    /// A backend that is none of the route's, until its addresses are there.
    stranger: Option<Backend>,
    /// The backends that were not dialled yet, and how to ask each for TLS.
    left: Vec<(Key, Option<Connector>)>,
    several: bool,
    most: Option<usize>,
    timeout: Duration,
    /// The one that is being dialled; the tunnel counts as its own already.
    chosen: Option<Key>,
    /// How it is asked for TLS.
    connector: Option<Connector>,
    /// How many of its addresses were tried.
    tried: usize,
    /// The connection that is being made, and when it takes too long.
    socket: Option<(Socket, Instant)>,
    /// What to tell the client if no backend is left.
    refusal: Option<Refusal>,
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

    /// Looks up a backend that has a name only.
    fn look_up(&mut self, key: Key) -> io::Result<()> {
        let state = &mut self.states[key];
        if state.addresses.is_empty() {
            state.addresses = resolve(&state.name)?;
        }
        Ok(())
    }

    /// The name of a backend.
    pub fn name(&self, key: Key) -> &Backend {
        &self.states[key].name
    }

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

    fn connects_mut(&mut self, place: usize) -> &mut Connects {
        if self.connects.len() <= place {
            self.connects.resize_with(place + 1, Connects::default);
        }
        &mut self.connects[place]
    }

    /// A tunnel to this backend is over.
    pub fn release(&mut self, key: Key) {
        self.states[key].tunnels -= 1;
    }

    /// Starts the search for a backend of this route, or for the one that was
    /// chosen. Where that is none of the route's, its addresses are to be
    /// [`meet`](Dial::meet)ed first.
    pub fn dial(
        &self,
        route: &Route,
        connectors: &[Option<Connector>],
        chosen: Option<&Backend>,
        place: usize,
        label: Label,
    ) -> Dial {
        let stranger = chosen
            .filter(|chosen| !route.backends.contains(chosen))
            .cloned();
        let left: Vec<_> = route
            .backends
            .iter()
            .zip(connectors)
            .filter(|(name, _)| chosen.is_none_or(|chosen| chosen == *name))
            .filter_map(|(name, connector)| Some((*self.keys.get(name)?, connector.clone())))
            .collect();
        Dial {
            label,
            wish: Arc::default(),
            place,
            stranger,
            several: left.len() > 1,
            left,
            most: route.max_connections_per_backend,
            timeout: route.timeouts.connect,
            chosen: None,
            connector: None,
            tried: 0,
            socket: None,
            refusal: None,
        }
    }
}

impl Dial {
    /// What tells from afar whether this attempt is still going on.
    pub fn wish(&self) -> Weak<()> {
        Arc::downgrade(&self.wish)
    }

    /// The backend whose addresses have to be there before it can be dialled.
    pub fn stranger(&self) -> Option<&Backend> {
        self.stranger.as_ref()
    }

    /// Learns the addresses of the stranger, or why there are none.
    pub fn meet(&mut self, found: io::Result<Vec<Address>>, backends: &mut Backends) {
        let Some(name) = self.stranger.take() else {
            return;
        };
        match found {
            Ok(addresses) => {
                backends.learn(Resolved::from([(name.clone(), addresses)]));
                self.left
                    .extend(backends.keys.get(&name).map(|&key| (key, None)));
            }
            Err(e) => {
                backends.connects_mut(self.place).failed("name");
                warn!("{}: cannot resolve backend {name}: {e}", self.label);
                self.refusal = Some(Refusal::BackendUnreachable);
            }
        }
    }

    /// The connection that is being made.
    pub fn socket(&mut self) -> Option<&mut Socket> {
        self.socket.as_mut().map(|(socket, _)| socket)
    }

    /// When the connection that is being made takes too long.
    pub fn deadline(&self) -> Option<Instant> {
        self.socket.as_ref().map(|(_, until)| *until)
    }

    /// The backend and the connection to it, once that is made. The backend is
    /// to be [`release`](Backends::release)d when the tunnel is over.
    pub fn take(mut self, backends: &mut Backends, now: Instant) -> Option<(Key, Socket)> {
        let (key, (socket, until)) = (self.chosen?, self.socket.take()?);
        let left = until.saturating_duration_since(now);
        let took = self.timeout.saturating_sub(left);
        backends.connects_mut(self.place).times.add(took);
        let state = &mut backends.states[key];
        (state.down_until, state.failed_at) = (None, None);
        Some((key, socket))
    }

    /// Ends the attempt: the client does not want it any more.
    pub fn abandon(mut self, backends: &mut Backends) {
        if let Some(key) = self.chosen.take() {
            backends.release(key);
        }
    }

    /// Begins a connection to the next address, of this backend or the next.
    ///
    /// # Errors
    /// What to tell the client: no backend is left.
    pub fn next(&mut self, backends: &mut Backends, now: Instant) -> Result<(), Refusal> {
        loop {
            self.socket = None;
            let address = self
                .chosen
                .and_then(|key| backends.states[key].addresses.get(self.tried));
            let Some(address) = address else {
                self.give_up(backends, now);
                self.choose(backends, now)?;
                continue;
            };
            self.tried += 1;
            match connect(address, self.connector.as_ref()) {
                Ok(socket) => {
                    self.socket = Some((socket, now + self.timeout));
                    return Ok(());
                }
                Err(e) => self.failed(&e, backends, now),
            }
        }
    }

    /// Notes why the connection that was begun is not made.
    pub fn failed(&mut self, error: &io::Error, backends: &mut Backends, now: Instant) {
        backends.connects_mut(self.place).failed(cause(error));
        let may_log = backends.ration.allows(now);
        let Some(state) = self.chosen.map(|key| &backends.states[key]) else {
            return;
        };
        let tried = self.tried.checked_sub(1);
        match tried.and_then(|at| state.addresses.get(at)) {
            _ if !may_log => {}
            Some(Address::Tcp(address)) if state.addresses.len() > 1 => {
                warn!(
                    "{}: backend {} at {address}: {error}",
                    self.label, state.name
                );
            }
            _ => warn!("{}: backend {}: {error}", self.label, state.name),
        }
        self.refusal = Some(match error.kind() {
            ErrorKind::TimedOut => Refusal::BackendTimeout,
            // A Unix socket whose backlog is full.
            ErrorKind::WouldBlock => Refusal::BackendsFull,
            _ => Refusal::BackendUnreachable,
        });
    }

    /// All addresses of the backend have failed.
    fn give_up(&mut self, backends: &mut Backends, now: Instant) {
        if let Some(key) = self.chosen.take() {
            backends.release(key);
            let state = &mut backends.states[key];
            state.failed_at = Some(now);
            if self.several {
                state.down_until = Some(now + REST);
            }
        }
    }

    /// Goes to the backend with the fewest tunnels of those that are left.
    fn choose(&mut self, backends: &mut Backends, now: Instant) -> Result<(), Refusal> {
        let states = &backends.states;
        let is_down = |key: Key| states[key].down_until.is_some_and(|until| now < until);
        let is_full = |key: Key| self.most.is_some_and(|most| states[key].tunnels >= most);
        let usable = self.left.iter().enumerate();
        let usable = usable.filter(|(_, (key, _))| !is_down(*key) && !is_full(*key));
        let Some((place, _)) = usable.min_by_key(|(_, (key, _))| states[*key].tunnels) else {
            return Err(match self.refusal.take() {
                Some(refusal) if !self.several => refusal,
                None if self.left.iter().all(|(key, _)| is_full(*key)) => Refusal::BackendsFull,
                _ => Refusal::BackendsDown,
            });
        };
        let (key, connector) = self.left.remove(place);
        self.connector = connector;
        self.chosen = Some(key);
        self.tried = 0;
        backends.states[key].tunnels += 1;
        if let Err(e) = backends.look_up(key) {
            let name = &backends.states[key].name;
            warn!("{}: cannot resolve backend {name}: {e}", self.label);
            self.refusal = Some(Refusal::BackendUnreachable);
        }
        Ok(())
    }
}

/// Begins a connection, with TLS over it if the backend is asked for that.
fn connect(address: &Address, connector: Option<&Connector>) -> io::Result<Socket> {
    let mut socket = Socket::new(Stream::connect(address)?);
    if let Some(connector) = connector {
        socket.connect_tls(connector)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Lent, Peer};
    use std::net::{SocketAddr, TcpListener};

    /// A route to these addresses, one backend each, and the table for it.
    fn route(addresses: &[SocketAddr]) -> (Route, Backends) {
        let backends = addresses
            .iter()
            .map(|a| format!("{a}").parse().expect("an address"));
        let route = Route {
            backends: backends.collect(),
            ..Route::default()
        };
        let mut table = Backends::default();
        table.learn(resolve_all(std::slice::from_ref(&route)).expect("addresses resolve"));
        (route, table)
    }

    /// An address where nobody listens.
    fn closed() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
    }

    /// Dials until the connection stands or is refused.
    fn outcome(route: &Route, table: &mut Backends, now: Instant) -> Result<Key, Refusal> {
        let label = Label::new(1, Peer::Unix);
        let mut dial = table.dial(route, &vec![None; route.backends.len()], None, 0, label);
        dial.next(table, now)?;
        loop {
            match dial
                .socket()
                .expect("a connection is being made")
                .connected(&mut Lent::default())
            {
                Ok(true) => return Ok(dial.take(table, now).expect("it stands").0),
                Ok(false) => std::thread::yield_now(),
                Err(e) => {
                    dial.failed(&e, table, now);
                    dial.next(table, now)?;
                }
            }
        }
    }

    #[test]
    fn a_single_backend_that_refuses_is_unreachable_each_time() {
        let (route, mut table) = route(&[closed()]);
        let now = Instant::now();
        for _ in 0..2 {
            assert_eq!(
                outcome(&route, &mut table, now),
                Err(Refusal::BackendUnreachable)
            );
        }
    }

    #[test]
    fn several_backends_are_tried_in_turn_and_a_dead_one_rests() {
        let alive = TcpListener::bind("127.0.0.1:0").unwrap();
        let (route, mut table) = route(&[closed(), alive.local_addr().unwrap()]);
        let now = Instant::now();
        let key = outcome(&route, &mut table, now).expect("the second is alive");
        let dead = 1 - key;
        assert!(
            table.states[dead]
                .down_until
                .is_some_and(|until| until == now + REST)
        );
        drop(alive);
        assert_eq!(outcome(&route, &mut table, now), Err(Refusal::BackendsDown));
        assert_eq!(outcome(&route, &mut table, now), Err(Refusal::BackendsDown));
    }

    #[test]
    fn the_backend_with_the_fewest_tunnels_is_taken_until_all_are_full() {
        let listeners = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = listeners.each_ref().map(|l| l.local_addr().unwrap());
        let (mut route, mut table) = route(&addresses);
        route.max_connections_per_backend = Some(2);
        let now = Instant::now();
        let mut keys: Vec<_> = (0..4)
            .map(|_| outcome(&route, &mut table, now).expect("there is room"))
            .collect();
        keys.sort_unstable();
        assert_eq!(keys, [0, 0, 1, 1]);
        assert_eq!(outcome(&route, &mut table, now), Err(Refusal::BackendsFull));
        table.release(1);
        assert_eq!(outcome(&route, &mut table, now), Ok(1));
    }
}
