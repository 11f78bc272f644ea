//! The listening sockets, and when to accept from them.
//!
//! Accepting pauses while as many clients are there as may be, and when the
//! system has no descriptor left. It goes on when a tunnel has ended, or after
//! a moment, since descriptors can come free elsewhere; meanwhile clients wait
//! in the kernel's backlog and the loop sleeps.

use super::confine::Confined;
use super::prepared::Prepared;
use super::settings::ListenerSettings;
use crate::net::tls::Acceptor;
use crate::net::{BACKLOG, Listener, Peer, Stream};
use crate::tunnel::Entrance;
use log::{error, info, warn};
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::time::{Duration, Instant};

/// Connections accepted from a listener until it is the others' turn.
const TURN: usize = 64;

/// After so many turns the whole queue of a listener has been accepted.
pub const MOST_TURNS: usize = BACKLOG.unsigned_abs() as usize / TURN + 1;

/// How long accepting pauses when the system has no descriptor left.
const PAUSE: Duration = Duration::from_millis(500);

/// A listening socket and what it is for.
#[derive(Debug)]
struct Listening {
    socket: Listener,
    /// What its connections are told.
    entrance: Entrance,
    /// The mode that its file was given.
    mode: Option<u32>,
    token: Token,
    /// Whether connections may wait: sticky, as the poll is edge-triggered.
    ready: bool,
}

impl Listening {
    /// Does as the settings say from now on.
    fn follow(&mut self, settings: &ListenerSettings, acceptor: &Option<Acceptor>) {
        self.entrance.tls = acceptor.clone();
        self.entrance.plain = settings.tls.as_ref().is_some_and(|tls| tls.plain);
        if let Some(mode) = settings.mode.filter(|_| settings.mode != self.mode) {
            if let Err(e) = self.socket.change_mode(mode) {
                warn!("cannot change the mode of {}: {e}", settings.address);
            }
        }
        self.mode = settings.mode;
    }
}

/// All listening sockets.
#[derive(Debug)]
pub struct Listeners {
    sockets: Vec<Listening>,
    tokens: Range<usize>,
    paused_until: Option<Instant>,
}

impl Listeners {
    /// No listeners; theirs will be the tokens of this range.
    pub fn new(tokens: Range<usize>) -> Self {
        Listeners {
            sockets: Vec::new(),
            tokens,
            paused_until: None,
        }
    }

    /// Opens the listeners that are not open yet and closes those that are not
    /// wanted any more; those that stay may change how they speak TLS. Of the
    /// new ones all are opened, or nothing changes.
    ///
    /// # Errors
    /// Which address cannot be listened on, and why.
    pub fn open(
        &mut self,
        prepared: &Prepared,
        registry: &Registry,
        confined: &Confined,
    ) -> Result<(), String> {
        let wanted = || prepared.settings.listeners.iter().zip(&prepared.acceptors);
        let mut opened = Vec::new();
        for (settings, _) in wanted() {
            let here = |open: &&Listening| open.entrance.address == settings.address;
            if !self.sockets.iter().any(|open| here(&open)) {
                self.open_one(settings, registry, confined, &mut opened)?;
            }
        }
        for open in &opened {
            info!("listening on {}", open.socket);
        }
        self.sockets.append(&mut opened);
        self.sockets.retain_mut(|open| {
            let address = &open.entrance.address;
            let found = wanted().find(|(settings, _)| settings.address == *address);
            match found {
                Some((settings, acceptor)) => open.follow(settings, acceptor),
                None => info!("no longer listening on {}", open.socket),
            }
            found.is_some()
        });
        Ok(())
    }

    fn open_one(
        &self,
        settings: &ListenerSettings,
        registry: &Registry,
        confined: &Confined,
        opened: &mut Vec<Listening>,
    ) -> Result<(), String> {
        let ListenerSettings { address, mode, .. } = settings;
        let cannot = |e: io::Error| {
            let excuse = confined.excuse(address, &e);
            format!("cannot listen on {address}: {e}{excuse}")
        };
        for mut socket in Listener::open(address, *mode).map_err(cannot)? {
            let taken = |token| {
                self.sockets
                    .iter()
                    .chain(&*opened)
                    .any(|l| l.token == token)
            };
            let token = self.tokens.clone().map(Token).find(|&token| !taken(token));
            let token = token.ok_or(format!("cannot listen on {address}: too many listeners"))?;
            registry
                .register(&mut socket, token, Interest::READABLE)
                .map_err(cannot)?;
            opened.push(Listening {
                socket,
                entrance: Entrance {
                    address: address.clone(),
                    tls: None,
                    plain: false,
                },
                mode: *mode,
                token,
                ready: false,
            });
        }
        Ok(())
    }

    /// Connections may wait at any listener, whatever the poll has said.
    pub fn look(&mut self) {
        for listener in &mut self.sockets {
            listener.ready = true;
        }
    }

    /// Closes all listeners.
    pub fn close(&mut self) {
        self.sockets.clear();
    }

    /// The addresses that the sockets really have.
    pub fn addresses(&self) -> Vec<String> {
        self.sockets
            .iter()
            .map(|open| open.socket.to_string())
            .collect()
    }

    /// Connections wait at the listener with this token.
    pub fn ready(&mut self, token: Token) {
        for listener in self
            .sockets
            .iter_mut()
            .filter(|listener| listener.token == token)
        {
            listener.ready = true;
        }
    }

    /// Whether a connection may wait that could be accepted now.
    pub fn is_ready(&self) -> bool {
        self.paused_until.is_none() && self.sockets.iter().any(|listener| listener.ready)
    }

    /// When to try again though no tunnel has ended.
    pub fn resume_at(&self) -> Option<Instant> {
        self.paused_until
    }

    /// A tunnel has ended or the pause is over: there may be room again.
    pub fn resume(&mut self) {
        self.paused_until = None;
    }

    /// Accepts at most `room` connections, a turn of each listener's.
    pub fn accept(
        &mut self,
        mut room: usize,
        now: Instant,
        mut each: impl FnMut(Stream, Peer, &Entrance),
    ) {
        if self.paused_until.is_some() {
            return;
        }
        for listener in &mut self.sockets {
            let mut turn = TURN;
            while listener.ready && turn > 0 && room > 0 {
                match listener.socket.accept() {
                    Ok((stream, peer)) => {
                        each(stream, peer, &listener.entrance);
                        turn -= 1;
                        room -= 1;
                    }
                    Err(e) if e.kind() == ErrorKind::WouldBlock => listener.ready = false,
                    Err(e) if is_exhaustion(&e) => {
                        warn!("accepting pauses: {e}");
                        self.paused_until = Some(now + PAUSE);
                        return;
                    }
                    // The client gave up while it waited, or the like (accept(2)).
                    Err(e) if is_clients(&e) => turn -= 1,
                    Err(e) => {
                        error!("cannot accept on {}: {e}", listener.socket);
                        self.paused_until = Some(now + PAUSE);
                        return;
                    }
                }
            }
        }
    }
}

fn is_exhaustion(e: &io::Error) -> bool {
    let exhausted = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(e).is_some_and(|errno| exhausted.contains(&errno))
}

fn is_clients(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::Interrupted
            | ErrorKind::NetworkUnreachable
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::InvalidInput
    )
}
