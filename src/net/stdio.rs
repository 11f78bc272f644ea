//! Standard input and output as one connection.
//!
//! They may be anything: pipes, a socket, a terminal, files. Not all of that
//! can be watched by a poll, and what can be is shared with other programs, for
//! which it must not stop to block. So two threads copy between them and a
//! socket pair, whose other end is the connection.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::stdio::dup2_stdout;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

/// Bytes that are copied at a time.
const COPIED: usize = 64 * 1024;

/// What copies to standard output.
#[derive(Debug)]
pub struct Output(JoinHandle<io::Result<()>>);

/// Begins to copy; yields the connection.
///
/// # Errors
/// What the system says.
pub fn connect() -> io::Result<(UnixStream, Output)> {
    let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let (ours, theirs) = UnixStream::pair()?;
    let back = ours.try_clone()?;
    // Nobody waits for this one: a read of a terminal may never end.
    thread::Builder::new()
        .name("stdin".into())
        .spawn(move || copy_input(&input, &ours))?;
    let copying = thread::Builder::new()
        .name("stdout".into())
        .spawn(move || copy_output(&back, output))?;
    Ok((theirs, Output(copying)))
}

impl Output {
    /// Waits until everything is written, once the connection has ended.
    ///
    /// # Errors
    /// Why something was not.
    pub fn wait(self) -> io::Result<()> {
        let copied = self.0.join();
        copied.unwrap_or_else(|_| Err(io::Error::other("the copying thread failed")))
    }
}

/// An end of input is one of this half, an error one of all.
fn copy_input(input: &File, connection: &UnixStream) {
    // Whoever is left will see it.
    let _ = match copy(input, connection) {
        Ok(()) => connection.shutdown(Shutdown::Write),
        Err(_) => connection.shutdown(Shutdown::Both),
    };
}

fn copy_output(connection: &UnixStream, output: File) -> io::Result<()> {
    let copied = copy(connection, &output);
    drop(output);
    if copied.is_ok() {
        // Who reads it learns of the end now, and may still answer.
        let nothing = File::options().write(true).open("/dev/null")?;
        dup2_stdout(nothing)?;
    } else {
        // Nothing more can be said, so nothing more is worth hearing.
        let _ = connection.shutdown(Shutdown::Both);
    }
    copied
}

/// Copies until the end, whether or not somebody has made the two ends such
/// that they do not block.
fn copy<S, D>(mut source: &S, mut destination: &D) -> io::Result<()>
where
    S: AsFd,
    D: AsFd,
    for<'a> &'a S: Read,
    for<'a> &'a D: Write,
{
    let mut buffer = vec![0; COPIED];
    loop {
        let read = patiently(source, PollFlags::IN, || source.read(&mut buffer))?;
        if read == 0 {
            return Ok(());
        }
        let mut rest = &buffer[..read];
        while !rest.is_empty() {
            let written = patiently(destination, PollFlags::OUT, || destination.write(rest))?;
            rest = &rest[written..];
        }
    }
}

fn patiently(
    file: &impl AsFd,
    event: PollFlags,
    mut work: impl FnMut() -> io::Result<usize>,
) -> io::Result<usize> {
    loop {
        match work() {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                // Woken too early it asks again.
                let _ = poll(&mut [PollFd::new(file, event)], None);
            }
            done => return done,
        }
    }
}
