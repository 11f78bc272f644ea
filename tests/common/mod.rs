//! The harness: the binary as a child, a client that can misbehave, backends
//! on threads.
//!
//! Its rule: a test waits for events, never for time. Whatever is waited for
//! has one bound, [`PATIENCE`], and only a failure ever reaches it.

// Each file under tests/ is a program of its own and uses its own part of this.
#![allow(dead_code, unreachable_pub, unused_imports, clippy::unwrap_used)]

mod adit;
mod backend;
mod certs;
mod client;
mod far;
mod noise;
mod process;
mod socket;
mod temp;
mod tls;

use std::time::Duration;

pub use adit::{Adit, run};
pub use backend::{Backend, refusing, silent};
pub use certs::{Authority, Certificate, der};
pub use client::{
    BINARY, CLOSE, CONT, Client, Frame, PING, PONG, Response, SAMPLE_KEY, TEXT, close, frame,
    head_of, masked, request,
};
pub use far::{Far, connect, header};
pub use noise::{Checksum, Noise};
pub use process::Process;
pub use socket::Socket;
pub use temp::TempDir;
pub use tls::{Answerer, Dialer, Secured, TLS12, TLS13, tcp};

/// As long as anything is waited for before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A binary that echoes, and its backend: what most tests of frames start with.
pub fn echo(options: &[&str]) -> (Adit, Backend) {
    let backend = Backend::echo();
    let mut args = vec![backend.address.as_str()];
    args.extend(options);
    let adit = Adit::serve(&args);
    (adit, backend)
}

/// A binary with one open tunnel, and both its ends in the test's hands.
pub fn tunnel(options: &[&str]) -> (Adit, Client, Socket) {
    let backend = Backend::bind();
    let mut args = vec![backend.address.as_str()];
    args.extend(options);
    let adit = Adit::serve(&args);
    let client = adit.client();
    let service = backend.accept();
    (adit, client, service)
}
