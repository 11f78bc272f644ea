//! One direction of a tunnel: from `src` to `dst`, whichever they are.
//!
//! The law: decide before the read, never in the middle. Bytes are read only
//! once `dst` has taken all it was given before, and what was read is relayed
//! to its end. So no tunnel holds half-used input, and what waits for `dst` is
//! at most one read and the framing around it.

use super::endpoint::Endpoint;
use super::link::Read;
use crate::net::{Lent, Transport};
use crate::wire::ws::{Close, Event};
use crate::wire::{End, Fault, Gather};
use std::io;

/// Bytes of one read: the unmasking pass stays in the cache, and a fragment
/// towards the peer is no longer than a read.
const READ: usize = 64 * 1024;

/// Reads of one direction until it is the next tunnel's turn.
const TURN: usize = 4;

/// A staging buffer that one rare message made larger than this is given back.
const STAGING: usize = 256 * 1024;

/// The buffers of the whole loop.
#[derive(Debug)]
pub struct Scratch {
    /// What is read.
    pub read: Box<[u8]>,
    /// What it becomes.
    pub made: Made,
}

/// The buffers for what a read becomes.
#[derive(Debug, Default)]
pub struct Made {
    /// See [`Gather`].
    staging: Vec<u8>,
    /// What transports need.
    pub lent: Lent,
}

impl Default for Scratch {
    fn default() -> Self {
        Scratch {
            read: vec![0; READ].into_boxed_slice(),
            made: Made::default(),
        }
    }
}

/// How far a direction came.
#[derive(Debug)]
pub enum Flow {
    /// Nothing can be done until an event.
    Waiting,
    /// There may be more, but others are to have their turn.
    Again,
    /// The direction has ended.
    Ended(Stop),
}

/// Why a direction has ended.
#[derive(Debug)]
pub enum Stop {
    /// The source has said all.
    Eof,
    /// The source has closed its WebSocket.
    Closed(Close),
    /// The source broke a rule, or the destination cannot carry what it sent.
    Fault(Fault),
    /// The source's connection broke.
    SourceBroken(io::Error),
    /// The destination's connection broke.
    DestinationBroken(io::Error),
}

/// Moves messages from `src` to `dst` as far as both are ready, for at most a
/// turn.
#[inline]
pub fn relay<T: Transport>(
    src: &mut Endpoint<T>,
    dst: &mut Endpoint<T>,
    scratch: &mut Scratch,
) -> Flow {
    match try_relay(src, dst, scratch) {
        Ok(flow) => flow,
        Err(stop) => Flow::Ended(stop),
    }
}

fn try_relay<T: Transport>(
    src: &mut Endpoint<T>,
    dst: &mut Endpoint<T>,
    scratch: &mut Scratch,
) -> Result<Flow, Stop> {
    for _ in 0..TURN {
        dst.flush(&mut scratch.made.lent)
            .map_err(Stop::DestinationBroken)?;
        if !dst.link.is_flushed() {
            return Ok(Flow::Waiting);
        }
        let lent = &mut scratch.made.lent;
        let piped = src.fill(dst, &mut lent.pipe);
        let in_pipe = piped.is_some();
        match piped.unwrap_or_else(|| src.read(&mut scratch.read, lent)) {
            Read::Blocked => return Ok(Flow::Waiting),
            Read::Broken(e) => return Err(Stop::SourceBroken(e)),
            Read::Bytes(n) if in_pipe => {
                src.traffic.bytes += n as u64;
                src.traffic.messages += 1;
                dst.send_piped(n, &mut lent.pipe)
                    .map_err(Stop::DestinationBroken)?;
            }
            Read::Bytes(n) => carry(src, dst, &mut scratch.read[..n], &mut scratch.made)?,
            Read::End => {
                carry_end(src, dst, &mut scratch.made)?;
                return Err(Stop::Eof);
            }
        }
        if scratch.made.staging.capacity() > STAGING {
            scratch.made.staging = Vec::new();
        }
        if !src.link.is_readable() {
            return Ok(Flow::Waiting);
        }
    }
    Ok(Flow::Again)
}

/// Relays bytes of `src` that were read, with at most one write to `dst`.
///
/// # Errors
/// Why the direction ends with these bytes; what came before that is relayed.
pub fn carry<T: Transport>(
    src: &mut Endpoint<T>,
    dst: &mut Endpoint<T>,
    mut input: &mut [u8],
    made: &mut Made,
) -> Result<(), Stop> {
    let mut out = Gather::new(&mut made.staging);
    let mut finishes = false;
    let stopped = loop {
        match src.codec.decode(&mut input) {
            // Only control frames follow, which stay with the source.
            Ok(Some(Event::HalfClose)) => finishes = true,
            Ok(Some(event)) => {
                if let Err(stop) = pass(event, src, dst, &mut out) {
                    break Err(stop);
                }
            }
            Ok(None) => break Ok(()),
            Err(fault) => break Err(Stop::Fault(fault)),
        }
    };
    src.hold(input);
    // What the source has said counts, whatever became of the destination.
    let sent = dst.link.send(&out, &mut made.lent);
    if finishes {
        dst.link.finish();
    }
    stopped.and(sent.map_err(Stop::DestinationBroken))
}

/// Relays what the end of `src` completes.
fn carry_end<T: Transport>(
    src: &mut Endpoint<T>,
    dst: &mut Endpoint<T>,
    made: &mut Made,
) -> Result<(), Stop> {
    let mut held = src.take_held();
    let mut input = held.as_mut_slice();
    let mut out = Gather::new(&mut made.staging);
    let mut stopped = Ok(());
    while stopped.is_ok() {
        stopped = match src.codec.decode_end(&mut input) {
            Ok(Some(event)) => pass(event, src, dst, &mut out),
            Ok(None) => break,
            Err(fault) => Err(Stop::Fault(fault)),
        };
    }
    let stopped = stopped.and_then(|()| dst.codec.encode_end(&mut out).map_err(Stop::Fault));
    // What the source has said counts, whatever became of the destination.
    let sent = dst.link.send(&out, &mut made.lent);
    stopped.and(sent.map_err(Stop::DestinationBroken))
}

#[inline]
fn pass<'a, T: Transport>(
    event: Event<'a>,
    src: &mut Endpoint<T>,
    dst: &mut Endpoint<T>,
    out: &mut Gather<'a>,
) -> Result<(), Stop> {
    match event {
        Event::Chunk(chunk) => {
            src.traffic.bytes += chunk.payload.len() as u64;
            src.traffic.messages += u64::from(chunk.end != End::Open);
            dst.codec.encode(chunk, out).map_err(Stop::Fault)
        }
        Event::Ping(payload) => {
            src.pong(payload);
            Ok(())
        }
        Event::Pong | Event::HalfClose => Ok(()),
        Event::Close(close) => Err(Stop::Closed(close)),
    }
}
