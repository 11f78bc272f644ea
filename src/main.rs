//! The binary: what was typed becomes settings, and the server runs them.

use adit::cli::{self, Command, Exit};
use adit::config::Source;
use adit::demo;
use adit::server::{End, Loader, Server, Settings};
use log::LevelFilter;
use std::io::{self, Write};
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    let done = match cli::parse(std::env::args_os().skip(1)) {
        Err(exit) => return exit.finish(),
        Ok(Command::Check(check)) => return cli::run_check(&check).finish(),
        Ok(Command::Token(token)) => return cli::run_token(&token).finish(),
        Ok(Command::Serve { source, log }) => serve(source, log),
        Ok(Command::Demo(listen)) => demo::settings(listen)
            .map_err(|e| no_demo(&e))
            .and_then(|(settings, service)| run_demo(settings, service)),
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
    run(Server::new(settings, load).map_err(|e| format!("adit: {e}"))?)
}

fn no_demo(e: &io::Error) -> String {
    format!("adit: cannot start the demo: {e}")
}

fn run_demo(settings: Settings, service: TcpListener) -> Result<End, String> {
    start_log(LevelFilter::Warn);
    let again = settings.clone();
    let load: Loader = Arc::new(move || Ok(again.clone()));
    let server = Server::new(settings, load).map_err(|e| format!("adit: {e}"))?;
    demo::start_backend(service).map_err(|e| no_demo(&e))?;
    for address in server.addresses() {
        // Who closed the output does not want to know.
        let _ = writeln!(io::stdout(), "{}", demo::url(&address));
    }
    run(server)
}

fn run(server: Server) -> Result<End, String> {
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
