//! In place of `adit connect`, in a build without it.

use super::absent::absent;
use crate::server::End;

absent!(Connect, ConnectArgs, "connect");

/// Never called.
///
/// # Errors
/// None.
pub fn run_connect(connect: &Connect) -> Result<End, String> {
    match *connect {}
}
