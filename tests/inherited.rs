//! Sockets that are open before adit is: systemd's, a shell's; and what a
//! service manager hears.

#![cfg(feature = "activation")]
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::process::{Command, Output, Stdio};

use common::*;
use rustix::process::{Signal, geteuid};

/// As systemd does it: standard input becomes 3, and the process knows its id.
const ONE: &str = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1";

/// A shell that prepares descriptors and variables, and becomes adit.
fn adit(prelude: &str, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("{prelude} exec \"$0\" \"$@\""));
    command.arg(env!("CARGO_BIN_EXE_adit")).args(args);
    command
}

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// The same socket once more, for a process.
fn handle(listener: &TcpListener) -> Stdio {
    OwnedFd::from(listener.try_clone().unwrap()).into()
}

#[track_caller]
fn refuses(prelude: &str, listen: &str, input: impl Into<Stdio>, expected: &str) {
    let mut command = adit(prelude, &["serve", listen, "127.0.0.1:1"]);
    let Output { status, stderr, .. } = command.stdin(input).output().unwrap();
    let error = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{prelude}: {error}");
    let line = error.lines().last().unwrap();
    assert!(line.starts_with("adit: "), "{prelude}: {error}");
    assert!(line.contains(expected), "{prelude}: {error}");
}

#[test]
fn systemds_sockets_are_served_tcp_and_unix_and_by_name() {
    let temp = TempDir::new();
    let backend = Backend::named("hello");
    let (tcp, address) = listener();
    let unix = UnixListener::bind(temp.path("front")).unwrap();
    let prelude = "exec 3<&0 4<&1 </dev/null >/dev/null; \
        LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:admin";
    for (listen, served) in [("systemd", 2), ("systemd:web", 1), ("fd:3", 1)] {
        let mut command = adit(prelude, &["serve", listen, &backend.address]);
        let unix = OwnedFd::from(unix.try_clone().unwrap());
        command
            .stdin(handle(&tcp))
            .stdout(unix)
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        assert_eq!(Client::open(&address).payload(5), b"hello");
        if served == 2 {
            assert_eq!(Client::open(&temp.unix("front")).payload(5), b"hello");
        }
        child.kill().unwrap();
        let log = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
        let warned = log.contains("fd 4 was handed over, and no listener takes it");
        assert_eq!(warned, served == 1, "{log}");
        let shown = format!("listening on {}\n", temp.unix("front"));
        assert_eq!(log.contains(&shown), served == 2, "{log}");
    }
    // The one who made the file keeps it.
    assert!(temp.path("front").exists());
}

#[test]
fn what_systemd_says_has_to_be_true() {
    let none = || Stdio::null();
    for (prelude, expected) in [
        ("", "no socket was handed over: LISTEN_FDS is not set"),
        (
            "LISTEN_PID=$$ LISTEN_FDS=0",
            "no socket was handed over: LISTEN_FDS is 0",
        ),
        (
            "LISTEN_PID=1 LISTEN_FDS=1",
            "the sockets of LISTEN_FDS are for process 1, and this is ",
        ),
        (
            "LISTEN_PID=x LISTEN_FDS=1",
            "LISTEN_PID is \"x\", no number of a process",
        ),
        (
            "LISTEN_PID= LISTEN_FDS=1",
            "LISTEN_PID is \"\", no number of a process",
        ),
        (
            "LISTEN_PID=$$ LISTEN_FDS=x",
            "LISTEN_FDS is \"x\", no number of sockets",
        ),
        (
            "LISTEN_PID=$$ LISTEN_FDS=-1",
            "LISTEN_FDS is \"-1\", no number of sockets",
        ),
        (
            "LISTEN_PID=$$ LISTEN_FDS=4294967296",
            "LISTEN_FDS is \"4294967296\", no number of sockets",
        ),
        (
            "LISTEN_PID=$$ LISTEN_FDS=1000",
            "fd 3 is not open, or no TCP or Unix socket",
        ),
    ] {
        refuses(prelude, "systemd", none(), expected);
    }
    let (tcp, _) = listener();
    let expected = "fd 4 is not open, or no TCP or Unix socket";
    let many = ONE.replace("FDS=1", "FDS=1000");
    refuses(&many, "systemd", handle(&tcp), expected);
    let expected = "systemd:web: no socket of this name was handed over";
    refuses(ONE, "systemd:web", handle(&tcp), expected);
}

#[test]
fn only_a_socket_that_listens_is_taken() {
    let (tcp, address) = listener();
    let datagrams = || OwnedFd::from(UdpSocket::bind("127.0.0.1:0").unwrap());
    let connection = || OwnedFd::from(TcpStream::connect(&address).unwrap());
    let unbound = || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        OwnedFd::from(socket.unwrap())
    };
    let file = || OwnedFd::from(fs::File::open("/dev/null").unwrap());
    for (prelude, listen) in [
        (ONE, "systemd"),
        (ONE, "fd:3"),
        ("exec 3<&0 </dev/null;", "fd:3"),
        ("", "fd:0"),
    ] {
        let number = if prelude.is_empty() { 0 } else { 3 };
        let wrong = |what: &str| format!("fd {number} is {what}; a ");
        refuses(prelude, listen, datagrams(), &wrong("a datagram socket"));
        refuses(prelude, listen, connection(), &wrong("a connection"));
        let neither = wrong("a socket that neither listens nor is connected");
        refuses(prelude, listen, unbound(), &neither);
        let file = (file(), format!("fd {number} is no"));
        refuses(prelude, listen, file.0, &file.1);
    }
    refuses("", "fd:77", Stdio::null(), "fd 77 is not open");
    refuses("exec <&-;", "fd:0", Stdio::null(), "fd 0 is no socket");
    drop(tcp);
}

#[test]
fn closed_standard_streams_become_nobodys_socket() {
    let backend = Backend::echo();
    // What is printed there would come out in somebody's tunnel.
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        let (tcp, address) = listener();
        let prelude = format!("exec 3<&0 {closed}; LISTEN_PID=$$ LISTEN_FDS=1");
        let mut command = adit(&prelude, &["serve", "systemd", &backend.address, "-v"]);
        let mut child = Process::start(command.stdin(handle(&tcp)).stderr(Stdio::null()));
        let mut clients = [0; 3].map(|_| Client::open(&address));
        for client in &mut clients {
            client.send(BINARY, b"alone");
            assert_eq!(client.payload(5), b"alone", "{closed}");
        }
        for client in clients {
            client.close(1000);
        }
        child.signal(Signal::TERM);
        assert_eq!(child.code(), Some(0), "{closed}");
    }
}

#[test]
fn any_descriptor_is_served_by_its_number() {
    let (backend, (tcp, address)) = (Backend::named("hello"), listener());
    for (prelude, listen) in [("", "fd:0"), ("exec 7<&0 </dev/null;", "fd:7")] {
        let command = adit(prelude, &["serve", listen, &backend.address]);
        let adit = Adit::start_with(command, handle(&tcp));
        assert_eq!(adit.address, address);
        // O_NONBLOCK was not set: a second accept must not block the loop.
        for _ in 0..2 {
            assert_eq!(adit.client().payload(5), b"hello");
        }
    }
}

#[test]
fn a_reload_closes_and_opens_what_was_handed_over() {
    let temp = TempDir::new();
    let (backend, (tcp, address)) = (Backend::named("hello"), listener());
    let file = |listen: &str| {
        let route = format!("[[route]]\nbackend = \"{}\"\n", backend.address);
        temp.write(
            "adit.toml",
            &format!("[[listen]]\naddress = \"{listen}\"\n{route}"),
        )
    };
    let path = file("systemd");
    let command = adit(ONE, &["serve", "--config", &path]);
    let adit = Adit::start_with(command, handle(&tcp));
    assert_eq!(adit.client().payload(5), b"hello");
    for (n, listen) in ["127.0.0.1:0", "systemd", "systemd"].iter().enumerate() {
        file(listen);
        adit.signal(Signal::HUP);
        adit.wait_for_logs(n + 1, "reloaded");
    }
    assert_eq!(Client::open(&address).payload(5), b"hello");
    file("fd:77");
    adit.signal(Signal::HUP);
    adit.wait_for_log("cannot listen on fd:77: such a socket is only taken at the start");
    assert_eq!(Client::open(&address).payload(5), b"hello");
}

#[test]
fn without_clients_it_ends_and_the_next_client_finds_the_next_process() {
    let (backend, (tcp, address)) = (Backend::named("hello"), listener());
    for _ in 0..2 {
        // It waits in the socket's queue.
        let mut client = Client::connect(&address);
        let args = ["serve", "systemd", &backend.address, "--exit-idle", "100ms"];
        let mut adit = Adit::start_with(adit(ONE, &args), handle(&tcp));
        client.say(request("/", &[]).as_bytes());
        assert_eq!(client.response().status, 101);
        assert_eq!(client.payload(5), b"hello");
        drop(client);
        assert_eq!(adit.wait().code(), Some(0));
        adit.wait_for_log("stopped: no client was there for exit-idle");
    }
}

#[test]
fn a_client_that_stays_keeps_it_from_ending() {
    let (backend, (tcp, address)) = (Backend::echo(), listener());
    // It waits in the socket's queue, or it might be too late.
    let mut client = Client::connect(&address);
    let times = ["--exit-idle", "1ms", "--ping-interval", "50ms"];
    let args = [&["serve", "systemd", &backend.address], &times[..]].concat();
    let mut adit = Adit::start_with(adit(ONE, &args), handle(&tcp));
    client.say(request("/", &[]).as_bytes());
    assert_eq!(client.response().status, 101);
    // As good as any time: a hundred times as long as it would idle.
    let frame = client.frame();
    assert_eq!(frame.first, PING);
    client.send(PONG, &frame.payload);
    client.echoes(b"here");
    client.close(1000);
    assert_eq!(adit.wait().code(), Some(0));
}

#[test]
fn a_port_is_shared_only_if_all_of_them_say_so() {
    let backend = Backend::named("hello");
    let first = Adit::serve(&[&backend.address, "--reuse-port"]);
    let second = Adit::serve_on(&first.address, &[&backend.address, "--reuse-port"]);
    assert_eq!(first.address, second.address);
    let output = run(&["serve", &first.address, &backend.address]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let expected = format!("cannot listen on {}: Address already in use", first.address);
    assert!(
        error.contains(&expected) && error.contains("reuse-port"),
        "{error}"
    );
    drop(first);
    assert_eq!(second.client().payload(5), b"hello");

    let alone = Adit::serve(&[&backend.address]);
    let output = run(&["serve", &alone.address, &backend.address, "--reuse-port"]);
    assert_eq!(output.status.code(), Some(1));
}

/// What the service manager hears next.
fn heard(manager: &UnixDatagram) -> String {
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = [0; 4096];
    let n = manager.recv(&mut buffer).unwrap();
    String::from_utf8(buffer[..n].to_vec()).unwrap()
}

#[test]
fn the_service_manager_hears_of_every_change() {
    let temp = TempDir::new();
    let name = format!("adit-test-notify-{}", std::process::id());
    let hidden = SocketAddr::from_abstract_name(&name).unwrap();
    for (socket, manager) in [
        (
            temp.path("notify").display().to_string(),
            UnixDatagram::bind(temp.path("notify")).unwrap(),
        ),
        (
            format!("@{name}"),
            UnixDatagram::bind_addr(&hidden).unwrap(),
        ),
    ] {
        let mut command = adit("", &["serve", "127.0.0.1:0", "127.0.0.1:1"]);
        command.env("NOTIFY_SOCKET", socket);
        let mut adit = Adit::start(command);
        let ready = format!("READY=1\nSTATUS=listening on {}", adit.address);
        assert_eq!(heard(&manager), ready);
        adit.signal(Signal::HUP);
        let reloading = heard(&manager);
        let since = reloading
            .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
            .unwrap();
        assert!(since.parse::<u64>().unwrap() > 0);
        assert_eq!(heard(&manager), ready);
        adit.signal(Signal::TERM);
        assert_eq!(heard(&manager), "STOPPING=1\nSTATUS=stopping");
        assert_eq!(adit.wait().code(), Some(0));
    }
}

#[test]
fn the_service_manager_hears_of_who_has_changed_the_root() {
    if !geteuid().is_root() {
        eprintln!("not tried: this is not root");
        return;
    }
    let temp = TempDir::new();
    let manager = UnixDatagram::bind(temp.path("notify")).unwrap();
    fs::create_dir(temp.path("root")).unwrap();
    let root = temp.path("root").display().to_string();
    let args = ["127.0.0.1:0", "127.0.0.1:1", "--user=nobody", "--chroot"];
    let mut command = adit("", &["serve"]);
    command.args(args).arg(root);
    command.env("NOTIFY_SOCKET", temp.path("notify"));
    let mut adit = Adit::start(command);
    assert!(heard(&manager).starts_with("READY=1\n"));
    adit.signal(Signal::TERM);
    assert_eq!(heard(&manager), "STOPPING=1\nSTATUS=stopping");
    assert_eq!(adit.wait().code(), Some(0));
}

#[test]
fn an_empty_name_of_the_service_manager_is_none() {
    let backend = Backend::echo();
    for (name, warned) in [("", false), ("/nowhere", true), ("relative", true)] {
        let mut command = adit("", &["serve", "127.0.0.1:0", &backend.address]);
        command.env("NOTIFY_SOCKET", name);
        let adit = Adit::start(command);
        let _client = adit.client();
        adit.wait_for_log("opened: ");
        let log = adit.log();
        let warning = format!("cannot reach the service manager at {name}: ");
        assert_eq!(log.contains(&warning), warned, "{log}");
    }
}

#[test]
fn the_watchdog_hears_again_and_again_if_it_watches_this_process() {
    let temp = TempDir::new();
    let manager = UnixDatagram::bind(temp.path("notify")).unwrap();
    for (prelude, watched) in [
        ("WATCHDOG_USEC=20000 WATCHDOG_PID=$$", true),
        ("WATCHDOG_USEC=20000", true),
        ("WATCHDOG_USEC=20000 WATCHDOG_PID=1", false),
        ("WATCHDOG_USEC=0", false),
    ] {
        let mut command = adit(prelude, &["serve", "127.0.0.1:0", "127.0.0.1:1"]);
        command.env("NOTIFY_SOCKET", temp.path("notify"));
        let mut adit = Adit::start(command);
        assert!(heard(&manager).starts_with("READY=1\n"));
        if watched {
            for _ in 0..3 {
                assert_eq!(heard(&manager), "WATCHDOG=1");
            }
        }
        adit.signal(Signal::TERM);
        adit.wait();
        let mut last = heard(&manager);
        while watched && last == "WATCHDOG=1" {
            last = heard(&manager);
        }
        assert_eq!(last, "STOPPING=1\nSTATUS=stopping", "{prelude}");
    }
}
