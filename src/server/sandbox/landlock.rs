//! Landlock (landlock(7)), through its crate.

use super::Allowed;
use landlock::{
    ABI, Access, AccessFs, LandlockStatus, PathBeneath, PathFd, RestrictSelfAttr,
    RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus,
    Scope,
};
use std::fs;

/// Forbids everything else. Returns what is in force.
///
/// # Errors
/// Why nothing is.
pub fn restrict(allowed: &Allowed) -> Result<String, String> {
    // Threads that run already would stay free where the kernel is older than
    // ABI 8, which is the first to reach them.
    let threads = fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    let status = enforce(allowed).map_err(|e| e.to_string())?;
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

fn enforce(allowed: &Allowed) -> Result<RestrictionStatus, RulesetError> {
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
    let remove = allowed.remove.iter();
    let remove = remove.map(|path| (path, AccessFs::RemoveFile.into(), "remove files in"));
    for (path, rights, what) in read.chain(sockets).chain(remove) {
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
