//! `adit token`: a signed token that expires.

use std::path::PathBuf;
use std::time::Duration;

use argh::FromArgs;

use super::Exit;
use crate::address::Backend;
use crate::config;
use crate::mistake::Mistake;
use crate::server::unix_time;
use crate::tunnel::auth::vault::read_key;
use crate::tunnel::auth::{Grant, jwt};
use crate::tunnel::policy::OriginRule;

/// A token to print.
#[derive(Debug, PartialEq, Eq)]
pub struct Token {
    /// The file with the key.
    pub key: PathBuf,
    /// How long it is good.
    pub expires: Duration,
    /// What it says.
    pub grant: Grant,
}

/// Signs a token. What is not well with the key goes to standard error, so that
/// the token is all that is printed.
pub fn run_token(token: &Token) -> Exit {
    let lines = |faults: &[Mistake]| -> String {
        let line = |fault: &Mistake| format!("adit: {fault}\n");
        faults.iter().map(line).collect()
    };
    match read_key(&token.key) {
        Ok((key, warnings)) => {
            eprint!("{}", lines(&warnings));
            let expires = unix_time() + token.expires.as_secs().max(1);
            Exit {
                text: jwt::sign(&key, &token.grant, expires).reveal().to_owned(),
                code: 0,
            }
        }
        Err(faults) => Exit {
            text: lines(&faults),
            code: 1,
        },
    }
}

/// Print a signed token for a browser, which --hmac-key-file lets in.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "token",
    help_triggers("-h", "--help", "help"),
    usage = "--key FILE [--expires TIME] [--subject NAME] [--backend BACKEND]\n           [--origin ORIGIN]",
    example = "{command_name} --key /etc/adit/key --expires 10m --subject alice",
    note = "The key is at least 32 bytes, as from openssl rand -hex 32. The token is a JWT
(RFC 7519) with HS256, so that other programs with the key can make one too:
exp is needed, nbf, sub, backend and origin count.
",
    note = "Exit codes: 0 done, 1 failure, 2 a command line that makes no sense."
)]
pub(super) struct TokenArgs {
    /// the file with the key
    #[argh(option)]
    key: String,

    /// how long it is good, like 30s, 10m or 8h (default: 1h)
    #[argh(option, default = "String::from(\"1h\")")]
    expires: String,

    /// whose it is; named in the log
    #[argh(option)]
    subject: Option<String>,

    /// which of the route's backends it is for (default: any)
    #[argh(option)]
    backend: Option<String>,

    /// the one origin that it is for (default: any that the route allows)
    #[argh(option)]
    origin: Option<String>,
}

impl TokenArgs {
    pub(super) fn resolve(self) -> Result<Token, String> {
        let expires = config::values::duration(&self.expires)
            .map_err(|why| format!("expires {:?}: {why}", self.expires))?;
        let backend = self.backend.as_deref().map(str::parse::<Backend>);
        let backend = backend.transpose().map_err(|e| e.to_string())?;
        if let Some(origin) = &self.origin {
            let rule = origin.parse::<OriginRule>();
            let fault = match (rule, origin.contains('*') || origin == "any") {
                (Err(why), _) => Some(why),
                (Ok(_), true) => Some("write one origin, without a pattern".to_owned()),
                (Ok(_), false) => None,
            };
            if let Some(why) = fault {
                return Err(format!("origin {origin:?}: {why}"));
            }
        }
        Ok(Token {
            key: self.key.into(),
            expires,
            grant: Grant {
                subject: self.subject,
                backend,
                origin: self.origin,
            },
        })
    }
}
