//! An open tunnel: two endpoints, two directions, one ending.
//!
//! Each direction relays until something ends it; from then on what its source
//! still sends is dropped. The first cause is the tunnel's [`Ending`], and from
//! it follows all the rest: the Close that the client gets, behind everything
//! that it is owed; the end that the backend gets, behind everything that the
//! client sent; and how long either may take to answer.

use super::deadlines::{Deadlines, Due};
use super::ending::Ending;
use super::endpoint::{Endpoint, Traffic};
use super::policy::Timeouts;
use super::relay::{Flow, Scratch, Stop, carry, relay};
use crate::net::{Lent, Transport};
use std::io::ErrorKind;
use std::time::{Duration, Instant};

/// After a client's fault in a framing that keeps every boundary, the answers
/// to what it sent before are waited for as long as this.
const LAST_ANSWERS: Duration = Duration::from_millis(300);

/// Reads in a row that are dropped before it is the next tunnel's turn.
const DISCARDS: usize = 4;

/// An open tunnel.
#[derive(Debug)]
pub struct Session<T> {
    client: Endpoint<T>,
    backend: Endpoint<T>,
    clock: Deadlines,
    /// Whether client bytes go to the backend still.
    up: bool,
    /// Whether backend bytes go to the client still.
    down: bool,
    /// Whether the client will send nothing more that counts.
    client_done: bool,
    /// Whether the client's side was ended, behind the Close.
    parted: bool,
    /// Whether the tunnel is dropped when it is overdue again.
    last_chance: bool,
    ending: Option<Ending>,
    /// When the Close is sent to the client though the backend has not ended.
    farewell: Option<Instant>,
    /// Whether answers are waited for after a client's fault.
    patient: bool,
}

/// A tunnel's traffic, for the log.
#[derive(Clone, Copy, Debug)]
pub struct Totals {
    /// From the client.
    pub up: Traffic,
    /// From the backend.
    pub down: Traffic,
    /// Bytes that came from the client and the backend has not taken.
    pub untaken: usize,
}

impl<T: Transport> Session<T> {
    /// A tunnel between two endpoints. `patient`: whether answers are
    /// waited for after a fault of the client's.
    pub fn new(
        client: Endpoint<T>,
        backend: Endpoint<T>,
        timeouts: Timeouts,
        patient: bool,
        now: Instant,
    ) -> Self {
        Session {
            client,
            backend,
            clock: Deadlines::new(timeouts, now),
            up: true,
            down: true,
            client_done: false,
            parted: false,
            last_chance: false,
            ending: None,
            farewell: None,
            patient,
        }
    }

    /// The client's side.
    pub fn client(&mut self) -> &mut Endpoint<T> {
        &mut self.client
    }

    /// The backend's side.
    pub fn backend(&mut self) -> &mut Endpoint<T> {
        &mut self.backend
    }

    /// Why the tunnel ends; `None` while it does not.
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// What went through.
    pub fn totals(&self) -> Totals {
        Totals {
            up: self.client.traffic,
            down: self.backend.traffic,
            untaken: self.backend.link.waiting(),
        }
    }

    /// Relays bytes of the client that came before the tunnel was open.
    pub fn begin(&mut self, early: &mut [u8], scratch: &mut Scratch, now: Instant) {
        if let Err(stop) = carry(
            &mut self.client,
            &mut self.backend,
            early,
            &mut scratch.made,
        ) {
            self.up_ended(stop, now);
        }
    }

    /// Moves what can be moved; says whether there may be more at once.
    pub fn pump(&mut self, scratch: &mut Scratch, now: Instant) -> bool {
        self.notice_breaks(now);
        let (before, waited) = (self.moved(), self.waiting());
        let up = self.pump_up(scratch, now);
        let down = self.pump_down(scratch, now);
        let after = self.moved();
        if after != before {
            self.clock.moved(now);
        }
        // A client that is only heard no more still gets its answers.
        if self.ending.is_some() && self.down && after.1 != before.1 {
            self.clock.ending(now);
        }
        self.part(now);
        self.flush(&mut scratch.made.lent, now);
        if self.comes_nearer(waited) && self.ending.is_some() {
            self.clock.ending(now);
            self.last_chance = false;
        }
        if self.client.link.take_alive() {
            self.clock.heard(now);
        }
        up || down
    }

    /// Whether nothing is left to do.
    pub fn is_over(&self) -> bool {
        self.client.link.is_over() && self.backend.link.is_over()
    }

    /// When the tunnel wants [`expire`](Self::expire) to be called.
    pub fn deadline(&self) -> Option<Instant> {
        self.clock.next().into_iter().chain(self.farewell).min()
    }

    /// Does what is due; says whether the tunnel is to be dropped.
    pub fn expire(&mut self, now: Instant) -> bool {
        let deaf = self.up && !self.backend.link.is_flushed();
        match self.clock.due(now, deaf) {
            Due::Nothing => {}
            Due::Ping => {
                self.client.ping();
                self.clock.pinged(now);
            }
            Due::Silent => self.leave(Ending::Silent, now),
            Due::Idle => self.leave(Ending::Idle, now),
            Due::Overdue => return self.overdue(now),
        }
        false
    }

    /// Nothing came nearer to the end for `close-timeout`. Who was not told yet
    /// is told now, who took nothing is tried once more, and both have as long
    /// again; then the tunnel is dropped.
    fn overdue(&mut self, now: Instant) -> bool {
        if self.last_chance || (self.parted && self.waiting() == (0, 0)) {
            return true;
        }
        self.last_chance = true;
        self.farewell = Some(now);
        self.client_done = true;
        self.up = false;
        self.backend.link.finish();
        self.client.link.try_again();
        self.backend.link.try_again();
        self.clock.ending(now);
        false
    }

    /// A side that broke is noticed though nothing is read from it, because
    /// the other one takes nothing. What it sent before may still be taken.
    fn notice_breaks(&mut self, now: Instant) {
        if self.client.link.is_broken() && !self.backend.link.is_flushed() && self.ending.is_none()
        {
            self.client.link.abandon();
            self.down = false;
            self.end(Ending::ClientGone, now);
        }
        if self.backend.link.is_broken() && !self.client.link.is_flushed() && self.ending.is_none()
        {
            self.end(Ending::BackendReset, now);
        }
    }

    /// Ends the tunnel from this side: the client is told at once, and what it
    /// sends until it answers still reaches the backend.
    pub fn leave(&mut self, cause: Ending, now: Instant) {
        if self.ending.is_none() {
            self.end(cause, now);
        }
        self.farewell = Some(now);
    }

    /// Bytes that the client and the backend have not taken yet.
    fn waiting(&self) -> (usize, usize) {
        (self.client.link.waiting(), self.backend.link.waiting())
    }

    /// Whether less waits than before: for the client, or for a backend that is
    /// given nothing new.
    fn comes_nearer(&self, before: (usize, usize)) -> bool {
        let (client, backend) = self.waiting();
        client < before.0 || (!self.up && backend < before.1)
    }

    fn moved(&self) -> (Traffic, Traffic) {
        (self.client.traffic, self.backend.traffic)
    }

    fn pump_up(&mut self, scratch: &mut Scratch, now: Instant) -> bool {
        if !self.up {
            return discard(&mut self.client, scratch);
        }
        match relay(&mut self.client, &mut self.backend, scratch) {
            Flow::Waiting => false,
            Flow::Again => true,
            Flow::Ended(stop) => {
                self.up_ended(stop, now);
                true
            }
        }
    }

    fn pump_down(&mut self, scratch: &mut Scratch, now: Instant) -> bool {
        if !self.down {
            return discard(&mut self.backend, scratch);
        }
        match relay(&mut self.backend, &mut self.client, scratch) {
            Flow::Waiting => false,
            Flow::Again => true,
            Flow::Ended(stop) => {
                self.down_ended(stop, now);
                true
            }
        }
    }

    /// Client to backend has ended.
    fn up_ended(&mut self, stop: Stop, now: Instant) {
        if let Stop::DestinationBroken(e) = &stop {
            // What the backend sent before it broke is still read, and so is
            // the client's Close. Had the backend ended first, that is the
            // cause: a write after its end brings `BrokenPipe`, not a reset.
            if e.kind() != ErrorKind::BrokenPipe {
                self.end(Ending::BackendReset, now);
            }
            return;
        }
        self.up = false;
        self.client_done = true;
        self.backend.link.finish();
        match stop {
            Stop::Closed(close) => {
                self.end(Ending::ClientClosed(close), now);
                self.farewell = Some(now);
            }
            Stop::Fault(fault) => {
                self.end(Ending::fault(fault), now);
                self.farewell = Some(if self.patient {
                    now + LAST_ANSWERS
                } else {
                    now
                });
            }
            Stop::SourceBroken(_) => {
                self.client.link.abandon();
                self.down = false;
                self.end(Ending::ClientGone, now);
            }
            Stop::Eof | Stop::DestinationBroken(_) => self.end(Ending::ClientGone, now),
        }
    }

    /// Backend to client has ended.
    fn down_ended(&mut self, stop: Stop, now: Instant) {
        self.down = false;
        match stop {
            // What the client sent before it broke is still read.
            Stop::DestinationBroken(_) => self.end(Ending::ClientGone, now),
            Stop::SourceBroken(e) if e.kind() != ErrorKind::BrokenPipe => {
                self.backend.link.abandon();
                self.end(Ending::BackendReset, now);
            }
            Stop::Fault(fault) => self.end(Ending::fault(fault), now),
            Stop::Eof | Stop::Closed(_) | Stop::SourceBroken(_) => {
                self.end(Ending::BackendEnded, now);
            }
        }
    }

    /// Notes the cause, if it is the first, and starts the clock of the end.
    fn end(&mut self, cause: Ending, now: Instant) {
        self.clock.ending(now);
        self.ending.get_or_insert(cause);
    }

    /// Sends the Close once it is due, and ends the client's side once both
    /// Closes have passed: the server's end goes first (RFC 6455 section 7.1.1).
    fn part(&mut self, now: Instant) {
        let Some(ending) = &self.ending else {
            return;
        };
        if !self.down || self.farewell.is_some_and(|at| now >= at) {
            self.client.close(ending.close(), &ending.reason());
            self.down = false;
            self.farewell = None;
            if self.client_done {
                self.client.link.finish();
                self.parted = true;
            }
        }
    }

    fn flush(&mut self, lent: &mut Lent, now: Instant) {
        if let Err(e) = self.backend.flush(lent) {
            self.up_ended(Stop::DestinationBroken(e), now);
        }
        if let Err(e) = self.client.flush(lent) {
            self.down_ended(Stop::DestinationBroken(e), now);
        }
    }

    /// Bytes of memory that the tunnel holds beside itself.
    pub fn memory(&self) -> usize {
        self.client.memory() + self.backend.memory()
    }
}

/// Drops what comes from a side that has nothing more to say, so that its end
/// is seen and no unread byte turns the close into a reset.
fn discard<T: Transport>(side: &mut Endpoint<T>, scratch: &mut Scratch) -> bool {
    (0..DISCARDS).all(|_| side.link.discard(&mut scratch.read, &mut scratch.made.lent))
}
