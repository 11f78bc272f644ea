//! Headers of both versions, whole, cut and wrong.

use super::*;
use arbtest::arbitrary::{Result as Arbitrary, Unstructured};

fn done(input: &[u8]) -> (usize, Header) {
    match parse(input) {
        Ok(Parsed::Done { len, header }) => (len, header),
        other => panic!("{:?}: {other:?}", input.escape_ascii().to_string()),
    }
}

fn header(source: &str, destination: &str) -> Header {
    Header {
        addresses: Some(Addresses {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        }),
        extras: Extras::default(),
    }
}

/// A version 2 header of these bytes behind the signature, its length put in.
fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&v2::SIGNATURE[..], &[command, family], &len, body].concat()
}

const TCP4: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 0x12, 0x34, 0, 80];

/// Headers of either version with what they say.
fn good() -> Vec<(Vec<u8>, Header)> {
    let tcp4 = header("192.0.2.1:4660", "192.0.2.2:80");
    let mut tcp6 = [0; 36];
    tcp6[15] = 1;
    tcp6[31] = 2;
    tcp6[33] = 7;
    let with = |extras| Header {
        extras,
        ..tcp4.clone()
    };
    let tlv = |bytes: &[u8]| binary(0x21, 0x11, &[&TCP4, bytes].concat());
    vec![
        (
            b"PROXY TCP4 192.0.2.1 192.0.2.2 4660 80\r\n".into(),
            tcp4.clone(),
        ),
        (
            b"PROXY TCP6 ::1 2001:db8::2 65535 0\r\n".into(),
            header("[::1]:65535", "[2001:db8::2]:0"),
        ),
        (
            format!("PROXY TCP6 {0} {0} 65535 65535\r\n", ["ffff"; 8].join(":")).into(),
            header(
                &format!("[{}]:65535", ["ffff"; 8].join(":")),
                &format!("[{}]:65535", ["ffff"; 8].join(":")),
            ),
        ),
        (b"PROXY UNKNOWN\r\n".into(), Header::default()),
        (b"PROXY UNKNOWN what ever 1\r\n".into(), Header::default()),
        // The longest that section 2.1 allows.
        (
            format!("PROXY UNKNOWN {}\r\n", "x".repeat(91)).into(),
            Header::default(),
        ),
        (binary(0x20, 0x00, b""), Header::default()),
        (binary(0x20, 0x11, b"what ever"), Header::default()),
        (binary(0x20, 0xff, &[0xff; MAX_V2]), Header::default()),
        (binary(0x21, 0x00, b""), Header::default()),
        (binary(0x21, 0x31, &[0; 216]), Header::default()),
        (binary(0x21, 0x12, &TCP4), Header::default()),
        (binary(0x21, 0x11, &TCP4), tcp4.clone()),
        (binary(0x21, 0x21, &tcp6), header("[::1]:7", "[::2]:0")),
        (tlv(&[0xee, 0, 1, b'x', 0x04, 0, 2, 0, 0]), tcp4.clone()),
        (
            tlv(b"\x01\0\x02h2\x02\0\x03a.b\x05\0\x02id"),
            with(Extras {
                alpn: Some(b"h2".into()),
                authority: Some("a.b".into()),
                unique_id: Some(b"id".into()),
                ssl: None,
            }),
        ),
        (
            tlv(b"\x20\0\x13\x05\0\0\0\0\x21\0\x07TLSv1.3\x22\0\x01N"),
            with(Extras {
                ssl: Some(Ssl {
                    tls: true,
                    certificate: false,
                    session_certificate: true,
                    verified: true,
                    version: Some("TLSv1.3".into()),
                    common_name: Some("N".into()),
                }),
                ..Extras::default()
            }),
        ),
    ]
}

#[test]
fn a_header_is_read_and_what_follows_is_left() {
    for (bytes, expected) in good() {
        for tail in [&b""[..], b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", &[0; 5000]] {
            let input = [&bytes, tail].concat();
            assert_eq!(done(&input), (bytes.len(), expected.clone()));
        }
    }
}

#[test]
fn a_header_cut_anywhere_asks_for_no_byte_beyond_its_end() {
    for (bytes, expected) in good() {
        for cut in 0..bytes.len() {
            match parse(&bytes[..cut]) {
                Ok(Parsed::Incomplete { needs }) => {
                    assert!((1..=bytes.len() - cut).contains(&needs), "{cut}: {needs}");
                }
                other => panic!("cut at {cut}: {other:?}"),
            }
        }
        // As the tunnel reads it.
        let (mut seen, mut reads) = (0, 0);
        while let Ok(Parsed::Incomplete { needs }) = parse(&bytes[..seen]) {
            seen += needs;
            reads += 1;
        }
        assert_eq!(done(&bytes[..seen]), (bytes.len(), expected));
        assert!(reads <= 50, "{reads} reads");
    }
}

#[test]
fn a_usual_header_is_read_in_few_reads() {
    let line = b"PROXY TCP4 192.168.100.100 192.168.100.101 56324 443\r\n";
    for (bytes, most) in [(&line[..], 12), (&binary(0x21, 0x11, &TCP4), 3)] {
        let (mut seen, mut reads) = (0, 0);
        while let Ok(Parsed::Incomplete { needs }) = parse(&bytes[..seen]) {
            seen += needs;
            reads += 1;
        }
        assert!(reads <= most, "{reads} reads");
    }
}

fn assert_refused(table: &[(&[u8], Malformed)]) {
    for &(bytes, why) in table {
        assert_eq!(parse(bytes), Err(why), "{}", bytes.escape_ascii());
    }
}

#[test]
fn what_begins_otherwise_is_refused_at_its_first_wrong_byte() {
    let why = "it begins with no PROXY header";
    for bytes in [
        &b"G"[..],
        b"PX",
        b"PROXY\t",
        b"proxy ",
        b"\r\n\r\r",
        b"\r\n\r\n\0\r\nQUIT\r",
        b"\x16\x03",
    ] {
        assert_refused(&[(bytes, why)]);
    }
}

#[test]
fn a_line_that_is_no_header_is_refused() {
    for line in [
        "",
        "TCP4",
        "UNKNOWNX",
        "UDP4 1.1.1.1 1.1.1.1 1 1",
        "tcp4 1.1.1.1 1.1.1.1 1 1",
        "TCP4 1.1.1.1 1.1.1.1 1",
        "TCP4 1.1.1.1 1.1.1.1 1 1 1",
        "TCP4 1.1.1.1 1.1.1.1 1 1 ",
        "TCP4  1.1.1.1 1.1.1.1 1 1",
        "TCP4\t1.1.1.1 1.1.1.1 1 1",
        "TCP4 1.1.1 1.1.1.1 1 1",
        "TCP4 01.1.1.1 1.1.1.1 1 1",
        "TCP4 ::1 ::1 1 1",
        "TCP6 1.1.1.1 1.1.1.1 1 1",
        "TCP6 fe80::1%eth0 ::1 1 1",
        "TCP4 1.1.1.1 1.1.1.1 65536 1",
        "TCP4 1.1.1.1 1.1.1.1 01 1",
        "TCP4 1.1.1.1 1.1.1.1 +1 1",
        "TCP4 1.1.1.1 1.1.1.1 1 ",
    ] {
        let bytes = format!("PROXY {line}\r\n");
        assert_refused(&[(bytes.as_bytes(), "its PROXY header has no valid addresses")]);
    }
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
    let long = long.as_bytes();
    assert_eq!(long.len(), MAX_V1 + 1);
    let (too_long, end) = (
        "its PROXY header is longer than 107 bytes",
        "its PROXY header does not end with CR LF",
    );
    assert_refused(&[
        (&long[..106], too_long),
        (&long[..107], too_long),
        (long, too_long),
        (b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\n", end),
        (b"PROXY UNKNOWN\rx", end),
        (b"PROXY TCP4 \xff\r\n", "its PROXY header is not text"),
    ]);
}

#[test]
fn a_version_2_header_that_lies_is_refused_before_its_body_has_come() {
    let mut long = binary(0x21, 0x11, &TCP4);
    long[14] = 0x10;
    long[15] = 0x01;
    let command = "its PROXY header has an unknown version or command";
    let family = "its PROXY header has an unknown address family";
    let short = "its PROXY header is shorter than its addresses";
    for (bytes, why) in [
        (binary(0x11, 0x11, &TCP4), command),
        (binary(0x22, 0x11, &TCP4), command),
        (binary(0x21, 0x41, &TCP4), family),
        (binary(0x21, 0x10, &TCP4), family),
        (long, "its PROXY header is longer than 4096 bytes"),
        (binary(0x21, 0x11, &TCP4[..11]), short),
        (binary(0x21, 0x21, &[0; 35]), short),
        (binary(0x21, 0x31, &[0; 215]), short),
    ] {
        assert_refused(&[(&bytes[..v2::HEAD], why)]);
    }
}

#[test]
fn a_field_that_lies_is_refused() {
    let tlv = |bytes: &[u8]| binary(0x21, 0x11, &[&TCP4, bytes].concat());
    let field = "its PROXY header has a field that is longer than the header";
    let text = "its PROXY header has a text that is not UTF-8";
    let sum = "its PROXY header has a wrong checksum";
    for (bytes, why) in [
        (tlv(&[1]), field),
        (tlv(&[1, 0]), field),
        (tlv(&[1, 0, 1]), field),
        (tlv(&[0xee, 0xff, 0xff, 1]), field),
        (binary(0x21, 0x00, b"x"), field),
        (tlv(&[0x20, 0, 8, 1, 0, 0, 0, 0, 0x21, 0, 9]), field),
        (
            tlv(&[0x20, 0, 4, 1, 0, 0, 0]),
            "its PROXY header has a TLS part that is cut off",
        ),
        (tlv(&[2, 0, 1, 0xff]), text),
        (
            tlv(&[&[5, 0, 129][..], &[0; 129]].concat()),
            "its PROXY header has a unique id longer than 128 bytes",
        ),
        (tlv(&[3, 0, 4, 0, 0, 0, 0]), sum),
        (tlv(&[3, 0, 0]), sum),
    ] {
        assert_refused(&[(&bytes, why)]);
    }
}

#[test]
fn a_checksum_is_held_against_the_whole_header() {
    // RFC 3720 appendix B.4 has more; this one is every catalogue's.
    assert_eq!(v2::crc32c(b"123456789"), 0xe306_9283);
    let mut bytes = binary(0x21, 0x11, &[&TCP4[..], &[3, 0, 4, 0, 0, 0, 0]].concat());
    let sum = v2::crc32c(&bytes);
    bytes[31..35].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(done(&bytes).1, header("192.0.2.1:4660", "192.0.2.2:80"));
    bytes[16] ^= 1;
    assert!(parse(&bytes).is_err());
}

#[test]
fn what_is_written_is_read_again() {
    arbtest::arbtest(|u| {
        let header = arbitrary_header(u)?;
        let canonical = header.addresses.map(Addresses::in_one_family);
        let expected = Header {
            addresses: canonical,
            ..header.clone()
        };
        let tail: Vec<u8> = u.arbitrary()?;
        let bytes = header.bytes(Version::V2);
        assert_eq!(
            done(&[&bytes, &tail[..]].concat()),
            (bytes.len(), expected.clone())
        );
        let bytes = header.bytes(Version::V1);
        let (len, read) = done(&[&bytes, &tail[..]].concat());
        assert_eq!((len, read.addresses), (bytes.len(), expected.addresses));
        Ok(())
    });
}

#[test]
fn no_bytes_make_the_parser_fail_or_run_over() {
    arbtest::arbtest(|u| {
        let mut bytes = arbitrary_header(u)?.bytes(Version::V2);
        for _ in 0..u.int_in_range(0..=4)? {
            let at = u.int_in_range(0..=bytes.len() - 1)?;
            bytes[at] = u.arbitrary()?;
        }
        bytes.truncate(u.int_in_range(0..=bytes.len())?);
        match parse(&bytes) {
            Ok(Parsed::Done { len, .. }) => assert!(len <= bytes.len()),
            Ok(Parsed::Incomplete { needs }) => {
                assert!(needs > 0 && bytes.len() + needs <= v2::HEAD + MAX_V2);
            }
            Err(_) => {}
        }
        Ok(())
    });
}

#[test]
fn a_name_counts_only_in_a_certificate_that_was_good() {
    for (certificate, session_certificate, verified, expected) in [
        (true, true, true, true),
        (false, true, true, true),
        (true, false, true, true),
        (false, false, true, false),
        (true, true, false, false),
    ] {
        let ssl = Ssl {
            tls: true,
            certificate,
            session_certificate,
            verified,
            version: None,
            common_name: Some("N".into()),
        };
        let extras = Extras {
            ssl: Some(ssl),
            ..Extras::default()
        };
        assert_eq!(extras.verified_name(), expected.then_some("N"));
    }
}

#[test]
fn an_extra_that_is_too_long_is_left_out() {
    let long = Header {
        extras: Extras {
            authority: Some("x".repeat(256)),
            unique_id: Some(vec![0; 129]),
            alpn: Some(vec![0; 70_000]),
            ssl: None,
        },
        ..header("192.0.2.1:1", "192.0.2.2:2")
    };
    assert_eq!(
        done(&long.bytes(Version::V2)).1,
        header("192.0.2.1:1", "192.0.2.2:2"),
        "the addresses stay"
    );
}

fn arbitrary_address(u: &mut Unstructured<'_>) -> Arbitrary<SocketAddr> {
    let ip = match u.arbitrary()? {
        true => IpAddr::from(u.arbitrary::<[u8; 4]>()?),
        false => IpAddr::from(u.arbitrary::<[u8; 16]>()?),
    };
    Ok(SocketAddr::new(ip, u.arbitrary()?))
}

fn arbitrary_text(u: &mut Unstructured<'_>) -> Arbitrary<Option<String>> {
    let text: Option<String> = u.arbitrary()?;
    Ok(text.filter(|text| text.len() <= 64))
}

fn arbitrary_header(u: &mut Unstructured<'_>) -> Arbitrary<Header> {
    let addresses = match u.ratio(3, 4)? {
        true => Some(Addresses {
            source: arbitrary_address(u)?,
            destination: arbitrary_address(u)?,
        }),
        false => None,
    };
    let bytes = |text: Option<String>| text.map(String::into_bytes);
    let ssl = match u.arbitrary()? {
        true => Some(Ssl {
            tls: u.arbitrary()?,
            certificate: u.arbitrary()?,
            session_certificate: u.arbitrary()?,
            verified: u.arbitrary()?,
            version: arbitrary_text(u)?,
            common_name: arbitrary_text(u)?,
        }),
        false => None,
    };
    let extras = Extras {
        alpn: bytes(arbitrary_text(u)?),
        authority: arbitrary_text(u)?,
        unique_id: bytes(arbitrary_text(u)?),
        ssl,
    };
    Ok(Header { addresses, extras })
}
