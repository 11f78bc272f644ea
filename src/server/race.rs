//! A race of one backend's addresses: the first connection that stands is the
//! one, and the others are dropped.
//!
//! Each next address is begun when one before it failed, or a quarter of a
//! second after it began (RFC 8305). If what has to be said over the connection
//! that stands fails, the addresses that are left have their turn. So a network
//! that swallows packets costs a moment, and `connect-timeout` only where there
//! is no other address.

use super::dial_context::{Caller, DialContext};
use super::tokens;
use crate::net::{Address, Socket, Stream};
use crate::tunnel::Readiness;
use crate::tunnel::connecting::{Connected, Connecting, Failure, Step};
use log::debug;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

/// How long an address is tried alone (RFC 8305 section 5).
pub const ALONE: Duration = Duration::from_millis(250);

/// How a race stands.
#[derive(Debug)]
pub enum Standing {
    /// An event or its deadline is waited for.
    Waiting,
    /// This connection is ready, so long after it began.
    Won(Box<Connected<Socket>>, Duration),
    /// This address leads nowhere; others may be left.
    Failed(Address, Failure),
    /// No address is left.
    Lost,
}

/// How long a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Until it is there.
    pub connect: Duration,
    /// From then on, until all is said that has to be.
    pub handshake: Duration,
}

/// A connection that is being made.
#[derive(Debug)]
struct Attempt {
    connecting: Connecting<Socket>,
    address: Address,
    begun: Instant,
    /// When it takes too long.
    until: Instant,
}

/// A race that goes on.
#[derive(Debug)]
pub struct Race {
    caller: Caller,
    timeouts: Timeouts,
    /// What to do over the connection.
    steps: Vec<Step>,
    /// The addresses that were not tried yet, the next one last.
    addresses: Vec<Address>,
    has_several: bool,
    attempts: Vec<Attempt>,
    /// When the next address is tried beside those that are being tried.
    next_at: Option<Instant>,
    /// Whether events were of more than one connection.
    raced: bool,
}

impl Race {
    /// A race of these addresses, in this order, in which none has begun yet.
    pub fn new(
        caller: Caller,
        timeouts: Timeouts,
        steps: Vec<Step>,
        mut addresses: Vec<Address>,
    ) -> Self {
        addresses.reverse();
        Race {
            caller,
            timeouts,
            steps,
            has_several: addresses.len() > 1,
            addresses,
            attempts: Vec::new(),
            next_at: None,
            raced: false,
        }
    }

    /// Whether it is one of several addresses.
    pub fn has_several(&self) -> bool {
        self.has_several
    }

    /// Adds what an event said of the connection that is being made.
    pub fn ready(&mut self, seen: Readiness) {
        // Of several nobody knows whose it was: see `keep_only`.
        if let [attempt] = &mut self.attempts[..] {
            attempt.connecting.ready(seen);
        }
    }

    /// When to go on though nothing happens.
    pub fn deadline(&self) -> Option<Instant> {
        let attempts = self.attempts.iter().map(|attempt| attempt.until);
        attempts.chain(self.next_at).min()
    }

    /// Does what can be done now.
    pub fn advance(&mut self, cx: &mut DialContext<'_>) -> Standing {
        loop {
            if let Some(decided) = self.advance_attempts(cx) {
                return decided;
            }
            let is_due = self.next_at.is_some_and(|at| cx.now >= at);
            if !self.attempts.is_empty() && !is_due {
                return Standing::Waiting;
            }
            let Some(address) = self.addresses.pop() else {
                self.next_at = None;
                return match self.attempts.is_empty() {
                    true => Standing::Lost,
                    false => Standing::Waiting,
                };
            };
            match self.connect(&address, cx) {
                Ok(connecting) => self.begun(connecting, address, cx.now),
                Err(e) => return Standing::Failed(address, Failure::Broken(e)),
            }
        }
    }

    /// Goes on with all connections, until one is ready or has failed.
    fn advance_attempts(&mut self, cx: &mut DialContext<'_>) -> Option<Standing> {
        let mut at = 0;
        while at < self.attempts.len() {
            let attempt = &mut self.attempts[at];
            let was_connected = attempt.connecting.is_connected();
            let failure = match attempt.connecting.advance(cx.scratch) {
                Ok(true) => {
                    self.keep_only(at, cx);
                    let Attempt {
                        connecting, begun, ..
                    } = self.attempts.pop()?;
                    let took = cx.now.saturating_duration_since(begun);
                    return Some(Standing::Won(Box::new(connecting.finish()), took));
                }
                Ok(false) if cx.now >= attempt.until => {
                    let what = if was_connected {
                        "handshake"
                    } else {
                        "connect"
                    };
                    let late = io::Error::new(ErrorKind::TimedOut, format!("{what} timeout"));
                    Failure::Broken(late)
                }
                Ok(false) => {
                    if attempt.connecting.is_connected() && !was_connected {
                        attempt.until = cx.now + self.timeouts.handshake;
                        self.keep_only(at, cx);
                        at = 0;
                    }
                    at += 1;
                    continue;
                }
                Err(failure) => failure,
            };
            let Attempt { address, .. } = self.attempts.remove(at);
            // The others need not wait for their time.
            self.next_at = Some(cx.now);
            return Some(Standing::Failed(address, failure));
        }
        None
    }

    /// One connection stands: the others are not needed.
    fn keep_only(&mut self, at: usize, cx: &mut DialContext<'_>) {
        self.attempts.swap(0, at);
        self.attempts.truncate(1);
        self.next_at = None;
        if !std::mem::take(&mut self.raced) {
            return;
        }
        // What was told of several connections is told again of this one.
        if let Some(attempt) = self.attempts.first_mut() {
            let socket = attempt.connecting.transport();
            let told = tokens::watch_again(cx.registry, socket, self.caller.token);
            if let Err(e) = told {
                debug!(
                    "{}: cannot watch the connection again: {e}",
                    self.caller.label
                );
            }
        }
    }

    fn connect(&self, address: &Address, cx: &DialContext<'_>) -> io::Result<Connecting<Socket>> {
        let mut socket = Socket::new(Stream::connect(address)?);
        tokens::watch(cx.registry, &mut socket, self.caller.token)?;
        Ok(Connecting::new(socket, self.steps.clone()))
    }

    fn begun(&mut self, connecting: Connecting<Socket>, address: Address, now: Instant) {
        self.attempts.push(Attempt {
            connecting,
            address,
            begun: now,
            until: now + self.timeouts.connect,
        });
        self.raced |= self.attempts.len() > 1;
        let has_next = !self.addresses.is_empty();
        self.next_at = has_next.then(|| now + ALONE);
    }
}
