//! adit lets a web browser speak to a service that never heard of WebSocket.
//!
//! A tunnel is **two equal endpoints**, the client's and the backend's. An
//! endpoint is a transport (a socket) and a codec (WebSocket, or one of the
//! message framings). One function, [`tunnel::relay::relay`], serves both
//! directions. Modes and framings are data, not branches in the loop; bytes,
//! time and chance are parameters, so every rule is a table test.
//!
//! # The rooms
//!
//! - [`wire`]: bytes only. The WebSocket codec, the framings, HTTP heads, and
//!   the buffers between them. No socket, no clock, no log.
//! - [`net`]: sockets, nothing of WebSocket. Listeners, streams, names.
//! - [`tunnel`]: joins the two. The life of one connection, which route it
//!   takes, how it ends.
//! - [`server`]: the loop, no protocol. One poll, timers, a run queue, the
//!   choice of a backend, and the figures of all that.
//! - [`config`] and [`cli`]: what was written and typed becomes the settings of
//!   the rooms above.
//! - [`demo`]: a page and a backend to try it all.
//! - [`inetd`]: what inetd hands over is served by all of that.
//! - [`connect`]: the other end, where local connections are led to a server.
//!
//! Beside them stand what every room may use: `address`, where to listen and
//! where a backend is, `url`, where a WebSocket server or a proxy is, `cidr`,
//! networks, `features`, what was built in, [`logging`], where the lines of the
//! log go, `mistake`, what is wrong with a file, and `queue`, the bytes that a
//! socket has not taken yet.
//!
//! What the fuzzer runs is `fuzz`, which no program has in it.
//!
//! `wire` imports no other room, `net` nothing of `wire`, `tunnel` never sees
//! the poll, and `server` never names a frame; none of the four imports `config`
//! or `cli`, nor does `demo`. `config` does not import `cli`. `connect` and
//! `inetd` stand above: both run what `config` made, and `inetd` what `cli` read.
//! The modules beside the rooms import none of them. `tests/layering.rs` lists
//! who may import whom, reads the code and holds all to it.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod address;
pub mod cidr;
pub mod cli;
pub mod config;
#[cfg(feature = "connect")]
pub mod connect;
#[cfg(feature = "demo")]
pub mod demo;
pub mod features;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
#[cfg_attr(not(feature = "activation"), path = "no_inetd.rs")]
pub mod inetd;
pub mod logging;
pub mod mistake;
pub mod net;
pub mod queue;
pub mod server;
pub mod tunnel;
pub mod url;
pub mod wire;
