//! The borders between the rooms, held by reading every `use` and path.
//!
//! A line that needs a forbidden name is in the wrong room, or the border is:
//! then the border is moved first, here.

use std::fs;
use std::path::{Path, PathBuf};

/// (room, names that its code may not say)
const BORDERS: &[(&str, &[&str])] = &[
    (
        "wire",
        &[
            "crate::net",
            "crate::tunnel",
            "crate::server",
            "crate::config",
            "crate::cli",
            "crate::demo",
            "crate::address",
            "crate::logging",
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
    (
        "net",
        &[
            "crate::wire",
            "crate::tunnel",
            "crate::server",
            "crate::config",
            "crate::cli",
            "crate::demo",
        ],
    ),
    (
        "tunnel",
        &[
            "mio",
            "crate::server",
            "crate::config",
            "crate::cli",
            "crate::demo",
            "std::net::TcpStream",
            "std::net::TcpListener",
        ],
    ),
    (
        "server",
        &[
            "crate::wire",
            "crate::config",
            "crate::cli",
            "crate::demo",
            "Opcode",
            "Frame",
            "Chunk",
            "httparse",
        ],
    ),
    (
        "logging",
        &[
            "crate::wire",
            "crate::net",
            "crate::tunnel",
            "crate::server",
            "crate::config",
            "crate::cli",
            "crate::demo",
            "mio",
        ],
    ),
    ("config", &["crate::cli", "crate::demo", "mio"]),
    ("demo", &["crate::cli", "crate::config", "mio"]),
];

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

/// `use crate::{a, b}` would hide a name from the search, so it is not used
/// for rooms.
fn hides_a_room(line: &str) -> bool {
    line.contains("crate::{") || line.contains("super::super::super")
}

#[test]
fn no_room_says_a_name_beyond_its_border() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for (room, forbidden) in BORDERS {
        let mut files = Vec::new();
        rust_files(&src.join(room), &mut files);
        assert!(files.len() > 1, "the room {room} is not where it was");
        for file in files.iter().filter(|file| !file.ends_with("tests.rs")) {
            for (number, line) in code(file).iter().enumerate() {
                let name = forbidden.iter().find(|name| says(line, name));
                if name.is_some() || hides_a_room(line) {
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
fn the_search_finds_what_it_should() {
    for (line, name, expected) in [
        ("use log::warn;", "log", true),
        ("    log::warn!(\"x\");", "log", true),
        ("use log;", "log", true),
        ("let log = dialog::open();", "log", false),
        ("use crate::net::Transport;", "crate::net", true),
        ("use crate::network;", "crate::net", false),
        ("fn f(x: std::time::Instant)", "std::time", true),
        ("use crate::wire::Chunk;", "Chunk", false),
        ("fn f(chunk: Chunk<'_>)", "Chunk", true),
    ] {
        assert_eq!(says(line, name), expected, "{name} in {line}");
    }
}

#[test]
fn files_stay_short_enough_to_read() {
    let mut files = Vec::new();
    rust_files(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    for file in files.iter().filter(|file| !file.ends_with("tests.rs")) {
        let lines = code(file).len();
        assert!(
            lines <= 510,
            "{} has {lines} lines without its tests",
            file.display()
        );
    }
}
