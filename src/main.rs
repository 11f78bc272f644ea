//! The binary: what was typed becomes settings, and the server runs them.

use adit::cli::{self, Command, Exit};
use adit::config::Source;
use adit::server::{End, Loader, Server};
use log::LevelFilter;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    let done = match cli::parse(std::env::args_os().skip(1)) {
        Err(exit) => return exit.finish(),
        Ok(Command::Check(check)) => return cli::run_check(&check).finish(),
        Ok(Command::Token(token)) => return cli::run_token(&token).finish(),
        Ok(Command::Serve { source, log }) => serve(source, log),
        Ok(Command::Demo(demo)) => {
            start_log(LevelFilter::Warn);
            cli::run_demo(&demo)
        }
    };
    match done {
        Ok(End::Drained) => ExitCode::SUCCESS,
        Ok(End::Forced) => ExitCode::FAILURE,
        Err(text) => Exit { text, code: 1 }.finish(),
    }
}

fn serve(source: Source, level: LevelFilter) -> Result<End, String> {
    start_log(level);
    let settings = source.load().map_err(|mistakes| mistakes.to_string())?;
    let load: Loader = Arc::new(move || source.load().map_err(|mistakes| mistakes.to_string()));
    let server = Server::new(settings, load).map_err(|e| format!("adit: {e}"))?;
    server.run().map_err(|e| format!("adit: {e}"))
}

/// Logs to standard error. RUST_LOG, where it is set, says how much instead.
fn start_log(level: LevelFilter) {
    // The journal notes the time by itself (systemd.exec(5)).
    let with_time = std::env::var_os("JOURNAL_STREAM").is_none();
    env_logger::Builder::new()
        .filter_module("adit", level)
        .parse_default_env()
        .format(move |out, record| {
            if with_time {
                let time = out.timestamp();
                write!(out, "{time} ")?;
            }
            writeln!(out, "{:5} {}", record.level(), record.args())
        })
        .init();
}
