//! Whole files: what they mean, and every mistake they can have.

use std::time::Duration;

use super::*;
use crate::address::{Backend, Listen};
use crate::server::settings::{Confinement, Sandbox};
use crate::tunnel::policy::Route;
use crate::wire::proxy_protocol::Version;
use crate::wire::ws::{FrameType, InvalidUtf8};

const LISTEN: &str = "[[listen]]\naddress = \"80\"\n";
const ROUTE: &str = "[[route]]\nbackend = \"h:1\"\n";

/// The mistakes of a file, each without the file's name.
fn mistakes(text: &str) -> Vec<String> {
    let mistakes = parse(text, "f").unwrap_err();
    let lines = mistakes.to_string();
    lines
        .lines()
        .map(|line| line.strip_prefix("f:").unwrap().trim_start().to_owned())
        .collect()
}

#[test]
fn the_smallest_file_has_the_defaults() {
    let settings = parse(&format!("{LISTEN}{ROUTE}"), "f").unwrap();
    let route = Route {
        line: Some(3),
        backends: vec!["h:1".parse().unwrap()],
        ..Route::default()
    };
    assert_eq!(settings.routes, [route]);
    assert_eq!(settings.listeners.len(), 1);
    assert_eq!(settings.listeners[0].address, "80".parse().unwrap());
    assert_eq!(settings.listeners[0].manner.mode, None);
    assert_eq!(settings.handshake_timeout, Duration::from_secs(10));
    assert_eq!(settings.drain_timeout, Duration::from_secs(30));
    assert_eq!(settings.max_connections, None);
}

#[test]
fn every_key_has_its_effect() {
    let settings = parse(
        r#"
        max-connections = 1_000
        max-connections-per-client = 20
        new-connections-per-second = 300
        new-connections-per-second-per-client = "off"
        handshake-timeout = "2s"
        drain-timeout = 3
        trusted-proxies = ["10.0.0.0/8", "unix"]
        user = "nobody"
        group = 65534
        chroot = "/srv/adit"
        sandbox = "require"

        [[listen]]
        address = ":8080"
        [[listen]]
        address = "unix:/run/a.sock"
        mode = "0660"
        accept-proxy = true

        [[route]]
        listener = ["8080", "unix:/run/a.sock"]
        host = "*.Example.org"
        path = "/t/"
        subprotocol = ["a", "b"]
        backend = ["h:1", "unix:@x"]
        max-connections-per-backend = 5
        new-connections-per-second-per-route = 50
        allow = ["10.0.0.0/8", "2001:db8::/32"]
        deny = "10.1.2.3"
        framing = "length-u16"
        frame-type = "mirror"
        invalid-utf8 = "replace"
        max-message = "64KiB"
        origin = ["https://a.example", "null"]
        require-origin = true
        send-proxy = "v2"
        greeting = "WEBIRC pw adit %h %a\r\n"
        ping-interval = "off"
        idle-timeout = "5m"
        connect-timeout = "500ms"
        close-timeout = 7
        "#,
        "f",
    )
    .unwrap();
    assert_eq!(settings.max_connections, Some(1000));
    assert_eq!(settings.limits.connections_per_client, Some(20));
    assert_eq!(settings.limits.rate, Some(300));
    assert_eq!(settings.limits.rate_per_client, None);
    assert_eq!(settings.handshake_timeout, Duration::from_secs(2));
    assert_eq!(settings.drain_timeout, Duration::from_secs(3));
    assert_eq!(
        settings.confinement,
        Confinement {
            user: Some("nobody".into()),
            group: Some("65534".into()),
            chroot: Some("/srv/adit".into()),
            sandbox: Sandbox::Require,
        }
    );
    assert_eq!(settings.listeners[1].manner.mode, Some(0o660));
    let route = &settings.routes[0];
    assert_eq!(settings.trusted.0.len(), 2);
    assert!(settings.takes_header(&settings.listeners[1].address));
    assert!(!settings.takes_header(&settings.listeners[0].address));
    assert_eq!(route.line, Some(21));
    let socket = Listen::Unix("/run/a.sock".into());
    assert_eq!(route.listeners, ["8080".parse().unwrap(), socket]);
    assert_eq!(route.to_string(), "*.example.org/t/");
    assert_eq!(route.subprotocols, ["a", "b"]);
    let named = Backend::Abstract("x".into());
    assert_eq!(route.backends, ["h:1".parse().unwrap(), named]);
    assert_eq!(route.max_connections_per_backend, Some(5));
    assert_eq!(route.new_connections_per_second, Some(50));
    assert_eq!(route.addresses.allow.len(), 2);
    assert_eq!(route.addresses.deny, ["10.1.2.3".parse().unwrap()]);
    assert_eq!(route.framing.name(), "length-u16");
    assert_eq!(route.frame_type, FrameType::Mirror);
    assert_eq!(route.invalid_utf8, InvalidUtf8::Replace);
    assert_eq!(route.max_message, 65536);
    assert_eq!(route.origins.0.len(), 2);
    assert!(route.require_origin);
    assert_eq!(route.send_proxy, Some(Version::V2));
    assert_eq!(route.greeting, "WEBIRC pw adit %h %a\r\n".parse().unwrap());
    assert_eq!(route.timeouts.ping, None);
    assert_eq!(route.timeouts.idle, Some(Duration::from_secs(300)));
    assert_eq!(route.timeouts.connect, Duration::from_millis(500));
    assert_eq!(route.timeouts.close, Duration::from_secs(7));
}

#[test]
fn a_key_above_is_the_default_of_every_route() {
    let settings = parse(
        &format!(
            "framing = \"lines\"\norigin = [\"https://a.example\"]\nidle-timeout = \"1m\"\n\
             max-connections-per-backend = 2\nrequire-origin = true\nframe-type = \"binary\"\n\
             {LISTEN}{ROUTE}\
             [[route]]\npath = \"/x\"\nbackend = \"h:2\"\nframing = \"record\"\norigin = []\n\
             idle-timeout = \"off\"\nmax-connections-per-backend = \"off\"\nrequire-origin = false\n"
        ),
        "f",
    )
    .unwrap();
    let [first, second] = &settings.routes[..] else {
        panic!("{settings:?}")
    };
    assert_eq!(first.framing.name(), "lines");
    assert_eq!(first.origins.0.len(), 1);
    assert_eq!(first.timeouts.idle, Some(Duration::from_secs(60)));
    assert_eq!(first.max_connections_per_backend, Some(2));
    assert!(first.require_origin);
    assert_eq!(first.frame_type, FrameType::Binary);
    assert_eq!(second.framing.name(), "record");
    assert!(second.origins.0.is_empty());
    assert_eq!(second.timeouts.idle, None);
    assert_eq!(second.max_connections_per_backend, None);
    assert!(!second.require_origin);
    assert_eq!(second.frame_type, FrameType::Auto);
}

/// Asserts the mistakes of each file, in which `{LISTEN}` and `{ROUTE}` stand
/// for good tables.
fn assert_mistakes(table: &[(&str, &[&str])]) {
    for (text, expected) in table {
        let text = text.replace("{LISTEN}", LISTEN).replace("{ROUTE}", ROUTE);
        assert_eq!(mistakes(&text), *expected, "{text}");
    }
}

#[test]
fn what_is_missing_or_twice_is_a_mistake() {
    assert_mistakes(&[
        (
            "",
            &[
                "no [[listen]]; write at least one",
                "no [[route]]; write at least one",
            ][..],
        ),
        ("{ROUTE}", &["no [[listen]]; write at least one"]),
        (
            "idle-timeout = \"1m\"\nadmin = \"unix:/s\"\n\
             [[listen]]\naddress = \"unix:/s\"\n{ROUTE}",
            &["2: admin unix:/s: clients connect there; write another address"],
        ),
        ("{LISTEN}", &["no [[route]]; write at least one"]),
        (
            "listen = []\n{ROUTE}",
            &["1: listen is of type array; write [[listen]] once for each listen"],
        ),
        (
            "{LISTEN}[route]\nbackend = \"h:1\"\n",
            &["3: route is of type table; write [[route]] once for each route"],
        ),
        (
            "listen = \"80\"\n{ROUTE}",
            &["1: listen is of type string; write [[listen]] once for each listen"],
        ),
        (
            "{LISTEN}[[route]]\n",
            &["3: no backend; write backend = \"HOST:PORT\", \"unix:/path\" or a list"],
        ),
        (
            "{LISTEN}[[route]]\nbackend = []\n",
            &["3: no backend; write backend = \"HOST:PORT\", \"unix:/path\" or a list"],
        ),
        (
            "[[listen]]\n{ROUTE}",
            &["1: no address; write address = \"PORT\", \"HOST:PORT\" or \"unix:/path\""],
        ),
        (
            "[[listen]]\naddress = \"h\"\n{ROUTE}listener = \"h:80\"\n",
            &[
                "2: address \"h\": no port; write PORT, HOST:PORT, [IPV6]:PORT, unix:/path, systemd, systemd:NAME or fd:NUMBER",
            ],
        ),
        (
            "{LISTEN}mode = \"0660\"\n{ROUTE}",
            &["3: mode with address :80; only unix:/path has a mode"],
        ),
        (
            "[[listen]]\naddress = \"unix:/s\"\nmode = 0o660\n{ROUTE}",
            &["3: mode \"0o660\": write octal digits from \"0000\" to \"0777\", like \"0660\""],
        ),
        (
            "{LISTEN}[[listen]]\naddress = \":80\"\n{ROUTE}",
            &["3: address :80 stands twice, first at line 1"],
        ),
        (
            "{LISTEN}{ROUTE}listener = [\n  \"80\",\n  \"81\"]\n",
            &["5: listener :81 is the address of no [[listen]]; write :80"],
        ),
    ]);
}

#[test]
fn an_unknown_key_hears_of_the_known_ones() {
    assert_mistakes(&[
        (
            "framming = \"raw\"\n{LISTEN}{ROUTE}idle_timeout = 5\nfoo = 1\nmax-connections = 5\n",
            &[
                "1: unknown key \"framming\"; did you mean framing?",
                "6: unknown key \"idle_timeout\"; did you mean idle-timeout?",
                "7: unknown key \"foo\"; allowed are listener, host, path, subprotocol, backend, token-map, \
                 backend-ca, backend-insecure, backend-cert, backend-key, \
                 max-connections-per-backend, new-connections-per-second-per-route, allow, deny, \
                 framing, frame-type, invalid-utf8, max-message, origin, require-origin, send-proxy, \
                 greeting, ping-interval, idle-timeout, connect-timeout, \
                 close-timeout, auth",
                "8: unknown key \"max-connections\"; it stands at the top of the file, before the \
                 first table",
            ],
        ),
        (
            "host = \"h\"\nsurprise = 1\n{LISTEN}path = \"/\"\nmood = \"0660\"\nx-y-z = 1\n{ROUTE}",
            &[
                "1: unknown key \"host\"; it stands in a [[route]]",
                "2: unknown key \"surprise\"; allowed are listen, route, auth, max-connections, \
                 max-connections-per-client, new-connections-per-second, \
                 new-connections-per-second-per-client, handshake-timeout, exit-idle, drain-timeout, \
                 trusted-proxies, user, group, chroot, admin, sandbox, pid-file, \
                 backend-ca, backend-insecure, backend-cert, backend-key, \
                 max-connections-per-backend, new-connections-per-second-per-route, allow, deny, \
                 framing, \
                 frame-type, invalid-utf8, max-message, origin, require-origin, send-proxy, \
                 greeting, ping-interval, \
                 idle-timeout, connect-timeout, close-timeout",
                "5: unknown key \"path\"; it stands in a [[route]]",
                "6: unknown key \"mood\"; did you mean mode?",
                "7: unknown key \"x-y-z\"; allowed are address, mode, reuse-port, accept-proxy, \
                 tls-cert, tls-key, client-ca, client-auth, plain, certificate",
            ],
        ),
        (
            "routes = 1\n{LISTEN}{ROUTE}address = \"80\"\n",
            &[
                "1: unknown key \"routes\"; did you mean route?",
                "6: unknown key \"address\"; it stands in a [[listen]]",
            ],
        ),
    ]);
}

#[test]
fn a_bad_value_hears_what_is_allowed() {
    assert_mistakes(&[
        (
            "{LISTEN}{ROUTE}framing = [\"raw\"]\nhost = { a = 1 }\norigin = [[\"any\"], 5]\n",
            &[
                "5: framing of type array; write one value",
                "6: host of type table; write one value",
                "7: origin of type array; write a string or a list of strings",
                "7: origin \"5\": no scheme; write an origin like https://example.org, \
                 https://*.example.org, https://example.org:8443 or https://example.org:*, or \
                 null, or any",
            ],
        ),
        (
            "{LISTEN}{ROUTE}idle-timeout = 0\nmax-message = 1.5\nping-interval = -1\nframing = 5\n",
            &[
                "5: idle-timeout \"0\": the range is 1ms to 8760h, or off",
                "6: max-message \"1.5\": write a number of bytes, like 65536, 64KiB, 1MiB, 1MB or \
                 1GiB",
                "7: ping-interval \"-1\": write a time like 500ms, 10s, 5m or 1h, or off",
                "8: framing \"5\": write raw, lines, crlf, json-lines, json, nul, length-u8, \
                 length-u16, length-u32, length-u32le, content-length or record",
            ],
        ),
        (
            "{LISTEN}[[route]]\nbackend = [[\"h:1\"]]\n",
            &["4: backend of type array; write a string or a list of strings"],
        ),
        (
            "{LISTEN}[[route]]\nbackend = [\n\"a:1\",\n\"b\",\n\"a:1\"]\n",
            &[
                "6: backend \"b\": no port; write HOST:PORT, tcp:HOST:PORT, tls:HOST:PORT, unix:/path or \
                 unix:@name",
                "7: backend \"a:1\": stands twice in the list; once is enough",
            ],
        ),
    ]);
}

#[test]
fn what_cannot_stand_together_is_a_mistake() {
    assert_mistakes(&[
        (
            "sandbox = true\ngroup = \"a\"\nchroot = \"srv\"\n{LISTEN}{ROUTE}",
            &[
                "1: sandbox \"true\": write auto, require or off",
                "2: group without user; write user too",
                "3: chroot \"srv\": write a path that begins with /",
            ],
        ),
        (
            "{LISTEN}{ROUTE}frame-type = \"text\"\nframing = \"record\"\ninvalid-utf8 = \"close\"\n",
            &[
                "5: frame-type with framing record, where each message carries its own type; \
                 leave it out",
                "7: invalid-utf8 with framing record, where each message carries its own type; \
                 leave it out",
            ],
        ),
        (
            "framing = \"record\"\nframe-type = \"text\"\n{LISTEN}{ROUTE}invalid-utf8 = \"close\"\n",
            &[
                "2: frame-type with framing record, where each message carries its own type; \
                 leave it out",
                "7: invalid-utf8 with framing record, where each message carries its own type; \
                 leave it out",
            ],
        ),
        (
            "{LISTEN}{ROUTE}{ROUTE}",
            &["5: never reached: the route at line 3 serves it at the same place"],
        ),
        (
            "{LISTEN}{ROUTE}path = \"/a\"\nhost = \"H\"\nsubprotocol = [\"x\", \"y\"]\n\
             {ROUTE}path = \"/a/\"\nhost = \"h\"\nsubprotocol = [\"y\", \"z\"]\n",
            &[
                "8: subprotocol \"y\" is never reached: the route at line 3 serves it at the same place",
            ],
        ),
    ]);
}

#[test]
fn proxy_headers_need_somebody_to_trust() {
    let lacking = "3: accept-proxy without trusted-proxies; write trusted-proxies = \
                   [\"ADDRESS/BITS\"] with the networks that PROXY headers come from";
    assert_mistakes(&[
        ("{LISTEN}accept-proxy = true\n{ROUTE}", &[lacking]),
        (
            "trusted-proxies = []\n{LISTEN}accept-proxy = true\n{ROUTE}",
            &[&lacking.replacen('3', "4", 1)],
        ),
        (
            "trusted-proxies = \"unix\"\n{LISTEN}accept-proxy = true\n{ROUTE}",
            &[&lacking.replacen('3', "4", 1)],
        ),
        // Who is trusted is not known, so nothing is said of it.
        (
            "trusted-proxies = [\n\"10.0.0.1/8\"]\n{LISTEN}accept-proxy = true\n{ROUTE}",
            &[
                "2: trusted-proxies \"10.0.0.1/8\": there are bits beyond the prefix; write \
                 10.0.0.0/8, or 10.0.0.1 alone; or unix for whoever connects to a Unix socket",
            ],
        ),
        (
            "{LISTEN}{ROUTE}send-proxy = true\ngreeting = \"WEBIRC secret adit %x\"\n",
            &[
                "5: send-proxy \"true\": write v1, v2 or off",
                "6: greeting: %x stands for nothing; write %a, %h, %p, %H, %u, %q, %o, %s, %t, \
                 %c, %C or %%",
            ],
        ),
    ]);
    for good in [
        format!("{LISTEN}accept-proxy = false\n{ROUTE}"),
        format!("trusted-proxies = \"::1\"\n{LISTEN}accept-proxy = true\n{ROUTE}"),
        format!("[[listen]]\naddress = \"unix:/s\"\naccept-proxy = true\n{ROUTE}"),
    ] {
        assert!(parse(&good, "f").is_ok(), "{good}");
    }
}

#[test]
fn a_fault_of_the_toml_has_its_line() {
    assert_mistakes(&[
        ("{LISTEN}x = \n", &["3: expected a value, found a newline"]),
        (
            "{LISTEN}{ROUTE}host = h\n",
            &["5: invalid TOML value, did you mean to use a quoted string?"],
        ),
        (
            "{LISTEN}{ROUTE}backend = \"h:2\"\n",
            &["5: duplicate key: `backend`, first at line 4"],
        ),
        ("{LISTEN}mode = 0660\n", &["3: invalid number"]),
    ]);
}

#[test]
fn no_control_character_of_a_file_is_shown_as_it_is() {
    for (text, shown) in [
        ("a = \0", "\\0"),
        ("\u{9b}2J = 1", "\\u{9b}"),
        ("\"\\u001b[2J\" = 1", "\\u{1b}[2J"),
    ] {
        let told = mistakes(text).concat();
        assert!(told.contains(shown), "{told:?}");
        assert!(!told.contains(char::is_control), "{told:?}");
    }
}

#[test]
fn a_value_that_is_no_string_is_seen_as_it_was_typed() {
    for typed in [
        "0", "-1", "+1", "0x1f", "0o660", "0b1", "1.5", "-1.5", "1e5", "1.5E-3", "inf", "-inf",
        "nan", "+nan", "true", "false",
    ] {
        let found = mistakes(&format!("\u{feff}{LISTEN}{ROUTE}path = {typed} # é\n"));
        assert_eq!(
            found,
            [format!(
                "5: path {typed:?}: write a path that begins with /"
            )]
        );
    }
}

#[test]
fn routes_that_share_a_place_by_listener_or_subprotocol_are_good() {
    let two = format!("{LISTEN}[[listen]]\naddress = \"81\"\n");
    for text in [
        format!("{LISTEN}{ROUTE}{ROUTE}path = \"/x\"\n"),
        format!("{LISTEN}{ROUTE}{ROUTE}host = \"x\"\n"),
        format!("{LISTEN}{ROUTE}{ROUTE}subprotocol = \"x\"\n"),
        format!("{LISTEN}{ROUTE}subprotocol = \"y\"\n{ROUTE}subprotocol = \"x\"\n"),
        format!("{two}{ROUTE}listener = \"80\"\n{ROUTE}listener = \"81\"\n"),
        // The second is what is left at 81.
        format!("{two}{ROUTE}listener = \"80\"\n{ROUTE}"),
    ] {
        assert!(parse(&text, "f").is_ok(), "{text}");
    }
    for text in [
        format!("{two}{ROUTE}{ROUTE}listener = \"81\"\n"),
        format!("{two}{ROUTE}listener = \"80\"\n{ROUTE}listener = \"81\"\n{ROUTE}"),
    ] {
        let found = mistakes(&text);
        assert_eq!(found.len(), 1, "{text}");
        assert!(found[0].contains("never reached"), "{found:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_mistake_too() {
    let name = std::env::temp_dir().join(format!("adit-config-test-{}", std::process::id()));
    let shown = name.display();
    assert_eq!(
        load(&name).unwrap_err().to_string(),
        format!("{shown}: cannot be read: No such file or directory (os error 2)")
    );
    std::fs::write(&name, b"a = 1\nb = \"\xff\"\n").unwrap();
    let not_utf8 = load(&name);
    std::fs::write(&name, format!("{LISTEN}{ROUTE}")).unwrap();
    let source = Source::File(name.clone());
    let good = source.load();
    std::fs::remove_file(&name).unwrap();
    assert_eq!(
        not_utf8.unwrap_err().to_string(),
        format!("{shown}:2: bytes that are not UTF-8")
    );
    let mut expected = parse(&format!("{LISTEN}{ROUTE}"), "f").unwrap();
    expected.file = Some(name.clone());
    assert_eq!(good, Ok(expected));
    assert_eq!(source.file(), Some(name.as_path()));
}

#[test]
fn the_example_of_the_documentation_is_good() {
    let documentation = include_str!("mod.rs");
    let (_, example) = documentation.split_once("```toml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let text: String = example
        .lines()
        .map(|line| format!("{}\n", line.trim_start_matches("//!")))
        .collect();
    let settings = parse(&text, "f").unwrap();
    assert_eq!((settings.listeners.len(), settings.routes.len()), (2, 2));
    assert_eq!(settings.routes[1].origins.0.len(), 1);
}

#[test]
fn auth_is_a_table_in_one_line_or_of_its_own() {
    let one = "[[route]]\nbackend = \"h:1\"\nauth = { token-file = \"t\", cookie = \"c\" }\n";
    let own = "[[route]]\nbackend = \"h:1\"\n[route.auth]\ntoken-file = \"t\"\ncookie = \"c\"\n";
    for route in [one, own] {
        let settings = parse(&format!("{LISTEN}{route}"), "f").unwrap();
        let auth = &settings.routes[0].auth;
        assert_eq!(auth.token_file, Some("t".into()));
        assert_eq!(auth.cookie.as_deref(), Some("c"));
        assert!(auth.is_asked() && auth.hmac_key_file.is_none());
    }
}

#[test]
fn a_routes_auth_replaces_the_default_as_a_whole() {
    let settings = parse(
        &format!(
            "auth = {{ token-file = \"t\", realm = \"r\" }}\n{LISTEN}{ROUTE}\
             [[route]]\npath = \"/b\"\nbackend = \"h:1\"\nauth = {{ basic-file = \"b\" }}\n\
             [[route]]\npath = \"/c\"\nbackend = \"h:1\"\nauth = \"off\"\n\
             [[route]]\npath = \"/d\"\ntoken-map = \"m\"\nauth = {{ cookie = \"token\" }}\n"
        ),
        "f",
    )
    .unwrap();
    let asked = settings.routes.iter().map(|route| {
        let auth = &route.auth;
        [&auth.token_file, &auth.basic_file, &route.token_map].map(Option::is_some)
    });
    assert_eq!(
        asked.collect::<Vec<_>>(),
        [
            [true, false, false],
            [false, true, false],
            [false, false, false],
            [false, false, true],
        ]
    );
    assert_eq!(settings.routes[1].auth.realm, None);
    assert!(settings.routes[3].backends.is_empty());
}

#[test]
fn auth_that_asks_for_nothing_or_too_much_is_a_mistake() {
    let nothing = "auth asks for nothing; write auth = { token-file = \"FILE\" }, \
                   hmac-key-file or basic-file, or \"off\"";
    let cookie = "a cookie for a token; write token-file or hmac-key-file too, or token-map";
    for (auth, expected) in [
        ("auth = {}", nothing),
        ("auth = false", nothing),
        ("auth = \"t\"", nothing),
        ("auth = { cookie = \"c\" }", cookie),
        ("auth = { basic-file = \"b\", cookie = \"c\" }", cookie),
        (
            "auth = { realm = \"r\" }",
            "a realm alone; write token-file, hmac-key-file or basic-file too",
        ),
        (
            "auth = { basic-file = \"b\", realm = \"a\\\"b\" }",
            "realm \"a\\\"b\": write ASCII without \" and \\",
        ),
        (
            "auth = { token-file = \"\" }",
            "token-file \"\": write the path of a file",
        ),
        (
            "auth = { token-files = \"t\" }",
            "unknown key \"token-files\"; did you mean token-file?",
        ),
        (
            "token-file = \"t\"",
            "unknown key \"token-file\"; it stands in auth = { ... } of a [[route]]",
        ),
        (
            "token-map = \"m\"",
            "token-map together with backend, where the token says which backend it is",
        ),
    ] {
        let text = format!("{LISTEN}{ROUTE}{auth}\n");
        assert_eq!(mistakes(&text), [format!("5: {expected}")], "{auth}");
    }
    let both = "[[route]]\ntoken-map = \"m\"\nauth = { token-file = \"t\" }\n";
    assert_eq!(
        mistakes(&format!("{LISTEN}{both}")),
        ["4: token-map together with token-file or hmac-key-file, where a request has one token"]
    );
}
