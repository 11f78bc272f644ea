//! In place of `adit inetd`, in a build that takes no sockets of others.

use crate::cli::{Exit, Inetd};
use crate::server::End;

/// Never called.
///
/// # Errors
/// None.
#[expect(
    clippy::needless_pass_by_value,
    reason = "as where there is something to pass"
)]
pub fn serve(inetd: Inetd, _: bool) -> Result<End, Exit> {
    match inetd {}
}

/// Tells it as everywhere.
pub fn fail(exit: Exit, _: bool) -> Exit {
    exit
}
