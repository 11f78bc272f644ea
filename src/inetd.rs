//! `adit inetd`: what is on standard input is served, be it one connection or a
//! listener.
//!
//! Whoever started adit has the socket too, and so have standard output and
//! error at first. A failure therefore has to be told apart from the protocol:
//! the client gets an answer of HTTP, the log the reason. A listener that is
//! left with a client waiting makes inetd start adit again at once, and switch
//! the service off when that happens too often. So a failure is worth a second,
//! in which everyone who waits is turned away.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use log::{LevelFilter, error};
use socket2::Socket;

use crate::address::Listen;
use crate::cli::{Exit, Inetd};
use crate::config::Source;
use crate::logging::{self, Format, Logging, Target};
use crate::net::inherited::{StandardInput, leave_standard_input};
use crate::server::{End, Loader, Server, Settings};
use crate::wire::{Refusal, http};

/// How long who comes is turned away, and how long that may take.
const TURNING_AWAY: Duration = Duration::from_secs(1);

/// How often to look who has come.
const LOOK: Duration = Duration::from_millis(50);

/// Most that is read of who is turned away.
const MOST_READ: u64 = 1 << 20;

/// Serves what is on standard input until it is over. `diverted`: standard
/// error was the same socket, and leads nowhere now.
///
/// # Errors
/// It could not be begun, or cannot go on.
pub fn serve(inetd: Inetd, diverted: bool) -> Result<End, Exit> {
    let Inetd { source, log } = inetd;
    let target = start_log(log, diverted).map_err(turned_away)?;
    let input = StandardInput::open().map_err(|e| told(failure(2, &e), target))?;
    let started = start(&input, source).map_err(|exit| told(exit, target));
    if started.is_err() {
        turn_away(&input);
    }
    // The last handle must be the server's.
    drop(input);
    let ended = started?.run();
    ended.map_err(|e| told(failure(1, &e.to_string()), target))
}

/// Ends for a reason that was found before: the log has it, and who waits is
/// turned away.
pub fn fail(exit: Exit, diverted: bool) -> Exit {
    let log = Logging {
        level: LevelFilter::Info,
        format: Format::Text,
        target: Target::Stderr,
    };
    turned_away(match start_log(log, diverted) {
        Ok(target) => told(exit, target),
        Err(_) => exit,
    })
}

/// Turns away who waits, for this reason.
fn turned_away(exit: Exit) -> Exit {
    if let Ok(input) = StandardInput::open() {
        turn_away(&input);
    }
    exit
}

/// Starts the log, where the client does not hear it.
fn start_log(mut log: Logging, diverted: bool) -> Result<Target, Exit> {
    if diverted {
        log.target = Target::Syslog;
    }
    match logging::start(&log) {
        Err(e) if !diverted => Err(failure(1, &e)),
        // Without a system's log there is nobody to tell, and one to serve.
        _ => Ok(log.target),
    }
}

/// Puts the last words into the log, where standard error is not the log.
fn told(exit: Exit, target: Target) -> Exit {
    if target == Target::Syslog {
        error!("{}", exit.text.trim_end());
    }
    exit
}

fn start(input: &StandardInput, source: Source) -> Result<Server, Exit> {
    let settings = source.load().map_err(|mistakes| Exit {
        text: mistakes.to_string(),
        code: 1,
    })?;
    let server = match input {
        _ if !is_of_standard_input(&settings) => {
            Err("a file for adit inetd has one [[listen]], with address = \"fd:0\"".to_owned())
        }
        StandardInput::Listening(_) => {
            let load: Loader =
                Arc::new(move || source.load().map_err(|mistakes| mistakes.to_string()));
            Server::new(settings, load)
        }
        StandardInput::Connected(socket) => adopt(settings, socket),
    };
    server.map_err(|e| failure(1, &e))
}

fn adopt(settings: Settings, socket: &Socket) -> Result<Server, String> {
    let system = |e: io::Error| format!("standard input: {e}");
    // The sandbox would have no /dev/null.
    leave_standard_input().map_err(system)?;
    Server::adopt(settings, socket.try_clone().map_err(system)?)
}

fn is_of_standard_input(settings: &Settings) -> bool {
    let mut addresses = settings.listeners.iter().map(|listener| &listener.address);
    addresses.next() == Some(&Listen::Fd(0)) && addresses.next().is_none()
}

fn failure(code: u8, text: &str) -> Exit {
    Exit {
        text: format!("adit: {text}"),
        code,
    }
}

/// Answers all who came or come within a second, and serves nobody.
fn turn_away(input: &StandardInput) {
    let socket = match input {
        StandardInput::Listening(socket) => socket,
        StandardInput::Connected(socket) => {
            // A client that is gone has what it wants.
            let _ = refuse(socket);
            return;
        }
    };
    let until = Instant::now() + TURNING_AWAY;
    let _ = socket.set_nonblocking(true);
    while Instant::now() < until {
        match socket.accept() {
            Ok((client, _)) => drop(refuse(&client)),
            Err(_) => thread::sleep(LOOK),
        }
    }
}

fn refuse(mut client: &Socket) -> io::Result<()> {
    client.set_nonblocking(false)?;
    client.set_read_timeout(Some(TURNING_AWAY))?;
    client.set_write_timeout(Some(TURNING_AWAY))?;
    client.write_all(&http::refusal(&Refusal::Misconfigured))?;
    client.shutdown(Shutdown::Write)?;
    // The end of a socket with unread bytes is a reset, which could overtake
    // the answer.
    io::copy(&mut client.take(MOST_READ), &mut io::sink())?;
    Ok(())
}
