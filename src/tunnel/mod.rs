//! Joins wire and net: what becomes of one connection, from its first byte to
//! its last.
//!
//! A [`Tunnel`] goes through phases. It is [`opening`] while its request is
//! read, waits while the server dials the backend, is a [`session`] while
//! messages pass, or is refused and only has an HTTP response to deliver. The
//! server tells it what happens (events, time, a backend that is there or is
//! not) and it answers with what it needs next; it knows no poll, and every
//! phase can be driven in a test without a socket.

pub mod access;
#[cfg_attr(not(feature = "admin"), path = "no_admin.rs")]
pub mod admin;
mod answer;
#[cfg_attr(not(feature = "auth"), path = "no_auth.rs")]
pub mod auth;
pub mod connecting;
pub mod deadlines;
#[cfg_attr(not(feature = "connect"), path = "no_dialogue.rs")]
pub mod dialogue;
pub mod downstream;
pub mod ending;
pub mod endpoint;
pub mod gate;
pub mod greeting;
pub mod identity;
pub mod label;
pub mod link;
pub mod log_limit;
pub mod opening;
pub mod pages;
pub mod policy;
pub mod preface;
pub mod proxy_header;
pub mod relay;
#[cfg_attr(not(feature = "connect"), path = "no_remote.rs")]
pub mod remote;
pub mod report;
pub mod requester;
pub mod session;
#[cfg_attr(not(feature = "admin"), path = "no_tally.rs")]
pub mod tally;
pub mod terms;

#[cfg(test)]
mod tests;
#[cfg(any(test, fuzzing))]
pub(crate) mod world;

pub use crate::wire::Refusal;
pub use gate::Gate;
pub use label::Label;
pub use link::{Link, Readiness};
pub use log_limit::LogLimit;
pub use opening::{Entrance, Opening, Rules};
pub use relay::Scratch;
pub use tally::Tally;

use crate::address::Backend;
use crate::net::Transport;
use crate::wire::http;
use crate::wire::ws::Role;
use admin::Visit;
use auth::PasswordCheck;
use connecting::Connected;
use ending::Ending;
use log::{debug, info};
use opening::{Accepted, Outcome};
use session::{Session, Totals};
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

/// How long a client waits whose password has to be checked, or its backend's
/// name looked up, until its backend is there.
const WORKERS_TIMEOUT: Duration = Duration::from_secs(30);

/// Which of a tunnel's two connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that came to adit: a WebSocket client's, or a local program's.
    Downstream,
    /// The one that adit made: to a backend, or to a WebSocket server.
    Upstream,
}

/// What the loop lends to a tunnel for one turn.
#[derive(Debug)]
pub struct Context<'a> {
    /// The buffers of the whole loop.
    pub scratch: &'a mut Scratch,
    /// The time of this turn.
    pub now: Instant,
    /// What requests are judged by.
    pub rules: Rules<'a>,
    /// Knows who may come in at all.
    pub gate: &'a mut dyn Gate,
    /// How many refusals the log takes.
    pub log_limit: &'a mut LogLimit,
    /// What is counted.
    pub tally: &'a mut Tally,
}

/// What a tunnel needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// An event, or its deadline.
    Event,
    /// Another turn: it stopped only for the others' sake.
    Turn,
    /// A connection to a backend of the route at this index: to the one that
    /// [`Tunnel::backend`] names, if it does, and not before the password of
    /// [`Tunnel::take_password`] is found right.
    Backend(usize),
    /// What stands on a page, see [`Tunnel::show`].
    Page(Visit),
    /// Nothing: it is over.
    Nothing,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "most tunnels are open, and each has a box of its own"
)]
enum Phase<T> {
    /// The request is being read.
    Opening(Link<T>, Opening),
    /// The backend is being dialled, or something is looked up before.
    Dialling(Link<T>, Box<Accepted>),
    /// Messages pass.
    Open(Session<T>),
    /// A response to a guess waits for its moment.
    Held(Link<T>, Vec<u8>),
    /// A response is on its way, and then the end.
    Answered(Link<T>),
    /// Nothing is left, but what went wrong with a stream.
    Over(Option<Box<str>>),
}

/// One connection of a client, and all that comes of it.
#[derive(Debug)]
pub struct Tunnel<T> {
    label: Label,
    since: Instant,
    /// The deadline of every phase but the open one, which has its own clock.
    until: Option<Instant>,
    /// Whether a tunnel has ended, and nobody misbehaved.
    ended_well: bool,
    phase: Phase<T>,
    /// Whether the client's password is being checked.
    is_checked: bool,
    /// Whether it came for the admin pages: then it counts as no client.
    visitor: bool,
    /// Its route's place in the tally, once it has a route; small, as the
    /// tunnel is to be.
    place: u32,
}

/// What an open tunnel has moved and holds.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Its route's place in the tally.
    pub place: usize,
    /// What went through.
    pub totals: Totals,
    /// Bytes that wait for downstream and for upstream.
    pub queued: (usize, usize),
}

impl<T: Transport> Tunnel<T> {
    /// A connection that was just accepted.
    pub fn new(
        label: Label,
        transport: T,
        opening: Opening,
        handshake_timeout: Duration,
        now: Instant,
    ) -> Self {
        Tunnel {
            label,
            visitor: opening.is_visit(),
            place: 0,
            since: now,
            until: Some(now + handshake_timeout),
            ended_well: false,
            phase: Phase::Opening(Link::new(transport), opening),
            is_checked: false,
        }
    }

    /// The tunnel's name in the log.
    pub fn label(&self) -> Label {
        self.label
    }

    fn place(&self) -> usize {
        self.place as usize
    }

    /// Whether it came for the admin pages.
    pub fn is_visitor(&self) -> bool {
        self.visitor
    }

    /// What is to be counted of an open tunnel.
    pub fn figures(&self) -> Option<Figures> {
        match &self.phase {
            Phase::Open(session) => Some(Figures {
                place: self.place(),
                totals: session.totals(),
                queued: session.queued(),
            }),
            _ => None,
        }
    }

    /// Adds what an event said of one side.
    pub fn ready(&mut self, side: Side, seen: Readiness) {
        match (&mut self.phase, side) {
            (Phase::Open(session), side) => session.side(side).link.ready(seen),
            (
                Phase::Opening(link, _)
                | Phase::Dialling(link, _)
                | Phase::Held(link, _)
                | Phase::Answered(link),
                Side::Downstream,
            ) => link.ready(seen),
            _ => {}
        }
    }

    /// Does what can be done now.
    pub fn pump(&mut self, cx: &mut Context<'_>) -> Need {
        match &mut self.phase {
            Phase::Opening(link, opening) => {
                // TLS may have something to say before the request is there.
                let outcome = match link.flush(&mut cx.scratch.made.lent) {
                    Ok(()) => opening.read(link, cx.scratch, cx.rules, cx.gate, &mut self.label),
                    Err(e) => Outcome::Gone(Some(e)),
                };
                if let Some(secured) = opening.take_secured(link) {
                    cx.tally.shook_hands(secured.resumed);
                }
                match outcome {
                    Outcome::Incomplete => Need::Event,
                    outcome => self.opened(outcome, cx),
                }
            }
            // Who only ended its side may still have sent something for a
            // backend, but a password costs too much to be checked for that.
            Phase::Dialling(link, _)
                if link.is_broken() || (self.is_checked && link.is_ending()) =>
            {
                self.left()
            }
            Phase::Held(link, _) if link.is_broken() => self.left(),
            Phase::Dialling(..) | Phase::Held(..) => Need::Event,
            Phase::Open(session) => {
                let again = session.pump(cx.scratch, cx.now);
                if session.is_over() {
                    self.close(cx);
                    Need::Nothing
                } else if again {
                    Need::Turn
                } else {
                    Need::Event
                }
            }
            Phase::Answered(link) => {
                let Scratch { read, made } = &mut *cx.scratch;
                let more = link.discard(read, &mut made.lent);
                if link.flush(&mut made.lent).is_err() || link.is_over() {
                    self.phase = Phase::Over(None);
                    Need::Nothing
                } else if more {
                    Need::Turn
                } else {
                    Need::Event
                }
            }
            Phase::Over(_) => Need::Nothing,
        }
    }

    /// When [`expire`](Self::expire) is to be called; `None`: never.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Open(session) => session.deadline(),
            Phase::Over(_) => None,
            _ => self.until,
        }
    }

    /// Does what is due; to be pumped afterwards.
    pub fn expire(&mut self, cx: &mut Context<'_>) {
        match &mut self.phase {
            Phase::Open(session) => {
                if session.expire(cx.now) {
                    self.close(cx);
                }
            }
            _ if self.until.is_none_or(|until| cx.now < until) => {}
            Phase::Opening(_, opening) if opening.has_begun() => {
                self.refuse(&Refusal::HeadTimeout, cx);
            }
            Phase::Opening(_, opening) if opening.is_within_proxy_header() => {
                self.no_proxy_header(
                    "its PROXY header was not whole within handshake-timeout",
                    cx,
                );
            }
            Phase::Opening(..) => {
                let late = io::Error::new(ErrorKind::TimedOut, "handshake-timeout");
                self.gone(Some(&late), cx);
            }
            Phase::Held(..) => {
                if let Phase::Held(link, response) = self.take() {
                    self.send(link, &response, cx.now);
                }
            }
            Phase::Dialling(..) => self.refuse(&Refusal::Busy, cx),
            Phase::Answered(_) => self.phase = Phase::Over(None),
            Phase::Over(_) => {}
        }
    }

    /// The backend that the client's token chose, while it is dialled.
    pub fn backend(&self) -> Option<&Backend> {
        match &self.phase {
            Phase::Dialling(_, accepted) => accepted.backend.as_ref(),
            _ => None,
        }
    }

    /// The password that has to be right before a backend is dialled. Whether
    /// it is, [`password_was_right`](Self::password_was_right) is told.
    pub fn take_password(&mut self) -> Option<Box<PasswordCheck>> {
        match &mut self.phase {
            Phase::Dialling(_, accepted) => {
                self.is_checked = accepted.password.is_some();
                accepted.password.take()
            }
            _ => None,
        }
    }

    /// The password was checked, and a backend is looked for.
    pub fn password_was_right(&mut self) {
        self.is_checked = false;
    }

    /// The backend is there: a WebSocket client gets its 101, a stream its way.
    pub fn connected(&mut self, connected: Connected<T>, name: &str, cx: &mut Context<'_>) {
        let Phase::Dialling(link, accepted) = self.take() else {
            return;
        };
        let Accepted {
            downstream,
            terms,
            mut description,
            ..
        } = *accepted;
        if let Some(name) = &connected.agreed.subprotocol {
            description += &format!(", subprotocol {name}");
        }
        let (mut session, mut early) = downstream.join(link, connected, &terms, cx.now);
        info!("{} opened: {description} -> {name}", self.label);
        cx.tally.opened(self.place());
        session.begin(&mut early, cx.scratch, cx.now);
        self.phase = Phase::Open(session);
    }

    /// What went wrong with a stream, once it is over, if something did.
    pub fn failure(&self) -> Option<&str> {
        match &self.phase {
            Phase::Over(why) => why.as_deref(),
            _ => None,
        }
    }

    /// adit is stopping: who has a tunnel is told so, who has none gets none.
    pub fn leave(&mut self, cx: &mut Context<'_>) {
        match &mut self.phase {
            Phase::Open(session) => session.leave(Ending::GoingAway, cx.now),
            Phase::Opening(_, opening) if !opening.has_begun() => {
                self.phase = Phase::Over(None);
            }
            Phase::Opening(..) | Phase::Dialling(..) => {
                let why = "stopped before the server was reached";
                self.unreachable(&Refusal::Draining, Some(why), cx);
            }
            Phase::Held(..) | Phase::Answered(_) | Phase::Over(_) => {}
        }
    }

    /// Whether the tunnel is not open yet, and so need not become it.
    pub fn is_opening(&self) -> bool {
        matches!(self.phase, Phase::Opening(..) | Phase::Dialling(..))
    }

    /// Whether it was open and has ended without a fault of anybody's.
    pub fn ended_well(&self) -> bool {
        self.ended_well
    }

    /// Bytes of memory that the tunnel holds beside itself.
    pub fn memory(&self) -> usize {
        match &self.phase {
            Phase::Open(session) => session.memory(),
            Phase::Held(link, response) => link.memory() + response.capacity(),
            Phase::Answered(link) => link.memory(),
            _ => 0,
        }
    }

    fn opened(&mut self, outcome: Outcome, cx: &mut Context<'_>) -> Need {
        match outcome {
            Outcome::Incomplete => return Need::Event,
            Outcome::Gone(why) => {
                self.gone(why.as_ref(), cx);
                return Need::Nothing;
            }
            Outcome::NoProxyHeader(why) => {
                self.no_proxy_header(why, cx);
                return Need::Nothing;
            }
            Outcome::Refused(refusal) => self.refuse(&refusal, cx),
            Outcome::Page(page) => {
                debug!("{}: page {}", self.label, page.path);
                self.answer(&http::page(page.content_type, page.body.as_bytes()), cx.now);
            }
            Outcome::Visit(visit) => return Need::Page(visit),
            Outcome::Answer(response) => self.answer(&response, cx.now),
            Outcome::Accepted(accepted) => {
                let route = accepted.route;
                self.place = cx.tally.place(route) as u32;
                cx.tally.admitted(self.place());
                // Dialling has deadlines of its own; what goes before it has not.
                let needs_workers = accepted.password.is_some() || accepted.backend.is_some();
                self.until = needs_workers.then(|| cx.now + WORKERS_TIMEOUT);
                if let Phase::Opening(link, _) = self.take() {
                    self.phase = Phase::Dialling(link, accepted);
                }
                return Need::Backend(route);
            }
        }
        Need::Turn
    }

    fn take(&mut self) -> Phase<T> {
        std::mem::replace(&mut self.phase, Phase::Over(None))
    }

    /// Ends an open tunnel with its one line in the log.
    fn close(&mut self, cx: &mut Context<'_>) {
        let Phase::Open(session) = self.take() else {
            return;
        };
        let totals = session.totals();
        let Some(ending) = session.ending() else {
            return;
        };
        self.ended_well = !ending.is_misbehaviour();
        let role = session.role();
        if role == Role::Client {
            let failure = |ending| report::failure((&ending, role), &totals).into();
            self.phase = Phase::Over(session.failure().map(failure));
        }
        cx.tally.closed(self.place(), &totals, ending);
        let lasted = cx.now - self.since;
        report::closed(self.label, (ending, role), &totals, lasted);
    }
}
