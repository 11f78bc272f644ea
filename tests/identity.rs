//! Who the client is behind a proxy: whose headers are believed, and how far.

// Whom to trust changes by a reload of the file.
#![cfg(feature = "config-file")]
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use rustix::process::Signal;

/// adit in front of a backend that is told the client's address and port.
fn told(options: &[&str]) -> (Adit, Backend) {
    told_on("127.0.0.1:0", options)
}

fn told_on(listen: &str, options: &[&str]) -> (Adit, Backend) {
    let backend = Backend::bind();
    let mut args = vec![&*backend.address, "--greeting", r"%a %p\n"];
    args.extend(options);
    (Adit::serve_on(listen, &args), backend)
}

/// What the backend is told of a client that sends these headers.
#[track_caller]
fn seen(adit: &Adit, backend: &Backend, headers: &[&str]) -> String {
    let (client, _) = Client::open_with(&adit.address, "/", headers);
    let mut service = backend.accept();
    drop(client);
    String::from_utf8(service.hear_all()).unwrap()
}

const SPOOF: [&str; 3] = [
    "Forwarded: for=192.0.2.66;proto=https",
    "X-Forwarded-For: 192.0.2.66",
    "X-Real-IP: 192.0.2.66",
];

#[test]
fn an_untrusted_peer_cannot_pass_for_another() {
    for options in [&[][..], &["--trusted-proxies", "10.0.0.0/8"]] {
        let (adit, backend) = told(options);
        for header in SPOOF {
            let seen = seen(&adit, &backend, &[header]);
            assert!(seen.starts_with("127.0.0.1 "), "{header}: {seen}");
        }
        assert!(!adit.log().contains("192.0.2.66"));
        assert!(!adit.log().contains(" via "));
    }
}

#[test]
fn a_trusted_peer_names_the_client() {
    let (adit, backend) = told(&["--trusted-proxies", "127.0.0.0/8", "--trusted-proxies=::1"]);
    for (headers, expected) in [
        (&SPOOF[..], "192.0.2.66 0\n"),
        (&SPOOF[..1], "192.0.2.66 0\n"),
        (&SPOOF[2..], "192.0.2.66 0\n"),
        (
            &["Forwarded: for=192.0.2.66, for=\"[2001:db8::9]:47\";by=_x"],
            "2001:db8::9 47\n",
        ),
        (
            &["X-Forwarded-For: 192.0.2.66, 203.0.113.9:4711, 127.0.0.2"],
            "203.0.113.9 4711\n",
        ),
        (&["X-Forwarded-For: 127.0.0.3,127.0.0.2"], "127.0.0.3 0\n"),
        (&["X-Forwarded-For: 192.0.2.66, \u{e9}, ::1"], "0::1 0\n"),
    ] {
        assert_eq!(seen(&adit, &backend, headers), expected, "{headers:?}");
    }
    let line = adit.wait_for_log("203.0.113.9:4711 via 127.0.0.1:");
    assert!(line.contains(" opened: "), "{line}");
    adit.wait_for_logs(2, "203.0.113.9:4711 via 127.0.0.1:");
}

#[test]
fn headers_that_contradict_each_other_are_refused() {
    let (adit, backend) = told(&["--trusted-proxies", "127.0.0.1"]);
    for headers in [
        &["Forwarded: for=192.0.2.66", "X-Forwarded-For: 203.0.113.9"][..],
        &["X-Forwarded-For: 192.0.2.66", "X-Real-IP: 203.0.113.9"],
        &["Forwarded: for=\"192.0.2.66, for=203.0.113.9"],
    ] {
        let (_, response) = Client::ask(&adit.address, "/", headers);
        assert_eq!(response.status, 400, "{headers:?}");
    }
    adit.wait_for_logs(3, " refused: 400, ");
    assert!(backend.is_alone());
}

#[test]
fn a_unix_listeners_clients_are_trusted_if_unix_is() {
    let temp = TempDir::new();
    for (trusted, expected) in [("unix", "192.0.2.66 0\n"), ("::/0", "unix 0\n")] {
        let (adit, backend) = told_on(&temp.unix("front"), &["--trusted-proxies", trusted]);
        assert_eq!(seen(&adit, &backend, &SPOOF), expected);
        if trusted == "unix" {
            adit.wait_for_log("192.0.2.66 via unix opened");
        }
    }
}

#[test]
fn an_ipv4_client_of_an_ipv6_socket_is_an_ipv4_client() {
    let (adit, backend) = told_on("0", &["--trusted-proxies", "127.0.0.0/8"]);
    let port = adit.address.rsplit(':').next().unwrap();
    let address = format!("127.0.0.1:{port}");
    let (_client, _) = Client::open_with(&address, "/", &["X-Real-IP: 192.0.2.66"]);
    assert_eq!(backend.accept().hear(13), b"192.0.2.66 0\n");
    let (_client, _) = Client::open_with(&address, "/", &[]);
    assert_eq!(backend.accept().hear(10), b"127.0.0.1 ");
}

#[test]
fn where_the_client_is_known_to_use_tls_a_page_without_is_not_its_own() {
    let trusted = told(&["--trusted-proxies", "127.0.0.1"]);
    let untrusted = told(&[]);
    for ((adit, _), tls, origin, status) in [
        (
            &trusted,
            "X-Forwarded-Proto: https",
            "https://a.example",
            101,
        ),
        (
            &trusted,
            "X-Forwarded-Proto: https",
            "http://a.example",
            403,
        ),
        (&trusted, "X-Forwarded-Proto: https", "null", 403),
        (&trusted, "Forwarded: proto=https", "http://a.example", 403),
        (
            &trusted,
            "Forwarded: for=192.0.2.1;proto=https",
            "https://A.example:443",
            101,
        ),
        (&trusted, "X-Forwarded-Proto: http", "http://a.example", 101),
        (
            &trusted,
            "X-Forwarded-Proto: http",
            "https://a.example",
            101,
        ),
        (&trusted, "X: y", "http://a.example", 101),
        (
            &untrusted,
            "X-Forwarded-Proto: https",
            "http://a.example",
            101,
        ),
    ] {
        let origin = format!("Origin: {origin}");
        let headers = ["Host: a.example", tls, &origin];
        let (_, response) = Client::ask(&adit.address, "/", &headers);
        assert_eq!(response.status, status, "{headers:?}");
    }
}

#[test]
fn who_is_trusted_can_change_while_running() {
    let temp = TempDir::new();
    let backend = Backend::bind();
    let file = |trusted: &str| {
        format!(
            "trusted-proxies = {trusted}\n[[listen]]\naddress = \"127.0.0.1:0\"\n\
             [[route]]\nbackend = \"{}\"\ngreeting = \"%a %p\\n\"\n",
            backend.address
        )
    };
    let path = temp.write("adit.toml", &file("[]"));
    let adit = Adit::configured(&path, &[]);
    assert!(seen(&adit, &backend, &SPOOF).starts_with("127.0.0.1 "));
    temp.write("adit.toml", &file("\"127.0.0.1\""));
    adit.signal(Signal::HUP);
    adit.wait_for_log("reloaded");
    assert_eq!(seen(&adit, &backend, &SPOOF), "192.0.2.66 0\n");
}
