//! The log: where its lines go, how they look, and how many there are.
//!
//! A line never stops the loop. Who reads the log may be slow, stuck or gone:
//! then lines are lost, counted, and the next one that gets through is led by
//! one that says how many. `line` is the text, `outlet` the way out.
//!
//! `RUST_LOG`, where it is set, says what is logged, in the language of
//! env_logger. Signals move the level after that, up to what it names.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use log::{Level, LevelFilter, Log, Metadata, Record};

use line::{Head, Look};
use outlet::Outlet;

mod line;
mod outlet;

/// What is logged, how and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logging {
    /// How much, unless `RUST_LOG` says it.
    pub level: LevelFilter,
    /// How a line looks.
    pub format: Format,
    /// Where lines go.
    pub target: Target,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Time, level and message, for people.
    #[default]
    Text,
    /// A JSON object a line, with `time`, `level` and `message`.
    Json,
}

impl Format {
    /// The names of all.
    pub const NAMES: [(&'static str, Format); 2] = [("text", Format::Text), ("json", Format::Json)];
}

/// Where lines go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// To standard error.
    #[default]
    Stderr,
    /// To the system's log, at `/dev/log`.
    Syslog,
}

/// Starts the log, once in the life of the process.
///
/// # Errors
/// The system's log cannot be reached, or a log was started before.
pub fn start(logging: &Logging) -> Result<(), String> {
    let (head, outlet) = match logging.target {
        Target::Stderr if outlet::is_journal() => (Head::Priority, Outlet::stderr()),
        Target::Stderr => (Head::Nothing, Outlet::stderr()),
        Target::Syslog => (Head::syslog(), Outlet::syslog(outlet::DEV_LOG.as_ref())?),
    };
    let mut filter = env_logger::Builder::new();
    let spec = std::env::var("RUST_LOG").unwrap_or_default();
    match spec.as_str() {
        "" => filter.filter_module("adit", LevelFilter::Trace),
        spec => filter.parse_filters(spec),
    };
    let filter = filter.build();
    let level = match spec.as_str() {
        "" => logging.level,
        _ => filter.filter(),
    };
    let logger = Logger {
        filter,
        look: Look {
            format: logging.format,
            head,
        },
        outlet: Mutex::new(outlet),
    };
    log::set_boxed_logger(Box::new(logger)).map_err(|e| format!("cannot start the log: {e}"))?;
    log::set_max_level(level);
    Ok(())
}

/// Starts the log before the work, and puts the work's last words into it:
/// nobody may look at standard error where it does not go there.
///
/// # Errors
/// Why the log cannot be started, or the work's own, ready to be shown.
pub fn during<R>(logging: &Logging, work: impl FnOnce() -> Result<R, String>) -> Result<R, String> {
    start(logging).map_err(|e| format!("adit: {e}"))?;
    let done = work();
    if let (Err(text), Target::Syslog) = (&done, logging.target) {
        log::error!("{text}");
    }
    done
}

/// A change of how much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The next more talkative level.
    Louder,
    /// The next more quiet one.
    Quieter,
}

/// The levels that steps go through: nothing is logged beyond the last, and
/// errors always are.
const STEPS: [Level; 4] = [Level::Error, Level::Warn, Level::Info, Level::Debug];

/// Changes the level by a step, and says so where it is sure to be seen.
pub fn step(step: Step) {
    let level = after(log::max_level(), step);
    log::set_max_level(level.to_level_filter());
    log::log!(level, "log level: {}", line::name(level));
}

fn after(level: LevelFilter, step: Step) -> Level {
    let mut steps = STEPS.into_iter();
    match step {
        Step::Louder => steps
            .find(|next| next.to_level_filter() > level)
            .or(level.to_level())
            .unwrap_or(Level::Debug),
        Step::Quieter => steps
            .rfind(|next| next.to_level_filter() < level)
            .unwrap_or(Level::Error),
    }
}

struct Logger {
    filter: env_logger::Logger,
    look: Look,
    outlet: Mutex<Outlet>,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.filter.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.filter.matches(record) {
            return;
        }
        let now = SystemTime::now();
        // What is in there is whole after any panic.
        let mut outlet = self.outlet.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = outlet.excuse() {
            let sent = self.look.lines(Level::Warn, &text, now);
            if !outlet.send(&sent.concat()) {
                return outlet.lose();
            }
            outlet.excused();
        }
        let message = record.args().to_string();
        for line in self.look.lines(record.level(), &message, now) {
            if !outlet.send(&line) {
                outlet.lose();
            }
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_go_from_errors_alone_to_every_step() {
        use LevelFilter as To;
        for (level, louder, quieter) in [
            (To::Off, Level::Error, Level::Error),
            (To::Error, Level::Warn, Level::Error),
            (To::Warn, Level::Info, Level::Error),
            (To::Info, Level::Debug, Level::Warn),
            (To::Debug, Level::Debug, Level::Info),
            (To::Trace, Level::Trace, Level::Debug),
        ] {
            assert_eq!(after(level, Step::Louder), louder, "{level}");
            assert_eq!(after(level, Step::Quieter), quieter, "{level}");
        }
    }
}
