//! A remote WebSocket server that is dialled: where it is after redirects, and
//! when it is dialled again.

use crate::address::Backend;
use crate::tunnel::Label;
use crate::tunnel::connecting::Step;
use crate::tunnel::remote::Target;
use log::{debug, warn};
use std::time::{Duration, Instant};

/// The pause before what failed is tried again, and how often it is doubled.
const PAUSE: Duration = Duration::from_millis(500);
const DOUBLINGS: u32 = 6;

/// A remote server and its redirects and retries.
#[derive(Debug)]
pub struct Redial {
    target: Target,
    /// How often the dial has failed as a whole.
    failures: u32,
    /// When it begins again.
    again_at: Option<Instant>,
}

impl Redial {
    /// A dial that begins.
    pub fn new(target: &Target) -> Self {
        Redial {
            target: target.clone(),
            failures: 0,
            again_at: None,
        }
    }

    /// What the log calls the server.
    pub fn name(&self) -> String {
        self.target.name()
    }

    /// What is to be dialled now, and what to do over the connection.
    ///
    /// # Errors
    /// A name that no certificate can have.
    pub fn next_hop(&self) -> Result<(Backend, Vec<Step>), String> {
        self.target.next_hop()
    }

    /// Goes where an answer says; `false` if that is not wanted.
    ///
    /// # Errors
    /// Why it is not allowed.
    pub fn follow(&mut self, location: &str, label: Label) -> Result<bool, String> {
        if !self.target.follows_redirects() {
            return Ok(false);
        }
        let from = self.name();
        let followed = self.target.redirect(location);
        followed.map_err(|why| format!("{from}: {why}"))?;
        debug!("{label}: {from} leads to {}", self.name());
        Ok(true)
    }

    /// Begins again after a pause, if that is wanted; says whether it does.
    pub fn back_off(&mut self, why: &str, label: Label, now: Instant) -> bool {
        if !self.target.retries() {
            return false;
        }
        self.target.reset();
        let pause = PAUSE * 2_u32.pow(self.failures.min(DOUBLINGS));
        // Between a half and the whole, so that many do not come at once.
        let chance = getrandom::u32().unwrap_or_default() % 512;
        let pause = pause * (512 + chance) / 1024;
        let tenths = pause.as_millis() / 100;
        warn!("{label}: {why}; again in {}.{} s", tenths / 10, tenths % 10);
        self.failures += 1;
        self.again_at = Some(now + pause);
        true
    }

    /// When it begins again, during a pause.
    pub fn again_at(&self) -> Option<Instant> {
        self.again_at
    }

    /// The pause is over.
    pub fn resume(&mut self) {
        self.again_at = None;
    }
}
