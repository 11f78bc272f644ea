//! `adit connect`: from its words to settings.
//!
//! It is a server with one route, whose connections are plain streams and which
//! leads to a WebSocket server far away. What such a route shares with serving
//! has the same words; the words of its own stand here. Secrets come from files
//! or the environment, since every user of the machine sees command lines.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::values::{choice, file, mode, token};
use super::words::{GLOBAL, RULES, SWITCH, Word, find, push, put};
use crate::address::Listen;
use crate::features::Feature;
use crate::net::Manner;
use crate::net::tls_files::ClientTls;
use crate::server::Settings;
use crate::server::settings::{Confinement, ListenerSettings, Sandbox};
use crate::tunnel::access::Secret;
use crate::tunnel::policy::Route;
use crate::tunnel::remote::{MOST_REDIRECTS, Proxies, Remote, basic};
use crate::url::{Credentials, Url};
use crate::wire::ws::handshake::is_token;

/// The environment's token.
pub const TOKEN: &str = "ADIT_TOKEN";

/// Where local connections come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Local {
    /// Standard input and output are the one.
    Stdio,
    /// They come here.
    Listen(Listen),
}

/// What was said of the far end, and of the way there.
#[derive(Default)]
pub struct Draft {
    tls: ClientTls,
    ca_only: Option<PathBuf>,
    server_name: Option<String>,
    proxy: Option<Option<Url>>,
    proxy_auth: Option<PathBuf>,
    fields: Vec<(String, String)>,
    origin: Option<String>,
    subprotocols: Vec<String>,
    token_file: Option<PathBuf>,
    host: Option<String>,
    follow: u8,
    retry: bool,
    mode: Option<u32>,
}

/// The words that only `adit connect` has.
pub const CONNECT: &[Word<Draft>] = &[
    Word::of(Feature::Tls, "ca", |draft, text| {
        put(&mut draft.tls.ca, file(text).map(Some))
    }),
    Word::of(Feature::Tls, "ca-only", |draft, text| {
        put(&mut draft.ca_only, file(text).map(Some))
    }),
    Word::of(Feature::Tls, "client-cert", |draft, text| {
        put(&mut draft.tls.cert, file(text).map(Some))
    }),
    Word::of(Feature::Tls, "client-key", |draft, text| {
        put(&mut draft.tls.key, file(text).map(Some))
    }),
    Word::of(Feature::Tls, "server-name", |draft, text| {
        put(&mut draft.server_name, host(text).map(Some))
    }),
    Word::of(Feature::Tls, "insecure", |draft, text| {
        put(&mut draft.tls.insecure, choice(text, SWITCH))
    }),
    Word::secret("proxy", |draft, text| {
        let proxy = match text {
            "off" => Ok(None),
            _ => Url::proxy(text).map(Some),
        };
        put(&mut draft.proxy, proxy.map(Some))
    }),
    Word::one("proxy-auth-file", |draft, text| {
        put(&mut draft.proxy_auth, file(text).map(Some))
    }),
    Word::list(
        "header",
        |draft: &mut Draft| draft.fields.clear(),
        |draft: &mut Draft, text| {
            draft.fields.push(field(text)?);
            Ok(())
        },
    )
    .kept_secret(),
    Word::one("origin", |draft, text| {
        put(&mut draft.origin, value(text).map(Some))
    }),
    Word::list(
        "subprotocol",
        |draft| draft.subprotocols.clear(),
        |draft, text| push(&mut draft.subprotocols, token(text)),
    ),
    Word::one("token-file", |draft, text| {
        put(&mut draft.token_file, file(text).map(Some))
    }),
    Word::one("host", |draft, text| {
        put(&mut draft.host, host(text).map(Some))
    }),
    Word::one("follow", |draft, text| {
        let most = format!("write how many redirects, at most {MOST_REDIRECTS}");
        let count = text.parse().ok().filter(|&count| count <= MOST_REDIRECTS);
        put(&mut draft.follow, count.ok_or(most))
    }),
    Word::one("retry", |draft, text| {
        put(&mut draft.retry, choice(text, SWITCH))
    }),
    Word::one("mode", |draft, text| {
        put(&mut draft.mode, mode(text).map(Some))
    }),
];

/// The words of serving that mean the same here.
pub const SHARED: &[&str] = &[
    "framing",
    "frame-type",
    "invalid-utf8",
    "max-message",
    "ping-interval",
    "idle-timeout",
    "connect-timeout",
    "close-timeout",
    "handshake-timeout",
    "max-connections",
];

/// The settings for connections from here to this URL. Each option is a pair of
/// its name, without dashes, and a value; `variable` is the environment.
///
/// # Errors
/// All that is not allowed, a message each.
pub fn settings(
    local: &Local,
    url: &str,
    options: &[(&str, &str)],
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Settings, Vec<String>> {
    let (mut draft, mut route) = (Draft::default(), Route::default());
    let mut settings = Settings::default();
    let mut errors = Vec::new();
    let url = Url::websocket(url).map_err(|why| errors.push(format!("URL: {why}")));
    for (name, values) in super::draft::grouped(options) {
        let shared = Some(name).filter(|name| SHARED.contains(name));
        let faults = if let Some(word) = find(CONNECT, name) {
            word.set(&mut draft, &values)
        } else if let Some(word) = shared.and_then(|name| find(RULES, name)) {
            word.set(&mut route, &values)
        } else if let Some(word) = shared.and_then(|name| find(GLOBAL, name)) {
            word.set(&mut settings, &values)
        } else {
            vec![(0, format!("{name} is no option"))]
        };
        errors.extend(faults.into_iter().map(|(_, text)| text));
    }
    let has = |name: &str| options.iter().any(|(given, _)| *given == name);
    if route.framing.carries_type() {
        let typed = ["frame-type", "invalid-utf8"]
            .into_iter()
            .filter(|n| has(n));
        let framing = route.framing;
        errors.extend(typed.map(|name| {
            format!("{name} with framing {framing}, where each message carries its own type; leave it out")
        }));
    }
    match local {
        Local::Listen(Listen::Unix(_)) => {}
        _ if draft.mode.is_some() => {
            errors.push("mode without a Unix socket; only unix:/path has a mode".to_owned());
        }
        _ => {}
    }
    let address = match local {
        Local::Stdio => Listen::Fd(0),
        Local::Listen(address) => address.clone(),
    };
    settings.listeners.push(ListenerSettings {
        address,
        manner: Manner {
            mode: draft.mode,
            ..Manner::default()
        },
        accept_proxy: false,
        tls: None,
    });
    if *local == Local::Stdio {
        // Who stops it waits at a terminal, and nobody else is served.
        settings.drain_timeout = Duration::ZERO;
    }
    // What is dialled is looked up afresh each time, wherever that needs to read.
    settings.confinement = Confinement {
        sandbox: Sandbox::Off,
        ..Confinement::default()
    };
    let Ok(url) = url else {
        return Err(errors);
    };
    match draft.build(url, variable) {
        Ok((remote, tls)) if errors.is_empty() => {
            route.remote = Some(remote);
            route.backend_tls = tls;
            settings.routes.push(route);
            Ok(settings)
        }
        Ok(_) => Err(errors),
        Err(more) => Err([errors, more].concat()),
    }
}

impl Draft {
    fn build(
        mut self,
        url: Url,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<(Remote, ClientTls), Vec<String>> {
        let mut errors = Vec::new();
        self.judge(&url, &mut errors);
        let mut note = |error: String| errors.push(error);
        let proxies = self.proxies(&url, &variable).map_err(&mut note);
        let authorization = self.authorization(&url, &variable).map_err(&mut note);
        self.tls.public_too = self.ca_only.is_none();
        self.tls.ca = self.ca_only.or(self.tls.ca);
        let mut fields = self.fields;
        fields.extend(self.origin.map(|origin| ("Origin".to_owned(), origin)));
        match (proxies, authorization) {
            (Ok(proxies), Ok(authorization)) if errors.is_empty() => Ok((
                Remote {
                    proxies,
                    authorization,
                    host: self.host,
                    fields,
                    subprotocols: self.subprotocols,
                    server_name: self.server_name,
                    follow: self.follow,
                    retry: self.retry,
                    ..Remote::at(url)
                },
                self.tls,
            )),
            _ => Err(errors),
        }
    }

    /// What cannot stand together.
    fn judge(&self, url: &Url, errors: &mut Vec<String>) {
        let tls = &self.tls;
        let mut lone = |here: bool, there: bool, name, other| {
            if here && !there {
                errors.push(format!("{name} without {other}; write {other} too"));
            }
        };
        lone(
            tls.cert.is_some(),
            tls.key.is_some(),
            "client-cert",
            "client-key",
        );
        lone(
            tls.key.is_some(),
            tls.cert.is_some(),
            "client-key",
            "client-cert",
        );
        let has_ca = tls.ca.is_some() || self.ca_only.is_some();
        if tls.ca.is_some() && self.ca_only.is_some() {
            errors.push("ca together with ca-only; one of them is enough".to_owned());
        }
        if tls.insecure && has_ca {
            errors.push("insecure together with an authority, which would mean nothing".to_owned());
        }
        if tls.insecure && !url.is_secure() {
            errors.push("insecure with ws://, where there is nothing to verify".to_owned());
        }
    }

    fn proxies(
        &self,
        url: &Url,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Proxies, String> {
        let mut proxies = match &self.proxy {
            Some(given) => Proxies::always(given.clone()),
            None => Proxies::from_environment(url, variable)?,
        };
        let Some(path) = &self.proxy_auth else {
            return Ok(proxies);
        };
        let known = proxies.plain.iter_mut().chain(&mut proxies.secure);
        let known: Vec<_> = known.collect();
        if known.is_empty() {
            return Err("proxy-auth-file without a proxy; write --proxy too".to_owned());
        }
        let line = secret_line(path)?;
        let (user, password) = line
            .split_once(':')
            .ok_or_else(|| format!("{}: no line USER:PASSWORD", path.display()))?;
        let credentials = Credentials {
            user: user.to_owned(),
            password: password.to_owned(),
        };
        for proxy in known {
            proxy.credentials = Some(credentials.clone());
        }
        Ok(proxies)
    }

    fn authorization(
        &self,
        url: &Url,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Secret>, String> {
        let token = match &self.token_file {
            Some(path) => Some((secret_line(path)?, path.display().to_string())),
            None => variable(TOKEN)
                .filter(|token| !token.is_empty())
                .map(|token| (token, format!("the environment's {TOKEN}"))),
        };
        let own = url.credentials.as_ref().map(basic).map(Secret::new);
        let given = self
            .fields
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        let Some((token, place)) = token else {
            return if given && own.is_some() {
                Err("a user in the URL together with a header Authorization".to_owned())
            } else {
                Ok(own)
            };
        };
        if own.is_some() || given {
            return Err(format!(
                "a token in {place} together with a user in the URL or a header Authorization"
            ));
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("{place}: a token has no spaces and is ASCII"));
        }
        Ok(Some(Secret::new(format!("Bearer {token}"))))
    }
}

/// The one line of a file with a secret.
fn secret_line(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(format!("{}: its first line is empty", path.display()));
    }
    Ok(line.to_owned())
}

/// `NAME: VALUE`.
fn field(text: &str) -> Result<(String, String), String> {
    let forms = "write NAME: VALUE";
    let (name, text) = text.split_once(':').ok_or(forms)?;
    if !is_token(name) {
        return Err(format!("no name that a header can have; {forms}"));
    }
    let lower = name.to_ascii_lowercase();
    match lower.as_str() {
        "host" => return Err("the option host is for that".to_owned()),
        "origin" => return Err("the option origin is for that".to_owned()),
        "sec-websocket-protocol" => return Err("the option subprotocol is for that".to_owned()),
        "connection" | "upgrade" | "content-length" | "transfer-encoding" => {
            return Err(format!("{lower} belongs to the handshake"));
        }
        lower if lower.starts_with("sec-websocket-") => {
            return Err(format!("{lower} belongs to the handshake"));
        }
        _ => {}
    }
    Ok((name.to_owned(), value(text.trim())?))
}

/// The value of a header.
fn value(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        return Err("a header's value is one line".to_owned());
    }
    Ok(text.to_owned())
}

/// A host, with a port or without.
fn host(text: &str) -> Result<String, String> {
    if text.is_empty()
        || !text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b))
    {
        return Err("write a name or an address".to_owned());
    }
    Ok(text.to_owned())
}
