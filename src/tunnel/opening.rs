//! The HTTP part: from the first byte of a connection to the decision what
//! becomes of it.
//!
//! The backend is connected before the 101 goes out, so that a failure is an
//! honest HTTP status and a retry is invisible to the client.

use super::Gate;
use super::link::{Link, Read};
use super::pages::Page;
use super::policy::{self, Route, Timeouts};
use super::relay::Scratch;
use crate::address::Listen;
use crate::net::Transport;
use crate::wire::Refusal;
use crate::wire::framing::Framing;
use crate::wire::http::{MAX_HEAD, Request};
use crate::wire::ws::handshake::Upgrade;
use crate::wire::ws::{FrameType, Text};
use std::net::IpAddr;

/// The first byte of a TLS handshake record (RFC 8446 section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// What the head of a request leads to.
#[derive(Debug)]
pub enum Outcome {
    /// The head is not whole yet.
    Incomplete,
    /// The client left without a word.
    Gone,
    /// The request gets no tunnel.
    Refused(Refusal),
    /// The request gets a page.
    Page(Page),
    /// The request gets a tunnel as soon as the backend is there.
    Accepted(Accepted),
}

/// A request that waits for its backend.
#[derive(Debug)]
pub struct Accepted {
    /// The route's place in the list.
    pub route: usize,
    /// `Sec-WebSocket-Accept`.
    pub accept: String,
    /// The subprotocol to answer with.
    pub subprotocol: Option<String>,
    /// What the log says of the tunnel.
    pub description: String,
    /// What came behind the head.
    pub early: Vec<u8>,
    /// What the route says of the tunnel.
    pub terms: Terms,
}

/// What of a route stays with a tunnel, whatever becomes of the route.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// How messages lie in the backend's bytes.
    pub framing: Framing,
    /// How the backend's bytes become text or binary messages.
    pub text: Text,
    /// See `max-message`.
    pub max_message: u64,
    /// How long things may take.
    pub timeouts: Timeouts,
}

impl Terms {
    fn of(route: &Route) -> Terms {
        // Records carry the type themselves.
        let frame_type = if route.framing.carries_type() {
            FrameType::Auto
        } else {
            route.frame_type
        };
        let text = Text {
            frame_type,
            auto: route.framing.auto_kind(),
            invalid: route.invalid_utf8,
        };
        Terms {
            framing: route.framing,
            text,
            max_message: route.max_message,
            timeouts: route.timeouts,
        }
    }
}

/// What requests are judged by.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Where requests go.
    pub routes: &'a [Route],
    /// What is served where no WebSocket is asked for.
    pub pages: &'a [Page],
}

/// A request head as far as it has come.
#[derive(Debug)]
pub struct Opening {
    listener: Listen,
    /// Whose connection it is; `None` where that has no address.
    client: Option<IpAddr>,
    head: Vec<u8>,
}

impl Opening {
    /// The opening of a connection that came in at `listener` from `client`.
    pub fn new(listener: Listen, client: Option<IpAddr>) -> Self {
        Opening {
            listener,
            client,
            head: Vec::new(),
        }
    }

    /// Whether anything has come.
    pub fn has_begun(&self) -> bool {
        !self.head.is_empty()
    }

    /// Reads until the head is whole, wrong, or not there yet.
    pub fn read<T: Transport>(
        &mut self,
        link: &mut Link<T>,
        scratch: &mut Scratch,
        rules: Rules<'_>,
        gate: &mut dyn Gate,
    ) -> Outcome {
        loop {
            match link.read(&mut scratch.read, &mut scratch.made.lent) {
                Read::Blocked => return Outcome::Incomplete,
                Read::End | Read::Broken(_) => return Outcome::Gone,
                Read::Bytes(n) => match self.add(&scratch.read[..n], rules, gate) {
                    Outcome::Incomplete => continue,
                    outcome => return outcome,
                },
            }
        }
    }

    fn add(&mut self, bytes: &[u8], rules: Rules<'_>, gate: &mut dyn Gate) -> Outcome {
        let first = !self.has_begun();
        // Where a head may end: only then, and at the start, is it parsed, so
        // that a byte at a time costs no more than all at once.
        let from = self.head.len().saturating_sub(3);
        self.head.extend_from_slice(bytes);
        if self.head[0] == TLS_HANDSHAKE {
            let hint = "a TLS hello came to a port without TLS: use ws://, not wss://";
            return Outcome::Refused(Refusal::BadRequest(hint));
        }
        let ends = |tail: &[u8]| tail.windows(2).any(|w| w == b"\n\n" || w == b"\n\r");
        if !first && self.head.len() < MAX_HEAD && !ends(&self.head[from..]) {
            return Outcome::Incomplete;
        }
        match Request::parse(&self.head) {
            Ok(None) => Outcome::Incomplete,
            Ok(Some(request)) => {
                // By the address alone, before anything is done for it.
                let admitted = gate.admit(self.client);
                let early = &self.head[request.len..];
                admitted
                    .and_then(|()| decide(&request, early, &self.listener, self.client, rules))
                    .unwrap_or_else(Outcome::Refused)
            }
            Err(refusal) => Outcome::Refused(refusal),
        }
    }
}

/// What becomes of a request whose head is whole.
fn decide(
    request: &Request<'_>,
    early: &[u8],
    listener: &Listen,
    client: Option<IpAddr>,
    rules: Rules<'_>,
) -> Result<Outcome, Refusal> {
    if request.method != "GET" {
        return Err(Refusal::Method);
    }
    let upgrade = Upgrade::read(request);
    if let Err(Refusal::NotUpgrade) = upgrade {
        if let Some(page) = rules.pages.iter().find(|page| page.path == request.path) {
            return Ok(Outcome::Page(page.clone()));
        }
    }
    let origin = request.single("Origin");
    if origin.is_none() && request.has("Origin") {
        return Err(Refusal::BadRequest("at most one Origin header is allowed"));
    }
    let subprotocols = upgrade
        .as_ref()
        .map_or(Vec::new(), |u| u.subprotocols.clone());
    let asked = policy::Request {
        host: request.host,
        path: request.path,
        origin,
        subprotocols,
    };
    let choice = match policy::choose(rules.routes, listener, &asked) {
        Err(Refusal::NotFound) => return Err(Refusal::NotFound),
        choice => choice,
    };
    // A plain request for a path that is served learns what is spoken there.
    let upgrade = upgrade?;
    let choice = choice?;
    if !choice.route.addresses.admit(client) {
        return Err(Refusal::Address);
    }
    Ok(Outcome::Accepted(Accepted {
        route: choice.index,
        accept: upgrade.accept(),
        subprotocol: choice.subprotocol.map(str::to_owned),
        description: describe(request.path, &choice),
        early: early.to_vec(),
        terms: Terms::of(choice.route),
    }))
}

fn describe(path: &str, choice: &policy::Choice<'_, '_>) -> String {
    let framing = choice.route.framing;
    let path = path.escape_debug();
    match choice.subprotocol {
        Some(name) => format!("{path}, {framing}, subprotocol {name}"),
        None => format!("{path}, {framing}"),
    }
}
