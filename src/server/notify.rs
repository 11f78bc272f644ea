//! What the service manager is told of the server's state, and every now and
//! then that it lives: the protocol of sd_notify(3).
//!
//! A message is a datagram. One that cannot be sent is left out, for nobody
//! listens then who would miss it. The socket is connected at the start, so
//! that a change of root or user does not cut it off.

use log::warn;
use rustix::time::{ClockId, clock_gettime};
use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// The way to the service manager, if there is one.
#[derive(Debug, Default)]
pub struct Notifier {
    socket: Option<UnixDatagram>,
    /// How often the watchdog is to hear, and when next.
    watchdog: Option<(Duration, Instant)>,
}

impl Notifier {
    /// Looks in the environment who wants to know, and how often.
    pub fn from_environment(now: Instant) -> Self {
        let name = env::var_os("NOTIFY_SOCKET");
        // An empty one is none, as for sd_notify(3).
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Notifier::default();
        };
        match connect(&name) {
            Ok(socket) => Notifier {
                socket: Some(socket),
                watchdog: interval().map(|interval| (interval, now)),
            },
            Err(e) => {
                warn!(
                    "cannot reach the service manager at {}: {e}",
                    name.to_string_lossy()
                );
                Notifier::default()
            }
        }
    }

    /// It serves, with the settings that it has now.
    pub fn ready(&self, listening: &[String]) {
        self.send(&format!(
            "READY=1\nSTATUS=listening on {}",
            listening.join(", ")
        ));
    }

    /// It has been told to load its settings again.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let now = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={now}"));
    }

    /// It lets nobody in any more.
    pub fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=stopping");
    }

    /// When the watchdog is to hear next.
    pub fn due(&self) -> Option<Instant> {
        self.watchdog.map(|(_, next)| next)
    }

    /// Tells the watchdog, if it is time.
    pub fn beat(&mut self, now: Instant) {
        if let Some((interval, next)) = self.watchdog.filter(|(_, next)| now >= *next) {
            self.watchdog = Some((interval, next.max(now) + interval));
            self.send("WATCHDOG=1");
        }
    }

    fn send(&self, message: &str) {
        if let Some(socket) = &self.socket {
            let _ = socket.send(message.as_bytes());
        }
    }
}

/// A path, or `@` and a name in Linux's abstract namespace.
fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect_addr(&address(name)?)?;
    Ok(socket)
}

fn address(name: &OsStr) -> io::Result<SocketAddr> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(name) = name.as_bytes().strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt;
        return SocketAddr::from_abstract_name(name);
    }
    match name.as_bytes().first() {
        Some(b'/') => SocketAddr::from_pathname(name),
        _ => Err(io::Error::other("neither a path nor a name with @")),
    }
}

/// Half the time after which the watchdog bites, if it watches this process.
fn interval() -> Option<Duration> {
    let number = |name| env::var(name).ok()?.parse::<u64>().ok();
    let micros = number("WATCHDOG_USEC").filter(|&micros| micros > 0)?;
    let watches = match env::var_os("WATCHDOG_PID") {
        None => true,
        Some(_) => number("WATCHDOG_PID") == Some(u64::from(std::process::id())),
    };
    watches.then(|| Duration::from_micros(micros) / 2)
}
