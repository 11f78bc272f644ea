//! TLS with something wrong in it: whatever comes, only the connection it came
//! on may end.

// TLS.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use common::*;
use rustls::ConnectionCommon;

/// adit that ends TLS and begins it: its own client could be its backend.
struct Both {
    adit: Adit,
    authority: Authority,
    answerer: Answerer,
    backend: Backend,
    _temp: TempDir,
}

impl Both {
    fn serve() -> Self {
        let (authority, temp, backend) =
            (Authority::new("adit test"), TempDir::new(), Backend::bind());
        let certificate = authority.issue(&["localhost", "127.0.0.1"]);
        let (cert, key) = certificate.write(&temp, "own");
        let ca = temp.write("ca.pem", &authority.pem);
        let address = format!("tls:{}", backend.address);
        let files = ["--tls-cert", &cert, "--tls-key", &key, "--backend-ca", &ca];
        let more = [
            "--plain",
            "allow",
            "--client-ca",
            &ca,
            "--client-auth",
            "optional",
        ];
        Both {
            adit: Adit::serve(&[&[&*address], &files[..], &more].concat()),
            answerer: Answerer::new(&certificate),
            authority,
            backend,
            _temp: temp,
        }
    }

    /// Shows a certificate, so that there is more to go wrong.
    fn dialer(&self, version: &'static rustls::SupportedProtocolVersion) -> Dialer {
        let own = self.authority.issue(&["alice"]);
        Dialer::showing_over(&self.authority, &own, version)
    }

    /// Whether it still does what it is there for.
    #[track_caller]
    fn lives(&self) {
        let address = self.adit.address.clone();
        let client = std::thread::spawn(move || Client::open(&address));
        let mut service = self.answerer.answer(self.backend.accept()).unwrap();
        let mut client = client.join().unwrap();
        client.send(BINARY, b"hello");
        assert_eq!(service.hear(5), b"hello");
    }
}

/// Says this and nothing more, and waits for the end, whichever way it comes.
fn end_with(mut tcp: TcpStream, bytes: &[u8]) {
    // The other side may have had enough before it has heard it all.
    let _ = tcp.write_all(bytes);
    let _ = tcp.shutdown(Shutdown::Write);
    let _ = tcp.read_to_end(&mut Vec::new());
}

/// What this side says when it has heard the other one.
fn next_flight<Data>(connection: &mut ConnectionCommon<Data>, tcp: &mut TcpStream) -> Vec<u8> {
    while !connection.wants_write() {
        assert_ne!(connection.read_tls(tcp).unwrap(), 0);
        connection.process_new_packets().unwrap();
    }
    let mut flight = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut flight).unwrap();
    }
    flight
}

/// Changes one byte, and may cut the end off.
fn spoil(bytes: &mut Vec<u8>, noise: &mut Noise) {
    let at = noise.below(bytes.len());
    bytes[at] ^= 1 << noise.below(8);
    if noise.below(4) == 0 {
        bytes.truncate(1 + noise.below(bytes.len()));
    }
}

#[test]
fn a_spoilt_hello_ends_only_its_own_connection() {
    let both = Both::serve();
    let dialer = both.dialer(&TLS13);
    let mut noise = Noise::new(11);
    for _ in 0..300 {
        let (mut hello, _) = dialer.hello();
        spoil(&mut hello, &mut noise);
        end_with(tcp(&both.adit.address), &hello);
    }
    both.lives();
}

#[test]
fn a_spoilt_second_flight_ends_only_its_own_connection() {
    let both = Both::serve();
    let mut noise = Noise::new(12);
    for version in [&TLS13, &TLS12] {
        let dialer = both.dialer(version);
        for _ in 0..100 {
            let (hello, mut connection) = dialer.hello();
            let mut tcp = tcp(&both.adit.address);
            tcp.write_all(&hello).unwrap();
            let mut flight = next_flight(&mut connection, &mut tcp);
            spoil(&mut flight, &mut noise);
            end_with(tcp, &flight);
        }
    }
    both.lives();
}

#[test]
fn a_backends_spoilt_flight_is_a_refusal() {
    let both = Both::serve();
    let mut noise = Noise::new(13);
    for _ in 0..100 {
        let mut client = Client::connect(&both.adit.address);
        client.say(request("/", &[]).as_bytes());
        let Socket::Tcp(mut tcp) = both.backend.accept() else {
            unreachable!()
        };
        let mut connection = both.answerer.connection();
        let mut flight = next_flight(&mut connection, &mut tcp);
        spoil(&mut flight, &mut noise);
        end_with(tcp, &flight);
        // One bit of what does not matter may be as good as another.
        let status = client.response().status;
        assert!([101, 502, 503].contains(&status), "{status}");
    }
}

#[test]
fn an_end_within_a_record_is_noticed_at_once() {
    let both = Both::serve();
    let (hello, _) = both.dialer(&TLS13).hello();
    for _ in 0..20 {
        end_with(tcp(&both.adit.address), &hello[..100]);
    }
    let dialer = both.dialer(&TLS13);
    let address = both.adit.address.clone();
    let client = std::thread::spawn(move || dialer.open(&address));
    let mut service = both.answerer.answer(both.backend.accept()).unwrap();
    let mut client = client.join().unwrap();
    let Secured { connection, tcp } = client.socket.tls();
    let mut record = Vec::new();
    connection
        .writer()
        .write_all(&frame(BINARY, &[7; 500]))
        .unwrap();
    connection.write_tls(&mut record).unwrap();
    tcp.write_all(&record[..400]).unwrap();
    drop(client);
    assert_eq!(service.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_hello_in_many_records_is_one_hello() {
    let both = Both::serve();
    for size in [1, 3, 50, 200] {
        let (hello, connection) = both.dialer(&TLS13).hello();
        let (head, message) = hello.split_at(5);
        let mut tcp = tcp(&both.adit.address);
        for piece in message.chunks(size) {
            let record = [&head[..4], &[piece.len() as u8], piece].concat();
            tcp.write_all(&record).unwrap();
        }
        Secured::over(connection, tcp).unwrap();
    }
}

#[test]
fn a_hello_that_claims_to_be_endless_is_refused() {
    let both = Both::serve();
    let mut tcp = tcp(&both.adit.address);
    let mut record = vec![0x16, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff];
    record.resize(5 + 0x4000, 0);
    tcp.write_all(&record).unwrap();
    let mut heard = Vec::new();
    let _ = tcp.read_to_end(&mut heard);
    both.adit.wait_for_log(" refused: TLS handshake failed: ");
    both.lives();
}

#[test]
fn a_hello_without_end_in_tiny_records_is_refused_and_costs_little() {
    let both = Both::serve();
    let mut tcp = tcp(&both.adit.address);
    // Its head claims 65,520 bytes, and each of them has a record of its own.
    let head = [1, 0, 0xff, 0xf0];
    let message = head.into_iter().chain(std::iter::repeat(0)).take(65_000);
    let records: Vec<u8> = message.flat_map(|b| [0x16, 3, 1, 0, 1, b]).collect();
    let _ = tcp.write_all(&records);
    let _ = tcp.read_to_end(&mut Vec::new());
    both.adit.wait_for_log(" refused: TLS handshake failed: ");
    both.lives();
}

#[test]
fn a_backends_record_of_any_length_is_a_refusal() {
    let both = Both::serve();
    for len in [16_384, 16_385, 16_449, 16_640, 18_000, 18_432, 65_535u16] {
        let mut client = Client::connect(&both.adit.address);
        client.say(request("/", &[]).as_bytes());
        let Socket::Tcp(mut tcp) = both.backend.accept() else {
            unreachable!()
        };
        let [high, low] = len.to_be_bytes();
        let mut record = vec![0x16, 3, 3, high, low];
        record.resize(5 + usize::from(len), 0);
        // It may be refused before it is read whole.
        let _ = tcp.write_all(&record);
        let _ = tcp.shutdown(Shutdown::Write);
        assert_eq!(client.response().status, 502, "{len} bytes");
    }
    both.lives();
}

#[test]
fn noise_behind_the_last_answer_is_dropped() {
    let both = Both::serve();
    for version in [&TLS13, &TLS12] {
        let mut socket = both.dialer(version).dial(&both.adit.address);
        socket.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        // To the close_notify: what is wrong with TLS from here on, adit has
        // nobody to tell.
        socket.read_to_end(&mut Vec::new()).unwrap();
        let Secured { tcp, .. } = socket.tls();
        end_with(tcp.try_clone().unwrap(), &[0x17, 3, 3, 0, 32].repeat(20));
    }
    both.lives();
}

#[test]
fn noise_behind_a_close_is_dropped() {
    let both = Both::serve();
    for version in [&TLS13, &TLS12] {
        let (address, dialer) = (both.adit.address.clone(), both.dialer(version));
        let client = std::thread::spawn(move || dialer.open(&address));
        let mut service = both.answerer.answer(both.backend.accept()).unwrap();
        let mut client = client.join().unwrap();
        client.send(CLOSE, &1000u16.to_be_bytes());
        assert_eq!(service.read(&mut [0]).unwrap(), 0);
        for socket in [&mut client.socket, &mut service] {
            let _ = socket.read_to_end(&mut Vec::new());
            let Secured { tcp, .. } = socket.tls();
            let _ = tcp.write_all(&[0x17, 3, 3, 0, 32].repeat(20));
        }
        drop((client, service));
        both.adit.wait_for_log(" closed: client close, 1000, ");
    }
    both.lives();
}

#[test]
fn a_backends_noise_behind_the_clients_end_costs_one_tunnel() {
    let both = Both::serve();
    let address = both.adit.address.clone();
    let client = std::thread::spawn(move || Client::open(&address));
    let mut service = both.answerer.answer(both.backend.accept()).unwrap();
    let mut client = client.join().unwrap();
    // Without a Close, so that what the backend still answers is read.
    client.socket.finish();
    assert_eq!(service.read(&mut [0]).unwrap(), 0);
    let Secured { tcp, .. } = service.tls();
    // With debug assertions, this is where rustls panics: what it had to say of
    // the noise may not follow the close_notify.
    end_with(tcp.try_clone().unwrap(), &[0x17, 3, 3, 0, 32].repeat(20));
    let _ = client.socket.read_to_end(&mut Vec::new());
    both.lives();
}
