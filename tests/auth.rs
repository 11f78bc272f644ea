//! Who may connect: tokens in all their places, signed ones, passwords, and
//! websockify's files; and that no secret comes out again.

// Tokens and passwords, some of them named in a file.
#![cfg(all(feature = "auth", feature = "config-file"))]
#![allow(clippy::unwrap_used)]

mod common;

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fs, thread};

use adit::tunnel::auth::{Grant, jwt};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use common::*;
use rustix::process::Signal;

const KEY: &str = "0123456789abcdef0123456789abcdef";
const TOKEN: &str = "s3cr3t-t0ken-of-alice";

/// The answer's status to a request with this query and these headers.
#[track_caller]
fn status(adit: &Adit, path: &str, headers: &[&str]) -> u16 {
    Client::ask(&adit.address, path, headers).1.status
}

/// The status for a Bearer.
#[track_caller]
fn bearer(adit: &Adit, token: &str) -> u16 {
    status(adit, "/", &[&format!("Authorization: Bearer {token}")])
}

/// Asks until the answer is as expected, each time with a new connection.
#[track_caller]
fn until(expected: u16, ask: impl Fn() -> u16) {
    let deadline = Instant::now() + PATIENCE;
    while ask() != expected {
        assert!(Instant::now() < deadline, "never {expected}");
        thread::yield_now();
    }
}

fn unix_time() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_secs()
}

/// A file that only its owner reads.
fn secret(temp: &TempDir, name: &str, text: &str) -> String {
    let file = temp.write(name, text);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    file
}

/// `adit token` with the usual key.
fn signed(temp: &TempDir, options: &[&str]) -> String {
    let key = secret(temp, "signing-key", KEY);
    let output = run(&[&["token", "--key", &key], options].concat());
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stderr, b"");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A line of an htpasswd file.
fn user(name: &str, password: &str, cost: u32) -> String {
    let hash = bcrypt::hash_with_result(password, cost).unwrap();
    format!(
        "{name}:{}\n",
        hash.format_for_version(bcrypt::Version::TwoY)
    )
}

fn basic(name: &str, password: &str) -> String {
    let credentials = BASE64_STANDARD.encode(format!("{name}:{password}"));
    format!("Authorization: Basic {credentials}")
}

#[test]
fn a_token_is_taken_from_each_of_its_four_places_and_shown_nowhere() {
    let temp = TempDir::new();
    let tokens = temp.write("tokens", &format!("# who may\n{TOKEN} alice\n"));
    let (adit, _backend) = echo(&["-v", "--token-file", &tokens, "--auth-cookie", "adit"]);
    let headers = |token: &str| {
        [
            format!("Authorization: Bearer {token}"),
            format!("Cookie: theme=dark; adit={token}"),
            format!("Sec-WebSocket-Protocol: bearer.{token}"),
        ]
    };
    for (token, expected) in [(TOKEN, 101), ("s3cr3t-t0ken-of-nobody", 401)] {
        for header in headers(token) {
            assert_eq!(status(&adit, "/", &[&header]), expected, "{header}");
        }
        let query = format!("/private?a=b&token={token}");
        assert_eq!(status(&adit, &query, &[]), expected, "{query}");
    }
    assert_eq!(status(&adit, "/", &[]), 401);
    assert_eq!(status(&adit, "/?token=", &[]), 401);
    let (same, other) = (format!("/?token={TOKEN}"), "/?token=s3cr3t-other");
    assert_eq!(status(&adit, &same, &[&headers(TOKEN)[0]]), 101);
    assert_eq!(status(&adit, other, &[&headers(TOKEN)[0]]), 400);
    let opened = adit.wait_for_log("opened: /private, raw, by \"alice\" -> ");
    assert!(opened.contains(" opened: "));
    assert!(!adit.log().contains("s3cr3t"), "{}", adit.log());
}

#[test]
fn a_subprotocol_that_is_a_token_is_neither_chosen_nor_echoed() {
    let temp = TempDir::new();
    let tokens = temp.write("tokens", &format!("{TOKEN}\n"));
    let (any, _backend) = echo(&["--token-file", &tokens]);
    let (mqtt, _backend2) = echo(&["--token-file", &tokens, "--subprotocol", "mqtt"]);
    for (adit, offered, expected) in [
        (&any, format!("bearer.{TOKEN}"), None),
        (&any, format!("bearer.{TOKEN}, chat"), Some("chat")),
        (&mqtt, format!("bearer.{TOKEN}, mqtt"), Some("mqtt")),
        (&mqtt, format!("mqtt, bearer.{TOKEN}"), Some("mqtt")),
    ] {
        let header = format!("Sec-WebSocket-Protocol: {offered}");
        let (_client, response) = Client::open_with(&adit.address, "/", &[&header]);
        assert_eq!(response.header("sec-websocket-protocol"), expected);
    }
    let header = format!("Sec-WebSocket-Protocol: bearer.{TOKEN}");
    assert_eq!(
        status(&mqtt, "/", &[&header]),
        400,
        "nothing that is served"
    );
}

#[test]
fn where_no_token_is_taken_none_is_seen_in_a_subprotocol() {
    let temp = TempDir::new();
    let users = temp.write("users", &user("alice", "right", 4));
    let (open, _backend) = echo(&["-v"]);
    let (guarded, _backend2) = echo(&["-v", "--basic-file", &users]);
    let header = format!("Sec-WebSocket-Protocol: bearer.{TOKEN}, bearer.s3cr3t");
    for adit in [&open, &guarded] {
        let headers = [&*header, &basic("alice", "right")];
        let (_client, response) = Client::open_with(&adit.address, "/?token=a&token=b", &headers);
        let chosen = response.header("sec-websocket-protocol").unwrap();
        assert_eq!(chosen, format!("bearer.{TOKEN}"));
        adit.wait_for_log("opened: /, raw, subprotocol bearer.…");
        assert!(!adit.log().contains("s3cr3t"), "{}", adit.log());
    }
}

#[test]
fn a_refusal_says_what_to_bring_and_comes_late_to_a_guess() {
    let temp = TempDir::new();
    let tokens = temp.write("tokens", &format!("{TOKEN}\nof-the-past-s3cr3t - - 1000\n"));
    let options = ["--token-file", &tokens, "--auth-realm", "the lab"];
    let (adit, _backend) = echo(&options);
    let (_client, none) = Client::ask(&adit.address, "/", &[]);
    let challenge = "Bearer realm=\"the lab\"";
    assert_eq!(none.header("www-authenticate"), Some(challenge));
    for (token, why) in [
        ("wrong-s3cr3t", "the token is not valid"),
        ("of-the-past-s3cr3t", "the token has expired"),
    ] {
        let header = format!("Authorization: Bearer {token}");
        let start = Instant::now();
        let (_client, wrong) = Client::ask(&adit.address, "/", &[&header]);
        assert!(start.elapsed() >= Duration::from_millis(100));
        assert_eq!(wrong.status, 401);
        let error = format!("{challenge}, error=\"invalid_token\", error_description=\"{why}\"");
        assert_eq!(wrong.header("www-authenticate"), Some(error.as_str()));
        assert!(!wrong.body.contains("s3cr3t"), "{}", wrong.body);
        adit.wait_for_log(&format!("refused: 401, {why}"));
    }
    assert!(!adit.log().contains("s3cr3t"), "{}", adit.log());
}

#[test]
fn an_origin_is_judged_before_a_token_is() {
    let temp = TempDir::new();
    let tokens = temp.write("tokens", &format!("{TOKEN}\n"));
    let (adit, _backend) = echo(&["--token-file", &tokens]);
    let token = format!("Authorization: Bearer {TOKEN}");
    assert_eq!(
        status(&adit, "/", &["Origin: http://evil.example", &token]),
        403
    );
    assert_eq!(status(&adit, "/", &["Origin: http://evil.example"]), 403);
    assert_eq!(
        status(&adit, "/", &["Origin: http://localhost", &token]),
        101
    );
}

#[test]
fn a_token_file_is_read_again_when_it_changes() {
    let temp = TempDir::new();
    let tokens = temp.write("tokens", "the-first-s3cr3t\n");
    let (adit, _backend) = echo(&["--token-file", &tokens]);
    let (mut open, _) = Client::open_with(&adit.address, "/?token=the-first-s3cr3t", &[]);
    temp.write("tokens", "the-second-s3cr3t\n");
    until(101, || bearer(&adit, "the-second-s3cr3t"));
    assert_eq!(bearer(&adit, "the-first-s3cr3t"), 401);
    // A file that was replaced, and then one with a mistake.
    let new = temp.write("tokens.new", "the-third-s3cr3t\n");
    fs::rename(new, &tokens).unwrap();
    until(101, || bearer(&adit, "the-third-s3cr3t"));
    temp.write("tokens", "the-fourth-s3cr3t alice nowhere\n");
    until(101, || {
        let status = bearer(&adit, "the-third-s3cr3t");
        assert_eq!(status, 101, "what it said before still holds");
        match adit.log().contains("tokens:1: column 3") {
            true => status,
            false => 0,
        }
    });
    assert_eq!(bearer(&adit, "the-fourth-s3cr3t"), 401);
    fs::remove_file(&tokens).unwrap();
    assert_eq!(bearer(&adit, "the-third-s3cr3t"), 101);
    open.send(BINARY, b"still here");
    assert_eq!(open.message(), (BINARY, b"still here".to_vec()));
    assert!(!adit.log().contains("s3cr3t"), "{}", adit.log());
}

#[test]
fn a_signed_token_is_good_until_it_expires_and_as_it_was_made() {
    let temp = TempDir::new();
    let token = signed(&temp, &["--expires", "1h", "--subject", "alice"]);
    let key = secret(&temp, "key", &format!("{KEY}\n"));
    let (adit, _backend) = echo(&["--hmac-key-file", &key]);
    assert_eq!(bearer(&adit, &token), 101);
    adit.wait_for_log("opened: /, raw, by \"alice\" -> ");
    let sign = |key: &str, expires: u64| {
        let key = jwt::Key::new(key.as_bytes()).unwrap();
        let token = jwt::sign(&key, &Grant::default(), expires);
        token.reveal().to_owned()
    };
    let foreign = sign("another key of more than 32 bytes", unix_time() + 60);
    assert_eq!(bearer(&adit, &foreign), 401);
    assert_eq!(bearer(&adit, &sign(KEY, unix_time() + 60)), 101);
    assert_eq!(bearer(&adit, &sign(KEY, unix_time() - 1)), 401);
    adit.wait_for_log("refused: 401, the token has expired");
    let [header, claims, tag] = &token.split('.').collect::<Vec<_>>()[..] else {
        panic!("{token}")
    };
    let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let none = encode(r#"{"alg":"none"}"#);
    let forever = encode(r#"{"exp":99999999999,"sub":"root"}"#);
    for altered in [
        format!("{none}.{claims}."),
        format!("{none}.{claims}.{tag}"),
        format!("{header}.{forever}.{tag}"),
        format!("{header}.{claims}."),
        format!("{header}.{claims}.{}", tag.to_ascii_lowercase()),
        format!("{header}.{claims}"),
    ] {
        assert_eq!(bearer(&adit, &altered), 401, "{altered}");
    }
    for part in [token.as_str(), header, claims, tag, KEY] {
        assert!(!adit.log().contains(part), "{}", adit.log());
    }
}

#[test]
fn a_token_chooses_among_the_routes_backends_and_not_beyond() {
    let temp = TempDir::new();
    let [first, second, beyond] = ["first", "second", "beyond"].map(Backend::named);
    let key = secret(&temp, "key", KEY);
    let tokens = format!("to-the-second-of-them bob {}\n", second.address);
    let tokens = temp.write("tokens", &tokens);
    let adit = Adit::serve(&[
        &first.address,
        &second.address,
        "--origin=https://app.example",
        "--hmac-key-file",
        &key,
        "--token-file",
        &tokens,
    ]);
    for (backend, name) in [(&first, "first"), (&second, "second")] {
        let address = format!("tcp:{}", backend.address);
        let token = signed(&temp, &["--backend", &address]);
        for _ in 0..3 {
            let path = format!("/?token={token}");
            let (mut client, _) = Client::open_with(&adit.address, &path, &[]);
            assert_eq!(client.message().1, name.as_bytes());
        }
    }
    let header = ["Authorization: Bearer to-the-second-of-them"];
    let (mut client, _) = Client::open_with(&adit.address, "/", &header);
    assert_eq!(client.message().1, b"second");
    let token = signed(&temp, &["--backend", &beyond.address]);
    assert_eq!(bearer(&adit, &token), 403);
    assert!(beyond.is_alone());

    let token = signed(&temp, &["--origin", "https://app.example"]);
    let token = format!("Authorization: Bearer {token}");
    for (origin, expected) in [
        ("Origin: https://app.example", 101),
        ("Origin: http://localhost", 403),
        ("X-Origin: https://app.example", 403),
    ] {
        assert_eq!(status(&adit, "/", &[&token, origin]), expected, "{origin}");
    }
}

#[test]
fn a_key_that_becomes_garbage_is_kept_as_it_was() {
    let temp = TempDir::new();
    let backend = Backend::echo();
    let key = secret(&temp, "key", KEY);
    let file = temp.write(
        "adit.toml",
        &format!(
            "[[listen]]\naddress = \"127.0.0.1:0\"\n[[route]]\nbackend = \"{}\"\n\
             [route.auth]\nhmac-key-file = \"{key}\"\n",
            backend.address
        ),
    );
    let adit = Adit::configured(&file, &[]);
    let token = signed(&temp, &[]);
    assert_eq!(bearer(&adit, &token), 101);
    fs::write(&key, "garbage").unwrap();
    adit.signal(Signal::HUP);
    adit.wait_for_log("key, keeping what it said before:");
    adit.wait_for_log("reloaded");
    assert_eq!(bearer(&adit, &token), 101);
    assert!(!adit.log().contains("garbage"), "{}", adit.log());
    // A good key takes the place of the old one, and its tokens'.
    fs::write(&key, "another key of more than 32 bytes").unwrap();
    adit.signal(Signal::HUP);
    adit.wait_for_logs(2, "reloaded");
    assert_eq!(bearer(&adit, &token), 401);
    // A file that is new, and bad from the start, has the settings refused.
    let bad = temp.write("bad", "garbage");
    let text = fs::read_to_string(&file).unwrap().replace(&key, &bad);
    fs::write(&file, text).unwrap();
    adit.signal(Signal::HUP);
    adit.wait_for_log("bad: a key of 7 bytes; at least 32 are needed");
    assert_eq!(bearer(&adit, &token), 401, "the key from before");
}

#[test]
fn a_user_is_let_in_with_the_right_password() {
    let temp = TempDir::new();
    let users = user("alice", "pa:ss w0rd-s3cr3t", 4) + &user("bob", "other-s3cr3t", 5);
    let users = temp.write("users", &users);
    let (adit, _backend) = echo(&["-v", "--basic-file", &users]);
    for (name, password, expected) in [
        ("alice", "pa:ss w0rd-s3cr3t", 101),
        ("bob", "other-s3cr3t", 101),
        ("alice", "other-s3cr3t", 401),
        ("alice", "", 401),
        ("nobody", "other-s3cr3t", 401),
        ("", "", 401),
    ] {
        let header = basic(name, password);
        assert_eq!(status(&adit, "/", &[&header]), expected, "{name}");
    }
    let (_client, none) = Client::ask(&adit.address, "/", &[]);
    let challenge = "Basic realm=\"adit\", charset=\"UTF-8\"";
    assert_eq!(none.header("www-authenticate"), Some(challenge));
    assert_eq!(bearer(&adit, "a-token-s3cr3t"), 401);
    assert_eq!(status(&adit, "/", &["Authorization: Basic x"]), 400);
    adit.wait_for_log("opened: /, raw, by \"alice\" -> ");
    adit.wait_for_log("refused: 401, the user or password is wrong");
    assert!(!adit.log().contains("s3cr3t"), "{}", adit.log());
}

#[test]
fn passwords_are_checked_beside_the_tunnels_and_only_so_many_wait() {
    let temp = TempDir::new();
    let backend = Backend::echo();
    let users = temp.write("users", &user("alice", "right", 10));
    let file = temp.write(
        "adit.toml",
        &format!(
            "[[listen]]\naddress = \"127.0.0.1:0\"\n\
             [[route]]\nbackend = \"{0}\"\n\
             [[route]]\npath = \"/guarded\"\nbackend = \"{0}\"\n\
             auth = {{ basic-file = \"{users}\" }}\n",
            backend.address
        ),
    );
    let adit = Adit::configured(&file, &[]);
    let mut open = Client::open(&adit.address);
    let request = request("/guarded", &[&basic("alice", "right")]);
    // One is being checked, 64 wait, and the others are told so.
    let mut asking: Vec<_> = (0..200).map(|_| Client::connect(&adit.address)).collect();
    for client in &mut asking {
        client.say(request.as_bytes());
    }
    adit.wait_for_logs(10, "refused: 503, too many others are being let in");
    // An open tunnel passes messages while the others still wait.
    open.send(BINARY, b"meanwhile");
    assert_eq!(open.message(), (BINARY, b"meanwhile".to_vec()));
    let let_in = adit.log().matches("opened: /guarded").count();
    assert!(let_in < 60, "{let_in} were let in before the message");
    let refused = asking.last_mut().unwrap().response();
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(asking[0].response().status, 101);
}

#[test]
fn who_leaves_before_its_password_is_checked_is_not_let_in() {
    let temp = TempDir::new();
    let users = temp.write("users", &user("alice", "right", 10));
    let (adit, _backend) = echo(&["--basic-file", &users]);
    let request = request("/", &[&basic("alice", "right")]);
    let mut asking: Vec<_> = (0..60).map(|_| Client::connect(&adit.address)).collect();
    for client in &mut asking {
        client.say(request.as_bytes());
    }
    drop(asking);
    // It comes after all the others.
    until(101, || status(&adit, "/", &[&basic("alice", "right")]));
    let let_in = adit.log().matches(" opened: ").count();
    assert!(let_in < 60, "{let_in} were let in");
}

#[test]
fn websockifys_files_lead_each_token_to_its_backend() {
    let temp = TempDir::new();
    let unix = temp.unix("service");
    let [literal, named] = ["literal", "named"].map(Backend::named);
    let _service = Backend::each_on(&unix, |mut socket| {
        socket.say(b"unix");
        let _ = socket.read_to_end(&mut Vec::new());
    });
    let port = named.address.rsplit_once(':').unwrap().1;
    let path = temp.path("service").display().to_string();
    let map = temp.path("map");
    fs::create_dir(&map).unwrap();
    temp.write(
        "map/a",
        // A label of more than 63 bytes is no name to any resolver, so none is asked.
        &format!(
            "# vms\nvm1: {}\nvm 2: localhost:{port}\n\nnowhere: {}:1\n",
            literal.address,
            "x".repeat(64)
        ),
    );
    temp.write("map/b", &format!("sock: unix_socket:{path}\n"));
    let adit = Adit::serve(&["--token-map", map.to_str().unwrap()]);
    for (token, expected) in [("vm1", "literal"), ("vm%202", "named"), ("sock", "unix")] {
        for _ in 0..2 {
            let query = format!("/?token={token}");
            let (mut client, _) = Client::open_with(&adit.address, &query, &[]);
            assert_eq!(client.message().1, expected.as_bytes());
        }
    }
    assert_eq!(status(&adit, "/?token=vm3", &[]), 403);
    assert_eq!(status(&adit, "/", &[]), 401);
    assert_eq!(status(&adit, "/?token=nowhere", &[]), 502);
    temp.write("map/c", &format!("vm3: {}\n", literal.address));
    until(101, || status(&adit, "/?token=vm3", &[]));
}

#[test]
fn which_tokens_there_are_is_told_to_nobody_without_a_password() {
    let temp = TempDir::new();
    let backend = Backend::echo();
    let users = temp.write("users", &user("alice", "right", 4));
    let map = temp.write("map", &format!("vm: {}\n", backend.address));
    let adit = Adit::serve(&["--token-map", &map, "--basic-file", &users]);
    for (token, password, expected) in [
        ("vm", Some("wrong"), 401),
        ("none", Some("wrong"), 401),
        ("vm", None, 401),
        ("none", None, 401),
        ("none", Some("right"), 403),
        ("vm", Some("right"), 101),
    ] {
        let authorization = password.map(|password| basic("alice", password));
        let headers: Vec<_> = authorization.iter().map(String::as_str).collect();
        let found = status(&adit, &format!("/?token={token}"), &headers);
        assert_eq!(found, expected, "{token} {password:?}");
    }
}

#[test]
fn a_check_reads_the_files_and_tries_a_token() {
    let temp = TempDir::new();
    let key = secret(&temp, "key", KEY);
    let tokens = temp.write(
        "tokens",
        &format!("{TOKEN} alice 127.0.0.1:2\nlater - - 1000\n"),
    );
    let config = |tokens: &str| {
        format!(
            "[[listen]]\naddress = \"80\"\n[[route]]\nbackend = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\n\
             auth = {{ token-file = \"{tokens}\", hmac-key-file = \"{key}\" }}\n"
        )
    };
    let file = temp.write("adit.toml", &config(&tokens));
    let check = |token: Option<&str>| {
        let mut args = vec!["check", &file];
        let from = token.map(|token| temp.write("from", &format!("{token}\n")));
        if let Some(from) = &from {
            args.extend(["--url", "ws://h/", "--token-from", from]);
        }
        let output = run(&args);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!text.contains("s3cr3t") && !text.contains("eyJ"), "{text}");
        (output.status.code(), text)
    };
    let (code, text) = check(None);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("tokens:2: a token of fewer than 16 characters"));
    let (code, text) = check(Some(TOKEN));
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("\n  token of      alice\n  backend       127.0.0.1:2\n"),
        "{text}"
    );
    let (code, text) = check(Some(&signed(&temp, &["--subject", "bob"])));
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("token of      bob\n  backend       127.0.0.1:1\n"),
        "{text}"
    );
    for (token, expected) in [
        ("later", "refused with HTTP 401: the token has expired"),
        (
            "s3cr3t-unknown",
            "refused with HTTP 401: the token is not valid",
        ),
        (
            &signed(&temp, &["--backend", "127.0.0.1:3"]),
            "refused with HTTP 403: this token is for a backend that is not served here",
        ),
    ] {
        let (code, text) = check(Some(token));
        assert_eq!(code, Some(1));
        assert!(text.contains(expected), "{text}");
    }
    temp.write(
        "tokens",
        &format!("{TOKEN} alice nowhere\nok\n{TOKEN} - - soon\nother bob 127.0.0.1:3\n"),
    );
    fs::write(&key, "short").unwrap();
    let (code, text) = check(None);
    assert_eq!(code, Some(1));
    for (line, column) in [(1, "column 3"), (3, "column 4")] {
        assert!(
            text.contains(&format!("{tokens}:{line}: {column}")),
            "{text}"
        );
    }
    assert!(
        text.contains("key: a key of 5 bytes; at least 32 are needed"),
        "{text}"
    );
    fs::write(&key, KEY).unwrap();
    temp.write("tokens", "other bob 127.0.0.1:3\n");
    let (code, text) = check(None);
    assert_eq!(code, Some(1));
    let unlisted = "tokens:1: column 3, the backend: no route with this file lists it";
    assert!(text.contains(unlisted), "{text}");
}

#[test]
fn a_token_is_printed_only_with_a_good_key_and_good_options() {
    let temp = TempDir::new();
    let key = temp.write("key", KEY);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let output = run(&["token", "--key", &key]);
    assert_eq!(output.status.code(), Some(0));
    let warning = String::from_utf8(output.stderr).unwrap();
    assert!(warning.contains("mode 0644 lets others than its owner read the key"));
    assert_eq!(output.stdout.iter().filter(|&&b| b == b'.').count(), 2);
    let short = temp.write("short", "s3cr3t");
    for (args, code, expected) in [
        (&["token", "--key", &short][..], 1, "a key of 6 bytes"),
        (&["token", "--key", "/nonexistent"], 1, "cannot be read: "),
        (&["token"], 2, "--key"),
        (
            &["token", "--key", &key, "--expires", "off"],
            2,
            "expires \"off\": ",
        ),
        (
            &["token", "--key", &key, "--backend", "x"],
            2,
            "backend \"x\": no port",
        ),
        (
            &["token", "--key", &key, "--origin", "https://*.example"],
            2,
            "origin \"https://*.example\": write one origin",
        ),
        (
            &["token", "--key", &key, "--origin", "app"],
            2,
            "origin \"app\": ",
        ),
    ] {
        let output = run(args);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(
            text.contains(expected) && !text.contains("s3cr3t"),
            "{text}"
        );
        assert_eq!(output.stdout, b"");
    }
    let serve = run(&["serve", "127.0.0.1:0", "h:1", "--hmac-key-file", &short]);
    assert_eq!(serve.status.code(), Some(1));
    let text = String::from_utf8(serve.stderr).unwrap();
    assert!(
        text.contains("short: a key of 6 bytes; at least 32 are needed"),
        "{text}"
    );
}
