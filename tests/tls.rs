//! wss: tunnels over TLS are tunnels like others, and handshakes that are slow,
//! cut, foreign or no handshakes at all do no harm.

// TLS.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::thread;

use common::*;
use rustix::process::Signal;
use rustls::{HandshakeKind, ProtocolVersion};

/// adit with a certificate for `localhost`, and who signed it.
struct Wss {
    adit: Adit,
    authority: Authority,
    _files: TempDir,
}

impl Wss {
    fn serve(backend: &Backend, options: &[&str]) -> Self {
        let (authority, files) = (Authority::new("adit test"), TempDir::new());
        let (cert, key) = authority.issue(&["localhost"]).write(&files, "own");
        let mut args = vec![&*backend.address, "--tls-cert", &cert, "--tls-key", &key];
        args.extend(options);
        Wss {
            adit: Adit::serve(&args),
            authority,
            _files: files,
        }
    }

    fn dialer(&self) -> Dialer {
        Dialer::new(&self.authority)
    }

    #[track_caller]
    fn client(&self) -> Client {
        self.dialer().open(&self.adit.address)
    }
}

fn echo(options: &[&str]) -> (Wss, Backend) {
    let backend = Backend::echo();
    (Wss::serve(&backend, options), backend)
}

/// One open tunnel, and both its ends in the test's hands.
fn tunnel(options: &[&str]) -> (Wss, Client, Socket) {
    let backend = Backend::bind();
    let wss = Wss::serve(&backend, options);
    let client = wss.client();
    let service = backend.accept();
    (wss, client, service)
}

#[test]
fn a_tunnel_is_the_same_over_either_version() {
    let (wss, _backend) = echo(&[]);
    for (version, expected) in [
        (&TLS13, ProtocolVersion::TLSv1_3),
        (&TLS12, ProtocolVersion::TLSv1_2),
    ] {
        let dialer = Dialer::of_version(&wss.authority, version);
        let mut client = dialer.open(&wss.adit.address);
        let tls = &client.socket.tls().connection;
        assert_eq!(tls.protocol_version(), Some(expected));
        assert_eq!(tls.alpn_protocol(), Some(&b"http/1.1"[..]));
        client.echoes(b"hello");
        client.send(PING, b"there?");
        assert_eq!(client.frame().payload, b"there?");
        // The end of the stream is a close_notify, or it would be an error.
        client.close(1000);
    }
}

#[test]
fn a_mebibyte_each_way_comes_whole_while_the_client_does_not_read() {
    let backend = Backend::bind();
    let wss = Wss::serve(&backend, &[]);
    for version in [&TLS13, &TLS12] {
        let dialer = Dialer::of_version(&wss.authority, version);
        let mut client = dialer.open(&wss.adit.address);
        client.socket.small_buffers();
        let mut service = backend.accept();
        service.small_buffers();
        let (down, up) = (Noise::new(1).bytes(1 << 20), Noise::new(2).bytes(1 << 20));
        let sums = (Checksum::of(&down), Checksum::of(&up));

        let mut listener = service.handle();
        let teller = thread::spawn(move || {
            service.say(&down);
            service
        });
        let listener = thread::spawn(move || {
            let mut seen = Checksum::new();
            while seen.len < 1 << 20 {
                seen.add(&listener.hear(1 << 10));
                thread::yield_now();
            }
            seen
        });
        client.send(BINARY, &up);
        assert_eq!(listener.join().unwrap(), sums.1);
        let mut seen = Checksum::new();
        while seen.len < sums.0.len {
            seen.add(&client.message().1);
        }
        assert_eq!(seen, sums.0);
        drop(teller.join().unwrap());
        client.expect_close(1000);
    }
}

#[test]
fn many_small_messages_stay_messages() {
    let (wss, _backend) = echo(&["--framing", "lines"]);
    let mut client = wss.client();
    let mut noise = Noise::new(5);
    for _ in 0..50 {
        let lines: Vec<_> = (0..200)
            .map(|n| format!("{n} {}", "x".repeat(noise.below(60))))
            .collect();
        let frames: Vec<_> = lines.iter().map(|l| frame(TEXT, l.as_bytes())).collect();
        // Some share a record, and some records end within a frame.
        let bytes = frames.concat();
        for piece in bytes.chunks(1 + noise.below(3000)) {
            client.say(piece);
        }
        for line in lines {
            assert_eq!(client.message(), (TEXT, line.into_bytes()));
        }
    }
    client.close(1000);
}

#[test]
fn messages_of_each_size_around_a_record_come_whole() {
    let (_wss, mut client, mut service) = tunnel(&[]);
    let noise = Noise::new(6).bytes(3 << 14);
    for size in [
        16_382,
        16_383,
        16_384,
        16_385,
        32_767,
        32_768,
        32_769,
        3 << 14,
    ] {
        service.say(&noise[..size]);
        assert!(client.payload(size) == noise[..size], "{size} down");
        client.send(BINARY, &noise[..size]);
        assert!(service.hear(size) == noise[..size], "{size} up");
    }
}

#[test]
fn data_a_close_and_a_close_notify_at_once_all_count() {
    for version in [&TLS13, &TLS12] {
        let backend = Backend::bind();
        let wss = Wss::serve(&backend, &["--framing", "lines"]);
        let dialer = Dialer::of_version(&wss.authority, version);
        let mut client = dialer.open(&wss.adit.address);
        let mut service = backend.accept();
        let Secured { connection, tcp } = client.socket.tls();
        let bytes = [frame(TEXT, b"QUIT"), frame(CLOSE, &close(1000, ""))].concat();
        connection.writer().write_all(&bytes).unwrap();
        connection.send_close_notify();
        let mut records = Vec::new();
        connection.write_tls(&mut records).unwrap();
        tcp.write_all(&records).unwrap();
        assert_eq!(service.hear_all(), b"QUIT\n");
        client.expect_close(1000);
        client.expect_eof();
    }
}

#[test]
fn an_end_without_close_notify_is_an_end() {
    let (wss, mut client, mut service) = tunnel(&[]);
    client.send(CLOSE, &close(1000, ""));
    client.expect_close(1000);
    drop(client);
    assert!(service.is_over());
    wss.adit.wait_for_log(" closed: ");
    assert!(!wss.adit.log().contains("close_notify"));

    let (_wss, mut client, mut service) = tunnel(&[]);
    client.send(BINARY, b"last words");
    drop(client);
    assert_eq!(service.hear_all(), b"last words");
}

#[test]
fn the_end_of_the_backend_is_a_close_and_a_close_notify() {
    let (_wss, mut client, mut service) = tunnel(&[]);
    let story = Noise::new(7).bytes(300_000);
    let sum = Checksum::of(&story);
    let teller = thread::spawn(move || service.say(&story));
    let mut seen = Checksum::new();
    while seen.len < sum.len {
        seen.add(&client.message().1);
    }
    teller.join().unwrap();
    assert_eq!(seen, sum);
    client.expect_close(1000);
    client.send(CLOSE, &close(1000, ""));
    client.expect_eof();
}

#[test]
fn new_keys_within_a_tunnel_change_nothing() {
    let (wss, _backend) = echo(&[]);
    let mut client = Dialer::of_version(&wss.authority, &TLS13).open(&wss.adit.address);
    for _ in 0..3 {
        let tls = client.socket.tls();
        tls.connection.refresh_traffic_keys().unwrap();
        tls.flush().unwrap();
        client.echoes(b"with new keys");
    }
    client.close(1000);
}

#[test]
fn a_record_that_was_tampered_with_ends_the_tunnel() {
    let (_wss, mut client, mut service) = tunnel(&[]);
    let record = [&[0x17, 3, 3, 0, 32][..], &[0xaa; 32]].concat();
    client.socket.tls().tcp.write_all(&record).unwrap();
    let error = client.socket.read(&mut [0]).unwrap_err();
    assert!(error.to_string().contains("BadRecordMac"), "{error}");
    assert!(service.is_over());
}

#[test]
fn a_record_that_was_tampered_with_before_a_request_is_no_handshake_that_failed() {
    let (wss, _backend) = echo(&[]);
    let mut socket = wss.dialer().dial(&wss.adit.address);
    let record = [&[0x17, 3, 3, 0, 32][..], &[0xaa; 32]].concat();
    socket.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    socket.tls().tcp.write_all(&record).unwrap();
    wss.adit
        .wait_for_log(" refused: TLS failed: cannot decrypt peer's message");
    assert!(!wss.adit.log().contains("handshake"));
}

#[test]
fn a_client_that_comes_back_resumes_its_session() {
    let (wss, _backend) = echo(&[]);
    for version in [&TLS13, &TLS12] {
        let dialer = Dialer::of_version(&wss.authority, version);
        for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut client = dialer.open(&wss.adit.address);
            let kind = client.socket.tls().connection.handshake_kind();
            assert_eq!(kind, Some(expected));
            client.echoes(b"hello");
            client.close(1000);
        }
    }
}

#[test]
fn of_the_protocols_offered_only_http_1_1_is_chosen() {
    let (wss, _backend) = echo(&[]);
    let offer = |protocols: &[&str]| {
        let mut dialer = wss.dialer();
        dialer.config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().into()).collect();
        dialer
    };
    for (protocols, chosen) in [
        (&["h2", "http/1.1"][..], Some(&b"http/1.1"[..])),
        (&[], None),
    ] {
        let mut client = offer(protocols).open(&wss.adit.address);
        let tls = client.socket.tls();
        assert_eq!(tls.connection.alpn_protocol(), chosen);
    }
    let error = offer(&["h2"]).refusal(&wss.adit.address);
    assert!(
        error.to_string().contains("NoApplicationProtocol"),
        "{error}"
    );
    wss.adit.wait_for_log(" refused: TLS handshake failed: ");
}

#[test]
fn plain_http_is_sent_to_https() {
    let (wss, _backend) = echo(&[]);
    for (target, host) in [("/", "a.example"), ("/chat?room=1", "a.example:8443")] {
        let mut client = Client::connect(&wss.adit.address);
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        client.say(request.as_bytes());
        let response = client.response();
        assert_eq!(response.status, 301, "{response:?}");
        let location = format!("https://{host}{target}");
        assert_eq!(response.header("location"), Some(&*location));
        client.expect_eof();
    }
    for nowhere in [
        "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
    ] {
        let mut client = Client::connect(&wss.adit.address);
        client.say(nowhere.as_bytes());
        assert_eq!(client.response().status, 400, "{nowhere}");
    }
    let mut client = Client::connect(&wss.adit.address);
    client.say(b"\x80\x2e\x01\x03\x01");
    assert_eq!(client.response().status, 400, "neither TLS nor HTTP");
}

#[test]
fn plain_tunnels_are_open_where_they_are_allowed() {
    let (wss, _backend) = echo(&["--plain", "allow"]);
    for mut client in [wss.adit.client(), wss.client()] {
        client.echoes(b"hello");
        client.close(1000);
    }
}

#[test]
fn five_hundred_half_handshakes_do_not_disturb_a_tunnel() {
    let (wss, _backend) = echo(&["--handshake-timeout", "3s"]);
    let mut client = wss.client();
    let (hello, _) = wss.dialer().hello();
    let halves: Vec<_> = (0..500)
        .map(|n| {
            let mut tcp = tcp(&wss.adit.address);
            tcp.write_all(&hello[..1 + n % (hello.len() - 1)]).unwrap();
            tcp
        })
        .collect();
    for _ in 0..100 {
        client.echoes(b"undisturbed");
    }
    for mut tcp in halves {
        tcp.read_to_end(&mut Vec::new()).unwrap();
    }
    client.echoes(b"still here");
    client.close(1000);
}

#[test]
fn a_handshake_and_then_no_request_is_408() {
    let (wss, _backend) = echo(&["--handshake-timeout", "300ms"]);
    let socket = wss.dialer().dial(&wss.adit.address);
    let (_, response) = Client::over_with(socket, b"GET / HTTP/1.1\r\n");
    assert_eq!(response.status, 408);
}

/// A hello of TLS 1.1, which nothing has spoken safely for years.
fn hello_of_tls_1_1() -> Vec<u8> {
    let mut body = vec![3, 2];
    body.extend([7; 32]);
    // No session, two cipher suites, no compression, one extension: algorithms
    // of signatures, without which the version would not even be looked at.
    body.extend([0, 0, 4, 0xc0, 0x14, 0, 0x2f, 1, 0]);
    body.extend([0, 8, 0, 0x0d, 0, 4, 0, 2, 4, 3]);
    let len = body.len() as u8;
    [&[0x16, 3, 1, 0, len + 4, 1, 0, 0, len][..], &body].concat()
}

#[test]
fn tls_1_1_is_refused_with_an_alert() {
    let (wss, _backend) = echo(&[]);
    let mut tcp = tcp(&wss.adit.address);
    tcp.write_all(&hello_of_tls_1_1()).unwrap();
    let mut heard = Vec::new();
    tcp.read_to_end(&mut heard).unwrap();
    // A fatal alert: protocol_version (RFC 8446 section 6).
    assert_eq!(heard[0], 0x15, "{heard:?}");
    assert_eq!(heard[3..], [0, 2, 2, 70]);
    wss.adit.wait_for_log(" refused: TLS handshake failed: ");
}

#[test]
fn a_hello_cut_at_every_byte_is_the_same() {
    let (wss, _backend) = echo(&[]);
    let len = wss.dialer().hello().0.len();
    for cut in 1..len {
        let (hello, connection) = wss.dialer().hello();
        let cut = cut.min(hello.len());
        let mut tcp = tcp(&wss.adit.address);
        tcp.write_all(&hello[..cut]).unwrap();
        tcp.write_all(&hello[cut..]).unwrap();
        let socket = Secured::over(connection, tcp);
        let socket = socket.unwrap_or_else(|e| panic!("cut at {cut}: {e}"));
        let (_, response) = Client::over(socket, "/", &[]);
        assert_eq!(response.status, 101, "cut at {cut}");
    }
}

#[test]
fn a_client_that_says_each_byte_by_itself_is_understood() {
    let (wss, _backend) = echo(&[]);
    for version in [&TLS13, &TLS12] {
        let mut connection = Dialer::of_version(&wss.authority, version).connection();
        let mut tcp = tcp(&wss.adit.address);
        while connection.is_handshaking() {
            drip(&mut connection, &mut tcp);
            if connection.is_handshaking() {
                assert_ne!(connection.read_tls(&mut tcp).unwrap(), 0);
                connection.process_new_packets().unwrap();
            }
        }
        let bytes = [request("/", &[]).as_bytes(), &frame(BINARY, b"drops")].concat();
        connection.writer().write_all(&bytes).unwrap();
        drip(&mut connection, &mut tcp);
        let socket = Secured::over(connection, tcp).unwrap();
        let (mut client, response) = Client::over_with(socket, b"");
        assert_eq!(response.status, 101);
        assert_eq!(client.payload(5), b"drops");
        client.close(1000);
    }
}

/// Sends what TLS has to say, one byte at a time.
fn drip(connection: &mut rustls::ClientConnection, tcp: &mut std::net::TcpStream) {
    let mut records = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut records).unwrap();
    }
    for byte in records {
        tcp.write_all(&[byte]).unwrap();
    }
}

#[test]
fn a_request_and_messages_right_behind_the_handshake_are_heard() {
    let (wss, _backend) = echo(&[]);
    for version in [&TLS13, &TLS12] {
        let mut connection = Dialer::of_version(&wss.authority, version).connection();
        let mut tcp = tcp(&wss.adit.address);
        // Held back by rustls until it may be sent: in one flight with Finished.
        let bytes = [request("/", &[]).as_bytes(), &frame(BINARY, &[9; 20_000])].concat();
        connection.writer().write_all(&bytes).unwrap();
        while connection.is_handshaking() || connection.wants_write() {
            connection.complete_io(&mut tcp).unwrap();
        }
        let socket = Secured::over(connection, tcp).unwrap();
        let (mut client, response) = Client::over_with(socket, b"");
        assert_eq!(response.status, 101);
        assert_eq!(client.payload(20_000), [9; 20_000]);
    }
}

#[test]
fn garbage_in_place_of_a_handshake_is_refused() {
    let (wss, _backend) = echo(&[]);
    for (count, bytes) in [
        &[0x16, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff][..],
        &[0x16, 3, 1, 0xff, 0xff, 1],
        &[0x16, 3, 1, 0, 0],
        &[0x16, 0x47, 0x45, 0x54],
    ]
    .iter()
    .enumerate()
    {
        let mut tcp = tcp(&wss.adit.address);
        tcp.write_all(bytes).unwrap();
        tcp.shutdown(std::net::Shutdown::Write).unwrap();
        match tcp.read_to_end(&mut Vec::new()) {
            Ok(_) => {}
            Err(e) => assert_eq!(e.kind(), ErrorKind::ConnectionReset, "{count}"),
        }
    }
    wss.client().echoes(b"and on it goes");
}

#[test]
fn a_drain_says_1001_over_tls() {
    let (mut wss, mut client, service) = tunnel(&["--drain-timeout", "200ms"]);
    wss.adit.signal(Signal::TERM);
    client.expect_close(1001);
    client.send(CLOSE, &close(1001, ""));
    client.expect_eof();
    drop((client, service));
    assert_eq!(wss.adit.wait().code(), Some(0));
}

#[test]
fn a_drain_ends_though_a_client_left_without_a_word_and_its_backend_stays() {
    let (mut wss, client, service) =
        tunnel(&["--drain-timeout", "100ms", "--close-timeout", "1500ms"]);
    drop(client);
    wss.adit.signal(Signal::TERM);
    assert_eq!(wss.adit.wait().code(), Some(0));
    drop(service);
}

/// A version 2 PROXY header of 203.0.113.9:4711 to 198.51.100.1:443.
const PROXY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\
    \xcb\0\x71\x09\xc6\x33\x64\x01\x12\x67\x01\xbb";

#[test]
fn a_proxy_header_goes_before_the_handshake() {
    let backend = Backend::bind();
    let options = ["--accept-proxy", "--trusted-proxies", "127.0.0.0/8"];
    let wss = Wss::serve(
        &backend,
        &[&options[..], &["--greeting", r"%a %p\n"]].concat(),
    );
    let (hello, _) = wss.dialer().hello();
    let len = PROXY.len() + hello.len();
    // All at once, header and hello in turn, and cut within either.
    for cut in [len, PROXY.len(), 5, PROXY.len() + 1, PROXY.len() + 6] {
        let (hello, connection) = wss.dialer().hello();
        let bytes = [PROXY, &hello].concat();
        let (front, rest) = bytes.split_at(cut.min(bytes.len()));
        let mut tcp = tcp(&wss.adit.address);
        tcp.write_all(front).unwrap();
        tcp.write_all(rest).unwrap();
        let socket = Secured::over(connection, tcp).unwrap();
        let (_client, response) = Client::over(socket, "/", &[]);
        assert_eq!(response.status, 101);
        assert_eq!(
            backend.accept().hear(17),
            b"203.0.113.9 4711\n",
            "cut at {cut}"
        );
    }
}
