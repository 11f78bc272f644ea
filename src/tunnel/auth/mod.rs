//! Who may connect: tokens, passwords, and what they choose.
//!
//! Nothing here has a socket: what was offered comes from the request, what is
//! known from the [`Vault`], which reads changed files again, and the time is a
//! parameter.
//! So `adit check --token-from` asks the very function that the tunnel asks.
//! Only a password takes long; its check is handed out as a
//! [`PasswordCheck`], to be run where nobody waits for it.
//!
//! A secret is told to nobody: neither the log nor an answer repeats what a
//! client offered, and of a token file only fingerprints are kept.

pub mod htpasswd;
pub(crate) mod json;
pub mod jwt;
pub mod offered;
pub(crate) mod time;
pub mod token_file;
pub mod token_map;
pub mod vault;

pub use htpasswd::PasswordCheck;
pub use offered::Offered;
pub use vault::Vault;

use super::Refusal;
use super::access::{Auth, Secret};
use super::policy::Route;
use crate::address::Backend;
use crate::wire::http::Request;
use crate::wire::{Challenge, Lack};
use ring::digest::{SHA256, digest};
use std::collections::HashMap;
use subtle::{ConditionallySelectable, ConstantTimeEq};

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

/// What a good token says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Its name.
    pub subject: Option<String>,
    /// The backend that it is for.
    pub backend: Option<Backend>,
    /// The origin that it is for.
    pub origin: Option<String>,
}

/// Whom a request comes from, if its route asks for that; see [`judge`].
///
/// # Errors
/// What to tell the client.
pub fn admit(
    route: &Route,
    vault: &Vault,
    request: &Request<'_>,
    origin: Option<&str>,
    now: u64,
) -> Result<Admission, Refusal> {
    if !route.asks() {
        return Ok(Admission::default());
    }
    let offered = Offered::read(request, route.takes_tokens(), route.auth.cookie.as_deref())?;
    judge(route, vault, &offered, origin, now)
}

/// Whether what was offered opens this route, at a time in Unix seconds. The
/// request's origin has been judged before by the route's own rules.
///
/// # Errors
/// What to tell the client.
pub fn judge(
    route: &Route,
    vault: &Vault,
    offered: &Offered,
    origin: Option<&str>,
    now: u64,
) -> Result<Admission, Refusal> {
    let auth = &route.auth;
    let challenge = |lack| {
        Refusal::Unauthorized(Box::new(Challenge {
            realm: auth.realm.clone().unwrap_or_else(|| "adit".to_owned()),
            bearer: route.takes_tokens(),
            basic: auth.basic_file.is_some(),
            lack,
        }))
    };
    let mut admission = Admission::default();
    match (&offered.token, &offered.basic, &auth.basic_file) {
        (Some(token), _, _) if auth.takes_tokens() => {
            let grant = grant(auth, vault, token.reveal(), now).map_err(challenge)?;
            admission.subject = grant.subject;
            admission.backend = permitted(grant.backend, route)?;
            if grant.origin.is_some_and(|bound| !is_same(&bound, origin)) {
                return Err(Refusal::Forbidden("this token is for another origin"));
            }
        }
        (_, Some(basic), Some(file)) => {
            let users = vault
                .passwords(file)
                .ok_or_else(|| challenge(Lack::Nothing))?;
            let wrong = challenge(Lack::WrongPassword);
            admission.subject = Some(basic.user.clone());
            admission.password = Some(Box::new(users.check(basic, wrong)));
        }
        _ if auth.is_asked() => return Err(challenge(Lack::Nothing)),
        _ => {}
    }
    if let Some(file) = &route.token_map {
        let token = offered
            .token
            .as_ref()
            .ok_or_else(|| challenge(Lack::Nothing))?;
        let found = vault.map(file).and_then(|map| map.backend(token.reveal()));
        admission.backend = found.cloned();
        if found.is_none() {
            // Which tokens there are, only who has a password is told.
            match &mut admission.password {
                Some(check) => check.refuse_then(Refusal::UnknownToken),
                None => return Err(Refusal::UnknownToken),
            }
        }
    }
    Ok(admission)
}

fn grant(auth: &Auth, vault: &Vault, token: &str, now: u64) -> Result<Grant, Lack> {
    if let Some(tokens) = auth.token_file.as_ref().and_then(|f| vault.tokens(f)) {
        if let Some(known) = tokens.find(token) {
            return known.grant(now).ok_or(Lack::ExpiredToken);
        }
    }
    match auth.hmac_key_file.as_ref().and_then(|f| vault.key(f)) {
        Some(key) => jwt::verify(key, token, now),
        None => Err(Lack::WrongToken),
    }
}

/// A token's backend, if the route lists it: tokens choose, they do not add.
fn permitted(backend: Option<Backend>, route: &Route) -> Result<Option<Backend>, Refusal> {
    match backend {
        Some(backend) if !route.backends.contains(&backend) => Err(Refusal::Forbidden(
            "this token is for a backend that is not served here",
        )),
        backend => Ok(backend),
    }
}

/// Scheme and host of an origin have no case (RFC 6454 section 4).
fn is_same(bound: &str, origin: Option<&str>) -> bool {
    origin.is_some_and(|origin| origin.eq_ignore_ascii_case(bound))
}

/// Reads the lines of a file, but for empty ones and comments.
///
/// # Errors
/// All that is wrong, each with its line.
fn each_line(
    text: &str,
    mut read: impl FnMut(usize, &str) -> Result<(), String>,
) -> Result<(), Vec<(usize, String)>> {
    let mut faults = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let said = text.trim_start();
        if said.is_empty() || said.starts_with('#') {
            continue;
        }
        if let Err(why) = read(line, text) {
            faults.push((line, why));
        }
    }
    match faults.is_empty() {
        true => Ok(()),
        false => Err(faults),
    }
}

/// What is kept of a token: enough to know it again, not enough to use it.
type Fingerprint = [u8; 32];

fn fingerprint(token: &str) -> Fingerprint {
    let mut print = Fingerprint::default();
    print.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    print
}

/// Tokens that are known, by their fingerprints alone.
#[derive(Debug, Default)]
struct Prints {
    all: Vec<Fingerprint>,
    /// Where each is, for whoever writes them, who has no secret to guess.
    places: HashMap<Fingerprint, usize>,
}

impl Prints {
    /// Adds a token, behind those that are there.
    ///
    /// # Errors
    /// The place of the same token, if it is there already.
    fn add(&mut self, token: &str) -> Result<(), usize> {
        let print = fingerprint(token);
        let next = self.all.len();
        match *self.places.entry(print).or_insert(next) {
            place if place < next => Err(place),
            _ => {
                self.all.push(print);
                Ok(())
            }
        }
    }

    /// The place of a token that somebody brings. All are compared, each to its
    /// end, so the time says neither how nearly a guess was right nor where.
    fn place(&self, token: &str) -> Option<usize> {
        let asked = fingerprint(token);
        let mut found = u64::MAX;
        for (index, print) in (0u64..).zip(&self.all) {
            found.conditional_assign(&index, print.ct_eq(&asked));
        }
        let found = usize::try_from(found).ok();
        found.filter(|&index| index < self.all.len())
    }
}

#[cfg(test)]
mod tests;
