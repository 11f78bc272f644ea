//! The operator's side: the config file, its reload, signals, listeners,
//! addresses, and what the command line says.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::time::Instant;

use common::*;
use rustix::process::Signal;

#[test]
fn a_file_has_many_listeners_and_routes() {
    let temp = TempDir::new();
    let [a, b, mqtt, other] = ["a", "b", "mqtt", "other"].map(Backend::named);
    let socket = temp.unix("front");
    let file = temp.write(
        "adit.toml",
        &format!(
            r#"
            [[listen]]
            address = "127.0.0.1:0"

            [[listen]]
            address = "{socket}"
            mode = "0600"

            [[route]]
            path = "/a"
            backend = "{a}"
            framing = "lines"

            [[route]]
            path = "/b"
            host = "b.example"
            backend = "{b}"

            [[route]]
            subprotocol = "mqtt"
            path = "/sub"
            backend = "{mqtt}"

            [[route]]
            subprotocol = "other"
            path = "/sub"
            backend = "{other}"
            frame-type = "text"
            "#,
            a = a.address,
            b = b.address,
            mqtt = mqtt.address,
            other = other.address,
        ),
    );
    let adit = Adit::configured(&file, &[]);
    let table: &[(&str, &[&str], Result<&str, u16>)] = &[
        ("/a", &[], Ok("a")),
        ("/a/deeper?x", &[], Ok("a")),
        ("/ab", &[], Err(404)),
        ("/", &[], Err(404)),
        ("/b", &["Host: b.example"], Ok("b")),
        ("/b", &["Host: a.example"], Err(404)),
        ("/sub", &["Sec-WebSocket-Protocol: mqtt"], Ok("mqtt")),
        (
            "/sub",
            &["Sec-WebSocket-Protocol: other, mqtt"],
            Ok("other"),
        ),
        ("/sub", &["Sec-WebSocket-Protocol: mqtt, other"], Ok("mqtt")),
        ("/sub", &["Sec-WebSocket-Protocol: xmpp"], Err(400)),
    ];
    for address in adit.addresses(2) {
        for (path, headers, expected) in table {
            let (mut client, response) = Client::ask(&address, path, headers);
            match expected {
                Ok(name) => {
                    assert_eq!(response.status, 101, "{path} {headers:?} at {address}");
                    // `lines` has no line before the end; the others say it at once.
                    if *name != "a" {
                        assert_eq!(client.payload(name.len()), name.as_bytes());
                    }
                }
                Err(status) => assert_eq!(response.status, *status, "{path} {headers:?}"),
            }
        }
    }
}

#[test]
fn a_route_can_be_of_one_listener() {
    let temp = TempDir::new();
    let (inside, outside) = (Backend::named("in"), Backend::named("out"));
    let (private, public) = (temp.unix("private"), temp.unix("public"));
    let file = temp.write(
        "adit.toml",
        &format!(
            "[[listen]]\naddress = \"{private}\"\n\
             [[listen]]\naddress = \"{public}\"\n\
             [[route]]\nlistener = \"{private}\"\nbackend = \"{}\"\n\
             [[route]]\nlistener = \"{public}\"\nbackend = \"{}\"\n",
            inside.address, outside.address,
        ),
    );
    let adit = Adit::configured(&file, &[]);
    adit.addresses(2);
    assert_eq!(Client::open(&private).payload(2), b"in");
    assert_eq!(Client::open(&public).payload(3), b"out");
}

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
        client.send(BINARY, b"not done yet");
        assert_eq!(client.payload(12), b"not done yet");
        client.close(1000);
        assert_eq!(adit.wait().code(), Some(0));
        drop(backend);
    }
}

#[test]
fn after_the_drain_timeout_the_rest_is_1001() {
    let (mut adit, mut client, mut service) = tunnel(&["--drain-timeout", "200ms"]);
    adit.signal(Signal::TERM);
    client.expect_close(1001);
    client.send(CLOSE, &close(1001, ""));
    client.expect_eof();
    assert!(service.is_over());
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
    drop(service);
    assert_eq!(adit.wait().code(), Some(0));
}

#[test]
fn without_tunnels_sigterm_ends_at_once() {
    let (mut adit, _backend) = echo(&["--drain-timeout", "1h"]);
    adit.signal(Signal::TERM);
    assert_eq!(adit.wait().code(), Some(0));
}

#[test]
fn a_second_signal_ends_at_once() {
    let (mut adit, _client, _service) = tunnel(&["--drain-timeout", "1h"]);
    adit.signal(Signal::TERM);
    // Two of one kind may become one: the second is another.
    adit.signal(Signal::INT);
    assert_eq!(adit.wait().code(), Some(1));
}

#[test]
fn a_unix_listener_has_its_mode() {
    let temp = TempDir::new();
    let backend = Backend::named("hello");
    let listen = temp.unix("front");
    for mode in [0o600, 0o660, 0o666] {
        let text = format!("{mode:04o}");
        let adit = Adit::serve_on(&listen, &[&backend.address, "--mode", &text]);
        assert_eq!(adit.address, listen);
        let file = fs::metadata(temp.path("front")).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, mode);
        assert_eq!(adit.client().payload(5), b"hello");
    }
}

#[test]
fn a_stale_socket_file_is_replaced() {
    let temp = TempDir::new();
    let backend = Backend::named("hello");
    drop(UnixListener::bind(temp.path("front")).unwrap());
    assert!(temp.path("front").exists());
    let adit = Adit::serve_on(&temp.unix("front"), &[&backend.address]);
    assert_eq!(adit.client().payload(5), b"hello");
}

#[test]
fn a_live_socket_is_refused() {
    let temp = TempDir::new();
    let _live = UnixListener::bind(temp.path("front")).unwrap();
    refuses_to_listen(&temp.unix("front"));
    assert!(temp.path("front").exists());
}

#[test]
fn a_file_that_is_no_socket_is_refused_and_kept() {
    let temp = TempDir::new();
    temp.write("front", "precious");
    refuses_to_listen(&temp.unix("front"));
    let kept = fs::read_to_string(temp.path("front")).unwrap();
    assert_eq!(kept, "precious");
}

#[test]
fn a_port_in_use_is_refused() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    refuses_to_listen(&held.local_addr().unwrap().to_string());
}

fn refuses_to_listen(listen: &str) {
    let output = run(&["serve", listen, "127.0.0.1:1"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    let line = error.lines().last().unwrap();
    assert!(line.contains("adit: ") && line.contains(listen), "{error}");
}

#[test]
fn backends_are_unix_sockets_abstract_names_and_tcp_addresses() {
    let temp = TempDir::new();
    let abstract_name = format!("unix:@adit-test-{}", std::process::id());
    for address in [&temp.unix("back"), &abstract_name, "127.0.0.1:0"] {
        let backend = Backend::bind_to(address);
        let spelling = match backend.address.strip_prefix("unix:") {
            None => format!("tcp:{}", backend.address),
            Some(_) => backend.address.clone(),
        };
        let adit = Adit::serve(&[&spelling]);
        let mut client = adit.client();
        let mut service = backend.accept();
        client.send(BINARY, b"there");
        assert_eq!(service.hear(5), b"there");
        service.say(b"and back");
        assert_eq!(client.payload(8), b"and back");
        client.send(CLOSE, &close(1000, ""));
        assert!(service.hear_all().is_empty());
    }
}

#[test]
fn a_name_is_tried_at_each_of_its_addresses() {
    // Whichever of localhost's addresses has the backend, adit finds it.
    for address in ("localhost", 0).to_socket_addrs().unwrap() {
        let backend = Backend::bind_to(&address.to_string());
        let port = backend.address.rsplit(':').next().unwrap();
        let adit = Adit::serve(&[&format!("localhost:{port}")]);
        let mut client = adit.client();
        backend.accept().say(b"found");
        assert_eq!(client.payload(5), b"found");
    }
}

#[test]
fn a_bare_port_listens_on_every_address() {
    let backend = Backend::named("hello");
    let adit = Adit::serve_on("0", &[&backend.address]);
    let port = adit.address.rsplit(':').next().unwrap();
    let hosts = ["127.0.0.1", "[::1]"];
    for host in hosts {
        // A machine without IPv6 has no ::1 to bind.
        if TcpListener::bind(format!("{host}:0")).is_ok() {
            let mut client = Client::open(&format!("{host}:{port}"));
            assert_eq!(client.payload(5), b"hello");
        }
    }
}

#[test]
fn a_good_file_checks_with_status_0() {
    let temp = TempDir::new();
    let file = temp.write("good.toml", &one_route("127.0.0.1:0", "127.0.0.1:1883"));
    let output = run(&["check", &file]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn every_mistake_is_named_with_its_line() {
    let temp = TempDir::new();
    let file = temp.write(
        "bad.toml",
        "max-connections = \"many\"\n\
         [[listen]]\n\
         address = \"127.0.0.1:99999\"\n\
         [[route]]\n\
         backend = \"127.0.0.1:1883\"\n\
         framing = \"morse\"\n\
         ping-intervall = \"10s\"\n\
         idle-timeout = \"soon\"\n",
    );
    let output = run(&["check", &file]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    for (line, seen, allowed) in [
        (1, "many", "number"),
        (3, "99999", "65535"),
        (6, "morse", "json-lines"),
        (7, "ping-intervall", "ping-interval"),
        (8, "soon", "10s"),
    ] {
        let place = format!("bad.toml:{line}");
        let told = text.lines().find(|told| told.contains(&place));
        let told = told.unwrap_or_else(|| panic!("nothing about line {line}:\n{text}"));
        assert!(told.contains(seen), "not what was seen: {told}");
        assert!(told.contains(allowed), "not what is allowed: {told}");
    }
    let served = run(&["serve", "--config", &file]);
    assert_eq!(served.status.code(), Some(1), "{served:?}");
}

#[test]
fn a_url_is_told_its_route_or_its_refusal() {
    let temp = TempDir::new();
    let file = temp.write(
        "adit.toml",
        r#"
        [[listen]]
        address = "127.0.0.1:8080"

        [[route]]
        path = "/mqtt"
        subprotocol = "mqtt"
        backend = "127.0.0.1:1883"

        [[route]]
        path = "/irc"
        backend = "unix:/run/irc"
        framing = "crlf"
        origin = "https://chat.example"
        "#,
    );
    let table: &[(&[&str], &[&str])] = &[
        (&["ws://a.example:8080/irc"], &["crlf", "unix:/run/irc"]),
        (
            &[
                "ws://a.example:8080/irc",
                "--origin",
                "https://chat.example",
            ],
            &["crlf"],
        ),
        (
            &[
                "ws://a.example:8080/irc",
                "--origin",
                "https://evil.example",
            ],
            &["403", "origin"],
        ),
        (
            &["ws://a.example:8080/mqtt", "--subprotocol", "mqtt"],
            &["raw", "127.0.0.1:1883"],
        ),
        (
            &["ws://a.example:8080/mqtt", "--subprotocol", "stomp"],
            &["400", "mqtt"],
        ),
        (&["ws://a.example:8080/nothing"], &["404"]),
    ];
    for (options, expected) in table {
        let args = [&["check", file.as_str(), "--url"], *options].concat();
        let output = run(&args);
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        for word in *expected {
            assert!(
                text.contains(word),
                "{options:?}: no {word:?} in {output:?}"
            );
        }
    }
}

#[test]
fn a_file_that_is_not_there_is_an_error_that_names_it() {
    for command in [
        &["check", "/nowhere/adit.toml"][..],
        &["serve", "--config", "/nowhere/adit.toml"],
    ] {
        let output = run(command);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("/nowhere/adit.toml"), "{error}");
    }
}

#[test]
fn help_goes_to_standard_output_with_status_0() {
    for command in [
        &["--help"][..],
        &["serve", "--help"],
        &["check", "--help"],
        &["demo", "--help"],
    ] {
        let output = run(command);
        assert_eq!(output.status.code(), Some(0), "{command:?}");
        assert!(!output.stdout.is_empty(), "{command:?}");
        assert!(output.stderr.is_empty(), "{command:?}");
    }
    let help = String::from_utf8(run(&["serve", "--help"]).stdout).unwrap();
    for option in [
        "--framing",
        "--config",
        "--origin",
        "--max-message",
        "json-lines",
    ] {
        assert!(help.contains(option), "{option} is not in\n{help}");
    }
}

#[test]
fn what_cannot_be_meant_is_status_2() {
    let usage: &[&[&str]] = &[
        &[],
        &["dig"],
        &["serve"],
        &["serve", "8080"],
        &["serve", "8080", "127.0.0.1:1", "--tunnel"],
        &["serve", "8080", "127.0.0.1:1", "--framing", "morse"],
        &["serve", "8080", "127.0.0.1:1", "--idle-timeout", "soon"],
        &["serve", "8080", "127.0.0.1:1", "--max-message", "big"],
        &["serve", "8080", "not an address"],
        &["serve", "80800", "127.0.0.1:1"],
        &[
            "serve",
            "8080",
            "127.0.0.1:1",
            "--origin",
            "example.org/path",
        ],
        &["serve", "8080", "127.0.0.1:1", "--config", "adit.toml"],
        &["check"],
    ];
    for args in usage {
        let output = run(args);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
        assert!(!error.is_empty(), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}
