//! In place of sockets that others have opened, in a build that opens all of
//! its own: no address names them.

use crate::address::Listen;
use crate::features::Feature;
use socket2::Socket;
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

    /// Hands on nothing.
    ///
    /// # Errors
    /// Always: there are none.
    pub fn sockets(&self, _: &Listen) -> io::Result<Vec<Socket>> {
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
