//! What the process may still do with files once it runs: Linux's Landlock,
//! and no new privileges.
//!
//! Everything that is not listed here is forbidden for good, to this thread
//! and to those that it starts later: so it comes after the sockets are open
//! and before any thread. What is listed is what a reload needs: to read its
//! files, to make and remove sockets beside those that are there, and to look
//! up names; what the admin pages tell of this process; and, at the end, to
//! remove the pid file. Nothing can be written and nothing executed; a library
//! is loaded by reading it.
//!
//! A rule holds for a folder as it was when the rule was made. Files get
//! replaced rather than rewritten, so a file is always allowed with its folder.
//!
//! The network is left alone: which ports a reload will want cannot be known,
//! and to connect is what this program is for. Unix sockets are reached
//! without a right in the ABIs whose rights are handled here; the one that
//! came with ABI 9 (`ResolveUnix`) and the scope of abstract sockets would cut
//! backends off and are left out.

#[cfg_attr(
    not(all(target_os = "linux", feature = "sandbox")),
    path = "sandbox/no_landlock.rs"
)]
mod landlock;

pub use landlock::restrict;

use std::fs;
use std::path::{Path, PathBuf};

use super::backends::literal;
use super::settings::Settings;
use crate::address::Listen;

/// What a lookup of names reads: the files that say how (resolv.conf(5),
/// nsswitch.conf(5), gai.conf(5), hosts(5)), of which some may be links to
/// elsewhere, and the libraries that do it.
const LOOKUP: &[&str] = &[
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/etc/hosts",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
];

/// What the kernel tells of this process, for the admin pages.
const SELF: &str = "/proc/self";

/// The folders that stay open, and what for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Everything below may be read.
    pub read: Vec<PathBuf>,
    /// Below, sockets may be made, and files removed.
    pub sockets: Vec<PathBuf>,
    /// Below, files may be removed.
    pub remove: Vec<PathBuf>,
}

impl Allowed {
    /// What one connection needs: nothing, where all that these settings name is
    /// known before it is served.
    pub fn to_serve_one(settings: &Settings) -> Self {
        let mut backends = settings.routes.iter().flat_map(|route| &route.backends);
        let looks_up = backends.any(|backend| literal(backend).is_none());
        match looks_up || settings.files().next().is_some() {
            true => Allowed::to_reload(settings),
            false => Allowed::default(),
        }
    }

    /// What a reload of these settings needs, and a clean end. Looks at the file system, to
    /// follow links.
    pub fn to_reload(settings: &Settings) -> Self {
        let mut allowed = Allowed::default();
        let system = LOOKUP.iter().copied().chain([SELF]).map(Path::new);
        for path in settings.files().chain(system) {
            add(&mut allowed.read, folder(path));
            if let Ok(target) = fs::canonicalize(path) {
                add(&mut allowed.read, folder(&target));
            }
        }
        for address in settings.addresses() {
            if let Listen::Unix(path) = address {
                add(&mut allowed.sockets, parent(path));
            }
        }
        if let Some(path) = &settings.pid_file {
            add(&mut allowed.remove, parent(path));
        }
        allowed
    }
}

/// Adds a folder under its real name, if there is one and it is new.
fn add(folders: &mut Vec<PathBuf>, folder: &Path) {
    match fs::canonicalize(folder) {
        Ok(folder) if !folders.contains(&folder) => folders.push(folder),
        _ => {}
    }
}

/// What to keep of a file: its folder. A folder is kept itself.
fn folder(path: &Path) -> &Path {
    match path.is_dir() {
        true => path,
        false => parent(path),
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Manner;
    use crate::server::ListenerSettings;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_file_is_allowed_where_it_is_named_and_where_it_lies() {
        let base = std::env::temp_dir().join(format!("adit-sandbox-{}", std::process::id()));
        for folder in ["named", "lies", "sockets"] {
            fs::create_dir_all(base.join(folder)).unwrap();
        }
        let base = fs::canonicalize(base).unwrap();
        fs::write(base.join("lies/real"), "").unwrap();
        symlink("../lies/real", base.join("named/link")).unwrap();
        let socket = base.join("sockets/s");
        let allowed = Allowed::to_reload(&Settings {
            file: Some(base.join("named/link")),
            pid_file: Some(base.join("lies/pid")),
            listeners: vec![ListenerSettings {
                address: Listen::Unix(socket),
                manner: Manner::default(),
                accept_proxy: false,
                tls: None,
            }],
            ..Settings::default()
        });
        fs::remove_dir_all(&base).unwrap();
        assert_eq!(allowed.read[..2], [base.join("named"), base.join("lies")]);
        let rest = &allowed.read[2..];
        assert!(rest.contains(&PathBuf::from("/etc")), "{rest:?}");
        assert!(rest.iter().all(|path| !base.starts_with(path)), "{rest:?}");
        assert_eq!(allowed.sockets, [base.join("sockets")]);
        assert_eq!(allowed.remove, [base.join("lies")]);
    }

    #[test]
    fn a_bare_name_lies_in_the_present_folder() {
        assert_eq!(parent(Path::new("adit.toml")), Path::new("."));
        assert_eq!(parent(Path::new("/adit.toml")), Path::new("/"));
        assert_eq!(parent(Path::new("/")), Path::new("/"));
    }
}
