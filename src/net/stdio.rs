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
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

/// Bytes that are copied at a time.
const COPIED: usize = 64 * 1024;

/// What copies, until standard output has all.
#[derive(Debug)]
pub struct Copying {
    output: JoinHandle<io::Result<()>>,
    /// Why the input could not be read to its end.
    unread: Receiver<io::Error>,
}

/// The side that broke.
enum Broken {
    Source(io::Error),
    Destination(io::Error),
}

/// Begins to copy; yields the connection.
///
/// # Errors
/// What the system says.
pub fn connect() -> io::Result<(UnixStream, Copying)> {
    let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let (ours, theirs) = UnixStream::pair()?;
    let back = ours.try_clone()?;
    let (told, unread) = channel();
    // Nobody waits for this one: a read of a terminal may never end.
    thread::Builder::new()
        .name("stdin".into())
        .spawn(move || copy_input(&input, &ours, &told))?;
    let output = thread::Builder::new()
        .name("stdout".into())
        .spawn(move || copy_output(&back, output))?;
    Ok((theirs, Copying { output, unread }))
}

impl Copying {
    /// Why the input could not be read to its end, if that has ended the
    /// connection.
    pub fn unread(&self) -> Option<io::Error> {
        self.unread.try_recv().ok()
    }

    /// Waits until everything is written, once the connection has ended.
    ///
    /// # Errors
    /// Why something was not.
    pub fn wait(self) -> io::Result<()> {
        let copied = self.output.join();
        copied.unwrap_or_else(|_| Err(io::Error::other("the copying thread failed")))
    }
}

/// An end of input is one of this half, an error one of all.
fn copy_input(input: &File, connection: &UnixStream, told: &Sender<io::Error>) {
    // Whoever is left will see it.
    let _ = match copy(input, connection) {
        Ok(()) => connection.shutdown(Shutdown::Write),
        Err(broken) => {
            // The other side of the connection has its own way to say it.
            if let Broken::Source(e) = broken {
                let _ = told.send(e);
            }
            connection.shutdown(Shutdown::Both)
        }
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
    copied.map_err(|(Broken::Source(e) | Broken::Destination(e))| e)
}

/// Copies until the end, whether or not somebody has made the two ends such
/// that they do not block.
fn copy<S, D>(mut source: &S, mut destination: &D) -> Result<(), Broken>
where
    S: AsFd,
    D: AsFd,
    for<'a> &'a S: Read,
    for<'a> &'a D: Write,
{
    let mut buffer = vec![0; COPIED];
    loop {
        let read = patiently(source, PollFlags::IN, || source.read(&mut buffer));
        let read = read.map_err(Broken::Source)?;
        if read == 0 {
            return Ok(());
        }
        let mut rest = &buffer[..read];
        while !rest.is_empty() {
            let written = patiently(destination, PollFlags::OUT, || destination.write(rest));
            rest = &rest[written.map_err(Broken::Destination)?..];
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
