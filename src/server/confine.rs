//! What the process gives up once its sockets are open.
//!
//! In this order, since each step takes the rights away that the one before
//! needs: the users' names are looked up, and then, with all sockets open and
//! all files read, come the change of root, the groups, the user and the
//! [sandbox](super::sandbox). None can be taken back; a reload that needs more
//! fails, and [`Confined`] knows the reason.

use log::{info, warn};
use nix::unistd::{Gid, Group, Uid, User, getegid, geteuid, setgid, setuid};
use rustix::fs::{Mode, OFlags};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::sandbox::{self, Allowed};
use super::settings::{Confinement, Sandbox, Settings};
use crate::address::Listen;

/// The first port that is not for root alone, unless the system says otherwise.
const FIRST_FREE_PORT: u16 = 1024;

/// Who the process is to become.
#[derive(Debug, PartialEq, Eq)]
enum Identity {
    /// It stays who it is.
    Same,
    /// It stays root, and nobody said that this is meant.
    StillRoot,
    /// It takes this user and group.
    Other(Uid, Gid),
}

/// The user that was asked for.
#[derive(Debug)]
struct Account {
    name: String,
    uid: Uid,
    /// The group that was asked for.
    group: Option<Gid>,
    /// The group that the user database names.
    primary: Option<Gid>,
}

impl Account {
    /// Looks the names up.
    fn find(user: &str, group: Option<&str>) -> Result<Self, String> {
        let failed = |e| format!("user {user:?}: cannot be looked up: {}", io::Error::from(e));
        let found = match number(user) {
            Some(uid) => User::from_uid(Uid::from_raw(uid)).map_err(failed)?,
            None => User::from_name(user).map_err(failed)?,
        };
        let uid = match (number(user), &found) {
            (Some(uid), _) => Uid::from_raw(uid),
            (None, Some(found)) => found.uid,
            (None, None) => return Err(format!("user {user:?}: there is no such user")),
        };
        let group = match group.map(|group| (group, number(group))) {
            None => None,
            Some((_, Some(gid))) => Some(Gid::from_raw(gid)),
            Some((group, None)) => match Group::from_name(group) {
                Ok(Some(found)) => Some(found.gid),
                Ok(None) => return Err(format!("group {group:?}: there is no such group")),
                Err(e) => {
                    let e = io::Error::from(e);
                    return Err(format!("group {group:?}: cannot be looked up: {e}"));
                }
            },
        };
        Ok(Account {
            name: user.to_owned(),
            uid,
            group,
            primary: found.map(|found| found.gid),
        })
    }

    /// Who a process of this user and group is to become.
    fn identity(wanted: Option<&Account>, uid: Uid, gid: Gid) -> Result<Identity, String> {
        let Some(account) = wanted else {
            return Ok(match uid.is_root() {
                true => Identity::StillRoot,
                false => Identity::Same,
            });
        };
        let name = &account.name;
        if uid.is_root() {
            let group = account.group.or(account.primary).ok_or_else(|| {
                format!("user {name:?}: the user database has no group for it; write group too")
            })?;
            return Ok(Identity::Other(account.uid, group));
        }
        if account.uid != uid {
            return Err(format!(
                "user {name:?}: only root can become somebody else, and adit runs as uid {uid}"
            ));
        }
        match account.group {
            Some(group) if group != gid => Err(format!(
                "group {group}: only root can change it, and adit runs as uid {uid} with gid {gid}"
            )),
            _ => Ok(Identity::Same),
        }
    }
}

fn number(text: &str) -> Option<u32> {
    text.parse().ok()
}

/// What is going to be given up: known to be possible as far as it can be.
#[derive(Debug)]
pub struct Plan {
    identity: Identity,
    name: Option<String>,
    chroot: Option<PathBuf>,
    sandbox: Sandbox,
}

impl Plan {
    /// Looks up who to become.
    ///
    /// # Errors
    /// There is no such user or group, or the process may not become it.
    pub fn new(wanted: &Confinement) -> Result<Self, String> {
        let account = match &wanted.user {
            Some(user) => Some(Account::find(user, wanted.group.as_deref())?),
            None => None,
        };
        let identity = Account::identity(account.as_ref(), geteuid(), getegid())?;
        if wanted.chroot.is_some() && !geteuid().is_root() {
            return Err(format!(
                "chroot: only root can change the root, and adit runs as uid {}",
                geteuid()
            ));
        }
        Ok(Plan {
            identity,
            name: wanted.user.clone(),
            chroot: wanted.chroot.clone(),
            sandbox: wanted.sandbox,
        })
    }

    /// Gives everything up but what is allowed. No other thread may run yet.
    ///
    /// # Errors
    /// What could not be given up; the process must not go on then.
    pub fn carry_out(
        self,
        settings: &Settings,
        allowed: fn(&Settings) -> Allowed,
    ) -> Result<Confined, String> {
        let mut confined = Confined::default();
        if let Some(root) = self.chroot {
            let shown = root.display();
            std::os::unix::fs::chroot(&root)
                .and_then(|()| std::env::set_current_dir("/"))
                .map_err(|e| format!("cannot change the root to {shown}: {e}"))?;
            info!("root changed to {shown}");
            confined.chroot = Some(root);
        }
        match self.identity {
            Identity::Same => {}
            // It is whoever the programs are that it connects.
            Identity::StillRoot if !settings.serves() => {}
            Identity::StillRoot => warn!(
                "running as root: start as another user, or let adit serve become one with \
                 `user`; user = \"root\" says that root is meant"
            ),
            Identity::Other(uid, gid) => {
                become_other(uid, gid)?;
                let name = self.name.unwrap_or_default();
                info!("running as user {name}: uid {uid}, gid {gid}");
                confined.user = (!uid.is_root()).then_some(name);
            }
        }
        if self.sandbox != Sandbox::Off {
            match sandbox::restrict(&allowed(settings)) {
                Ok(in_force) => {
                    info!("sandboxed: {in_force}");
                    confined.sandboxed = true;
                }
                Err(why) if self.sandbox == Sandbox::Require => {
                    return Err(format!("sandbox \"require\": {why}"));
                }
                Err(why) => info!("not sandboxed: {why}"),
            }
        }
        confined.warn_of_unreadable(settings);
        Ok(confined)
    }
}

/// Takes another user and group, real, effective and saved, in all threads.
fn become_other(uid: Uid, gid: Gid) -> Result<(), String> {
    let cannot = |e| format!("cannot become uid {uid}, gid {gid}: {}", io::Error::from(e));
    drop_groups(gid)
        .and_then(|()| setgid(gid))
        .and_then(|()| setuid(uid))
        .map_err(cannot)?;
    if !uid.is_root() && setuid(Uid::from_raw(0)).is_ok() {
        return Err(format!("uid {uid} can become root again; this is not safe"));
    }
    Ok(())
}

/// Leaves the process in this group alone.
#[cfg(not(target_vendor = "apple"))]
fn drop_groups(gid: Gid) -> nix::Result<()> {
    nix::unistd::setgroups(&[gid])
}

/// There, membership is looked up anew whatever the process says.
#[cfg(target_vendor = "apple")]
fn drop_groups(_: Gid) -> nix::Result<()> {
    Err(nix::Error::ENOTSUP)
}

/// What was given up.
#[derive(Debug, Default)]
pub struct Confined {
    /// Whom root has become.
    user: Option<String>,
    chroot: Option<PathBuf>,
    sandboxed: bool,
}

impl Confined {
    /// Warns of files that a reload would not get.
    pub fn warn_of_unreadable(&self, settings: &Settings) {
        let Some(state) = self.state() else {
            return;
        };
        for file in settings.files() {
            if let Err(e) = readable(file) {
                warn!(
                    "{}: cannot be read any more {state}: {e}; no reload until a restart",
                    file.display()
                );
            }
        }
    }

    /// What to add to the reason why a listener cannot be opened, where that
    /// is because of what was given up.
    pub fn excuse(&self, address: &Listen, error: &io::Error) -> String {
        let denied = error.kind() == ErrorKind::PermissionDenied;
        match (address, self.state()) {
            (Listen::Tcp { port, .. }, _) if denied && *port < FIRST_FREE_PORT => {
                match &self.user {
                    Some(user) => format!(
                        "; user {user} may not open a port below {FIRST_FREE_PORT}, only a restart can"
                    ),
                    None => String::new(),
                }
            }
            (Listen::Unix(_), Some(state)) => {
                format!("; adit is confined since its start, {state}, and a restart may do more")
            }
            _ => String::new(),
        }
    }

    /// `as user nobody, in the root /srv, in the sandbox`, if anything.
    fn state(&self) -> Option<String> {
        let user = self.user.as_ref().map(|user| format!("as user {user}"));
        let root = self.chroot.as_ref();
        let root = root.map(|root| format!("in the root {}", root.display()));
        let sandbox = self.sandboxed.then(|| "in the sandbox".to_owned());
        let parts: Vec<_> = user.into_iter().chain(root).chain(sandbox).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

/// Tries to open a file, without waiting for a pipe's writer.
fn readable(file: &Path) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    rustix::fs::open(file, flags, Mode::empty())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(uid: u32, group: Option<u32>, primary: Option<u32>) -> Account {
        Account {
            name: "x".into(),
            uid: Uid::from_raw(uid),
            group: group.map(Gid::from_raw),
            primary: primary.map(Gid::from_raw),
        }
    }

    #[test]
    fn only_root_becomes_somebody_else() {
        let other = |uid, gid| Ok(Identity::Other(Uid::from_raw(uid), Gid::from_raw(gid)));
        for (wanted, uid, expected) in [
            (None, 0, Ok(Identity::StillRoot)),
            (None, 5, Ok(Identity::Same)),
            (Some(account(0, None, Some(0))), 0, other(0, 0)),
            (Some(account(7, None, Some(8))), 0, other(7, 8)),
            (Some(account(7, Some(9), Some(8))), 0, other(7, 9)),
            (Some(account(7, Some(9), None)), 0, other(7, 9)),
            (
                Some(account(7, None, None)),
                0,
                Err("user \"x\": the user database has no group for it; write group too"),
            ),
            (Some(account(5, None, Some(8))), 5, Ok(Identity::Same)),
            (Some(account(5, None, None)), 5, Ok(Identity::Same)),
            (Some(account(5, Some(6), None)), 5, Ok(Identity::Same)),
            (
                Some(account(5, Some(7), None)),
                5,
                Err("group 7: only root can change it, and adit runs as uid 5 with gid 6"),
            ),
            (
                Some(account(0, None, None)),
                5,
                Err("user \"x\": only root can become somebody else, and adit runs as uid 5"),
            ),
        ] {
            let shown = format!("{wanted:?} as {uid}");
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(6));
            let identity = Account::identity(wanted.as_ref(), uid, gid);
            assert_eq!(identity, expected.map_err(str::to_owned), "{shown}");
        }
    }

    #[test]
    fn a_user_is_found_by_name_and_by_number() {
        let root = Account::find("root", None).unwrap();
        assert_eq!((root.uid.as_raw(), root.primary), (0, root.primary));
        let numbers = Account::find("4242424", Some("17")).unwrap();
        assert_eq!(numbers.uid.as_raw(), 4_242_424);
        assert_eq!(numbers.group, Some(Gid::from_raw(17)));
        assert_eq!(numbers.primary, None);
        for (user, group, expected) in [
            (
                "nobody at all",
                None,
                "user \"nobody at all\": there is no such user",
            ),
            (
                "root",
                Some("no such"),
                "group \"no such\": there is no such group",
            ),
        ] {
            assert_eq!(Account::find(user, group).unwrap_err(), expected);
        }
    }

    #[test]
    fn a_listener_that_cannot_be_opened_hears_of_what_was_given_up() {
        let denied = io::Error::from(ErrorKind::PermissionDenied);
        let in_use = io::Error::from(ErrorKind::AddrInUse);
        let free = Confined::default();
        let confined = Confined {
            user: Some("nobody".into()),
            chroot: Some("/srv".into()),
            sandboxed: true,
        };
        for (address, error, expected) in [
            (
                "80",
                &denied,
                "; user nobody may not open a port below 1024, only a restart can",
            ),
            ("8080", &denied, ""),
            ("80", &in_use, ""),
            (
                "unix:/run/s",
                &denied,
                "; adit is confined since its start, as user nobody, in the root /srv, in the \
                 sandbox, and a restart may do more",
            ),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(confined.excuse(&address, error), expected);
            assert_eq!(free.excuse(&address, error), "");
        }
    }
}
