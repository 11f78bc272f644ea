//! What the poll knows a socket by, and what it tells of it.

use crate::net::Socket;
use crate::tunnel::Side;
use mio::{Interest, Registry, Token};
use std::io;
use std::ops::Range;

/// What is to be told of a connection: everything. Urgent data is told apart
/// because a read ends before it.
#[cfg(any(target_os = "linux", target_os = "android"))]
const INTEREST: Interest = Interest::READABLE
    .add(Interest::WRITABLE)
    .add(Interest::PRIORITY);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// Signals.
pub const SIGNALS: Token = Token(0);
/// What other threads wake the loop with.
pub const WAKER: Token = Token(1);
/// Listeners. Whatever comes after these is a tunnel's.
pub const LISTENERS: Range<usize> = 2..1024;

/// The token of a tunnel's connection.
pub fn token_of(key: usize, side: Side) -> Token {
    Token(LISTENERS.end + key * 2 + usize::from(side == Side::Upstream))
}

/// The tunnel and side that a token stands for.
pub fn tunnel_of(token: usize) -> (usize, Side) {
    let number = token - LISTENERS.end;
    let side = match number % 2 {
        0 => Side::Downstream,
        _ => Side::Upstream,
    };
    (number / 2, side)
}

/// Watches a tunnel's connection in both directions, once and for all.
///
/// # Errors
/// What the system says.
pub fn watch(registry: &Registry, socket: &mut Socket, token: Token) -> io::Result<()> {
    registry.register(socket, token, INTEREST)
}

/// Has everything told again of a connection that is watched.
///
/// # Errors
/// What the system says.
pub fn watch_again(registry: &Registry, socket: &mut Socket, token: Token) -> io::Result<()> {
    registry.reregister(socket, token, INTEREST)
}
