//! The opening handshake (RFC 6455 section 4) and every answer before the 101.

#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use tungstenite::client::{ClientRequestBuilder, IntoClientRequest};
use tungstenite::{Message, connect};

#[test]
fn the_key_of_the_rfc_gets_the_accept_of_the_rfc() {
    let (adit, _backend) = echo(&[]);
    let (client, response) = Client::open_with(&adit.address, "/", &[]);
    assert_eq!(
        response.header("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    );
    let upgrade = response.header("upgrade").unwrap();
    assert!(upgrade.eq_ignore_ascii_case("websocket"));
    let connection = response.header("connection").unwrap();
    assert!(connection.eq_ignore_ascii_case("upgrade"));
    assert_eq!(response.header("sec-websocket-protocol"), None);
    assert_eq!(response.header("sec-websocket-extensions"), None);
    client.close(1000);
}

#[test]
fn a_client_of_another_house_is_served() {
    let (adit, _backend) = echo(&["--framing", "lines"]);
    let url = format!("ws://{}/", adit.address);
    let (mut client, _) = connect(url).unwrap();
    client.send(Message::text("grüß dich")).unwrap();
    assert_eq!(client.read().unwrap(), Message::text("grüß dich"));
    client.send(Message::Ping("here?".into())).unwrap();
    assert_eq!(client.read().unwrap(), Message::Pong("here?".into()));
    client.close(None).unwrap();
    assert!(client.read().unwrap().is_close());
    let end = client.read().unwrap_err();
    assert!(matches!(end, tungstenite::Error::ConnectionClosed));
}

#[test]
fn header_names_and_tokens_match_in_any_case_and_order() {
    let (adit, _backend) = echo(&[]);
    let spellings: &[&[&str]] = &[
        &["Connection: keep-alive, Upgrade"],
        &["Connection: UPGRADE , keep-alive"],
        &["connection:upgrade", "UPGRADE: WebSocket"],
        &["Connection: keep-alive", "Connection: Upgrade"],
        &["Upgrade: h2c, websocket"],
        &["sec-websocket-version:   13  "],
        &["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"],
    ];
    for headers in spellings {
        let (_, response) = Client::ask(&adit.address, "/", headers);
        assert_eq!(response.status, 101, "{headers:?}");
    }
}

#[test]
fn each_refusal_has_its_status_and_a_whole_http_answer() {
    let (adit, _backend) = echo(&["--path", "/tunnel"]);
    let valid = request("/tunnel", &[]);
    let without = |line: &str| valid.replace(&format!("{line}\r\n"), "");
    let key = format!("Sec-WebSocket-Key: {SAMPLE_KEY}");
    let table = [
        ("another path", 404, request("/other", &[])),
        ("half a segment", 404, request("/tunnelled", &[])),
        ("POST", 405, valid.replace("GET", "POST")),
        ("no Upgrade", 426, without("Upgrade: websocket")),
        (
            "another Upgrade",
            426,
            request("/tunnel", &["Upgrade: h2c"]),
        ),
        (
            "plain GET",
            426,
            "GET /tunnel HTTP/1.1\r\nHost: a\r\n\r\n".into(),
        ),
        (
            "version 8",
            426,
            request("/tunnel", &["Sec-WebSocket-Version: 8"]),
        ),
        (
            "version 130",
            426,
            request("/tunnel", &["Sec-WebSocket-Version: 130"]),
        ),
        ("no Connection", 426, without("Connection: Upgrade")),
        ("no Host", 400, without("Host: localhost")),
        ("no key", 400, without(&key)),
        (
            "a short key",
            400,
            request("/tunnel", &["Sec-WebSocket-Key: Zm9v"]),
        ),
        (
            "a key not in base64",
            400,
            valid.replace(SAMPLE_KEY, "**************************"),
        ),
        (
            "HTTP/1.0, which knows no Upgrade",
            426,
            valid.replace("HTTP/1.1", "HTTP/1.0"),
        ),
        ("not HTTP", 400, "what's up?\r\n\r\n".into()),
        (
            "a bad header name",
            400,
            request("/tunnel", &["B@d name: x"]),
        ),
    ];
    for (what, status, head) in table {
        let mut client = Client::connect(&adit.address);
        client.say(head.as_bytes());
        let response = client.response();
        assert_eq!(response.status, status, "{what}: {response:?}");
        assert_eq!(response.header("connection"), Some("close"), "{what}");
        assert!(response.header("content-length").is_some(), "{what}");
        if status == 405 {
            assert_eq!(response.header("allow"), Some("GET"), "{what}");
        }
        if what.starts_with("version") {
            let version = response.header("sec-websocket-version");
            assert_eq!(version, Some("13"), "{what}");
        }
        client.expect_eof();
    }
}

#[test]
fn a_plain_request_gets_one_line_that_explains() {
    let (adit, _backend) = echo(&[]);
    let mut client = Client::connect(&adit.address);
    client.say(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let response = client.response();
    assert_eq!(response.status, 426);
    assert!(response.body.contains("WebSocket"), "{}", response.body);
    assert_eq!(response.body.trim_end().lines().count(), 1);
    client.expect_eof();
}

#[test]
fn bytes_behind_the_head_in_the_same_write_are_not_lost() {
    let (adit, _backend) = echo(&["--framing", "lines"]);
    let mut client = Client::connect(&adit.address);
    let mut bytes = request("/", &[]).into_bytes();
    bytes.extend(frame(TEXT, b"early"));
    bytes.extend(frame(TEXT, b"bird"));
    client.say(&bytes);
    assert_eq!(client.response().status, 101);
    assert_eq!(client.message(), (TEXT, b"early".to_vec()));
    assert_eq!(client.message(), (TEXT, b"bird".to_vec()));
}

#[test]
fn bytes_behind_the_head_wait_for_a_slow_backend() {
    let backend = Backend::bind();
    let adit = Adit::serve(&[&backend.address]);
    let mut client = Client::connect(&adit.address);
    let early = Noise::new(1).bytes(200_000);
    let mut bytes = request("/", &[]).into_bytes();
    bytes.extend(frame(BINARY, &early));
    let mut writer = client.socket.handle();
    let writer = std::thread::spawn(move || writer.say(&bytes));
    let mut service = backend.accept();
    assert_eq!(client.response().status, 101);
    assert_eq!(
        Checksum::of(&service.hear(early.len())),
        Checksum::of(&early)
    );
    writer.join().unwrap();
}

#[test]
fn a_head_byte_by_byte_is_a_head() {
    let (adit, _backend) = echo(&["--framing", "lines"]);
    let mut client = Client::connect(&adit.address);
    for byte in request("/", &[]).bytes().chain(frame(TEXT, b"slow")) {
        client.say(&[byte]);
    }
    assert_eq!(client.response().status, 101);
    assert_eq!(client.message(), (TEXT, b"slow".to_vec()));
}

#[test]
fn a_head_cut_anywhere_is_a_head() {
    let (adit, _backend) = echo(&["--framing", "lines"]);
    let bytes = [request("/", &[]).into_bytes(), frame(TEXT, b"cut")].concat();
    for cut in 1..bytes.len() {
        let mut client = Client::connect(&adit.address);
        client.say(&bytes[..cut]);
        client.say(&bytes[cut..]);
        assert_eq!(client.response().status, 101, "cut at {cut}");
        assert_eq!(client.message(), (TEXT, b"cut".to_vec()), "cut at {cut}");
    }
}

#[test]
fn a_head_over_16_kib_or_100_headers_is_refused_with_431() {
    let (adit, _backend) = echo(&[]);
    let long = format!("X-Long: {}", "a".repeat(16384));
    let many: Vec<_> = (0..101).map(|n| format!("X-{n}: a")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let fit = format!("X-Long: {}", "a".repeat(15 * 1024));
    let enough = &many[..95]; // with the five that are always sent, 100

    for headers in [&[long.as_str()][..], &many] {
        let (mut client, response) = Client::ask(&adit.address, "/", headers);
        assert_eq!(response.status, 431);
        client.expect_eof();
    }
    for headers in [&[fit.as_str()][..], enough] {
        Client::open_with(&adit.address, "/", headers);
    }
}

#[test]
fn an_endless_head_is_refused_before_it_ends() {
    let (adit, _backend) = echo(&[]);
    let mut client = Client::connect(&adit.address);
    client.say(b"GET / HTTP/1.1\r\nX-Long: ");
    client.say(&[b'a'; 20_000]);
    assert_eq!(client.response().status, 431);
}

#[test]
fn a_head_that_never_ends_times_out_with_408() {
    let (adit, _backend) = echo(&["--handshake-timeout", "200ms"]);
    let mut client = Client::connect(&adit.address);
    client.say(b"GET / HTTP/1.1\r\nHost: loc");
    assert_eq!(client.response().status, 408);
    client.expect_eof();
}

#[test]
fn a_connection_that_says_nothing_times_out() {
    let (adit, _backend) = echo(&["--handshake-timeout", "200ms"]);
    let mut client = Client::connect(&adit.address);
    // A bare connection may be told 408 or nothing: it ends in time.
    let heard = client.socket.hear_all();
    assert!(heard.is_empty() || heard.starts_with(b"HTTP/1.1 408 "));
}

#[test]
fn a_tls_hello_is_named_in_the_log() {
    let (adit, _backend) = echo(&[]);
    let mut client = Client::connect(&adit.address);
    client.say(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    adit.wait_for_log("TLS");
    client.socket.hear_all();
}

#[test]
fn without_a_table_the_first_offered_subprotocol_is_echoed() {
    let (adit, _backend) = echo(&[]);
    for (offer, chosen) in [
        ("mqtt", "mqtt"),
        ("v12.stomp, v11.stomp", "v12.stomp"),
        ("a ,b", "a"),
        ("  x-y_z.1!  ", "x-y_z.1!"),
    ] {
        let offer = format!("Sec-WebSocket-Protocol: {offer}");
        let (_, response) = Client::open_with(&adit.address, "/", &[&offer]);
        assert_eq!(response.header("sec-websocket-protocol"), Some(chosen));
    }
}

#[test]
fn with_a_table_the_first_that_is_served_is_echoed() {
    let (adit, _backend) = echo(&["--subprotocol", "mqtt", "--subprotocol", "mqttv3.1"]);
    for offers in [
        &["Sec-WebSocket-Protocol: wamp, mqttv3.1, mqtt"][..],
        &["Sec-WebSocket-Protocol: wamp,mqttv3.1,mqtt"],
        &[
            "Sec-WebSocket-Protocol: wamp",
            "Sec-WebSocket-Protocol: mqttv3.1, mqtt",
        ],
    ] {
        let (_, response) = Client::open_with(&adit.address, "/", offers);
        let chosen = response.header("sec-websocket-protocol");
        assert_eq!(chosen, Some("mqttv3.1"), "{offers:?}");
    }
    for offers in [&["Sec-WebSocket-Protocol: wamp, MQTT"][..], &[]] {
        let (_, refused) = Client::ask(&adit.address, "/", offers);
        assert_eq!(refused.status, 400, "{offers:?}");
        assert!(refused.body.contains("mqttv3.1"), "{}", refused.body);
    }
}

#[test]
fn a_client_of_another_house_gets_its_subprotocol() {
    let (adit, _backend) = echo(&["--subprotocol", "mqtt"]);
    let uri = format!("ws://{}/", adit.address).parse().unwrap();
    let request = ClientRequestBuilder::new(uri)
        .with_sub_protocol("wamp")
        .with_sub_protocol("mqtt");
    let (_client, response) = connect(request.into_client_request().unwrap()).unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "mqtt");
}

#[test]
fn what_a_peer_says_is_escaped_in_the_log_and_secrets_are_not_there() {
    let (adit, _backend) = echo(&["-v"]);
    let headers = [
        "Origin: https://\u{1b}[31mred.example",
        "Authorization: Bearer s3cr3t",
        "Cookie: session=s3cr3t",
    ];
    let (_, response) = Client::ask(&adit.address, "/?token=s3cr3t", &headers);
    assert!([400, 403].contains(&response.status));
    let (_client, _) = Client::open_with(&adit.address, "/?token=s3cr3t", &headers[1..]);
    adit.wait_for_log("#");
    assert!(!adit.log().contains('\u{1b}'), "{}", adit.log());
    assert!(!adit.log().contains("s3cr3t"), "{}", adit.log());
}

#[test]
fn a_refusal_after_pipelined_frames_is_not_cut_off() {
    let (adit, _backend) = echo(&["--path", "/tunnel"]);
    let mut client = Client::connect(&adit.address);
    let mut bytes = request("/other", &[]).into_bytes();
    bytes.extend(frame(BINARY, &[7; 100_000]));
    client.say(&bytes);
    let response = client.response();
    assert_eq!(response.status, 404);
    client.expect_eof();
}

#[test]
fn routes_match_the_path_by_whole_segments_and_the_host() {
    let (adit, _backend) = echo(&["--path", "/t", "--host", "a.example"]);
    for (path, host, status) in [
        ("/t", "a.example", 101),
        ("/t?x=1", "A.EXAMPLE", 101),
        ("/t/", "a.example:8080", 101),
        ("/t/u", "a.example", 101),
        ("/tXYZ", "a.example", 404),
        ("/", "a.example", 404),
        ("/u/t", "a.example", 404),
        ("/t", "b.example", 404),
        ("/t", "x.a.example", 404),
    ] {
        let (_, response) = Client::ask(&adit.address, path, &[&format!("Host: {host}")]);
        assert_eq!(response.status, status, "{path} at {host}");
    }
}
