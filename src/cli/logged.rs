//! The options about the log, which several commands have.

use log::LevelFilter;

use crate::config;
use crate::logging::{Format, Logging, Target};

/// What is to be logged, how and where, by the options of these names.
pub(super) fn logging(
    verbose: bool,
    quiet: bool,
    log_format: Option<&str>,
    syslog: bool,
) -> Result<Logging, String> {
    let level = match (verbose, quiet) {
        (false, false) => LevelFilter::Info,
        (true, false) => LevelFilter::Debug,
        (false, true) => LevelFilter::Warn,
        (true, true) => return Err("--verbose and --quiet exclude each other".to_owned()),
    };
    let target = match syslog {
        true => Target::Syslog,
        false => Target::Stderr,
    };
    let format = log_format.map(format).transpose()?.unwrap_or_default();
    Ok(Logging {
        level,
        format,
        target,
    })
}

fn format(text: &str) -> Result<Format, String> {
    config::choice(text, Format::NAMES).map_err(|why| format!("log-format {text:?}: {why}"))
}
