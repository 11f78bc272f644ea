//! The binary: what was typed becomes settings, and the server runs them.

use adit::cli::{self, Command, Demo, Exit};
use adit::config::Source;
use adit::inetd;
use adit::logging::{self, Format, Logging, Target};
use adit::net::inherited::{divert_error, divert_output};
use adit::server::{End, Loader, Server};
use log::LevelFilter;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let is_inetd = args.first().is_some_and(|word| word == "inetd");
    // Before anything is printed: a client may be at the other end.
    let divert = || io::Result::Ok((divert_output()?, divert_error()?));
    let (mute, diverted) = match is_inetd.then(divert) {
        None => (false, false),
        Some(Ok(diverted)) => diverted,
        Some(Err(_)) => return ExitCode::FAILURE,
    };
    let done = match cli::parse(args) {
        Err(exit) if is_inetd && exit.code != 0 => Err(inetd::fail(exit, diverted)),
        Err(_) if mute => Err(inetd::fail(Exit::misplaced_help(), diverted)),
        Err(exit) => return exit.finish(),
        Ok(Command::Check(check)) => return cli::run_check(&check).finish(),
        Ok(Command::Token(token)) => return cli::run_token(&token).finish(),
        Ok(Command::Inetd(inetd)) => inetd::serve(inetd, diverted),
        Ok(Command::Connect(connect)) => cli::run_connect(&connect).map_err(failure),
        Ok(Command::Serve { source, log }) => {
            logging::during(&log, || serve(source)).map_err(failure)
        }
        Ok(Command::Demo(demo)) => run_demo(&demo).map_err(failure),
    };
    match done {
        Ok(End::Drained | End::Idle | End::Served(true)) => ExitCode::SUCCESS,
        Ok(End::Forced | End::Served(false)) => ExitCode::FAILURE,
        Ok(End::Failed(why)) => failure(format!("adit: {why}")).finish(),
        Err(exit) => exit.finish(),
    }
}

fn failure(text: String) -> Exit {
    Exit { text, code: 1 }
}

fn serve(source: Source) -> Result<End, String> {
    let settings = source.load().map_err(|mistakes| mistakes.to_string())?;
    let load: Loader = Arc::new(move || source.load().map_err(|mistakes| mistakes.to_string()));
    let server = Server::new(settings, load).map_err(|e| format!("adit: {e}"))?;
    server.run().map_err(|e| format!("adit: {e}"))
}

fn run_demo(demo: &Demo) -> Result<End, String> {
    let log = Logging {
        level: LevelFilter::Warn,
        format: Format::Text,
        target: Target::Stderr,
    };
    logging::during(&log, || cli::run_demo(demo))
}
