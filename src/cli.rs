//! What was typed: the commands, their options and their help.
//!
//! An option has the name of the file's key, and its value goes to the same
//! table of words, so this file knows no value. It knows what can be typed
//! together. Whatever cannot be, ends with exit code 2 and a hint.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use argh::{EarlyExit, FromArgs};

use crate::config::Source;
use crate::features::{self, Feature};
use crate::logging::Logging;
use check::CheckArgs;
use connect::ConnectArgs;
use demo::DemoArgs;
use inetd::InetdArgs;
use serve::Serve;
use token::TokenArgs;

#[cfg(not(all(
    feature = "activation",
    feature = "auth",
    feature = "config-file",
    feature = "connect",
    feature = "demo"
)))]
mod absent;
#[cfg_attr(not(feature = "config-file"), path = "cli/no_check.rs")]
mod check;
#[cfg_attr(not(feature = "connect"), path = "cli/no_connect.rs")]
mod connect;
#[cfg_attr(not(feature = "demo"), path = "cli/no_demo.rs")]
mod demo;
#[cfg_attr(not(feature = "activation"), path = "cli/no_inetd.rs")]
mod inetd;
mod logged;
mod serve;
// They compare with a file, and try every command and option.
#[cfg(all(test, feature = "default"))]
mod tests;
#[cfg_attr(not(feature = "auth"), path = "cli/no_token.rs")]
mod token;
mod typed;

pub use check::{Check, run_check};
pub use connect::{Connect, run_connect};
pub use demo::{Demo, run_demo};
pub use inetd::Inetd;
pub use token::{Token, run_token};

/// Exit code for a command line that makes no sense.
const USAGE: u8 = 2;

/// What a dash stands for.
const STDIO: &str = "stdio";

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Run the tunnel.
    Serve {
        /// Where the settings come from.
        source: Source,
        /// What to log, how and where.
        log: Logging,
    },
    /// Serve what is on standard input.
    Inetd(Inetd),
    /// Lead local connections to a WebSocket server; see [`run_connect`].
    Connect(Connect),
    /// Check a configuration file; see [`run_check`].
    Check(Check),
    /// Serve the demonstration page; see [`run_demo`].
    Demo(Demo),
    /// Print a signed token; see [`run_token`].
    Token(Token),
}

/// The end of the program: its last words and its exit code.
#[derive(Debug, PartialEq, Eq)]
pub struct Exit {
    /// What to print, to stdout where the code is 0, else to stderr.
    pub text: String,
    /// 0, 1 for a failure, 2 for a command line that makes no sense.
    pub code: u8,
}

impl Exit {
    /// Prints the text. A reader that has gone away is no failure.
    pub fn finish(self) -> ExitCode {
        let text = format!("{}\n", self.text.trim_end());
        let _ = match self.code {
            0 => std::io::stdout().write_all(text.as_bytes()),
            _ => std::io::stderr().write_all(text.as_bytes()),
        };
        ExitCode::from(self.code)
    }

    /// In place of help that only a client could read: whoever wrote
    /// `inetd.conf` did not mean it.
    pub fn misplaced_help() -> Self {
        Exit {
            text: "adit: --help, and standard output is the client's socket; \
                   ask in a terminal"
                .to_owned(),
            code: USAGE,
        }
    }

    /// What argh says of a command line instead of reading it.
    fn early(command: &str, exit: &EarlyExit) -> Self {
        match exit.status {
            Ok(()) => Exit {
                text: without_trailing_spaces(&exit.output),
                code: 0,
            },
            Err(()) => Exit::usage(command, &[flat(&exit.output)]),
        }
    }

    /// A usage error, with a hint at the help of `command`.
    fn usage(command: &str, errors: &[String]) -> Self {
        let lines: Vec<_> = errors
            .iter()
            .map(|error| format!("adit: {error}\n"))
            .collect();
        let hint = format!("run \"{command} --help\" for what is allowed");
        Exit {
            text: lines.concat() + &hint,
            code: USAGE,
        }
    }
}

/// The commands that a build may lack.
const WANTS: [(&str, Feature); 5] = [
    ("connect", Feature::Connect),
    ("inetd", Feature::Activation),
    ("check", Feature::ConfigFile),
    ("token", Feature::Auth),
    ("demo", Feature::Demo),
];

/// What to say of a command that was not built in.
fn absent(command: &str) -> Option<Exit> {
    let (name, feature) = WANTS.into_iter().find(|(name, _)| *name == command)?;
    let text = format!("adit: {name}: {}", feature.absence());
    let code = USAGE;
    (!feature.is_built_in()).then_some(Exit { text, code })
}

/// Reads the command line, without the program's name.
///
/// # Errors
/// If there is nothing to do: the help or the version was asked for, or the
/// command line makes no sense.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, Exit> {
    let args = args
        .into_iter()
        .map(OsString::into_string)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|arg| Exit::usage("adit", &[format!("argument {arg:?} is not UTF-8")]))?;
    let mut args = split_values(&args);
    inetd::keep_options(&mut args);
    let command = match args.first() {
        Some(&name @ ("serve" | "connect" | "inetd" | "check" | "demo" | "token")) => {
            format!("adit {name}")
        }
        _ => "adit".to_owned(),
    };
    if let Some(exit) = args.first().and_then(|name| absent(name)) {
        return Err(exit);
    }
    let usage = |error: String| Exit::usage(&command, &[error]);
    let adit = Adit::from_args(&["adit"], &args).map_err(|exit| Exit::early(&command, &exit))?;
    if adit.version {
        return Err(Exit {
            text: format!(
                "adit {}\nfeatures: {}",
                env!("CARGO_PKG_VERSION"),
                features::built_in()
            ),
            code: 0,
        });
    }
    match adit.command {
        Some(Commands::Serve(serve)) => serve
            .resolve()
            .map_err(|errors| Exit::usage(&command, &errors)),
        Some(Commands::Inetd(inetd)) => inetd.resolve().map(Command::Inetd),
        Some(Commands::Connect(connect)) => connect
            .resolve()
            .map(Command::Connect)
            .map_err(|errors: Vec<_>| Exit::usage(&command, &errors)),
        Some(Commands::Check(check)) => check.resolve().map(Command::Check).map_err(usage),
        Some(Commands::Token(token)) => token.resolve().map(Command::Token).map_err(usage),
        Some(Commands::Demo(demo)) => demo.resolve().map(Command::Demo).map_err(usage),
        None => Err(Exit {
            text: help(),
            code: USAGE,
        }),
    }
}

fn help() -> String {
    match Adit::from_args(&["adit"], &["--help"]) {
        Err(exit) => without_trailing_spaces(&exit.output),
        Ok(_) => String::new(),
    }
}

/// argh indents the empty lines of notes as well.
fn without_trailing_spaces(text: &str) -> String {
    text.lines()
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}

/// argh's message in this program's style: one line, lower case.
fn flat(message: &str) -> String {
    let lines: Vec<_> = message
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let text = lines.join(" ");
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => text,
    }
}

/// Options that take no value.
const SWITCHES: &[&str] = &[
    "--require-origin",
    "--accept-proxy",
    "--reuse-port",
    "--backend-insecure",
    "--syslog",
    "--insecure",
    "--retry",
    "--verbose",
    "--quiet",
    "--version",
    "--help",
];

/// argh knows only `--option value`: makes that of `--option=value`.
fn split_values(args: &[String]) -> Vec<&str> {
    let mut split = Vec::new();
    let mut rest = args.iter().map(String::as_str);
    for arg in rest.by_ref() {
        match arg.split_once('=') {
            Some((name, value)) if name.starts_with("--") && !SWITCHES.contains(&name) => {
                split.extend([name, value]);
            }
            // A dash alone is an option to argh.
            _ if arg == "-" => split.push(STDIO),
            _ => split.push(arg),
        }
        if arg == "--" {
            break;
        }
    }
    split.extend(rest);
    split
}

/// Lets a web browser speak to a plain TCP or Unix-socket service.
#[derive(FromArgs)]
#[argh(
    help_triggers("-h", "--help", "help"),
    usage = "<command> [<args>]\n       {command_name} --version",
    example = "{command_name} serve 8080 127.0.0.1:5900\n{command_name} serve --config /etc/adit.toml",
    note = "\"{command_name} <command> --help\" tells more.
Exit codes: 0 done, 1 failure, 2 a command line that makes no sense."
)]
struct Adit {
    /// print the version and what was built in
    #[argh(switch, short = 'V')]
    version: bool,

    #[argh(subcommand)]
    command: Option<Commands>,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum Commands {
    Serve(Box<Serve>),
    Inetd(InetdArgs),
    Connect(Box<ConnectArgs>),
    Check(CheckArgs),
    Token(TokenArgs),
    Demo(DemoArgs),
}
