//! The binary as a child process: its address, its log, its end.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use super::{Client, PATIENCE};

/// A running adit. Dropped, it is killed; dropped by a panic, its log is shown.
pub struct Adit {
    /// What its first listener is bound to, as [`Socket::connect`] takes it.
    pub address: String,
    child: Child,
    output: Arc<Log>,
    log: Arc<Log>,
}

/// The lines so far, and whether the last one has come.
#[derive(Default)]
struct Log {
    lines: Mutex<(Vec<String>, bool)>,
    changed: Condvar,
}

impl Adit {
    /// `adit serve 127.0.0.1:0 ARGS…`
    pub fn serve(args: &[&str]) -> Self {
        Self::serve_on("127.0.0.1:0", args)
    }

    /// `adit serve LISTEN ARGS…`
    pub fn serve_on(listen: &str, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_adit"));
        command.arg("serve").arg(listen).args(args);
        Self::start(command)
    }

    /// `adit serve --config FILE ARGS…`
    pub fn configured(file: &str, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_adit"));
        command.args(["serve", "--config", file]).args(args);
        Self::start(command)
    }

    /// `adit demo` on a free port.
    pub fn demo() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_adit"));
        command.args(["demo", "--listen", "127.0.0.1:0"]);
        let mut adit = Self::spawn(command, Stdio::null());
        // The address is all that it prints: `http://127.0.0.1:41234/`.
        let line = adit.output.wait_for(1, "http://").remove(0);
        let address = line.trim().strip_prefix("http://").expect(&line);
        adit.address = address.trim_end_matches('/').to_owned();
        adit
    }

    /// Starts `command` and waits until it listens.
    pub fn start(command: Command) -> Self {
        Self::start_with(command, Stdio::null())
    }

    /// The same with something on standard input.
    pub fn start_with(command: Command, input: impl Into<Stdio>) -> Self {
        let mut adit = Self::spawn(command, input);
        adit.address = listener_in(&adit.wait_for_log("listening on "));
        adit
    }

    /// Starts `command`, which may have no address.
    pub fn spawn(mut command: Command, input: impl Into<Stdio>) -> Self {
        let mut child = command
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Adit {
            address: String::new(),
            output: Log::of(child.stdout.take().unwrap()),
            log: Log::of(child.stderr.take().unwrap()),
            child,
        }
    }

    /// The addresses of its first `n` listeners, in the order of the log.
    #[track_caller]
    pub fn addresses(&self, n: usize) -> Vec<String> {
        let lines = self.log.wait(|lines| {
            let found: Vec<_> = lines
                .iter()
                .filter(|line| line.contains("listening on "))
                .map(|line| listener_in(line))
                .collect();
            (found.len() >= n).then_some(found)
        });
        lines.unwrap_or_else(|| panic!("fewer than {n} listeners in the log"))
    }

    /// An open tunnel to `/`.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::open(&self.address)
    }

    /// The first line that contains `pattern`, now or within [`PATIENCE`].
    #[track_caller]
    pub fn wait_for_log(&self, pattern: &str) -> String {
        self.wait_for_logs(1, pattern).remove(0)
    }

    /// The first `n` lines that contain `pattern`.
    #[track_caller]
    pub fn wait_for_logs(&self, n: usize, pattern: &str) -> Vec<String> {
        self.log.wait_for(n, pattern)
    }

    /// The log so far.
    pub fn log(&self) -> String {
        self.log.lines.lock().unwrap().0.join("\n")
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its exit status; the end of the log says that the end has come.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        self.log
            .wait_for_end()
            .then(|| self.child.wait().unwrap())
            .expect("adit does not end")
    }
}

impl Drop for Adit {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("---- adit's log\n{}\n----", self.log());
        }
    }
}

impl Log {
    /// Keeps the lines of `stream`, on a thread, until it ends.
    fn of(stream: impl Read + Send + 'static) -> Arc<Self> {
        let log = Arc::new(Self::default());
        let keeper = Arc::clone(&log);
        thread::spawn(move || {
            for line in BufReader::new(stream).lines() {
                keeper.push(line.unwrap());
            }
            keeper.end();
        });
        log
    }

    #[track_caller]
    fn wait_for(&self, n: usize, pattern: &str) -> Vec<String> {
        let lines = self.wait(|lines| {
            let found = lines.iter().filter(|line| line.contains(pattern));
            let found: Vec<_> = found.take(n).cloned().collect();
            (found.len() == n).then_some(found)
        });
        lines.unwrap_or_else(|| panic!("fewer than {n} lines contain {pattern:?}"))
    }

    fn push(&self, line: String) {
        self.lines.lock().unwrap().0.push(line);
        self.changed.notify_all();
    }

    fn end(&self) {
        self.lines.lock().unwrap().1 = true;
        self.changed.notify_all();
    }

    /// What `find` finds, as soon as it does; `None` when the log has ended
    /// without, or patience has.
    fn wait<T>(&self, find: impl Fn(&[String]) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.lines.lock().unwrap();
        loop {
            let found = find(&state.0);
            let left = deadline.saturating_duration_since(Instant::now());
            if found.is_some() || state.1 || left.is_zero() {
                return found;
            }
            state = self.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    fn wait_for_end(&self) -> bool {
        let state = self.lines.lock().unwrap();
        let wait = self
            .changed
            .wait_timeout_while(state, PATIENCE, |state| !state.1);
        !wait.unwrap().1.timed_out()
    }
}

/// Runs `adit ARGS…` to its end, which must come without a signal.
pub fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_adit"))
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// `127.0.0.1:41234` of `… listening on 127.0.0.1:41234 …`.
fn listener_in(line: &str) -> String {
    let (_, address) = line.split_once("listening on ").unwrap();
    let end = address.find([' ', ',', '"']).unwrap_or(address.len());
    address[..end].to_owned()
}
