//! `tls:` backends: what is verified, what is shown, and what a failed
//! handshake is to the client.

// TLS.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::thread;

use common::*;

/// Says back what it hears over TLS.
fn secure_echo(answerer: Answerer) -> Backend {
    Backend::each(move |socket| {
        let Ok(mut socket) = answerer.answer(socket) else {
            return;
        };
        let mut buffer = [0; 16384];
        while let Ok(n @ 1..) = socket.read(&mut buffer) {
            if socket.write_all(&buffer[..n]).is_err() {
                return;
            }
        }
        socket.tls().finish();
    })
}

fn serve(backend: &Backend, options: &[&str]) -> Adit {
    let address = format!("tls:{}", backend.address);
    Adit::serve(&[&[&*address], options].concat())
}

/// An authority, its certificate's file, and a certificate of it.
fn authority(temp: &TempDir) -> (Authority, String) {
    let authority = Authority::new("adit test");
    let file = temp.write("ca.pem", &authority.pem);
    (authority, file)
}

#[track_caller]
fn refused(adit: &Adit, status: u16) {
    let (mut client, response) = Client::ask(&adit.address, "/", &[]);
    assert_eq!(response.status, status, "{response:?}");
    client.expect_eof();
}

#[test]
fn a_backend_that_its_ca_vouches_for_is_spoken_to() {
    let temp = TempDir::new();
    let (authority, ca) = authority(&temp);
    let backend = secure_echo(Answerer::new(&authority.issue(&["127.0.0.1"])));
    let adit = serve(&backend, &["--backend-ca", &ca]);
    for _ in 0..3 {
        let mut client = adit.client();
        client.echoes(b"hello");
        client.close(1000);
    }
}

#[test]
fn a_backend_of_another_ca_name_or_time_is_502() {
    let temp = TempDir::new();
    let (authority, ca) = authority(&temp);
    let stranger = Authority::new("adit test");
    for certificate in [
        stranger.issue(&["127.0.0.1"]),
        authority.issue(&["127.0.0.2", "localhost"]),
        authority.issue_expired(&["127.0.0.1"], 1),
    ] {
        let backend = secure_echo(Answerer::new(&certificate));
        refused(&serve(&backend, &["--backend-ca", &ca]), 502);
    }
    // No public authority signed this one.
    let backend = secure_echo(Answerer::new(&authority.issue(&["127.0.0.1"])));
    refused(&serve(&backend, &[]), 502);
}

#[test]
fn any_certificate_will_do_where_that_is_said_and_it_is_warned_of() {
    let certificate = Authority::new("adit test").issue_expired(&["elsewhere"], 1);
    let backend = secure_echo(Answerer::new(&certificate));
    let adit = serve(&backend, &["--backend-insecure"]);
    adit.wait_for_log("not verified");
    let mut client = adit.client();
    client.echoes(b"hello");
    client.close(1000);
}

#[test]
fn a_backend_that_asks_for_a_certificate_gets_it() {
    let temp = TempDir::new();
    let (authority, ca) = authority(&temp);
    let (cert, key) = authority.issue(&["adit"]).write(&temp, "adit");
    let certificate = authority.issue(&["127.0.0.1"]);
    let backend = secure_echo(Answerer::asking(&certificate, Some(&authority)));
    let options = [
        "--backend-ca",
        &ca,
        "--backend-cert",
        &cert,
        "--backend-key",
        &key,
    ];
    let adit = serve(&backend, &options);
    let mut client = adit.client();
    client.echoes(b"hello");
}

#[test]
fn a_backend_that_speaks_no_tls_is_502_and_a_silent_one_504() {
    let options = ["--backend-insecure", "--connect-timeout", "300ms"];
    let backend = Backend::named("220 mail.example ESMTP\r\n");
    refused(&serve(&backend, &options), 502);
    let backend = Backend::each(drop);
    refused(&serve(&backend, &options), 502);
    let backend = Backend::bind();
    refused(&serve(&backend, &options), 504);
}

#[test]
fn a_backends_last_words_come_before_the_close() {
    let temp = TempDir::new();
    let (authority, ca) = authority(&temp);
    let answerer = Answerer::new(&authority.issue(&["127.0.0.1"]));
    let backend = Backend::each(move |socket| {
        let mut socket = answerer.answer(socket).unwrap();
        socket.say(b"last words");
        socket.tls().finish();
        let _ = socket.read_to_end(&mut Vec::new());
    });
    let adit = serve(&backend, &["--backend-ca", &ca]);
    let mut client = adit.client();
    assert_eq!(client.payload(10), b"last words");
    client.close_after(1000);
}

#[test]
fn a_clients_close_is_a_close_notify_to_the_backend() {
    let temp = TempDir::new();
    let (authority, ca) = authority(&temp);
    let answerer = Answerer::new(&authority.issue(&["127.0.0.1"]));
    let backend = Backend::bind();
    let adit = serve(&backend, &["--backend-ca", &ca]);
    let client = thread::spawn({
        let address = adit.address.clone();
        move || {
            let mut client = Client::open(&address);
            client.send(BINARY, &[7; 100_000]);
            client.close(1000);
        }
    });
    let mut service = answerer.answer(backend.accept()).unwrap();
    // Without a close_notify the end would be an error.
    assert_eq!(service.hear_all(), [7; 100_000]);
    service.tls().finish();
    client.join().unwrap();
}

#[test]
fn a_backend_that_is_cut_off_ends_the_tunnel() {
    let temp = TempDir::new();
    let (authority, ca) = authority(&temp);
    let answerer = Answerer::new(&authority.issue(&["127.0.0.1"]));
    let backend = Backend::each(move |socket| {
        let mut socket = answerer.answer(socket).unwrap();
        socket.say(b"cut");
        socket.finish();
        let _ = socket.read_to_end(&mut Vec::new());
    });
    let adit = serve(&backend, &["--backend-ca", &ca]);
    let mut client = adit.client();
    assert_eq!(client.payload(3), b"cut");
    assert_eq!(client.frame().first, CLOSE);
}

/// A ticket that comes in many records is a message that has not come whole
/// for a while, in which adit speaks.
#[test]
fn a_ticket_that_comes_in_pieces_does_not_hold_up_what_the_client_says() {
    let temp = TempDir::new();
    let (authority, ca) = authority(&temp);
    let answerer = Answerer::in_fragments(&authority.issue(&["127.0.0.1"]), 32);
    let backend = Backend::bind();
    let adit = serve(&backend, &["--backend-ca", &ca]);
    let address = adit.address.clone();
    let client = thread::spawn(move || Client::open(&address));

    let Socket::Tcp(mut tcp) = backend.accept() else {
        unreachable!()
    };
    let mut connection = answerer.connection();
    while connection.is_handshaking() {
        while connection.wants_write() {
            connection.write_tls(&mut tcp).unwrap();
        }
        connection.read_tls(&mut tcp).unwrap();
        connection.process_new_packets().unwrap();
    }
    let mut client = client.join().unwrap();
    let mut tickets = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut tickets).unwrap();
    }
    assert!(tickets.len() > 200, "{} bytes of tickets", tickets.len());
    // Three times each: by the third at the latest adit has seen the piece.
    for piece in tickets.chunks(tickets.len() / 7) {
        tcp.write_all(piece).unwrap();
        for text in [b"one", b"two", b"six"] {
            client.send(BINARY, text);
            let mut heard = [0; 3];
            let mut stream = rustls::Stream::new(&mut connection, &mut tcp);
            stream.read_exact(&mut heard).unwrap();
            assert_eq!(heard, *text);
        }
    }
    connection.writer().write_all(b"answer").unwrap();
    connection.write_tls(&mut tcp).unwrap();
    assert_eq!(client.payload(6), b"answer");
    // Its end is waited for: adit says close_notify within a handshake message.
    client.close(1000);
}

#[test]
fn tls_on_both_sides_brings_a_mebibyte_each_way() {
    let temp = TempDir::new();
    let (authority, ca) = authority(&temp);
    let (cert, key) = authority.issue(&["localhost"]).write(&temp, "own");
    let answerer = Answerer::new(&authority.issue(&["127.0.0.1"]));
    let (up, down) = (Noise::new(1).bytes(1 << 20), Noise::new(2).bytes(1 << 20));
    let sums = (Checksum::of(&up), Checksum::of(&down));
    let backend = Backend::bind();
    let options = ["--backend-ca", &ca, "--tls-cert", &cert, "--tls-key", &key];
    let adit = serve(&backend, &options);
    let dialer = Dialer::new(&authority);
    let address = adit.address.clone();
    let client = thread::spawn(move || {
        let mut client = dialer.open(&address);
        client.socket.small_buffers();
        client.send(BINARY, &up);
        let mut seen = Checksum::new();
        while seen.len < 1 << 20 {
            seen.add(&client.message().1);
            thread::yield_now();
        }
        client.close_after(1000);
        seen
    });
    let mut service = answerer.answer(backend.accept()).unwrap();
    service.small_buffers();
    let mut seen = Checksum::new();
    while seen.len < 1 << 20 {
        seen.add(&service.hear(1 << 10));
    }
    assert_eq!(seen, sums.0);
    service.say(&down);
    service.tls().finish();
    assert_eq!(client.join().unwrap(), sums.1);
}

#[test]
fn bad_files_for_a_backend_end_the_start() {
    let temp = TempDir::new();
    let (authority, ca) = authority(&temp);
    let (cert, _) = authority.issue(&["adit"]).write(&temp, "adit");
    let (_, key) = authority.issue(&["adit"]).write(&temp, "other");
    let text = temp.write("text", "no PEM\n");
    for (options, reason) in [
        (&["--backend-ca", &*text][..], "text: no certificate in PEM"),
        (
            &["--backend-ca", "/nowhere.pem"],
            "/nowhere.pem: the authorities cannot be read: No such file",
        ),
        (
            &[
                "--backend-ca",
                &ca,
                "--backend-cert",
                &cert,
                "--backend-key",
                &key,
            ],
            "other.key does not belong to",
        ),
    ] {
        let output = run(&[&["serve", "127.0.0.1:0", "tls:127.0.0.1:1"], options].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(reason), "{said}");
    }
}
