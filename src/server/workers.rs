//! Threads for what a tunnel waits for that would block the loop: a password to
//! be checked, a name to be looked up.
//!
//! Each kind has one thread, started for its first job, and a short queue.
//! A thread that hangs, over a resolver that says nothing, holds up those that
//! wait for the same and no open tunnel; whoever comes when its queue is full
//! is told so at once. What is cancelled before its turn comes, since the client
//! has left, is not done.

use super::fault::contain;
use crate::address::Backend;
use crate::net::{Address, resolve};
use crate::tunnel::Refusal;
use crate::tunnel::auth::PasswordCheck;
use log::error;
use mio::Waker;
use std::io;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Weak};

/// Most jobs of a kind that wait.
const QUEUE: usize = 64;

/// Whom an answer is for: the tunnel's key, and its number, since keys are used
/// again.
pub type Ticket = (usize, u64);

/// Cancels jobs when it is dropped.
#[derive(Debug, Default)]
pub struct CancelGuard(Arc<()>);

impl CancelGuard {
    /// Goes with a job.
    pub fn token(&self) -> CancelToken {
        CancelToken(Arc::downgrade(&self.0))
    }
}

/// Knows whether a job was cancelled.
#[derive(Debug)]
pub struct CancelToken(Weak<()>);

impl CancelToken {
    fn is_cancelled(&self) -> bool {
        self.0.strong_count() == 0
    }
}

/// What is to be done, and for whom, unless it is cancelled before it begins.
pub struct Job<J> {
    /// Whom it is for.
    pub ticket: Ticket,
    /// Whether it was cancelled.
    pub cancel: CancelToken,
    /// What is to be done.
    pub what: J,
}

/// A thread for jobs of one kind.
pub struct Worker<J, R> {
    name: &'static str,
    work: fn(J) -> R,
    waker: Arc<Waker>,
    jobs: Option<SyncSender<Job<J>>>,
    sender: Sender<(Ticket, R)>,
    /// What came of its jobs.
    pub answers: Receiver<(Ticket, R)>,
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

    /// Hands over a job.
    ///
    /// # Errors
    /// There is no room for one, or no thread.
    pub fn ask(&mut self, job: Job<J>) -> Result<(), Refusal> {
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
            for Job {
                ticket,
                cancel,
                what,
            } in queue
            {
                if cancel.is_cancelled() {
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
pub fn start(name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(work).map(drop)
}

/// All these threads.
pub struct Workers {
    /// Checks passwords.
    pub passwords: Worker<Box<PasswordCheck>, Result<(), Refusal>>,
    /// Looks up names.
    pub names: Worker<Backend, (Backend, io::Result<Vec<Address>>)>,
}

impl Workers {
    /// No thread yet; each will wake the loop when it has an answer.
    pub fn new(waker: &Arc<Waker>) -> Self {
        Workers {
            passwords: Worker::new("passwords", |check| check.run(), waker.clone()),
            names: Worker::new("names", look_up, waker.clone()),
        }
    }
}

fn look_up(name: Backend) -> (Backend, io::Result<Vec<Address>>) {
    let found = resolve(&name);
    (name, found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Poll, Token};

    #[test]
    fn what_was_cancelled_is_not_done() {
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
        // Each is done when its sender is gone.
        let mut worker = Worker::new("test", |until: Receiver<()>| until.recv().is_err(), waker);
        let (go, first) = channel();
        let (_never, second) = channel();
        let (_, third) = channel();
        let guards: [CancelGuard; 3] = Default::default();
        for (number, what) in (0..).zip([first, second, third]) {
            let cancel = guards[number].token();
            let ticket = (number, 0);
            let job = Job {
                ticket,
                cancel,
                what,
            };
            worker.ask(job).unwrap();
        }
        let [_first, second, _third] = guards;
        drop(second);
        drop::<Sender<()>>(go);
        for number in [0, 2] {
            assert_eq!(worker.answers.recv(), Ok(((number, 0), true)));
        }
    }
}
