//! A connection as the tunnel drives it: the transport, what is known of its
//! readiness, and the bytes it has not taken yet.
//!
//! The poll is edge-triggered: readiness is told once and holds until an
//! operation proves it over. So `readable` and `writable` are sticky, set by
//! events and cleared by the socket itself.

use crate::net::tls::Acceptor;
use crate::net::{Lent, Pipe, Received, Secured, Taken, Transport};
use crate::wire::{Gather, WriteQueue};
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;

/// A side that sends less at a time is read, not moved through the pipe.
const LAVISH: usize = 64 * 1024;

/// What an event said of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Readiness {
    /// Something can be read: bytes, the end, or an error.
    pub readable: bool,
    /// Something can be written.
    pub writable: bool,
    /// The end was seen; it stands behind the bytes that are still unread.
    pub read_closed: bool,
    /// The connection is broken in both directions.
    pub broken: bool,
    /// Urgent data came: a read may end before it.
    pub urgent: bool,
}

impl Readiness {
    /// Adds what a further event said.
    pub fn add(&mut self, seen: Readiness) {
        self.readable |= seen.readable || seen.read_closed;
        self.writable |= seen.writable;
        self.read_closed |= seen.read_closed;
        self.broken |= seen.broken;
        self.urgent |= seen.urgent;
    }
}

/// What a read brought.
#[derive(Debug)]
pub enum Read {
    /// As many bytes, at least one.
    Bytes(usize),
    /// Nothing yet.
    Blocked,
    /// The end.
    End,
    /// The connection is broken.
    Broken(io::Error),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Open,
    /// The end follows the queue.
    Finishing,
    /// The end was written, or nothing can be any more.
    Finished,
}

/// One connection of a tunnel.
#[derive(Debug)]
pub struct Link<T> {
    transport: T,
    queue: WriteQueue,
    known: Readiness,
    /// Whether the end or an error was read.
    ended: bool,
    /// Whether a write was told of a reset. That is told once: a read after it
    /// sees an end, which is none of the other side's.
    reset: bool,
    writing: Writing,
    /// Whether the transport refused bytes that are still queued.
    refused: bool,
    /// Whether the other side showed since it was last asked that it is there:
    /// it sent something, or took something that it had refused before.
    alive: bool,
    /// Whether it sent much at a time when it was last read.
    lavish: bool,
}

impl<T: Transport> Link<T> {
    /// A connection of which nothing is known but that it is open, and so
    /// takes writes.
    pub fn new(transport: T) -> Self {
        Link {
            transport,
            queue: WriteQueue::default(),
            known: Readiness {
                writable: true,
                ..Readiness::default()
            },
            ended: false,
            reset: false,
            writing: Writing::Open,
            refused: false,
            alive: true,
            lavish: false,
        }
    }

    /// The transport itself, as long as nothing else is known of it.
    pub fn transport(&mut self) -> &mut T {
        &mut self.transport
    }

    /// See [`Transport::local_address`].
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.transport.local_address()
    }

    /// Adds what an event said.
    pub fn ready(&mut self, seen: Readiness) {
        self.known.add(seen);
    }

    /// Whether a read may bring something.
    pub fn is_readable(&self) -> bool {
        self.known.readable && !self.ended
    }

    /// Whether an event said that the connection broke, though not all that it
    /// still holds may have been read.
    pub fn is_broken(&self) -> bool {
        self.known.broken
    }

    /// Whether an event said that the other side has ended what it sends, though
    /// not all that came before may have been read.
    pub fn is_ending(&self) -> bool {
        self.known.read_closed
    }

    /// Bytes that wait to be written.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Makes the next flush try, whatever was last seen: a Unix socket tells
    /// only late that there is room.
    pub fn try_again(&mut self) {
        self.known.writable = true;
    }

    /// Whether the end, or an error, was read.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether nothing more will be read or written.
    pub fn is_over(&self) -> bool {
        self.ended && self.writing == Writing::Finished
    }

    /// Whether all is written and nothing more needs to be read for it to
    /// arrive.
    pub fn may_be_dropped(&self) -> bool {
        self.writing == Writing::Finished && self.transport.may_be_dropped()
    }

    /// Whether nothing waits to be written.
    pub fn is_flushed(&self) -> bool {
        self.queue.is_empty() && self.sent_on()
    }

    /// Whether the transport has sent all that it took, or never will.
    #[inline]
    fn sent_on(&self) -> bool {
        self.transport.waiting() == 0 || self.writing == Writing::Finished
    }

    /// Bytes that are for the other side and that the socket has not taken,
    /// here and in the transport.
    pub fn queued(&self) -> usize {
        self.queue.len() + self.transport.waiting()
    }

    /// The bytes that wait, for control frames to be appended.
    pub fn queue(&mut self) -> &mut WriteQueue {
        &mut self.queue
    }

    /// Whether the other side showed a sign of life since this was last asked.
    pub fn take_alive(&mut self) -> bool {
        std::mem::take(&mut self.alive)
    }

    /// Begins TLS; `received` was read already and belongs to it.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn secure(&mut self, acceptor: &Acceptor, received: &[u8]) -> io::Result<()> {
        // What was received is there to be read again, deciphered.
        self.known.readable = true;
        self.transport.secure(acceptor, received)
    }

    /// What is known of the other side over TLS.
    pub fn secured(&self) -> Option<Secured> {
        self.transport.secured()
    }

    /// Reads once.
    #[inline]
    pub fn read(&mut self, into: &mut [u8], lent: &mut Lent) -> Read {
        if !self.is_readable() {
            return Read::Blocked;
        }
        let received = uninterrupted(|| self.transport.read(into, lent));
        let read = self.received(received);
        self.lavish = matches!(read, Read::Bytes(n) if n == into.len());
        read
    }

    /// Moves what has come into the pipe, as it is; `None` if it has to be
    /// read.
    pub fn fill(&mut self, pipe: &mut Pipe) -> Option<Read> {
        if !pipe.is_usable() || !self.is_readable() || self.known.urgent {
            return None;
        }
        let plain = self.transport.plain()?;
        match uninterrupted(|| pipe.fill(plain)) {
            Err(e) if e.kind() == ErrorKind::Unsupported => None,
            // A pipe can be full before the socket is empty.
            filled => {
                let read = self.received(filled.map(Received::some));
                self.lavish = matches!(read, Read::Bytes(n) if n >= LAVISH);
                Some(read)
            }
        }
    }

    /// Takes note of what a read brought.
    #[inline]
    fn received(&mut self, received: io::Result<Received>) -> Read {
        match received {
            Ok(Received { bytes: 0, .. }) => {
                self.ended = true;
                if self.reset {
                    Read::Broken(ErrorKind::ConnectionReset.into())
                } else {
                    Read::End
                }
            }
            Ok(Received { bytes, drained }) => {
                self.alive = true;
                // What is drained still ends at the end if that was
                // announced: no further event will tell of it.
                if drained && !self.known.read_closed && !self.known.urgent {
                    self.known.readable = false;
                }
                Read::Bytes(bytes)
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                self.known.readable = false;
                Read::Blocked
            }
            Err(e) => {
                self.ended = true;
                Read::Broken(e)
            }
        }
    }

    /// Reads and drops what has come, at most `into.len()` bytes a call; says
    /// whether there may be more. From then on nothing is read but so.
    pub fn discard(&mut self, into: &mut [u8], lent: &mut Lent) -> bool {
        if !self.is_readable() {
            return false;
        }
        // Not a sign of life: what is dropped must keep nothing going.
        let alive = self.alive;
        let drained = uninterrupted(|| self.transport.drain(into, lent));
        let read = self.received(drained);
        self.alive = alive;
        matches!(read, Read::Bytes(_)) && self.is_readable()
    }

    /// Writes what was gathered, behind what waits already; what the transport
    /// does not take is queued. After the end it is dropped.
    ///
    /// # Errors
    /// What broke the connection, once.
    #[inline]
    pub fn send(&mut self, out: &Gather<'_>, lent: &mut Lent) -> io::Result<()> {
        if out.is_empty() || self.writing != Writing::Open {
            return Ok(());
        }
        let mut written = 0;
        if self.is_flushed() && self.known.writable {
            written = match out.as_single() {
                Some(bytes) => self.write(&[IoSlice::new(bytes)], lent)?,
                None => {
                    let (slices, count) = out.io_slices();
                    self.write(&slices[..count], lent)?
                }
            };
        }
        if written < out.len() {
            self.queue.reserve(out.len() - written);
            for piece in out.pieces() {
                let skipped = written.min(piece.len());
                self.queue.push(&piece[skipped..]);
                written -= skipped;
            }
        }
        Ok(())
    }

    /// Whether so much came at a time that a pipe may be cheaper than a copy.
    #[inline]
    pub fn is_lavish(&self) -> bool {
        self.lavish
    }

    /// Whether the pipe can be emptied into this connection.
    pub fn takes_pipe(&self) -> bool {
        self.transport.plain().is_some()
    }

    /// Writes `head` and what is in the pipe, as [`send`](Self::send) does with
    /// what was gathered; the pipe is empty then.
    ///
    /// # Errors
    /// What broke the connection, once.
    pub fn send_piped(&mut self, head: &[u8], pipe: &mut Pipe) -> io::Result<()> {
        if self.writing != Writing::Open {
            return pipe.pour(|_| ());
        }
        let mut written = 0;
        if let (true, true, Some(plain)) = (
            self.is_flushed(),
            self.known.writable,
            self.transport.plain(),
        ) {
            let taken = uninterrupted(|| pipe.send(head, plain));
            written = self.taken(taken)?;
        }
        self.queue.push(&head[written.min(head.len())..]);
        pipe.pour(|piece| self.queue.push(piece))
    }

    /// Writes what waits, and the end behind it if that is due.
    ///
    /// # Errors
    /// What broke the connection, once.
    #[inline]
    pub fn flush(&mut self, lent: &mut Lent) -> io::Result<()> {
        if self.writing == Writing::Finished {
            self.queue.clear();
            return Ok(());
        }
        if !self.sent_on() && self.known.writable {
            let flushed = self.transport.flush();
            self.settle(flushed)?;
        }
        while !self.queue.is_empty() && self.sent_on() && self.known.writable {
            let refused = self.refused;
            let queue = std::mem::take(&mut self.queue);
            let written = self.write(&[IoSlice::new(queue.bytes())], lent)?;
            self.queue = queue;
            self.queue.advance(written);
            self.alive |= refused && written > 0;
        }
        if self.writing == Writing::Finishing && self.is_flushed() && self.known.writable {
            let finished = self.transport.finish();
            self.settle(finished)?;
            if self.sent_on() {
                self.writing = Writing::Finished;
            }
        }
        Ok(())
    }

    /// Takes note of what became of the transport's own bytes.
    fn settle(&mut self, sent: io::Result<()>) -> io::Result<()> {
        if let Err(e) = &sent {
            self.broke(e);
        } else if !self.sent_on() {
            self.known.writable = false;
        }
        sent
    }

    /// Nothing more will be sent: the end goes out behind what waits.
    pub fn finish(&mut self) {
        if self.writing == Writing::Open {
            self.writing = Writing::Finishing;
        }
    }

    /// Nothing can be sent any more; what waits is dropped.
    pub fn abandon(&mut self) {
        self.queue.clear();
        self.writing = Writing::Finished;
    }

    /// One write; 0 if the transport takes nothing now.
    #[inline]
    fn write(&mut self, slices: &[IoSlice<'_>], lent: &mut Lent) -> io::Result<usize> {
        let taken = uninterrupted(|| self.transport.write(slices, lent));
        self.taken(taken)
    }

    /// Takes note of what became of a write; 0 if nothing was taken.
    #[inline]
    fn taken(&mut self, taken: io::Result<Taken>) -> io::Result<usize> {
        match taken {
            Ok(Taken { bytes, full }) => {
                self.refused = full;
                self.known.writable &= !full;
                Ok(bytes)
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                self.refused = true;
                self.known.writable = false;
                Ok(0)
            }
            Err(e) => {
                self.broke(&e);
                Err(e)
            }
        }
    }

    /// Takes note of a write that failed. Behind an end of the other side's it
    /// is told of a broken pipe, and of nothing else.
    fn broke(&mut self, e: &io::Error) {
        self.reset = e.kind() != ErrorKind::BrokenPipe;
        self.abandon();
    }

    /// Bytes of memory that wait here.
    pub fn memory(&self) -> usize {
        self.queue.capacity()
    }
}

/// Does it again while a signal interrupts it.
#[inline]
fn uninterrupted<R>(mut call: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    loop {
        match call() {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
