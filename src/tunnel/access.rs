//! What a route may ask of its clients, and the words that go with it.
//!
//! What they bring is judged in [`auth`](super::auth), which a build may lack.

use std::fmt;
use std::path::PathBuf;

/// What stands before the token in a subprotocol.
pub(super) const BEARER: &str = "bearer.";

/// Whether an offered subprotocol is a token.
pub fn is_bearer(subprotocol: &str) -> bool {
    subprotocol.starts_with(BEARER)
}

/// What a route asks of its clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Auth {
    /// A file of tokens that are let in.
    pub token_file: Option<PathBuf>,
    /// A file with the key that signed tokens are checked with.
    pub hmac_key_file: Option<PathBuf>,
    /// A file of users and the hashes of their passwords.
    pub basic_file: Option<PathBuf>,
    /// The cookie that may hold the token.
    pub cookie: Option<String>,
    /// What the challenge calls the place; `None`: `adit`.
    pub realm: Option<String>,
}

impl Auth {
    /// Whether a file or a signature says which tokens are let in.
    pub fn takes_tokens(&self) -> bool {
        self.token_file.is_some() || self.hmac_key_file.is_some()
    }

    /// Whether anything is asked for.
    pub fn is_asked(&self) -> bool {
        self.takes_tokens() || self.basic_file.is_some()
    }
}

/// Something that may not be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text from being shown by accident.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}
