//! Which pages may open a tunnel: the browser's Origin against the request's own
//! host and the list (RFC 6455 section 4.2.2, step 4, and RFC 6454).

#![allow(clippy::unwrap_used)]

mod common;

use common::*;

/// For each pair of a Host and an Origin the status of the answer; no Origin is
/// sent for an empty one.
fn expect(options: &[&str], table: &[(u16, &str, &str)]) {
    let (adit, _backend) = echo(options);
    for (status, host, origin) in table {
        let headers = [format!("Host: {host}"), format!("Origin: {origin}")];
        let headers: Vec<_> = headers.iter().map(String::as_str).collect();
        let sent = if origin.is_empty() { 1 } else { 2 };
        let (_, response) = Client::ask(&adit.address, "/", &headers[..sent]);
        assert_eq!(
            response.status, *status,
            "{origin:?} at {host} with {options:?}"
        );
    }
}

#[test]
fn an_origin_must_be_the_hosts_own() {
    expect(
        &[],
        &[
            (101, "a.example", ""),
            (101, "a.example", "http://a.example"),
            (101, "A.Example", "http://a.exaMPLE"),
            (101, "a.example", "HTTP://a.example"),
            (101, "a.example:80", "http://a.example"),
            (101, "a.example", "http://a.example:80"),
            (101, "a.example:8080", "http://a.example:8080"),
            (101, "127.0.0.1:8080", "http://127.0.0.1:8080"),
            (101, "[::1]:8080", "http://[::1]:8080"),
            (403, "a.example:8080", "http://a.example:8081"),
            (403, "a.example:8080", "http://a.example"),
            (403, "a.example", "http://b.example"),
            (403, "a.example", "http://a.example.evil"),
            (403, "a.example", "http://evil-a.example"),
            (403, "a.example", "http://a.example@evil"),
            (403, "a.example", "null"),
            (403, "a.example", "file://"),
        ],
    );
}

#[test]
fn a_page_served_over_https_speaks_to_a_host_without_port() {
    // A proxy that ends TLS in front of adit passes the Host header on.
    expect(
        &[],
        &[
            (101, "a.example", "https://a.example"),
            (403, "a.example:8443", "https://a.example"),
        ],
    );
}

#[test]
fn a_list_names_other_origins() {
    let options = [
        "--origin",
        "https://app.example.net",
        "--origin",
        "https://*.example.org",
        "--origin",
        "http://dev.example.com:*",
    ];
    expect(
        &options,
        &[
            (101, "a.example", ""),
            (101, "a.example", "https://app.example.net"),
            (101, "a.example", "https://APP.example.net:443"),
            (403, "a.example", "http://app.example.net"),
            (403, "a.example", "https://app.example.net:8443"),
            (101, "a.example", "https://a.example.org"),
            (101, "a.example", "https://a.b.example.org"),
            (403, "a.example", "https://example.org"),
            (403, "a.example", "https://evilexample.org"),
            (403, "a.example", "https://a.example.org.evil"),
            (101, "a.example", "http://dev.example.com:5173"),
            (101, "a.example", "http://dev.example.com"),
            (403, "a.example", "http://dev.example.com.evil:5173"),
            (403, "a.example", "null"),
        ],
    );
}

#[test]
fn null_passes_when_listed_and_everything_with_any() {
    expect(
        &["--origin", "null"],
        &[
            (101, "a.example", "null"),
            (403, "a.example", "http://b.example"),
        ],
    );
    expect(
        &["--origin", "any"],
        &[
            (101, "a.example", "null"),
            (101, "a.example", "https://who.knows"),
            (101, "a.example", ""),
        ],
    );
}

#[test]
fn no_origin_is_refused_where_one_is_required() {
    let options = ["--require-origin", "--origin", "https://app.example.net"];
    expect(
        &options,
        &[
            (403, "a.example", ""),
            (101, "a.example", "https://app.example.net"),
        ],
    );
}

#[test]
fn a_refused_origin_is_named_in_the_log_with_the_option() {
    let (adit, _backend) = echo(&[]);
    let (_, response) = Client::ask(&adit.address, "/", &["Origin: https://evil.example"]);
    assert_eq!(response.status, 403);
    let line = adit.wait_for_log("https://evil.example");
    assert!(line.contains("origin"), "{line}");
    let rest = line.replace("https://evil.example", "");
    assert!(rest.contains("origin"), "the option is not named: {line}");
}
