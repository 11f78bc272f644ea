//! The HTTP part: from the first byte of a connection to the decision what
//! becomes of it.
//!
//! The backend is connected before the 101 goes out, so that a failure is an
//! honest HTTP status and a retry is invisible to the client.

use super::access::is_bearer;
use super::admin::Visit;
use super::auth::{self, PasswordCheck, Vault};
use super::downstream::{Downstream, PendingUpgrade};
use super::greeting::Facts;
use super::identity::Trusted;
use super::link::{Link, Read};
use super::pages::Page;
use super::policy::{self, Route};
use super::preface::preface;
use super::proxy_header::{ProxyHeader, Step};
use super::relay::Scratch;
use super::remote::{LocalStream, Remote};
use super::requester::{Requester, Seen};
use super::terms::Terms;
use super::{Gate, Label};
use crate::address::{Backend, Listen};
use crate::net::stream::canonical;
use crate::net::tls::Acceptor;
use crate::net::{Peer, Secured, Transport};
use crate::wire::Refusal;
use crate::wire::http::{MAX_HEAD, Request};
use crate::wire::proxy_protocol::{self, Header, Malformed};
use crate::wire::ws::handshake::Upgrade;
use std::io;

/// The first byte of a TLS handshake record (RFC 8446 section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// What the head of a request leads to.
#[derive(Debug)]
pub enum Outcome {
    /// The head is not whole yet.
    Incomplete,
    /// The client left, or its connection broke, and why that was.
    Gone(Option<io::Error>),
    /// A trusted proxy owes a PROXY header, and this is none; says why.
    NoProxyHeader(Malformed),
    /// The request gets no tunnel.
    Refused(Refusal),
    /// The request gets a page.
    Page(Page),
    /// The request gets a page that the server makes.
    Visit(Visit),
    /// The request gets this response.
    Answer(Vec<u8>),
    /// The request gets a tunnel as soon as the backend is there.
    Accepted(Box<Accepted>),
}

/// A request that waits for its backend.
#[derive(Debug)]
pub struct Accepted {
    /// The route's place in the list.
    pub route: usize,
    /// Who waits for the connection upstream.
    pub downstream: Downstream,
    /// What the log says of the tunnel.
    pub description: String,
    /// The backend of the token, where it chose one.
    pub backend: Option<Backend>,
    /// A password that has to be checked before.
    pub password: Option<Box<PasswordCheck>>,
    /// What the route says of the tunnel.
    pub terms: Terms,
}

impl Accepted {
    /// A plain stream, which asks for nothing: it takes the first route.
    fn stream(route: &Route, stream: LocalStream) -> Self {
        Accepted {
            route: 0,
            downstream: Downstream::Stream(stream),
            description: route.framing.to_string(),
            backend: None,
            password: None,
            terms: Terms::of(route),
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
    /// Who is believed about whom it speaks for.
    pub trusted: &'a Trusted,
    /// Tells the connections of this run of the program from those of others.
    pub run: u64,
    /// What the files of tokens and passwords say.
    pub vault: &'a Vault,
    /// The time that tokens expire by, in Unix seconds.
    pub unix_time: u64,
}

/// What the listener says of its connections.
#[derive(Clone, Debug)]
pub struct Entrance {
    /// Where it listens.
    pub address: Listen,
    /// How it answers TLS handshakes, if it does.
    pub tls: Option<Acceptor>,
    /// Whether plain connections are let in beside TLS.
    pub plain: bool,
    /// Whether it leads to the [admin pages](super::admin) and nowhere else.
    pub admin: bool,
}

/// How far a client is with TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tls {
    None,
    Begun,
    Established,
}

/// What comes before a tunnel, as far as it has come.
#[derive(Debug)]
pub struct Opening {
    entrance: Entrance,
    tls: Tls,
    /// The PROXY header that has to come first, until it is there.
    proxy_header: Option<ProxyHeader>,
    /// That header, then.
    header: Option<Box<Header>>,
    head: Vec<u8>,
}

impl Opening {
    /// The opening of a connection that came in here; `owes_header`: behind
    /// a PROXY header.
    pub fn new(entrance: Entrance, owes_header: bool) -> Self {
        Opening {
            entrance,
            tls: Tls::None,
            proxy_header: owes_header.then(ProxyHeader::default),
            header: None,
            head: Vec::new(),
        }
    }

    /// Whether it leads to the admin pages.
    pub fn is_visit(&self) -> bool {
        self.entrance.admin
    }

    /// Whether a TLS handshake has begun and is not over.
    pub fn is_shaking_hands(&self) -> bool {
        self.tls == Tls::Begun
    }

    /// The TLS of this connection, once: as soon as its handshake is over.
    pub fn take_secured<T: Transport>(&mut self, link: &Link<T>) -> Option<Secured> {
        let begun = self.is_shaking_hands().then(|| link.secured());
        let secured = begun.flatten()?;
        self.tls = Tls::Established;
        Some(secured)
    }

    /// Whether anything of the request has come.
    pub fn has_begun(&self) -> bool {
        !self.head.is_empty()
    }

    /// Whether the PROXY header has begun and is not whole yet.
    pub fn is_within_proxy_header(&self) -> bool {
        let proxy_header = self.proxy_header.as_ref();
        proxy_header.is_some_and(ProxyHeader::has_begun)
    }

    /// Reads until the head is whole, wrong, or not there yet. Who the client
    /// is goes into its label as soon as it is known.
    pub fn read<T: Transport>(
        &mut self,
        link: &mut Link<T>,
        scratch: &mut Scratch,
        rules: Rules<'_>,
        gate: &mut dyn Gate,
        label: &mut Label,
    ) -> Outcome {
        let first = rules.routes.first();
        let remote = first.and_then(|route| route.remote.as_ref());
        if let (Some(route), Some(stream)) = (first, remote.map(Remote::local_stream)) {
            return Outcome::Accepted(Box::new(Accepted::stream(route, stream)));
        }
        if let Some(proxy_header) = &mut self.proxy_header {
            let header = match proxy_header.read(link, &mut scratch.made.lent) {
                Step::Incomplete => return Outcome::Incomplete,
                Step::Gone => return Outcome::Gone(None),
                Step::Refused(why) => return Outcome::NoProxyHeader(why),
                Step::Done(header) => header,
            };
            if let Some(addresses) = header.addresses {
                label.client = Peer::Tcp(canonical(addresses.source));
            }
            self.proxy_header = None;
            self.header = Some(Box::new(header));
        }
        loop {
            match link.read(&mut scratch.read, &mut scratch.made.lent) {
                Read::Blocked => return Outcome::Incomplete,
                Read::End => return Outcome::Gone(None),
                Read::Broken(e) => return Outcome::Gone(Some(e)),
                Read::Bytes(n) if self.begins_tls(&scratch.read[..n]) => {
                    if let Err(e) = self.begin_tls(link, &scratch.read[..n]) {
                        return Outcome::Gone(Some(e));
                    }
                }
                Read::Bytes(n) => {
                    let seen = Seen {
                        local: self
                            .asks_local(rules)
                            .then(|| link.local_address())
                            .flatten(),
                        secured: link.secured(),
                    };
                    match self.add(&scratch.read[..n], seen, rules, gate, label) {
                        Outcome::Incomplete => continue,
                        outcome => return outcome,
                    }
                }
            }
        }
    }

    /// The first byte of all tells whether a connection is TLS.
    fn begins_tls(&self, bytes: &[u8]) -> bool {
        let first = self.tls == Tls::None && !self.has_begun();
        first && self.entrance.tls.is_some() && bytes.first() == Some(&TLS_HANDSHAKE)
    }

    fn begin_tls<T: Transport>(&mut self, link: &mut Link<T>, bytes: &[u8]) -> io::Result<()> {
        self.tls = Tls::Begun;
        match &self.entrance.tls {
            Some(acceptor) => link.secure(acceptor, bytes),
            None => Ok(()),
        }
    }

    /// Whether it matters what the client connected to: to ask costs a call.
    fn asks_local(&self, rules: Rules<'_>) -> bool {
        self.entrance.admin || rules.routes.iter().any(|route| route.send_proxy.is_some())
    }

    /// Whether TLS is spoken here and not by this client.
    fn lacks_tls(&self) -> bool {
        self.entrance.tls.is_some() && self.tls == Tls::None && !self.entrance.plain
    }

    fn add(
        &mut self,
        bytes: &[u8],
        seen: Seen,
        rules: Rules<'_>,
        gate: &mut dyn Gate,
        label: &mut Label,
    ) -> Outcome {
        let first = !self.has_begun();
        // Where a head may end: only then, and at the start, is it parsed, so
        // that a byte at a time costs no more than all at once.
        let from = self.head.len().saturating_sub(3);
        self.head.extend_from_slice(bytes);
        if self.head[0] == TLS_HANDSHAKE && self.tls == Tls::None {
            let hint = "a TLS hello came to a port without TLS: use ws://, not wss://";
            return Outcome::Refused(Refusal::BadRequest(hint));
        }
        if proxy_protocol::is_header(&self.head) {
            let hint = "a PROXY header came where none is taken (accept-proxy, trusted-proxies)";
            return Outcome::Refused(Refusal::BadRequest(hint));
        }
        let ends = |tail: &[u8]| tail.windows(2).any(|w| w == b"\n\n" || w == b"\n\r");
        if !first && self.head.len() < MAX_HEAD && !ends(&self.head[from..]) {
            return Outcome::Incomplete;
        }
        match Request::parse(&self.head) {
            Ok(None) => Outcome::Incomplete,
            Ok(Some(request)) if self.is_visit() => {
                let asked = Visit::read(&request, &self.entrance.address, seen.local);
                asked.map_or_else(Outcome::Answer, Outcome::Visit)
            }
            Ok(Some(request)) => {
                let early = &self.head[request.len..];
                let header = self.header.as_deref();
                Requester::of(&request, header, seen, rules.trusted, rules.run, label)
                    .and_then(|requester| {
                        // By the address alone, before anything is done for it.
                        gate.admit(label.client.ip())?;
                        if self.lacks_tls() {
                            return Err(Refusal::needs_tls(&request));
                        }
                        decide(&request, early, &self.entrance.address, rules, &requester)
                    })
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
    rules: Rules<'_>,
    requester: &Requester,
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
        https: requester.client.https,
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
    if !choice.route.addresses.admit(requester.client.address.ip()) {
        return Err(Refusal::Address);
    }
    let admission = auth::admit(choice.route, rules.vault, request, origin, rules.unix_time)?;
    let extras = &requester.connection.extras;
    let facts = Facts {
        client: requester.client.address,
        host: request.host,
        path: request.path,
        query: request.query,
        origin: origin.unwrap_or_default(),
        subprotocol: choice.subprotocol.unwrap_or_default(),
        subject: admission.subject.as_deref().unwrap_or_default(),
        common_name: extras.verified_name().unwrap_or_default(),
        alternative_names: &requester.alternative_names,
    };
    let preface = preface(choice.route, &facts, &requester.connection);
    Ok(Outcome::Accepted(Box::new(Accepted {
        route: choice.index,
        downstream: Downstream::WebSocket(PendingUpgrade {
            accept: upgrade.accept(),
            subprotocol: choice.subprotocol.map(str::to_owned),
            half_close: upgrade.half_close,
            early: early.to_vec(),
            preface,
        }),
        description: describe(request.path, &choice, admission.subject.as_deref()),
        backend: admission.backend,
        password: admission.password,
        terms: Terms::of(choice.route),
    })))
}

/// The path without its query, in which a token may stand, as in a subprotocol.
fn describe(path: &str, choice: &policy::Choice<'_, '_>, subject: Option<&str>) -> String {
    let mut text = format!("{}, {}", path.escape_debug(), choice.route.framing);
    if let Some(name) = choice.subprotocol {
        let name = match is_bearer(name) {
            true => "bearer.…",
            false => name,
        };
        text += &format!(", subprotocol {name}");
    }
    if let Some(name) = subject {
        text += &format!(", by \"{}\"", name.escape_debug());
    }
    text
}
