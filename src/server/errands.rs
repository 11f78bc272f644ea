//! What a tunnel waits for that would block the loop: a password to be
//! checked, a name to be looked up.
//!
//! Each kind has one thread, started for its first errand, and a short queue.
//! A thread that hangs, over a resolver that says nothing, holds up those that
//! wait for the same and no open tunnel; whoever comes when its queue is full
//! is told so at once. What nobody wants any more when its turn comes, since the
//! client has left, is not done.

use super::Server;
use super::backends::literal;
use super::dial::{Dial, Progress};
use super::fault::{Fault, contain};
use super::ground::{Ground, Wanted};
use super::tokens::token_of;
use crate::address::Backend;
use crate::net::{Address, resolve};
use crate::tunnel::auth::PasswordCheck;
use crate::tunnel::{Refusal, Scratch, Side};
use log::error;
use mio::Waker;
use std::io;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Weak};

/// Most errands of a kind that wait.
const QUEUE: usize = 64;

/// Whom an answer is for: the tunnel's key, and its number, since keys are used
/// again.
type Ticket = (usize, u64);

/// What is to be done, and for whom, as long as it is wanted.
struct Job<J> {
    ticket: Ticket,
    wish: Weak<()>,
    what: J,
}

/// A thread that does errands of one kind.
struct Worker<J, R> {
    name: &'static str,
    work: fn(J) -> R,
    waker: Arc<Waker>,
    jobs: Option<SyncSender<Job<J>>>,
    sender: Sender<(Ticket, R)>,
    answers: Receiver<(Ticket, R)>,
}

impl<J: Send + 'static, R: Send + 'static> Worker<J, R> {
    fn new(name: &'static str, work: fn(J) -> R, waker: Arc<Waker>) -> Self {
        let (sender, answers) = channel();
        Worker {
            name,
            work,
            waker,
            jobs: None,
            sender,
            answers,
        }
    }

    /// Hands over a job, if there is room for one.
    fn ask(&mut self, job: Job<J>) -> Result<(), Refusal> {
        let jobs = match self.jobs.take() {
            Some(jobs) => jobs,
            None => self.open().map_err(|e| {
                error!("cannot start the thread {}: {e}", self.name);
                Refusal::Busy
            })?,
        };
        let asked = jobs.try_send(job).map_err(|_| Refusal::Busy);
        self.jobs = Some(jobs);
        asked
    }

    fn open(&self) -> io::Result<SyncSender<Job<J>>> {
        let (jobs, queue) = sync_channel::<Job<J>>(QUEUE);
        let (work, sender, waker) = (self.work, self.sender.clone(), self.waker.clone());
        let run = move || {
            // Until the server is gone.
            for Job { ticket, wish, what } in queue {
                if wish.strong_count() == 0 {
                    continue;
                }
                // Who gets no answer for a fault has a deadline.
                let Ok(answer) = contain(|| work(what)) else {
                    continue;
                };
                if sender.send((ticket, answer)).is_err() || waker.wake().is_err() {
                    return;
                }
            }
        };
        start(self.name, Box::new(run)).map(|()| jobs)
    }
}

/// Starts a thread. What it does is boxed, since the code that starts it would
/// be made anew for each kind of closure.
pub(super) fn start(name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(work).map(drop)
}

/// All threads that do errands.
pub struct Errands {
    passwords: Worker<Box<PasswordCheck>, Result<(), Refusal>>,
    names: Worker<Backend, (Backend, io::Result<Vec<Address>>)>,
}

impl Errands {
    /// No thread yet; each will wake the loop when it has an answer.
    pub fn new(waker: &Arc<Waker>) -> Self {
        Errands {
            passwords: Worker::new("passwords", |check| check.run(), waker.clone()),
            names: Worker::new("names", look_up, waker.clone()),
        }
    }
}

fn look_up(name: Backend) -> (Backend, io::Result<Vec<Address>>) {
    let found = resolve(&name);
    (name, found)
}

impl Server {
    /// Starts to look for a backend of this route, once the client's password
    /// is found right.
    pub(super) fn dial(&mut self, key: usize, route: usize) {
        let Some(slot) = self.table.get(key) else {
            return;
        };
        let (label, chosen) = (slot.tunnel.label(), slot.tunnel.backend());
        let ticket = (key, label.id);
        let (rules, ways) = (&self.settings.routes[route], &self.ways[route]);
        let wanted = Wanted {
            label,
            token: token_of(key, Side::Backend),
            place: self.tally.place(route),
        };
        let mut dial = Dial::new(rules, &ways.backends, chosen, &self.backends, wanted);
        if let Some(quest) = &ways.quest {
            dial.seek(quest, self.settings.handshake_timeout);
        }
        let password = slot.tunnel.take_password();
        let wish = dial.wish();
        slot.dial = Some(Box::new(dial));
        let rate = rules.new_connections_per_second;
        let entered = self.guard.enter(route, rate, self.now);
        if entered.is_err() {
            return self.unless_refused(key, entered);
        }
        match password {
            Some(what) => {
                let job = Job { ticket, wish, what };
                let asked = self.errands.passwords.ask(job);
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
            let progress = self.with_ground(|ground| dial.look(ground));
            let progress = progress.unwrap_or_else(|fault| {
                self.scratch = Scratch::default();
                dial.give_reason(Refusal::BackendUnreachable, fault.to_string(), false);
                Progress::Failed(Refusal::BackendUnreachable)
            });
            match progress {
                Progress::Waiting => return self.keep(key, dial),
                Progress::Lookup => {
                    let Some(name) = dial.stranger().cloned() else {
                        return self.keep(key, dial);
                    };
                    let Some(addresses) = literal(&name) else {
                        return self.look_up(key, dial, name);
                    };
                    dial.meet(&name, Ok(addresses), &mut self.backends);
                }
                Progress::Arrived(backend, arrival) => {
                    let name = dial.name(backend, &self.backends);
                    self.with_context(key, |slot, cx| {
                        slot.backend = Some(backend);
                        slot.tunnel.connected(*arrival, &name, cx);
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
        dial.waits_for_addresses(self.now);
        let (wish, what) = (dial.wish(), name);
        slot.dial = Some(dial);
        let asked = self.errands.names.ask(Job { ticket, wish, what });
        self.unless_refused(key, asked);
    }

    fn keep(&mut self, key: usize, dial: Box<Dial>) {
        if let Some(slot) = self.table.get(key) {
            slot.dial = Some(dial);
        }
    }

    /// Lends a dial what it needs, unless it is at fault.
    fn with_ground<R>(&mut self, work: impl FnOnce(&mut Ground<'_>) -> R) -> Result<R, Fault> {
        let mut ground = Ground {
            backends: &mut self.backends,
            registry: self.poll.registry(),
            scratch: &mut self.scratch,
            now: self.now,
        };
        contain(|| work(&mut ground))
    }

    /// Ends the search for a backend that a tunnel has given up.
    pub(super) fn forget_dial(&mut self, key: usize) {
        let given_up = self.table.get(key).filter(|slot| !slot.tunnel.is_opening());
        if let Some(dial) = given_up.and_then(|slot| slot.dial.take()) {
            dial.abandon(&mut self.backends);
        }
    }

    fn unless_refused(&mut self, key: usize, asked: Result<(), Refusal>) {
        if let Err(refusal) = asked {
            if let Some(dial) = self.table.get(key).and_then(|slot| slot.dial.take()) {
                dial.abandon(&mut self.backends);
            }
            self.with_context(key, |slot, cx| slot.tunnel.refuse(&refusal, cx));
        }
    }

    /// Goes on with the tunnels whose errands are done.
    pub(super) fn errands_done(&mut self) {
        while let Ok((ticket, verdict)) = self.errands.passwords.answers.try_recv() {
            if let Some(key) = self.waiting(ticket) {
                match verdict {
                    Ok(()) => self.find_backend(key),
                    wrong => self.unless_refused(key, wrong),
                }
                self.table.enqueue(key);
            }
        }
        while let Ok((ticket, (name, found))) = self.errands.names.answers.try_recv() {
            if let Some(key) = self.waiting(ticket) {
                if let Some(mut dial) = self.table.get(key).and_then(|slot| slot.dial.take()) {
                    dial.meet(&name, found, &mut self.backends);
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

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Poll, Token};

    #[test]
    fn what_nobody_wants_any_more_is_not_done() {
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
        // Each is done when its sender is gone.
        let mut worker = Worker::new("test", |until: Receiver<()>| until.recv().is_err(), waker);
        let (go, first) = channel();
        let (_never, second) = channel();
        let (_, third) = channel();
        let wishes: [Arc<()>; 3] = Default::default();
        for (number, what) in (0..).zip([first, second, third]) {
            let wish = Arc::downgrade(&wishes[number]);
            let ticket = (number, 0);
            worker.ask(Job { ticket, wish, what }).unwrap();
        }
        let [_first, second, _third] = wishes;
        drop(second);
        drop::<Sender<()>>(go);
        for number in [0, 2] {
            assert_eq!(worker.answers.recv(), Ok(((number, 0), true)));
        }
    }
}
