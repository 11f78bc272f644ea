//! The loop, no protocol: one thread, one poll, and a turn for everyone.
//!
//! A turn waits for events, notes them at the tunnels they are for, and puts
//! those into the run queue. Then each tunnel in the queue does a bounded
//! amount of work and says what it needs next. Timers that expired come after
//! that, and what is over is removed at the very end: nothing is freed while
//! events that may mean it are still at hand.

mod accept;
#[cfg_attr(not(feature = "admin"), path = "no_admin.rs")]
mod admin;
#[cfg(any(feature = "activation", feature = "connect"))]
mod adopted;
mod backends;
mod confine;
#[cfg_attr(not(feature = "admin"), path = "no_connects.rs")]
pub mod connects;
mod control;
mod dial;
mod dial_context;
mod dialling;
mod drain;
mod fault;
pub mod guard;
mod limits;
mod listening;
#[cfg(feature = "admin")]
pub mod metrics;
#[cfg_attr(not(feature = "activation"), path = "no_notify.rs")]
mod notify;
mod pid_file;
mod prepared;
#[cfg(feature = "admin")]
mod process;
mod race;
mod redial;
mod reload;
mod sandbox;
pub mod settings;
mod table;
mod timers;
mod tokens;
mod workers;

pub use control::Loader;
pub use prepared::Tls;
pub use settings::{ListenerSettings, Settings};

use crate::logging::{self, Step};
use crate::net::Inherited;
use crate::tunnel::auth::Vault;
use crate::tunnel::{Context, LogLimit, Need, Readiness, Rules, Scratch, Tally};
use backends::{Backends, resolve_all};
use confine::{Confined, Plan};
use control::{Command, Control};
use drain::Stopping;
use fault::contain;
use guard::{Door, Guard};
use listening::Listeners;
use log::{error, warn};
use mio::event::Event;
use mio::{Events, Poll, Token};
use notify::Notifier;
use pid_file::PidFile;
use prepared::{Prepared, Targets, Watch};
use reload::warn_of;
use sandbox::Allowed;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use table::{Slot, Table};
use tokens::{LISTENERS, SIGNALS, WAKER, tunnel_of};
use workers::Workers;

/// Turns of those who are not let in yet, until it is that of the open tunnels
/// again: a handshake of TLS costs as much as hundreds of messages.
const ARRIVALS: usize = 16;

/// How the server came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// All tunnels have ended after it was told to stop.
    Drained,
    /// It was told to stop a second time.
    Forced,
    /// No client was there for `exit-idle`.
    Idle,
    /// The one connection that it was for is over; whether a tunnel came of it
    /// and nobody misbehaved.
    Served(bool),
    /// The one stream that it was for did not come to a good end, and why.
    Failed(String),
}

/// The server: everything that the loop owns.
pub struct Server {
    poll: Poll,
    control: Control,
    notifier: Notifier,
    settings: Settings,
    most: usize,
    confined: Confined,
    listeners: Listeners,
    backends: Backends,
    guard: Guard,
    workers: Workers,
    vault: Vault,
    /// For each route where it leads.
    targets: Vec<Targets>,
    watch: Watch,
    table: Table,
    scratch: Scratch,
    /// How many lines about refusals the log takes.
    log_limit: LogLimit,
    tally: Tally,
    accepted: u64,
    _pid_file: Option<PidFile>,
    /// Nanoseconds since 1970 at the start: no other run has the same.
    run: u64,
    /// Once it was told to stop.
    stopping: Option<Stopping>,
    /// Since when no client is there.
    idle_since: Option<Instant>,
    /// Where there is but one connection, how that ended.
    only: Option<End>,
    now: Instant,
    /// The same moment in Unix seconds.
    unix_time: u64,
}

impl Server {
    /// Takes over and opens the listeners, reads the files of tokens and looks
    /// up the backends, then gives up what the process does not need any more:
    /// descriptors and threads are to be opened and started after this.
    /// `loader` is asked for new settings at each SIGHUP.
    ///
    /// # Errors
    /// What cannot be opened, found or given up, ready to be shown.
    pub fn new(settings: Settings, loader: Loader) -> Result<Self, String> {
        let addresses: Vec<_> = settings.listeners.iter().map(|l| &l.address).collect();
        let inherited = Inherited::take(&addresses)?;
        let prepared = Prepared::new(settings, &Vault::default(), resolve_all)?;
        // The new root may not have its socket.
        let notifier = Notifier::from_environment(Instant::now());
        let mut server = Self::start(prepared, Some(loader), Some(inherited))?;
        server.notifier = notifier;
        Ok(server)
    }

    /// With listeners if there is something to open them with.
    fn start(
        prepared: Prepared,
        loader: Option<Loader>,
        inherited: Option<Inherited>,
    ) -> Result<Self, String> {
        warn_of(&prepared.warnings);
        let system = |e: io::Error| format!("cannot start: {e}");
        let plan = Plan::new(&prepared.settings.confinement)?;
        let poll = Poll::new().map_err(system)?;
        let control = Control::new(poll.registry(), loader).map_err(system)?;
        let mut listeners = Listeners::default();
        let mut allowed: fn(&Settings) -> Allowed = Allowed::to_serve_one;
        if let Some(inherited) = inherited {
            allowed = Allowed::to_reload;
            listeners = Listeners::new(inherited);
            listeners.open(&prepared, poll.registry(), &Confined::default())?;
        }
        let mut backends = Backends::default();
        backends.learn(prepared.addresses);
        let settings = prepared.settings;
        let mut tally = Tally::default();
        tally.learn(&settings.routes);
        // Only now is there somebody to signal, and soon no right to write.
        let pid_file = settings
            .pid_file
            .as_deref()
            .map(PidFile::take)
            .transpose()?;
        let confined = plan.carry_out(&settings, allowed)?;
        listeners.announce();
        let now = Instant::now();
        Ok(Server {
            poll,
            workers: Workers::new(&control.waker()),
            vault: prepared.vault,
            targets: prepared.targets,
            watch: prepared.watch,
            control,
            notifier: Notifier::default(),
            guard: Guard::new(settings.limits),
            most: limits::most_connections(settings.max_connections),
            settings,
            confined,
            listeners,
            backends,
            table: Table::default(),
            scratch: Scratch::default(),
            log_limit: LogLimit::default(),
            tally,
            accepted: 0,
            _pid_file: pid_file,
            run: nanoseconds(SystemTime::now()),
            stopping: None,
            idle_since: Some(now),
            only: None,
            now,
            unix_time: unix_time(),
        })
    }

    /// The addresses that are listened on.
    pub fn addresses(&self) -> Vec<String> {
        self.listeners.addresses()
    }

    /// Serves until it is told to stop.
    ///
    /// # Errors
    /// That the poll failed, which it does not.
    pub fn run(mut self) -> io::Result<End> {
        let mut events = Events::with_capacity(1024);
        self.notifier.ready(&self.addresses());
        loop {
            match self.poll.poll(&mut events, self.patience()) {
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            self.now = Instant::now();
            self.unix_time = unix_time();
            for event in &events {
                if self.dispatch(event) {
                    return Ok(End::Forced);
                }
            }
            self.accept();
            self.run_queue();
            self.expire();
            self.reap();
            if let Some(end) = self.end() {
                return Ok(end);
            }
        }
    }

    /// How long the poll may sleep; `None`: until an event.
    fn patience(&self) -> Option<Duration> {
        if self.table.has_work() || self.listeners.is_ready(self.room()) {
            return Some(Duration::ZERO);
        }
        let moments = [
            self.table.next_timer(),
            self.listeners.resume_at(),
            self.log_limit.due(),
            self.backends.log_limit.due(),
            self.watch.next(),
            self.notifier.due(),
            self.idle_until(),
            self.stopping.as_ref().and_then(Stopping::next),
        ];
        let next = moments.into_iter().flatten().min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// Notes what an event says; `true` if it says to stop at once.
    fn dispatch(&mut self, event: &Event) -> bool {
        match event.token() {
            SIGNALS => {
                for command in self.control.commands() {
                    match command {
                        Command::Stop if self.stopping.is_some() => return true,
                        Command::Stop => self.stop(),
                        Command::Reload => self.reload(),
                        Command::Louder => logging::step(Step::Louder),
                        Command::Quieter => logging::step(Step::Quieter),
                    }
                }
            }
            WAKER => {
                if let Some((loaded, again)) = self.control.loaded() {
                    self.reloaded(loaded);
                    if again {
                        self.reload();
                    }
                }
                self.workers_answered();
            }
            Token(token) if token < LISTENERS.end => self.listeners.ready(Token(token)),
            Token(token) => {
                let (key, side) = tunnel_of(token);
                let seen = Readiness {
                    readable: event.is_readable() || event.is_error(),
                    writable: event.is_writable() || event.is_error(),
                    read_closed: event.is_read_closed() || event.is_error(),
                    broken: event.is_error(),
                    urgent: event.is_priority(),
                };
                if let Some(slot) = self.table.get(key) {
                    slot.ready(side, seen);
                    self.table.enqueue(key);
                }
            }
        }
        false
    }

    /// Gives each open tunnel that is in the queue now a turn, and some of those
    /// who have arrived.
    fn run_queue(&mut self) {
        for _ in 0..self.table.queued() {
            if let Some(key) = self.table.dequeue() {
                self.turn(key);
            }
        }
        for _ in 0..ARRIVALS {
            let Some(key) = self.table.dequeue_arrival() else {
                return;
            };
            self.turn(key);
        }
    }

    fn expire(&mut self) {
        while let Some(key) = self.table.expired(self.now) {
            self.with_context(key, |slot, cx| slot.tunnel.expire(cx));
            self.forget_dial(key);
            self.turn(key);
        }
        if let Some(lines) = self.log_limit.left_out(self.now) {
            warn!("{lines} more refusals within a second are not in the log");
        }
        if let Some(lines) = self.backends.log_limit.left_out(self.now) {
            warn!("{lines} more failures of backends within a second are not in the log");
        }
        if self.listeners.resume_at().is_some_and(|at| self.now >= at) {
            self.listeners.resume();
        }
        if self.watch.is_due(self.now) {
            self.renew();
        }
        self.notifier.beat(self.now);
        self.drain();
    }

    fn reap(&mut self) {
        for slot in self.table.reap() {
            if let Some(end) = &mut self.only {
                *end = match slot.tunnel.failure() {
                    Some(why) => End::Failed(why.to_owned()),
                    None => End::Served(slot.tunnel.ended_well()),
                };
            }
            if let Some(dial) = slot.dial {
                dial.abandon(&mut self.backends);
            }
            if let Some(backend) = slot.backend {
                self.backends.release(backend);
            }
            self.guard.leave(slot.pass);
            self.listeners.resume();
        }
    }

    /// A tunnel does what it can and gets what it needs.
    fn turn(&mut self, key: usize) {
        if let Some(dial) = self.table.take_dial(key) {
            self.advance(key, dial);
        }
        if self
            .table
            .get(key)
            .is_some_and(|slot| slot.tunnel.is_opening())
        {
            self.vault.refresh(self.now);
        }
        let mut need = self.with_context(key, |slot, cx| slot.tunnel.pump(cx));
        let is_met = match need {
            Some(Need::Backend(route)) => {
                self.dial(key, route);
                true
            }
            Some(Need::Page(visit)) => {
                self.show(key, visit);
                true
            }
            _ => false,
        };
        if is_met {
            need = self.with_context(key, |slot, cx| slot.tunnel.pump(cx));
        }
        match need {
            Some(Need::Turn) => self.table.enqueue(key),
            Some(Need::Nothing) => self.table.bury(key),
            _ => {}
        }
        self.table.file(key);
    }

    /// Lends a tunnel what belongs to the whole loop. A fault ends it; the
    /// buffers, whose content it may have left half done, are made anew.
    fn with_context<R>(
        &mut self,
        key: usize,
        work: impl FnOnce(&mut Slot, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let slot = self.table.get(key)?;
        let rules = Rules {
            routes: &self.settings.routes,
            pages: &self.settings.pages,
            trusted: &self.settings.trusted,
            run: self.run,
            vault: &self.vault,
            unix_time: self.unix_time,
        };
        let mut door = Door::new(&mut self.guard, self.now);
        let mut cx = Context {
            scratch: &mut self.scratch,
            now: self.now,
            rules,
            gate: &mut door,
            log_limit: &mut self.log_limit,
            tally: &mut self.tally,
        };
        let done = contain(|| work(slot, &mut cx));
        if let Some(client) = door.admitted() {
            slot.pass.admitted_as(client);
        }
        if let Err(fault) = done {
            error!("{} dropped: {fault}", slot.tunnel.label());
            self.scratch = Scratch::default();
            self.table.bury(key);
        }
        done.ok()
    }
}

/// The time since 1970; it fits until the year 2554.
fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// Now, in Unix seconds.
pub(crate) fn unix_time() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}
