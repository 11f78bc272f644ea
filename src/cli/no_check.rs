//! In place of `adit check`, in a build without files to check.

use super::Exit;
use super::absent::absent;
use crate::features::Feature;

absent!(Check, CheckArgs, "check", Feature::ConfigFile);

/// Never called.
pub fn run_check(check: &Check) -> Exit {
    match *check {}
}
