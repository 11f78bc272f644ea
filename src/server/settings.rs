//! What the server is told before it starts, and again at each reload.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::guard::Limits;
use crate::address::Listen;
use crate::net::Manner;
use crate::net::tls_files::ServerTls;
use crate::tunnel::identity::Trusted;
use crate::tunnel::pages::Page;
use crate::tunnel::policy::{Route, route};
use crate::tunnel::remote::Remote;

/// Everything the loop needs to know; made by `config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where to listen.
    pub listeners: Vec<ListenerSettings>,
    /// Where the admin pages are; `None`: nowhere.
    pub admin: Option<Listen>,
    /// Where requests go.
    pub routes: Vec<Route>,
    /// What is served where no WebSocket is asked for.
    pub pages: Vec<Page>,
    /// How long a request head may take to arrive.
    pub handshake_timeout: Duration,
    /// How long to go on without a client; `None`: for ever.
    pub exit_idle: Option<Duration>,
    /// How long tunnels may go on after SIGTERM.
    pub drain_timeout: Duration,
    /// As many clients at a time; `None`: what the file descriptors allow.
    pub max_connections: Option<usize>,
    /// How many may come of one client, and how fast.
    pub limits: Limits,
    /// Who is believed about whom it speaks for.
    pub trusted: Trusted,
    /// What the process gives up once it listens.
    pub confinement: Confinement,
    /// The file that the process's number is kept in, of which a reload takes
    /// no notice.
    pub pid_file: Option<PathBuf>,
    /// The file that all this stands in, if it stands in one.
    pub file: Option<PathBuf>,
}

impl Settings {
    /// The addresses that are listened on.
    pub fn addresses(&self) -> impl Iterator<Item = &Listen> {
        let listeners = self.listeners.iter().map(|listener| &listener.address);
        listeners.chain(&self.admin)
    }

    /// The files of certificates and keys.
    pub fn tls_files(&self) -> impl Iterator<Item = &Path> {
        let listeners = self
            .listeners
            .iter()
            .filter_map(|listener| listener.tls.as_ref());
        let routes = self
            .routes
            .iter()
            .flat_map(|route| route.backend_tls.files());
        listeners.flat_map(ServerTls::files).chain(routes)
    }

    /// The files that a reload reads again. The sandbox keeps their folders
    /// readable, so whatever is read later has to be among them.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let read = self.file.iter().map(PathBuf::as_path);
        read.chain(route::files(&self.routes))
            .chain(self.tls_files())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            listeners: Vec::new(),
            admin: None,
            routes: Vec::new(),
            pages: Vec::new(),
            handshake_timeout: Duration::from_secs(10),
            exit_idle: None,
            drain_timeout: Duration::from_secs(30),
            max_connections: None,
            limits: Limits::default(),
            trusted: Trusted::default(),
            confinement: Confinement::default(),
            pid_file: None,
            file: None,
        }
    }
}

impl Settings {
    /// Whether clients are served, and no local programs connected.
    pub fn serves(&self) -> bool {
        self.routes.iter().all(|route| route.remote.is_none())
    }

    /// The WebSocket servers that may show any certificate.
    pub fn unverified(&self) -> impl Iterator<Item = &Remote> {
        let insecure = self
            .routes
            .iter()
            .filter(|route| route.backend_tls.insecure);
        insecure.filter_map(|route| route.remote.as_ref())
    }

    /// Whether trusted proxies send a PROXY header first at this listener.
    pub fn takes_header(&self, address: &Listen) -> bool {
        let mut listeners = self.listeners.iter();
        listeners.any(|listener| listener.accept_proxy && listener.address == *address)
    }
}

/// A place to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerSettings {
    /// The address.
    pub address: Listen,
    /// How it is opened.
    pub manner: Manner,
    /// Whether trusted proxies send a PROXY header first.
    pub accept_proxy: bool,
    /// TLS, if it is spoken there.
    pub tls: Option<ServerTls>,
}

/// What the process gives up once its sockets are open, for good: a reload
/// does not change it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confinement {
    /// The user to become, by name or number.
    pub user: Option<String>,
    /// The group to take; `None`: that of the user.
    pub group: Option<String>,
    /// The folder that becomes the root of the file system.
    pub chroot: Option<PathBuf>,
    /// Whether files are out of reach that a reload does not need.
    pub sandbox: Sandbox,
}

/// Whether the process gives up the files that it does not need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sandbox {
    /// Where the kernel can do it.
    #[default]
    Auto,
    /// It does not start without.
    Require,
    /// It keeps them all.
    Off,
}
