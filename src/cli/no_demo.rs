//! In place of `adit demo`, in a build without it.

use super::absent::absent;
use crate::server::End;

absent!(Demo, DemoArgs, "demo");

/// Never called.
///
/// # Errors
/// None.
pub fn run_demo(demo: &Demo) -> Result<End, String> {
    match *demo {}
}
