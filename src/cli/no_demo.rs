//! In place of `adit demo`, in a build without it.

use super::absent::absent;
use crate::features::Feature;
use crate::server::End;

absent!(Demo, DemoArgs, "demo", Feature::Demo);

/// Never called.
///
/// # Errors
/// None.
pub fn run_demo(demo: &Demo) -> Result<End, String> {
    match *demo {}
}
