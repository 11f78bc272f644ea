//! From a connection that was begun to one that carries messages: what has to
//! be said to whoever stands between, and to the other side itself.
//!
//! That is data: a list of [`Step`]s. To a plain backend it is empty; to a
//! WebSocket server it may be a proxy's TLS, a request to the proxy, the
//! server's TLS and its opening handshake. Each step is done when the side that
//! was spoken to has nothing more to say, so nothing may come behind it before
//! the next step began, but for the last one.

use super::dialogue::{Dialogue, Request};
use super::link::{Link, Read, Readiness};
use super::relay::Scratch;
use crate::net::Transport;
use crate::net::tls::Connector;
use crate::wire::ws::client_handshake::Agreed;
use crate::wire::{Next, Refusal, Unwelcome};
use std::fmt;
use std::io::{self, ErrorKind};
use std::vec;

/// Something to be done before a connection carries messages.
#[derive(Clone, Debug)]
pub enum Step {
    /// TLS.
    Tls(Connector),
    /// What a proxy or a WebSocket server is asked.
    Ask(Request),
}

/// What is being done.
#[derive(Debug)]
enum Stage {
    /// The connection, or TLS over it, is being made.
    Transport,
    /// Something was said and is being answered.
    Talking(Dialogue),
    /// All is done.
    Done,
}

/// Why a connection is not made.
#[derive(Debug)]
pub enum Failure {
    /// The connection failed, or TLS over it.
    Broken(io::Error),
    /// The proxy or the server said no; says who.
    Unwelcome(&'static str, Unwelcome),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Broken(e) => e.fmt(f),
            Failure::Unwelcome(who, why) => write!(f, "{who} {why}"),
        }
    }
}

impl Failure {
    /// Where the other side says that it is instead.
    pub fn location(&self) -> Option<&str> {
        match self {
            Failure::Unwelcome(_, Unwelcome::Moved { location, .. }) => Some(location),
            _ => None,
        }
    }

    /// Whether the same could come to something later.
    pub fn is_transient(&self) -> bool {
        match self {
            // That is TLS refusing what it is shown.
            Failure::Broken(e) => e.kind() != ErrorKind::InvalidData,
            Failure::Unwelcome(_, why) => matches!(why, Unwelcome::NotNow(_)),
        }
    }

    /// What a client is told that waited for it.
    pub fn refusal(&self) -> Refusal {
        match self {
            Failure::Broken(e) if e.kind() == ErrorKind::TimedOut => Refusal::BackendTimeout,
            // A Unix socket whose backlog is full.
            Failure::Broken(e) if e.kind() == ErrorKind::WouldBlock => Refusal::BackendsFull,
            _ => Refusal::BackendUnreachable,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(e: io::Error) -> Self {
        Failure::Broken(e)
    }
}

/// A connection that is ready for messages.
#[derive(Debug)]
pub struct Connected<T> {
    /// The connection.
    pub link: Link<T>,
    /// What a WebSocket's handshake has agreed on.
    pub agreed: Agreed,
    /// What came behind it.
    pub early: Vec<u8>,
}

/// A connection that is being made.
#[derive(Debug)]
pub struct Connecting<T> {
    link: Link<T>,
    steps: vec::IntoIter<Step>,
    stage: Stage,
    /// Whether the connection itself is there.
    is_connected: bool,
    received: Vec<u8>,
    agreed: Agreed,
}

impl<T: Transport> Connecting<T> {
    /// Begins with a connection that was begun, and takes these steps.
    pub fn new(transport: T, steps: Vec<Step>) -> Self {
        Connecting {
            link: Link::new(transport),
            steps: steps.into_iter(),
            stage: Stage::Transport,
            is_connected: false,
            received: Vec::new(),
            agreed: Agreed::default(),
        }
    }

    /// The connection.
    pub fn transport(&mut self) -> &mut T {
        self.link.transport()
    }

    /// Adds what an event said.
    pub fn ready(&mut self, seen: Readiness) {
        self.link.ready(seen);
    }

    /// Whether the connection itself is there, whatever is still to be said.
    pub fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// Goes on as far as it can; says whether all is done.
    ///
    /// # Errors
    /// Why it will never be.
    pub fn advance(&mut self, scratch: &mut Scratch) -> Result<bool, Failure> {
        loop {
            match &mut self.stage {
                Stage::Transport => {
                    if !self.link.transport().connected(&mut scratch.made.lent)? {
                        return Ok(false);
                    }
                    if self.link.secured().is_some() {
                        // TLS may have read more than its handshake.
                        self.link.ready(Readiness {
                            readable: true,
                            ..Readiness::default()
                        });
                    }
                    self.is_connected = true;
                    self.begin()?;
                }
                Stage::Talking(_) => {
                    if !self.talk(scratch)? {
                        return Ok(false);
                    }
                    self.begin()?;
                }
                Stage::Done => return Ok(true),
            }
        }
    }

    /// The connection, once all is done.
    pub fn finish(self) -> Connected<T> {
        Connected {
            link: self.link,
            agreed: self.agreed,
            early: self.received,
        }
    }

    /// Begins the next step.
    fn begin(&mut self) -> Result<(), Failure> {
        let step = self.steps.next();
        if step.is_some() && !self.received.is_empty() {
            let spoke = "a side on the way spoke before it was spoken to";
            return Err(io::Error::new(ErrorKind::InvalidData, spoke).into());
        }
        self.stage = match step {
            None => Stage::Done,
            Some(Step::Tls(connector)) => {
                self.link.transport().connect_tls(&connector)?;
                Stage::Transport
            }
            Some(Step::Ask(request)) => {
                let (words, dialogue) = request.begin()?;
                self.link.queue().push(&words);
                Stage::Talking(dialogue)
            }
        };
        Ok(())
    }

    /// Says and hears what can be said and heard now; says whether the dialogue
    /// is over.
    fn talk(&mut self, scratch: &mut Scratch) -> Result<bool, Failure> {
        loop {
            self.link.flush(&mut scratch.made.lent)?;
            let Stage::Talking(dialogue) = &mut self.stage else {
                return Ok(true);
            };
            let (who, next) = dialogue.hear(&self.received);
            match next.map_err(|why| Failure::Unwelcome(who, why))? {
                Next::Listen => {
                    let read = self.link.read(&mut scratch.read, &mut scratch.made.lent);
                    match read {
                        Read::Blocked => return Ok(false),
                        Read::Bytes(n) => self.received.extend_from_slice(&scratch.read[..n]),
                        Read::Broken(e) => return Err(e.into()),
                        Read::End => {
                            let text = "ended the connection without a whole answer".to_owned();
                            return Err(Failure::Unwelcome(who, Unwelcome::NotNow(text)));
                        }
                    }
                }
                Next::Say(bytes, used) => {
                    self.received.drain(..used);
                    self.link.queue().push(&bytes);
                }
                Next::Done(used) => {
                    self.received.drain(..used);
                    self.agreed = dialogue.agreed();
                    return Ok(true);
                }
            }
        }
    }
}
