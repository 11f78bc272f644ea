//! `adit demo`: one address, a page, and a real tunnel to its own backend.

// The demo.
#![cfg(feature = "demo")]
#![allow(clippy::unwrap_used)]

mod common;

use common::*;

#[test]
fn the_page_is_html_from_the_binary_itself() {
    let adit = Adit::demo();
    let mut client = Client::connect(&adit.address);
    client.say(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let page = client.response();
    assert_eq!(page.status, 200);
    let kind = page.header("content-type").unwrap();
    assert!(kind.starts_with("text/html"), "{kind}");
    assert!(page.body.contains("</html>"), "{}", page.body.len());
    // Nothing is fetched from elsewhere.
    for attribute in ["src=\"http", "href=\"//", "src=\"//", "@import", "url(http"] {
        assert!(!page.body.contains(attribute), "{attribute}");
    }
}

#[test]
fn what_the_page_does_not_have_is_404() {
    let adit = Adit::demo();
    let mut client = Client::connect(&adit.address);
    client.say(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.response().status, 404);
}

#[test]
fn a_tunnel_leads_to_the_backend_of_the_demo() {
    let adit = Adit::demo();
    let host = format!("Host: {}", adit.address);
    let origin = format!("Origin: http://{}", adit.address);
    let headers = [&host[..], &origin, "Sec-WebSocket-Protocol: json.adit.demo"];
    let (mut client, response) = Client::open_with(&adit.address, "/tunnel", &headers);
    let chosen = response.header("sec-websocket-protocol");
    assert_eq!(chosen, Some("json.adit.demo"));
    client.send(TEXT, br#"{"id":1,"do":"echo","value":1}"#);
    let (kind, answer) = client.message();
    let answer = String::from_utf8(answer).unwrap();
    assert_eq!(kind, TEXT);
    assert!(answer.contains(r#""id":1"#), "{answer}");
    client.close(1000);
}

#[test]
fn a_page_of_another_origin_gets_no_tunnel_to_the_demo() {
    let adit = Adit::demo();
    let headers = [
        "Origin: https://evil.example",
        "Sec-WebSocket-Protocol: json.adit.demo",
    ];
    let (_, response) = Client::ask(&adit.address, "/tunnel", &headers);
    assert_eq!(response.status, 403);
}
