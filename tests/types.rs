//! Text or binary towards the client, and what happens to bytes that cannot be
//! text.

#![allow(clippy::unwrap_used)]

mod common;

use common::*;

#[test]
fn auto_is_text_for_lines_and_json_and_binary_for_the_rest() {
    for (framing, said, kind) in [
        ("raw", &b"a"[..], BINARY),
        ("lines", b"a\n", TEXT),
        ("crlf", b"a\r\n", TEXT),
        ("json-lines", b"1\n", TEXT),
        ("json", b"[]", TEXT),
        ("nul", b"a\0", BINARY),
        ("length-u8", b"\x01a", BINARY),
        ("length-u16", b"\0\x01a", BINARY),
        ("length-u32", b"\0\0\0\x01a", BINARY),
        ("length-u32le", b"\x01\0\0\0a", BINARY),
        ("content-length", b"Content-Length: 1\r\n\r\n1", TEXT),
    ] {
        for (option, kind) in [
            (&[][..], kind),
            (&["--frame-type", "auto"], kind),
            (&["--frame-type", "text"], TEXT),
            (&["--frame-type", "binary"], BINARY),
        ] {
            let (_adit, mut client, mut service) =
                tunnel(&[&["--framing", framing], option].concat());
            service.say(said);
            assert_eq!(client.message().0, kind, "{framing} {option:?}");
        }
    }
}

#[test]
fn mirror_is_the_type_that_the_client_last_used() {
    for framing in ["raw", "lines", "length-u8"] {
        let (adit, _backend) = echo(&["--framing", framing, "--frame-type", "mirror"]);
        let mut client = adit.client();
        for kind in [TEXT, BINARY, BINARY, TEXT] {
            client.send(kind, b"mirror");
            assert_eq!(client.message(), (kind, b"mirror".to_vec()), "{framing}");
        }
    }
}

#[test]
fn mirror_before_the_first_message_is_auto() {
    let (_adit, mut client, mut service) =
        tunnel(&["--framing", "lines", "--frame-type", "mirror"]);
    service.say(b"220 hello\r\n");
    assert_eq!(client.message(), (TEXT, b"220 hello".to_vec()));
}

#[test]
fn a_code_point_cut_by_a_read_is_held_back() {
    let (_adit, mut client, mut service) = tunnel(&["--frame-type", "text"]);
    for piece in ["a", "é", "€", "😀"] {
        let bytes = [b"<", piece.as_bytes()].concat();
        for cut in 1..bytes.len() {
            service.say(&bytes[..cut]);
            assert_eq!(client.message(), (TEXT, b"<".to_vec()));
            service.say(&bytes[cut..]);
            assert_eq!(client.message(), (TEXT, piece.into()), "cut at {cut}");
        }
    }
}

#[test]
fn a_code_point_in_single_bytes_is_one_message() {
    let (_adit, mut client, mut service) = tunnel(&["--frame-type", "text"]);
    service.say(b"(");
    assert_eq!(client.message().1, b"(");
    for byte in "😀".bytes() {
        service.say(&[byte]);
    }
    assert_eq!(client.message(), (TEXT, "😀".into()));
}

#[test]
fn an_end_within_a_code_point_is_1011() {
    let (_adit, mut client, mut service) = tunnel(&["--frame-type", "text"]);
    service.say(b"a\xf0\x9f");
    service.finish();
    assert_eq!(client.message(), (TEXT, b"a".to_vec()));
    client.expect_close(1011);
}

#[test]
fn a_backends_text_that_is_not_utf8_is_1011_and_names_the_option() {
    for (framing, said) in [
        ("raw", &b"caf\xe9 \n"[..]),
        ("lines", b"caf\xe9 \n"),
        ("crlf", b"caf\xe9\r\n"),
        ("json-lines", b"\"\xe9\"\n"),
        ("json", b"\"\xe9\"\n"),
        ("nul", b"caf\xe9\0"),
        ("length-u8", b"\x04caf\xe9"),
        ("content-length", b"Content-Length: 4\r\n\r\ncaf\xe9"),
        ("record", b"\x81\0\0\0\x04caf\xe9"),
    ] {
        let options = ["--framing", framing, "--frame-type", "text"];
        let options = if framing == "record" {
            &options[..2]
        } else {
            &options[..]
        };
        let (adit, mut client, mut service) = tunnel(options);
        service.say(said);
        let mut frame = client.frame();
        while frame.first != CLOSE {
            assert_eq!(frame.first & 0x80, if framing == "raw" { 0x80 } else { 0 });
            assert!(frame.payload.is_ascii(), "{framing}");
            frame = client.frame();
        }
        let reason = String::from_utf8(frame.payload.split_off(2)).unwrap();
        assert_eq!(frame.payload, 1011_u16.to_be_bytes(), "{framing}: {reason}");
        assert!(reason.contains("frame-type"), "{framing}: {reason}");
        drop((client, service));
        assert!(adit.wait_for_log("UTF-8").contains("WARN"));
    }
}

#[test]
fn replaced_bytes_are_u_fffd() {
    for (framing, said, expected) in [
        ("lines", &b"caf\xe9 au lait\n"[..], "caf\u{fffd} au lait"),
        ("lines", b"\xf0\x9f\n", "\u{fffd}"),
        ("lines", b"\xff\xfe\n", "\u{fffd}\u{fffd}"),
        ("length-u8", b"\x02\xc3(", "\u{fffd}("),
        ("nul", b"\xed\xa0\x80\0", "\u{fffd}\u{fffd}\u{fffd}"),
        (
            "content-length",
            b"Content-Length: 2\r\n\r\na\xc3",
            "a\u{fffd}",
        ),
    ] {
        let options = [
            "--framing",
            framing,
            "--frame-type",
            "text",
            "--invalid-utf8",
            "replace",
        ];
        let backend = Backend::bind();
        let adit = Adit::serve(&[&[backend.address.as_str()], &options[..]].concat());
        for cut in 0..said.len() {
            let mut client = adit.client();
            let mut service = backend.accept();
            service.say(&said[..cut]);
            service.say(&said[cut..]);
            let (kind, text) = client.message();
            let text = String::from_utf8(text).unwrap();
            assert_eq!(
                (kind, &text[..]),
                (TEXT, expected),
                "{framing} cut at {cut}"
            );
        }
    }
}

#[test]
fn what_is_replaced_stays_in_its_place() {
    // E9 alone could begin a character, but not where a space follows it.
    let options = ["--framing", "lines", "--invalid-utf8", "replace"];
    let (_adit, mut client, mut service) = tunnel(&options);
    service.say(b"caf\xe9 a");
    let start = client.frame();
    service.say(b"u lait\n");
    let rest = client.frame();
    assert_eq!((start.first, rest.first), (0x01, CONT));
    let text = String::from_utf8([start.payload, rest.payload].concat()).unwrap();
    assert_eq!(text, "caf\u{fffd} au lait");
}

#[test]
fn replacing_in_raw_holds_back_what_may_become_a_code_point() {
    let (_adit, mut client, mut service) =
        tunnel(&["--frame-type", "text", "--invalid-utf8", "replace"]);
    service.say(b"a\xff\xe2\x82");
    let mut text = client.message().1;
    service.say(b"\xac!");
    while !text.ends_with(b"!") {
        text.extend(client.message().1);
    }
    assert_eq!(String::from_utf8(text).unwrap(), "a\u{fffd}€!");
}

#[test]
fn bytes_of_any_kind_pass_as_binary() {
    let (_adit, mut client, mut service) =
        tunnel(&["--framing", "lines", "--frame-type", "binary"]);
    service.say(b"caf\xe9\n");
    assert_eq!(client.message(), (BINARY, b"caf\xe9".to_vec()));
}
