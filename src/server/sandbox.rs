//! What the process may still do with files once it runs: Linux's Landlock,
//! and no new privileges.
//!
//! Everything that is not listed here is forbidden for good, to this thread
//! and to those that it starts later: so it comes after the sockets are open
//! and before any thread. What is listed is what a reload needs: to read its
//! files, to make and remove sockets beside those that are there, and to look
//! up names. Nothing can be written and nothing executed; a library is loaded
//! by reading it.
//!
//! A rule holds for a folder as it was when the rule was made. Files get
//! replaced rather than rewritten, so a file is always allowed with its folder.
//!
//! The network is left alone: which ports a reload will want cannot be known,
//! and to connect is what this program is for. Unix sockets are reached
//! without a right in the ABIs whose rights are handled here; the one that
//! came with ABI 9 (`ResolveUnix`) and the scope of abstract sockets would cut
//! backends off and are left out.

use std::fs;
use std::path::{Path, PathBuf};

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

/// The folders that stay open, and what for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Everything below may be read.
    pub read: Vec<PathBuf>,
    /// Below, sockets may be made, and files removed.
    pub sockets: Vec<PathBuf>,
}

impl Allowed {
    /// What a reload of these settings needs. Looks at the file system, to
    /// follow links.
    pub fn to_reload(settings: &Settings) -> Self {
        let mut allowed = Allowed::default();
        let lookup = LOOKUP.iter().map(Path::new);
        for path in settings.files().chain(lookup) {
            add(&mut allowed.read, folder(path));
            if let Ok(target) = fs::canonicalize(path) {
                add(&mut allowed.read, folder(&target));
            }
        }
        for listener in &settings.listeners {
            if let Listen::Unix(path) = &listener.address {
                add(&mut allowed.sockets, parent(path));
            }
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

/// Forbids everything else. Returns what is in force.
///
/// # Errors
/// Why nothing is.
#[cfg(target_os = "linux")]
pub fn restrict(allowed: &Allowed) -> Result<String, String> {
    use landlock::{LandlockStatus, RulesetStatus};

    // Threads that run already would stay free where the kernel is older than
    // ABI 8, which is the first to reach them.
    let threads = fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    let status = landlock(allowed).map_err(|e| e.to_string())?;
    let abi = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi,
        LandlockStatus::NotEnabled => return Err("Landlock is not enabled at boot".into()),
        LandlockStatus::NotImplemented => {
            return Err("the kernel has no Landlock; Linux has it since 5.13".into());
        }
    };
    if status.ruleset == RulesetStatus::NotEnforced {
        return Err("the kernel does not enforce the rules".into());
    }
    if threads > 1 && !status.all_threads {
        return Err(format!("{} threads run outside of it", threads - 1));
    }
    Ok(format!("Landlock ABI {abi} and no new privileges"))
}

#[cfg(target_os = "linux")]
fn landlock(allowed: &Allowed) -> Result<landlock::RestrictionStatus, landlock::RulesetError> {
    use landlock::{
        ABI, Access, AccessFs, PathBeneath, PathFd, RestrictSelfAttr, Ruleset, RulesetAttr,
        RulesetCreatedAttr, Scope,
    };

    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V5))?
        .scope(Scope::Signal)?
        .create()?
        .all_threads(true)?;
    let read = allowed.read.iter();
    let read = read.map(|path| (path, AccessFs::ReadFile | AccessFs::ReadDir, "read"));
    let sockets = allowed.sockets.iter();
    let make = AccessFs::MakeSock | AccessFs::RemoveFile;
    let sockets = sockets.map(|path| (path, make, "make and remove sockets in"));
    for (path, rights, what) in read.chain(sockets) {
        match PathFd::new(path) {
            Ok(folder) => {
                ruleset = ruleset.add_rule(PathBeneath::new(folder, rights))?;
                log::debug!("sandbox: may {what} {}", path.display());
            }
            // A reload could not use it either.
            Err(e) => log::debug!("sandbox: no right to {what} {}: {e}", path.display()),
        }
    }
    ruleset.restrict_self()
}

/// Forbids everything else. Returns what is in force.
///
/// # Errors
/// Always: there is no Landlock.
#[cfg(not(target_os = "linux"))]
pub fn restrict(_: &Allowed) -> Result<String, String> {
    Err("only Linux has Landlock".into())
}

#[cfg(test)]
mod tests {
    use super::*;
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
            listeners: vec![ListenerSettings {
                address: Listen::Unix(socket),
                mode: None,
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
    }

    #[test]
    fn a_bare_name_lies_in_the_present_folder() {
        assert_eq!(parent(Path::new("adit.toml")), Path::new("."));
        assert_eq!(parent(Path::new("/adit.toml")), Path::new("/"));
        assert_eq!(parent(Path::new("/")), Path::new("/"));
    }
}
