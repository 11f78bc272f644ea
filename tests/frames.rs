//! Frames (RFC 6455 section 5) through the whole program: what passes, and with
//! which code the rest is refused.

#![allow(clippy::unwrap_used)]

mod common;

use std::thread;

use common::*;
use tungstenite::{Message, connect};

#[test]
fn messages_of_every_length_pass_both_ways() {
    let (adit, _backend) = echo(&[]);
    let mut client = adit.client();
    let lengths = [
        0, 1, 125, 126, 127, 2047, 2048, 3000, 4095, 4096, 6200, 8192,
    ];
    for len in lengths.into_iter().chain([65535, 65536, 70000, 16 << 20]) {
        let payload = Noise::new(len as u64).bytes(len);
        let bytes = frame(BINARY, &payload);
        let mut writer = client.socket.handle();
        let writer = thread::spawn(move || writer.say(&bytes));
        let mut seen = Checksum::new();
        while seen.len < len {
            let (kind, piece) = client.message();
            assert_eq!(kind, BINARY);
            seen.add(&piece);
        }
        assert_eq!(seen, Checksum::of(&payload), "{len} bytes");
        writer.join().unwrap();
    }
    client.close(1000);
}

#[test]
fn messages_of_every_length_keep_their_bounds_with_record() {
    let (adit, _backend) = echo(&["--framing", "record", "--max-message", "20000000"]);
    let mut client = adit.client();
    for len in [
        0,
        1,
        125,
        126,
        127,
        4095,
        4096,
        65535,
        65536,
        70000,
        16 << 20,
    ] {
        let payload = Noise::new(len as u64).bytes(len);
        let bytes = frame(BINARY, &payload);
        let mut writer = client.socket.handle();
        let writer = thread::spawn(move || writer.say(&bytes));
        let (kind, seen) = client.message();
        assert_eq!(kind, BINARY);
        assert_eq!(Checksum::of(&seen), Checksum::of(&payload), "{len} bytes");
        writer.join().unwrap();
    }
    client.close(1000);
}

#[test]
fn messages_of_another_house_come_back_whole() {
    let (adit, _backend) = echo(&["--framing", "length-u32"]);
    let (mut client, _) = connect(format!("ws://{}/", adit.address)).unwrap();
    for len in [0, 1, 125, 126, 127, 65535, 65536, 70000, 1 << 20] {
        let payload = Noise::new(len as u64).bytes(len);
        client.send(Message::binary(payload.clone())).unwrap();
        assert_eq!(client.read().unwrap().into_data(), payload, "{len} bytes");
    }
}

#[test]
fn a_frame_that_breaks_a_rule_is_1002() {
    let unmasked = |first: u8, payload: &[u8]| [&[first, payload.len() as u8], payload].concat();
    let table: &[(&str, Vec<u8>)] = &[
        ("5.1 unmasked", unmasked(TEXT, b"hi")),
        ("5.1 unmasked and empty", unmasked(BINARY, b"")),
        ("5.1 unmasked ping", unmasked(PING, b"")),
        ("5.1 unmasked close", unmasked(CLOSE, b"\x03\xe8")),
        (
            "5.2 125 in 16 bits",
            masked(BINARY, &[126, 0, 125], &[0; 125]),
        ),
        ("5.2 0 in 16 bits", masked(BINARY, &[126, 0, 0], &[])),
        (
            "5.2 65535 in 64 bits",
            masked(BINARY, &[127, 0, 0, 0, 0, 0, 0, 255, 255], &[]),
        ),
        (
            "5.2 length over 63 bits",
            masked(BINARY, &[127, 128, 0, 0, 0, 0, 0, 0, 0], &[]),
        ),
        ("5.2 RSV1", frame(TEXT | 0x40, b"hi")),
        ("5.2 RSV2", frame(TEXT | 0x20, b"hi")),
        ("5.2 RSV3", frame(TEXT | 0x10, b"hi")),
        ("5.2 RSV on a ping", frame(PING | 0x40, b"hi")),
        ("5.2 RSV on a close", frame(CLOSE | 0x10, b"")),
        ("5.2 opcode 3", frame(0x83, b"hi")),
        ("5.2 opcode 7", frame(0x87, b"")),
        ("5.2 opcode 3 in fragments", frame(0x03, b"hi")),
        ("5.2 opcode 11", frame(0x8b, b"hi")),
        ("5.2 opcode 15", frame(0x8f, b"")),
        ("5.4 continuation of nothing", frame(CONT, b"hi")),
        ("5.4 empty continuation of nothing", frame(0x00, b"")),
        (
            "5.4 a second start",
            [frame(0x01, b"a"), frame(TEXT, b"b")].concat(),
        ),
        (
            "5.4 RSV1 on a continuation",
            [frame(0x01, b"a"), frame(CONT | 0x40, b"b")].concat(),
        ),
        (
            "5.4 continuation of a whole",
            [frame(TEXT, b"a"), frame(CONT, b"b")].concat(),
        ),
        ("5.5 ping of 126 bytes", frame(PING, &[0; 126])),
        ("5.5 pong of 126 bytes", frame(PONG, &[0; 126])),
        ("5.5 close of 126 bytes", frame(CLOSE, &[3; 126])),
        ("5.5 ping in fragments", frame(PING & 0x7f, b"")),
        ("5.5 close in fragments", frame(CLOSE & 0x7f, b"")),
    ];
    let (adit, _backend) = echo(&["--framing", "lines"]);
    for (what, bytes) in table {
        for piecewise in [false, true] {
            let mut client = adit.client();
            if piecewise {
                // adit may have ended the connection before the last byte.
                let mut writer = client.socket.handle();
                let _ = bytes
                    .iter()
                    .try_for_each(|b| std::io::Write::write_all(&mut writer, &[*b]));
            } else {
                client.say(bytes);
            }
            let mut answer = client.frame();
            while [TEXT, BINARY].contains(&(answer.first | 0x80)) || answer.first == 0 {
                answer = client.frame();
            }
            let code = answer.payload.get(..2).map(|c| [c[0], c[1]]);
            let code = code.map(u16::from_be_bytes);
            assert_eq!((answer.first, code), (CLOSE, Some(1002)), "{what}");
            client.expect_eof();
        }
    }
}

#[test]
fn a_frame_is_judged_by_its_first_two_bytes() {
    let (adit, _backend) = echo(&[]);
    for start in [
        [0x83, 0x85],
        [TEXT, 0x05],
        [PING, 0xfe],
        [0xc1, 0x80],
        [CONT, 0x85],
    ] {
        let mut client = adit.client();
        client.say(&start);
        client.expect_close(1002);
    }
}

#[test]
fn a_ping_gets_its_pong_at_once() {
    let (_adit, mut client, _service) = tunnel(&[]);
    for payload in [&b""[..], b"are you there", &[0xfe; 125]] {
        client.send(PING, payload);
        let pong = client.frame();
        assert_eq!((pong.first, &pong.payload[..]), (PONG, payload));
    }
}

#[test]
fn a_hundred_pings_in_one_segment_get_a_hundred_pongs_in_order() {
    let (_adit, mut client, _service) = tunnel(&[]);
    let pings: Vec<_> = (0..100_u8).map(|n| frame(PING, &[n])).collect();
    client.say(&pings.concat());
    for n in 0..100 {
        let pong = client.frame();
        assert_eq!((pong.first, pong.payload), (PONG, vec![n]));
    }
}

#[test]
fn a_ping_between_fragments_gets_its_pong_before_the_message_ends() {
    let (_adit, mut client, mut service) = tunnel(&["--framing", "lines"]);
    client.send(TEXT & 0x7f, b"one ");
    client.send(PING, b"now");
    let pong = client.frame();
    assert_eq!((pong.first, &pong.payload[..]), (PONG, &b"now"[..]));
    client.send(CONT, b"message");
    assert_eq!(service.hear(12), b"one message\n");
}

#[test]
fn a_ping_in_the_middle_of_a_long_frame_cannot_be_and_its_bytes_are_payload() {
    let (_adit, mut client, mut service) = tunnel(&[]);
    let payload = [frame(PING, b"no"), frame(CLOSE, b"")].concat();
    client.send(BINARY, &payload);
    assert_eq!(service.hear(payload.len()), payload);
}

#[test]
fn pongs_that_nobody_asked_for_are_ignored() {
    let (adit, _backend) = echo(&[]);
    let mut client = adit.client();
    for payload in [&b""[..], b"unsolicited", &[0; 125]] {
        client.send(PONG, payload);
    }
    client.echoes(b"data");
    client.close(1000);
}

#[test]
fn a_message_of_65536_fragments_is_one_message() {
    let (adit, _backend) = echo(&["--framing", "lines"]);
    let mut client = adit.client();
    let mut bytes = frame(TEXT & 0x7f, b"");
    for n in 1..65536_u32 {
        bytes.extend(frame(0x00, &[b'a' + (n % 26) as u8]));
    }
    bytes.extend(frame(CONT, b"!"));
    let mut writer = client.socket.handle();
    let writer = thread::spawn(move || writer.say(&bytes));
    let (kind, message) = client.message();
    assert_eq!((kind, message.len()), (TEXT, 65536));
    assert!((1..65536).all(|n| message[n - 1] == b'a' + (n % 26) as u8));
    assert_eq!(message[65535], b'!');
    writer.join().unwrap();
}

#[test]
fn empty_fragments_and_empty_messages_pass() {
    let (adit, _backend) = echo(&["--framing", "lines"]);
    let mut client = adit.client();
    let empty = [frame(0x01, b""), frame(0x00, b""), frame(CONT, b"")].concat();
    let holes = [
        frame(0x01, b""),
        frame(0x00, b"a"),
        frame(0x00, b""),
        frame(CONT, b""),
    ]
    .concat();
    for (bytes, message) in [(frame(TEXT, b""), &b""[..]), (empty, b""), (holes, b"a")] {
        client.say(&bytes);
        assert_eq!(client.message(), (TEXT, message.to_vec()));
    }
}

#[test]
fn text_of_utf8_cut_anywhere_passes() {
    let (adit, _backend) = echo(&["--framing", "lines"]);
    let text =
        "κόσμε \u{0} \u{7f}\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{fffd}\u{ffff}\u{10000}\u{10ffff}";
    let mut client = adit.client();
    for cut in 0..=text.len() {
        let (start, end) = text.as_bytes().split_at(cut);
        client.say(&[frame(0x01, start), frame(CONT, end)].concat());
        assert_eq!(client.message(), (TEXT, text.into()), "cut at {cut}");
    }
}

#[test]
fn text_that_is_not_utf8_is_1007() {
    let table: &[(&str, Vec<u8>)] = &[
        ("8.1 a lone continuation", frame(TEXT, b"a\x80")),
        ("8.1 overlong slash", frame(TEXT, b"\xc0\xaf")),
        ("8.1 overlong nul in three", frame(TEXT, b"\xe0\x80\x80")),
        ("8.1 a surrogate", frame(TEXT, b"\xed\xa0\x80")),
        ("8.1 over U+10FFFF", frame(TEXT, b"\xf4\x90\x80\x80")),
        ("8.1 FE", frame(TEXT, b"\xfe")),
        ("8.1 cut at the end", frame(TEXT, b"caf\xc3")),
        (
            "8.1 cut at the end of the last",
            [frame(0x01, b"caf\xc3"), frame(CONT, b"")].concat(),
        ),
        (
            "8.1 wrong in the last",
            [frame(0x01, b"caf\xc3"), frame(CONT, b"(")].concat(),
        ),
    ];
    for framing in [
        "raw",
        "lines",
        "json-lines",
        "nul",
        "length-u32",
        "content-length",
        "record",
    ] {
        let (adit, _backend) = echo(&["--framing", framing]);
        for (what, bytes) in table {
            let mut client = adit.client();
            client.say(bytes);
            // What was good of the message may have been echoed.
            let close = std::iter::repeat_with(|| client.frame()).find(|f| f.first == CLOSE);
            let code = close.unwrap().payload[..2].to_vec();
            assert_eq!(code, 1007_u16.to_be_bytes(), "{what} in {framing}");
            client.expect_eof();
        }
    }
}

#[test]
fn text_fails_at_its_first_impossible_byte() {
    let (adit, _backend) = echo(&[]);
    for start in [
        &b"\xf4\x90"[..],
        b"\xed\xa0",
        b"ok\xc0",
        b"\xff",
        b"\xe0\x80",
        b"\xf0\x80",
    ] {
        let mut client = adit.client();
        let whole = frame(TEXT, &[start, &[b'x'; 100]].concat());
        client.say(&whole[..6 + start.len()]);
        let close = std::iter::repeat_with(|| client.frame()).find(|f| f.first == CLOSE);
        assert_eq!(close.unwrap().payload[..2], 1007_u16.to_be_bytes());
    }
}

#[test]
fn frames_cut_at_every_byte_are_the_same_frames() {
    let (adit, _backend) = echo(&["--framing", "lines"]);
    let long = vec![b'y'; 300];
    let bytes = [
        frame(TEXT, b"first"),
        frame(PING, b"p"),
        frame(TEXT & 0x7f, "\u{e9}\u{20ac}".as_bytes()),
        frame(PING, b""),
        frame(CONT, b"\xf0\x9f\x98\x80"),
        frame(TEXT, &long),
    ]
    .concat();
    let expected = [
        (TEXT, b"first".to_vec()),
        (TEXT, "\u{e9}\u{20ac}\u{1f600}".into()),
        (TEXT, long),
    ];
    let mut client = adit.client();
    for cut in 1..bytes.len() {
        client.say(&bytes[..cut]);
        client.say(&bytes[cut..]);
        let (messages, pongs) = sorted(&mut client, 3, 2);
        assert_eq!(messages, expected, "cut at {cut}");
        assert_eq!(pongs, [b"p".to_vec(), vec![]], "cut at {cut}");
    }
    for byte in &bytes {
        client.say(&[*byte]);
    }
    let (messages, pongs) = sorted(&mut client, 3, 2);
    assert_eq!((&messages[..], pongs.len()), (&expected[..], 2));
}

type Messages = Vec<(u8, Vec<u8>)>;

/// So many messages and pongs, each in their order, however they alternate.
fn sorted(client: &mut Client, messages: usize, pongs: usize) -> (Messages, Vec<Vec<u8>>) {
    let (mut data, mut control): (Messages, Vec<Vec<u8>>) = Default::default();
    let mut whole = true;
    while data.len() < messages || control.len() < pongs || !whole {
        let frame = client.frame();
        if frame.first == PONG {
            control.push(frame.payload);
            continue;
        }
        if whole {
            data.push((frame.first | 0x80, frame.payload));
        } else {
            data.last_mut().unwrap().1.extend(frame.payload);
        }
        whole = frame.first & 0x80 != 0;
    }
    (data, control)
}
