//! The listening sockets, and when to accept from them.
//!
//! Accepting pauses while as many clients are there as may be, and when the
//! system has no descriptor left. It goes on when a tunnel has ended, or after
//! a moment, since descriptors can come free elsewhere; meanwhile clients wait
//! in the kernel's backlog and the loop sleeps.

use super::confine::Confined;
use super::prepared::Prepared;
use super::tokens::LISTENERS;
use crate::address::Listen;
use crate::net::{BACKLOG, Inherited, Listener, Manner, Peer, Stream};
use crate::tunnel::Entrance;
use log::{error, info, warn};
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use std::io::{self, ErrorKind};
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
    /// How it was opened.
    manner: Manner,
    token: Token,
    /// Whether connections may wait: sticky, as the poll is edge-triggered.
    ready: bool,
    /// Whether the log has it.
    announced: bool,
}

impl Listening {
    /// Whether it is the socket of this entrance.
    fn is_of(&self, entrance: &Entrance) -> bool {
        self.entrance.address == entrance.address && self.entrance.admin == entrance.admin
    }

    /// Ends the watch. The end of the descriptor does not, where somebody else
    /// has the same socket (epoll(7)).
    fn leave(&mut self, registry: &Registry) {
        if let Err(e) = registry.deregister(&mut self.socket) {
            warn!("cannot stop to watch {}: {e}", self.socket);
        }
    }

    /// Does as the settings say from now on.
    fn follow(&mut self, entrance: Entrance, manner: Manner) {
        self.entrance = entrance;
        let Manner { mode, reuse_port } = manner;
        let address = &self.entrance.address;
        if let Some(mode) = mode.filter(|_| mode != self.manner.mode) {
            if let Err(e) = self.socket.change_mode(mode) {
                warn!("cannot change the mode of {address}: {e}");
            }
        }
        if reuse_port != self.manner.reuse_port {
            warn!("reuse-port at {address} stays as it is until the address is opened anew");
        }
        self.manner.mode = mode;
    }

    /// Says that clients can come from now on.
    fn announce(&self) {
        let socket = &self.socket;
        if !self.entrance.admin {
            return info!("listening on {socket}");
        }
        info!("admin pages at {socket}: /healthz and /metrics");
        if !socket.is_local() {
            warn!("admin pages at {socket}: whoever can connect there can read them");
        }
    }
}

/// How many connections may be accepted.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Of clients.
    pub clients: usize,
    /// At the admin entrance, which has a room of its own: who looks how full
    /// it is must not find it full.
    pub visitors: usize,
}

impl Room {
    fn at(&mut self, entrance: &Entrance) -> &mut usize {
        match entrance.admin {
            true => &mut self.visitors,
            false => &mut self.clients,
        }
    }
}

/// How often accepting paused.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pauses {
    /// Since as many clients were there as may be.
    pub full: u64,
    /// Since the system had no descriptor or no memory left, or said another
    /// error.
    pub error: u64,
}

/// All listening sockets.
#[derive(Debug, Default)]
pub struct Listeners {
    sockets: Vec<Listening>,
    /// What to open those on that others have opened before.
    inherited: Inherited,
    paused_until: Option<Instant>,
    /// Whether accepting was found to pause for want of room.
    full: bool,
    /// How often accepting paused.
    pub pauses: Pauses,
}

impl Listeners {
    /// No listeners yet.
    pub fn new(inherited: Inherited) -> Self {
        Listeners {
            inherited,
            ..Listeners::default()
        }
    }

    /// Opens the listeners that are not open yet and closes those that are not
    /// wanted any more; those that stay may change how they speak TLS. Of the
    /// new ones all are opened, or nothing changes. They are still to be
    /// [announced](Self::announce).
    ///
    /// # Errors
    /// Which address cannot be listened on, and why.
    pub fn open(
        &mut self,
        prepared: &Prepared,
        registry: &Registry,
        confined: &Confined,
    ) -> Result<(), String> {
        let mut opened = Vec::new();
        for (entrance, manner) in prepared.entrances() {
            if !self.sockets.iter().any(|open| open.is_of(&entrance)) {
                let done = self.open_one(&entrance, manner, registry, confined, &mut opened);
                if done.is_err() {
                    opened.iter_mut().for_each(|open| open.leave(registry));
                    return done;
                }
            }
        }
        self.sockets.append(&mut opened);
        self.sockets.retain_mut(|open| {
            let mut wanted = prepared.entrances();
            let Some((entrance, manner)) = wanted.find(|(entrance, _)| open.is_of(entrance)) else {
                open.leave(registry);
                info!("no longer listening on {}", open.socket);
                return false;
            };
            open.follow(entrance, manner);
            true
        });
        Ok(())
    }

    fn open_one(
        &self,
        entrance: &Entrance,
        manner: Manner,
        registry: &Registry,
        confined: &Confined,
        opened: &mut Vec<Listening>,
    ) -> Result<(), String> {
        let address = &entrance.address;
        let cannot = |e: io::Error| {
            let excuse = match e.kind() {
                ErrorKind::AddrInUse if !manner.reuse_port && !entrance.admin => in_use(address),
                _ => confined.excuse(address, &e),
            };
            format!("cannot listen on {address}: {e}{excuse}")
        };
        for mut socket in Listener::open(address, manner, &self.inherited).map_err(cannot)? {
            let taken = |token| {
                self.sockets
                    .iter()
                    .chain(&*opened)
                    .any(|l| l.token == token)
            };
            let token = LISTENERS.map(Token).find(|&token| !taken(token));
            let token = token.ok_or(format!("cannot listen on {address}: too many listeners"))?;
            registry
                .register(&mut socket, token, Interest::READABLE)
                .map_err(cannot)?;
            opened.push(Listening {
                socket,
                entrance: entrance.clone(),
                manner,
                token,
                ready: false,
                announced: false,
            });
        }
        Ok(())
    }

    /// Says where clients can come now and could not before. Whoever reads that
    /// believes that the server runs, so nothing may fail any more.
    pub fn announce(&mut self) {
        for open in self.sockets.iter_mut().filter(|open| !open.announced) {
            open.announce();
            open.announced = true;
        }
    }

    /// Connections may wait at any listener, whatever the poll has said.
    pub fn look(&mut self) {
        for listener in &mut self.sockets {
            listener.ready = true;
        }
    }

    /// Leaves new connections to others where they listen on the same port;
    /// `false` if there is no such listener.
    pub fn ignore_new(&self) -> bool {
        let mut is_any = false;
        for open in self.sockets.iter().filter(|open| open.manner.reuse_port) {
            match open.socket.ignore_new() {
                Ok(()) => is_any = true,
                Err(e) => warn!("cannot leave new connections to others: {e}"),
            }
        }
        is_any
    }

    /// Closes all listeners but that of the admin pages, which tell of the end
    /// that has begun.
    pub fn close(&mut self, registry: &Registry) {
        self.sockets.retain_mut(|open| {
            if !open.entrance.admin {
                open.leave(registry);
            }
            open.entrance.admin
        });
        self.inherited = Inherited::default();
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
    pub fn is_ready(&self, mut room: Room) -> bool {
        let mut sockets = self.sockets.iter();
        self.paused_until.is_none()
            && sockets.any(|listener| listener.ready && *room.at(&listener.entrance) > 0)
    }

    /// When to try again though no tunnel has ended.
    pub fn resume_at(&self) -> Option<Instant> {
        self.paused_until
    }

    /// A tunnel has ended or the pause is over: there may be room again.
    pub fn resume(&mut self) {
        self.paused_until = None;
    }

    /// Stops to accept for a moment.
    fn pause(&mut self, now: Instant) {
        self.paused_until = Some(now + PAUSE);
        self.pauses.error += 1;
    }

    /// Accepts as many connections as there is room for, a turn of each
    /// listener's.
    pub fn accept(
        &mut self,
        mut room: Room,
        now: Instant,
        mut each: impl FnMut(Stream, Peer, &Entrance),
    ) {
        if self.paused_until.is_some() {
            return;
        }
        // A client's place that came free ends the pause, a visitor's does not.
        self.full &= room.clients == 0;
        for listener in &mut self.sockets {
            let mut turn = TURN;
            let room = room.at(&listener.entrance);
            while listener.ready && turn > 0 && *room > 0 {
                match listener.socket.accept() {
                    Ok((stream, peer)) => {
                        each(stream, peer, &listener.entrance);
                        turn -= 1;
                        *room -= 1;
                    }
                    Err(e) if e.kind() == ErrorKind::WouldBlock => listener.ready = false,
                    Err(e) if is_exhaustion(&e) => {
                        warn!("accepting pauses: {e}");
                        return self.pause(now);
                    }
                    // The client gave up while it waited, or the like (accept(2)).
                    Err(e) if is_clients(&e) => turn -= 1,
                    Err(e) => {
                        error!("cannot accept on {}: {e}", listener.socket);
                        return self.pause(now);
                    }
                }
            }
        }
        let waits = |listener: &Listening| listener.ready && !listener.entrance.admin;
        if room.clients == 0 && !self.full && self.sockets.iter().any(waits) {
            self.full = true;
            self.pauses.full += 1;
        }
    }
}

/// What can be done about an address that another process has.
fn in_use(address: &Listen) -> String {
    match address {
        Listen::Tcp { .. } => "; reuse-port lets several adits of one user share it".to_owned(),
        _ => String::new(),
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
