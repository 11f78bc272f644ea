//! The log: how much, how it looks, where it goes, and that a reader who is
//! stuck costs lines and nothing else. And the pid file.

#![cfg(all(feature = "config-file", feature = "sandbox", feature = "activation"))]
#![allow(clippy::unwrap_used)]

mod common;

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::iter;
use std::net::{Shutdown, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{ChildStderr, Command, Stdio};

use common::*;
use rustix::fs::OFlags;
use rustix::process::{Signal, geteuid};

fn adit(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_adit"));
    command.args(args);
    command
}

#[test]
fn signals_move_the_level_up_and_down() {
    let (adit, _backend) = echo(&[]);
    for (n, (signal, expected)) in [
        (Signal::USR2, "WARN  log level: warn"),
        (Signal::USR2, "ERROR log level: error"),
        (Signal::USR2, "ERROR log level: error"),
        (Signal::USR1, "WARN  log level: warn"),
        (Signal::USR1, "INFO  log level: info"),
        (Signal::USR1, "DEBUG log level: debug"),
        (Signal::USR1, "DEBUG log level: debug"),
    ]
    .into_iter()
    .enumerate()
    {
        adit.signal(signal);
        let line = adit.wait_for_logs(n + 1, "log level: ").pop().unwrap();
        assert!(line.ends_with(expected), "{line}");
        if n == 1 {
            // Neither its opening nor its close is logged.
            adit.client().close(1000);
        }
    }
    let _client = adit.client();
    assert!(adit.wait_for_log("opened: ").contains("#2 "));
}

#[test]
fn the_environment_says_what_is_logged() {
    let backend = Backend::echo();
    let start = |rules: &str, options: &[&str]| {
        let args = [&["serve", "127.0.0.1:0", &backend.address], options].concat();
        let mut command = adit(&args);
        command.env("RUST_LOG", rules);
        Adit::start(command)
    };
    let all = start("debug", &["--quiet"]);
    all.wait_for_log("DEBUG ");
    let listeners = start("off,adit::server::listening=info", &["--verbose"]);
    let _client = listeners.client();
    listeners.signal(Signal::USR1);
    listeners.signal(Signal::USR2);
    listeners.signal(Signal::TERM);
    listeners.signal(Signal::INT);
    let log = {
        let mut adit = listeners;
        adit.wait();
        adit.log()
    };
    assert!(
        log.lines().all(|line| line.contains("listening on ")),
        "{log}"
    );
}

#[test]
fn json_is_an_object_a_line() {
    let backend = Backend::echo();
    let adit = Adit::serve(&[&backend.address, "--log-format", "json"]);
    adit.client().close(1000);
    adit.wait_for_log("closed: ");
    for line in adit.log().lines() {
        let rest = line.strip_prefix("{\"time\":\"2").expect(line);
        let (time, rest) = rest.split_once("Z\",\"level\":\"").expect(line);
        assert_eq!(time.len(), "026-11-22T06:26:36.042".len(), "{line}");
        let (level, rest) = rest.split_once("\",\"message\":\"").expect(line);
        assert!(["info", "warn"].contains(&level), "{line}");
        let message = rest.strip_suffix("\"}").expect(line);
        assert!(!message.replace("\\\"", "").contains('"'), "{line}");
    }
}

#[test]
fn the_journal_gets_priorities_and_no_time() {
    let backend = Backend::echo();
    let start = |descriptor: u8| {
        let mut command = Command::new("sh");
        let stream = format!("stat -L -c %d:%i /proc/self/fd/{descriptor}");
        command.arg("-c");
        command.arg(format!("JOURNAL_STREAM=$({stream}) exec \"$@\""));
        command.args(["sh", env!("CARGO_BIN_EXE_adit"), "serve", "127.0.0.1:0"]);
        command.arg(&backend.address);
        Adit::start(command).log()
    };
    let journals = start(2);
    assert!(journals.contains("<6>INFO  listening on "), "{journals}");
    assert!(
        journals.lines().all(|line| line.starts_with('<')),
        "{journals}"
    );
    // Standard error is not what the journal once gave.
    let others = start(0);
    assert!(others.starts_with('2'), "{others}");
}

/// Reads up to a line with this pattern, and no further.
fn read_line_with(pattern: &str, stderr: &mut ChildStderr) -> String {
    let mut line = Vec::new();
    loop {
        let mut byte = [0];
        stderr.read_exact(&mut byte).unwrap();
        match byte {
            [b'\n'] if String::from_utf8_lossy(&line).contains(pattern) => {
                return String::from_utf8(line).unwrap();
            }
            [b'\n'] => line.clear(),
            [byte] => line.push(byte),
        }
    }
}

#[test]
fn a_standard_error_that_nobody_reads_costs_lines_and_nothing_else() {
    let backend = Backend::echo();
    let mut command = adit(&["serve", "127.0.0.1:0", &backend.address]);
    let mut child = Process::start(command.stderr(Stdio::piped()));
    let mut stderr = child.0.stderr.take().unwrap();
    let line = read_line_with("listening on ", &mut stderr);
    let address = line.split_once("listening on ").unwrap().1;
    let echo = |text: &[u8; 3]| {
        let mut client = Client::open(address);
        client.echoes(text);
        client.close(1000);
    };
    // Then it has no more to say for now: what is written while the pipe is
    // filled could find no room that poll(2) has seen.
    echo(b"one");
    read_line_with("#1 ", &mut stderr);
    read_line_with("#1 ", &mut stderr);

    // Another way into the same pipe, which alone does not block.
    let mut filler = OpenOptions::new()
        .write(true)
        .custom_flags(OFlags::NONBLOCK.bits() as i32)
        .open(format!("/proc/self/fd/{}", stderr.as_raw_fd()))
        .unwrap();
    let mut fill = |piece: &[u8]| loop {
        match filler.write(piece) {
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => break,
            Err(e) => panic!("{e}"),
        }
    };
    fill(&[b'\n'; 4096]);
    fill(b"\n");
    echo(b"two");
    echo(b"six");
    // The last writer but adit itself.
    drop(filler);
    while let Ok(left @ 1..) = rustix::io::ioctl_fionread(&stderr) {
        stderr.read_exact(&mut vec![0; left as usize]).unwrap();
    }
    let _client = Client::open(address);
    let line = read_line_with("are not in the log", &mut stderr);
    assert!(line.contains("WARN  "), "{line}");
    read_line_with("#4 ", &mut stderr);
    child.signal(Signal::TERM);
}

/// `unshare` into a world of its own, in which `mount` is allowed; `None` where
/// the system does not let it.
fn apart() -> Option<Command> {
    let mut options = vec!["--mount"];
    if !geteuid().is_root() {
        options.extend(["--user", "--map-root-user"]);
    }
    let apart = || {
        let mut command = Command::new("unshare");
        command.args(&options);
        command
    };
    let tried = apart()
        .args(["mount", "-t", "tmpfs", "none", "/dev"])
        .status();
    tried.is_ok_and(|status| status.success()).then(apart)
}

/// `adit ARGS…` where `/dev/log` is the socket `log` of this folder.
fn with_syslog(temp: &TempDir, args: &[&str]) -> Option<Command> {
    let mut command = apart()?;
    command.args(["sh", "-c"]);
    command.arg("mount -t tmpfs none /dev && ln -s \"$0\" /dev/log && exec \"$@\"");
    command.arg(temp.path("log"));
    command.arg(env!("CARGO_BIN_EXE_adit")).args(args);
    Some(command)
}

fn daemon(temp: &TempDir) -> UnixDatagram {
    let daemon = UnixDatagram::bind(temp.path("log")).unwrap();
    daemon.set_read_timeout(Some(PATIENCE)).unwrap();
    daemon
}

fn next_line(daemon: &UnixDatagram) -> io::Result<String> {
    let mut buffer = [0; 2048];
    let length = daemon.recv(&mut buffer)?;
    Ok(String::from_utf8(buffer[..length].to_vec()).unwrap())
}

/// The first line with this pattern that comes.
fn receive(daemon: &UnixDatagram, pattern: &str) -> String {
    loop {
        let line = next_line(daemon).unwrap();
        if line.contains(pattern) {
            return line;
        }
    }
}

#[test]
fn the_systems_log_may_be_full_or_gone_and_come_back() {
    let temp = TempDir::new();
    let backend = Backend::echo();
    let front = temp.unix("front");
    let Some(mut command) = with_syslog(&temp, &["serve", &front, &backend.address, "--syslog"])
    else {
        eprintln!("not tried: no mount namespaces here");
        return;
    };
    let syslog = daemon(&temp);
    let child = Process::start(command.stderr(Stdio::null()));
    let line = receive(&syslog, "listening on ");
    let (head, message) = line.split_once(" - - ").expect(&line);
    assert!(message.starts_with("INFO  listening on unix:"), "{line}");
    assert!(head.starts_with("<30>1 2"), "{line}");
    assert!(head.ends_with(&format!(" adit {}", child.0.id())), "{line}");

    let echo = |text: &[u8; 3]| {
        let mut client = Client::open(&front);
        client.echoes(text);
        client.close(1000);
    };
    // The queue of such a socket is short; two lines are for each tunnel.
    let queue = fs::read_to_string("/proc/sys/net/unix/max_dgram_qlen").unwrap();
    for _ in 0..queue.trim().parse::<u32>().unwrap() {
        echo(b"one");
    }
    syslog.set_nonblocking(true).unwrap();
    let queued: Vec<_> = iter::from_fn(|| next_line(&syslog).ok()).collect();
    syslog.set_nonblocking(false).unwrap();
    let missing = "are not in the log";
    // A line that waited for room may have come while room was made.
    let told = queued.into_iter().find(|line| line.contains(missing));
    let line = told.unwrap_or_else(|| {
        echo(b"two");
        receive(&syslog, missing)
    });
    assert!(line.starts_with("<28>1 "), "{line}");

    // Another test's child may have it for a moment more.
    syslog.shutdown(Shutdown::Both).unwrap();
    drop(syslog);
    fs::remove_file(temp.path("log")).unwrap();
    echo(b"six");
    let syslog = daemon(&temp);
    echo(b"ten");
    receive(&syslog, "opened: ");
    child.signal(Signal::TERM);
    receive(&syslog, "stopped");
}

#[test]
fn without_a_systems_log_there_is_no_start_and_a_failed_start_is_in_it() {
    let temp = TempDir::new();
    let output = |args: &[&str]| {
        let mut command = with_syslog(&temp, args)?;
        Some(command.output().unwrap())
    };
    let serve = ["serve", "unix:/no/such/folder", "127.0.0.1:9", "--syslog"];
    let connect = [
        "connect",
        "unix:/no/such/folder",
        "ws://127.0.0.1:9",
        "--syslog",
    ];
    for args in [serve, connect] {
        let Some(without) = output(&args) else {
            eprintln!("not tried: no mount namespaces here");
            return;
        };
        assert_eq!(without.status.code(), Some(1));
        let text = String::from_utf8(without.stderr).unwrap();
        let expected = "adit: cannot reach the system's log at /dev/log: ";
        assert!(text.starts_with(expected), "{text}");
    }

    let syslog = daemon(&temp);
    for args in [serve, connect] {
        let failed = output(&args).unwrap();
        assert_eq!(failed.status.code(), Some(1));
        let line = receive(&syslog, "ERROR ");
        let (_, message) = line.split_once("ERROR ").unwrap();
        assert_eq!(failed.stderr, format!("{message}\n").into_bytes());
    }
}

#[test]
fn the_socket_of_the_systems_log_outlives_what_is_given_up() {
    let temp = TempDir::new();
    let backend = Backend::echo();
    let front = temp.unix("front");
    fs::create_dir(temp.path("root")).unwrap();
    let root = temp.path("root");
    let mut args = vec![
        front.as_str(),
        &backend.address,
        "--syslog",
        "--sandbox=require",
    ];
    if geteuid().is_root() {
        args.extend(["--user", "nobody", "--chroot", root.to_str().unwrap()]);
    }
    let Some(mut command) = with_syslog(&temp, &[&["serve"], &args[..]].concat()) else {
        eprintln!("not tried: no mount namespaces here");
        return;
    };
    let syslog = daemon(&temp);
    let _child = Process::start(command.stderr(Stdio::null()));
    receive(&syslog, "sandboxed: ");
    let _client = Client::open(&front);
    receive(&syslog, "opened: ");
}

#[test]
fn the_pid_file_is_there_while_it_runs() {
    let temp = TempDir::new();
    let backend = Backend::echo();
    let pid = temp.path("pid");
    let name = pid.to_str().unwrap();
    let start = || Adit::serve(&[&backend.address, "--pid-file", name]);
    let mut first = start();
    let _client = first.client();
    assert_eq!(
        fs::read_to_string(&pid).unwrap(),
        format!("{}\n", first.id())
    );

    let second = run(&["serve", "127.0.0.1:0", "127.0.0.1:9", "--pid-file", name]);
    assert_eq!(second.status.code(), Some(1));
    let text = String::from_utf8(second.stderr).unwrap();
    let expected = format!(
        "adit: {name} is held by a running adit (pid {})\n",
        first.id()
    );
    assert!(text.ends_with(&expected), "{text}");
    // Who waits for this line waits for one that runs.
    assert!(!text.contains("listening on "), "{text}");

    // Who cannot even listen leaves the file alone.
    let other = temp.path("other");
    let pid_file = ["--pid-file", other.to_str().unwrap()];
    let taken = ["serve", first.address.as_str(), backend.address.as_str()];
    let third = run(&[&taken[..], &pid_file].concat());
    assert_eq!(third.status.code(), Some(1));
    assert!(!other.exists());

    // It is stale after an end that was not clean.
    first.signal(Signal::KILL);
    first.wait();
    assert!(pid.exists());
    for last in [[Signal::TERM, Signal::INT], [Signal::INT, Signal::TERM]] {
        let mut adit = start();
        let _client = adit.client();
        assert_eq!(
            fs::read_to_string(&pid).unwrap(),
            format!("{}\n", adit.id())
        );
        adit.signal(last[0]);
        adit.signal(last[1]);
        adit.wait();
        assert!(!pid.exists());
    }
}

#[test]
fn a_pid_file_that_is_out_of_reach_at_the_end_is_left_empty() {
    if !geteuid().is_root() {
        eprintln!("not tried: this is not root");
        return;
    }
    let temp = TempDir::new();
    let backend = Backend::echo();
    let pid = temp.path("pid");
    let name = pid.to_str().unwrap();
    fs::create_dir(temp.path("root")).unwrap();
    let root = temp.path("root");
    for options in [
        &["--user", "nobody"][..],
        &["--user=root", "--chroot", root.to_str().unwrap()],
    ] {
        let args = [&[backend.address.as_str(), "--pid-file", name], options].concat();
        let mut adit = Adit::serve(&args);
        let _client = adit.client();
        assert_eq!(
            fs::read_to_string(&pid).unwrap(),
            format!("{}\n", adit.id())
        );
        adit.signal(Signal::TERM);
        adit.signal(Signal::INT);
        adit.wait();
        assert_eq!(fs::read_to_string(&pid).unwrap(), "");
    }
}

#[test]
fn a_reload_leaves_the_pid_file_where_it_is() {
    let temp = TempDir::new();
    let backend = Backend::echo();
    let text = |pid: &str| {
        let pid = temp.path(pid);
        format!(
            "pid-file = \"{}\"\n[[listen]]\naddress = \"127.0.0.1:0\"\n[[route]]\nbackend = \"{}\"\n",
            pid.display(),
            backend.address
        )
    };
    let file = temp.write("adit.toml", &text("one"));
    let mut adit = Adit::configured(&file, &[]);
    let _client = adit.client();
    temp.write("adit.toml", &text("two"));
    adit.signal(Signal::HUP);
    adit.wait_for_log("pid-file stays as it is until a restart");
    adit.wait_for_log("reloaded");
    assert!(temp.path("one").exists() && !temp.path("two").exists());
    adit.signal(Signal::TERM);
    adit.signal(Signal::INT);
    adit.wait();
    assert!(!temp.path("one").exists());
}

/// Starts `command` on a socket that is all three, and yields the client's end.
fn as_inetd(mut command: Command) -> (Process, Socket) {
    let (client, server) = UnixStream::pair().unwrap();
    let server = OwnedFd::from(server);
    let handle = || Stdio::from(server.try_clone().unwrap());
    command.stdin(handle()).stdout(handle()).stderr(handle());
    let child = Process::start(&mut command);
    (child, Socket::Unix(client).prepared())
}

#[test]
fn what_inetd_starts_logs_there_if_standard_error_is_the_client() {
    let temp = TempDir::new();
    let backend = Backend::echo();
    let syslog = daemon(&temp);
    for (options, status, code, expected) in [
        (&["-q"][..], 101, 0, ""),
        (&[], 101, 0, "INFO  #1 unix closed: client close, 1000"),
        (
            &["--nonsense"],
            500,
            2,
            "ERROR adit: unrecognized argument: --nonsense",
        ),
        (
            &["--help"],
            500,
            2,
            "ERROR adit: --help, and standard output is the client's socket",
        ),
        (&["--config=/nowhere"], 500, 2, "ERROR adit: "),
        (
            &["--tls-cert=/x", "--tls-key=/x"],
            500,
            1,
            "ERROR adit: listener fd:0: /x: the certificate cannot be read: No such file",
        ),
    ] {
        let args = [&["inetd", &backend.address], options].concat();
        let Some(command) = with_syslog(&temp, &args) else {
            eprintln!("not tried: no mount namespaces here");
            return;
        };
        let (mut child, client) = as_inetd(command);
        let (client, response) = Client::over(client, "/", &[]);
        assert_eq!(response.status, status);
        match status {
            101 => client.close(1000),
            _ => drop(client),
        }
        if !expected.is_empty() {
            receive(&syslog, expected);
        }
        assert_eq!(child.code(), Some(code), "{options:?}");
    }
}

#[test]
fn a_systems_log_that_is_full_keeps_nobody_from_what_inetd_starts() {
    let temp = TempDir::new();
    let backend = Backend::echo();
    let _full = daemon(&temp);
    let filler = UnixDatagram::unbound().unwrap();
    filler.set_nonblocking(true).unwrap();
    while filler.send_to(b"full", temp.path("log")).is_ok() {}
    for (option, status, code) in [("--verbose", 101, 0), ("--nonsense", 500, 2)] {
        let Some(command) = with_syslog(&temp, &["inetd", &backend.address, option]) else {
            eprintln!("not tried: no mount namespaces here");
            return;
        };
        let (mut child, client) = as_inetd(command);
        let (mut client, response) = Client::over(client, "/", &[]);
        assert_eq!(response.status, status);
        if status == 101 {
            client.send(BINARY, b"served");
            assert_eq!(client.payload(6), b"served");
            client.close(1000);
        } else {
            drop(client);
        }
        assert_eq!(child.code(), Some(code));
    }
}

#[test]
fn without_a_systems_log_inetd_starts_nothing_over_and_over() {
    let temp = TempDir::new();
    let Some(mut command) = with_syslog(&temp, &["inetd", "127.0.0.1:9", "--syslog"]) else {
        eprintln!("not tried: no mount namespaces here");
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    command.stdin(OwnedFd::from(listener.try_clone().unwrap()));
    let mut waiting = Client::connect(&address);
    let mut child = Process::start(command.stderr(Stdio::piped()));
    assert_eq!(waiting.response().status, 500);
    waiting.socket.finish();
    assert_eq!(child.code(), Some(1));
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody waits");
}
