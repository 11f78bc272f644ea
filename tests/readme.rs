//! README.md tells the truth: what it shows of the program is what the program
//! prints, what it tells to type can be typed, and what its tables name is what
//! the code has.

// README.md tells of all that can be built in.
#![cfg(feature = "default")]
#![allow(clippy::unwrap_used)]

mod common;

use adit::config::connect::{CONNECT, SHARED};
use adit::config::words::{AUTH, GLOBAL, LISTEN, PLACE, RULES};
use adit::server::connects;
use adit::server::metrics::ALL;
use adit::tunnel::Refusal;
use adit::tunnel::ending::Ending;
use adit::tunnel::tally::DROPS;
use adit::wire::framing::Framing;
use adit::wire::ws::Close;
use adit::wire::{Challenge, Fault, Lack};
use common::Authority;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const README: &str = include_str!("../README.md");
const MANIFEST: &str = include_str!("../Cargo.toml");

/// The code blocks in this language.
fn blocks(language: &str) -> Vec<&'static str> {
    let open = format!("\n```{language}\n");
    README
        .split(&open)
        .skip(1)
        .map(|rest| rest.split("\n```").next().unwrap())
        .collect()
}

/// What is typed in the shell examples, without the program's name.
fn typed() -> Vec<Vec<&'static str>> {
    let arguments = |line: &'static str| {
        let line = line
            .split(" #")
            .next()
            .unwrap()
            .split(" > ")
            .next()
            .unwrap();
        let line = line
            .strip_prefix("cargo run --release -- ")
            .or(line.strip_prefix("adit "))?;
        Some(line.split_whitespace().collect())
    };
    blocks("sh")
        .into_iter()
        .flat_map(str::lines)
        .filter_map(arguments)
        .collect()
}

/// What is shown of the program: what was typed, and what it printed.
fn shown() -> Vec<(&'static str, String)> {
    blocks("console")
        .into_iter()
        .flat_map(|block| block.strip_prefix("$ adit ").unwrap().split("\n$ adit "))
        .map(|session| session.split_once('\n').unwrap())
        .map(|(typed, printed)| (typed, format!("{printed}\n")))
        .collect()
}

/// A test's folder with the examples of a file: `adit.toml` has it all,
/// `public.toml` is for a public port.
fn folder_with_examples(test: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join("readme")
        .join(test);
    fs::create_dir_all(&folder).unwrap();
    let [adit, public] = blocks("toml")[..] else {
        panic!("two examples of a file are expected");
    };
    for (name, example) in [("adit.toml", adit), ("public.toml", public)] {
        fs::write(folder.join(name), format!("{example}\n")).unwrap();
    }
    folder
}

fn has_row(cells: &[&str]) -> bool {
    let start = format!("| {} |", cells.join(" | "));
    README.lines().any(|line| line.starts_with(&start))
}

/// Text as code in Markdown.
fn code(text: &str) -> String {
    let fence = if text.contains('`') { "``" } else { "`" };
    format!("{fence}{text}{fence}")
}

#[test]
fn what_is_shown_of_the_program_is_what_it_prints() {
    let folder = folder_with_examples("shown");
    let shown = shown();
    for expected in [
        "--help",
        "serve --help",
        "inetd --help",
        "connect --help",
        "check --help",
        "token --help",
        "demo --help",
        "check adit.toml",
    ] {
        let is_shown = shown.iter().any(|(typed, _)| *typed == expected);
        assert!(is_shown, "`adit {expected}` is not shown");
    }
    for (typed, printed) in shown {
        let output = Command::new(env!("CARGO_BIN_EXE_adit"))
            .args(typed.split_whitespace())
            .current_dir(&folder)
            .output()
            .unwrap();
        let prints = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(
            printed == prints,
            "`adit {typed}` prints\n{prints}\nbut README.md shows\n{printed}"
        );
    }
}

#[test]
fn the_file_for_a_public_port_lacks_only_its_secrets() {
    let folder = folder_with_examples("public");
    let file = folder.join("public.toml");
    let here = format!("{}/", folder.display());
    let example = fs::read_to_string(&file).unwrap();
    fs::write(&file, example.replace("/etc/adit/", &here)).unwrap();
    let secrets = ["fullchain.pem", "privkey.pem", "key"].map(|name| folder.join(name));
    let certificate = Authority::new("an authority").issue(&["irc.example.org"]);
    let texts = [&certificate.cert, &certificate.key, &"k".repeat(32)];
    for (path, text) in secrets.iter().zip(texts) {
        fs::write(path, text).unwrap();
    }
    let check = || {
        let mut adit = Command::new(env!("CARGO_BIN_EXE_adit"));
        let output = adit.arg("check").arg(&file).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code(), said)
    };
    let (code, said) = check();
    assert!(code == Some(0) && said.contains(": good: "), "{said}");
    for path in &secrets {
        let text = fs::read(path).unwrap();
        fs::remove_file(path).unwrap();
        let (code, said) = check();
        let lacks_it = said.contains(path.to_str().unwrap()) && said.contains("No such file");
        assert!(code == Some(1) && lacks_it, "{said}");
        fs::write(path, text).unwrap();
    }
    // One mistake does not hide another.
    for path in &secrets {
        fs::remove_file(path).unwrap();
    }
    let (_, said) = check();
    for path in ["fullchain.pem", "key"].map(|name| folder.join(name)) {
        assert!(said.contains(&format!("{}: ", path.display())), "{said}");
    }
}

#[test]
fn every_command_can_be_typed() {
    let typed = typed();
    assert!(typed.iter().any(|words| words[0] == "serve"));
    assert!(typed.iter().any(|words| words[0] == "demo"));
    assert!(typed.iter().any(|words| words[0] == "connect"));
    for words in typed {
        if let Err(exit) = adit::cli::parse(words.iter().map(Into::into)) {
            panic!("adit {}: {}", words.join(" "), exit.text);
        }
    }
}

#[test]
fn every_option_of_connect_has_a_row() {
    for word in CONNECT {
        let named =
            |line: &str| line.starts_with("| `--") && line.contains(&format!("`--{}", word.name));
        assert!(README.lines().any(named), "{} has no row", word.name);
    }
    for word in SHARED {
        let named = format!("`--{word}`");
        assert!(README.contains(&named), "{named} is not named");
    }
}

#[test]
fn every_key_and_framing_has_a_row() {
    let routes = PLACE.iter().chain(RULES).map(|word| word.name);
    let globals = GLOBAL.iter().map(|word| word.name);
    let listeners = LISTEN.iter().map(|word| word.name);
    let framings = Framing::ALL.iter().map(|framing| framing.name());
    let auth = AUTH.iter().map(|word| word.name).chain(["auth"]);
    for name in routes
        .chain(auth)
        .chain(globals)
        .chain(listeners)
        .chain(framings)
    {
        assert!(has_row(&[&code(name)]), "{name} has no row");
    }
}

fn unauthorized(lack: Lack) -> Refusal {
    Refusal::Unauthorized(Box::new(Challenge {
        realm: String::new(),
        bearer: true,
        basic: true,
        lack,
    }))
}

#[test]
fn every_refusal_has_a_row_with_its_status() {
    let refusals = [
        Refusal::BadRequest("the request is not HTTP/1.1"),
        Refusal::Subprotocol(vec!["mqtt".to_owned(), "v12.stomp".to_owned()]),
        Refusal::Origin(Some(String::new())),
        Refusal::Origin(None),
        Refusal::Address,
        Refusal::ClientConnections,
        Refusal::ClientRate,
        Refusal::Rate,
        Refusal::RouteRate,
        unauthorized(Lack::Nothing),
        unauthorized(Lack::WrongToken),
        unauthorized(Lack::ExpiredToken),
        unauthorized(Lack::WrongPassword),
        Refusal::Forbidden("this token is for another origin"),
        Refusal::Forbidden("this token is for a backend that is not served here"),
        Refusal::UnknownToken,
        Refusal::Busy,
        Refusal::NotFound,
        Refusal::Method,
        Refusal::HeadTimeout,
        Refusal::NotUpgrade,
        Refusal::NeedsTls(None),
        Refusal::NeedsTls(Some(String::new())),
        Refusal::Version,
        Refusal::HeadTooLarge,
        Refusal::BackendUnreachable,
        Refusal::BackendsDown,
        Refusal::BackendsFull,
        Refusal::Draining,
        Refusal::Misconfigured,
        Refusal::BackendTimeout,
    ];
    for reason in Refusal::REASONS {
        let is_here = refusals.iter().any(|refusal| refusal.reason() == reason);
        assert!(is_here, "{reason} is not looked for");
    }
    for refusal in refusals {
        let row = [refusal.status().to_string(), code(&refusal.to_string())];
        assert!(has_row(&[&row[0], &row[1]]), "{row:?} is no row");
    }
}

#[test]
fn every_ending_has_a_row_with_its_codes() {
    let faults = [
        Fault::StreamTruncated,
        Fault::StreamText,
        Fault::StreamMalformed("a head line without a colon"),
        Fault::StreamTooBig {
            len: 16_777_216,
            max: 1_048_576,
        },
        Fault::Protocol("unmasked frame from a client"),
        Fault::Text,
        Fault::TooBig {
            len: 256,
            max: 255,
            limit: "length-u8",
        },
    ];
    let others = [
        Ending::PeerGone,
        Ending::StreamEnded,
        Ending::StreamReset,
        Ending::Idle,
        Ending::Silent,
        Ending::GoingAway,
    ];
    for ending in faults.map(Ending::fault).into_iter().chain(others) {
        let sent = ending.close().0.unwrap().to_string();
        let row = [
            code(&ending.to_string()),
            sent,
            ending.logged_code().to_string(),
        ];
        assert!(
            has_row(&row.each_ref().map(String::as_str)),
            "{row:?} is no row"
        );
    }
    let closed = Ending::PeerClosed(Close(None));
    assert!(has_row(&[&code(&closed.to_string())]));
}

#[test]
fn every_metric_has_a_row_with_its_labels_and_their_words() {
    for metric in ALL {
        let labels: Vec<_> = metric.labels.iter().map(|label| code(label)).collect();
        let row = [&*code(metric.name), metric.kind.name(), &*labels.join(", ")];
        let row = format!("| {} |", row.join(" | ")).replace("|  |", "| |");
        let is_row = README.lines().any(|line| line.starts_with(&row));
        assert!(is_row, "{row} is no row");
    }
    let section = README.split("\n## Watching it\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let causes = Ending::CAUSES.map(|(cause, _)| cause);
    let words = Refusal::REASONS.iter().chain(&DROPS).chain(&causes);
    for word in words.chain(&connects::CAUSES) {
        assert!(section.contains(&code(word)), "{word} is not named");
    }
}

#[test]
fn every_dependency_is_named() {
    let section = MANIFEST.split("\n[dependencies]\n").nth(1).unwrap();
    let section = section.split("\n[").next().unwrap();
    let names = section.lines().filter_map(|line| line.split_once(" = "));
    let mut count = 0;
    for (name, _) in names {
        let named = |line: &str| line.starts_with("| `") && line.contains(&code(name));
        assert!(README.lines().any(named), "{name} is not named");
        count += 1;
    }
    assert!(
        README.contains(&format!("\n{count} crates,")),
        "{count} crates are not said"
    );
}

#[test]
fn every_example_of_a_deployment_is_named() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/deploy");
    let mut folders = vec![folder.clone()];
    let mut count = 0;
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&folder).unwrap().to_str().unwrap();
            let named = |line: &str| line.starts_with("| `") && line.contains(&code(name));
            assert!(README.lines().any(named), "{name} is not named");
            count += 1;
        }
    }
    assert!(count > 10, "the examples are not where they were");
}
