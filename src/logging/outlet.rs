//! The way out: standard error, or the system's log. Neither may hold up the
//! loop.
//!
//! Standard error can be a pipe that nobody reads, and is often shared, so it
//! is not made non-blocking: each piece is written only when poll(2) says that
//! it fits. The system's log is a non-blocking datagram socket. It is connected
//! before the process gives anything up, which the socket outlives; when the
//! daemon has been restarted it is connected again, as far as `/dev/log` can
//! still be reached.
//!
//! A burst of lines may be faster than its reader, so a line may wait a little
//! for room; all waits together are bounded by [`Patience`].
//!
//! No crate does this: `syslog` 7.0 sends on a blocking socket and needs eight
//! crates to format a line that is one `format!`, and those that speak to the
//! journal alone need systemd.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;

/// Where the system's log listens.
pub const DEV_LOG: &str = "/dev/log";

/// What surely fits into a pipe or a socket that poll(2) calls writable:
/// PIPE_BUF (pipe(7)).
const PIECE: usize = 4096;

/// Where lines go, and how many did not get there.
#[derive(Debug)]
pub struct Outlet {
    way: Way,
    patience: Patience,
    lost: u64,
}

#[derive(Debug)]
enum Way {
    Stderr {
        /// Whether the last line lacks its end.
        is_cut: bool,
    },
    Syslog {
        socket: UnixDatagram,
        path: PathBuf,
    },
}

impl Outlet {
    /// Standard error.
    pub fn stderr() -> Self {
        Outlet::of(Way::Stderr { is_cut: false })
    }

    /// The system's log, whose socket this is.
    ///
    /// # Errors
    /// It cannot be reached.
    pub fn syslog(path: &Path) -> Result<Self, String> {
        let socket = connect(path)
            .map_err(|e| format!("cannot reach the system's log at {}: {e}", path.display()))?;
        let path = path.to_owned();
        Ok(Outlet::of(Way::Syslog { socket, path }))
    }

    fn of(way: Way) -> Self {
        Outlet {
            way,
            patience: Patience::new(),
            lost: 0,
        }
    }

    /// Sends a line with its end; `false`: it is lost.
    pub fn send(&mut self, line: &str) -> bool {
        let patience = &mut self.patience;
        let sent = match &mut self.way {
            Way::Stderr { is_cut } => {
                let pieces = is_cut.then_some("\n").into_iter().chain([line]);
                let pieces = pieces.flat_map(|text| text.as_bytes().chunks(PIECE));
                let mut written = 0;
                let sent = write(pieces, patience, &mut written);
                *is_cut = sent.is_err() && (*is_cut || written > 0);
                sent
            }
            Way::Syslog { socket, path } => {
                // The end of a datagram is the end of the line.
                let line = line.trim_end().as_bytes();
                socket
                    .send(line)
                    .or_else(|e| {
                        if e.kind() == ErrorKind::WouldBlock {
                            patience.wait(socket.as_fd())?;
                        } else {
                            *socket = connect(path)?;
                        }
                        socket.send(line)
                    })
                    .map(drop)
            }
        };
        sent.is_ok()
    }

    /// Notes that a line is lost.
    pub fn lose(&mut self) {
        self.lost += 1;
    }

    /// What to say about lost lines before the next, if there are any.
    pub fn excuse(&self) -> Option<String> {
        let lost = self.lost;
        (lost > 0).then(|| format!("{lost} lines are not in the log: nobody took them"))
    }

    /// It is said.
    pub fn excused(&mut self) {
        self.lost = 0;
    }
}

/// Writes to standard error, piece by piece.
fn write<'a>(
    pieces: impl Iterator<Item = &'a [u8]>,
    patience: &mut Patience,
    written: &mut usize,
) -> io::Result<()> {
    let stderr = io::stderr();
    for mut piece in pieces {
        while !piece.is_empty() {
            patience.wait(stderr.as_fd())?;
            let taken = retry_on_intr(|| rustix::io::write(&stderr, piece))?;
            *written += taken;
            piece = &piece[taken..];
        }
    }
    Ok(())
}

/// A socket that is connected and never blocks.
fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect(path)?;
    Ok(socket)
}

/// How long lines wait for room: all together at most a tenth of the time, so
/// that a reader that is stuck costs the tunnels next to nothing.
#[derive(Debug)]
struct Patience {
    left: Duration,
    since: Instant,
}

impl Patience {
    /// The most that is saved up, and so the longest wait.
    const MOST: Duration = Duration::from_millis(100);

    fn new() -> Self {
        Patience {
            left: Self::MOST,
            since: Instant::now(),
        }
    }

    /// Waits until there is room.
    fn wait(&mut self, fd: BorrowedFd<'_>) -> io::Result<()> {
        if has_room(fd, Duration::ZERO)? {
            return Ok(());
        }
        let now = Instant::now();
        let earned = now.duration_since(self.since) / 10;
        self.left = Self::MOST.min(self.left + earned);
        let has_room = has_room(fd, self.left);
        self.since = Instant::now();
        self.left = self.left.saturating_sub(self.since - now);
        match has_room? {
            true => Ok(()),
            false => Err(ErrorKind::WouldBlock.into()),
        }
    }
}

fn has_room(fd: BorrowedFd<'_>, within: Duration) -> io::Result<bool> {
    let within = Timespec {
        tv_sec: 0,
        tv_nsec: within.subsec_nanos().into(),
    };
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
    // An error counts as room: the write says which it is.
    Ok(retry_on_intr(|| poll(&mut fds, Some(&within)))? > 0)
}

/// Whether standard error is the journal's (systemd.exec(5), JOURNAL_STREAM).
pub fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let stderr = rustix::fs::fstat(io::stderr());
    stderr.is_ok_and(|stderr| format!("{}:{}", stderr.st_dev, stderr.st_ino) == stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A folder that is removed again, for the log's socket.
    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str) -> Self {
            let name = format!("adit-syslog-{test}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }

        fn log(&self) -> PathBuf {
            self.0.join("log")
        }

        fn daemon(&self) -> UnixDatagram {
            let daemon = UnixDatagram::bind(self.log()).unwrap();
            daemon.set_nonblocking(true).unwrap();
            daemon
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn received(daemon: &UnixDatagram) -> Option<String> {
        let mut buffer = [0; 256];
        let length = daemon.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
    }

    #[test]
    fn a_line_is_a_datagram_without_its_end() {
        let folder = Folder::new("line");
        let daemon = folder.daemon();
        let mut outlet = Outlet::syslog(&folder.log()).unwrap();
        assert!(outlet.send("a b\n"));
        assert_eq!(received(&daemon).unwrap(), "a b");
        assert_eq!(outlet.excuse(), None);
    }

    #[test]
    fn a_log_that_nobody_reads_loses_lines_until_there_is_room() {
        let folder = Folder::new("full");
        let daemon = folder.daemon();
        let mut outlet = Outlet::syslog(&folder.log()).unwrap();
        let taken = (0..1_000_000).take_while(|_| outlet.send("x")).count();
        assert!(taken < 1_000_000, "it is never full");
        outlet.patience.left = Duration::ZERO;
        assert!(!outlet.send("y"));
        assert_eq!(
            (0..).take_while(|_| received(&daemon).is_some()).count(),
            taken
        );
        assert!(outlet.send("z"));
        assert_eq!(received(&daemon).unwrap(), "z");
    }

    #[test]
    fn a_daemon_that_comes_back_is_found_again() {
        let folder = Folder::new("back");
        let first = folder.daemon();
        let mut outlet = Outlet::syslog(&folder.log()).unwrap();
        drop(first);
        assert!(!outlet.send("a"));
        fs::remove_file(folder.log()).unwrap();
        assert!(!outlet.send("b"));
        let second = folder.daemon();
        assert!(outlet.send("c"));
        assert_eq!(received(&second).unwrap(), "c");
    }

    #[test]
    fn no_daemon_is_an_error_at_the_start() {
        let folder = Folder::new("none");
        let error = Outlet::syslog(&folder.log()).unwrap_err();
        let expected = format!(
            "cannot reach the system's log at {}: ",
            folder.log().display()
        );
        assert!(error.starts_with(&expected), "{error}");
    }

    #[test]
    fn lost_lines_are_counted_until_that_is_said() {
        let mut outlet = Outlet::stderr();
        outlet.lose();
        outlet.lose();
        let excuse = outlet.excuse().unwrap();
        assert_eq!(excuse, "2 lines are not in the log: nobody took them");
        outlet.excused();
        assert_eq!(outlet.excuse(), None);
    }

    #[test]
    fn all_waits_together_are_bounded() {
        let (one, other) = UnixDatagram::pair().unwrap();
        one.set_nonblocking(true).unwrap();
        while one.send(b"x").is_ok() {}
        let mut patience = Patience::new();
        for _ in 0..3 {
            let error = patience.wait(one.as_fd()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            assert!(patience.left < Patience::MOST);
        }
        drop(other);
    }
}
