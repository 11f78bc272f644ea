//! RFC 6455 sections 5 and 7 as tables, in both roles, cut everywhere.

use super::harness::{self, Seen};
use super::header::Header;
use super::*;
use crate::wire::End;

use Seen::*;

fn text(s: &str) -> Seen {
    Message(Kind::Text, s.into())
}

fn decode(role: Role, pieces: &[&[u8]]) -> Vec<Seen> {
    harness::decode(Decoder::new(role), pieces)
}

/// Turns frames as a server sends them into frames as a client does.
fn masked(unmasked: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), unmasked);
    while let Ok(Some((head, len))) = Header::parse(rest, Role::Client) {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        let end = rest.len().min(len + head.len as usize);
        let mut payload = rest[len..end].to_vec();
        mask::apply(&mut payload, key);
        out.extend_from_slice(
            &Header {
                mask: Some(key),
                ..head
            }
            .encode(),
        );
        out.extend_from_slice(&payload);
        rest = &rest[end..];
    }
    // What no head can be read from breaks a rule; only the mask bit is added.
    let mut rest = rest.to_vec();
    if let Some(second) = rest.get_mut(1) {
        *second |= 0x80;
    }
    [out, rest].concat()
}

/// Decodes in both roles: whole, byte by byte, and cut at every byte.
fn check(name: &str, unmasked: &[u8], expected: &[Seen]) {
    for (role, bytes) in [
        (Role::Client, unmasked.to_vec()),
        (Role::Server, masked(unmasked)),
    ] {
        assert_eq!(decode(role, &[&bytes]), expected, "{name}, {role:?}");
        let singles: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(
            decode(role, &singles),
            expected,
            "{name}, {role:?}, byte by byte"
        );
        for cut in 0..bytes.len().min(300) {
            let pieces = [&bytes[..cut], &bytes[cut..]];
            assert_eq!(
                decode(role, &pieces),
                expected,
                "{name}, {role:?}, cut at {cut}"
            );
        }
    }
}

/// The bytes of an unmasked frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let len = match payload.len() {
        n @ 0..=125 => vec![n as u8],
        n @ 126..=0xffff => [&[126], &(n as u16).to_be_bytes()[..]].concat(),
        n => [&[127], &(n as u64).to_be_bytes()[..]].concat(),
    };
    [&[first], &len[..], payload].concat()
}

#[test]
fn section_5_7_examples() {
    check("single text", b"\x81\x05Hello", &[text("Hello")]);
    check(
        "fragmented text",
        b"\x01\x03Hel\x80\x02lo",
        &[text("Hello")],
    );
    check(
        "ping and pong",
        b"\x89\x05Hello\x8a\x05Hello",
        &[Ping(b"Hello".to_vec()), Pong],
    );
    let medium = vec![0xab; 256];
    check(
        "256 bytes",
        &frame(0x82, &medium),
        &[Message(Kind::Binary, medium)],
    );
    let hello = [
        0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];
    assert_eq!(decode(Role::Server, &[&hello]), [text("Hello")]);
    let large = vec![0xcd; 65536];
    let bytes = frame(0x82, &large);
    assert_eq!(
        decode(Role::Client, &[&bytes]),
        [Message(Kind::Binary, large)]
    );
}

#[test]
fn section_5_4_fragmentation() {
    check("empty message", b"\x81\x00", &[text("")]);
    check("empty fragments", b"\x01\x00\x00\x00\x80\x00", &[text("")]);
    check(
        "empty first fragment",
        b"\x02\x00\x80\x01x",
        &[Message(Kind::Binary, b"x".to_vec())],
    );
    check("empty last fragment", b"\x01\x01x\x80\x00", &[text("x")]);
    check(
        "ping within a message",
        b"\x01\x01a\x89\x00\x80\x01b",
        &[Ping(vec![]), text("ab")],
    );
    check(
        "two messages",
        b"\x81\x01a\x82\x01b",
        &[text("a"), Message(Kind::Binary, b"b".to_vec())],
    );
    check("continuation of nothing", b"\x80\x01a", &[Failed(1002)]);
    check(
        "continuation after the end",
        b"\x81\x01a\x00\x01b",
        &[text("a"), Failed(1002)],
    );
    check(
        "text within a message",
        b"\x01\x01a\x81\x01b",
        &[Failed(1002)],
    );
    check(
        "text after an empty fragment",
        b"\x01\x00\x81\x01b",
        &[Failed(1002)],
    );
}

#[test]
fn section_5_5_control_frames() {
    let longest = vec![b'p'; 125];
    check(
        "longest ping",
        &frame(0x89, &longest),
        &[Ping(longest.clone())],
    );
    check("ping too long", &frame(0x89, &[b'p'; 126]), &[Failed(1002)]);
    check("fragmented ping", b"\x09\x00", &[Failed(1002)]);
    check("close without code", b"\x88\x00", &[Closed(None)]);
    check(
        "close with code",
        b"\x88\x02\x03\xe8",
        &[Closed(Some(1000))],
    );
    check(
        "close with reason",
        b"\x88\x05\x0f\xa0bye",
        &[Closed(Some(4000))],
    );
    check(
        "close within a message",
        b"\x01\x01a\x88\x02\x03\xe8",
        &[Closed(Some(1000))],
    );
    check(
        "nothing counts after a close",
        b"\x88\x00\x89\x00",
        &[Closed(None)],
    );
    check("close of one byte", b"\x88\x01\x03", &[Failed(1002)]);
    check("close with code 1005", b"\x88\x02\x03\xed", &[Failed(1002)]);
    check(
        "close with a reason that is no text",
        b"\x88\x03\x03\xe8\xff",
        &[Failed(1007)],
    );
}

#[test]
fn section_5_6_text_is_utf8() {
    check(
        "characters over fragments",
        b"\x01\x01\xe2\x80\x02\x82\xac",
        &[text("€")],
    );
    check(
        "ping within a character",
        b"\x01\x01\xe2\x89\x00\x80\x02\x82\xac",
        &[Ping(vec![]), text("€")],
    );
    check("cut at the end", b"\x81\x02\xe2\x82", &[Failed(1007)]);
    check(
        "cut at an empty end",
        b"\x01\x02\xe2\x82\x80\x00",
        &[Failed(1007)],
    );
    check(
        "not a continuation byte",
        b"\x01\x02\xe2\x82\x80\x01a",
        &[Failed(1007)],
    );
    check(
        "binary is not judged",
        b"\x82\x01\xff",
        &[Message(Kind::Binary, vec![0xff])],
    );
    check(
        "text after text",
        b"\x81\x01a\x81\x03\xe2\x82\xac",
        &[text("a"), text("€")],
    );
    let early = [0x81, 0x7f, 0, 0, 0, 0, 1, 0, 0, 0, 0xf4, 0x90];
    check(
        "the first impossible byte of a long frame",
        &early,
        &[Failed(1007)],
    );
}

#[test]
fn section_5_2_reserved_bits_and_opcodes() {
    check("RSV1", b"\xc1\x00", &[Failed(1002)]);
    check(
        "RSV1 on a continuation",
        b"\x01\x01a\xc0\x01b",
        &[Failed(1002)],
    );
    check(
        "RSV2 after a good message",
        b"\x81\x01a\xa1\x01b",
        &[text("a"), Failed(1002)],
    );
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        check("reserved opcode", &[0x80 | opcode, 0], &[Failed(1002)]);
    }
}

#[test]
fn a_half_close_ends_the_messages_and_not_the_connection() {
    let masked_frame = |first: u8, payload: &[u8]| masked(&frame(first, payload));
    let half_close = masked(b"\x89\x00")
        .iter()
        .enumerate()
        .map(|(at, &byte)| if at == 0 { 0x8b } else { byte })
        .collect::<Vec<_>>();
    for (name, bytes, expected) in [
        (
            "and control frames go on",
            [
                &half_close[..],
                &masked_frame(0x89, b"p"),
                &masked_frame(0x88, b""),
            ]
            .concat(),
            Ok(3),
        ),
        (
            "a message behind it",
            [&half_close[..], &masked_frame(0x81, b"x")].concat(),
            Err("message behind a half-close"),
        ),
        ("a second one", half_close.repeat(2), Err("reserved opcode")),
        (
            "within a message",
            [&masked_frame(0x01, b"x"), &half_close[..]].concat(),
            Err("half-close within a message"),
        ),
        (
            "with a payload",
            [&[0x8b, 0x81], &[0; 5][..]].concat(),
            Err("half-close with a payload"),
        ),
    ] {
        let mut decoder = Decoder::new(Role::Server);
        decoder.allow_half_close();
        let (mut bytes, mut count) = (bytes, 0);
        let mut input = bytes.as_mut_slice();
        let end = loop {
            match decoder.decode(&mut input) {
                Ok(Some(Event::Chunk(_))) => {}
                Ok(Some(_)) => count += 1,
                Ok(None) => break Ok(count),
                Err(Fault::Protocol(rule)) => break Err(rule),
                Err(fault) => panic!("{name}: {fault}"),
            }
        };
        assert_eq!(end, expected, "{name}");
    }
}

#[test]
fn only_a_client_that_may_says_a_half_close() {
    let auto = Text {
        frame_type: FrameType::Auto,
        auto: Kind::Binary,
        invalid: InvalidUtf8::Close,
    };
    for (role, agreed, expected) in [
        (Role::Client, true, true),
        (Role::Client, false, false),
        (Role::Server, true, false),
    ] {
        let mut connection = Connection::new(role, auto, agreed);
        let mut queue = WriteQueue::default();
        assert_eq!(connection.half_close(&mut queue), expected);
        assert_eq!(queue.bytes().first(), expected.then_some(&0x8b));
    }
}

#[test]
fn a_message_of_65536_fragments_is_one_message() {
    let mut bytes = frame(0x02, b"x");
    for _ in 0..65534 {
        bytes.extend(frame(0x00, b"x"));
    }
    bytes.extend(frame(0x80, b"x"));
    assert_eq!(
        decode(Role::Client, &[&bytes]),
        [Message(Kind::Binary, vec![b'x'; 65536])]
    );
}

fn connection(role: Role, frame_type: FrameType, invalid: InvalidUtf8) -> Connection {
    Connection::new(
        role,
        Text {
            frame_type,
            auto: Kind::Binary,
            invalid,
        },
        true,
    )
}

/// Encodes chunks of a source without types; the third field is how each ends.
fn encode(connection: &mut Connection, chunks: &[(&[u8], bool, End)]) -> Result<Vec<u8>, Fault> {
    let mut payloads: Vec<Vec<u8>> = chunks
        .iter()
        .map(|(payload, ..)| payload.to_vec())
        .collect();
    let mut staging = Vec::new();
    let mut out = Gather::new(&mut staging);
    for (payload, (_, first, end)) in payloads.iter_mut().zip(chunks) {
        let chunk = Chunk::untyped(payload, *first, *end);
        connection.encode(chunk, &mut out)?;
    }
    connection.finish(&mut out)?;
    let bytes = out.pieces().collect::<Vec<_>>().concat();
    Ok(bytes)
}

#[test]
fn chunks_become_frames() {
    let one = |role, frame_type, chunks: &[(&[u8], bool, End)]| {
        encode(
            &mut connection(role, frame_type, InvalidUtf8::Close),
            chunks,
        )
        .unwrap()
    };
    let server = |chunks: &[(&[u8], bool, End)]| one(Role::Server, FrameType::Text, chunks);
    assert_eq!(server(&[(b"Hello", true, End::Message)]), b"\x81\x05Hello");
    assert_eq!(
        server(&[(b"Hel", true, End::Open), (b"lo", false, End::Message)]),
        b"\x01\x03Hel\x80\x02lo"
    );
    assert_eq!(
        server(&[(b"a", true, End::Open), (b"", false, End::Message)]),
        b"\x01\x01a\x80\x00"
    );
    assert_eq!(server(&[(b"", true, End::Message)]), b"\x81\x00");
    assert_eq!(
        server(&[(b"", true, End::Open), (b"x", false, End::Message)]),
        b"\x81\x01x"
    );
    // A character is never cut: the fragment before it is shorter, or none.
    assert_eq!(
        server(&[
            (b"a\xe2", true, End::Open),
            (b"\x82\xac", false, End::Message)
        ]),
        "\u{1}\u{1}a"
            .bytes()
            .chain(*b"\x80\x03\xe2\x82\xac")
            .collect::<Vec<_>>()
    );
    assert_eq!(
        server(&[
            (b"\xe2", true, End::Open),
            (b"\x82", false, End::Open),
            (b"\xac", false, End::Message)
        ]),
        b"\x81\x03\xe2\x82\xac"
    );
    // A message that ends with the read leaves the character to the next one.
    assert_eq!(
        server(&[
            (b"x\xe2", true, End::Read),
            (b"\x82", true, End::Read),
            (b"\xacy", true, End::Read)
        ]),
        b"\x81\x01x\x81\x04\xe2\x82\xacy"
    );
    let binary = one(
        Role::Server,
        FrameType::Binary,
        &[(b"x\xe2", true, End::Read)],
    );
    assert_eq!(binary, b"\x82\x02x\xe2");
}

#[test]
fn text_that_is_none_ends_the_connection_or_is_replaced() {
    for (chunks, replaced) in [
        (
            vec![(&b"a\xffb"[..], true, End::Message)],
            &b"\x81\x05a\xef\xbf\xbdb"[..],
        ),
        (
            vec![(b"a\xe2\x82", true, End::Message)],
            b"\x81\x04a\xef\xbf\xbd",
        ),
        (
            vec![(b"a\xe2", true, End::Open), (b"", false, End::Message)],
            b"\x01\x01a\x80\x03\xef\xbf\xbd",
        ),
        (
            vec![(b"\xe2", true, End::Open), (b"b", false, End::Message)],
            b"\x81\x04\xef\xbf\xbdb",
        ),
        (
            vec![(b"a\xf0\x9f", true, End::Read)],
            b"\x81\x01a\x81\x03\xef\xbf\xbd",
        ),
    ] {
        let mut close = connection(Role::Server, FrameType::Text, InvalidUtf8::Close);
        assert_eq!(
            encode(&mut close, &chunks),
            Err(Fault::StreamText),
            "{chunks:x?}"
        );
        let mut replace = connection(Role::Server, FrameType::Text, InvalidUtf8::Replace);
        assert_eq!(
            encode(&mut replace, &chunks).unwrap(),
            replaced,
            "{chunks:x?}"
        );
    }
}

#[test]
fn replaced_text_still_comes_in_fragments_of_64_kib() {
    let bytes = vec![0xff; 50_000];
    let mut replace = connection(Role::Server, FrameType::Text, InvalidUtf8::Replace);
    let sent = encode(&mut replace, &[(&bytes, true, End::Message)]).unwrap();
    assert_eq!(
        decode(Role::Client, &[&sent]),
        [text(&"\u{fffd}".repeat(50_000))]
    );
    assert_eq!(
        sent.len(),
        150_000 + 3 * 4,
        "three fragments of whole characters"
    );
}

#[test]
fn mirror_answers_in_the_kind_that_the_peer_last_used() {
    let mut server = connection(Role::Server, FrameType::Mirror, InvalidUtf8::Close);
    let chunk: &[(&[u8], bool, End)] = &[(b"x", true, End::Message)];
    assert_eq!(
        encode(&mut server, chunk).unwrap(),
        b"\x82\x01x",
        "auto before the first message"
    );
    for (peer, answer) in [
        (&b"\x81\x01a"[..], b"\x81\x01x"),
        (b"\x82\x01a", b"\x82\x01x"),
    ] {
        let mut bytes = masked(peer);
        assert!(server.decode(&mut bytes.as_mut_slice()).unwrap().is_some());
        assert_eq!(encode(&mut server, chunk).unwrap(), answer);
    }
}

#[test]
fn what_is_encoded_in_either_role_is_decoded_by_the_other() {
    arbtest::arbtest(|u| {
        let (sender, receiver) = if u.arbitrary()? {
            (Role::Client, Role::Server)
        } else {
            (Role::Server, Role::Client)
        };
        let mut from = connection(sender, FrameType::Auto, InvalidUtf8::Close);
        let (mut sent, mut expected) = (Vec::new(), Vec::new());
        for _ in 0..u.int_in_range(0..=4)? {
            let is_text: bool = u.arbitrary()?;
            let body = if is_text {
                u.arbitrary::<String>()?.into_bytes()
            } else {
                u.arbitrary()?
            };
            let kind = if is_text { Kind::Text } else { Kind::Binary };
            let cut = u.int_in_range(0..=body.len())?;
            let (mut front, mut back) = (body[..cut].to_vec(), body[cut..].to_vec());
            let mut staging = Vec::new();
            let mut out = Gather::new(&mut staging);
            let open = Chunk {
                payload: &mut front,
                kind: Some(kind),
                first: true,
                end: End::Open,
                frame: None,
            };
            from.encode(open, &mut out).unwrap();
            let last = Chunk {
                payload: &mut back,
                kind: Some(kind),
                first: false,
                end: End::Message,
                frame: None,
            };
            from.encode(last, &mut out).unwrap();
            sent.extend(out.pieces().flatten());
            expected.push(Message(kind, body));
        }
        let mut pieces = Vec::new();
        let mut rest = sent.as_slice();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(u.int_in_range(1..=rest.len())?);
            pieces.push(piece);
            rest = after;
        }
        assert_eq!(decode(receiver, &pieces), expected);
        Ok(())
    });
}

#[test]
fn a_pong_answers_each_ping_while_there_is_room_then_the_newest() {
    let mut server = connection(Role::Server, FrameType::Auto, InvalidUtf8::Close);
    let mut queue = WriteQueue::default();
    server.pong(b"1", &mut queue);
    server.pong(b"2", &mut queue);
    assert_eq!(queue.bytes(), b"\x8a\x011\x8a\x012");
    for _ in 0..100_000 {
        server.pong(&[b'x'; 125], &mut queue);
    }
    server.pong(b"newest", &mut queue);
    assert!(queue.len() < CONTROL_ROOM + 127, "{}", queue.len());
    server.answer(&mut queue);
    assert!(!queue.bytes().ends_with(b"newest"), "there is no room yet");
    queue.advance(queue.len());
    server.answer(&mut queue);
    assert_eq!(queue.bytes(), b"\x8a\x06newest");
}

#[test]
fn nothing_follows_a_close() {
    let mut server = connection(Role::Server, FrameType::Text, InvalidUtf8::Close);
    let mut queue = WriteQueue::default();
    server.close(Close(Some(1000)), "bye", &mut queue);
    server.close(Close(Some(1001)), "again", &mut queue);
    server.ping(&mut queue);
    server.pong(b"late", &mut queue);
    assert_eq!(queue.bytes(), b"\x88\x05\x03\xe8bye");
    assert_eq!(
        encode(&mut server, &[(b"late", true, End::Message)]).unwrap(),
        b""
    );
}
