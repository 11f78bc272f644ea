//! In place of Landlock, where Linux or the feature for it is missing.

use super::Allowed;
use crate::features::Feature;

/// Forbids nothing.
///
/// # Errors
/// Always, with the reason.
pub fn restrict(_: &Allowed) -> Result<String, String> {
    Err(match Feature::Sandbox.is_built_in() {
        true => "only Linux has Landlock".to_owned(),
        false => Feature::Sandbox.absence().to_owned(),
    })
}
