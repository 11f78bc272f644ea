//! What stands between `adit connect` and its server: proxies, and TLS.

// The client end; half of it is TLS.
#![cfg(all(feature = "connect", feature = "tls"))]
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use common::{
    Adit, Answerer, Authority, Backend, Certificate, Far, Socket, TempDir, connect, header,
};

/// What it wrote, its reason, and its exit code.
#[track_caller]
fn end(mut command: Command) -> (Vec<u8>, String, i32) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.stdin(Stdio::null()).output().unwrap();
    let reason = String::from_utf8(stderr).unwrap();
    (stdout, reason, status.code().expect("no signal"))
}

/// An adit that serves a backend which says hello, with these options.
fn hello(options: &[&str]) -> (Adit, Backend) {
    let backend = Backend::named("hello");
    let adit = Adit::serve(&[&[backend.address.as_str()][..], options].concat());
    (adit, backend)
}

/// A proxy that lets everything through, and the heads that it was told.
fn http_proxy() -> (Backend, Receiver<String>) {
    let (sender, heads) = channel();
    let proxy = Backend::each(move |socket| {
        let (mut asked, head) = Far::over(socket);
        let target = head.split(' ').nth(1).unwrap().to_owned();
        let _ = sender.send(head);
        asked.socket.say(b"HTTP/1.1 200 Go on\r\nX: y\r\n\r\n");
        pass(asked.socket, Socket::connect(&target));
    });
    (proxy, heads)
}

/// Copies both ways until both have ended.
fn pass(here: Socket, there: Socket) {
    let (mut from, mut to) = (here.handle(), there.handle());
    let back = thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        to.finish();
    });
    let (mut from, mut to) = (there, here);
    let _ = std::io::copy(&mut from, &mut to);
    to.finish();
    let _ = back.join();
}

#[test]
fn a_proxy_leads_to_both_kinds_of_url() {
    let authority = Authority::new("adit test CA");
    let temp = TempDir::new();
    let ca = temp.write("ca.pem", &authority.pem);
    let (cert, key) = authority.issue(&["localhost"]).write(&temp, "server");
    let (plain, _one) = hello(&[]);
    let (secure, _two) = hello(&["--tls-cert", &cert, "--tls-key", &key]);
    let port = secure.address.rsplit(':').next().unwrap();
    let auth = temp.write("auth", "user:p@ss\n");
    let (proxy, heads) = http_proxy();
    let by = format!("http://{}", proxy.address);
    for url in [
        format!("ws://{}/", plain.address),
        format!("wss://localhost:{port}/"),
    ] {
        let authority = url.split('/').nth(2).unwrap();
        let args = [
            "-",
            &url,
            "--proxy",
            &by,
            "--proxy-auth-file",
            &auth,
            "--ca-only",
            &ca,
            "-v",
        ];
        let (said, log, code) = end(connect(&args));
        assert_eq!((&said[..], code), (&b"hello"[..], 0), "{log}");
        let head = heads.recv().unwrap();
        assert!(
            head.starts_with(&format!("CONNECT {authority} HTTP/1.1\r\n")),
            "{head}"
        );
        assert_eq!(header(&head, "Host"), Some(authority));
        let expected = Some("Basic dXNlcjpwQHNz");
        assert_eq!(header(&head, "Proxy-Authorization"), expected);
        assert!(
            !log.contains("p@ss") && !log.contains("dXNlcjpwQHNz"),
            "{log}"
        );
        assert!(log.contains(&format!("-> {url} through {by}\n")), "{log}");
    }
}

#[test]
fn the_environment_names_the_proxy_and_its_exceptions() {
    let (adit, _backend) = hello(&[]);
    let (proxy, heads) = http_proxy();
    let url = format!("ws://{}/", adit.address);
    let by = format!("http://user:pw@{}", proxy.address);
    for (set, is_used) in [
        (&[("http_proxy", by.as_str())][..], true),
        (&[("HTTP_PROXY", &by)], false),
        (&[("ALL_PROXY", &by)], true),
        (&[("ALL_PROXY", &by), ("no_proxy", "127.0.0.0/8")], false),
        (&[("https_proxy", &by)], false),
    ] {
        let mut command = connect(&["-", &url]);
        command.envs(set.iter().copied());
        let (said, log, code) = end(command);
        assert_eq!((&said[..], code), (&b"hello"[..], 0), "{log}");
        let head = heads.try_recv();
        assert_eq!(head.is_ok(), is_used, "{set:?}");
        if let Ok(head) = head {
            assert_eq!(
                header(&head, "Proxy-Authorization"),
                Some("Basic dXNlcjpwdw==")
            );
        }
    }
    let mut off = connect(&["-", &url, "--proxy=off"]);
    off.env("ALL_PROXY", &by);
    assert_eq!(end(off).2, 0);
    assert!(heads.try_recv().is_err());
    let mut wrong = connect(&["-", &url]);
    wrong.env("http_proxy", "me:secret@p:x");
    let (_, reason, code) = end(wrong);
    assert!(reason.starts_with("adit: the environment's http_proxy: the port is not a number"));
    assert!(!reason.contains("secret"), "{reason}");
    assert_eq!(code, 2);
}

#[test]
fn a_proxy_that_says_no_is_shown_with_its_first_line() {
    for (answer, reason) in [
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n<html>",
            "\"HTTP/1.1 407 Proxy Authentication Required\": it wants a user",
        ),
        (
            "HTTP/1.1 403 Filtered\r\nX: y\r\n\r\n",
            "\"HTTP/1.1 403 Filtered\"\n",
        ),
        (
            "HTTP/1.0 502 Bad Gateway\r\n\r\n",
            "\"HTTP/1.0 502 Bad Gateway\"\n",
        ),
        (
            "\x1bnonsense\r\n\r\n",
            "\"\\x1bnonsense\", which is not HTTP/1.1\n",
        ),
        ("", "the connection without a whole answer\n"),
        (
            "HTTP/1.1 200 OK\r\n",
            "the connection without a whole answer\n",
        ),
    ] {
        let proxy = Backend::each(move |socket| {
            let (mut asked, _) = Far::over(socket);
            asked.socket.say(answer.as_bytes());
            asked.socket.finish();
            let _ = asked.socket.read(&mut [0]);
        });
        let by = format!("http://{}", proxy.address);
        let (_, seen, code) = end(connect(&["-", "wss://far.example/", "--proxy", &by]));
        assert_eq!(code, 1);
        let start = format!("adit: wss://far.example/ through {by}: the proxy ");
        assert!(seen.starts_with(&start) && seen.contains(reason), "{seen}");
        assert_eq!(seen.lines().count(), 1);
    }
}

#[test]
fn a_socks_proxy_looks_the_name_up() {
    let (adit, _backend) = hello(&[]);
    let target = adit.address.clone();
    let port: u16 = target.rsplit(':').next().unwrap().parse().unwrap();
    let proxy = Backend::each(move |mut socket| {
        assert_eq!(socket.hear(4), b"\x05\x02\x00\x02");
        socket.say(b"\x05\x02");
        assert_eq!(socket.hear(9), b"\x01\x04user\x02pw");
        socket.say(b"\x01\x00");
        let name = b"far.example";
        let expected = [b"\x05\x01\x00\x03\x0b", &name[..], &port.to_be_bytes()].concat();
        assert_eq!(socket.hear(expected.len()), expected);
        socket.say(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00");
        pass(socket, Socket::connect(&target));
    });
    let by = format!("socks5h://user:pw@{}", proxy.address);
    let url = format!("ws://far.example:{port}/");
    let (said, log, code) = end(connect(&["-", &url, "--proxy", &by]));
    assert_eq!((&said[..], code), (&b"hello"[..], 0), "{log}");
}

/// Speaks TLS to who comes, and passes what is within it to and fro.
fn tls_proxy(answerer: Answerer) -> Backend {
    Backend::each(move |socket| {
        let Socket::Tcp(mut outer) = socket else {
            return;
        };
        let mut tls = answerer.connection();
        while tls.is_handshaking() {
            if tls.complete_io(&mut outer).is_err() {
                return;
            }
        }
        let mut head = Vec::new();
        let mut stream = rustls::Stream::new(&mut tls, &mut outer);
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let target = head.split(' ').nth(1).unwrap();
        let mut inner = TcpStream::connect(target).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        outer.set_nonblocking(true).unwrap();
        inner.set_nonblocking(true).unwrap();
        let mut buffer = [0; 16384];
        loop {
            let mut stream = rustls::Stream::new(&mut tls, &mut outer);
            let up = copy_once(&mut stream, &mut inner, &mut buffer);
            let down = copy_once(&mut inner, &mut stream, &mut buffer);
            match (up, down) {
                (Some(0), Some(0)) => thread::sleep(Duration::from_millis(1)),
                (Some(_), Some(_)) => {}
                _ => return,
            }
        }
    })
}

/// How many bytes were copied; `None` at the end.
fn copy_once(from: &mut impl Read, to: &mut impl Write, buffer: &mut [u8]) -> Option<usize> {
    match from.read(buffer) {
        Ok(0) => None,
        Err(e) if e.kind() == ErrorKind::WouldBlock => Some(0),
        Err(_) => None,
        Ok(n) => {
            let mut rest = &buffer[..n];
            while !rest.is_empty() {
                match to.write(rest) {
                    Ok(written) => rest = &rest[written..],
                    Err(e) if e.kind() == ErrorKind::WouldBlock => thread::yield_now(),
                    Err(_) => return None,
                }
            }
            let _ = to.flush();
            Some(n)
        }
    }
}

#[test]
fn tls_to_the_proxy_carries_tls_to_the_server() {
    let authority = Authority::new("adit test CA");
    let temp = TempDir::new();
    let ca = temp.write("ca.pem", &authority.pem);
    let certificate = authority.issue(&["localhost"]);
    let (cert, key) = certificate.write(&temp, "server");
    let backend = Backend::echo();
    let options = [&backend.address, "--tls-cert", &cert, "--tls-key", &key];
    let adit = Adit::serve(&options);
    let proxy = tls_proxy(Answerer::new(&certificate));
    let port = |address: &str| address.rsplit(':').next().unwrap().to_owned();
    let url = format!("wss://localhost:{}/", port(&adit.address));
    let by = format!("https://localhost:{}", port(&proxy.address));
    let input = temp.path("input");
    let bytes = common::Noise::new(3).bytes(300_000);
    std::fs::write(&input, &bytes).unwrap();
    let mut command = connect(&["-", &url, "--proxy", &by, "--ca", &ca]);
    command.stdin(std::fs::File::open(&input).unwrap());
    let output = command.output().unwrap();
    let reason = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{reason}");
    assert!(
        output.stdout == bytes,
        "{} bytes of {}",
        output.stdout.len(),
        bytes.len()
    );
    // Whom nobody knows is not asked to let anything through.
    let (_, reason, code) = end(connect(&["-", &url, "--proxy", &by]));
    assert_eq!(code, 1);
    assert!(reason.contains("UnknownIssuer"), "{reason}");
}

/// A server with this certificate, and how `adit connect` ends with it.
#[track_caller]
fn shown(certificate: &Certificate, options: &[&str]) -> (String, i32) {
    let temp = TempDir::new();
    let (cert, key) = certificate.write(&temp, "server");
    let (adit, _backend) = hello(&["--tls-cert", &cert, "--tls-key", &key]);
    let port = adit.address.rsplit(':').next().unwrap();
    let url = format!("wss://localhost:{port}/");
    let (said, reason, code) = end(connect(&[&["-", &url][..], options].concat()));
    assert_eq!(said == b"hello", code == 0, "{reason}");
    (reason, code)
}

#[test]
fn the_server_has_to_show_a_good_certificate() {
    let (own, other) = (Authority::new("own"), Authority::new("other"));
    let temp = TempDir::new();
    let own_pem = temp.write("own.pem", &own.pem);
    let good = own.issue(&["localhost"]);
    let elsewhere = own.issue(&["other.example"]);
    for (certificate, options, reason) in [
        (&good, &["--ca", own_pem.as_str()][..], ""),
        (&good, &["--ca-only", &own_pem], ""),
        (
            &elsewhere,
            &["--ca", &own_pem, "--server-name", "other.example"],
            "",
        ),
        (&good, &[], "UnknownIssuer"),
        (
            &other.issue(&["localhost"]),
            &["--ca", &own_pem],
            "UnknownIssuer",
        ),
        (
            &elsewhere,
            &["--ca", &own_pem],
            "not valid for name \"localhost\"",
        ),
        (
            &good,
            &["--ca", &own_pem, "--server-name", "other.example"],
            "not valid for name",
        ),
    ] {
        let (seen, code) = shown(certificate, options);
        assert_eq!(code, i32::from(!reason.is_empty()), "{options:?}: {seen}");
        assert!(seen.contains(reason), "{seen}");
    }
    for verbose in [&[][..], &["-v"]] {
        let options = [&["--insecure"], verbose].concat();
        let (log, code) = shown(&other.issue(&["x"]), &options);
        assert_eq!(code, 0, "{log}");
        assert_eq!(log.matches("is not verified").count(), 1, "{log}");
    }
}

#[test]
fn a_client_certificate_is_shown_to_who_asks_for_it() {
    let authority = Authority::new("adit test CA");
    let temp = TempDir::new();
    let ca = temp.write("ca.pem", &authority.pem);
    let (cert, key) = authority.issue(&["localhost"]).write(&temp, "server");
    let (mine, my_key) = authority.issue(&["me"]).write(&temp, "me");
    let backend = Backend::named("hello");
    let greeting = ["--client-ca", &ca, "--greeting", "%c "];
    let options = [
        &[&*backend.address, "--tls-cert", &cert, "--tls-key", &key][..],
        &greeting,
    ];
    let adit = Adit::serve(&options.concat());
    let port = adit.address.rsplit(':').next().unwrap();
    let url = format!("wss://localhost:{port}/");
    let shown = [
        "-",
        &url,
        "--ca",
        &ca,
        "--client-cert",
        &mine,
        "--client-key",
        &my_key,
    ];
    let (said, reason, code) = end(connect(&shown));
    assert_eq!((&said[..], code), (&b"hello"[..], 0), "{reason}");
    let (_, reason, code) = end(connect(&["-", &url, "--ca", &ca]));
    assert_eq!(code, 1);
    assert!(reason.contains("CertificateRequired"), "{reason}");
}

#[test]
fn a_second_connection_resumes_the_first_ones_tls() {
    let authority = Authority::new("adit test CA");
    let temp = TempDir::new();
    let ca = temp.write("ca.pem", &authority.pem);
    let answerer = Answerer::new(&authority.issue(&["localhost"]));
    let server = Backend::bind();
    let port = server.address.rsplit(':').next().unwrap();
    let url = format!("wss://localhost:{port}/");
    let adit = Adit::start(connect(&["0", &url, "--ca-only", &ca]));
    let mut resumed = Vec::new();
    for _ in 0..2 {
        let local = Socket::connect(&adit.address);
        let secured = answerer.answer(server.accept()).unwrap();
        let (mut far, request) = Far::over(secured);
        far.welcome(&request, &[]);
        resumed.push(far.socket.tls().is_resumed());
        // The tickets come with the first bytes; an answer shows that they were read.
        far.send(common::PING, b"");
        far.expect(common::PONG, b"");
        drop(local);
        far.expect_close(1000);
    }
    assert_eq!(resumed, [false, true]);
}
