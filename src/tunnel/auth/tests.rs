//! Judgements: what opens which route, and how the files change under it.

use super::*;
use crate::tunnel::policy::route::files;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const NOW: u64 = 1_000_000;
const TOKENS: &str = "good-token-of-16-and-more alice\n\
    to-one-backend-of-the-route bob 127.0.0.1:1\n\
    to-one-that-is-not-listed carol 127.0.0.1:9\n\
    it-was-good-until-long-ago dave - 999999\n";

/// A directory that is gone with its value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("adit-auth-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn route(auth: Auth) -> Route {
    Route {
        backends: vec![
            "127.0.0.1:1".parse().unwrap(),
            "127.0.0.1:2".parse().unwrap(),
        ],
        auth,
        ..Route::default()
    }
}

fn vault(routes: &[Route]) -> Vault {
    Vault::default().load(routes).unwrap()
}

fn ask(route: &Route, vault: &Vault, token: Option<&str>) -> Result<Admission, Refusal> {
    let origin = Some("https://app.example");
    judge(route, vault, &Offered::token(token), origin, NOW)
}

fn lack(judged: Result<Admission, Refusal>) -> Lack {
    match judged {
        Err(Refusal::Unauthorized(challenge)) => challenge.lack,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_route_that_asks_for_nothing_is_open() {
    let route = route(Auth::default());
    let admission = ask(&route, &Vault::default(), Some("whatever")).unwrap();
    assert_eq!((admission.subject, admission.backend), (None, None));
}

#[test]
fn the_tokens_of_a_file_open_their_route_and_choose_among_its_backends() {
    let folder = Folder::new();
    let route = route(Auth {
        token_file: Some(folder.write("tokens", TOKENS)),
        ..Auth::default()
    });
    let vault = vault(std::slice::from_ref(&route));
    let alice = ask(&route, &vault, Some("good-token-of-16-and-more")).unwrap();
    assert_eq!(alice.subject.as_deref(), Some("alice"));
    assert_eq!(alice.backend, None);
    let bob = ask(&route, &vault, Some("to-one-backend-of-the-route")).unwrap();
    assert_eq!(bob.backend, Some(route.backends[0].clone()));
    let carol = ask(&route, &vault, Some("to-one-that-is-not-listed"));
    assert_eq!(carol.unwrap_err().status(), 403);
    assert_eq!(
        lack(ask(&route, &vault, Some("it-was-good-until-long-ago"))),
        Lack::ExpiredToken
    );
    assert_eq!(lack(ask(&route, &vault, Some("unknown"))), Lack::WrongToken);
    assert_eq!(lack(ask(&route, &vault, None)), Lack::Nothing);
    let unusable = vault.unusable(std::slice::from_ref(&route));
    assert_eq!(unusable.len(), 1);
    assert_eq!(unusable[0].line, Some(3));
}

#[test]
fn a_signed_token_opens_its_origin_and_backend_only() {
    let folder = Folder::new();
    let route = route(Auth {
        hmac_key_file: Some(folder.write("key", [b'k'; 32])),
        ..Auth::default()
    });
    let vault = vault(std::slice::from_ref(&route));
    let key = jwt::Key::new(&[b'k'; 32]).unwrap();
    let status = |backend: Option<&str>, origin: Option<&str>, from: Option<&str>| {
        let grant = Grant {
            subject: Some("alice".into()),
            backend: backend.map(|text| text.parse().unwrap()),
            origin: origin.map(str::to_owned),
        };
        let token = jwt::sign(&key, &grant, NOW + 1);
        let offered = Offered::token(Some(token.reveal()));
        let judged = judge(&route, &vault, &offered, from, NOW);
        judged.map_or_else(|refusal| refusal.status(), |_| 101)
    };
    let (here, there) = (Some("https://app.example"), Some("https://evil.example"));
    for (backend, origin, from, expected) in [
        (None, None, None, 101),
        (None, None, here, 101),
        (None, here, here, 101),
        (None, here, Some("HTTPS://App.Example"), 101),
        (None, here, there, 403),
        (None, here, None, 403),
        (Some("tcp:127.0.0.1:2"), here, here, 101),
        (Some("127.0.0.1:3"), here, here, 403),
        (Some("unix:/etc/x"), None, None, 403),
    ] {
        assert_eq!(
            status(backend, origin, from),
            expected,
            "{backend:?} {origin:?}"
        );
    }
}

#[test]
fn either_of_two_kinds_of_token_will_do() {
    let folder = Folder::new();
    let route = route(Auth {
        token_file: Some(folder.write("tokens", TOKENS)),
        hmac_key_file: Some(folder.write("key", [b'k'; 32])),
        ..Auth::default()
    });
    let vault = vault(std::slice::from_ref(&route));
    let key = jwt::Key::new(&[b'k'; 32]).unwrap();
    let signed = jwt::sign(&key, &Grant::default(), NOW + 1);
    assert!(ask(&route, &vault, Some(signed.reveal())).is_ok());
    assert!(ask(&route, &vault, Some("good-token-of-16-and-more")).is_ok());
    assert_eq!(lack(ask(&route, &vault, Some("x"))), Lack::WrongToken);
}

#[test]
fn a_user_is_asked_for_a_password_unless_a_token_comes() {
    let folder = Folder::new();
    let line = format!("alice:$2y$04${}\n", ".".repeat(53));
    let mut route = route(Auth {
        basic_file: Some(folder.write("users", line)),
        realm: Some("the lab".into()),
        ..Auth::default()
    });
    let vault = vault(std::slice::from_ref(&route));
    let offered = Offered {
        token: None,
        basic: Some(offered::Basic {
            user: "alice".into(),
            password: Secret::new("x"),
        }),
    };
    let admission = judge(&route, &vault, &offered, None, NOW).unwrap();
    assert_eq!(admission.subject.as_deref(), Some("alice"));
    let verdict = admission.password.unwrap().run().unwrap_err();
    let header = verdict.header().unwrap();
    assert_eq!(
        header,
        "WWW-Authenticate: Basic realm=\"the lab\", charset=\"UTF-8\""
    );
    assert_eq!(lack(ask(&route, &vault, None)), Lack::Nothing);
    assert_eq!(
        lack(ask(&route, &vault, Some("token"))),
        Lack::Nothing,
        "no token is taken here"
    );
    // Where both are taken, a wrong token is not made good by a password.
    route.auth.token_file = Some(folder.write("tokens", TOKENS));
    let vault = self::vault(std::slice::from_ref(&route));
    let both = Offered {
        token: Some(Secret::new("x")),
        ..offered
    };
    assert_eq!(
        lack(judge(&route, &vault, &both, None, NOW)),
        Lack::WrongToken
    );
}

#[test]
fn a_map_says_which_backend_a_token_means() {
    let folder = Folder::new();
    fs::create_dir(folder.0.join("map")).unwrap();
    folder.write("map/a", "one: 127.0.0.1:5\n");
    folder.write("map/b", "two: unix_socket:/run/two\n");
    folder.write("map/.hidden", "three: nonsense\n");
    let route = Route {
        token_map: Some(folder.0.join("map")),
        ..Route::default()
    };
    let vault = vault(std::slice::from_ref(&route));
    let backend = |token| ask(&route, &vault, Some(token)).map(|admission| admission.backend);
    assert_eq!(backend("one"), Ok("127.0.0.1:5".parse().ok()));
    assert_eq!(backend("two"), Ok("unix:/run/two".parse().ok()));
    assert_eq!(backend("three"), Err(Refusal::UnknownToken));
    assert_eq!(lack(ask(&route, &vault, None)), Lack::Nothing);
}

#[test]
fn a_file_that_changes_is_read_again_within_a_second() {
    let folder = Folder::new();
    let route = route(Auth {
        token_file: Some(folder.write("tokens", "first-token\n")),
        ..Auth::default()
    });
    let mut vault = vault(std::slice::from_ref(&route));
    let start = Instant::now();
    let is_open = |vault: &Vault, token| ask(&route, vault, Some(token)).is_ok();
    vault.refresh(start);
    folder.write("tokens", "second-token\n");
    vault.refresh(start + Duration::from_millis(999));
    assert!(is_open(&vault, "first-token"), "not looked at again yet");
    vault.refresh(start + Duration::from_secs(1));
    assert!(!is_open(&vault, "first-token") && is_open(&vault, "second-token"));
    // Garbage, and then nothing at all: what it said before still holds.
    let mut now = start + Duration::from_secs(1);
    let path = route.auth.token_file.clone().unwrap();
    for change in [
        |path: &Path| fs::write(path, b"\xff\n"),
        |path: &Path| fs::remove_file(path),
    ] {
        change(&path).unwrap();
        now += Duration::from_secs(1);
        vault.refresh(now);
        assert!(is_open(&vault, "second-token"));
        let again = vault.load(std::slice::from_ref(&route)).unwrap();
        assert!(is_open(&again, "second-token"));
        assert!(Vault::default().load(std::slice::from_ref(&route)).is_err());
    }
    folder.write("tokens", "third-token\n");
    vault.refresh(now + Duration::from_secs(1));
    assert!(is_open(&vault, "third-token") && !is_open(&vault, "second-token"));
}

#[test]
fn all_mistakes_of_all_files_are_found_at_once() {
    let folder = Folder::new();
    let missing = folder.0.join("missing");
    let route = Route {
        auth: Auth {
            token_file: Some(folder.write("tokens", "a b c\nd e f\n")),
            hmac_key_file: Some(folder.write("key", "short")),
            basic_file: Some(missing.clone()),
            ..Auth::default()
        },
        token_map: Some(folder.write("map", vec![b'\n'; (1 << 20) + 1])),
        ..Route::default()
    };
    let routes = [route.clone(), route];
    let faults = Vault::default().load(&routes).unwrap_err();
    let shown: Vec<_> = faults.iter().map(ToString::to_string).collect();
    let at = |name: &str| folder.0.join(name).display().to_string();
    assert_eq!(shown.len(), 5, "{shown:?}");
    assert!(shown[0].starts_with(&format!("{}:1: column 3", at("tokens"))));
    assert!(shown[1].starts_with(&format!("{}:2: column 3", at("tokens"))));
    assert!(shown[2].starts_with(&format!("{}: a key of 5 bytes", at("key"))));
    let missing = format!("{}: the passwords cannot be read: ", at("missing"));
    assert!(shown[3].starts_with(&missing), "{}", shown[3]);
    assert_eq!(
        shown[4],
        format!(
            "{}: more than the 1048576 bytes that are allowed",
            at("map")
        )
    );
    assert_eq!(files(&routes).len(), 4);
}

#[test]
fn a_key_that_others_can_read_and_a_short_token_are_warned_of() {
    let folder = Folder::new();
    let key = folder.write("key", [b'k'; 32]);
    let route = route(Auth {
        token_file: Some(folder.write("tokens", "a-token-that-is-long-enough\nshort\n")),
        hmac_key_file: Some(key.clone()),
        ..Auth::default()
    });
    for (mode, warnings) in [(0o600, 1), (0o400, 1), (0o640, 2), (0o604, 2)] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let found = vault(std::slice::from_ref(&route)).warnings();
        assert_eq!(found.len(), warnings, "{mode:o} {found:?}");
        assert_eq!(found[0].line, Some(2));
    }
}
