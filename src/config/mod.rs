//! What the user's words mean: the settings, and every check that can fail
//! before a socket opens.
//!
//! The words themselves stand once, in [`words`], for the file and for the
//! command line. A mistake never hides another: all of them are collected,
//! each with its line, what was seen and what is allowed.
//!
//! # The file
//!
//! TOML. `[[listen]]` tables say where to listen, `[[route]]` tables where
//! requests go. What stands above them is either about the whole server
//! ([`words::GLOBAL`]) or the default of a route's key ([`words::RULES`]). What
//! a route is and where it leads ([`words::PLACE`]) has no default: that stands
//! in a `[[route]]` alone. A route's own value replaces the default, and `off`,
//! `false` or an empty list takes it back. `auth` is a table, in one line or as
//! `[route.auth]`, and replaced as a whole.
//!
//! ```toml
//! origin = "https://app.example.org"
//!
//! [[listen]]
//! address = "8080"
//!
//! [[listen]]
//! address = "unix:/run/adit.sock"
//! mode = "0660"
//!
//! [[route]]
//! path = "/mqtt"
//! subprotocol = "mqtt"
//! backend = "127.0.0.1:1883"
//!
//! [[route]]
//! path = "/chat"
//! framing = "lines"
//! backend = ["unix:/run/chat.sock", "192.0.2.7:6667"]
//! idle-timeout = "10m"
//! auth = { token-file = "/etc/adit/tokens", cookie = "session" }
//! ```

use std::path::{Path, PathBuf};

use crate::mistake::Mistakes;
use crate::server::Settings;

#[cfg(feature = "config-file")]
pub mod check;
#[cfg(feature = "connect")]
pub mod connect;
mod draft;
#[cfg_attr(not(feature = "config-file"), path = "no_file.rs")]
mod file;
// They read files with every key.
#[cfg(all(test, feature = "default"))]
mod tests;
mod tls;
pub(crate) mod values;
pub mod words;

pub use draft::command_line;
pub use file::load;
#[cfg(feature = "config-file")]
pub use file::parse;
pub(crate) use values::choice;

/// Where the settings come from, at the start and again at a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// This file.
    File(PathBuf),
    /// The command line, which never changes.
    CommandLine(Box<Settings>),
}

impl Source {
    /// Reads the settings, as they are now.
    ///
    /// # Errors
    /// If the file cannot be read or has mistakes.
    pub fn load(&self) -> Result<Settings, Mistakes> {
        match self {
            Source::File(path) => load(path),
            Source::CommandLine(settings) => Ok(settings.as_ref().clone()),
        }
    }

    /// The file, if there is anything to load again.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Source::File(path) => Some(path),
            Source::CommandLine(_) => None,
        }
    }
}
