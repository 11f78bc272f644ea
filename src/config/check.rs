//! What `adit check` says: whether a file is good, and where a request goes.
//!
//! The request is made up from a URL, as a browser would send it, and goes
//! through the very function that the tunnel asks.

use std::fmt::Write;
use std::net::IpAddr;
use std::str::FromStr;

use super::words::{FRAME_TYPES, INVALID_UTF8, VERSIONS, name_of};
use crate::address::Listen;
use crate::cidr::Cidr;
use crate::server::{ListenerSettings, Settings};
use crate::tunnel::Refusal;
use crate::tunnel::access::Secret;
use crate::tunnel::auth::{self, Admission, Offered, Vault};
use crate::tunnel::policy::{Choice, Request, choose, host};
use crate::wire::Kind;
use crate::wire::ws::FrameType;

/// A WebSocket URL, taken apart as a browser does for its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    text: String,
    is_secure: bool,
    authority: String,
    host: String,
    port: u16,
    path: String,
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_url(text).map_err(|why| {
            format!("url {text:?}: {why}; write ws://HOST[:PORT]/PATH or wss://HOST[:PORT]/PATH")
        })
    }
}

fn parse_url(text: &str) -> Result<Url, &'static str> {
    let (scheme, rest) = text.split_once("://").ok_or("no scheme")?;
    let default_port = match scheme.to_ascii_lowercase().as_str() {
        "ws" => 80,
        "wss" => 443,
        _ => return Err("not a WebSocket URL"),
    };
    if rest.contains('#') {
        // RFC 6455 section 3.
        return Err("a WebSocket URL has no fragment");
    }
    if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("a character that has to be percent-encoded");
    }
    let resource = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, resource) = rest.split_at(resource);
    let (host, port) = host::authority(authority).ok_or("no host, or not one")?;
    let path = resource.split('?').next().unwrap_or_default();
    Ok(Url {
        text: text.to_owned(),
        is_secure: default_port == 443,
        authority: authority.to_owned(),
        host: host.trim_matches(['[', ']']).to_owned(),
        port: port.unwrap_or(default_port),
        path: if path.is_empty() { "/" } else { path }.to_owned(),
    })
}

/// A request to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Where to.
    pub url: Url,
    /// From which page; `None`: not from a browser.
    pub origin: Option<String>,
    /// The subprotocols offered, in this order.
    pub subprotocols: Vec<String>,
    /// Where the client is; `None`: where it may be.
    pub client: Option<IpAddr>,
    /// The token that comes with it.
    pub token: Option<Secret>,
}

/// What to say of a good file.
pub fn good(file: &str, settings: &Settings) -> String {
    let count = |n: usize, what: &str| match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    };
    let admin = settings.admin.as_ref();
    let admin = admin.map(|address| format!(", admin pages at {address}"));
    format!(
        "{file}: good: {}, {}{}",
        count(settings.listeners.len(), "listener"),
        count(settings.routes.len(), "route"),
        admin.unwrap_or_default()
    )
}

/// What the request would get, at a time in Unix seconds.
///
/// # Errors
/// If it would be refused; says why and with which HTTP status.
pub fn answer(
    settings: &Settings,
    vault: &Vault,
    question: &Question,
    now: u64,
) -> Result<String, String> {
    let url = &question.url;
    let (at, why) = listener_for(settings, url).ok_or("no listener")?;
    let (listener, tls) = (&at.address, at.tls.as_ref());
    let request = Request {
        host: &url.authority,
        // Where the listener speaks no TLS a proxy has taken it off, and only a
        // trusted one is believed.
        https: url.is_secure && (tls.is_some() || !settings.trusted.0.is_empty()),
        path: &url.path,
        origin: question.origin.as_deref(),
        subprotocols: question.subprotocols.iter().map(String::as_str).collect(),
    };
    // A listener that is only guessed may have a proxy in front.
    let lacks_tls = !url.is_secure && why.is_empty() && tls.is_some_and(|tls| !tls.plain);
    let here = match lacks_tls {
        true => Err(Refusal::NeedsTls(Some(url.text.clone()))),
        false => Ok(()),
    };
    let chosen = here.and_then(|()| choose(&settings.routes, listener, &request));
    let judged = chosen.and_then(|choice| {
        let client = question.client;
        if client.is_some() && !choice.route.addresses.admit(client) {
            return Err(Refusal::Address);
        }
        let offered = Offered::token(question.token.as_ref().map(Secret::reveal));
        let admission = auth::judge(choice.route, vault, &offered, request.origin, now)?;
        Ok((choice, admission))
    });
    match judged {
        Ok((choice, admission)) => {
            let listener = format!("{listener}{why}");
            Ok(describe(url, &choice, &admission, &listener))
        }
        Err(refusal) => Err(format!(
            "{} at listener {listener}{why}: refused with HTTP {}: {refusal}",
            url.text,
            refusal.status()
        )),
    }
}

/// The listener that a request for this URL would come in at, and a note where
/// that is a guess: the one with its host and port, else with its port, else
/// the first, which a proxy may stand in front of.
fn listener_for<'s>(settings: &'s Settings, url: &Url) -> Option<(&'s ListenerSettings, String)> {
    type Here<'s> = &'s ListenerSettings;
    let with_port =
        |at: &Here<'_>| matches!(&at.address, Listen::Tcp { port, .. } if *port == url.port);
    let with_host = |at: &Here<'_>| matches!(&at.address, Listen::Tcp { host: Some(host), .. } if host.eq_ignore_ascii_case(&url.host));
    let matching = settings.listeners.iter().filter(with_port);
    match matching.clone().find(with_host).or(matching.clone().next()) {
        Some(listener) => Some((listener, String::new())),
        None => {
            let note = format!(" (the first; none has port {})", url.port);
            settings.listeners.first().map(|first| (first, note))
        }
    }
}

fn describe(url: &Url, choice: &Choice<'_, '_>, admission: &Admission, listener: &str) -> String {
    let route = choice.route;
    let mut text = format!("{} takes route {}", url.text, choice.index + 1);
    if let Some(line) = route.line {
        // Writing to a String does not fail.
        let _ = write!(text, " at line {line}");
    }
    let mut row = |name: &str, value: &str| {
        let _ = write!(text, "\n  {name:<13} {value}");
    };
    row("listener", listener);
    match &route.host {
        Some(host) => row("host", &host.to_string()),
        None => row("host", "(any)"),
    }
    row("path", &route.path);
    row("subprotocol", choice.subprotocol.unwrap_or("(none)"));
    let list = |networks: &[Cidr]| {
        let texts: Vec<_> = networks.iter().map(Cidr::to_string).collect();
        texts.join(", ")
    };
    let addresses = &route.addresses;
    for (name, networks) in [("allow", &addresses.allow), ("deny", &addresses.deny)] {
        if !networks.is_empty() {
            row(name, &list(networks));
        }
    }
    row("framing", route.framing.name());
    if !route.framing.carries_type() {
        let frame_type = name_of(&FRAME_TYPES, route.frame_type);
        match (route.frame_type, route.framing.auto_kind()) {
            (FrameType::Auto, Kind::Text) => row("frame-type", "auto (text)"),
            (FrameType::Auto, Kind::Binary) => row("frame-type", "auto (binary)"),
            _ => row("frame-type", frame_type),
        }
        row("invalid-utf8", name_of(&INVALID_UTF8, route.invalid_utf8));
    }
    if let Some(name) = &admission.subject {
        row("token of", &name.escape_debug().to_string());
    }
    let chosen = admission.backend.as_ref().map(std::slice::from_ref);
    for backend in chosen.unwrap_or(&route.backends) {
        row("backend", &backend.to_string());
    }
    if let Some(version) = route.send_proxy {
        row("send-proxy", name_of(&VERSIONS, version));
    }
    if !route.greeting.is_empty() {
        // It may hold a password.
        row("greeting", "(set)");
    }
    text
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::config::parse;

    const FILE: &str = r#"
        [[listen]]
        address = "8080"
        [[listen]]
        address = "[::1]:9000"
        [[listen]]
        address = "127.0.0.1:9000"

        [[route]]
        backend = "h:1"
        [[route]]
        path = "/mqtt/"
        host = "*.Example.org"
        listener = "127.0.0.1:9000"
        subprotocol = ["mqtt", "mqttv3.1"]
        framing = "lines"
        backend = ["unix:/b", "h:2"]
        require-origin = true
        [[route]]
        path = "/r"
        framing = "record"
        backend = "unix:@r"
    "#;

    fn ask(url: &str, origin: Option<&str>, subprotocols: &[&str]) -> Result<String, String> {
        let question = Question {
            url: url.parse().unwrap(),
            origin: origin.map(str::to_owned),
            subprotocols: subprotocols.iter().map(|&s| s.to_owned()).collect(),
            client: None,
            token: None,
        };
        answer(&parse(FILE, "f").unwrap(), &Vault::default(), &question, 0)
    }

    #[test]
    fn a_good_file_is_counted() {
        let settings = parse(FILE, "f").unwrap();
        assert_eq!(good("f", &settings), "f: good: 3 listeners, 3 routes");
        let one = crate::config::command_line("80", &[("backend", "h:1")]).unwrap();
        assert_eq!(good("f", &one), "f: good: 1 listener, 1 route");
        let admin = format!("admin = \"127.0.0.1:9090\"\n{FILE}");
        let watched = parse(&admin, "f").unwrap();
        let shown = "f: good: 3 listeners, 3 routes, admin pages at 127.0.0.1:9090";
        assert_eq!(good("f", &watched), shown);
    }

    #[test]
    fn a_request_that_is_let_in_sees_its_route() {
        assert_eq!(
            ask("ws://x:8080/a?b=/mqtt", None, &["chat"]).unwrap(),
            "ws://x:8080/a?b=/mqtt takes route 1 at line 9\n  \
             listener      :8080\n  \
             host          (any)\n  \
             path          /\n  \
             subprotocol   chat\n  \
             framing       raw\n  \
             frame-type    auto (binary)\n  \
             invalid-utf8  close\n  \
             backend       h:1"
        );
        assert_eq!(
            ask(
                "wss://a.example.org/r/s",
                Some("https://a.example.org"),
                &[]
            )
            .unwrap(),
            "wss://a.example.org/r/s takes route 3 at line 19\n  \
             listener      :8080 (the first; none has port 443)\n  \
             host          (any)\n  \
             path          /r\n  \
             subprotocol   (none)\n  \
             framing       record\n  \
             backend       unix:@r"
        );
    }

    #[test]
    fn a_request_that_is_refused_sees_status_and_reason() {
        for (url, origin, subprotocols, expected) in [
            (
                "ws://x:8080/",
                Some("http://evil.example"),
                &[][..],
                "ws://x:8080/ at listener :8080: refused with HTTP 403: this origin may not \
                 connect; the option `origin` can allow it",
            ),
            (
                "ws://x:1",
                Some("null"),
                &[],
                "ws://x:1 at listener :8080 (the first; none has port 1): refused with HTTP 403: \
                 this origin may not connect; the option `origin` can allow it",
            ),
        ] {
            assert_eq!(ask(url, origin, subprotocols), Err(expected.to_owned()));
        }
        let file = FILE.replace("127.0.0.1:9000", "127.0.0.1:9001");
        let settings = parse(&file, "f").unwrap();
        let question = Question {
            url: "ws://a.example.org:9001/mqtt".parse().unwrap(),
            origin: None,
            subprotocols: Vec::new(),
            client: None,
            token: None,
        };
        let refused =
            |question: &Question| answer(&settings, &Vault::default(), question, 0).unwrap_err();
        assert_eq!(
            refused(&question),
            "ws://a.example.org:9001/mqtt at listener 127.0.0.1:9001: refused with HTTP 400: \
             offer one of the subprotocols served here: mqtt, mqttv3.1"
        );
        let question = Question {
            subprotocols: vec!["mqttv3.1".to_owned()],
            ..question
        };
        assert_eq!(
            refused(&question),
            "ws://a.example.org:9001/mqtt at listener 127.0.0.1:9001: refused with HTTP 403: \
             an Origin header is required here (option `require-origin`)"
        );
    }

    #[test]
    fn a_listener_that_speaks_tls_wants_wss_and_its_own_pages_https() {
        let tls = "address = \"8080\"\ntls-cert = \"c\"\ntls-key = \"k\"\n";
        let with = |lines: &str| {
            let file = format!("[[listen]]\n{tls}{lines}[[route]]\nbackend = \"h:1\"\n");
            parse(&file, "f").unwrap()
        };
        let (only, also) = (with(""), with("plain = \"allow\"\n"));
        let status = |settings, url: &str, origin: Option<&str>| {
            let question = Question {
                url: url.parse().unwrap(),
                origin: origin.map(str::to_owned),
                subprotocols: Vec::new(),
                client: None,
                token: None,
            };
            let answer = answer(settings, &Vault::default(), &question, 0);
            answer.err().map(|text| {
                let (_, status) = text.split_once("HTTP ").unwrap();
                status[..3].to_owned()
            })
        };
        for (settings, url, origin, expected) in [
            (&only, "wss://x:8080/", None, None),
            (&only, "wss://x:8080/", Some("https://x:8080"), None),
            (&only, "wss://x:8080/", Some("http://x:8080"), Some("403")),
            (&only, "ws://x:8080/", None, Some("301")),
            (&only, "ws://x/", None, None),
            (&also, "ws://x:8080/", Some("http://x:8080"), None),
            (&also, "wss://x:8080/", Some("http://x:8080"), Some("403")),
        ] {
            let found = status(settings, url, origin);
            assert_eq!(found.as_deref(), expected, "{url} {origin:?}");
        }
    }

    #[test]
    fn the_clients_address_is_tried_where_it_is_given() {
        let lists = "backend = \"h:1\"\nallow = [\"10.0.0.0/8\", \"::1\"]\ndeny = \"10.1.0.0/16\"";
        let settings = parse(&FILE.replacen("backend = \"h:1\"", lists, 1), "f").unwrap();
        let ask = |client: &str| {
            let question = Question {
                url: "ws://x:8080/".parse().unwrap(),
                origin: None,
                subprotocols: Vec::new(),
                client: client.parse().ok(),
                token: None,
            };
            answer(&settings, &Vault::default(), &question, 0)
        };
        for client in ["", "10.2.0.1", "::1", "::ffff:10.2.0.1"] {
            let text = ask(client).unwrap();
            let rows = "\n  allow         10.0.0.0/8, ::1\n  deny          10.1.0.0/16\n";
            assert!(text.contains(rows), "{client}: {text}");
        }
        for client in ["10.1.0.1", "192.0.2.1", "::2"] {
            let refused = "ws://x:8080/ at listener :8080: refused with HTTP 403: this address \
                may not connect (options `allow` and `deny`)";
            assert_eq!(ask(client), Err(refused.to_owned()), "{client}");
        }
    }

    #[test]
    fn the_listener_is_the_one_with_the_urls_host_and_port() {
        for (url, expected) in [
            ("ws://anything:8080", ":8080"),
            ("ws://127.0.0.1:9000", "127.0.0.1:9000"),
            ("ws://[::1]:9000", "[::1]:9000"),
            ("ws://anything:9000", "[::1]:9000"),
            ("ws://anything", ":8080 (the first; none has port 80)"),
        ] {
            let answer = ask(url, None, &[]).unwrap();
            assert!(
                answer.contains(&format!("\n  listener      {expected}\n")),
                "{url}: {answer}"
            );
        }
    }

    #[test]
    fn a_url_is_taken_apart_as_a_browser_does() {
        for (text, authority, port, path) in [
            ("ws://h", "h", 80, "/"),
            ("WSS://H/", "H", 443, "/"),
            ("ws://h:1/a/b?c/d?e", "h:1", 1, "/a/b"),
            ("ws://h?c", "h", 80, "/"),
            ("wss://[::1]:8443/%20", "[::1]:8443", 8443, "/%20"),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!(
                (&*url.authority, url.port, &*url.path),
                (authority, port, path)
            );
        }
        for (text, why) in [
            ("", "no scheme"),
            ("h:80/x", "no scheme"),
            ("http://h/", "not a WebSocket URL"),
            ("ws://", "no host, or not one"),
            ("ws:///x", "no host, or not one"),
            ("ws://u@h/", "no host, or not one"),
            ("ws://h:x/", "no host, or not one"),
            ("ws://h/#f", "a WebSocket URL has no fragment"),
            ("ws://h/a b", "a character that has to be percent-encoded"),
        ] {
            assert_eq!(
                text.parse::<Url>(),
                Err(format!(
                    "url {text:?}: {why}; write ws://HOST[:PORT]/PATH or wss://HOST[:PORT]/PATH"
                ))
            );
        }
    }
}
