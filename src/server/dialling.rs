//! A tunnel gets its backend: what the loop does for its dial, and when.
//!
//! First comes what has to be known, from a worker if that would block the loop;
//! then the dial goes on whenever its tunnel has a turn.

use super::Server;
use super::backends::literal;
use super::dial::{Dial, Progress};
use super::dial_context::{Caller, DialContext};
use super::fault::{Fault, contain};
use super::tokens::token_of;
use super::workers::{Job, Ticket};
use crate::address::Backend;
use crate::tunnel::{Refusal, Scratch, Side};

impl Server {
    /// Starts to dial a backend of this route, once the client's password
    /// is found right.
    pub(super) fn dial(&mut self, key: usize, route: usize) {
        let Some(slot) = self.table.get(key) else {
            return;
        };
        let (label, chosen) = (slot.tunnel.label(), slot.tunnel.backend());
        let ticket = (key, label.id);
        let (rules, targets) = (&self.settings.routes[route], &self.targets[route]);
        let caller = Caller {
            label,
            token: token_of(key, Side::Upstream),
            place: self.tally.place(route),
        };
        let mut dial = Dial::new(rules, &targets.backends, chosen, &self.backends, caller);
        if let Some(target) = &targets.remote {
            dial.dial_remote(target, self.settings.handshake_timeout);
        }
        let password = slot.tunnel.take_password();
        let cancel = dial.cancel_token();
        slot.dial = Some(Box::new(dial));
        let rate = rules.new_connections_per_second;
        let entered = self.guard.enter(route, rate, self.now);
        if entered.is_err() {
            return self.unless_refused(key, entered);
        }
        match password {
            Some(what) => {
                let job = Job {
                    ticket,
                    cancel,
                    what,
                };
                let asked = self.workers.passwords.ask(job);
                self.unless_refused(key, asked);
            }
            None => self.find_backend(key),
        }
    }

    /// Begins a connection, once the backend's addresses are there.
    fn find_backend(&mut self, key: usize) {
        let Some(slot) = self.table.get(key) else {
            return;
        };
        slot.tunnel.password_was_right();
        if let Some(mut dial) = slot.dial.take() {
            dial.begin();
            self.advance(key, dial);
        }
    }

    /// Looks how far the dialling of a backend is, and what it needs.
    pub(super) fn advance(&mut self, key: usize, mut dial: Box<Dial>) {
        loop {
            let progress = self.with_dial_context(|cx| dial.advance(cx));
            let progress = progress.unwrap_or_else(|fault| {
                self.scratch = Scratch::default();
                dial.note_failure(Refusal::BackendUnreachable, fault.to_string(), false);
                Progress::Failed(Refusal::BackendUnreachable)
            });
            match progress {
                Progress::Waiting => return self.keep(key, dial),
                Progress::Lookup => {
                    let Some(name) = dial.unresolved().cloned() else {
                        return self.keep(key, dial);
                    };
                    let Some(addresses) = literal(&name) else {
                        return self.look_up(key, dial, name);
                    };
                    dial.resolved(&name, Ok(addresses), &mut self.backends);
                }
                Progress::Connected(backend, connected) => {
                    let name = dial.name(backend, &self.backends);
                    self.with_context(key, |slot, cx| {
                        slot.backend = Some(backend);
                        slot.tunnel.connected(*connected, &name, cx);
                    });
                    return;
                }
                Progress::Failed(refusal) => {
                    let why = dial.why().map(str::to_owned);
                    dial.abandon(&mut self.backends);
                    self.with_context(key, |slot, cx| {
                        slot.tunnel.unreachable(&refusal, why.as_deref(), cx);
                    });
                    return;
                }
            }
        }
    }

    fn look_up(&mut self, key: usize, mut dial: Box<Dial>, name: Backend) {
        let Some(slot) = self.table.get(key) else {
            return;
        };
        let ticket = (key, slot.tunnel.label().id);
        dial.resolving(self.now);
        let (cancel, what) = (dial.cancel_token(), name);
        slot.dial = Some(dial);
        let asked = self.workers.names.ask(Job {
            ticket,
            cancel,
            what,
        });
        self.unless_refused(key, asked);
    }

    fn keep(&mut self, key: usize, dial: Box<Dial>) {
        if let Some(slot) = self.table.get(key) {
            slot.dial = Some(dial);
        }
    }

    /// Lends a dial what it needs, unless it is at fault.
    fn with_dial_context<R>(
        &mut self,
        work: impl FnOnce(&mut DialContext<'_>) -> R,
    ) -> Result<R, Fault> {
        let mut cx = DialContext {
            backends: &mut self.backends,
            registry: self.poll.registry(),
            scratch: &mut self.scratch,
            now: self.now,
        };
        contain(|| work(&mut cx))
    }

    /// Ends the dial of a tunnel that wants no backend any more.
    pub(super) fn forget_dial(&mut self, key: usize) {
        let slot = self.table.get(key);
        if slot.is_some_and(|slot| !slot.tunnel.is_opening()) {
            self.abandon_dial(key);
        }
    }

    /// Ends the dial of a tunnel's backend, if it has not ended.
    pub(super) fn abandon_dial(&mut self, key: usize) {
        if let Some(dial) = self.table.take_dial(key) {
            dial.abandon(&mut self.backends);
        }
    }

    fn unless_refused(&mut self, key: usize, asked: Result<(), Refusal>) {
        if let Err(refusal) = asked {
            self.abandon_dial(key);
            self.with_context(key, |slot, cx| slot.tunnel.refuse(&refusal, cx));
        }
    }

    /// Goes on with the tunnels whose jobs are done.
    pub(super) fn workers_answered(&mut self) {
        while let Ok((ticket, verdict)) = self.workers.passwords.answers.try_recv() {
            if let Some(key) = self.waiting(ticket) {
                match verdict {
                    Ok(()) => self.find_backend(key),
                    wrong => self.unless_refused(key, wrong),
                }
                self.table.enqueue(key);
            }
        }
        while let Ok((ticket, (name, found))) = self.workers.names.answers.try_recv() {
            if let Some(key) = self.waiting(ticket) {
                if let Some(mut dial) = self.table.take_dial(key) {
                    dial.resolved(&name, found, &mut self.backends);
                    self.advance(key, dial);
                }
                self.table.enqueue(key);
            }
        }
    }

    /// The key of a tunnel that still waits for its answer.
    fn waiting(&mut self, (key, id): Ticket) -> Option<usize> {
        let slot = self.table.get(key)?;
        (slot.tunnel.label().id == id && slot.dial.is_some()).then_some(key)
    }
}
