//! A pair in memory: whole tunnels over fake connections with limited room and
//! a clock that is moved by hand.
//!
//! Tests and fuzz targets share it; no program has it.

#![cfg_attr(fuzzing, allow(dead_code, reason = "tests use more of it"))]

use super::*;
use crate::net::tls::{Acceptor, Connector};
use crate::net::{Lent, Peer, Received, Secured, Taken};
use crate::tunnel::connecting::{Connecting, Failure, Step};
use crate::tunnel::identity::Trusted;
use crate::tunnel::policy::Route;
use crate::wire::framing::Framing;
use crate::wire::http::Request;
use crate::wire::ws::client_handshake::Agreed;
use crate::wire::ws::handshake::{HALF_CLOSE, Upgrade};
use crate::wire::ws::header::Header;
use crate::wire::ws::mask;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read as _};
use std::net::IpAddr;
use std::rc::Rc;

/// The far end of a fake connection.
#[derive(Debug, Default)]
pub(crate) struct Far {
    /// What it has sent and was not read yet.
    pub(crate) sends: VecDeque<u8>,
    /// Whether it ends behind that, or breaks.
    pub(crate) ends: Option<ErrorKind>,
    /// What it has received.
    pub(crate) received: Vec<u8>,
    /// As many bytes it takes still.
    pub(crate) room: usize,
    /// Whether it saw the end.
    pub(crate) finished: bool,
    /// Whether the connection is known to be broken.
    pub(crate) breaks: bool,
    /// Why it takes nothing any more.
    pub(crate) refuses: Option<ErrorKind>,
    pub(crate) writes: usize,
    pub(crate) reads: usize,
    /// Whether it saw a reset.
    pub(crate) reset: bool,
    /// Whether nothing need be read of it any more, as of a terminal.
    pub(crate) may_be_dropped: bool,
    /// Whether the last write found too little room.
    cut_short: bool,
    /// Whether something happened that no event has told of.
    news: bool,
}

impl Far {
    /// Something came: bytes, the end, or a break.
    pub(crate) fn came(&mut self) {
        self.news = true;
    }

    /// There is more room, which matters to who found too little before.
    pub(crate) fn make_room(&mut self, bytes: usize) {
        self.room = self.room.saturating_add(bytes);
        self.news |= self.room > 0 && std::mem::take(&mut self.cut_short);
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Fake(pub(crate) Rc<RefCell<Far>>);

impl Fake {
    /// A far end that takes whatever it gets.
    pub(crate) fn roomy() -> Fake {
        let fake = Fake::default();
        fake.0.borrow_mut().room = usize::MAX;
        fake
    }

    pub(crate) fn sends(&self, bytes: &[u8]) {
        let mut far = self.0.borrow_mut();
        far.sends.extend(bytes);
        far.came();
    }
}

impl Transport for Fake {
    fn connected(&mut self, _: &mut Lent) -> io::Result<bool> {
        Ok(true)
    }

    fn connect_tls(&mut self, _: &Connector) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn may_be_dropped(&self) -> bool {
        self.0.borrow().may_be_dropped
    }

    fn reset(&mut self) {
        self.0.borrow_mut().reset = true;
    }

    fn read(&mut self, into: &mut [u8], _: &mut Lent) -> io::Result<Received> {
        let mut far = self.0.borrow_mut();
        far.reads += 1;
        let n = into.len().min(far.sends.len());
        far.sends.read_exact(&mut into[..n])?;
        match far.ends {
            _ if n > 0 => Ok(Received {
                bytes: n,
                drained: n < into.len(),
            }),
            None => Err(ErrorKind::WouldBlock.into()),
            Some(ErrorKind::UnexpectedEof) => Ok(Received {
                bytes: 0,
                drained: true,
            }),
            Some(kind) => Err(kind.into()),
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>], _: &mut Lent) -> io::Result<Taken> {
        let mut far = self.0.borrow_mut();
        assert!(!far.finished, "a write after the end");
        far.writes += 1;
        if let Some(kind) = far.refuses {
            return Err(kind.into());
        }
        let offered: Vec<u8> = slices
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect();
        let n = offered.len().min(far.room);
        far.cut_short = n < offered.len();
        if n == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        far.room -= n;
        far.received.extend_from_slice(&offered[..n]);
        Ok(Taken {
            bytes: n,
            full: n < offered.len(),
        })
    }

    fn waiting(&self) -> usize {
        0
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn plain(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None
    }

    fn local_address(&self) -> Option<std::net::SocketAddr> {
        None
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.borrow_mut().finished = true;
        Ok(())
    }

    fn secure(&mut self, _: &Acceptor, _: &[u8]) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn secured(&self) -> Option<Secured> {
        None
    }
}

pub(crate) const EOF: ErrorKind = ErrorKind::UnexpectedEof;
pub(crate) const RESET: ErrorKind = ErrorKind::ConnectionReset;

/// A tunnel and everything around it.
pub(crate) struct World {
    pub(crate) tunnel: Tunnel<Fake>,
    /// Downstream and upstream; in a stream's tunnel, the local program and the
    /// server.
    pub(crate) client: Fake,
    pub(crate) backend: Fake,
    /// The connection upstream, while it is being made.
    pub(crate) connecting: Option<Connecting<Fake>>,
    /// What was agreed on at its end.
    pub(crate) agreed: Option<Agreed>,
    /// Why it was not made.
    pub(crate) failure: Option<Failure>,
    pub(crate) routes: Vec<Route>,
    pub(crate) vault: auth::Vault,
    pub(crate) scratch: Scratch,
    pub(crate) gate: FakeGate,
    pub(crate) log_limit: LogLimit,
    pub(crate) tally: Tally,
    pub(crate) now: Instant,
    /// Whether an event comes only for what is new, as the poll has it; else
    /// each turn is told all that is true.
    pub(crate) edges: bool,
}

/// Lets everybody in, or nobody, and notes who asked.
#[derive(Debug, Default)]
pub(crate) struct FakeGate {
    pub(crate) asked: Vec<Option<IpAddr>>,
    pub(crate) refuses: Option<Refusal>,
}

impl Gate for FakeGate {
    fn admit(&mut self, client: Option<IpAddr>) -> Result<(), Refusal> {
        self.asked.push(client);
        self.refuses.clone().map_or(Ok(()), Err)
    }

    fn failed(&mut self, _: Option<IpAddr>) -> Duration {
        Duration::from_millis(200)
    }
}

pub(crate) const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

impl World {
    /// A client that has connected and said nothing.
    pub(crate) fn connected(route: Route) -> World {
        let (client, backend) = (Fake::roomy(), Fake::roomy());
        let now = Instant::now();
        let label = Label::new(1, Peer::Unix);
        let entrance = Entrance {
            address: "8080".parse().expect("a port"),
            tls: None,
            plain: false,
            admin: false,
        };
        let opening = Opening::new(entrance, false);
        let tunnel = Tunnel::new(label, client.clone(), opening, Duration::from_secs(10), now);
        World {
            tunnel,
            client,
            backend,
            connecting: None,
            agreed: None,
            failure: None,
            routes: vec![route],
            vault: auth::Vault::default(),
            scratch: Scratch::default(),
            gate: FakeGate::default(),
            log_limit: LogLimit::default(),
            tally: Tally::default(),
            now,
            edges: false,
        }
    }

    /// A tunnel that is open, its 101 taken.
    pub(crate) fn open(route: Route) -> World {
        let mut world = World::connected(route);
        world.client_sends(REQUEST);
        assert_eq!(world.pump(), Need::Backend(0));
        world.backend_is_there();
        let head = world.take_client_received();
        assert!(head.starts_with(b"HTTP/1.1 101 "));
        world
    }

    pub(crate) fn framed(framing: Framing) -> World {
        World::open(Route {
            framing,
            ..Route::default()
        })
    }

    pub(crate) fn context<R>(
        &mut self,
        work: impl FnOnce(&mut Tunnel<Fake>, &mut Context<'_>) -> R,
    ) -> R {
        let rules = Rules {
            routes: &self.routes,
            pages: &[],
            trusted: &Trusted::default(),
            run: 0,
            vault: &self.vault,
            unix_time: 1_000_000,
        };
        let mut cx = Context {
            scratch: &mut self.scratch,
            now: self.now,
            rules,
            gate: &mut self.gate,
            log_limit: &mut self.log_limit,
            tally: &mut self.tally,
        };
        work(&mut self.tunnel, &mut cx)
    }

    pub(crate) fn backend_is_there(&mut self) {
        self.dial(Vec::new());
        self.pump();
        assert!(self.agreed.is_some(), "a connection");
    }

    /// Dials upstream and takes these steps, in the turns that follow.
    pub(crate) fn dial(&mut self, steps: Vec<Step>) {
        // An event tells of all that came before anybody listened.
        self.backend.0.borrow_mut().came();
        self.connecting = Some(Connecting::new(self.backend.clone(), steps));
    }

    fn advance(&mut self) {
        let Some(mut connecting) = self.connecting.take() else {
            return;
        };
        // Who is gone or was sent away needs no backend.
        if !self.tunnel.is_opening() {
            return;
        }
        match connecting.advance(&mut self.scratch) {
            Ok(false) => self.connecting = Some(connecting),
            Ok(true) => {
                let connected = connecting.finish();
                self.agreed = Some(connected.agreed.clone());
                self.context(|tunnel, cx| tunnel.connected(connected, "fake", cx));
            }
            Err(failure) => self.failure = Some(failure),
        }
    }

    /// One turn, with events before it.
    pub(crate) fn turn(&mut self) -> Need {
        for (side, fake) in [
            (Side::Downstream, &self.client),
            (Side::Upstream, &self.backend),
        ] {
            let mut far = fake.0.borrow_mut();
            if self.edges && !std::mem::take(&mut far.news) {
                continue;
            }
            let seen = Readiness {
                readable: !far.sends.is_empty() || far.ends.is_some(),
                writable: far.room > 0 || far.refuses.is_some(),
                read_closed: far.ends.is_some(),
                broken: far.breaks,
                urgent: false,
            };
            match (&mut self.connecting, side) {
                (Some(connecting), Side::Upstream) => connecting.ready(seen),
                _ => self.tunnel.ready(side, seen),
            }
        }
        self.advance();
        self.context(Tunnel::pump)
    }

    /// Turns until an event is needed.
    pub(crate) fn pump(&mut self) -> Need {
        for _ in 0..10_000 {
            match self.turn() {
                Need::Turn => {}
                need => return need,
            }
        }
        panic!("the tunnel never rests: {:?}", self.tunnel);
    }

    /// Moves the clock, and does what is due then.
    pub(crate) fn after(&mut self, time: Duration) -> Need {
        self.now += time;
        for _ in 0..1000 {
            if self.tunnel.deadline().is_none_or(|at| at > self.now) {
                return self.pump();
            }
            self.context(Tunnel::expire);
            self.pump();
        }
        panic!("the tunnel is always late: {:?}", self.tunnel);
    }

    pub(crate) fn client_sends(&mut self, bytes: &[u8]) {
        self.client.sends(bytes);
    }

    pub(crate) fn backend_sends(&mut self, bytes: &[u8]) {
        self.backend.sends(bytes);
    }

    pub(crate) fn take_client_received(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.client.0.borrow_mut().received)
    }

    pub(crate) fn backend_received(&self) -> Vec<u8> {
        self.backend.0.borrow().received.clone()
    }

    /// How the tunnel ends, if it does.
    pub(crate) fn ending(&self) -> Option<Ending> {
        match &self.tunnel.phase {
            Phase::Open(session) => session.ending().cloned(),
            _ => None,
        }
    }
}

/// What a server answers that wants what it is asked; `None` if that is not
/// whole, or nothing that it could want.
#[cfg_attr(
    not(feature = "connect"),
    allow(dead_code, reason = "nothing is led anywhere")
)]
pub(crate) fn welcome(request: &[u8], half_close: bool) -> Option<Vec<u8>> {
    let request = Request::parse(request).ok()??;
    let upgrade = Upgrade::read(&request).ok()?;
    let extension = half_close.then_some(HALF_CLOSE);
    Some(http::switching_protocols(
        &upgrade.accept(),
        None,
        extension,
    ))
}

/// A frame of a client.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    frame_of(Role::Client, first, payload)
}

/// A frame with a payload of up to 65535 bytes, masked if a client sends it.
pub(crate) fn frame_of(role: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        n @ 0..=125 => bytes.push(n as u8),
        n => {
            bytes.push(126);
            bytes.extend((n as u16).to_be_bytes());
        }
    }
    let mut payload = payload.to_vec();
    if role == Role::Client {
        let key = [1, 2, 3, 4];
        bytes[1] |= 0x80;
        bytes.extend(key);
        mask::apply(&mut payload, key);
    }
    bytes.extend(payload);
    bytes
}

pub(crate) fn close(code: u16) -> Vec<u8> {
    frame(0x88, &code.to_be_bytes())
}

/// The frames of a server: first byte and payload.
pub(crate) fn frames(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    frames_to(Role::Client, bytes)
}

/// The frames to whom is in this role.
pub(crate) fn frames_to(role: Role, mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (head, len) = Header::parse(bytes, role).expect("valid").expect("whole");
        let end = len + head.len as usize;
        let mut payload = bytes[len..end].to_vec();
        if let Some(key) = head.mask {
            mask::apply(&mut payload, key);
        }
        frames.push((bytes[0], payload));
        bytes = &bytes[end..];
    }
    frames
}

/// The code of the Close that the client got last.
pub(crate) fn close_code(bytes: &[u8]) -> Option<u16> {
    match frames(bytes).last() {
        Some((0x88, payload)) => payload.first_chunk().map(|code| u16::from_be_bytes(*code)),
        _ => None,
    }
}
