//! Every framing both ways against a real backend, with its bytes shown.

#![allow(clippy::unwrap_used)]

mod common;

use std::iter;

use common::*;

/// What a client sends, as frames, and what the backend hears.
type Towards = (&'static str, &'static [(u8, &'static [u8])], &'static [u8]);

const TO_BACKENDS: &[Towards] = &[
    ("raw", &[(TEXT, b"a"), (BINARY, b"\0\xff"), (TEXT, b""), (TEXT, b"b\n")], b"a\0\xffb\n"),
    ("raw", &[(0x01, b"one "), (0x00, b"mess"), (CONT, b"age")], b"one message"),
    ("lines", &[(TEXT, b"a"), (TEXT, b"b\n"), (TEXT, b"c\nd"), (TEXT, b"")], b"a\nb\nc\nd\n\n"),
    ("lines", &[(0x01, b"one"), (CONT, b" line"), (0x01, b"a\n"), (CONT, b"")], b"one line\na\n"),
    ("lines", &[(0x01, b"a\n"), (CONT, b"b"), (BINARY, b"\xff")], b"a\nb\n\xff\n"),
    ("crlf", &[(TEXT, b"NICK a"), (TEXT, b"USER b\r\n"), (TEXT, b"")], b"NICK a\r\nUSER b\r\n\r\n"),
    ("crlf", &[(0x01, b"QUIT\r"), (CONT, b"\n"), (TEXT, b"x")], b"QUIT\r\nx\r\n"),
    ("json-lines", &[(TEXT, b"{\n  \"a\": 1,\r\n  \"b\": 2 }")], b"{   \"a\": 1,    \"b\": 2 }\n"),
    ("json-lines", &[(0x01, b"[1,\n"), (0x00, b"\r"), (CONT, b"2]"), (TEXT, b"3")], b"[1,  2]\n3\n"),
    ("json", &[(TEXT, b"{\"a\":\n1}"), (TEXT, b"[]"), (0x01, b"t"), (CONT, b"rue")], b"{\"a\":\n1}\n[]\ntrue\n"),
    ("nul", &[(TEXT, b"<a/>"), (TEXT, b""), (0x01, b"<b"), (CONT, b"/>")], b"<a/>\0\0<b/>\0"),
    ("length-u8", &[(BINARY, b"abc"), (TEXT, b""), (0x01, b"d"), (CONT, b"e")], b"\x03abc\0\x02de"),
    ("length-u16", &[(BINARY, b"abc"), (TEXT, b""), (0x02, b"d"), (CONT, b"e")], b"\0\x03abc\0\0\0\x02de"),
    ("length-u32", &[(BINARY, b"abc"), (TEXT, b""), (0x02, b"d"), (CONT, b"e")], b"\0\0\0\x03abc\0\0\0\0\0\0\0\x02de"),
    ("length-u32le", &[(TEXT, b"{}"), (0x01, b"["), (0x00, b""), (CONT, b"]")], b"\x02\0\0\0{}\x02\0\0\0[]"),
    (
        "content-length",
        &[(TEXT, b"{\"id\":1}"), (0x01, b"\xc3"), (CONT, b"\xa4")],
        b"Content-Length: 8\r\n\r\n{\"id\":1}Content-Length: 2\r\n\r\n\xc3\xa4",
    ),
    (
        "record",
        &[(TEXT, b"hi"), (BINARY, b""), (0x01, b"a"), (0x00, b"b"), (CONT, b"c"), (0x02, b"d"), (CONT, b"")],
        b"\x81\0\0\0\x02hi\x82\0\0\0\0\x01\0\0\0\x01a\0\0\0\0\x01b\x80\0\0\0\x01c\x02\0\0\0\x01d\x80\0\0\0\0",
    ),
];

#[test]
fn messages_reach_the_backend_in_its_framing() {
    for (framing, frames, expected) in TO_BACKENDS {
        let (_adit, mut client, mut service) = tunnel(&["--framing", framing]);
        for (first, payload) in *frames {
            client.send(*first, payload);
        }
        client.send(CLOSE, &close(1000, ""));
        let heard = service.hear_all();
        assert_eq!(
            heard.escape_ascii().to_string(),
            expected.escape_ascii().to_string(),
            "{framing}"
        );
        client.expect_close(1000);
    }
}

#[test]
fn messages_in_one_segment_reach_the_backend_in_its_framing() {
    for (framing, frames, expected) in TO_BACKENDS {
        let (_adit, mut client, mut service) = tunnel(&["--framing", framing]);
        let frames = frames.iter().map(|(first, payload)| frame(*first, payload));
        let last = iter::once(frame(CLOSE, &close(1000, "")));
        client.say(&frames.chain(last).collect::<Vec<_>>().concat());
        let heard = service.hear_all();
        assert_eq!(
            heard.escape_ascii().to_string(),
            expected.escape_ascii().to_string(),
            "{framing}"
        );
    }
}

/// What a backend says before its end, and which messages the client gets.
type Back = (&'static str, &'static [u8], &'static [(u8, &'static [u8])]);

const TO_CLIENTS: &[Back] = &[
    ("lines", b"a\nb\r\n\n\r\nlast", &[(TEXT, b"a"), (TEXT, b"b"), (TEXT, b""), (TEXT, b""), (TEXT, b"last")]),
    ("lines", b"a\rb\r\r\nc\n", &[(TEXT, b"a\rb\r"), (TEXT, b"c")]),
    ("crlf", b":a PING\r\n:b\nc", &[(TEXT, b":a PING"), (TEXT, b":b"), (TEXT, b"c")]),
    ("json-lines", b"{\"a\":1}\n[2]\r\n3", &[(TEXT, b"{\"a\":1}"), (TEXT, b"[2]"), (TEXT, b"3")]),
    (
        "json",
        b" {\"a\":\"}\"}[1,[2,\"\\\"]\"]]\r\n\t{}\n\"s\" 12 true\n",
        &[
            (TEXT, b"{\"a\":\"}\"}"),
            (TEXT, b"[1,[2,\"\\\"]\"]]"),
            (TEXT, b"{}"),
            (TEXT, b"\"s\""),
            (TEXT, b"12"),
            (TEXT, b"true"),
        ],
    ),
    ("json", b"{\"a\":\n 1}{\"b\":[ ]}", &[(TEXT, b"{\"a\":\n 1}"), (TEXT, b"{\"b\":[ ]}")]),
    ("nul", b"<a/>\0\0\xff\0", &[(BINARY, b"<a/>"), (BINARY, b""), (BINARY, b"\xff")]),
    ("length-u8", b"\x03abc\0\x01d", &[(BINARY, b"abc"), (BINARY, b""), (BINARY, b"d")]),
    ("length-u16", b"\0\x03abc\0\0\0\x01d", &[(BINARY, b"abc"), (BINARY, b""), (BINARY, b"d")]),
    ("length-u32", b"\0\0\0\x03abc\0\0\0\0", &[(BINARY, b"abc"), (BINARY, b"")]),
    ("length-u32le", b"\x03\0\0\0abc\0\0\0\0", &[(BINARY, b"abc"), (BINARY, b"")]),
    (
        "content-length",
        b"Content-Length: 2\r\n\r\n{}content-type: x; charset=utf-8\r\ncontent-length:3\r\n\r\n[1]Content-Length: 0\r\n\r\n",
        &[(TEXT, b"{}"), (TEXT, b"[1]"), (TEXT, b"")],
    ),
    (
        "record",
        b"\x81\0\0\0\x02hi\x82\0\0\0\0\x01\0\0\0\x01a\x80\0\0\0\x01b",
        &[(TEXT, b"hi"), (BINARY, b""), (TEXT, b"ab")],
    ),
];

#[test]
fn what_a_backend_says_comes_as_messages() {
    for (framing, said, expected) in TO_CLIENTS {
        let (_adit, mut client, mut service) = tunnel(&["--framing", framing]);
        service.say(said);
        service.finish();
        expect_messages(&mut client, expected, framing);
    }
}

#[test]
fn what_a_backend_says_cut_anywhere_comes_as_the_same_messages() {
    for (framing, said, expected) in TO_CLIENTS {
        let backend = Backend::bind();
        let adit = Adit::serve(&[&backend.address, "--framing", framing]);
        for cut in 1..said.len() {
            let mut client = adit.client();
            let mut service = backend.accept();
            service.say(&said[..cut]);
            service.say(&said[cut..]);
            service.finish();
            expect_messages(&mut client, expected, framing);
        }
        let mut client = adit.client();
        let mut service = backend.accept();
        said.iter().for_each(|byte| service.say(&[*byte]));
        service.finish();
        expect_messages(&mut client, expected, framing);
    }
}

fn expect_messages(client: &mut Client, expected: &[(u8, &[u8])], framing: &str) {
    for (kind, payload) in expected {
        let (seen_kind, seen) = client.message();
        let seen = (seen_kind, seen.escape_ascii().to_string());
        assert_eq!(
            seen,
            (*kind, payload.escape_ascii().to_string()),
            "{framing}"
        );
    }
    client.expect_close(1000);
}

#[test]
fn the_fragments_of_record_survive_towards_the_client() {
    let (_adit, mut client, mut service) = tunnel(&["--framing", "record"]);
    service.say(b"\x02\0\0\0\x01a\0\0\0\0\x01b\x80\0\0\0\0");
    for (first, payload) in [(0x02, &b"a"[..]), (0x00, b"b"), (CONT, b"")] {
        let frame = client.frame();
        assert_eq!((frame.first, &frame.payload[..]), (first, payload));
    }
}

#[test]
fn a_record_message_that_fails_midway_gets_no_last_piece() {
    let (_adit, mut client, mut service) = tunnel(&["--framing", "record"]);
    client.send(0x01, b"good");
    assert_eq!(service.hear(9), b"\x01\0\0\0\x04good");
    client.send(CONT, b"bad \xff");
    let rest = service.hear_all();
    assert_ne!(rest.first(), Some(&CONT), "{}", rest.escape_ascii());
    client.expect_close(1007);
}

#[test]
fn a_line_is_a_message_before_the_next_one_begins() {
    let (_adit, mut client, mut service) = tunnel(&["--framing", "lines"]);
    for line in ["one", "two", "three"] {
        service.say(format!("{line}\n").as_bytes());
        assert_eq!(client.message(), (TEXT, line.into()));
    }
}

#[test]
fn a_json_value_is_a_message_as_soon_as_it_closes() {
    let (_adit, mut client, mut service) = tunnel(&["--framing", "json"]);
    for value in [
        &br#"{"a":[1,2,{"b":"]}"}]}"#[..],
        b"[]",
        br#""\"\\""#,
        b"{}",
    ] {
        service.say(value);
        assert_eq!(client.message(), (TEXT, value.to_vec()));
    }
}

#[test]
fn long_messages_stream_before_they_end() {
    let prefix = b"\x00\x20\x00\x00"; // 2 MiB
    for (framing, head) in [("lines", &b""[..]), ("nul", b""), ("length-u32", prefix)] {
        let options = ["--framing", framing, "--max-message", "4000000"];
        let (_adit, mut client, mut service) = tunnel(&options);
        service.say(head);
        service.say(&[b'x'; 100_000]);
        let mut seen = 0;
        let mut first = true;
        while seen < 90_000 {
            let frame = client.frame();
            assert_eq!(
                frame.first & 0x80,
                0,
                "{framing} ended a message that goes on"
            );
            assert_eq!(frame.first == 0, !first, "{framing}");
            assert!(frame.payload.len() <= 65536, "{framing}");
            (first, seen) = (false, seen + frame.payload.len());
        }
        // A ping passes between the pieces.
        client.send(PING, b"?");
        let pong = iter::repeat_with(|| client.frame()).find(|f| f.first == PONG);
        assert_eq!(pong.unwrap().payload, b"?");
    }
}

#[test]
fn a_long_client_message_streams_to_backends_that_need_no_length() {
    for framing in ["raw", "lines", "json", "nul"] {
        let (_adit, mut client, mut service) = tunnel(&["--framing", framing]);
        let whole = frame(TEXT, &[b'x'; 3 << 20]);
        client.say(&whole[..200_000]);
        assert_eq!(service.hear(190_000), [b'x'; 190_000], "{framing}");
        client.send(TEXT, &[]); // only more payload of the first frame
    }
}

#[test]
fn a_whole_frame_streams_behind_its_length_beyond_max_message() {
    let options = ["--framing", "length-u32", "--max-message", "1000"];
    let (_adit, mut client, mut service) = tunnel(&options);
    client.send(BINARY, &[7; 50_000]);
    assert_eq!(service.hear(4), 50_000_u32.to_be_bytes());
    assert_eq!(service.hear(50_000), [7; 50_000]);
}

#[test]
fn a_fragmented_message_that_must_be_held_is_1009_beyond_max_message() {
    for framing in ["length-u16", "length-u32", "length-u32le", "content-length"] {
        let options = ["--framing", framing, "--max-message", "1000"];
        let (_adit, mut client, mut service) = tunnel(&options);
        client.say(&[frame(0x01, &[b'a'; 600]), frame(CONT, &[b'b'; 400])].concat());
        let mut heard = Vec::new();
        while !heard.ends_with(&[b'b'; 400]) {
            heard.extend(service.hear(1));
        }
        client.say(&[frame(0x01, &[b'a'; 600]), frame(CONT, &[b'b'; 401])].concat());
        let reason = client.expect_close(1009);
        assert!(reason.contains("1000"), "{framing}: {reason}");
        assert!(service.hear_all().is_empty(), "{framing}");
    }
}

#[test]
fn a_message_that_its_length_cannot_say_is_1009() {
    for (framing, len) in [("length-u8", 256), ("length-u16", 65536)] {
        let (_adit, mut client, mut service) = tunnel(&["--framing", framing]);
        client.send(BINARY, &vec![0; len - 1]);
        service.hear(framing.len() - 8 + len - 1); // u8: one byte of length; u16: two
        client.send(BINARY, &vec![0; len]);
        client.expect_close(1009);
    }
}

#[test]
fn a_backends_length_beyond_max_message_is_1011() {
    for (framing, said) in [
        ("length-u16", &b"\x03\xe9"[..]),
        ("length-u32", b"\xff\xff\xff\xff"),
        ("length-u32le", b"\xe9\x03\0\0"),
        ("content-length", b"Content-Length: 1001\r\n\r\n"),
        (
            "content-length",
            b"Content-Length: 99999999999999999999999\r\n\r\n",
        ),
        ("record", b"\x82\0\0\x03\xe9"),
    ] {
        let (adit, mut client, mut service) =
            tunnel(&["--framing", framing, "--max-message", "1000"]);
        service.say(said);
        client.expect_close(1011);
        drop((client, service));
        adit.wait_for_log("max-message");
    }
}

#[test]
fn json_deeper_than_max_message_is_1011() {
    let options = ["--framing", "json", "--max-message", "100"];
    let (_adit, mut client, mut service) = tunnel(&options);
    service.say(&[b'['; 101]);
    let close = iter::repeat_with(|| client.frame()).find(|f| f.first == CLOSE);
    assert_eq!(close.unwrap().payload[..2], 1011_u16.to_be_bytes());
}

#[test]
fn bytes_that_are_not_the_framing_are_1011() {
    for (framing, said) in [
        ("content-length", &b"Content-Length: ten\r\n\r\n"[..]),
        ("content-length", b"Content-Type: x\r\n\r\n"),
        ("content-length", b"no colon here\r\n\r\n"),
        ("record", b"\x83\0\0\0\0"),
        ("record", b"\xc1\0\0\0\0"),
        ("record", b"\x80\0\0\0\0"),
        ("json", b"}"),
    ] {
        let (_adit, mut client, mut service) = tunnel(&["--framing", framing]);
        service.say(said);
        service.finish();
        let close = iter::repeat_with(|| client.frame()).find(|f| f.first == CLOSE);
        let payload = close.unwrap().payload;
        assert_eq!(
            payload[..2],
            1011_u16.to_be_bytes(),
            "{framing} {}",
            said.escape_ascii()
        );
    }
}
