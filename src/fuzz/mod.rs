//! What the fuzzer runs: one function for each target, from any bytes at all
//! to nothing, or a panic that says which rule was broken.
//!
//! A target does not only look for panics. It says what has to hold whatever
//! the bytes are: that the cuts between reads change nothing, that what was
//! encoded is decoded again, that a tunnel loses nothing it took. The front of
//! the bytes decides such things as the cuts; the rest is what a peer sends,
//! as it is, so a packet capture is a good seed.
//!
//! `tests/fuzz` is the program around this, and `tests/fuzz/seeds` has the
//! bytes to begin with, also those that once found something. The test below
//! runs them all, and some random bytes too: what the fuzzer calls keeps its
//! meaning though the fuzzer is not run.

#[cfg_attr(not(feature = "connect"), path = "no_far.rs")]
mod far;
#[cfg(feature = "config-file")]
mod files;
mod heads;
mod model;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "auth")]
mod tokens;
mod tunnel;
mod wire;

/// A name, as in `tests/fuzz/targets`, and what runs under it.
pub type Target = (&'static str, fn(&[u8]));

/// All targets that this build can run.
pub const TARGETS: &[Target] = &[
    ("answers", heads::answers),
    #[cfg(feature = "tls")]
    ("certificate", tls::certificate),
    #[cfg(feature = "config-file")]
    ("config", files::config),
    #[cfg(feature = "connect")]
    ("far", far::operations),
    ("frames", wire::frames),
    ("framing_decode", wire::framing_decode),
    ("framing_encode", wire::framing_encode),
    ("proxy_protocol", heads::proxy_protocol),
    ("request", heads::request),
    ("text", wire::text),
    #[cfg(feature = "tls")]
    ("tls", tls::records),
    #[cfg(feature = "auth")]
    ("tokens", tokens::tokens),
    ("tunnel", tunnel::operations),
];

/// Runs the target of this name.
///
/// # Panics
/// If it found something, or there is no such target.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, target) = target.expect("a target of the list");
    target(bytes);
}

/// Bytes that decide something, one after the other; zeros when none are left.
struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    fn number(&mut self) -> usize {
        usize::from(u16::from_le_bytes([self.byte(), self.byte()]))
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::from(self.byte()) % all.len()]
    }

    /// As many bytes as they are, or as there are.
    fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn cuts(&mut self) -> Cuts {
        Cuts {
            longest: usize::from(self.byte()) + 1,
            state: u32::from(self.byte()),
        }
    }
}

/// Where reads end: after as many bytes or fewer, as a sequence has it that
/// looks random and is always the same.
#[derive(Clone, Copy, Debug)]
struct Cuts {
    longest: usize,
    state: u32,
}

impl Cuts {
    fn next(&mut self) -> usize {
        self.state = self
            .state
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        1 + (self.state >> 16) as usize % self.longest
    }

    fn cut<'b>(&mut self, mut bytes: &'b [u8]) -> Vec<&'b [u8]> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(self.next().min(bytes.len()));
            pieces.push(piece);
            bytes = rest;
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::{Path, PathBuf};

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
    }

    fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let mut seeds = Vec::new();
        for entry in fs::read_dir(folder().join("seeds").join(target)).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            seeds.push((path, bytes));
        }
        seeds
    }

    #[test]
    fn each_target_has_its_line_for_the_fuzzer() {
        let manifest = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
        for (name, _) in TARGETS {
            let path = format!("targets/{name}.rs");
            assert!(manifest.contains(&format!("name = \"{name}\"\npath = \"{path}\"\n")));
            let source = fs::read_to_string(folder().join(path)).unwrap();
            assert!(source.contains(&format!("adit::fuzz::run(\"{name}\", bytes)")));
        }
    }

    #[test]
    fn no_seed_finds_anything() {
        for (name, target) in TARGETS {
            let seeds = seeds(name);
            assert!(!seeds.is_empty(), "{name} has nothing to begin with");
            for (path, bytes) in seeds {
                println!("{}", path.display());
                target(&bytes);
            }
        }
    }

    #[test]
    fn seeds_that_are_changed_find_nothing() {
        for (name, target) in TARGETS {
            let seeds = seeds(name);
            arbtest::arbtest(|u| {
                let mut bytes = u.choose(&seeds)?.1.clone();
                for _ in 0..u.int_in_range(0..=8)? {
                    let at = u.int_in_range(0..=bytes.len())?;
                    match u.int_in_range(0..=2)? {
                        0 => bytes.insert(at, u.arbitrary()?),
                        1 if at < bytes.len() => bytes[at] = u.arbitrary()?,
                        _ => bytes.truncate(at),
                    }
                }
                target(&bytes);
                Ok(())
            });
        }
    }
}
