//! Signals: SIGHUP reloads, SIGTERM and SIGINT drain, a second one ends.

// A reload reads the file.
#![cfg(feature = "config-file")]
#![allow(clippy::unwrap_used)]

mod common;

use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use common::*;
use rustix::process::Signal;

/// A file with one route to `backend`, listening on a port or a socket.
fn one_route(listen: &str, backend: &str) -> String {
    format!("[[listen]]\naddress = \"{listen}\"\n\n[[route]]\nbackend = \"{backend}\"\n")
}

#[test]
fn a_reload_is_for_new_connections() {
    let temp = TempDir::new();
    let (old, new) = (Backend::echo(), Backend::named("new"));
    let listen = temp.unix("front");
    let file = temp.write("adit.toml", &one_route(&listen, &old.address));
    let adit = Adit::configured(&file, &[]);
    let mut before = adit.client();

    temp.write("adit.toml", &one_route(&listen, &new.address));
    adit.signal(Signal::HUP);
    adit.wait_for_log("reloaded");
    assert_eq!(adit.client().payload(3), b"new");
    before.send(BINARY, b"old");
    assert_eq!(before.payload(3), b"old");
    before.close(1000);
}

#[test]
fn a_reload_opens_and_closes_listeners() {
    let temp = TempDir::new();
    let backend = Backend::named("hello");
    let (old, new) = (temp.unix("old"), temp.unix("new"));
    let file = temp.write("adit.toml", &one_route(&old, &backend.address));
    let adit = Adit::configured(&file, &[]);
    let mut before = adit.client();
    assert_eq!(before.payload(5), b"hello");

    temp.write("adit.toml", &one_route(&new, &backend.address));
    adit.signal(Signal::HUP);
    adit.wait_for_log("reloaded");
    assert_eq!(Client::open(&new).payload(5), b"hello");
    assert!(UnixStream::connect(temp.path("old")).is_err());
    before.close(1000);
}

#[test]
fn a_bad_file_keeps_the_old_config_and_says_so() {
    let temp = TempDir::new();
    let backend = Backend::named("old");
    let listen = temp.unix("front");
    let good = one_route(&listen, &backend.address);
    let file = temp.write("adit.toml", &good);
    let adit = Adit::configured(&file, &[]);

    for (n, bad) in ["[[route]", "max-connections = \"many\"\n", ""]
        .iter()
        .enumerate()
    {
        temp.write("adit.toml", bad);
        adit.signal(Signal::HUP);
        adit.wait_for_logs(n + 1, "keeping the old");
        assert_eq!(adit.client().payload(3), b"old");
    }
    temp.write("adit.toml", &good);
    adit.signal(Signal::HUP);
    adit.wait_for_log("reloaded");
    assert_eq!(adit.client().payload(3), b"old");
}

#[test]
fn sigterm_stops_accepting_and_lets_tunnels_finish() {
    for signal in [Signal::TERM, Signal::INT] {
        let (mut adit, backend) = echo(&["--drain-timeout", "1h"]);
        let mut client = adit.client();
        adit.signal(signal);
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(&adit.address).is_ok() {
            assert!(Instant::now() < deadline, "still accepting");
        }
        client.echoes(b"not done yet");
        client.close(1000);
        assert_eq!(adit.wait().code(), Some(0));
        drop(backend);
    }
}

#[test]
fn who_waits_to_be_accepted_at_the_end_still_gets_a_tunnel() {
    let (mut adit, _backend) = echo(&["--drain-timeout", "1h"]);
    // It learns of the connections and of its end at the same time.
    adit.signal(Signal::STOP);
    let connect = |_| {
        let mut client = Client::connect(&adit.address);
        client.say(request("/", &[]).as_bytes());
        client
    };
    // More than it accepts in a turn.
    let clients: Vec<_> = (0..150).map(connect).collect();
    adit.signal(Signal::TERM);
    adit.signal(Signal::CONT);
    adit.wait_for_log("stopping: connections left: 150");
    for mut client in clients {
        assert_eq!(client.response().status, 101);
        client.close(1000);
    }
    assert_eq!(adit.wait().code(), Some(0));
}

#[test]
fn nobody_is_lost_while_another_takes_the_port_over() {
    let backend = Backend::echo();
    let start = |listen: &str| Adit::serve_on(listen, &[&backend.address, "--reuse-port"]);
    let mut old = start("127.0.0.1:0");
    let address = old.address.clone();
    let mut before = Client::open(&address);
    let new = start(&address);
    old.signal(Signal::TERM);
    for _ in 0..100 {
        Client::open(&address).close(1000);
    }
    before.send(BINARY, b"still here");
    assert_eq!(before.payload(10), b"still here");
    before.close(1000);
    assert_eq!(old.wait().code(), Some(0));
    drop(new);
}

#[test]
fn after_the_drain_timeout_the_rest_is_1001() {
    let (mut adit, mut client, mut service) = tunnel(&["--drain-timeout", "200ms"]);
    adit.signal(Signal::TERM);
    client.expect_close(1001);
    client.send(CLOSE, &close(1001, ""));
    client.expect_eof();
    assert!(service.is_over());
    drop((client, service));
    assert_eq!(adit.wait().code(), Some(0));
}

#[test]
fn a_drain_flushes_what_was_under_way() {
    let (mut adit, mut client, mut service) = tunnel(&["--drain-timeout", "200ms"]);
    let last = Noise::new(4).bytes(400_000);
    let sum = Checksum::of(&last);
    let teller = std::thread::spawn(move || {
        service.say(&last);
        service
    });
    let first = client.message().1;
    adit.signal(Signal::TERM);
    let service = teller.join().unwrap();
    let mut seen = Checksum::of(&first);
    loop {
        let frame = client.frame();
        if frame.first == CLOSE {
            assert_eq!(frame.payload[..2], 1001_u16.to_be_bytes());
            break;
        }
        seen.add(&frame.payload);
    }
    // 400 kB fit in the sockets: adit had it all before the time was up.
    assert_eq!(seen, sum);
    client.send(CLOSE, &close(1001, ""));
    client.expect_eof();
    drop((client, service));
    assert_eq!(adit.wait().code(), Some(0));
}

#[test]
fn without_tunnels_sigterm_ends_at_once() {
    let (mut adit, _backend) = echo(&["--drain-timeout", "1h"]);
    adit.signal(Signal::TERM);
    assert_eq!(adit.wait().code(), Some(0));
}

#[test]
fn a_client_that_has_asked_for_nothing_does_not_hold_up_the_end() {
    let (mut adit, _backend) = echo(&["--drain-timeout", "1h", "--handshake-timeout", "1h"]);
    let mut client = Client::connect(&adit.address);
    client.say(b"GET / HTTP/1.1\r\n");
    adit.signal(Signal::TERM);
    assert_eq!(adit.wait().code(), Some(0));
}

#[test]
fn the_file_of_a_unix_listener_goes_with_it() {
    let temp = TempDir::new();
    let mut adit = Adit::serve_on(&temp.unix("front"), &["127.0.0.1:1"]);
    assert!(temp.path("front").exists());
    adit.signal(Signal::TERM);
    assert_eq!(adit.wait().code(), Some(0));
    assert!(!temp.path("front").exists());
}

#[test]
fn a_second_signal_ends_at_once() {
    let (mut adit, _client, _service) = tunnel(&["--drain-timeout", "1h"]);
    adit.signal(Signal::TERM);
    // Two of one kind may become one: the second is another.
    adit.signal(Signal::INT);
    assert_eq!(adit.wait().code(), Some(1));
}
