//! An open tunnel: two endpoints, two directions, one ending.
//!
//! One endpoint is the peer, which speaks WebSocket: a client that is served, or
//! a server that adit connected to. The other is the stream, which speaks a
//! framing: the served backend's, or the local program's. The one that came to
//! adit is downstream, the one that adit went to upstream; which of the two the
//! peer is makes a difference to totals and events only.
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

/// After a peer's fault in a framing that keeps every boundary, the answers
/// to what it sent before are waited for as long as this.
const LAST_ANSWERS: Duration = Duration::from_millis(300);

/// Reads in a row that are dropped before it is the next tunnel's turn.
const DISCARDS: usize = 4;

/// An open tunnel.
///
/// What may stand together:
///
/// | `to_stream` | `to_peer` | `closing` | |
/// |---|---|---|---|
/// | yes | yes | none | messages pass in both directions |
/// | yes | no | none | the stream has ended, and a peer that knows half-closing goes on |
/// | yes | yes | some | the stream has broken, or adit leaves: what was sent before is still read |
/// | yes | no | some | the stream has ended, or the peer has broken: what the peer sent is still taken |
/// | no | yes | some | the peer has ended: the stream was told, and may still answer |
/// | no | no | some | nothing passes; what waits is flushed, and the ends are waited for |
///
/// A direction that has ended never begins again, nor does a tunnel that closes
/// open again. While `to_stream` holds no Close of the peer's has come, and its
/// side is not parted.
#[derive(Debug)]
pub struct Session<T> {
    /// The endpoint that speaks WebSocket.
    peer: Endpoint<T>,
    /// The endpoint that speaks a framing.
    stream: Endpoint<T>,
    /// In which adit speaks WebSocket.
    role: Role,
    clock: Deadlines,
    /// Whether what the peer sends goes to the stream still.
    to_stream: bool,
    /// Whether what the stream sends goes to the peer still.
    to_peer: bool,
    /// Whether answers are waited for after a fault of the peer's.
    waits_after_fault: bool,
    /// How far the end is. Boxed: while messages pass there is none.
    closing: Option<Box<Closing>>,
}

/// How far a tunnel is with its end.
#[derive(Debug)]
struct Closing {
    cause: Ending,
    /// When the Close is sent though the stream has not ended.
    close_at: Option<Instant>,
    /// The Close that the peer has sent.
    closed: Option<Close>,
    /// Whether adit ends it, whatever the others are about.
    leaves: bool,
    /// Whether the peer's side was ended behind both Closes, or waits for the
    /// server's end.
    parted: bool,
    /// Whether the tunnel is dropped when it is overdue again.
    last_chance: bool,
}

impl Closing {
    fn new(cause: Ending) -> Self {
        Closing {
            cause,
            close_at: None,
            closed: None,
            leaves: false,
            parted: false,
            last_chance: false,
        }
    }
}

/// A tunnel's traffic, for the log.
#[derive(Clone, Copy, Debug)]
pub struct Totals {
    /// What came from downstream.
    pub from_downstream: Traffic,
    /// What came from upstream.
    pub from_upstream: Traffic,
    /// Bytes of the peer's that the stream has not taken.
    pub untaken: usize,
}

impl<T: Transport> Session<T> {
    /// A tunnel between a peer and a stream. `waits_after_fault`: whether
    /// answers are waited for after a fault of the peer's.
    pub fn new(
        (peer, connection): (Link<T>, Connection),
        (stream, framer): (Link<T>, Framer),
        timeouts: Timeouts,
        waits_after_fault: bool,
        now: Instant,
    ) -> Self {
        Session {
            role: connection.role(),
            peer: Endpoint::new(peer, Codec::WebSocket(connection)),
            stream: Endpoint::new(stream, Codec::Framing(framer)),
            clock: Deadlines::new(timeouts, now),
            to_stream: true,
            to_peer: true,
            waits_after_fault,
            closing: None,
        }
    }

    /// The endpoint on this side: a client that is served is downstream, and a
    /// server that adit connected to is upstream.
    pub fn side(&mut self, side: Side) -> &mut Endpoint<T> {
        match (self.role, side) {
            (Role::Server, Side::Downstream) | (Role::Client, Side::Upstream) => &mut self.peer,
            (Role::Server, Side::Upstream) | (Role::Client, Side::Downstream) => &mut self.stream,
        }
    }

    /// What belongs to the peer and to the stream, by side: downstream first.
    fn by_side<V>(&self, peer: V, stream: V) -> (V, V) {
        match self.role {
            Role::Server => (peer, stream),
            Role::Client => (stream, peer),
        }
    }

    /// The role in which WebSocket is spoken.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Why the tunnel ends; `None` while it does not.
    pub fn ending(&self) -> Option<&Ending> {
        self.closing.as_deref().map(|closing| &closing.cause)
    }

    /// What is wrong with the end; `None` if both sides have said all they
    /// wanted to, and the peer's Close has come.
    pub fn failure(&self) -> Option<Ending> {
        let closing = self.closing.as_deref()?;
        // A good end is as good as the Close with which the peer answers.
        let ending = match &closing.cause {
            clean if clean.is_clean() => {
                closing.closed.map_or(Ending::PeerGone, Ending::PeerClosed)
            }
            other => other.clone(),
        };
        (!ending.is_clean() || self.stream.link.waiting() > 0).then_some(ending)
    }

    /// What went through.
    pub fn totals(&self) -> Totals {
        let (peer, stream) = self.moved();
        let (from_downstream, from_upstream) = self.by_side(peer, stream);
        Totals {
            from_downstream,
            from_upstream,
            untaken: self.stream.link.waiting(),
        }
    }

    /// Relays what the peer sent before the tunnel was open.
    pub fn begin(&mut self, early: &mut [u8], scratch: &mut Scratch, now: Instant) {
        if let Err(stop) = carry(&mut self.peer, &mut self.stream, early, &mut scratch.made) {
            self.ended_to_stream(stop, now);
        }
    }

    /// Moves what can be moved; says whether there may be more at once.
    pub fn pump(&mut self, scratch: &mut Scratch, now: Instant) -> bool {
        self.notice_breaks(now);
        let (before, waited) = (self.moved(), self.waiting());
        let more_to_stream = self.pump_to_stream(scratch, now);
        let more_to_peer = self.pump_to_peer(scratch, now);
        let after = self.moved();
        if after != before {
            self.clock.moved(now);
        }
        // A peer that is only heard no more still gets its answers.
        if self.closing.is_some() && self.to_peer && after.1 != before.1 {
            self.clock.ending(now);
        }
        // Nor is a peer cut off on its way to its own Close, as long as the
        // stream takes what it sends.
        if after.0 != before.0 && self.answers_end_of_stream() {
            self.clock.ending(now);
        }
        self.part(now);
        self.flush(&mut scratch.made.lent, now);
        if self.comes_nearer(waited) {
            if let Some(closing) = &mut self.closing {
                self.clock.ending(now);
                closing.last_chance = false;
            }
        }
        if self.peer.link.take_alive() {
            self.clock.heard(now);
        }
        more_to_stream || more_to_peer
    }

    /// Whether nothing is left to do.
    pub fn is_over(&self) -> bool {
        // A local program may never end its side, as a terminal does not; who
        // has no server any more need not wait for that.
        let stream = &self.stream.link;
        let is_left = self.role == Role::Client && stream.may_be_dropped();
        self.peer.link.is_over() && (stream.is_over() || is_left)
    }

    /// When the tunnel wants [`expire`](Self::expire) to be called.
    pub fn deadline(&self) -> Option<Instant> {
        let close_at = self.closing.as_ref().and_then(|closing| closing.close_at);
        self.clock.next().into_iter().chain(close_at).min()
    }

    /// Does what is due; says whether the tunnel is to be dropped.
    pub fn expire(&mut self, now: Instant) -> bool {
        let deaf = self.to_stream && !self.stream.link.is_flushed();
        match self.clock.due(now, deaf) {
            Due::Nothing => {}
            Due::Ping => {
                self.peer.ping();
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
        let waiting = self.waiting();
        let Some(closing) = &mut self.closing else {
            return false;
        };
        if closing.last_chance || (closing.parted && waiting == (0, 0)) {
            return true;
        }
        closing.last_chance = true;
        closing.close_at = Some(now);
        self.to_stream = false;
        self.stream.link.finish();
        self.peer.link.try_again();
        self.stream.link.try_again();
        self.clock.ending(now);
        false
    }

    /// A side that broke is noticed though nothing is read from it, because
    /// the other one takes nothing. What it sent before may still be taken.
    fn notice_breaks(&mut self, now: Instant) {
        if self.peer.link.is_broken() && !self.stream.link.is_flushed() && self.closing.is_none() {
            self.peer.link.abandon();
            self.to_peer = false;
            self.end(Ending::PeerGone, now);
        }
        if self.stream.link.is_broken() && !self.peer.link.is_flushed() && self.closing.is_none() {
            self.end(Ending::StreamReset, now);
        }
    }

    /// Ends the tunnel from this side: the peer is told at once, and what it
    /// sends until it answers still reaches the stream.
    pub fn leave(&mut self, cause: Ending, now: Instant) {
        let closing = match self.closing.as_deref_mut() {
            Some(closing) => closing,
            None => self.end(cause, now),
        };
        closing.close_at = Some(now);
        closing.leaves = true;
    }

    /// Whether the peer was told that the stream has ended, and has its time to
    /// answer.
    fn answers_end_of_stream(&self) -> bool {
        let closing = self.closing.as_deref();
        closing.is_some_and(|closing| closing.cause == Ending::StreamEnded && !closing.leaves)
    }

    /// Bytes that the peer and the stream have not taken yet.
    fn waiting(&self) -> (usize, usize) {
        (self.peer.link.waiting(), self.stream.link.waiting())
    }

    /// Whether less waits than before: for the peer, or for a stream that is
    /// given nothing new.
    fn comes_nearer(&self, before: (usize, usize)) -> bool {
        let (peer, stream) = self.waiting();
        peer < before.0 || (!self.to_stream && stream < before.1)
    }

    /// What the peer and the stream have sent.
    fn moved(&self) -> (Traffic, Traffic) {
        (self.peer.traffic, self.stream.traffic)
    }

    fn pump_to_stream(&mut self, scratch: &mut Scratch, now: Instant) -> bool {
        if !self.to_stream {
            return discard(&mut self.peer, scratch);
        }
        match relay(&mut self.peer, &mut self.stream, scratch) {
            Flow::Waiting => false,
            Flow::Again => true,
            Flow::Ended(stop) => {
                self.ended_to_stream(stop, now);
                true
            }
        }
    }

    fn pump_to_peer(&mut self, scratch: &mut Scratch, now: Instant) -> bool {
        if !self.to_peer {
            return discard(&mut self.stream, scratch);
        }
        match relay(&mut self.stream, &mut self.peer, scratch) {
            Flow::Waiting => false,
            Flow::Again => true,
            Flow::Ended(stop) => {
                self.ended_to_peer(stop, now);
                true
            }
        }
    }

    /// The direction to the stream has ended.
    fn ended_to_stream(&mut self, stop: Stop, now: Instant) {
        if let Stop::DestinationBroken(e) = &stop {
            // What the stream sent before it broke is still read, and so is
            // the peer's Close. Had the stream ended first, that is the cause:
            // a write after its end brings `BrokenPipe`, not a reset.
            if e.kind() != ErrorKind::BrokenPipe {
                self.end(Ending::StreamReset, now);
            } else if !self.to_peer {
                // It had ended, and still was to hear the answer.
                self.end(Ending::StreamEnded, now);
            }
            return;
        }
        self.to_stream = false;
        self.stream.link.finish();
        match stop {
            Stop::Closed(close) => {
                let closing = self.end(Ending::PeerClosed(close), now);
                closing.closed = Some(close);
                closing.close_at = Some(now);
            }
            Stop::Fault(fault) => {
                let close_at = match self.waits_after_fault {
                    true => now + LAST_ANSWERS,
                    false => now,
                };
                self.end(Ending::fault(fault), now).close_at = Some(close_at);
            }
            Stop::SourceBroken(_) => {
                self.peer.link.abandon();
                self.to_peer = false;
                self.end(Ending::PeerGone, now);
            }
            Stop::Eof | Stop::DestinationBroken(_) => {
                let role = self.role;
                let closing = self.end(Ending::PeerGone, now);
                // A client may still hear the answer; a server that has ended
                // is gone (RFC 6455 section 7.1.1).
                if role == Role::Client {
                    closing.close_at = Some(now);
                }
            }
        }
    }

    /// The direction to the peer has ended.
    fn ended_to_peer(&mut self, stop: Stop, now: Instant) {
        self.to_peer = false;
        match stop {
            // What the peer sent before it broke is still read.
            Stop::DestinationBroken(_) => {
                self.end(Ending::PeerGone, now);
            }
            // The answer is still to come, and with it the end.
            Stop::Eof if self.peer.half_close() => {}
            Stop::SourceBroken(e) if e.kind() != ErrorKind::BrokenPipe => {
                self.stream.link.abandon();
                self.end(Ending::StreamReset, now);
            }
            Stop::Fault(fault) => {
                self.end(Ending::fault(fault), now);
            }
            Stop::Eof | Stop::Closed(_) | Stop::SourceBroken(_) => {
                self.end(Ending::StreamEnded, now);
            }
        }
    }

    /// Notes the cause, if it is the first, and starts the clock of the end.
    fn end(&mut self, cause: Ending, now: Instant) -> &mut Closing {
        self.clock.ending(now);
        self.closing
            .get_or_insert_with(|| Box::new(Closing::new(cause)))
    }

    /// Sends the Close once it is due, and ends the peer's side once both
    /// Closes have passed: the server's end goes first (RFC 6455 section 7.1.1).
    fn part(&mut self, now: Instant) {
        let Some(closing) = &mut self.closing else {
            return;
        };
        if !self.to_peer || closing.close_at.is_some_and(|at| now >= at) {
            let cause = &closing.cause;
            self.peer.close(cause.close(), &cause.reason(self.role));
            self.to_peer = false;
            closing.close_at = None;
            if !self.to_stream {
                closing.parted = true;
                if self.role == Role::Server || self.peer.link.has_ended() {
                    self.peer.link.finish();
                }
            }
        }
    }

    fn flush(&mut self, lent: &mut Lent, now: Instant) {
        if let Err(e) = self.stream.flush(lent) {
            self.ended_to_stream(Stop::DestinationBroken(e), now);
        }
        if let Err(e) = self.peer.flush(lent) {
            self.ended_to_peer(Stop::DestinationBroken(e), now);
        }
    }

    /// Bytes that the sockets downstream and upstream have not taken.
    pub fn queued(&self) -> (usize, usize) {
        self.by_side(self.peer.link.queued(), self.stream.link.queued())
    }

    /// Bytes of memory that the tunnel holds beside itself.
    pub fn memory(&self) -> usize {
        self.peer.memory() + self.stream.memory()
    }
}

/// Drops what comes from a side that has nothing more to say, so that its end
/// is seen and no unread byte turns the close into a reset.
fn discard<T: Transport>(side: &mut Endpoint<T>, scratch: &mut Scratch) -> bool {
    (0..DISCARDS).all(|_| side.link.discard(&mut scratch.read, &mut scratch.made.lent))
}
