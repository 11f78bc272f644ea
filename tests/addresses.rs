//! Where adit listens and where backends are: ports, names, Unix sockets.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::net::{TcpListener, ToSocketAddrs};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use common::*;

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
fn a_backend_whose_name_leads_nowhere_is_an_error_at_the_start() {
    // RFC 6761 section 6.4: no name below .invalid resolves.
    let output = run(&["serve", "127.0.0.1:0", "nobody.invalid:80"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.lines().last().unwrap().contains("nobody.invalid"),
        "{error}"
    );
}
