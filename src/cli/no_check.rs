//! In place of `adit check`, in a build without files to check.

use super::Exit;
use super::absent::absent;

absent!(Check, CheckArgs, "check");

/// Never called.
pub fn run_check(check: &Check) -> Exit {
    match *check {}
}
