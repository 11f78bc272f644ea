//! The borders between the rooms, held by reading every `use` and path.
//!
//! A line that needs a forbidden name is in the wrong room, or the border is:
//! then the border is moved first, here.

use std::fs;
use std::path::{Path, PathBuf};

/// (room, the other rooms and modules of adit that its code may name, and what
/// else it may not say)
const BORDERS: &[(&str, &[&str], &[&str])] = &[
    (
        "wire",
        &["queue"],
        &[
            "mio",
            "rustls",
            "socket2",
            "rustix",
            // Addresses are plain data; sockets and look-ups are not.
            "std::net::TcpStream",
            "std::net::TcpListener",
            "std::net::UdpSocket",
            "std::net::ToSocketAddrs",
            "TcpStream",
            "TcpListener",
            "UdpSocket",
            "ToSocketAddrs",
            "std::os",
            "std::fs",
            "std::time",
            "std::thread",
            "log",
        ],
    ),
    ("net", &["address", "features", "queue"], &[]),
    (
        "tunnel",
        &[
            "address", "cidr", "features", "mistake", "net", "url", "wire",
        ],
        &["mio", "std::net::TcpStream", "std::net::TcpListener"],
    ),
    (
        "server",
        &[
            "address", "cidr", "features", "logging", "mistake", "net", "tunnel",
        ],
        &["Opcode", "Frame", "Chunk", "httparse"],
    ),
    (
        "config",
        &[
            "address", "cidr", "features", "mistake", "net", "server", "tunnel", "url", "wire",
        ],
        &["mio"],
    ),
    (
        "cli",
        &[
            "address", "config", "connect", "demo", "features", "logging", "mistake", "server",
            "tunnel",
        ],
        &["mio"],
    ),
    (
        "demo",
        &["address", "net", "server", "tunnel", "wire"],
        &["mio"],
    ),
    ("connect", &["config", "net", "server"], &["mio"]),
    (
        "inetd",
        &[
            "address", "cli", "config", "logging", "net", "server", "wire",
        ],
        &["mio"],
    ),
    ("logging", &[], &["mio"]),
    ("address", &["features"], &["std::net::ToSocketAddrs"]),
    ("url", &["features"], &[]),
    ("cidr", &[], &[]),
    ("features", &[], &[]),
    ("mistake", &[], &[]),
    ("queue", &[], &["std::net", "std::os"]),
];

/// What stands outside of all rooms: the map, the program, and the fuzzer, whose
/// targets are in all of them.
const OUTSIDE: [&str; 3] = ["lib", "main", "fuzz"];

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The files of a room: a folder, a file beside it, and what stands in its place
/// in a build without it.
fn files_of(room: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    if src().join(room).is_dir() {
        rust_files(&src().join(room), &mut files);
    }
    let beside = [format!("{room}.rs"), format!("no_{room}.rs")].map(|name| src().join(name));
    files.extend(beside.into_iter().filter(|file| file.is_file()));
    files
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
}

/// The code of a file without comments, and without its tests.
fn code(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).expect("a readable file");
    let code = text.split("#[cfg(test)]\nmod tests {").next();
    let lines = code.unwrap_or_default().lines();
    lines
        .map(|line| line.split("//").next().unwrap_or_default().to_owned())
        .collect()
}

/// Whether a line says a name as a path of its own: `log` is not in `dialog`,
/// nor is it in `.log`.
fn says(line: &str, name: &str) -> bool {
    let in_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(name).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + name.len()..]);
        let is_path = name.contains("::") || name.starts_with(char::is_uppercase) || {
            after.starts_with("::")
                || (line.trim_start().starts_with("use ") && after.starts_with(';'))
        };
        is_path
            && !before.ends_with(|c: char| in_name(c) || c == '.' || c == ':')
            && !after.starts_with(in_name)
    })
}

/// The rooms and modules of adit that a line names.
fn named(line: &str) -> impl Iterator<Item = &str> {
    line.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        &rest[..end.unwrap_or(rest.len())]
    })
}

/// `use crate::{a, b}` would hide a name from the search, so it is not used
/// for rooms.
fn hides_a_room(line: &str) -> bool {
    line.contains("crate::{") || line.contains("super::super::super")
}

#[test]
fn no_room_says_a_name_beyond_its_border() {
    let mut wrong = Vec::new();
    for (room, open, forbidden) in BORDERS {
        let files = files_of(room);
        assert!(!files.is_empty(), "the room {room} is not where it was");
        for file in files.iter().filter(|file| !file.ends_with("tests.rs")) {
            for (number, line) in code(file).iter().enumerate() {
                let is_beyond = named(line).any(|name| name != *room && !open.contains(&name));
                let says_it = forbidden.iter().any(|name| says(line, name));
                if is_beyond || says_it || hides_a_room(line) {
                    wrong.push(format!(
                        "{}:{}: {}",
                        file.display(),
                        number + 1,
                        line.trim()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "beyond the border:\n{}", wrong.join("\n"));
}

#[test]
fn every_module_has_its_borders() {
    for entry in fs::read_dir(src()).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy();
        let name = name.trim_start_matches("no_");
        let has_borders = BORDERS.iter().any(|(room, ..)| *room == name);
        assert!(has_borders != OUTSIDE.contains(&name), "{name}");
    }
}

#[test]
fn the_search_finds_what_it_should() {
    for (line, name, expected) in [
        ("use log::warn;", "log", true),
        ("    log::warn!(\"x\");", "log", true),
        ("use log;", "log", true),
        ("let log = dialog::open();", "log", false),
        ("fn f(x: std::time::Instant)", "std::time", true),
        ("use crate::wire::Chunk;", "Chunk", false),
        ("fn f(chunk: Chunk<'_>)", "Chunk", true),
    ] {
        assert_eq!(says(line, name), expected, "{name} in {line}");
    }
    let line = "fn f(x: crate::net::Peer) -> crate::wire_of<crate::tunnel>";
    let rooms: Vec<_> = named(line).collect();
    assert_eq!(rooms, ["net", "wire_of", "tunnel"]);
}

#[test]
fn files_stay_short_enough_to_read() {
    let mut files = Vec::new();
    rust_files(&src(), &mut files);
    for file in files.iter().filter(|file| !file.ends_with("tests.rs")) {
        let lines = code(file).len();
        assert!(
            lines <= 510,
            "{} has {lines} lines without its tests",
            file.display()
        );
    }
}
