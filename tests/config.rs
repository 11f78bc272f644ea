//! The config file, its routes and its mistakes, and what the command line says.

// The file, with everything that it can say.
#![cfg(feature = "default")]
#![allow(clippy::unwrap_used)]

mod common;

use common::*;

#[test]
fn a_file_has_many_listeners_and_routes() {
    let temp = TempDir::new();
    let [a, b, mqtt, other] = ["a", "b", "mqtt", "other"].map(Backend::named);
    let socket = temp.unix("front");
    let file = temp.write(
        "adit.toml",
        &format!(
            r#"
            [[listen]]
            address = "127.0.0.1:0"

            [[listen]]
            address = "{socket}"
            mode = "0600"

            [[route]]
            path = "/a"
            backend = "{a}"
            framing = "lines"

            [[route]]
            path = "/b"
            host = "b.example"
            backend = "{b}"

            [[route]]
            subprotocol = "mqtt"
            path = "/sub"
            backend = "{mqtt}"

            [[route]]
            subprotocol = "other"
            path = "/sub"
            backend = "{other}"
            frame-type = "text"
            "#,
            a = a.address,
            b = b.address,
            mqtt = mqtt.address,
            other = other.address,
        ),
    );
    let adit = Adit::configured(&file, &[]);
    let table: &[(&str, &[&str], Result<&str, u16>)] = &[
        ("/a", &[], Ok("a")),
        ("/a/deeper?x", &[], Ok("a")),
        ("/ab", &[], Err(404)),
        ("/", &[], Err(404)),
        ("/b", &["Host: b.example"], Ok("b")),
        ("/b", &["Host: a.example"], Err(404)),
        ("/sub", &["Sec-WebSocket-Protocol: mqtt"], Ok("mqtt")),
        (
            "/sub",
            &["Sec-WebSocket-Protocol: other, mqtt"],
            Ok("other"),
        ),
        ("/sub", &["Sec-WebSocket-Protocol: mqtt, other"], Ok("mqtt")),
        ("/sub", &["Sec-WebSocket-Protocol: xmpp"], Err(400)),
    ];
    for address in adit.addresses(2) {
        for (path, headers, expected) in table {
            let (mut client, response) = Client::ask(&address, path, headers);
            match expected {
                Ok(name) => {
                    assert_eq!(response.status, 101, "{path} {headers:?} at {address}");
                    // `lines` has no line before the end; the others say it at once.
                    if *name != "a" {
                        assert_eq!(client.payload(name.len()), name.as_bytes());
                    }
                }
                Err(status) => assert_eq!(response.status, *status, "{path} {headers:?}"),
            }
        }
    }
}

#[test]
fn a_route_can_be_of_one_listener() {
    let temp = TempDir::new();
    let (inside, outside) = (Backend::named("in"), Backend::named("out"));
    let (private, public) = (temp.unix("private"), temp.unix("public"));
    let file = temp.write(
        "adit.toml",
        &format!(
            "[[listen]]\naddress = \"{private}\"\n\
             [[listen]]\naddress = \"{public}\"\n\
             [[route]]\nlistener = \"{private}\"\nbackend = \"{}\"\n\
             [[route]]\nlistener = \"{public}\"\nbackend = \"{}\"\n",
            inside.address, outside.address,
        ),
    );
    let adit = Adit::configured(&file, &[]);
    adit.addresses(2);
    assert_eq!(Client::open(&private).payload(2), b"in");
    assert_eq!(Client::open(&public).payload(3), b"out");
}

#[test]
fn a_good_file_checks_with_status_0() {
    let temp = TempDir::new();
    let file = temp.write(
        "good.toml",
        "[[listen]]\naddress = \"127.0.0.1:0\"\n[[route]]\nbackend = \"127.0.0.1:1883\"\n",
    );
    let output = run(&["check", &file]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn every_mistake_is_named_with_its_line() {
    let temp = TempDir::new();
    let file = temp.write(
        "bad.toml",
        "max-connections = \"many\"\n\
         [[listen]]\n\
         address = \"127.0.0.1:99999\"\n\
         [[route]]\n\
         backend = \"127.0.0.1:1883\"\n\
         framing = \"morse\"\n\
         ping-intervall = \"10s\"\n\
         idle-timeout = \"soon\"\n",
    );
    let output = run(&["check", &file]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    for (line, seen, allowed) in [
        (1, "many", "number"),
        (3, "99999", "65535"),
        (6, "morse", "json-lines"),
        (7, "ping-intervall", "ping-interval"),
        (8, "soon", "10s"),
    ] {
        let place = format!("bad.toml:{line}");
        let told = text.lines().find(|told| told.contains(&place));
        let told = told.unwrap_or_else(|| panic!("nothing about line {line}:\n{text}"));
        assert!(told.contains(seen), "not what was seen: {told}");
        assert!(told.contains(allowed), "not what is allowed: {told}");
    }
    let served = run(&["serve", "--config", &file]);
    assert_eq!(served.status.code(), Some(1), "{served:?}");
}

#[test]
fn a_url_is_told_its_route_or_its_refusal() {
    let temp = TempDir::new();
    let file = temp.write(
        "adit.toml",
        r#"
        [[listen]]
        address = "127.0.0.1:8080"

        [[route]]
        path = "/mqtt"
        subprotocol = "mqtt"
        backend = "127.0.0.1:1883"

        [[route]]
        path = "/irc"
        backend = "unix:/run/irc"
        framing = "crlf"
        origin = "https://chat.example"
        "#,
    );
    let table: &[(&[&str], &[&str])] = &[
        (&["ws://a.example:8080/irc"], &["crlf", "unix:/run/irc"]),
        (
            &[
                "ws://a.example:8080/irc",
                "--origin",
                "https://chat.example",
            ],
            &["crlf"],
        ),
        (
            &[
                "ws://a.example:8080/irc",
                "--origin",
                "https://evil.example",
            ],
            &["403", "origin"],
        ),
        (
            &["ws://a.example:8080/mqtt", "--subprotocol", "mqtt"],
            &["raw", "127.0.0.1:1883"],
        ),
        (
            &["ws://a.example:8080/mqtt", "--subprotocol", "stomp"],
            &["400", "mqtt"],
        ),
        (&["ws://a.example:8080/nothing"], &["404"]),
    ];
    for (options, expected) in table {
        let args = [&["check", file.as_str(), "--url"], *options].concat();
        let output = run(&args);
        let text = [&output.stdout[..], &output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        for word in *expected {
            assert!(
                text.contains(word),
                "{options:?}: no {word:?} in {output:?}"
            );
        }
    }
}

#[test]
fn a_file_that_is_not_there_is_an_error_that_names_it() {
    for command in [
        &["check", "/nowhere/adit.toml"][..],
        &["serve", "--config", "/nowhere/adit.toml"],
    ] {
        let output = run(command);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("/nowhere/adit.toml"), "{error}");
    }
}

#[test]
fn help_goes_to_standard_output_with_status_0() {
    for command in [
        &["--help"][..],
        &["serve", "--help"],
        &["check", "--help"],
        &["demo", "--help"],
    ] {
        let output = run(command);
        assert_eq!(output.status.code(), Some(0), "{command:?}");
        assert!(!output.stdout.is_empty(), "{command:?}");
        assert!(output.stderr.is_empty(), "{command:?}");
    }
    let help = String::from_utf8(run(&["serve", "--help"]).stdout).unwrap();
    for option in [
        "--framing",
        "--config",
        "--origin",
        "--max-message",
        "json-lines",
    ] {
        assert!(help.contains(option), "{option} is not in\n{help}");
    }
}

#[test]
fn what_cannot_be_meant_is_status_2() {
    let usage: &[&[&str]] = &[
        &[],
        &["dig"],
        &["serve"],
        &["serve", "8080"],
        &["serve", "8080", "127.0.0.1:1", "--tunnel"],
        &["serve", "8080", "127.0.0.1:1", "--framing", "morse"],
        &["serve", "8080", "127.0.0.1:1", "--idle-timeout", "soon"],
        &["serve", "8080", "127.0.0.1:1", "--max-message", "big"],
        &["serve", "8080", "not an address"],
        &["serve", "80800", "127.0.0.1:1"],
        &[
            "serve",
            "8080",
            "127.0.0.1:1",
            "--origin",
            "example.org/path",
        ],
        &["serve", "8080", "127.0.0.1:1", "--config", "adit.toml"],
        &["check"],
    ];
    for args in usage {
        let output = run(args);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
        assert!(!error.is_empty(), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}
