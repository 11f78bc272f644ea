//! In place of the configuration file, in a build that takes its settings from
//! the command line alone.

use std::path::Path;

use crate::features::Feature;
use crate::mistake::{Mistake, Mistakes};
use crate::server::Settings;

/// Reads nothing.
///
/// # Errors
/// Always: no file can be read.
pub fn load(path: &Path) -> Result<Settings, Mistakes> {
    Err(Mistakes(vec![Mistake {
        file: path.to_owned(),
        line: None,
        text: Feature::ConfigFile.absence().to_owned(),
    }]))
}
