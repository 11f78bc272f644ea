//! PROXY headers from a proxy in front and to the backend behind, and the
//! greeting that follows them.

// A listener beside another, and `adit check`, need a file.
#![cfg(feature = "config-file")]
#![allow(clippy::unwrap_used)]

mod common;

use common::*;

const V1: &[u8] = b"PROXY TCP4 203.0.113.9 198.51.100.1 4711 443\r\n";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const TRUST: [&str; 3] = ["--accept-proxy", "--trusted-proxies", "127.0.0.0/8"];

/// A version 2 header, whose length may lie.
fn v2_of(command: u8, family: u8, len: u16, body: &[u8]) -> Vec<u8> {
    [SIGNATURE, &[command, family], &len.to_be_bytes(), body].concat()
}

fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    v2_of(command, family, body.len() as u16, body)
}

/// 203.0.113.9:4711 to 198.51.100.1:443.
const TCP4: [u8; 12] = [203, 0, 113, 9, 198, 51, 100, 1, 0x12, 0x67, 0x01, 0xbb];

fn served(listen: &str, backend: &Backend, options: &[&str]) -> Adit {
    let mut args = vec![backend.address.as_str()];
    args.extend(options);
    Adit::serve_on(listen, &args)
}

/// adit behind a trusted proxy, and a backend that is told the client's
/// address and port.
fn behind_proxy() -> (Adit, Backend) {
    let backend = Backend::bind();
    let mut options = TRUST.to_vec();
    options.extend(["--greeting", r"%a %p\n"]);
    (served("127.0.0.1:0", &backend, &options), backend)
}

/// What the backend is told when these bytes and a request come in one write.
#[track_caller]
fn seen(adit: &Adit, backend: &Backend, header: &[u8], headers: &[&str]) -> String {
    let mut client = Client::connect(&adit.address);
    client.say(&[header, request("/", headers).as_bytes()].concat());
    assert_eq!(client.response().status, 101);
    let mut service = backend.accept();
    drop(client);
    String::from_utf8(service.hear_all()).unwrap()
}

#[test]
fn a_header_of_a_trusted_proxy_names_the_client() {
    let (adit, backend) = behind_proxy();
    let mut tcp6 = [0; 36];
    tcp6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    tcp6[15] = 9;
    tcp6[33] = 7;
    let tlvs = [&TCP4[..], &[0xee, 0, 2, 1, 2, 5, 0, 1, b'x']].concat();
    for (header, expected) in [
        (V1.to_vec(), "203.0.113.9 4711\n"),
        (
            b"PROXY TCP6 2001:db8::9 ::1 7 443\r\n".to_vec(),
            "2001:db8::9 7\n",
        ),
        (v2(0x21, 0x11, &TCP4), "203.0.113.9 4711\n"),
        (v2(0x21, 0x11, &tlvs), "203.0.113.9 4711\n"),
        (v2(0x21, 0x21, &tcp6), "2001:db8::9 7\n"),
    ] {
        assert_eq!(seen(&adit, &backend, &header, &[]), expected);
    }
    adit.wait_for_log("#1 203.0.113.9:4711 via 127.0.0.1:");
}

#[test]
fn a_header_cut_at_every_byte_is_the_same() {
    let (adit, backend) = behind_proxy();
    for header in [V1.to_vec(), v2(0x21, 0x11, &TCP4)] {
        let bytes = [&header, request("/", &[]).as_bytes()].concat();
        for cut in 0..=header.len() {
            let mut client = Client::connect(&adit.address);
            client.say(&bytes[..cut]);
            client.say(&bytes[cut..]);
            assert_eq!(client.response().status, 101, "cut at {cut}");
            assert_eq!(backend.accept().hear(17), b"203.0.113.9 4711\n");
        }
        let mut client = Client::connect(&adit.address);
        for byte in &bytes {
            client.say(&[*byte]);
        }
        assert_eq!(client.response().status, 101);
        assert_eq!(backend.accept().hear(17), b"203.0.113.9 4711\n");
    }
}

#[test]
fn a_trusted_proxy_without_a_good_header_is_closed_without_a_word() {
    let (adit, backend) = behind_proxy();
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
    let request = request("/", &[]);
    let table: &[(&[u8], &str)] = &[
        (request.as_bytes(), "it begins with no PROXY header"),
        (b"\x16\x03\x01\x02\x00", "it begins with no PROXY header"),
        (long.as_bytes(), "longer than 107 bytes"),
        (&[b'P'; 5000], "it begins with no PROXY header"),
        (
            b"PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n",
            "no valid addresses",
        ),
        (&v2_of(0x21, 0x11, 11, &TCP4), "shorter than its addresses"),
        (&v2_of(0x21, 0x11, 0, &TCP4), "shorter than its addresses"),
        (&v2_of(0x21, 0x11, 4097, &TCP4), "longer than 4096 bytes"),
        (&v2_of(0x21, 0x11, 0xffff, &TCP4), "longer than 4096 bytes"),
        (
            &v2_of(0x21, 0x11, 13, &[&TCP4[..], request.as_bytes()].concat()),
            "a field that is longer than the header",
        ),
        (
            &v2(0x21, 0x11, &[&TCP4[..], &[2, 0xff, 0xff]].concat()),
            "a field that is longer than the header",
        ),
        (&v2(0x23, 0x11, &TCP4), "an unknown version or command"),
    ];
    for (count, (bytes, why)) in table.iter().enumerate() {
        let mut client = Client::connect(&adit.address);
        client.say(bytes);
        assert!(client.socket.is_over(), "{why}");
        let lines = adit.wait_for_logs(count + 1, " refused: ");
        assert!(lines[count].contains(why), "{}", lines[count]);
        assert!(lines[count].contains("(accept-proxy, trusted-proxies)"));
    }
    assert!(backend.is_alone());
}

#[test]
fn a_header_that_does_not_end_is_waited_for_as_long_as_a_request() {
    let backend = Backend::bind();
    let mut options = TRUST.to_vec();
    options.extend(["--handshake-timeout", "200ms"]);
    let adit = served("127.0.0.1:0", &backend, &options);
    for bytes in [&V1[..20], &v2_of(0x21, 0x11, 4096, &TCP4)] {
        let mut client = Client::connect(&adit.address);
        client.say(bytes);
        client.expect_eof();
    }
    adit.wait_for_logs(2, "its PROXY header was not whole within handshake-timeout");
    // A proxy that only looks whether the port is open.
    Client::connect(&adit.address).expect_eof();
    // The header and then no request: that is HTTP's own timeout.
    let mut client = Client::connect(&adit.address);
    client.say(&[V1, b"GET /"].concat());
    assert_eq!(client.response().status, 408);
}

#[test]
fn a_proxy_that_names_nobody_is_its_own_client() {
    let (adit, backend) = behind_proxy();
    for header in [
        v2(0x20, 0x00, b""),
        v2(0x20, 0x11, &TCP4),
        v2(0x21, 0x00, b""),
        v2(0x21, 0x31, &[0; 216]),
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN 203.0.113.9 198.51.100.1 4711 443\r\n".to_vec(),
    ] {
        // Nobody knows who wrote these headers.
        let spoof = ["X-Forwarded-For: 192.0.2.66"];
        let seen = seen(&adit, &backend, &header, &spoof);
        assert!(seen.starts_with("127.0.0.1 "), "{seen}");
    }
}

#[test]
fn the_headers_of_a_named_client_count_if_it_is_trusted() {
    let (adit, backend) = behind_proxy();
    let forwarded = ["X-Forwarded-For: 192.0.2.66"];
    let seen = |header: &[u8]| seen(&adit, &backend, header, &forwarded);
    assert_eq!(seen(V1), "203.0.113.9 4711\n");
    let proxy = b"PROXY TCP4 127.0.0.7 198.51.100.1 4711 443\r\n";
    assert_eq!(seen(proxy), "192.0.2.66 0\n");
}

#[test]
fn a_header_from_elsewhere_is_a_bad_request() {
    let backend = Backend::bind();
    for options in [
        &["--accept-proxy", "--trusted-proxies", "10.0.0.0/8"][..],
        &["--trusted-proxies", "127.0.0.1"],
        &[],
    ] {
        let adit = served("127.0.0.1:0", &backend, options);
        for header in [V1, &v2(0x21, 0x11, &TCP4)] {
            let mut client = Client::connect(&adit.address);
            client.say(header);
            let response = client.response();
            assert_eq!(response.status, 400);
            assert!(response.body.contains("PROXY header"), "{response:?}");
        }
        let (_client, _) = Client::open_with(&adit.address, "/", &[]);
        backend.accept();
    }
}

#[test]
fn whoever_opens_a_unix_socket_that_takes_headers_owes_one() {
    let temp = TempDir::new();
    let backend = Backend::bind();
    let options = ["--accept-proxy", "--greeting", r"%a %p\n"];
    let adit = served(&temp.unix("front"), &backend, &options);
    assert_eq!(seen(&adit, &backend, V1, &[]), "203.0.113.9 4711\n");
    adit.wait_for_log("203.0.113.9:4711 via unix opened");
    let mut client = Client::connect(&adit.address);
    client.say(request("/", &[]).as_bytes());
    assert!(client.socket.is_over());
}

/// The bytes that come to the backend first, from a client that sends a
/// message with its request.
fn first_bytes(adit: &Adit, backend: &Backend, before: &[u8], n: usize) -> Vec<u8> {
    let mut client = Client::connect(&adit.address);
    let request = request("/a?b", &["Host: a.example:8080"]);
    client.say(&[before, request.as_bytes(), &frame(TEXT, b"first")].concat());
    assert_eq!(client.response().status, 101);
    backend.accept().hear(n)
}

#[test]
fn version_1_goes_before_everything_else() {
    let temp = TempDir::new();
    for address in ["127.0.0.1:0", &temp.unix("back")] {
        let backend = Backend::bind_to(address);
        let options = ["--send-proxy=v1", "--greeting", r"hello %u?%q\r\n"];
        let adit = served("127.0.0.1:0", &backend, &options);
        let mut client = Client::connect(&adit.address);
        let Socket::Tcp(stream) = &client.socket else {
            unreachable!()
        };
        let ends = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
        client.say(request("/a?b", &[]).as_bytes());
        client.say(&frame(TEXT, b"first"));
        let expected = format!(
            "PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\nhello /a?b\r\nfirst",
            ends.0.port(),
            ends.1.port()
        );
        let heard = backend.accept().hear(expected.len());
        assert_eq!(String::from_utf8(heard).unwrap(), expected);
    }
}

#[test]
fn a_client_without_an_address_is_unknown() {
    let temp = TempDir::new();
    let backend = Backend::bind();
    let adit = served(&temp.unix("front"), &backend, &["--send-proxy=v1"]);
    let heard = first_bytes(&adit, &backend, b"", 20);
    assert_eq!(heard, b"PROXY UNKNOWN\r\nfirst");
    let adit = served(&temp.unix("front2"), &backend, &["--send-proxy=v2"]);
    let heard = first_bytes(&adit, &backend, b"", 16);
    assert_eq!(heard[..14], v2(0x21, 0x00, b"")[..14]);
}

#[test]
fn version_2_passes_on_what_the_proxy_in_front_knew() {
    let temp = TempDir::new();
    let ssl = b"\x20\0\x17\x05\0\0\0\0\x21\0\x07TLSv1.3\x22\0\x05A\xc3\xa9 B";
    let known = [&b"\x01\0\x08http/1.1\x02\0\x03sni\x05\0\x02id"[..], ssl].concat();
    for address in ["127.0.0.1:0", &temp.unix("back")] {
        let backend = Backend::bind_to(address);
        let mut options = TRUST.to_vec();
        options.extend(["--send-proxy=v2", "--greeting=%c\\n"]);
        let adit = served("127.0.0.1:0", &backend, &options);
        let before = v2(0x21, 0x11, &[&TCP4[..], &known].concat());
        let expected = [&before[..], b"A%C3%A9%20B\nfirst"].concat();
        let heard = first_bytes(&adit, &backend, &before, expected.len());
        assert_eq!(
            heard.escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    }
}

#[test]
fn version_2_names_the_host_and_each_connection() {
    let backend = Backend::bind();
    let mut options = TRUST.to_vec();
    options.push("--send-proxy=v2");
    // Of two runs, two connections each.
    let mut ids = Vec::new();
    for _ in 0..2 {
        let adit = served("127.0.0.1:0", &backend, &options);
        for number in 1..=2 {
            let mut client = Client::connect(&adit.address);
            let request = request("/", &["Host: a.example:8080"]);
            client.say(&[V1, request.as_bytes()].concat());
            assert_eq!(client.response().status, 101);
            let mut service = backend.accept();
            let head = service.hear(16);
            assert_eq!(head[..14], v2(0x21, 0x11, b"")[..14]);
            let body = service.hear(usize::from(u16::from_be_bytes([head[14], head[15]])));
            let (addresses, tlvs) = body.split_at(12);
            assert_eq!(addresses, TCP4);
            let id = tlvs.strip_prefix(b"\x02\0\x09a.example\x05\0").unwrap();
            assert_eq!(usize::from(id[0]), id.len() - 1, "{id:?}");
            let id = String::from_utf8(id[1..].to_vec()).unwrap();
            assert!(id.ends_with(&format!("-{number}")), "{id}");
            ids.push(id);
        }
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

/// The fields of a version 2 header over `family`, in order.
#[track_caller]
fn tlvs(service: &mut Socket, family: u8) -> Vec<(u8, Vec<u8>)> {
    let head = service.hear(16);
    assert_eq!(head[..14], v2(0x21, family, b"")[..14]);
    let body = service.hear(usize::from(u16::from_be_bytes([head[14], head[15]])));
    let mut rest = &body[if family == 0x11 { 12 } else { 0 }..];
    let mut fields = Vec::new();
    while let [kind, high, low, behind @ ..] = rest {
        let (value, behind) = behind.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        fields.push((*kind, value.to_vec()));
        rest = behind;
    }
    fields
}

#[test]
fn version_2_tells_of_adits_own_tls() {
    let temp = TempDir::new();
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let ca = temp.write("clients.pem", &clients.pem);
    let own = servers.issue(&["sni.example", "127.0.0.1"]);
    let (cert, key) = own.write(&temp, "own");
    let ada = clients.issue(&["ada"]);
    for address in ["127.0.0.1:0", &temp.unix("back")] {
        let backend = Backend::bind_to(address);
        let tls = ["--tls-cert", &cert, "--tls-key", &key, "--client-ca", &ca];
        let options = [&tls[..], &["--client-auth=optional", "--send-proxy=v2"]].concat();
        let adit = served("127.0.0.1:0", &backend, &options);
        for (version, text) in [(&TLS12, b"TLSv1.2"), (&TLS13, b"TLSv1.3")] {
            let named = Dialer::showing_over(&servers, &ada, version).asking_for("sni.example");
            let unnamed = Dialer::of_version(&servers, version).asking_for("127.0.0.1");
            let ssl = |flags: u8| [&[flags, 0, 0, 0, 0, 0x21, 0, 7][..], text].concat();
            for (dialer, authority, flags, name) in [
                // The second time in a session that is taken up again.
                (&named, "sni.example", 7, &b"\x22\0\x03ada"[..]),
                (&named, "sni.example", 7, b"\x22\0\x03ada"),
                (&unnamed, "host.example", 1, b""),
            ] {
                let socket = dialer.dial(&adit.address);
                let (_client, response) = Client::over(socket, "/", &["Host: host.example:8443"]);
                assert_eq!(response.status, 101);
                let found = tlvs(&mut backend.accept(), 0x11);
                assert_eq!(found[0], (0x01, b"http/1.1".to_vec()));
                assert_eq!(found[1], (0x02, authority.as_bytes().to_vec()));
                assert_eq!(found[2].0, 0x05);
                let mut expected = ssl(flags);
                expected[4] = u8::from(flags == 1);
                assert_eq!(found[3], (0x20, [&expected, name].concat()));
                assert_eq!(found.len(), 4);
            }
        }
    }
}

#[test]
fn the_backend_that_is_reached_gets_the_header() {
    let (dead, _bound) = refusing();
    let backend = Backend::bind();
    let mut options = vec![&*backend.address, "--send-proxy=v1"];
    options.extend(TRUST);
    let adit = Adit::serve_on("127.0.0.1:0", &[&[&*dead][..], &options].concat());
    for _ in 0..3 {
        let expected = [V1, b"first"].concat();
        let heard = first_bytes(&adit, &backend, V1, expected.len());
        assert_eq!(heard, expected);
    }
}

#[test]
fn a_client_cannot_say_more_than_its_field() {
    let backend = Backend::bind();
    let greeting = r"[%H][%u][%q][%o][%s][%t][%c][%%]\r\n";
    let options = ["--greeting", greeting, "--origin", "any"];
    let adit = served("127.0.0.1:0", &backend, &options);
    for (target, headers, expected) in [
        (
            "/a%0d%0aQUIT?b%0D=c",
            &["Host: h:1", "Origin: https://o.example:1"][..],
            "[h:1][/a%0d%0aQUIT][b%0D=c][https://o.example:1][][][][%]",
        ),
        (
            "/\"\\|<>{}^`",
            &[
                "Host: h",
                "Origin: x y\t\"z\" \u{e9}",
                "Sec-WebSocket-Protocol: a%0d|b`",
            ],
            "[h][/%22%5C%7C%3C%3E%7B%7D%5E%60][][x%20y%09%22z%22%20%C3%A9][a%250d%7Cb%60][][][%]",
        ),
    ] {
        let mut client = Client::connect(&adit.address);
        client.say(request(target, headers).as_bytes());
        assert_eq!(client.response().status, 101, "{target}");
        let mut service = backend.accept();
        drop(client);
        let heard = String::from_utf8(service.hear_all()).unwrap();
        assert_eq!(heard, format!("{expected}\r\n"));
    }
}

#[test]
fn mistakes_are_found_before_anything_is_opened() {
    let temp = TempDir::new();
    let file = "[[listen]]\naddress = \"80\"\naccept-proxy = true\n[[route]]\n\
                backend = \"h:1\"\ngreeting = \"WEBIRC secret adit %h %z\\r\\n\"\n";
    let output = run(&["check", &temp.write("adit.toml", file)]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("adit.toml:3: accept-proxy without trusted-proxies"));
    assert!(text.contains("adit.toml:6: greeting: %z stands for nothing"));
    assert!(!text.contains("secret"));
    for (options, error) in [
        (
            &["--accept-proxy"][..],
            "accept-proxy without trusted-proxies",
        ),
        (
            &["--greeting", "secret %z"],
            "greeting: %z stands for nothing",
        ),
        (
            &["--greeting", r"secret \x"],
            r"greeting: after \ comes r, n, t or another \",
        ),
        (&["--send-proxy", "v3"], "write v1, v2 or off"),
        (&["--trusted-proxies", "x"], "write an address or a network"),
    ] {
        let output = run(&[&["serve", "80", "h:1"], options].concat());
        assert_eq!(output.status.code(), Some(2));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(error) && !text.contains("secret"), "{text}");
    }
}
