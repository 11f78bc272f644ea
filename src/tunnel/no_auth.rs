//! In place of tokens and passwords, in a build without them: nothing is
//! asked, and a route that asks for something is refused.

use super::Refusal;
use super::policy::Route;
use crate::address::Backend;
use crate::features::Feature;
use crate::mistake::Mistake;
use crate::wire::http::Request;
use crate::wire::{Challenge, Lack};
use std::path::PathBuf;
use std::time::Instant;

/// No password is checked.
#[derive(Debug)]
pub enum PasswordCheck {}

impl PasswordCheck {
    /// Never called: there is none.
    ///
    /// # Errors
    /// None.
    pub fn run(self) -> Result<(), Refusal> {
        match self {}
    }
}

/// What the files say, if any could be read.
#[derive(Clone, Debug, Default)]
pub struct Vault(());

impl Vault {
    /// Reads nothing.
    ///
    /// # Errors
    /// That a route asks for tokens or passwords.
    pub fn load(&self, routes: &[Route]) -> Result<Vault, Vec<Mistake>> {
        let asking = routes.iter().filter(|route| route.asks());
        let faults = asking.map(|route| Mistake {
            file: PathBuf::from(route.to_string()),
            line: None,
            text: Feature::Auth.absence().to_owned(),
        });
        match faults.collect::<Vec<_>>() {
            faults if faults.is_empty() => Ok(Vault(())),
            faults => Err(faults),
        }
    }

    /// Nothing changes.
    pub fn refresh(&mut self, _: Instant) {}

    /// Nothing is wrong.
    pub fn warnings(&self) -> Vec<Mistake> {
        Vec::new()
    }

    /// No token, so none that nobody can use.
    pub fn unusable(&self, _: &[Route]) -> Vec<Mistake> {
        Vec::new()
    }
}

/// What a request brings along, which is not looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Offered;

impl Offered {
    /// A request with this token.
    pub fn token(_: Option<&str>) -> Self {
        Offered
    }
}

/// Whom a client turned out to be, and what that means for its tunnel.
#[derive(Debug, Default)]
pub struct Admission {
    /// The name of the token or the user.
    pub subject: Option<String>,
    /// The backend that the token chose.
    pub backend: Option<Backend>,
    /// A password that has to be checked first.
    pub password: Option<Box<PasswordCheck>>,
}

/// Lets in where nothing is asked.
///
/// # Errors
/// That something is asked: nothing can be proven here.
pub fn judge(
    route: &Route,
    _: &Vault,
    _: &Offered,
    _: Option<&str>,
    _: u64,
) -> Result<Admission, Refusal> {
    match route.asks() {
        false => Ok(Admission::default()),
        true => Err(Refusal::Unauthorized(Box::new(Challenge {
            realm: "adit".to_owned(),
            bearer: true,
            basic: false,
            lack: Lack::Nothing,
        }))),
    }
}

/// Whom a request comes from; see [`judge`].
///
/// # Errors
/// That something is asked.
pub fn admit(
    route: &Route,
    vault: &Vault,
    _: &Request<'_>,
    origin: Option<&str>,
    now: u64,
) -> Result<Admission, Refusal> {
    judge(route, vault, &Offered, origin, now)
}
