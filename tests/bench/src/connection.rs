//! One connection of the load: a client of the peer, or a backend behind it.
//!
//! A backend learns from its job what it is: a sink for uploads, a source for
//! downloads, an echo, or one that holds still.

use crate::frames::{self, Met, Walker};
use crate::job::{Job, Shape};
use crate::link::Link;
use rustix::event::epoll;
use rustix::fd::AsFd;
use rustix::net::{RecvFlags, recv};
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Instant;

/// The most that one socket does in a turn.
pub const BUDGET: usize = 256 * 1024;

#[derive(Default)]
pub struct Counters {
    pub opened: usize,
    pub accepted: usize,
    /// Wire bytes that reached sinks.
    pub sunk: u64,
    /// Payload that reached clients.
    pub heard: u64,
    pub messages: u64,
    pub cycles: u64,
    pub refused: u64,
    pub failure: Option<String>,
    pub recording: bool,
    pub delays: Vec<u32>,
}

enum Stage {
    Opening,
    Open,
    Closing,
}

pub struct Client {
    stage: Stage,
    /// Whether it asked its first messages.
    asked: bool,
    /// How much of the current message is here.
    at: usize,
    sent: VecDeque<Instant>,
}

pub struct Backend {
    speaks_websocket: bool,
    open: bool,
    ending: bool,
}

pub enum Role {
    Client(Client),
    Backend(Backend),
}

pub struct Connection {
    pub link: Link,
    job: Rc<Job>,
    pub role: Role,
    walker: Walker,
    head: Vec<u8>,
    out: Vec<u8>,
    /// Where in what it writes again and again it is.
    cursor: usize,
    pub interest: epoll::EventFlags,
}

impl Role {
    pub fn client() -> Self {
        Role::Client(Client {
            stage: Stage::Opening,
            asked: false,
            at: 0,
            sent: VecDeque::new(),
        })
    }

    pub fn backend(speaks_websocket: bool) -> Self {
        Role::Backend(Backend {
            speaks_websocket,
            open: !speaks_websocket,
            ending: false,
        })
    }
}

/// None for "not now".
fn unless_blocked(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(n) => Ok(Some(n)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// Cuts the head off what was received so far, once it is whole.
fn past_head(head: &mut Vec<u8>, bytes: &[u8]) -> Option<Vec<u8>> {
    head.extend_from_slice(bytes);
    let end = head.windows(4).position(|four| four == frames::TEXT_END)?;
    Some(head.split_off(end + 4))
}

impl Connection {
    pub fn new(link: Link, job: Rc<Job>, role: Role, out: Vec<u8>) -> Self {
        let mut connection = Connection {
            link,
            job,
            role,
            walker: Walker::default(),
            head: vec![],
            out,
            cursor: 0,
            interest: epoll::EventFlags::empty(),
        };
        connection.interest = connection.wants();
        connection
    }

    /// Does what there is to do, and says whether it stays.
    pub fn serve(&mut self, scratch: &mut [u8], count: &mut Counters) -> io::Result<bool> {
        match self.role {
            Role::Client(_) => self.serve_client(scratch, count),
            Role::Backend(_) => self.serve_backend(scratch, count),
        }
    }

    pub fn wants(&self) -> epoll::EventFlags {
        use epoll::EventFlags as Flags;
        let waits = !self.out.is_empty() || self.link.holds_bytes();
        match &self.role {
            Role::Client(client) => {
                let uploads = matches!(client.stage, Stage::Open) && self.is(Shape::Up);
                if waits || uploads {
                    Flags::IN | Flags::OUT
                } else {
                    Flags::IN
                }
            }
            // An echo that cannot write does not read.
            Role::Backend(_) if waits => Flags::OUT,
            Role::Backend(backend) if backend.open && self.is(Shape::Down) => {
                Flags::IN | Flags::OUT
            }
            Role::Backend(_) => Flags::IN,
        }
    }

    /// Whether the load is of this shape, and began.
    fn is(&self, shape: Shape) -> bool {
        self.job.shape == shape && self.job.began.get()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.link.flush()?;
        while !self.out.is_empty() {
            let Some(n) = unless_blocked(self.link.write(&self.out))? else {
                break;
            };
            self.out.drain(..n);
        }
        Ok(())
    }

    /// Whether it stays; an end that is not due is a failure of the peer's.
    fn serve_client(&mut self, scratch: &mut [u8], count: &mut Counters) -> io::Result<bool> {
        let result = self.try_client(scratch, count);
        let due = match &self.role {
            Role::Client(client) => matches!(client.stage, Stage::Closing),
            Role::Backend(_) => true,
        };
        match result {
            Ok(true) => {}
            _ if due => count.cycles += 1,
            Ok(false) => drop(count.failure.get_or_insert("the tunnel ended".into())),
            Err(ref error) if error.kind() == ErrorKind::ConnectionRefused => count.refused += 1,
            Err(ref error) => drop(count.failure.get_or_insert(error.to_string())),
        }
        result
    }

    fn try_client(&mut self, scratch: &mut [u8], count: &mut Counters) -> io::Result<bool> {
        self.flush()?;
        let mut got = 0;
        while got < BUDGET {
            match unless_blocked(self.link.read(scratch))? {
                None => break,
                Some(0) => return Ok(false),
                Some(n) => {
                    got += n;
                    if !self.client_hears(&mut scratch[..n], count)? {
                        return Ok(false);
                    }
                }
            }
        }
        self.begin()?;
        self.upload()?;
        Ok(true)
    }

    fn begin(&mut self) -> io::Result<()> {
        match &mut self.role {
            Role::Client(client) if matches!(client.stage, Stage::Open) && !client.asked => {
                client.asked = self.job.began.get();
            }
            _ => return Ok(()),
        }
        match self.job.shape {
            _ if !self.job.began.get() => Ok(()),
            Shape::Echo { outstanding } => self.ask(outstanding),
            Shape::Connect => self.ask(1),
            _ => Ok(()),
        }
    }

    fn upload(&mut self) -> io::Result<()> {
        let Role::Client(Client {
            stage: Stage::Open, ..
        }) = self.role
        else {
            return Ok(());
        };
        let uploads = &self.job.uploads;
        let mut budget = uploads.len();
        while budget > 0 {
            let Some(n) = unless_blocked(self.link.write(&uploads[self.cursor..]))? else {
                break;
            };
            self.cursor = (self.cursor + n) % uploads.len();
            budget = budget.saturating_sub(n);
        }
        Ok(())
    }

    fn client_hears(&mut self, bytes: &mut [u8], count: &mut Counters) -> io::Result<bool> {
        let Role::Client(client) = &mut self.role else {
            return Ok(true);
        };
        if matches!(client.stage, Stage::Opening) {
            let Some(mut rest) = past_head(&mut self.head, bytes) else {
                return Ok(true);
            };
            let head = String::from_utf8_lossy(&std::mem::take(&mut self.head)).into_owned();
            if !head.starts_with("HTTP/1.1 101 ") || !head.contains(frames::ACCEPT) {
                return Err(io::Error::other(
                    head.lines().next().unwrap_or("").to_owned(),
                ));
            }
            client.stage = Stage::Open;
            count.opened += 1;
            return if rest.is_empty() {
                Ok(true)
            } else {
                self.client_hears(&mut rest, count)
            };
        }
        self.client_reads(bytes, count)
    }

    fn client_reads(&mut self, bytes: &mut [u8], count: &mut Counters) -> io::Result<bool> {
        let Role::Client(client) = &mut self.role else {
            return Ok(true);
        };
        let (job, closing) = (&self.job, matches!(client.stage, Stage::Closing));
        let echoes = matches!(job.shape, Shape::Echo { .. } | Shape::Connect);
        let (mut answered, mut closed, mut wrong) = (0, None, false);
        self.walker.walk(bytes, |met| match met {
            Met::Header {
                opcode: frames::CLOSE,
                ..
            } => closed = Some(vec![]),
            Met::Payload {
                opcode: frames::CLOSE,
                bytes,
            } => {
                closed.get_or_insert_default().extend_from_slice(bytes);
            }
            Met::Payload {
                opcode: 0..=2,
                bytes,
            } if echoes => {
                // A frame may hold parts of several messages: the backend has no boundaries.
                let mut bytes = bytes;
                while !bytes.is_empty() {
                    let n = bytes.len().min(job.size - client.at);
                    wrong |= bytes[..n] != job.payload[client.at..client.at + n];
                    client.at = (client.at + n) % job.size;
                    answered += usize::from(client.at == 0);
                    bytes = &bytes[n..];
                }
            }
            Met::Payload {
                opcode: 0..=2,
                bytes,
            } => count.heard += bytes.len() as u64,
            _ => {}
        });
        if wrong {
            return Err(io::Error::other("other bytes came back"));
        }
        if let Some(reason) = closed {
            let code = reason
                .first_chunk()
                .map_or(1005, |code| u16::from_be_bytes(*code));
            return if closing {
                Ok(false)
            } else {
                Err(io::Error::other(format!("closed with {code}")))
            };
        }
        if answered > 0 {
            self.answered(answered, count)?;
        }
        Ok(true)
    }

    fn answered(&mut self, answered: usize, count: &mut Counters) -> io::Result<()> {
        let Role::Client(client) = &mut self.role else {
            return Ok(());
        };
        let now = Instant::now();
        for sent in client.sent.drain(..answered) {
            count.messages += 1;
            if count.recording {
                count
                    .delays
                    .push((now - sent).as_nanos().try_into().unwrap_or(u32::MAX));
            }
        }
        if self.job.shape == Shape::Connect {
            client.stage = Stage::Closing;
            self.out.extend_from_slice(&self.job.close);
            self.flush()
        } else {
            self.ask(answered)
        }
    }

    fn ask(&mut self, messages: usize) -> io::Result<()> {
        let Role::Client(client) = &mut self.role else {
            return Ok(());
        };
        for _ in 0..messages {
            client.sent.push_back(Instant::now());
            self.out.extend_from_slice(&self.job.frame);
        }
        self.flush()
    }

    fn serve_backend(&mut self, scratch: &mut [u8], count: &mut Counters) -> io::Result<bool> {
        self.flush()?;
        let Role::Backend(backend) = &self.role else {
            return Ok(true);
        };
        if !self.out.is_empty() {
            return Ok(true);
        }
        if backend.ending {
            return Ok(false);
        }
        if backend.open && self.job.shape == Shape::Up {
            return self.sink(scratch, count);
        }
        match unless_blocked(self.link.read(scratch))? {
            None => {}
            Some(0) => return Ok(false),
            Some(n) => self.backend_hears(&mut scratch[..n])?,
        }
        let is_open = matches!(&self.role, Role::Backend(backend) if backend.open);
        if is_open && self.is(Shape::Down) {
            self.download()?;
        }
        Ok(true)
    }

    /// TCP throws away what is received with TRUNC, without copying it.
    fn sink(&mut self, scratch: &mut [u8], count: &mut Counters) -> io::Result<bool> {
        let taken = recv(self.link.socket.as_fd(), &mut *scratch, RecvFlags::TRUNC);
        match unless_blocked(taken.map(|(_, n)| n).map_err(Into::into))? {
            None => Ok(true),
            Some(0) => Ok(false),
            Some(n) => {
                count.sunk += n as u64;
                Ok(true)
            }
        }
    }

    fn download(&mut self) -> io::Result<()> {
        let speaks_websocket =
            matches!(&self.role, Role::Backend(backend) if backend.speaks_websocket);
        let bytes = if speaks_websocket {
            &self.job.download
        } else {
            &self.job.payload
        };
        let mut budget = BUDGET.max(bytes.len());
        while budget > 0 {
            let Some(n) = unless_blocked(self.link.write(&bytes[self.cursor..]))? else {
                break;
            };
            self.cursor = (self.cursor + n) % bytes.len();
            budget = budget.saturating_sub(n);
        }
        Ok(())
    }

    fn backend_hears(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        let Role::Backend(backend) = &mut self.role else {
            return Ok(());
        };
        if !backend.open {
            let Some(mut rest) = past_head(&mut self.head, bytes) else {
                return Ok(());
            };
            backend.open = true;
            self.out.extend(frames::response());
            return if rest.is_empty() {
                self.flush()
            } else {
                self.backend_hears(&mut rest)
            };
        }
        if backend.speaks_websocket {
            let (out, ending) = (&mut self.out, &mut backend.ending);
            let echoes = matches!(self.job.shape, Shape::Echo { .. } | Shape::Connect);
            self.walker.walk(bytes, |met| match met {
                Met::Header {
                    opcode: frames::CLOSE,
                    ..
                } => {
                    out.extend_from_slice(frames::CLOSE_ANSWER);
                    *ending = true;
                }
                Met::Header {
                    opcode: 0..=2,
                    size,
                } if echoes => {
                    out.extend(frames::unmasked_header(size));
                }
                Met::Payload {
                    opcode: 0..=2,
                    bytes,
                } if echoes => out.extend_from_slice(bytes),
                _ => {}
            });
        } else if matches!(self.job.shape, Shape::Echo { .. } | Shape::Connect) {
            self.out.extend_from_slice(bytes);
        }
        self.flush()
    }
}
