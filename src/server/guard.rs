//! Who may come in: how many connections a client has, and how fast new ones
//! come.
//!
//! A connection is judged twice. When it *arrives*, only the socket's peer is
//! known, and only a client far beyond its limits is turned away there, by a
//! bare close: that costs one accept, and nobody within reach of the limits
//! ever meets it. When its request's head is there it is *admitted* or gets a
//! 429 or 503, because an answer that is sent before the request is read is
//! often lost. By then the client may be another than the peer, where a proxy
//! that is trusted says so. A connection to a route asks once more to *enter*
//! it, just before a backend is dialled.
//!
//! A client is an address, of IPv6 the /64 that one subscriber has. Counts are
//! exact, and gone with the client's last connection, so there are never more
//! than sockets. What is remembered of clients that left, how fast they came
//! and how often they failed, is kept in two generations: whoever shows up
//! moves to the young one, which becomes the old one after a minute or when it
//! is full, and the old one is dropped whole. So nothing is swept, and no flood
//! of addresses makes it larger.

use crate::cidr::Cidr;
use crate::tunnel::{Gate, Refusal};
use std::collections::HashMap;
use std::mem;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The bits of an IPv6 address that stand for one client.
const SUBSCRIBER: u8 = 64;

/// How long a generation of memories is the young one, and how long a failure
/// counts.
const MINUTE: Duration = Duration::from_secs(60);

/// As many clients in a generation.
const GENERATION: usize = 4096;

/// What a client waits after its first failure, doubled with each further one.
const FIRST_DELAY: Duration = Duration::from_millis(125);

/// How often the delay is doubled, which makes it 2 s.
const DOUBLINGS: u32 = 4;

/// As many connections, or as many a second; `None`: any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Of each client at a time.
    pub connections_per_client: Option<usize>,
    /// New ones a second in all.
    pub rate: Option<usize>,
    /// New ones a second of each client.
    pub rate_per_client: Option<usize>,
}

/// Where a limit is exceeded so far that not even an answer is worth it.
fn far_beyond(limit: usize) -> usize {
    limit.saturating_mul(2).saturating_add(16)
}

/// Tokens that come back at a steady rate, at most a second's worth of them.
/// Kept as the moment when all of them are back.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket(Option<Instant>);

impl Bucket {
    /// Takes a token, if there is one; `rate` come back in a second.
    fn take(&mut self, rate: usize, now: Instant) -> bool {
        const SECOND: u64 = 1_000_000_000;
        let rate = u64::try_from(rate).unwrap_or(u64::MAX).max(1);
        let full = self.0.map_or(now, |full| full.max(now)) + Duration::from_nanos(SECOND / rate);
        let has_one = full <= now + Duration::from_nanos(SECOND);
        if has_one {
            self.0 = Some(full);
        }
        has_one
    }
}

/// A client's connections.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// Sockets of which it is the peer.
    arrived: u32,
    /// Those that were let in, over whichever peer.
    admitted: u32,
}

/// What is remembered of a client beyond its connections.
#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    arrivals: Bucket,
    admissions: Bucket,
    failures: u32,
    failed_at: Option<Instant>,
}

/// The memories of clients that showed up lately.
#[derive(Debug, Default)]
struct Memories {
    young: HashMap<Cidr, Memory>,
    old: HashMap<Cidr, Memory>,
    /// When the young generation began.
    since: Option<Instant>,
}

impl Memories {
    /// What is remembered of this client.
    fn of(&mut self, client: Cidr, now: Instant) -> &mut Memory {
        let since = *self.since.get_or_insert(now);
        let is_full = self.young.len() >= GENERATION && !self.young.contains_key(&client);
        if is_full || now.saturating_duration_since(since) >= MINUTE {
            self.old = mem::take(&mut self.young);
            self.since = Some(now);
        }
        let before = || self.old.remove(&client).unwrap_or_default();
        self.young.entry(client).or_insert_with(before)
    }
}

/// What a connection counts as; to be given back when it is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    arrived: Option<Cidr>,
    admitted: Option<Cidr>,
}

impl Pass {
    /// The connection was let in as this client's, see [`Door::admitted`].
    pub fn admitted_as(&mut self, client: Cidr) {
        self.admitted = Some(client);
    }
}

/// Keeps the limits.
#[derive(Debug, Default)]
pub struct Guard {
    limits: Limits,
    counts: HashMap<Cidr, Counts>,
    memories: Memories,
    all: Bucket,
    routes: Vec<Bucket>,
}

impl Guard {
    /// A guard who has seen nobody yet.
    pub fn new(limits: Limits) -> Self {
        Guard {
            limits,
            ..Guard::default()
        }
    }

    /// Other limits hold from now on, and routes may have other places.
    pub fn obey(&mut self, limits: Limits) {
        self.limits = limits;
        self.routes.clear();
    }

    /// A connection came from `peer`; `None` where that is no client to count:
    /// a Unix socket's, or a proxy that is trusted to name the client later.
    ///
    /// # Errors
    /// Which limit is exceeded by far; the connection is to be dropped.
    pub fn arrive(&mut self, peer: Option<IpAddr>, now: Instant) -> Result<Pass, Refusal> {
        let Some(client) = peer.map(counted) else {
            return Ok(Pass::default());
        };
        if let Some(rate) = self.limits.rate_per_client {
            let memory = self.memories.of(client, now);
            if !memory.arrivals.take(far_beyond(rate), now) {
                return Err(Refusal::ClientRate);
            }
        }
        let counts = self.counts.entry(client).or_default();
        let most = self.limits.connections_per_client.map(far_beyond);
        if most.is_some_and(|most| counts.arrived as usize >= most) {
            return Err(Refusal::ClientConnections);
        }
        counts.arrived += 1;
        Ok(Pass {
            arrived: Some(client),
            admitted: None,
        })
    }

    /// A request came from `client`, the real one; `None` where it has no
    /// address. Returns what the connection counts as from now on.
    ///
    /// # Errors
    /// Which limit is exceeded.
    pub fn admit(&mut self, client: Option<IpAddr>, now: Instant) -> Result<Option<Cidr>, Refusal> {
        let client = client.map(counted);
        if let Some(client) = client {
            let has = self.counts.get(&client).map_or(0, |counts| counts.admitted);
            let most = self.limits.connections_per_client;
            if most.is_some_and(|most| has as usize >= most) {
                return Err(Refusal::ClientConnections);
            }
            if let Some(rate) = self.limits.rate_per_client {
                if !self.memories.of(client, now).admissions.take(rate, now) {
                    return Err(Refusal::ClientRate);
                }
            }
        }
        if self
            .limits
            .rate
            .is_some_and(|rate| !self.all.take(rate, now))
        {
            return Err(Refusal::Rate);
        }
        if let Some(client) = client {
            self.counts.entry(client).or_default().admitted += 1;
        }
        Ok(client)
    }

    /// A connection is about to take the route at this place, which lets in
    /// `rate` of them a second.
    ///
    /// # Errors
    /// The route's limit is exceeded.
    pub fn enter(
        &mut self,
        route: usize,
        rate: Option<usize>,
        now: Instant,
    ) -> Result<(), Refusal> {
        let Some(rate) = rate else {
            return Ok(());
        };
        if self.routes.len() <= route {
            self.routes.resize(route + 1, Bucket::default());
        }
        match self.routes[route].take(rate, now) {
            true => Ok(()),
            false => Err(Refusal::RouteRate),
        }
    }

    /// A connection is over.
    pub fn leave(&mut self, pass: Pass) {
        let mut drop_one = |client: Option<Cidr>, count: fn(&mut Counts) -> &mut u32| {
            let Some(client) = client else {
                return;
            };
            if let Some(counts) = self.counts.get_mut(&client) {
                *count(counts) -= 1;
                if counts.arrived == 0 && counts.admitted == 0 {
                    self.counts.remove(&client);
                }
            }
        };
        drop_one(pass.arrived, |counts| &mut counts.arrived);
        drop_one(pass.admitted, |counts| &mut counts.admitted);
    }

    /// A client failed to prove who it is; says how long its answer is to wait.
    pub fn failed(&mut self, client: Option<IpAddr>, now: Instant) -> Duration {
        let Some(client) = client.map(counted) else {
            return FIRST_DELAY;
        };
        let memory = self.memories.of(client, now);
        let counts = |at: Instant| now.saturating_duration_since(at) < MINUTE;
        if !memory.failed_at.is_some_and(counts) {
            memory.failures = 0;
        }
        memory.failed_at = Some(now);
        let delay = FIRST_DELAY * (1 << memory.failures.min(DOUBLINGS));
        memory.failures = memory.failures.saturating_add(1);
        delay
    }
}

/// What an address counts as.
fn counted(address: IpAddr) -> Cidr {
    match address.to_canonical() {
        IpAddr::V4(_) => Cidr::around(address, 32),
        IpAddr::V6(_) => Cidr::around(address, SUBSCRIBER),
    }
}

/// The guard as a tunnel meets it in one turn.
#[derive(Debug)]
pub struct Door<'a> {
    guard: &'a mut Guard,
    now: Instant,
    admitted: Option<Cidr>,
}

impl<'a> Door<'a> {
    /// The way to the guard, now.
    pub fn new(guard: &'a mut Guard, now: Instant) -> Self {
        Door {
            guard,
            now,
            admitted: None,
        }
    }

    /// What was let in meanwhile.
    pub fn admitted(&self) -> Option<Cidr> {
        self.admitted
    }
}

impl Gate for Door<'_> {
    fn admit(&mut self, client: Option<IpAddr>) -> Result<(), Refusal> {
        self.admitted = self.guard.admit(client, self.now)?;
        Ok(())
    }

    fn failed(&mut self, client: Option<IpAddr>) -> Duration {
        self.guard.failed(client, self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// How many of many connections this guard admits at one moment.
    fn admitted(guard: &mut Guard, client: Option<IpAddr>, now: Instant) -> usize {
        let admits = |_: &usize| guard.admit(client, now).is_ok();
        (0..100).take_while(admits).count()
    }

    #[test]
    fn a_bucket_holds_a_seconds_worth_and_refills_steadily() {
        let start = Instant::now();
        for (rate, after, expected) in [
            (1, 0, 1),
            (1, 999, 0),
            (1, 1000, 1),
            (1, 60_000, 1),
            (3, 0, 3),
            (3, 333, 0),
            (3, 334, 1),
            (3, 700, 2),
            (10, 0, 10),
            (10, 100, 1),
            (10, 550, 5),
            (10, 5000, 10),
        ] {
            let mut bucket = Bucket::default();
            let mut taken = |now| (0..100).take_while(|_| bucket.take(rate, now)).count();
            let first = taken(start);
            assert_eq!(first, rate, "a bucket is full at first");
            if after > 0 {
                let then = taken(start + millis(after));
                assert_eq!(then, expected, "{rate} a second, {after} ms later");
            }
        }
        let mut bucket = Bucket::default();
        assert!((0..10_000).all(|_| bucket.take(usize::MAX, start)));
    }

    #[test]
    fn a_client_is_an_address_or_a_64() {
        let limits = Limits {
            connections_per_client: Some(1),
            ..Limits::default()
        };
        for (first, second, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
            ("2001:db8::1", "2001:db8::ffff:0:0:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::1", "192.0.2.1", false),
        ] {
            let (mut guard, now) = (Guard::new(limits), Instant::now());
            assert!(guard.admit(ip(first), now).is_ok());
            let admitted = guard.admit(ip(second), now);
            let expected = same.then_some(Refusal::ClientConnections);
            assert_eq!(admitted.err(), expected, "{first} {second}");
        }
    }

    #[test]
    fn a_place_is_free_again_when_a_connection_has_left() {
        let mut guard = Guard::new(Limits {
            connections_per_client: Some(2),
            ..Limits::default()
        });
        let now = Instant::now();
        let mut passes = Vec::new();
        for _ in 0..3 {
            let mut pass = guard.arrive(ip("192.0.2.1"), now).unwrap();
            if let Ok(Some(client)) = guard.admit(ip("192.0.2.1"), now) {
                pass.admitted_as(client);
            }
            passes.push(pass);
        }
        assert_eq!(guard.counts.len(), 1);
        let refused = passes.pop().unwrap();
        assert_eq!(refused.admitted, None);
        guard.leave(refused);
        let full = Err(Refusal::ClientConnections);
        assert_eq!(guard.admit(ip("192.0.2.1"), now), full);
        guard.leave(passes.pop().unwrap());
        let mut pass = Pass::default();
        pass.admitted_as(guard.admit(ip("192.0.2.1"), now).unwrap().unwrap());
        assert_eq!(guard.admit(ip("192.0.2.1"), now), full);
        guard.leave(pass);
        guard.leave(passes.pop().unwrap());
        assert!(guard.counts.is_empty(), "{:?}", guard.counts);
    }

    #[test]
    fn who_comes_over_a_trusted_proxy_counts_by_itself() {
        let mut guard = Guard::new(Limits {
            connections_per_client: Some(1),
            rate_per_client: Some(1),
            ..Limits::default()
        });
        let now = Instant::now();
        for client in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
            let mut pass = guard.arrive(None, now).unwrap();
            pass.admitted_as(guard.admit(ip(client), now).unwrap().unwrap());
            assert_eq!(pass.arrived, None);
        }
        assert_eq!(guard.counts.len(), 3);
        assert!((0..1000).all(|_| guard.arrive(None, now).is_ok()));
    }

    #[test]
    fn who_has_no_address_is_not_counted_but_in_all() {
        let mut guard = Guard::new(Limits {
            connections_per_client: Some(1),
            rate_per_client: Some(1),
            rate: Some(5),
        });
        let now = Instant::now();
        assert_eq!(admitted(&mut guard, None, now), 5);
        assert_eq!(guard.admit(None, now), Err(Refusal::Rate));
        assert!(guard.counts.is_empty());
    }

    #[test]
    fn the_rates_of_a_client_of_all_and_of_a_route_are_apart() {
        let mut guard = Guard::new(Limits {
            rate_per_client: Some(2),
            rate: Some(5),
            ..Limits::default()
        });
        let now = Instant::now();
        assert_eq!(admitted(&mut guard, ip("192.0.2.1"), now), 2);
        let refused = guard.admit(ip("192.0.2.1"), now);
        assert_eq!(refused, Err(Refusal::ClientRate));
        assert_eq!(admitted(&mut guard, ip("192.0.2.2"), now), 2);
        // What one client is refused is not taken from the others.
        assert_eq!(admitted(&mut guard, ip("192.0.2.3"), now), 1);
        assert_eq!(guard.admit(ip("192.0.2.4"), now), Err(Refusal::Rate));
        let later = now + millis(500);
        assert_eq!(admitted(&mut guard, ip("192.0.2.1"), later), 1);

        for (route, rate, expected) in [(1, Some(1), 1), (0, Some(3), 3), (7, None, 100)] {
            let enters = |_: &usize| guard.enter(route, rate, now).is_ok();
            assert_eq!((0..100).take_while(enters).count(), expected);
        }
        assert_eq!(guard.enter(1, Some(1), now), Err(Refusal::RouteRate));
        guard.obey(Limits::default());
        assert_eq!(guard.enter(1, Some(1), now), Ok(()));
        assert_eq!(admitted(&mut guard, ip("192.0.2.1"), now), 100);
    }

    #[test]
    fn only_who_is_far_beyond_is_dropped_on_arrival() {
        let peer = ip("192.0.2.1");
        let now = Instant::now();
        for (limits, expected, refusal) in [
            (Limits::default(), 1000, None),
            (
                Limits {
                    connections_per_client: Some(10),
                    ..Limits::default()
                },
                36,
                Some(Refusal::ClientConnections),
            ),
            (
                Limits {
                    rate_per_client: Some(1),
                    ..Limits::default()
                },
                18,
                Some(Refusal::ClientRate),
            ),
        ] {
            let mut guard = Guard::new(limits);
            let arrives = |_: &usize| guard.arrive(peer, now).is_ok();
            assert_eq!((0..1000).take_while(arrives).count(), expected);
            assert_eq!(guard.arrive(peer, now).err(), refusal);
            assert!(guard.arrive(ip("192.0.2.2"), now).is_ok());
        }
    }

    #[test]
    fn a_flood_of_addresses_is_forgotten_without_a_sweep() {
        let mut guard = Guard::new(Limits {
            rate_per_client: Some(1),
            ..Limits::default()
        });
        let now = Instant::now();
        for n in 0..100_000_u32 {
            let client = Some(IpAddr::V4((0x0a00_0000 + n).into()));
            let mut pass = guard.arrive(client, now).unwrap();
            pass.admitted_as(guard.admit(client, now).unwrap().unwrap());
            guard.leave(pass);
            let memories = &guard.memories;
            assert!(memories.young.len() <= GENERATION && memories.old.len() <= GENERATION);
        }
        assert!(guard.counts.is_empty());
        // Who kept coming is remembered all along.
        let last = Some(IpAddr::V4((0x0a00_0000 + 99_999).into()));
        assert_eq!(guard.admit(last, now), Err(Refusal::ClientRate));
        let mut later = now;
        for _ in 0..2 {
            later += MINUTE;
            assert!(guard.admit(ip("192.0.2.1"), later).is_ok());
        }
        assert_eq!(
            (guard.memories.young.len(), guard.memories.old.len()),
            (1, 0)
        );
    }

    #[test]
    fn each_failure_doubles_the_delay_up_to_two_seconds_for_a_minute() {
        let mut guard = Guard::default();
        let start = Instant::now();
        let mut failed = |client, at| {
            let delay = guard.failed(client, start + millis(at));
            delay.as_millis()
        };
        let client = ip("192.0.2.1");
        for (at, expected) in [
            (0, 125),
            (1, 250),
            (2, 500),
            (3, 1000),
            (4, 2000),
            (5, 2000),
            // Remembered for a minute after the last one, over generations.
            (59_000, 2000),
            (118_999, 2000),
            (178_999, 125),
            (179_000, 250),
        ] {
            assert_eq!(failed(client, at), expected, "{at}");
        }
        assert_eq!(failed(ip("192.0.2.2"), 179_001), 125);
        assert_eq!(failed(None, 179_002), 125);
        assert_eq!(failed(None, 179_003), 125);
    }
}
