//! `adit inetd`: one connection or a listener, on standard input, output and
//! error alike.

#![cfg(feature = "activation")]
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitStatus, Output, Stdio};

use common::*;
use rustls::Connection;
use socket2::{Domain, Type};

/// As inetd starts it: the socket is all three.
fn inetd(socket: impl Into<OwnedFd>, args: &[&str]) -> Process {
    let socket = socket.into();
    let handle = || Stdio::from(socket.as_fd().try_clone_to_owned().unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_adit"));
    command.arg("inetd").args(args);
    command.stdin(handle()).stdout(handle()).stderr(handle());
    Process::start(&mut command)
}

/// A connection over TCP: the client's end and that for adit.
fn tcp_pair() -> (Socket, OwnedFd) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (
        Socket::Tcp(client).prepared(),
        listener.accept().unwrap().0.into(),
    )
}

fn unix_pair() -> (Socket, OwnedFd) {
    let (client, server) = UnixStream::pair().unwrap();
    (Socket::Unix(client).prepared(), server.into())
}

#[test]
fn a_connection_is_served_and_hears_nothing_but_protocol() {
    let backend = Backend::echo();
    for pair in [tcp_pair, unix_pair] {
        let (client, server) = pair();
        let mut adit = inetd(server, &[&backend.address, "-v"]);
        let (mut client, response) = Client::over(client, "/", &[]);
        assert_eq!(response.status, 101);
        client.echoes(b"there and back");
        client.close(1000);
        assert_eq!(adit.code(), Some(0));
    }
}

#[test]
fn a_name_is_looked_up_and_a_dead_backend_passed_over() {
    let backend = Backend::named("found");
    let port = backend.address.rsplit(':').next().unwrap();
    let (dead, _bound) = refusing();
    let (client, server) = tcp_pair();
    let name = format!("localhost:{port}");
    let mut adit = inetd(server, &["nobody.invalid:80", &dead, &name]);
    let (mut client, response) = Client::over(client, "/", &[]);
    assert_eq!(response.status, 101);
    assert_eq!(client.payload(5), b"found");
    client.close(1000);
    assert_eq!(adit.code(), Some(0));
}

#[test]
fn wss_is_served_and_gives_out_no_tickets() {
    let temp = TempDir::new();
    let authority = Authority::new("inetd");
    let (cert, key) = authority.issue(&["localhost"]).write(&temp, "front");
    let backend = Backend::echo();
    let (client, server) = tcp_pair();
    let options = [&backend.address, "--tls-cert", &cert, "--tls-key", &key];
    let mut adit = inetd(server, &options);
    let Socket::Tcp(client) = client else {
        panic!("no TCP");
    };
    let client = Dialer::new(&authority).try_over(client).unwrap();
    let (mut client, response) = Client::over(client, "/", &[]);
    assert_eq!(response.status, 101);
    client.echoes(b"secret");
    let Connection::Client(tls) = &client.socket.tls().connection else {
        panic!("no client's TLS");
    };
    assert_eq!(tls.tls13_tickets_received(), 0);
    client.close(1000);
    assert_eq!(adit.code(), Some(0));
}

#[test]
fn the_log_goes_to_standard_error_if_that_is_not_the_socket() {
    let backend = Backend::echo();
    let (client, server) = unix_pair();
    let mut command = Command::new(env!("CARGO_BIN_EXE_adit"));
    command.args(["inetd", &backend.address]);
    let mut adit = Adit::spawn(command, server);
    let (client, _) = Client::over(client, "/", &[]);
    client.close(1000);
    adit.wait_for_log("closed: client close, 1000");
    assert_eq!(adit.wait().code(), Some(0));
}

#[test]
fn what_does_not_end_well_is_seen_by_the_exit_code() {
    // Refused.
    let (dead, _bound) = refusing();
    for (args, request, expected) in [
        (&[&dead][..], request("/", &[]), 502),
        (
            &[&dead],
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            426,
        ),
    ] {
        let (client, server) = tcp_pair();
        let args: Vec<_> = args.iter().map(|text| text.as_str()).collect();
        let mut adit = inetd(server, &args);
        let (client, response) = Client::over_with(client, request.as_bytes());
        assert_eq!(response.status, expected);
        drop(client);
        assert_eq!(adit.code(), Some(1));
    }
    // A rule broken.
    let backend = Backend::echo();
    let (client, server) = tcp_pair();
    let mut adit = inetd(server, &[&backend.address]);
    let (mut client, _) = Client::over(client, "/", &[]);
    client.say(&[BINARY, 0]);
    client.expect_close(1002);
    drop(client);
    assert_eq!(adit.code(), Some(1));
}

#[test]
fn a_client_that_is_gone_already_is_no_mistake_of_the_command_line() {
    let backend = Backend::echo();
    let (client, server) = tcp_pair();
    client.reset();
    let mut command = Command::new(env!("CARGO_BIN_EXE_adit"));
    command.args(["inetd", &backend.address]).stdin(server);
    let (status, log) = ends(command);
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("the client is gone already"), "{log}");
}

#[test]
fn who_cannot_be_served_is_told_so_and_not_why() {
    for (args, code) in [
        (&["--nonsense"][..], 2),
        (&[], 2),
        (&["127.0.0.1:1", "--framing", "x"], 2),
        (&["127.0.0.1:1", "--mode", "0600"], 2),
        (&["--config", "/nowhere"], 1),
        (
            &["127.0.0.1:1", "--tls-cert=/nowhere", "--tls-key=/nowhere"],
            1,
        ),
    ] {
        let (mut client, server) = tcp_pair();
        client.say(request("/", &[]).as_bytes());
        let mut adit = inetd(server, args);
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        drop(client);
        assert!(answer.starts_with("HTTP/1.1 500 "), "{args:?}: {answer}");
        let body = "\r\n\r\nthe server cannot start, and its log says why\n";
        assert!(answer.ends_with(body), "{args:?}: {answer}");
        assert_eq!(adit.code(), Some(code), "{args:?}");
    }
}

#[test]
fn help_goes_where_no_client_reads_it() {
    for args in [&["--help"][..], &["-h"], &["127.0.0.1:1", "help"]] {
        let start = |stdout: &dyn Fn(&OwnedFd) -> Stdio| {
            let (mut client, server) = unix_pair();
            let mut command = Command::new(env!("CARGO_BIN_EXE_adit"));
            command.arg("inetd").args(args).stdout(stdout(&server));
            client.finish();
            command.stdin(server).stderr(Stdio::piped());
            let child = command.spawn().unwrap();
            drop(command);
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            let Output {
                status,
                stdout,
                stderr,
            } = child.wait_with_output().unwrap();
            let [stdout, stderr] = [stdout, stderr].map(|text| String::from_utf8(text).unwrap());
            (status.code(), answer, stdout, stderr)
        };
        let (code, answer, _, error) = start(&|server| server.try_clone().unwrap().into());
        assert_eq!(code, Some(2), "{args:?}");
        assert!(answer.starts_with("HTTP/1.1 500 "), "{args:?}: {answer}");
        let expected = "adit: --help, and standard output is the client's socket; \
            ask in a terminal\n";
        assert_eq!(error, expected, "{args:?}");
        // An operator whose input happens to be a socket.
        let (code, answer, help, _) = start(&|_| Stdio::piped());
        assert_eq!((code, answer.as_str()), (Some(0), ""), "{args:?}");
        assert!(help.starts_with("Usage: adit inetd "), "{args:?}: {help}");
    }
}

#[test]
fn a_listener_is_served_until_it_is_idle_again_and_again() {
    let backend = Backend::named("hello");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // The second time O_NONBLOCK is set already: inetd's handle is the same.
    for _ in 0..2 {
        let mut waiting = Client::connect(&address);
        let args = [&backend.address, "--exit-idle", "100ms"];
        let mut adit = inetd(listener.try_clone().unwrap(), &args);
        waiting.say(request("/", &[]).as_bytes());
        assert_eq!(waiting.response().status, 101);
        assert_eq!(Client::open(&address).payload(5), b"hello");
        assert_eq!(waiting.payload(5), b"hello");
        drop(waiting);
        assert_eq!(adit.code(), Some(0));
    }
}

#[test]
fn a_start_that_fails_leaves_nobody_waiting_for_the_next() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    for (args, code) in [(&["--nonsense"][..], 2), (&["nobody.invalid:80"], 1)] {
        let mut waiting = [0; 3].map(|_| Client::connect(&address));
        let mut adit = inetd(listener.try_clone().unwrap(), args);
        for client in &mut waiting {
            assert_eq!(client.response().status, 500);
            client.socket.finish();
        }
        assert_eq!(adit.code(), Some(code));
        // Nobody is in the queue, for whom inetd would start it at once.
        listener.set_nonblocking(true).unwrap();
        let next = listener.accept().map(drop);
        assert_eq!(next.unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}

#[test]
fn a_file_has_one_listener_on_standard_input() {
    let temp = TempDir::new();
    let backend = Backend::named("hello");
    for (listen, status, code) in [("fd:0", 101, 0), ("127.0.0.1:0", 500, 1)] {
        let text = format!(
            "[[listen]]\naddress = \"{listen}\"\n[[route]]\nbackend = \"{}\"\n",
            backend.address
        );
        let file = temp.write("adit.toml", &text);
        let (client, server) = tcp_pair();
        let mut adit = inetd(server, &["--config", &file]);
        let (mut client, response) = Client::over(client, "/", &[]);
        assert_eq!(response.status, status);
        if status == 101 {
            assert_eq!(client.payload(5), b"hello");
            client.close(1000);
        } else {
            drop(client);
        }
        assert_eq!(adit.code(), Some(code));
    }
}

/// How `adit inetd` ends with this as standard input, and what it says.
fn ends(mut command: Command) -> (ExitStatus, String) {
    let output = command.output().unwrap();
    (output.status, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn standard_input_has_to_be_a_socket() {
    let adit = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_adit"));
        command.args(["inetd", "127.0.0.1:1"]);
        command
    };
    let mut file = adit();
    file.stdin(std::fs::File::open("/etc/passwd").unwrap());
    let mut pipe = adit();
    pipe.stdin(Stdio::piped());
    let mut closed = Command::new("sh");
    let script = "exec \"$0\" inetd 127.0.0.1:1 <&-";
    closed.args(["-c", script, env!("CARGO_BIN_EXE_adit")]);
    let mut datagrams = adit();
    datagrams.stdin(OwnedFd::from(UdpSocket::bind("127.0.0.1:0").unwrap()));
    let mut alone = adit();
    let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None);
    alone.stdin(OwnedFd::from(socket.unwrap()));
    for (command, what) in [
        (file, "no socket"),
        (pipe, "no socket"),
        (closed, "no socket"),
        (datagrams, "a datagram socket"),
        (alone, "a socket that neither listens nor is connected"),
    ] {
        let (status, error) = ends(command);
        assert_eq!(status.code(), Some(2), "{error}");
        let wanted = "a TCP or Unix socket is wanted, as inetd hands it over";
        assert_eq!(error, format!("adit: standard input is {what}; {wanted}\n"));
    }
}
