//! The table of endings, row by row: what ends a tunnel, which status or close
//! code says so, and what becomes of the bytes under way.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, connect};

/// The status of a refusal, after a whole answer and the connection's end.
fn refused(adit: &Adit) -> u16 {
    let (mut client, response) = Client::ask(&adit.address, "/", &[]);
    assert_eq!(response.header("connection"), Some("close"));
    client.expect_eof();
    response.status
}

#[test]
fn a_backend_that_refuses_is_502() {
    let (address, _port) = refusing();
    assert_eq!(refused(&Adit::serve(&[&address])), 502);
}

#[test]
fn a_unix_backend_that_is_not_there_is_502() {
    let temp = TempDir::new();
    assert_eq!(refused(&Adit::serve(&[&temp.unix("nobody")])), 502);
}

#[test]
fn a_backend_that_does_not_answer_is_504() {
    let (address, _backlog) = silent();
    let adit = Adit::serve(&[&address, "--connect-timeout", "200ms"]);
    assert_eq!(refused(&adit), 504);
}

#[test]
fn all_backends_down_are_503() {
    let ((one, _one), (two, _two)) = (refusing(), refusing());
    let adit = Adit::serve(&[&one, &two]);
    assert_eq!(refused(&adit), 503);
    assert_eq!(refused(&adit), 503, "and the same again at once");
}

#[test]
fn a_backend_that_is_down_is_passed_over() {
    let (down, _down) = refusing();
    let (mute, _mute) = silent();
    let up = Backend::named("up");
    let adit = Adit::serve(&[&down, &mute, &up.address, "--connect-timeout", "200ms"]);
    for _ in 0..6 {
        assert_eq!(adit.client().payload(2), b"up");
    }
}

#[test]
fn full_backends_are_503_until_one_tunnel_ends() {
    let backend = Backend::named("!");
    let adit = Adit::serve(&[&backend.address, "--max-connections-per-backend", "2"]);
    let open = || {
        let mut client = adit.client();
        assert_eq!(client.payload(1), b"!");
        client
    };
    let (_held, ended) = (open(), open());
    assert_eq!(refused(&adit), 503);
    ended.close(1000);
    adit.wait_for_log("closed");
    let _next = open();
    assert_eq!(refused(&adit), 503);
}

#[test]
fn a_backends_end_is_close_1000_after_all_it_said() {
    let (adit, mut client, mut service) = tunnel(&[]);
    service.say(b"the whole story");
    service.finish();
    assert_eq!(client.payload(15), b"the whole story");
    client.expect_close(1000);
    client.send(CLOSE, &close(1000, ""));
    client.expect_eof();
    assert!(service.hear_all().is_empty());
    drop((client, service));
    let line = adit.wait_for_log("closed");
    assert!(line.contains("backend") && line.contains("1000"), "{line}");
}

#[test]
fn a_backend_that_speaks_and_leaves_before_the_101_is_heard() {
    let backend = Backend::each(|mut socket| {
        socket.say(b"bye");
    });
    let adit = Adit::serve(&[&backend.address]);
    let mut client = adit.client();
    assert_eq!(client.payload(3), b"bye");
    client.expect_close(1000);
}

#[test]
fn a_slow_client_gets_a_mebibyte_before_the_close() {
    let (_adit, mut client, mut service) = tunnel(&[]);
    client.socket.small_buffers();
    let story = Noise::new(2).bytes(1 << 20);
    let sum = Checksum::of(&story);
    let teller = thread::spawn(move || {
        service.say(&story);
        service.finish();
        service.hear_all()
    });
    let mut seen = Checksum::new();
    while seen.len < sum.len {
        seen.add(&client.message().1);
        thread::yield_now();
    }
    assert_eq!(seen, sum);
    client.expect_close(1000);
    client.send(CLOSE, &close(1000, ""));
    client.expect_eof();
    assert!(teller.join().unwrap().is_empty());
}

#[test]
fn a_client_speaks_on_after_the_backends_end_until_its_close() {
    let (_adit, mut client, mut service) = tunnel(&["--framing", "lines"]);
    service.finish();
    client.expect_close(1000);
    client.send(TEXT, b"one more thing");
    client.send(CLOSE, &close(1000, ""));
    assert_eq!(service.hear_all(), b"one more thing\n");
    client.expect_eof();
}

#[test]
fn a_client_that_never_answers_the_close_is_dropped() {
    let (adit, mut client, service) = tunnel(&["--close-timeout", "200ms"]);
    service.finish();
    client.expect_close(1000);
    adit.wait_for_log("closed");
    client.expect_eof();
}

#[test]
fn a_backends_reset_is_1011() {
    let (adit, mut client, service) = tunnel(&[]);
    service.reset();
    client.expect_close(1011);
    client.send(CLOSE, &close(1011, ""));
    client.expect_eof();
    drop(client);
    adit.wait_for_log("reset");
}

#[test]
fn a_backend_that_ends_within_a_message_is_1011() {
    for (framing, piece) in [
        ("length-u8", &b"\x05abc"[..]),
        ("length-u32", b"\0\0"),
        ("content-length", b"Content-Length: 4\r\n\r\n{}"),
        ("json", b"{\"a\":"),
    ] {
        let (_adit, mut client, mut service) = tunnel(&["--framing", framing]);
        service.say(piece);
        service.finish();
        let mut frame = client.frame();
        while frame.first != CLOSE {
            assert_eq!(
                frame.first & 0x80,
                0,
                "a whole message in {framing}: {frame:?}"
            );
            frame = client.frame();
        }
        assert_eq!(frame.payload[..2], 1011_u16.to_be_bytes(), "{framing}");
    }
}

#[test]
fn a_clients_close_brings_all_before_it_to_the_backend() {
    let (_adit, mut client, mut service) = tunnel(&[]);
    let last = Noise::new(3).bytes(300_000);
    let bytes = [frame(BINARY, &last), frame(CLOSE, &close(1000, "done"))].concat();
    let mut writer = client.socket.handle();
    let writer = thread::spawn(move || writer.say(&bytes));
    assert_eq!(Checksum::of(&service.hear_all()), Checksum::of(&last));
    writer.join().unwrap();
    client.expect_close(1000);
    client.expect_eof();
}

#[test]
fn data_and_close_in_one_segment_both_count() {
    let (_adit, mut client, mut service) = tunnel(&["--framing", "lines"]);
    let bytes = [frame(TEXT, b"QUIT"), frame(CLOSE, &close(1001, ""))].concat();
    client.say(&bytes);
    assert_eq!(service.hear_all(), b"QUIT\n");
    client.expect_close(1001);
    client.expect_eof();
}

#[test]
fn a_close_is_echoed_and_the_client_let_go_before_the_backend_ends() {
    let (_adit, mut client, mut service) = tunnel(&["--close-timeout", "1h"]);
    client.send(CLOSE, &close(1000, ""));
    client.expect_close(1000);
    client.expect_eof();
    assert!(service.hear_all().is_empty());
}

#[test]
fn a_backend_that_never_ends_is_dropped_after_the_close() {
    let (adit, client, mut service) = tunnel(&["--close-timeout", "200ms"]);
    client.close(1000);
    assert!(service.hear_all().is_empty());
    adit.wait_for_log("closed");
}

#[test]
fn nothing_behind_a_close_is_read_as_a_frame() {
    let (_adit, mut client, mut service) = tunnel(&["--framing", "lines"]);
    let bytes = [
        frame(TEXT, b"before"),
        frame(CLOSE, &close(1000, "")),
        frame(TEXT, b"behind"),
        frame(PING, b"behind"),
    ];
    client.say(&bytes.concat());
    assert_eq!(service.hear_all(), b"before\n");
    client.expect_close(1000);
    client.expect_eof();
}

#[test]
fn each_code_that_a_client_may_send_is_echoed() {
    let (adit, _backend) = echo(&[]);
    let codes = (1000..=1003).chain(1007..=1014);
    for code in codes.chain([3000, 3999, 4000, 4999]) {
        for reason in ["", "because", &"ü".repeat(61)] {
            let mut client = adit.client();
            client.send(CLOSE, &close(code, reason));
            client.expect_close(code);
            client.expect_eof();
        }
    }
}

#[test]
fn a_close_without_a_code_gets_one_without_a_code() {
    let (adit, _backend) = echo(&[]);
    let mut client = adit.client();
    client.send(CLOSE, &[]);
    let frame = client.frame();
    assert_eq!((frame.first, frame.payload), (CLOSE, vec![]));
    client.expect_eof();
}

#[test]
fn a_code_that_nobody_may_send_is_1002() {
    let (adit, _backend) = echo(&[]);
    let forbidden = [
        0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
    ];
    for code in forbidden {
        let mut client = adit.client();
        client.send(CLOSE, &close(code, ""));
        client.expect_close(1002);
        client.expect_eof();
    }
}

#[test]
fn a_close_of_one_byte_is_1002_and_a_reason_not_in_utf8_is_1007() {
    let (adit, _backend) = echo(&[]);
    for (payload, code) in [
        (&b"\x03"[..], 1002),
        (b"\x03\xe8\xff", 1007),
        (b"\x03\xe8a\xc3", 1007),
    ] {
        let mut client = adit.client();
        client.send(CLOSE, payload);
        client.expect_close(code);
        client.expect_eof();
    }
}

#[test]
fn a_close_in_the_middle_of_a_message_is_legal() {
    let (_adit, mut client, mut service) = tunnel(&["--framing", "raw"]);
    client.send(BINARY & 0x7f, b"half a mess");
    client.close(1000);
    assert_eq!(service.hear_all(), b"half a mess");
}

#[test]
fn a_client_of_another_house_sees_its_code_echoed() {
    let (adit, _backend) = echo(&[]);
    let (mut client, _) = connect(format!("ws://{}/", adit.address)).unwrap();
    let frame = CloseFrame {
        code: CloseCode::Library(4321),
        reason: "enough".into(),
    };
    client.close(Some(frame)).unwrap();
    let Message::Close(Some(echoed)) = client.read().unwrap() else {
        panic!("no Close with a code")
    };
    assert_eq!(echoed.code, CloseCode::Library(4321));
    let end = client.read().unwrap_err();
    assert!(matches!(end, tungstenite::Error::ConnectionClosed), "{end}");
}

#[test]
fn a_clients_fin_without_close_reaches_the_backend() {
    let (adit, mut client, mut service) = tunnel(&["--framing", "lines"]);
    client.send(TEXT, b"the last words");
    client.socket.finish();
    assert_eq!(service.hear_all(), b"the last words\n");
    service.say(b"an answer\n");
    service.finish();
    assert_eq!(client.message(), (TEXT, b"an answer".to_vec()));
    let line = adit.wait_for_log("closed");
    assert!(line.contains("1006"), "{line}");
}

#[test]
fn a_clients_reset_ends_the_backends_connection() {
    let (adit, client, mut service) = tunnel(&[]);
    client.socket.reset();
    assert!(service.is_over());
    drop(service);
    let line = adit.wait_for_log("closed");
    assert!(line.contains("1006"), "{line}");
}

#[test]
fn an_idle_tunnel_is_1001() {
    let options = ["--idle-timeout", "300ms", "--ping-interval", "off"];
    let (adit, mut client, mut service) = tunnel(&options);
    client.expect_close(1001);
    client.send(CLOSE, &close(1001, ""));
    client.expect_eof();
    assert!(service.is_over());
    drop((client, service));
    assert!(adit.wait_for_log("closed").contains("idle"));
}

#[test]
fn pings_do_not_keep_an_idle_tunnel_open() {
    let options = ["--idle-timeout", "500ms", "--ping-interval", "200ms"];
    let (_adit, mut client, _service) = tunnel(&options);
    for _ in 0..50 {
        let frame = client.frame();
        if frame.first == CLOSE {
            assert_eq!(frame.payload[..2], 1001_u16.to_be_bytes());
            return;
        }
        assert_eq!(frame.first, PING);
        client.send(PONG, &frame.payload);
    }
    panic!("fifty pings, and no end");
}

#[test]
fn a_client_that_answers_no_ping_is_1001() {
    let (adit, mut client, mut service) = tunnel(&["--ping-interval", "100ms"]);
    assert_eq!(client.frame().first, PING);
    client.expect_close(1001);
    client.send(CLOSE, &close(1001, ""));
    client.expect_eof();
    assert!(service.is_over());
    drop((client, service));
    assert!(adit.wait_for_log("closed").contains("1001"));
}

#[test]
fn a_client_that_speaks_needs_no_pong_to_stay() {
    let (_adit, mut client, mut service) = tunnel(&["--ping-interval", "1s"]);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        client.send(BINARY, b"x");
        service.hear(1);
        thread::sleep(Duration::from_millis(20));
    }
    service.say(b"still here");
    let frame = std::iter::repeat_with(|| client.frame()).find(|f| f.first != PING);
    assert_eq!(frame.unwrap().payload, b"still here");
}

#[test]
fn a_client_that_answers_its_pings_stays() {
    let (_adit, mut client, mut service) = tunnel(&["--ping-interval", "1s"]);
    for _ in 0..3 {
        let ping = client.frame();
        assert_eq!(ping.first, PING);
        client.send(PONG, &ping.payload);
    }
    service.say(b"still here");
    let frame = std::iter::repeat_with(|| client.frame()).find(|f| f.first != PING);
    assert_eq!(frame.unwrap().payload, b"still here");
}

#[test]
fn the_close_of_a_violation_is_not_cut_off_by_what_follows_it() {
    let (adit, backend) = echo(&[]);
    for _ in 0..20 {
        let mut client = adit.client();
        let mut writer = client.socket.handle();
        let writer = thread::spawn(move || {
            let reserved = frame(0x83, b"no such opcode");
            writer.say(&[reserved, frame(BINARY, &[7; 400_000])].concat());
            writer.finish();
        });
        client.expect_close(1002);
        client.expect_eof();
        writer.join().unwrap();
    }
    drop(backend);
}

#[test]
fn a_violation_ends_the_backends_connection_and_is_logged() {
    let (adit, mut client, mut service) = tunnel(&["--framing", "lines"]);
    client.say(&[frame(TEXT, b"good"), frame(0x83, b"bad")].concat());
    assert_eq!(service.hear_all(), b"good\n");
    client.expect_close(1002);
    client.expect_eof();
    drop((client, service));
    assert!(adit.wait_for_log("closed").contains("1002"));
}

#[test]
fn in_record_what_was_good_before_a_violation_is_still_answered() {
    let (adit, _backend) = echo(&["--framing", "record"]);
    for violation in [
        frame(0x83, b""),
        frame(TEXT, b"\xff"),
        frame(PING | 0x40, b""),
    ] {
        let mut client = adit.client();
        client.say(&[frame(TEXT, b"good"), violation].concat());
        assert_eq!(client.message(), (TEXT, b"good".to_vec()));
        assert_eq!(client.frame().first, CLOSE);
        client.expect_eof();
    }
}

#[test]
fn a_client_deaf_to_everything_is_dropped_when_the_close_cannot_be_sent() {
    let (adit, mut client, service) = tunnel(&["--close-timeout", "300ms"]);
    client.socket.small_buffers();
    let flood = thread::spawn(move || {
        let mut service = service;
        while service.write_all(&[b'x'; 65536]).is_ok() {}
    });
    client.send(0x83, b"no such opcode");
    adit.wait_for_log("closed");
    flood.join().unwrap();
}
