//! `adit inetd`: the options of `adit serve`, without a place to listen.

use argh::FromArgs;

use super::Exit;
use super::serve::Serve;
use crate::address::Listen;
use crate::config::Source;
use crate::logging::Logging;

/// What asks for the help of this command.
const COMMAND: &str = "adit inetd";

/// What argh takes for a question.
const HELP: [&str; 3] = ["-h", "--help", "help"];

/// Serve the connection or the listener on standard input.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "inetd",
    help_triggers("-h", "--help", "help"),
    usage = "[<options>] BACKEND...\n       {command_name} [-v | -q] [--syslog] [--log-format FORMAT] --config FILE",
    example = "{command_name} 127.0.0.1:5900
{command_name} unix:/run/chat.sock --framing lines --exit-idle 60",
    note = "The options are those of \"adit serve\". FILE has one [[listen]], with the address
fd:0. For inetd.conf:
  8080 stream tcp nowait nobody /usr/bin/adit adit inetd 127.0.0.1:5900
  8080 stream tcp wait nobody /usr/bin/adit adit inetd 127.0.0.1:5900 --exit-idle 60

With nowait there is one tunnel, and its backend is the first that answers. With
wait, adit serves until no client was there for --exit-idle.
",
    note = "Exit codes: 0 the tunnel ended without a fault of anybody's, or all was served,
1 there was no tunnel, or it ended by a fault, 2 a command line that makes no
sense, or standard input is no socket."
)]
pub(super) struct InetdArgs {
    /// where the tunnel leads, and options
    #[argh(positional, arg_name = "BACKEND")]
    rest: Vec<String>,
}

/// What to serve on standard input.
#[derive(Debug, PartialEq, Eq)]
pub struct Inetd {
    /// Where the settings come from.
    pub source: Source,
    /// What to log, how and where.
    pub log: Logging,
}

impl InetdArgs {
    /// The options and backends, as `adit serve` reads them.
    pub(super) fn resolve(self) -> Result<Inetd, Exit> {
        let rest: Vec<_> = self.rest.iter().map(String::as_str).collect();
        let serve = Serve::from_args(&["adit", "inetd"], &rest);
        let serve = serve.map_err(|exit| Exit::early(COMMAND, &exit))?;
        read(serve).map_err(|errors| Exit::usage(COMMAND, &errors))
    }
}

/// What the options mean where the place to listen is standard input.
fn read(mut serve: Serve) -> Result<Inetd, Vec<String>> {
    if serve.config.is_none() {
        if serve.addresses.is_empty() && serve.token_map.is_none() {
            return Err(vec!["no address; give BACKEND, or --config".to_owned()]);
        }
        serve.addresses.insert(0, Listen::Fd(0).to_string());
    }
    let (source, log) = serve.read()?;
    Ok(Inetd { source, log })
}

/// Marks all arguments of `inetd` as its own, unless they ask for help.
pub(super) fn keep_options(args: &mut Vec<&str>) {
    let asks = args.iter().any(|arg| HELP.contains(arg));
    if args.first() == Some(&"inetd") && !asks {
        args.insert(1, "--");
    }
}
