//! What the files say, kept up to date.
//!
//! All files are read before the first client comes, and one that has
//! mistakes keeps the server from starting. Later, when clients come, their
//! stamps are looked at, at most once a second, and a file that has changed is
//! read again. That happens in the loop: files here are local, and small by a
//! limit. One that is then missing or has mistakes is reported, once, and what
//! it said before still holds.

use super::htpasswd::Htpasswd;
use super::jwt::Key;
use super::token_file::TokenFile;
use super::token_map::TokenMap;
use crate::mistake::Mistake;
use crate::tunnel::policy::Route;
use log::{error, info};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Most bytes of a file.
const MAX_FILE: u64 = 1 << 20;

/// How long a look at the stamps is good for.
const GLANCE: Duration = Duration::from_secs(1);

/// A file's content.
trait Content: Sized {
    /// What it is, as it is said where it cannot be read.
    const WHAT: &'static str;

    /// Reads the file.
    fn read(path: &Path) -> Result<Self, Vec<Mistake>>;

    /// What is not wrong, and yet not well.
    fn warnings(&self, _path: &Path) -> Vec<Mistake> {
        Vec::new()
    }
}

/// The files of one kind.
#[derive(Debug)]
struct Shelf<T>(BTreeMap<PathBuf, Kept<T>>);

/// A file as it was last read.
#[derive(Debug)]
struct Kept<T> {
    /// Of what was read, not of what could not be.
    stamp: Stamp,
    content: Arc<T>,
    /// Why it could not be read since.
    faults: Vec<Mistake>,
}

impl<T> Kept<T> {
    fn new(stamp: Stamp, content: Arc<T>) -> Self {
        let faults = Vec::new();
        Kept {
            stamp,
            content,
            faults,
        }
    }
}

// Derived, they would ask for T to be the same.
impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Shelf(BTreeMap::new())
    }
}

impl<T> Clone for Shelf<T> {
    fn clone(&self) -> Self {
        let kept = |(path, kept): (&PathBuf, &Kept<T>)| {
            let (stamp, content) = (kept.stamp.clone(), kept.content.clone());
            (path.clone(), Kept::new(stamp, content))
        };
        Shelf(self.0.iter().map(kept).collect())
    }
}

/// All files of all routes.
#[derive(Clone, Debug, Default)]
pub struct Vault {
    tokens: Shelf<TokenFile>,
    keys: Shelf<Key>,
    passwords: Shelf<Htpasswd>,
    maps: Shelf<TokenMap>,
    looked: Option<Instant>,
}

impl Vault {
    /// Reads what these routes need. A file that cannot be read any more is
    /// taken as this vault has it, if it does. May block.
    ///
    /// # Errors
    /// All mistakes of all files.
    pub fn load(&self, routes: &[Route]) -> Result<Vault, Vec<Mistake>> {
        let mut faults = Vec::new();
        let paths = |of: fn(&Route) -> &Option<PathBuf>| {
            routes.iter().filter_map(move |route| of(route).as_ref())
        };
        let vault = Vault {
            tokens: self.tokens.load(paths(|r| &r.auth.token_file), &mut faults),
            keys: self
                .keys
                .load(paths(|r| &r.auth.hmac_key_file), &mut faults),
            passwords: self
                .passwords
                .load(paths(|r| &r.auth.basic_file), &mut faults),
            maps: self.maps.load(paths(|r| &r.token_map), &mut faults),
            looked: None,
        };
        match faults.is_empty() {
            true => Ok(vault),
            false => Err(faults),
        }
    }

    /// Reads again what has changed, unless that was looked at just now.
    pub fn refresh(&mut self, now: Instant) {
        let is_fresh = |at| now.saturating_duration_since(at) < GLANCE;
        if self.looked.is_some_and(is_fresh) {
            return;
        }
        self.looked = Some(now);
        self.tokens.refresh();
        self.keys.refresh();
        self.passwords.refresh();
        self.maps.refresh();
    }

    /// What is not wrong with the files, and yet not well.
    pub fn warnings(&self) -> Vec<Mistake> {
        [self.tokens.warnings(), self.keys.warnings()].concat()
    }

    /// For each token that is for a backend which none of the routes with its
    /// file lists: that nobody can use it.
    pub fn unusable(&self, routes: &[Route]) -> Vec<Mistake> {
        let mut faults = Vec::new();
        for (path, kept) in &self.tokens.0 {
            for known in kept.content.known() {
                let Some(backend) = &known.backend else {
                    continue;
                };
                let lists = |route: &Route| {
                    route.auth.token_file.as_ref() == Some(path) && route.backends.contains(backend)
                };
                if !routes.iter().any(lists) {
                    faults.push(Mistake {
                        file: path.clone(),
                        line: Some(known.line),
                        text: "column 3, the backend: no route with this file lists it".to_owned(),
                    });
                }
            }
        }
        faults
    }

    /// The tokens of this file.
    pub fn tokens(&self, path: &Path) -> Option<&TokenFile> {
        self.tokens.get(path)
    }

    /// The key of this file.
    pub fn key(&self, path: &Path) -> Option<&Key> {
        self.keys.get(path)
    }

    /// The users of this file.
    pub fn passwords(&self, path: &Path) -> Option<&Htpasswd> {
        self.passwords.get(path)
    }

    /// The targets of this file or directory.
    pub fn map(&self, path: &Path) -> Option<&TokenMap> {
        self.maps.get(path)
    }
}

impl<T: Content> Shelf<T> {
    fn get(&self, path: &Path) -> Option<&T> {
        self.0.get(path).map(|kept| &*kept.content)
    }

    fn load<'r>(
        &self,
        paths: impl Iterator<Item = &'r PathBuf>,
        faults: &mut Vec<Mistake>,
    ) -> Shelf<T> {
        let mut shelf = Shelf::default();
        // Once each, however many routes name it.
        for path in paths.collect::<BTreeSet<_>>() {
            // First the stamp: what changes meanwhile is then read again.
            let stamp = stamp(path);
            let kept = match (T::read(path), self.0.get(path)) {
                (Ok(content), _) => Kept::new(stamp, Arc::new(content)),
                (Err(found), Some(old)) => {
                    keeping(path, &found);
                    let mut kept = Kept::new(old.stamp.clone(), old.content.clone());
                    kept.faults = found;
                    kept
                }
                (Err(found), None) => {
                    faults.extend(found);
                    continue;
                }
            };
            shelf.0.insert(path.clone(), kept);
        }
        shelf
    }

    fn refresh(&mut self) {
        for (path, kept) in &mut self.0 {
            let now = stamp(path);
            if kept.stamp == now {
                kept.faults.clear();
                continue;
            }
            match T::read(path) {
                Ok(content) => {
                    *kept = Kept::new(now, Arc::new(content));
                    info!("read {} again", path.display());
                }
                // What failed may work the next time, without another stamp.
                Err(faults) if faults == kept.faults => {}
                Err(faults) => {
                    keeping(path, &faults);
                    kept.faults = faults;
                }
            }
        }
    }

    fn warnings(&self) -> Vec<Mistake> {
        let of = |(path, kept): (&PathBuf, &Kept<T>)| kept.content.warnings(path);
        self.0.iter().flat_map(of).collect()
    }
}

fn keeping(path: &Path, faults: &[Mistake]) {
    let lines: Vec<_> = faults.iter().map(|fault| format!("\n{fault}")).collect();
    let path = path.display();
    error!(
        "cannot read {path}, keeping what it said before:{}",
        lines.concat()
    );
}

/// What tells that a file has changed: for each file the device and inode, the
/// size, and the times of the last change of content and of the inode. Nothing
/// for what is not there.
type Stamp = Vec<[i128; 5]>;

fn stamp(path: &Path) -> Stamp {
    let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    let of = |data: &Metadata| {
        [
            i128::from(data.dev()),
            i128::from(data.ino()),
            i128::from(data.size()),
            nanos(data.mtime(), data.mtime_nsec()),
            nanos(data.ctime(), data.ctime_nsec()),
        ]
    };
    let mut stamp: Stamp = fs::metadata(path).iter().map(of).collect();
    for file in files_in(path).unwrap_or_default() {
        stamp.extend(fs::metadata(file).iter().map(of));
    }
    stamp
}

/// The files in a directory by name, without hidden ones; none in a file.
fn files_in(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            if !name.starts_with(b".") && path.is_file() {
                files.push(path);
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn whole(file: &Path, text: impl fmt::Display) -> Vec<Mistake> {
    vec![Mistake {
        file: file.to_owned(),
        line: None,
        text: text.to_string(),
    }]
}

/// A file's bytes. Only a regular file is opened: a pipe would have the loop
/// wait.
fn bytes(path: &Path, what: &str) -> Result<Vec<u8>, Vec<Mistake>> {
    let cannot = |e: io::Error| whole(path, format_args!("{what} cannot be read: {e}"));
    if !fs::metadata(path).map_err(cannot)?.is_file() {
        return Err(whole(path, "no regular file"));
    }
    let (file, mut bytes) = (File::open(path).map_err(cannot)?, Vec::new());
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    match bytes.len() as u64 {
        ..=MAX_FILE => Ok(bytes),
        _ => Err(whole(
            path,
            format_args!("more than the {MAX_FILE} bytes that are allowed"),
        )),
    }
}

fn text(path: &Path, what: &str) -> Result<String, Vec<Mistake>> {
    let not_text = |_| whole(path, "bytes that are not UTF-8");
    String::from_utf8(bytes(path, what)?).map_err(not_text)
}

/// Gives each fault its file.
fn at(path: &Path) -> impl Fn(Vec<(usize, String)>) -> Vec<Mistake> + '_ {
    |faults| {
        let fault = |(line, text)| Mistake {
            file: path.to_owned(),
            line: Some(line),
            text,
        };
        faults.into_iter().map(fault).collect()
    }
}

impl Content for TokenFile {
    const WHAT: &'static str = "the tokens";

    fn read(path: &Path) -> Result<Self, Vec<Mistake>> {
        TokenFile::parse(&text(path, Self::WHAT)?).map_err(at(path))
    }

    fn warnings(&self, path: &Path) -> Vec<Mistake> {
        let short = self.known().iter().filter(|known| known.is_short);
        let fault = |line| Mistake {
            file: path.to_owned(),
            line: Some(line),
            text: "a token of fewer than 16 characters can be guessed".to_owned(),
        };
        short.map(|known| fault(known.line)).collect()
    }
}

impl Content for Key {
    const WHAT: &'static str = "the signing key";

    fn read(path: &Path) -> Result<Self, Vec<Mistake>> {
        Key::new(&bytes(path, Self::WHAT)?).map_err(|why| whole(path, why))
    }

    fn warnings(&self, path: &Path) -> Vec<Mistake> {
        match fs::metadata(path).map(|data| data.mode() & 0o777) {
            Ok(mode) if mode & 0o077 != 0 => whole(
                path,
                format_args!("mode {mode:04o} lets others than its owner read the key; use 0600"),
            ),
            _ => Vec::new(),
        }
    }
}

impl Content for Htpasswd {
    const WHAT: &'static str = "the passwords";

    fn read(path: &Path) -> Result<Self, Vec<Mistake>> {
        Htpasswd::parse(&text(path, Self::WHAT)?).map_err(at(path))
    }
}

impl Content for TokenMap {
    const WHAT: &'static str = "the token map";

    fn read(path: &Path) -> Result<Self, Vec<Mistake>> {
        let (mut map, mut faults) = (TokenMap::default(), Vec::new());
        let cannot = |e: io::Error| whole(path, format_args!("{} cannot be read: {e}", Self::WHAT));
        let files = match path.is_dir() {
            true => files_in(path).map_err(cannot)?,
            false => vec![path.to_owned()],
        };
        for file in files {
            match text(&file, Self::WHAT) {
                Ok(text) => faults.extend(
                    map.add(&text)
                        .map_err(at(&file))
                        .err()
                        .into_iter()
                        .flatten(),
                ),
                Err(found) => faults.extend(found),
            }
        }
        match faults.is_empty() {
            true => Ok(map),
            false => Err(faults),
        }
    }
}

/// The key of this file, for `adit token`, and what is not well with it.
///
/// # Errors
/// Why it is no key.
pub fn read_key(path: &Path) -> Result<(Key, Vec<Mistake>), Vec<Mistake>> {
    let key = Key::read(path)?;
    let warnings = key.warnings(path);
    Ok((key, warnings))
}
