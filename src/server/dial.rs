//! The search for a backend of one tunnel, until a connection to it is ready
//! for messages.
//!
//! The backend with the fewest tunnels is tried first, all of its addresses in
//! one [`Race`]; when that is lost, the next backend has its turn. A backend
//! that is none of the route's is looked up before, and a WebSocket server may
//! lead to another one, or be looked for again after a pause.

use super::backends::{Backends, Key, Resolved};
use super::connects::cause;
use super::ground::{Ground, Wanted};
use super::pursuit::Pursuit;
use super::race::{Pace, Race, Standing};
use crate::address::Backend;
use crate::net::resolve::interleaved;
use crate::net::{Address, Socket};
use crate::tunnel::approach::{Arrival, Failure, Step};
use crate::tunnel::far::Quest;
use crate::tunnel::policy::Route;
use crate::tunnel::{Readiness, Refusal};
use log::{Level, log, log_enabled};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How long a name may be looked up.
const LOOKUP: Duration = Duration::from_secs(30);

/// How far a search is.
#[derive(Debug)]
pub enum Progress {
    /// An event or its deadline is waited for.
    Waiting,
    /// The addresses of [`Dial::stranger`] have to be looked up.
    Lookup,
    /// There is a connection.
    Arrived(Key, Box<Arrival<Socket>>),
    /// No backend is left; what to tell the client.
    Failed(Refusal),
}

/// An attempt to get a backend for a tunnel.
#[derive(Debug)]
pub struct Dial {
    wanted: Wanted,
    /// As long as this is there, it is still wanted.
    wish: Arc<()>,
    /// Whether a connection may be made.
    has_begun: bool,
    /// A backend that is none of the route's, until its addresses are there,
    /// and until when these are waited for.
    stranger: Option<(Backend, Option<Instant>)>,
    /// The way to it.
    stranger_way: Vec<Step>,
    /// A WebSocket server that is looked for.
    pursuit: Option<Box<Pursuit>>,
    /// The backends that were not dialled yet, and the way to each.
    left: Vec<(Key, Vec<Step>)>,
    several: bool,
    most: Option<usize>,
    pace: Pace,
    /// The one that is being dialled; the tunnel counts as its own already.
    race: Option<(Key, Race)>,
    /// What to tell the client if no backend is left, and why that is.
    refusal: Option<Refusal>,
    why: Option<String>,
    /// Whether the same attempt could come to something later.
    may_change: bool,
}

impl Dial {
    /// Starts the search for a backend of this route, or for the one that was
    /// `chosen`. `ways` are those to its backends, in order.
    pub fn new(
        route: &Route,
        ways: &[Vec<Step>],
        chosen: Option<&Backend>,
        backends: &Backends,
        wanted: Wanted,
    ) -> Self {
        let stranger = chosen.filter(|chosen| !route.backends.contains(chosen));
        let left: Vec<_> = route
            .backends
            .iter()
            .zip(ways)
            .filter(|(name, _)| chosen.is_none_or(|chosen| chosen == *name))
            .filter_map(|(name, way)| Some((backends.key(name)?, way.clone())))
            .collect();
        Dial {
            wanted,
            wish: Arc::default(),
            has_begun: false,
            stranger: stranger.map(|name| (name.clone(), None)),
            stranger_way: Vec::new(),
            pursuit: None,
            several: left.len() > 1,
            left,
            most: route.max_connections_per_backend,
            pace: Pace {
                connect: route.timeouts.connect,
                handshake: route.timeouts.connect,
            },
            race: None,
            refusal: None,
            why: None,
            may_change: true,
        }
    }

    /// What tells from afar whether this attempt is still going on.
    pub fn wish(&self) -> Weak<()> {
        Arc::downgrade(&self.wish)
    }

    /// The client is who it says, as far as anybody asks: a connection may be
    /// made.
    pub fn begin(&mut self) {
        self.has_begun = true;
    }

    /// Looks for a WebSocket server, which has so long for its handshake.
    pub fn seek(&mut self, quest: &Quest, handshake_timeout: Duration) {
        self.pursuit = Some(Box::new(Pursuit::new(quest)));
        self.pace.handshake = handshake_timeout;
        self.set_out();
    }

    /// Makes the server, or the proxy before it, the one to be dialled.
    fn set_out(&mut self) {
        let Some(pursuit) = &self.pursuit else {
            return;
        };
        match pursuit.way() {
            Ok((backend, way)) => {
                self.stranger = Some((backend, None));
                self.stranger_way = way;
            }
            Err(why) => self.give_reason(Refusal::BackendUnreachable, why, false),
        }
    }

    /// The backend whose addresses have to be there before it can be dialled.
    pub fn stranger(&self) -> Option<&Backend> {
        self.stranger.as_ref().map(|(name, _)| name)
    }

    /// The addresses of the stranger are being looked up.
    pub fn waits_for_addresses(&mut self, now: Instant) {
        if let Some((_, until)) = &mut self.stranger {
            *until = Some(now + LOOKUP);
        }
    }

    /// Learns the addresses of the stranger, or why there are none.
    pub fn meet(
        &mut self,
        name: &Backend,
        found: io::Result<Vec<Address>>,
        backends: &mut Backends,
    ) {
        if self.stranger() != Some(name) {
            return;
        }
        self.stranger = None;
        match found {
            Ok(addresses) => {
                backends.learn(Resolved::from([(name.clone(), addresses)]));
                let way = std::mem::take(&mut self.stranger_way);
                self.left.extend(backends.key(name).map(|key| (key, way)));
            }
            Err(e) => {
                backends.connects_mut(self.wanted.place).failed("name");
                let why = format!("cannot resolve {name}: {e}");
                if self.pursuit.is_none() {
                    log::warn!("{}: cannot resolve backend {name}: {e}", self.wanted.label);
                }
                self.give_reason(Refusal::BackendUnreachable, why, true);
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
        let lookup = self.stranger.as_ref().and_then(|(_, until)| *until);
        let again = self.pursuit.as_ref().and_then(|pursuit| pursuit.again_at());
        [race, lookup, again].into_iter().flatten().min()
    }

    /// What the log calls the backend that is there.
    pub fn name(&self, key: Key, backends: &Backends) -> String {
        match &self.pursuit {
            Some(pursuit) => pursuit.name(),
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
    pub fn look(&mut self, ground: &mut Ground<'_>) -> Progress {
        if !self.has_begun {
            return Progress::Waiting;
        }
        if let Some((name, Some(until))) = self.stranger.clone() {
            if ground.now < until {
                return Progress::Waiting;
            }
            let late = io::Error::new(ErrorKind::TimedOut, "the resolver says nothing");
            self.meet(&name, Err(late), ground.backends);
        }
        if let Some(pursuit) = &mut self.pursuit {
            match pursuit.again_at() {
                Some(at) if ground.now < at => return Progress::Waiting,
                Some(_) => {
                    pursuit.wake();
                    self.set_out();
                }
                None => {}
            }
        }
        loop {
            if self.stranger.is_some() {
                return Progress::Lookup;
            }
            let Some((key, race)) = &mut self.race else {
                match self.choose(ground) {
                    Ok(()) => continue,
                    Err(_) if self.tries_again(ground.now) => return Progress::Waiting,
                    Err(refusal) => return Progress::Failed(refusal),
                }
            };
            match race.go_on(ground) {
                Standing::Waiting => return Progress::Waiting,
                Standing::Won(arrival, took) => {
                    let key = *key;
                    self.race = None;
                    let connects = ground.backends.connects_mut(self.wanted.place);
                    connects.times.add(took);
                    ground.backends.works(key);
                    return Progress::Arrived(key, arrival);
                }
                Standing::Failed(address, failure) => self.failed(&failure, &address, ground),
                Standing::Lost => self.give_up(ground),
            }
        }
    }

    /// Notes why a connection that was begun is not made.
    fn failed(&mut self, failure: &Failure, address: &Address, ground: &mut Ground<'_>) {
        let location = failure.location();
        if location.is_some_and(|location| self.goes_on_to(location, ground)) {
            return;
        }
        let connects = ground.backends.connects_mut(self.wanted.place);
        connects.failed(match failure {
            Failure::Broken(e) => cause(e),
            Failure::Unwelcome(..) => "other",
        });
        let Some((key, race)) = &self.race else {
            return;
        };
        let (name, level) = match &self.pursuit {
            None => (
                format!("backend {}", ground.backends.name(*key)),
                Level::Warn,
            ),
            Some(pursuit) => (pursuit.name(), Level::Debug),
        };
        let place = match address {
            Address::Tcp(address) if race.has_several() => format!(" at {address}"),
            _ => String::new(),
        };
        // Lines that nobody sees use up nothing.
        if log_enabled!(level) && ground.backends.ration.allows(ground.now) {
            log!(level, "{}: {name}{place}: {failure}", self.wanted.label);
        }
        let why = format!("{name}{place}: {failure}");
        self.give_reason(failure.refusal(), why, failure.may_change());
    }

    /// Goes where an answer says, if that is wanted; says whether it does.
    fn goes_on_to(&mut self, location: &str, ground: &mut Ground<'_>) -> bool {
        let Some(pursuit) = &mut self.pursuit else {
            return false;
        };
        match pursuit.follow(location, self.wanted.label) {
            Ok(false) => return false,
            Ok(true) => self.set_out(),
            Err(why) => self.give_reason(Refusal::BackendUnreachable, why, false),
        }
        // This server has other addresses, but nothing else to say.
        self.give_up(ground);
        true
    }

    /// Notes why there is no connection.
    pub fn give_reason(&mut self, refusal: Refusal, why: String, may_change: bool) {
        self.refusal = Some(refusal);
        self.why = Some(why);
        self.may_change = may_change;
    }

    /// Whether the same is tried again after a pause.
    fn tries_again(&mut self, now: Instant) -> bool {
        let why = self.why.as_deref().unwrap_or_default();
        let pursuit = self.pursuit.as_mut().filter(|_| self.may_change);
        pursuit.is_some_and(|pursuit| pursuit.rest(why, self.wanted.label, now))
    }

    /// The backend that is being dialled is not the one.
    fn give_up(&mut self, ground: &mut Ground<'_>) {
        if let Some((key, _)) = self.race.take() {
            ground.backends.release(key);
            ground.backends.fails(key, self.several, ground.now);
        }
    }

    /// Goes to the backend with the fewest tunnels of those that are left.
    fn choose(&mut self, ground: &mut Ground<'_>) -> Result<(), Refusal> {
        let backends = &mut *ground.backends;
        let is_full = |key: Key| self.most.is_some_and(|most| backends.tunnels(key) >= most);
        let usable = self.left.iter().enumerate();
        let usable =
            usable.filter(|(_, (key, _))| !backends.is_resting(*key, ground.now) && !is_full(*key));
        let Some((place, _)) = usable.min_by_key(|(_, (key, _))| backends.tunnels(*key)) else {
            return Err(match self.refusal.take() {
                Some(refusal) if !self.several => refusal,
                None if self.left.iter().all(|(key, _)| is_full(*key)) => Refusal::BackendsFull,
                _ => Refusal::BackendsDown,
            });
        };
        let (key, way) = self.left.remove(place);
        backends.take(key);
        let addresses = match backends.addresses(key) {
            Ok(addresses) => interleaved(addresses),
            Err(e) => {
                let name = backends.name(key);
                log::warn!("{}: cannot resolve backend {name}: {e}", self.wanted.label);
                self.refusal = Some(Refusal::BackendUnreachable);
                Vec::new()
            }
        };
        let race = Race::new(self.wanted, self.pace, way, addresses);
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
        let wanted = Wanted {
            label: Label::new(1, Peer::Unix),
            token: Token(0),
            place: 0,
        };
        let ways = vec![Vec::new(); route.backends.len()];
        let mut dial = Dial::new(route, &ways, None, table, wanted);
        dial.begin();
        dial
    }

    /// What a dial does at this moment.
    fn look(dial: &mut Dial, table: &mut Backends, poll: &Poll, now: Instant) -> Progress {
        dial.look(&mut Ground {
            backends: table,
            registry: poll.registry(),
            scratch: &mut Scratch::default(),
            now,
        })
    }

    /// Looks until there is more to do than to wait.
    fn settle(dial: &mut Dial, table: &mut Backends, poll: &mut Poll, now: Instant) -> Progress {
        loop {
            match look(dial, table, poll, now) {
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
            Progress::Arrived(key, _) => Ok(key),
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
        let waiting = look(&mut dial, &mut table, &poll, now);
        assert!(matches!(waiting, Progress::Waiting));
        assert!(alive.accept().is_err() && dial.race.is_none());
        dial.begin();
        let arrived = settle(&mut dial, &mut table, &mut poll, now);
        assert!(matches!(arrived, Progress::Arrived(..)), "{arrived:?}");
    }

    #[test]
    fn an_address_that_swallows_packets_costs_a_quarter_of_a_second() {
        let (silent, _kept) = silent();
        let alive = TcpListener::bind("127.0.0.1:0").unwrap();
        let (route, mut table) = named(&[silent, alive.local_addr().unwrap()]);
        let (mut poll, now) = (Poll::new().unwrap(), Instant::now());
        let mut dial = dial(&route, &table);
        let waiting = look(&mut dial, &mut table, &poll, now);
        assert!(matches!(waiting, Progress::Waiting));
        assert_eq!(dial.deadline(), Some(now + ALONE));
        let arrived = settle(&mut dial, &mut table, &mut poll, now + ALONE);
        let Progress::Arrived(_, arrival) = arrived else {
            panic!("{arrived:?}");
        };
        drop(arrival);
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
            let waiting = look(&mut dial, &mut table, &poll, now + after);
            assert!(matches!(waiting, Progress::Waiting), "{waiting:?}");
            assert_eq!(dial.deadline(), Some(now + deadline), "{after:?}");
        }
        let failed = look(&mut dial, &mut table, &poll, now + ALONE + timeout);
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
