//! The tunnels: where they are kept, whose turn it is, and when to look again.

use super::backends::Key;
use super::dial::Dial;
use super::guard::Pass;
use super::timers::{Filed, Timers};
use crate::net::Socket;
use crate::tunnel::{Readiness, Side, Tunnel};
use slab::Slab;
use std::collections::VecDeque;
use std::time::Instant;

/// A tunnel and what the server knows of it.
#[derive(Debug)]
pub struct Slot {
    /// The tunnel.
    pub tunnel: Tunnel<Socket>,
    /// The dial of its backend, while that lasts.
    pub dial: Option<Box<Dial>>,
    /// Its backend, from then on.
    pub backend: Option<Key>,
    /// What it counts as at the guard's.
    pub pass: Pass,
    filed: Filed,
    queued: bool,
    buried: bool,
}

impl Slot {
    /// A tunnel that has just begun, for a client that the guard let through.
    pub fn new(tunnel: Tunnel<Socket>, pass: Pass) -> Self {
        Slot {
            tunnel,
            dial: None,
            backend: None,
            pass,
            filed: None,
            queued: false,
            buried: false,
        }
    }

    /// Notes what an event said of one side.
    pub fn ready(&mut self, side: Side, seen: Readiness) {
        match &mut self.dial {
            Some(dial) if side == Side::Upstream => dial.ready(seen),
            _ => self.tunnel.ready(side, seen),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let dial = self.dial.as_ref().and_then(|dial| dial.deadline());
        dial.into_iter().chain(self.tunnel.deadline()).min()
    }
}

/// All tunnels.
#[derive(Debug, Default)]
pub struct Table {
    /// Boxed, so that an empty place costs little and growing moves little.
    slots: Slab<Box<Slot>>,
    /// How many of them came for the admin pages.
    visitors: usize,
    /// The run queue: whose turn it is, of the open tunnels and of those that
    /// are not open yet.
    queue: VecDeque<usize>,
    arrivals: VecDeque<usize>,
    timers: Timers,
    /// What is over, to be removed at the end of the turn.
    buried: Vec<usize>,
}

impl Table {
    /// The key that the next insertion will have.
    pub fn vacant_key(&self) -> usize {
        self.slots.vacant_key()
    }

    /// Adds a tunnel, and gives it a turn.
    pub fn insert(&mut self, slot: Slot) {
        self.visitors += usize::from(slot.tunnel.is_visitor());
        let key = self.slots.insert(Box::new(slot));
        self.enqueue(key);
    }

    /// The tunnel with this key, if it is not over.
    pub fn get(&mut self, key: usize) -> Option<&mut Slot> {
        self.slots
            .get_mut(key)
            .map(Box::as_mut)
            .filter(|slot| !slot.buried)
    }

    /// The dial of a tunnel's backend, which is to be put back if it goes
    /// on.
    pub fn take_dial(&mut self, key: usize) -> Option<Box<Dial>> {
        self.get(key)?.dial.take()
    }

    /// How many clients there are.
    pub fn clients(&self) -> usize {
        self.slots.len() - self.visitors
    }

    /// How many connections came for the admin pages.
    pub fn visitors(&self) -> usize {
        self.visitors
    }

    /// All tunnels.
    #[cfg(feature = "admin")]
    pub fn tunnels(&self) -> impl Iterator<Item = &Tunnel<Socket>> {
        self.slots.iter().map(|(_, slot)| &slot.tunnel)
    }

    /// The keys of all clients.
    pub fn client_keys(&self) -> Vec<usize> {
        let slots = self.slots.iter();
        let clients = slots.filter(|(_, slot)| !slot.tunnel.is_visitor());
        clients.map(|(key, _)| key).collect()
    }

    /// Puts a tunnel into the run queue, once.
    pub fn enqueue(&mut self, key: usize) {
        if let Some(slot) = self.slots.get_mut(key) {
            if !std::mem::replace(&mut slot.queued, true) {
                match slot.tunnel.is_opening() {
                    true => self.arrivals.push_back(key),
                    false => self.queue.push_back(key),
                }
            }
        }
    }

    /// Takes the next open tunnel out of the run queue.
    pub fn dequeue(&mut self) -> Option<usize> {
        let key = self.queue.pop_front()?;
        self.slots[key].queued = false;
        Some(key)
    }

    /// Takes the next one that is not open yet out of the run queue.
    pub fn dequeue_arrival(&mut self) -> Option<usize> {
        let key = self.arrivals.pop_front()?;
        self.slots[key].queued = false;
        Some(key)
    }

    /// How many open tunnels are in the run queue.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Whether a tunnel has something to do without an event.
    pub fn has_work(&self) -> bool {
        !self.queue.is_empty() || !self.arrivals.is_empty()
    }

    /// Files a tunnel for its deadline.
    pub fn file(&mut self, key: usize) {
        if let Some(slot) = self.slots.get_mut(key) {
            let deadline = slot.deadline();
            self.timers.file(key, &mut slot.filed, deadline);
        }
    }

    /// Takes a tunnel whose timer has expired.
    pub fn expired(&mut self, now: Instant) -> Option<usize> {
        let key = self.timers.expired(now)?;
        self.slots[key].filed = None;
        Some(key)
    }

    /// The earliest timer.
    pub fn next_timer(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Marks a tunnel that is over.
    pub fn bury(&mut self, key: usize) {
        if let Some(slot) = self.get(key) {
            slot.buried = true;
            self.buried.push(key);
        }
    }

    /// Removes what is over.
    pub fn reap(&mut self) -> Vec<Slot> {
        let mut over = Vec::new();
        for key in std::mem::take(&mut self.buried) {
            let mut slot = *self.slots.remove(key);
            self.visitors -= usize::from(slot.tunnel.is_visitor());
            self.timers.remove(key, &mut slot.filed);
            if slot.queued {
                self.queue.retain(|&queued| queued != key);
                self.arrivals.retain(|&queued| queued != key);
            }
            over.push(slot);
        }
        over
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::net::{Peer, Stream};
    use crate::tunnel::{Entrance, Label, Opening};
    use mio::net::UnixStream;
    use std::time::Duration;

    /// Fills a table with as many clients that have said nothing; returns their
    /// own ends.
    pub(in crate::server) fn arrive(table: &mut Table, n: usize) -> Vec<UnixStream> {
        let (sockets, peers): (Vec<_>, Vec<_>) =
            (0..n).map(|_| UnixStream::pair().unwrap()).unzip();
        for (id, socket) in (1..).zip(sockets) {
            let entrance = Entrance {
                address: "127.0.0.1:0".parse().unwrap(),
                tls: None,
                plain: true,
                admin: false,
            };
            let tunnel = Tunnel::new(
                Label::new(id, Peer::Unix),
                Socket::new(Stream::Unix(socket)),
                Opening::new(entrance, false),
                Duration::from_secs(10),
                Instant::now(),
            );
            table.insert(Slot::new(tunnel, Pass::default()));
        }
        peers
    }

    #[test]
    fn who_is_not_let_in_yet_waits_beside_the_open_tunnels() {
        let mut table = Table::default();
        let _peers = arrive(&mut table, 3);
        assert!(table.has_work());
        assert_eq!((table.queued(), table.dequeue()), (0, None));
        assert_eq!(table.dequeue_arrival(), Some(0));
        table.enqueue(0);
        table.bury(1);
        assert_eq!(table.reap().len(), 1);
        let rest = [(); 3].map(|()| table.dequeue_arrival());
        assert_eq!(rest, [Some(2), Some(0), None]);
        assert!(!table.has_work());
    }

    #[test]
    fn an_idle_tunnel_costs_under_1_kib() {
        // Its place in the slab and the queue, and its timer, are beside it. What
        // is larger than this takes 1008 bytes of musl's allocator.
        assert!(size_of::<Slot>() <= 808, "{} bytes", size_of::<Slot>());
    }
}
