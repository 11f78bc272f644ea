//! Dialling the backend of one tunnel, until a connection to it is ready for
//! messages.
//!
//! The backend with the fewest tunnels is dialled first, all of its addresses in
//! one [`Race`]; when that is lost, the next backend has its turn. A backend
//! that is none of the route's is resolved before, and a WebSocket server may
//! redirect to another one, or be dialled again after a pause.
//!
//! Who owns whom:
//!
//! ```text
//! Server                            the loop, and what it lends for a turn
//! ├── Backends                      the addresses and health of all backends
//! ├── Targets, one a route          steps to each backend, or a remote Target
//! └── Table
//!     └── Slot, one a connection
//!         ├── Tunnel                in one of its phases:
//!         │   ├── Opening           the link downstream, and the request so far
//!         │   ├── Dialling          the link downstream, and who is Accepted
//!         │   └── Open: Session     two Endpoints, each a Link and a Codec
//!         └── Dial                  while the tunnel is Dialling
//!             ├── CancelGuard       drops the jobs of workers along with itself
//!             ├── Redial            of a remote server: redirects and pauses
//!             │   └── Target        where it is now, and how to ask for TLS
//!             └── Race              the addresses of one backend
//!                 └── Attempt       one address, and when it takes too long
//!                     └── Connecting    the link upstream, and steps to be done
//! ```
//!
//! Once a Connecting is done it is Connected; with that the Downstream of who
//! was Accepted makes the Session, and the Dial is gone.

use super::backends::{Backends, Key, Resolved};
use super::connects::cause;
use super::dial_context::{Caller, DialContext};
use super::race::{Race, Standing, Timeouts};
use super::redial::Redial;
use super::workers::{CancelGuard, CancelToken};
use crate::address::Backend;
use crate::net::resolve::interleaved;
use crate::net::{Address, Socket};
use crate::tunnel::connecting::{Connected, Failure, Step};
use crate::tunnel::policy::Route;
use crate::tunnel::remote::Target;
use crate::tunnel::{Readiness, Refusal};
use log::{Level, log, log_enabled};
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

/// How long a name may be resolved.
const LOOKUP: Duration = Duration::from_secs(30);

/// How far a dial is.
#[derive(Debug)]
pub enum Progress {
    /// An event or its deadline is waited for.
    Waiting,
    /// The addresses of [`Dial::unresolved`] have to be looked up.
    Lookup,
    /// There is a connection.
    Connected(Key, Box<Connected<Socket>>),
    /// No backend is left; what to tell the client.
    Failed(Refusal),
}

/// An attempt to get a backend for a tunnel.
#[derive(Debug)]
pub struct Dial {
    caller: Caller,
    /// Cancels what workers are asked for it.
    cancel: CancelGuard,
    /// Whether a connection may be made.
    has_begun: bool,
    /// A backend that is none of the route's, until its addresses are there,
    /// and until when these are waited for.
    unresolved: Option<(Backend, Option<Instant>)>,
    /// What to do over a connection to it.
    unresolved_steps: Vec<Step>,
    /// The remote server that is dialled instead of a backend.
    redial: Option<Box<Redial>>,
    /// The backends that were not dialled yet, and what to do over a connection
    /// to each.
    candidates: Vec<(Key, Vec<Step>)>,
    has_several: bool,
    most_tunnels: Option<usize>,
    timeouts: Timeouts,
    /// The one that is being dialled; the tunnel counts as its own already.
    race: Option<(Key, Race)>,
    /// What to tell the client if no backend is left, and why that is.
    refusal: Option<Refusal>,
    why: Option<String>,
    /// Whether the same attempt could come to something later.
    is_transient: bool,
}

impl Dial {
    /// Starts to dial a backend of this route, or the one that was `chosen`.
    /// `steps`: what to do over a connection to each backend, in order.
    pub fn new(
        route: &Route,
        steps: &[Vec<Step>],
        chosen: Option<&Backend>,
        backends: &Backends,
        caller: Caller,
    ) -> Self {
        let unresolved = chosen.filter(|chosen| !route.backends.contains(chosen));
        let candidates: Vec<_> = route
            .backends
            .iter()
            .zip(steps)
            .filter(|(name, _)| chosen.is_none_or(|chosen| chosen == *name))
            .filter_map(|(name, steps)| Some((backends.key(name)?, steps.clone())))
            .collect();
        Dial {
            caller,
            cancel: CancelGuard::default(),
            has_begun: false,
            unresolved: unresolved.map(|name| (name.clone(), None)),
            unresolved_steps: Vec::new(),
            redial: None,
            has_several: candidates.len() > 1,
            candidates,
            most_tunnels: route.max_connections_per_backend,
            timeouts: Timeouts {
                connect: route.timeouts.connect,
                handshake: route.timeouts.connect,
            },
            race: None,
            refusal: None,
            why: None,
            is_transient: true,
        }
    }

    /// What tells a worker that this was abandoned.
    pub fn cancel_token(&self) -> CancelToken {
        self.cancel.token()
    }

    /// The client is who it says, as far as anybody asks: a connection may be
    /// made.
    pub fn begin(&mut self) {
        self.has_begun = true;
    }

    /// Dials a remote server, which has so long for its handshake.
    pub fn dial_remote(&mut self, target: &Target, handshake_timeout: Duration) {
        self.redial = Some(Box::new(Redial::new(target)));
        self.timeouts.handshake = handshake_timeout;
        self.dial_next_hop();
    }

    /// Makes the server, or the proxy before it, the one to be dialled.
    fn dial_next_hop(&mut self) {
        let Some(redial) = &self.redial else {
            return;
        };
        match redial.next_hop() {
            Ok((backend, steps)) => {
                self.unresolved = Some((backend, None));
                self.unresolved_steps = steps;
            }
            Err(why) => self.note_failure(Refusal::BackendUnreachable, why, false),
        }
    }

    /// The backend whose addresses have to be there before it can be dialled.
    pub fn unresolved(&self) -> Option<&Backend> {
        self.unresolved.as_ref().map(|(name, _)| name)
    }

    /// The addresses of the unresolved backend are being looked up.
    pub fn resolving(&mut self, now: Instant) {
        if let Some((_, until)) = &mut self.unresolved {
            *until = Some(now + LOOKUP);
        }
    }

    /// Learns the addresses of the unresolved backend, or why there are none.
    pub fn resolved(
        &mut self,
        name: &Backend,
        found: io::Result<Vec<Address>>,
        backends: &mut Backends,
    ) {
        if self.unresolved() != Some(name) {
            return;
        }
        self.unresolved = None;
        match found {
            Ok(addresses) => {
                backends.learn(Resolved::from([(name.clone(), addresses)]));
                let steps = std::mem::take(&mut self.unresolved_steps);
                let candidate = backends.key(name).map(|key| (key, steps));
                self.candidates.extend(candidate);
            }
            Err(e) => {
                backends.connects_mut(self.caller.place).failed("name");
                let why = format!("cannot resolve {name}: {e}");
                if self.redial.is_none() {
                    log::warn!("{}: cannot resolve backend {name}: {e}", self.caller.label);
                }
                self.note_failure(Refusal::BackendUnreachable, why, true);
            }
        }
    }

    /// Adds what an event said of the connection that is being made.
    pub fn ready(&mut self, seen: Readiness) {
        if let Some((_, race)) = &mut self.race {
            race.ready(seen);
        }
    }

    /// When to look again though nothing happens.
    pub fn deadline(&self) -> Option<Instant> {
        let race = self.race.as_ref().and_then(|(_, race)| race.deadline());
        let lookup = self.unresolved.as_ref().and_then(|(_, until)| *until);
        let again = self.redial.as_ref().and_then(|redial| redial.again_at());
        [race, lookup, again].into_iter().flatten().min()
    }

    /// What the log calls the backend that is there.
    pub fn name(&self, key: Key, backends: &Backends) -> String {
        match &self.redial {
            Some(redial) => redial.name(),
            None => backends.name(key).to_string(),
        }
    }

    /// Why there is no connection.
    pub fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }

    /// Ends the attempt: the client does not want it any more.
    pub fn abandon(mut self, backends: &mut Backends) {
        if let Some((key, _)) = self.race.take() {
            backends.release(key);
        }
    }

    /// Does what can be done now.
    pub fn advance(&mut self, cx: &mut DialContext<'_>) -> Progress {
        if !self.has_begun {
            return Progress::Waiting;
        }
        if let Some((name, Some(until))) = self.unresolved.clone() {
            if cx.now < until {
                return Progress::Waiting;
            }
            let late = io::Error::new(ErrorKind::TimedOut, "the resolver says nothing");
            self.resolved(&name, Err(late), cx.backends);
        }
        if let Some(redial) = &mut self.redial {
            match redial.again_at() {
                Some(at) if cx.now < at => return Progress::Waiting,
                Some(_) => {
                    redial.resume();
                    self.dial_next_hop();
                }
                None => {}
            }
        }
        loop {
            if self.unresolved.is_some() {
                return Progress::Lookup;
            }
            let Some((key, race)) = &mut self.race else {
                match self.choose(cx) {
                    Ok(()) => continue,
                    Err(_) if self.back_off(cx.now) => return Progress::Waiting,
                    Err(refusal) => return Progress::Failed(refusal),
                }
            };
            match race.advance(cx) {
                Standing::Waiting => return Progress::Waiting,
                Standing::Won(connected, took) => {
                    let key = *key;
                    self.race = None;
                    let connects = cx.backends.connects_mut(self.caller.place);
                    connects.times.add(took);
                    cx.backends.works(key);
                    return Progress::Connected(key, connected);
                }
                Standing::Failed(address, failure) => self.attempt_failed(&failure, &address, cx),
                Standing::Lost => self.backend_failed(cx),
            }
        }
    }

    /// Notes why a connection that was begun is not made.
    fn attempt_failed(&mut self, failure: &Failure, address: &Address, cx: &mut DialContext<'_>) {
        let location = failure.location();
        if location.is_some_and(|location| self.follow_redirect(location, cx)) {
            return;
        }
        let connects = cx.backends.connects_mut(self.caller.place);
        connects.failed(match failure {
            Failure::Broken(e) => cause(e),
            Failure::Unwelcome(..) => "other",
        });
        let Some((key, race)) = &self.race else {
            return;
        };
        let (name, level) = match &self.redial {
            None => (format!("backend {}", cx.backends.name(*key)), Level::Warn),
            Some(redial) => (redial.name(), Level::Debug),
        };
        let place = match address {
            Address::Tcp(address) if race.has_several() => format!(" at {address}"),
            _ => String::new(),
        };
        // Lines that nobody sees use up nothing.
        if log_enabled!(level) && cx.backends.log_limit.allows(cx.now) {
            log!(level, "{}: {name}{place}: {failure}", self.caller.label);
        }
        let why = format!("{name}{place}: {failure}");
        self.note_failure(failure.refusal(), why, failure.is_transient());
    }

    /// Goes where an answer says, if that is wanted; says whether it does.
    fn follow_redirect(&mut self, location: &str, cx: &mut DialContext<'_>) -> bool {
        let Some(redial) = &mut self.redial else {
            return false;
        };
        match redial.follow(location, self.caller.label) {
            Ok(false) => return false,
            Ok(true) => self.dial_next_hop(),
            Err(why) => self.note_failure(Refusal::BackendUnreachable, why, false),
        }
        // This server has other addresses, but nothing else to say.
        self.backend_failed(cx);
        true
    }

    /// Notes why there is no connection.
    pub fn note_failure(&mut self, refusal: Refusal, why: String, is_transient: bool) {
        self.refusal = Some(refusal);
        self.why = Some(why);
        self.is_transient = is_transient;
    }

    /// Tries the same again after a pause, if that is wanted; says whether it does.
    fn back_off(&mut self, now: Instant) -> bool {
        let why = self.why.as_deref().unwrap_or_default();
        let redial = self.redial.as_mut().filter(|_| self.is_transient);
        redial.is_some_and(|redial| redial.back_off(why, self.caller.label, now))
    }

    /// The backend that is being dialled is not the one.
    fn backend_failed(&mut self, cx: &mut DialContext<'_>) {
        if let Some((key, _)) = self.race.take() {
            cx.backends.release(key);
            cx.backends.fails(key, self.has_several, cx.now);
        }
    }

    /// Begins to dial the backend with the fewest tunnels of those that are left.
    fn choose(&mut self, cx: &mut DialContext<'_>) -> Result<(), Refusal> {
        let backends = &mut *cx.backends;
        let is_full = |key: Key| {
            self.most_tunnels
                .is_some_and(|most| backends.tunnels(key) >= most)
        };
        let usable = self.candidates.iter().enumerate();
        let usable =
            usable.filter(|(_, (key, _))| !backends.is_resting(*key, cx.now) && !is_full(*key));
        let Some((place, _)) = usable.min_by_key(|(_, (key, _))| backends.tunnels(*key)) else {
            return Err(match self.refusal.take() {
                Some(refusal) if !self.has_several => refusal,
                None if self.candidates.iter().all(|(key, _)| is_full(*key)) => {
                    Refusal::BackendsFull
                }
                _ => Refusal::BackendsDown,
            });
        };
        let (key, steps) = self.candidates.remove(place);
        backends.take(key);
        let addresses = match backends.addresses(key) {
            Ok(addresses) => interleaved(addresses),
            Err(e) => {
                let name = backends.name(key);
                log::warn!("{}: cannot resolve backend {name}: {e}", self.caller.label);
                self.refusal = Some(Refusal::BackendUnreachable);
                Vec::new()
            }
        };
        let race = Race::new(self.caller, self.timeouts, steps, addresses);
        self.race = Some((key, race));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Peer;
    use crate::server::backends::resolve_all;
    use crate::server::race::ALONE;
    use crate::tunnel::{Label, Scratch};
    use mio::{Events, Poll, Token};
    use socket2::{Domain, Type};
    use std::net::{SocketAddr, TcpListener, TcpStream};

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

    /// An address that never answers, since as many wait for it as may, and what
    /// keeps it so.
    fn silent() -> (SocketAddr, impl Sized) {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&any.into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let moment = Duration::from_millis(200);
        let mut queued = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, moment) {
            queued.push(stream);
        }
        (address, (socket, queued))
    }

    /// A dial of all that a route has.
    fn dial(route: &Route, table: &Backends) -> Dial {
        let caller = Caller {
            label: Label::new(1, Peer::Unix),
            token: Token(0),
            place: 0,
        };
        let steps = vec![Vec::new(); route.backends.len()];
        let mut dial = Dial::new(route, &steps, None, table, caller);
        dial.begin();
        dial
    }

    /// What a dial does at this moment.
    fn advance(dial: &mut Dial, table: &mut Backends, poll: &Poll, now: Instant) -> Progress {
        dial.advance(&mut DialContext {
            backends: table,
            registry: poll.registry(),
            scratch: &mut Scratch::default(),
            now,
        })
    }

    /// Advances until there is more to do than to wait.
    fn settle(dial: &mut Dial, table: &mut Backends, poll: &mut Poll, now: Instant) -> Progress {
        loop {
            match advance(dial, table, poll, now) {
                Progress::Waiting => {
                    let soon = Some(Duration::from_secs(5));
                    poll.poll(&mut Events::with_capacity(4), soon).unwrap();
                }
                progress => return progress,
            }
        }
    }

    /// Dials until the connection stands or is refused.
    fn outcome(route: &Route, table: &mut Backends, now: Instant) -> Result<Key, Refusal> {
        let mut poll = Poll::new().unwrap();
        match settle(&mut dial(route, table), table, &mut poll, now) {
            Progress::Connected(key, _) => Ok(key),
            Progress::Failed(refusal) => Err(refusal),
            other => panic!("{other:?}"),
        }
    }

    /// A route to one backend with these addresses.
    fn named(addresses: &[SocketAddr]) -> (Route, Backends) {
        let name: Backend = "several:1".parse().unwrap();
        let mut table = Backends::default();
        let addresses = addresses.iter().copied().map(Address::Tcp).collect();
        table.learn(Resolved::from([(name.clone(), addresses)]));
        let route = Route {
            backends: vec![name],
            ..Route::default()
        };
        (route, table)
    }

    #[test]
    fn nobody_is_dialled_before_it_is_time() {
        let alive = TcpListener::bind("127.0.0.1:0").unwrap();
        alive.set_nonblocking(true).unwrap();
        let (route, mut table) = named(&[alive.local_addr().unwrap()]);
        let (mut poll, now) = (Poll::new().unwrap(), Instant::now());
        let mut dial = dial(&route, &table);
        dial.has_begun = false;
        let waiting = advance(&mut dial, &mut table, &poll, now);
        assert!(matches!(waiting, Progress::Waiting));
        assert!(alive.accept().is_err() && dial.race.is_none());
        dial.begin();
        let connected = settle(&mut dial, &mut table, &mut poll, now);
        assert!(
            matches!(connected, Progress::Connected(..)),
            "{connected:?}"
        );
    }

    #[test]
    fn an_address_that_swallows_packets_costs_a_quarter_of_a_second() {
        let (silent, _kept) = silent();
        let alive = TcpListener::bind("127.0.0.1:0").unwrap();
        let (route, mut table) = named(&[silent, alive.local_addr().unwrap()]);
        let (mut poll, now) = (Poll::new().unwrap(), Instant::now());
        let mut dial = dial(&route, &table);
        let waiting = advance(&mut dial, &mut table, &poll, now);
        assert!(matches!(waiting, Progress::Waiting));
        assert_eq!(dial.deadline(), Some(now + ALONE));
        let connected = settle(&mut dial, &mut table, &mut poll, now + ALONE);
        let Progress::Connected(_, connection) = connected else {
            panic!("{connected:?}");
        };
        drop(connection);
        let (_, peer) = alive.accept().unwrap();
        assert!(peer.ip().is_loopback());
    }

    #[test]
    fn an_address_that_refuses_costs_nothing_and_all_of_them_one_timeout_each() {
        let alive = TcpListener::bind("127.0.0.1:0").unwrap();
        let (route, mut table) = named(&[closed(), alive.local_addr().unwrap()]);
        let now = Instant::now();
        assert_eq!(outcome(&route, &mut table, now), Ok(0));
        let (silent, _kept) = silent();
        let (route, mut table) = named(&[silent, silent]);
        let poll = Poll::new().unwrap();
        let mut dial = dial(&route, &table);
        let timeout = route.timeouts.connect;
        for (after, deadline) in [
            (Duration::ZERO, ALONE),
            (ALONE, timeout),
            (timeout, ALONE + timeout),
        ] {
            let waiting = advance(&mut dial, &mut table, &poll, now + after);
            assert!(matches!(waiting, Progress::Waiting), "{waiting:?}");
            assert_eq!(dial.deadline(), Some(now + deadline), "{after:?}");
        }
        let failed = advance(&mut dial, &mut table, &poll, now + ALONE + timeout);
        let refused = matches!(failed, Progress::Failed(Refusal::BackendTimeout));
        assert!(refused, "{failed:?}");
        assert!(
            dial.why()
                .is_some_and(|why| why.ends_with("connect timeout"))
        );
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
        assert!(table.is_resting(dead, now));
        assert!(!table.is_resting(dead, now + Duration::from_secs(1)));
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
