//! In place of `adit connect`, in a build without it.

use super::absent::absent;
use crate::features::Feature;
use crate::server::End;

absent!(Connect, ConnectArgs, "connect", Feature::Connect);

/// Never called.
///
/// # Errors
/// None.
pub fn run_connect(connect: &Connect) -> Result<End, String> {
    match *connect {}
}
