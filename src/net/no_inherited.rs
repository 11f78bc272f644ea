//! In place of sockets that others have opened, in a build that opens all of
//! its own: no address names them.

use super::listener::Listener;
use crate::address::Listen;
use crate::features::Feature;
use std::io;

/// None.
#[derive(Debug, Default)]
pub struct Inherited {}

impl Inherited {
    /// Takes nothing.
    ///
    /// # Errors
    /// None.
    pub fn take(_: &[&Listen]) -> Result<Inherited, String> {
        Ok(Inherited {})
    }

    /// Opens nothing.
    ///
    /// # Errors
    /// Always: there are none.
    pub fn open(&self, _: &Listen) -> io::Result<Vec<Listener>> {
        Err(io::Error::other(Feature::Activation.absence()))
    }
}

/// Leaves standard output as it is.
///
/// # Errors
/// None.
pub fn divert_output() -> io::Result<bool> {
    Ok(false)
}

/// Leaves standard error as it is.
///
/// # Errors
/// None.
pub fn divert_error() -> io::Result<bool> {
    Ok(false)
}
