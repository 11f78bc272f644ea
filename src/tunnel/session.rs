//! An open tunnel: two endpoints, two directions, one ending.
//!
//! One endpoint speaks WebSocket, in either role: its peer is a client that is
//! served, or a server that adit connected to. The other is a plain stream, the
//! served backend's or the local program's. Which of them came first makes no
//! difference here.
//!
//! Each direction relays until something ends it; from then on what its source
//! still sends is dropped. The first cause is the tunnel's [`Ending`], and from
//! it follows all the rest: the Close that the peer gets, behind everything
//! that it is owed; the end that the stream gets, behind everything that the
//! peer sent; and how long either may take to answer.

use super::Side;
use super::deadlines::{Deadlines, Due};
use super::ending::Ending;
use super::endpoint::{Codec, Endpoint, Traffic};
use super::link::Link;
use super::policy::Timeouts;
use super::relay::{Flow, Scratch, Stop, carry, relay};
use crate::net::{Lent, Transport};
use crate::wire::framing::Framer;
use crate::wire::ws::{Close, Connection, Role};
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
    /// The side that speaks WebSocket.
    web: Endpoint<T>,
    /// The side that speaks a framing.
    plain: Endpoint<T>,
    role: Role,
    clock: Deadlines,
    /// Whether what comes over WebSocket goes to the stream still.
    up: bool,
    /// Whether what comes from the stream goes over WebSocket still.
    down: bool,
    /// Whether the WebSocket peer will send nothing more that counts.
    web_done: bool,
    /// The Close that it has sent.
    closed: Option<Close>,
    /// Whether that side was ended behind the Close, or waits for the server's
    /// end.
    parted: bool,
    /// Whether the tunnel is dropped when it is overdue again.
    last_chance: bool,
    /// Boxed: while a tunnel waits there is none.
    ending: Option<Box<Ending>>,
    /// When the Close is sent though the stream has not ended.
    farewell: Option<Instant>,
    /// Whether it ends from this side, whatever the others are about.
    leaves: bool,
    /// Whether answers are waited for after a fault of the peer's.
    patient: bool,
}

/// A tunnel's traffic, for the log.
#[derive(Clone, Copy, Debug)]
pub struct Totals {
    /// From who came to adit.
    pub up: Traffic,
    /// From whom adit went to.
    pub down: Traffic,
    /// Bytes that came over WebSocket and the stream has not taken.
    pub untaken: usize,
}

impl<T: Transport> Session<T> {
    /// A tunnel between a WebSocket and a stream. `patient`: whether answers
    /// are waited for after a fault of the peer's.
    pub fn new(
        (web, connection): (Link<T>, Connection),
        (plain, framer): (Link<T>, Framer),
        timeouts: Timeouts,
        patient: bool,
        now: Instant,
    ) -> Self {
        Session {
            role: connection.role(),
            web: Endpoint::new(web, Codec::WebSocket(connection)),
            plain: Endpoint::new(plain, Codec::Framing(framer)),
            clock: Deadlines::new(timeouts, now),
            up: true,
            down: true,
            web_done: false,
            closed: None,
            parted: false,
            last_chance: false,
            ending: None,
            farewell: None,
            leaves: false,
            patient,
        }
    }

    /// The side that came to adit, or the one that adit went to: a client that
    /// is served comes over WebSocket, and a server is gone to.
    pub fn side(&mut self, side: Side) -> &mut Endpoint<T> {
        match (self.role, side) {
            (Role::Server, Side::Client) | (Role::Client, Side::Backend) => &mut self.web,
            (Role::Server, Side::Backend) | (Role::Client, Side::Client) => &mut self.plain,
        }
    }

    /// The role in which WebSocket is spoken.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Why the tunnel ends; `None` while it does not.
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_deref()
    }

    /// What is wrong with the end; `None` if both sides have said all they
    /// wanted to, and the peer's Close has come.
    pub fn failure(&self) -> Option<Ending> {
        // A good end is as good as the Close with which the peer answers.
        let ending = match self.ending()? {
            clean if clean.is_clean() => {
                self.closed.map_or(Ending::ClientGone, Ending::ClientClosed)
            }
            other => other.clone(),
        };
        (!ending.is_clean() || self.plain.link.waiting() > 0).then_some(ending)
    }

    /// What went through.
    pub fn totals(&self) -> Totals {
        let (up, down) = match self.role {
            Role::Server => (self.web.traffic, self.plain.traffic),
            Role::Client => (self.plain.traffic, self.web.traffic),
        };
        Totals {
            up,
            down,
            untaken: self.plain.link.waiting(),
        }
    }

    /// Relays what came over WebSocket before the tunnel was open.
    pub fn begin(&mut self, early: &mut [u8], scratch: &mut Scratch, now: Instant) {
        if let Err(stop) = carry(&mut self.web, &mut self.plain, early, &mut scratch.made) {
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
        // A peer that is only heard no more still gets its answers.
        if self.ending.is_some() && self.down && after.1 != before.1 {
            self.clock.ending(now);
        }
        // Nor is a peer cut off on its way to its own Close, as long as the
        // stream takes what it sends.
        if self.ending() == Some(&Ending::BackendEnded) && !self.leaves && after.0 != before.0 {
            self.clock.ending(now);
        }
        self.part(now);
        self.flush(&mut scratch.made.lent, now);
        if self.comes_nearer(waited) && self.ending.is_some() {
            self.clock.ending(now);
            self.last_chance = false;
        }
        if self.web.link.take_alive() {
            self.clock.heard(now);
        }
        up || down
    }

    /// Whether nothing is left to do.
    pub fn is_over(&self) -> bool {
        // A local program may never end its side, as a terminal does not; who
        // has no server any more need not wait for that.
        let plain = &self.plain.link;
        let is_left = self.role == Role::Client && plain.may_be_dropped();
        self.web.link.is_over() && (plain.is_over() || is_left)
    }

    /// When the tunnel wants [`expire`](Self::expire) to be called.
    pub fn deadline(&self) -> Option<Instant> {
        self.clock.next().into_iter().chain(self.farewell).min()
    }

    /// Does what is due; says whether the tunnel is to be dropped.
    pub fn expire(&mut self, now: Instant) -> bool {
        let deaf = self.up && !self.plain.link.is_flushed();
        match self.clock.due(now, deaf) {
            Due::Nothing => {}
            Due::Ping => {
                self.web.ping();
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
        self.web_done = true;
        self.up = false;
        self.plain.link.finish();
        self.web.link.try_again();
        self.plain.link.try_again();
        self.clock.ending(now);
        false
    }

    /// A side that broke is noticed though nothing is read from it, because
    /// the other one takes nothing. What it sent before may still be taken.
    fn notice_breaks(&mut self, now: Instant) {
        if self.web.link.is_broken() && !self.plain.link.is_flushed() && self.ending.is_none() {
            self.web.link.abandon();
            self.down = false;
            self.end(Ending::ClientGone, now);
        }
        if self.plain.link.is_broken() && !self.web.link.is_flushed() && self.ending.is_none() {
            self.end(Ending::BackendReset, now);
        }
    }

    /// Ends the tunnel from this side: the peer is told at once, and what it
    /// sends until it answers still reaches the stream.
    pub fn leave(&mut self, cause: Ending, now: Instant) {
        if self.ending.is_none() {
            self.end(cause, now);
        }
        self.farewell = Some(now);
        self.leaves = true;
    }

    /// Bytes that the WebSocket peer and the stream have not taken yet.
    fn waiting(&self) -> (usize, usize) {
        (self.web.link.waiting(), self.plain.link.waiting())
    }

    /// Whether less waits than before: for the peer, or for a stream that is
    /// given nothing new.
    fn comes_nearer(&self, before: (usize, usize)) -> bool {
        let (web, plain) = self.waiting();
        web < before.0 || (!self.up && plain < before.1)
    }

    fn moved(&self) -> (Traffic, Traffic) {
        (self.web.traffic, self.plain.traffic)
    }

    fn pump_up(&mut self, scratch: &mut Scratch, now: Instant) -> bool {
        if !self.up {
            return discard(&mut self.web, scratch);
        }
        match relay(&mut self.web, &mut self.plain, scratch) {
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
            return discard(&mut self.plain, scratch);
        }
        match relay(&mut self.plain, &mut self.web, scratch) {
            Flow::Waiting => false,
            Flow::Again => true,
            Flow::Ended(stop) => {
                self.down_ended(stop, now);
                true
            }
        }
    }

    /// From the WebSocket to the stream has ended.
    fn up_ended(&mut self, stop: Stop, now: Instant) {
        if let Stop::DestinationBroken(e) = &stop {
            // What the stream sent before it broke is still read, and so is
            // the peer's Close. Had the stream ended first, that is the cause:
            // a write after its end brings `BrokenPipe`, not a reset.
            if e.kind() != ErrorKind::BrokenPipe {
                self.end(Ending::BackendReset, now);
            } else if !self.down {
                // It had ended, and still was to hear the answer.
                self.end(Ending::BackendEnded, now);
            }
            return;
        }
        self.up = false;
        self.web_done = true;
        self.plain.link.finish();
        match stop {
            Stop::Closed(close) => {
                self.closed = Some(close);
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
                self.web.link.abandon();
                self.down = false;
                self.end(Ending::ClientGone, now);
            }
            Stop::Eof | Stop::DestinationBroken(_) => {
                self.end(Ending::ClientGone, now);
                // A client may still hear the answer; a server that has ended
                // is gone (RFC 6455 section 7.1.1).
                if self.role == Role::Client {
                    self.farewell = Some(now);
                }
            }
        }
    }

    /// From the stream to the WebSocket has ended.
    fn down_ended(&mut self, stop: Stop, now: Instant) {
        self.down = false;
        match stop {
            // What the peer sent before it broke is still read.
            Stop::DestinationBroken(_) => self.end(Ending::ClientGone, now),
            // The answer is still to come, and with it the end.
            Stop::Eof if self.web.half_close() => {}
            Stop::SourceBroken(e) if e.kind() != ErrorKind::BrokenPipe => {
                self.plain.link.abandon();
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
        self.ending.get_or_insert_with(|| Box::new(cause));
    }

    /// Sends the Close once it is due, and ends the WebSocket side once both
    /// Closes have passed: the server's end goes first (RFC 6455 section 7.1.1).
    fn part(&mut self, now: Instant) {
        let Some(ending) = &self.ending else {
            return;
        };
        if !self.down || self.farewell.is_some_and(|at| now >= at) {
            self.web.close(ending.close(), &ending.reason(self.role));
            self.down = false;
            self.farewell = None;
            if self.web_done {
                self.parted = true;
                if self.role == Role::Server || self.web.link.has_ended() {
                    self.web.link.finish();
                }
            }
        }
    }

    fn flush(&mut self, lent: &mut Lent, now: Instant) {
        if let Err(e) = self.plain.flush(lent) {
            self.up_ended(Stop::DestinationBroken(e), now);
        }
        if let Err(e) = self.web.flush(lent) {
            self.down_ended(Stop::DestinationBroken(e), now);
        }
    }

    /// Bytes that the sockets of the client and of the backend have not taken.
    pub fn queued(&self) -> (usize, usize) {
        let (web, plain) = (self.web.link.queued(), self.plain.link.queued());
        match self.role {
            Role::Server => (web, plain),
            Role::Client => (plain, web),
        }
    }

    /// Bytes of memory that the tunnel holds beside itself.
    pub fn memory(&self) -> usize {
        self.web.memory() + self.plain.memory()
    }
}

/// Drops what comes from a side that has nothing more to say, so that its end
/// is seen and no unread byte turns the close into a reset.
fn discard<T: Transport>(side: &mut Endpoint<T>, scratch: &mut Scratch) -> bool {
    (0..DISCARDS).all(|_| side.link.discard(&mut scratch.read, &mut scratch.made.lent))
}
