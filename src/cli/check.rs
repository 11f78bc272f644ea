//! `adit check`: a file and all that it names, and where a request would go.

use std::fs;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use argh::FromArgs;

use super::Exit;
use crate::config;
use crate::config::check::{self, Question};
use crate::features::Feature;
use crate::mistake::Mistakes;
use crate::server::{Settings, Tls, unix_time};
use crate::tunnel::access::Secret;
use crate::tunnel::auth::Vault;

/// A file to check, and perhaps a request to try on it.
#[derive(Debug, PartialEq, Eq)]
pub struct Check {
    /// The configuration file.
    pub file: PathBuf,
    /// The request, still without its token.
    pub question: Option<Question>,
    /// Where its token stands; `-`: on standard input.
    pub token_from: Option<PathBuf>,
}

/// Checks a file and those that it names, and says where the request would go.
pub fn run_check(check: &Check) -> Exit {
    let verdict = read(check).and_then(|(settings, vault, tls)| {
        let mut text = match question(check)? {
            Some(question) => check::answer(&settings, &vault, &question, unix_time())?,
            None => check::good(&check.file.display().to_string(), &settings),
        };
        let mut warnings: Vec<_> = vault.warnings().iter().map(ToString::to_string).collect();
        warnings.extend(tls.warnings);
        for warning in warnings {
            text += &format!("\nwarning: {warning}");
        }
        Ok(text)
    });
    match verdict {
        Ok(text) => Exit { text, code: 0 },
        Err(text) => Exit { text, code: 1 },
    }
}

/// The settings, and what the files say that they name.
fn read(check: &Check) -> Result<(Settings, Vault, Tls), String> {
    let settings = config::load(&check.file).map_err(|mistakes| mistakes.to_string())?;
    let vault = Vault::default().load(&settings.routes);
    let vault = vault.and_then(|vault| match vault.unusable(&settings.routes) {
        faults if faults.is_empty() => Ok(vault),
        faults => Err(faults),
    });
    let vault = vault.map_err(|mistakes| Mistakes(mistakes).to_string());
    let tls = Tls::load(&settings).map_err(|faults| {
        let of_file = |fault: &String| format!("{}: {fault}", check.file.display());
        faults.iter().map(of_file).collect::<Vec<_>>().join("\n")
    });
    match (vault, tls) {
        (Ok(vault), Ok(tls)) => Ok((settings, vault, tls)),
        (vault, tls) => {
            let faults: Vec<_> = vault.err().into_iter().chain(tls.err()).collect();
            Err(faults.join("\n"))
        }
    }
}

fn question(check: &Check) -> Result<Option<Question>, String> {
    let (Some(question), Some(from)) = (&check.question, &check.token_from) else {
        return Ok(check.question.clone());
    };
    let token = read_token(from)
        .map_err(|e| format!("{}: the token cannot be read: {e}", from.display()))?;
    Ok(Some(Question {
        token: Some(token),
        ..question.clone()
    }))
}

/// The first word of the file: of a file of tokens its first, if that is not a
/// comment.
fn read_token(from: &Path) -> std::io::Result<Secret> {
    let mut text = String::new();
    match from == Path::new("-") {
        true => {
            std::io::stdin().read_to_string(&mut text)?;
        }
        false => text = fs::read_to_string(from)?,
    }
    Ok(Secret::new(
        text.split_whitespace().next().unwrap_or_default(),
    ))
}

/// Check a configuration file, and say where a request would go.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "check",
    help_triggers("-h", "--help", "help"),
    usage = "FILE\n       {command_name} FILE --url URL [--origin ORIGIN] [--subprotocol NAME]...\n           [--token-from FILE] [--client ADDRESS]",
    example = "{command_name} /etc/adit.toml
{command_name} adit.toml --url wss://example.org/mqtt --origin https://example.org",
    note = "The files of certificates, tokens, keys and passwords are read too. The listener
is the one with the URL's port, or else the first. No socket is opened, and no
name is looked up.",
    note = "
Exit codes: 0 the file is good and the request would be let in, 1 it has
mistakes or the request would be refused, 2 a command line that makes no sense."
)]
pub(super) struct CheckArgs {
    /// the configuration file
    #[argh(positional, arg_name = "FILE")]
    file: String,

    /// what to try: ws://HOST[:PORT]/PATH or wss://...
    #[argh(option)]
    url: Option<String>,

    /// the asking page's origin (default: none, as without browser)
    #[argh(option)]
    origin: Option<String>,

    /// a subprotocol to offer; repeatable, the preferred first
    #[argh(option)]
    subprotocol: Vec<String>,

    /// a file with the token that comes along, or - for standard input
    #[argh(option)]
    token_from: Option<String>,

    /// the client's IP address, for "allow" and "deny" (default: one that may
    /// connect)
    #[argh(option)]
    client: Option<String>,
}

impl CheckArgs {
    pub(super) fn resolve(self) -> Result<Check, String> {
        if self.token_from.is_some() && !Feature::Auth.is_built_in() {
            return Err(format!("--token-from: {}", Feature::Auth.absence()));
        }
        let question = match self.url {
            Some(url) => Some(Question {
                url: url.parse()?,
                origin: self.origin,
                subprotocols: self.subprotocol,
                token: None,
                client: self.client.as_deref().map(client_address).transpose()?,
            }),
            None if self.origin.is_some() => return Err("--origin without --url".to_owned()),
            None if !self.subprotocol.is_empty() => {
                return Err("--subprotocol without --url".to_owned());
            }
            None if self.token_from.is_some() => {
                return Err("--token-from without --url".to_owned());
            }
            None if self.client.is_some() => return Err("--client without --url".to_owned()),
            None => None,
        };
        Ok(Check {
            file: self.file.into(),
            question,
            token_from: self.token_from.map(PathBuf::from),
        })
    }
}

fn client_address(text: &str) -> Result<IpAddr, String> {
    let forms = "write an IP address like 192.0.2.1 or 2001:db8::1";
    text.parse()
        .map_err(|_| format!("client {text:?}: {forms}"))
}
