//! The file with the process's number, for those who want to signal it.
//!
//! A number alone proves nothing: the process may be gone and its number
//! another's. So whoever runs holds a lock on its file, which the kernel takes
//! off whatever happens. A file without a lock is stale and replaced.
//!
//! The file appears whole: it is written under another name and locked there.
//! The name is then taken by a hard link, which fails if somebody else was
//! faster, or from a stale file whose lock is held meanwhile.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use log::debug;
use rustix::fs::{FlockOperation, flock};

/// How often somebody else may come first.
const TRIES: usize = 16;

/// What a number and its line end are never longer than.
const LONGEST: u64 = 32;

/// The file, held until it is dropped.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    file: File,
}

impl PidFile {
    /// Writes the number of this process.
    ///
    /// # Errors
    /// Somebody who runs holds the file, it is none of this kind, or it cannot
    /// be written.
    pub fn take(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let number = std::process::id();
        let mut draft = path.as_os_str().to_owned();
        draft.push(format!(".{number}"));
        let cannot = |e: io::Error| format!("cannot write the pid file {shown}: {e}");
        let file = write(draft.as_ref(), number).map_err(cannot)?;
        let taken = publish(draft.as_ref(), path);
        // After a rename it is not there any more.
        let _ = fs::remove_file(&draft);
        match taken.map_err(cannot)? {
            Taken::Yes => Ok(PidFile {
                path: path.to_owned(),
                file,
            }),
            Taken::Held(Some(pid)) => Err(format!("{shown} is held by a running adit (pid {pid})")),
            Taken::Held(None) => Err(format!("{shown} is held by a running process")),
            Taken::Other => Err(format!(
                "{shown} is there already and is no pid file; remove it"
            )),
        }
    }
}

impl Drop for PidFile {
    /// Removes the file where it can still be reached; else empties it.
    fn drop(&mut self) {
        let is_there = is_at(&self.file, &self.path).unwrap_or(false);
        let removed = match is_there {
            true => fs::remove_file(&self.path),
            false => Err(ErrorKind::NotFound.into()),
        };
        if let Err(e) = removed {
            let emptied = self.file.set_len(0);
            debug!(
                "cannot remove {}: {e}; emptied: {emptied:?}",
                self.path.display()
            );
        }
    }
}

/// What became of a try to get the name.
enum Taken {
    Yes,
    /// By the process that the file names.
    Held(Option<u32>),
    /// By a file that is no pid file.
    Other,
}

fn write(draft: &Path, number: u32) -> io::Result<File> {
    let mut file = match create(draft) {
        // Of an earlier process with this number: it has ended half-way.
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            fs::remove_file(draft)?;
            create(draft)?
        }
        created => created?,
    };
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    writeln!(file, "{number}")?;
    Ok(file)
}

fn create(draft: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o644).open(draft)
}

/// Gives the draft its name.
fn publish(draft: &Path, path: &Path) -> io::Result<Taken> {
    for _ in 0..TRIES {
        // A name that is a link or a device is to be neither followed nor replaced.
        if fs::symlink_metadata(path).is_ok_and(|there| !there.is_file()) {
            return Ok(Taken::Other);
        }
        let mut stale = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(stale) => stale,
            Err(e) if e.kind() == ErrorKind::NotFound => match fs::hard_link(draft, path) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => continue,
                linked => return linked.map(|()| Taken::Yes),
            },
            Err(e) => return Err(e),
        };
        let mut text = String::new();
        let read = (&mut stale).take(LONGEST).read_to_string(&mut text);
        let pid = text.trim().parse().ok();
        match flock(&stale, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) if !is_at(&stale, path)? => continue,
            Ok(()) if pid.is_none() && (read.is_err() || !text.is_empty()) => {
                return Ok(Taken::Other);
            }
            Ok(()) => return fs::rename(draft, path).map(|()| Taken::Yes),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(Taken::Held(pid)),
            Err(e) => return Err(e.into()),
        }
    }
    Err(ErrorKind::ResourceBusy.into())
}

/// Whether this very file has the name.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let here = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((here.dev(), here.ino()) == (there.dev(), there.ino())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A folder that is removed again.
    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str) -> Self {
            let name = format!("adit-pid-{test}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
            entries
                .map(|entry| name(entry).into_string().unwrap())
                .collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn who_runs_holds_the_file_until_the_end() {
        let folder = Folder::new("held");
        let path = folder.0.join("pid");
        let held = PidFile::take(&path).unwrap();
        let number = std::process::id();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{number}\n"));
        let refused = PidFile::take(&path).unwrap_err();
        let expected = format!(
            "{} is held by a running adit (pid {number})",
            path.display()
        );
        assert_eq!(refused, expected);
        assert_eq!(folder.names(), ["pid"]);
        drop(held);
        assert!(folder.names().is_empty());
    }

    #[test]
    fn a_file_that_nobody_holds_is_stale() {
        let folder = Folder::new("stale");
        let path = folder.0.join("pid");
        for stale in ["", "1\n", "4194305", "7 \n"] {
            fs::write(&path, stale).unwrap();
            let held = PidFile::take(&path).unwrap();
            let written = fs::read_to_string(&path).unwrap();
            assert_eq!(written, format!("{}\n", std::process::id()), "{stale:?}");
            drop(held);
        }
    }

    #[test]
    fn what_is_no_pid_file_stays() {
        let folder = Folder::new("other");
        let path = folder.0.join("pid");
        for other in [&b"root:x:0:0"[..], b"-1", b"\xff", b" ", &[b'1'; 100]] {
            fs::write(&path, other).unwrap();
            let refused = PidFile::take(&path).unwrap_err();
            assert!(refused.ends_with("is no pid file; remove it"), "{refused}");
            assert_eq!(fs::read(&path).unwrap(), other);
        }
        fs::remove_file(&path).unwrap();
        symlink("elsewhere", &path).unwrap();
        for there in [path.as_path(), Path::new("/dev/null"), &folder.0] {
            let refused = PidFile::take(there).unwrap_err();
            assert!(
                refused.contains("is no pid file") || refused.contains("cannot"),
                "{refused}"
            );
        }
        assert_eq!(folder.names(), ["pid"]);
        let missing = PidFile::take(&folder.0.join("no/pid")).unwrap_err();
        assert!(
            missing.starts_with("cannot write the pid file "),
            "{missing}"
        );
    }

    #[test]
    fn a_file_that_somebody_replaced_is_not_removed() {
        let folder = Folder::new("replaced");
        let path = folder.0.join("pid");
        let held = PidFile::take(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "other").unwrap();
        drop(held);
        assert_eq!(fs::read_to_string(&path).unwrap(), "other");
    }
}
