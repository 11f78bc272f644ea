//! `adit connect`: its options, and local connections led to a WebSocket
//! server.

use argh::FromArgs;
use log::LevelFilter;

use super::STDIO;
use super::logged::logging;
use super::typed::words;
use crate::address::Listen;
use crate::config::connect::{Local, settings};
use crate::connect;
use crate::logging::{self, Logging};
use crate::server::{End, Settings};

/// What is to be connected.
#[derive(Debug, PartialEq, Eq)]
pub struct Connect {
    /// Where local connections come from.
    pub local: Local,
    /// All else.
    pub settings: Box<Settings>,
    /// What to log, how and where.
    pub log: Logging,
}

/// Connects it, until that is over or a signal ends it.
///
/// # Errors
/// What went wrong.
pub fn run_connect(connect: &Connect) -> Result<End, String> {
    let Connect {
        local,
        settings,
        log,
    } = connect;
    logging::during(log, || {
        connect::run(local, settings.as_ref().clone()).map_err(|e| format!("adit: {e}"))
    })
}

/// Lead local connections to a WebSocket server.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "connect",
    help_triggers("-h", "--help", "help"),
    usage = "[<options>] LOCAL URL\n       {command_name} [<options>] --unix-listen PATH URL",
    example = "{command_name} 5900 wss://gw.example.org/vnc
{command_name} unix:/run/db.sock wss://gw.example.org/db
ssh -o ProxyCommand='{command_name} - wss://gw.example.org/%h' host
echo '{{\"a\":1}}' | {command_name} --framing lines - wss://gw.example.org/api",
    note = "LOCAL:
  5900                port 5900 of 127.0.0.1; port 0 is any free one
  HOST:PORT           one address, or all: 0.0.0.0:5900, [::]:5900
  unix:/path          a Unix socket
  -                   standard input and output, until both have ended
",
    note = "URL: ws:// or wss://, then HOST, a :PORT if it is not 80 or 443, and /PATH;
wss://USER:PASSWORD@HOST/ sends Basic credentials.
",
    note = "Framings, which say where messages begin and end on the local side: raw, lines,
crlf, json-lines, json, nul, length-u8, length-u16, length-u32, length-u32le,
content-length and record. See adit serve --help.
",
    note = "Environment, where all but http_proxy may be in capitals:
  wss_proxy, https_proxy, all_proxy    the proxy for wss://
  ws_proxy, http_proxy, all_proxy      the proxy for ws://
  no_proxy                             hosts and networks without one
  ADIT_TOKEN                           a Bearer token
",
    note = "Times: 500ms, 10s, 5m, 1h, or a number of seconds.
Sizes: a number of bytes, or 64KiB, 1MiB, 1MB, 1GiB.",
    note = "
Exit codes: 0 closed by both sides, or stopped as told; 1 anything else; 2 a
command line that makes no sense."
)]
pub(super) struct ConnectArgs {
    /// where connections come from, and where they are led to
    #[argh(positional, arg_name = "LOCAL URL")]
    places: Vec<String>,

    /// listen on a Unix socket, in place of LOCAL
    #[argh(option)]
    unix_listen: Option<String>,

    /// mode of the Unix socket, like 0660 (default: by umask)
    #[argh(option)]
    mode: Option<String>,

    /// how the local side's messages are told apart (default: raw)
    #[argh(option)]
    framing: Option<String>,

    /// messages to the server: text, binary, mirror (the type that it last
    /// used) or auto (what suits the framing) (default: auto)
    #[argh(option)]
    frame_type: Option<String>,

    /// where the local side's text is not UTF-8: close or replace (default:
    /// close)
    #[argh(option)]
    invalid_utf8: Option<String>,

    /// largest message that is held or announced (default: 1MiB)
    #[argh(option)]
    max_message: Option<String>,

    /// go through this proxy: http://, https:// or socks5h://HOST:PORT, or off
    /// (default: what the environment says)
    #[argh(option)]
    proxy: Option<String>,

    /// file with one line USER:PASSWORD for the proxy
    #[argh(option)]
    proxy_auth_file: Option<String>,

    /// who may sign the server's certificate beside the public authorities,
    /// PEM
    #[argh(option)]
    ca: Option<String>,

    /// who alone may sign it, PEM
    #[argh(option)]
    ca_only: Option<String>,

    /// the certificate chain to show to the server, PEM
    #[argh(option)]
    client_cert: Option<String>,

    /// the key of --client-cert, PEM
    #[argh(option)]
    client_key: Option<String>,

    /// name to ask for and to find in the certificate (default: the URL's host)
    #[argh(option)]
    server_name: Option<String>,

    /// take any certificate of the server
    #[argh(switch)]
    insecure: bool,

    /// send the token in the first line of this file
    #[argh(option)]
    token_file: Option<String>,

    /// send this header, like 'X-Key: abc'; repeatable
    #[argh(option)]
    header: Vec<String>,

    /// send this Origin
    #[argh(option)]
    origin: Option<String>,

    /// send this Host (default: the URL's)
    #[argh(option)]
    host: Option<String>,

    /// offer this subprotocol; repeatable
    #[argh(option)]
    subprotocol: Vec<String>,

    /// follow as many redirects, at most 5, and none away from TLS (default: 0)
    #[argh(option)]
    follow: Option<String>,

    /// try again what cannot be reached, with growing pauses
    #[argh(switch)]
    retry: bool,

    /// time from ping to ping, or off (default: 30s)
    #[argh(option)]
    ping_interval: Option<String>,

    /// longest time without a message, or off (default: off)
    #[argh(option)]
    idle_timeout: Option<String>,

    /// longest time for a connection to an address (default: 5s)
    #[argh(option)]
    connect_timeout: Option<String>,

    /// longest time for all that is said before messages (default: 10s)
    #[argh(option)]
    handshake_timeout: Option<String>,

    /// longest time for a side to answer a close (default: 5s)
    #[argh(option)]
    close_timeout: Option<String>,

    /// most local connections at a time, or off (default: off)
    #[argh(option)]
    max_connections: Option<String>,

    /// log each step
    #[argh(switch, short = 'v')]
    verbose: bool,

    /// log only warnings and errors
    #[argh(switch, short = 'q')]
    quiet: bool,

    /// log to /dev/log, in RFC 5424's format (default: to standard error)
    #[argh(switch)]
    syslog: bool,

    /// how lines of the log look: text or json (default: text)
    #[argh(option)]
    log_format: Option<String>,
}

impl ConnectArgs {
    /// What is to be connected, or why these options make no sense.
    pub(super) fn resolve(&self) -> Result<Connect, Vec<String>> {
        let (local, url) = self.places().map_err(|error| vec![error])?;
        let format = self.log_format.as_deref();
        let log = logging(self.verbose, self.quiet, format, self.syslog);
        let mut log = log.map_err(|error| vec![error])?;
        if local == Local::Stdio && !self.verbose && !self.syslog {
            // The one connection says at the end what was wrong with it.
            log.level = LevelFilter::Off;
        }
        let variable = |name: &str| std::env::var(name).ok();
        let settings = settings(&local, url, &self.options(), variable)?;
        Ok(Connect {
            local,
            settings: Box::new(settings),
            log,
        })
    }

    fn places(&self) -> Result<(Local, &str), String> {
        let places: Vec<_> = self.places.iter().map(String::as_str).collect();
        let (local, url) = match (&self.unix_listen, &places[..]) {
            (None, [local, url]) => ((*local).to_owned(), *url),
            (Some(path), [url]) => (format!("unix:{path}"), *url),
            (Some(_), [_, _, ..]) => return Err("--unix-listen together with LOCAL".to_owned()),
            (_, []) => return Err("no addresses; give LOCAL and URL".to_owned()),
            (None, [_]) => return Err("one address alone; give LOCAL and URL".to_owned()),
            (None, _) => return Err("more than two addresses; give LOCAL and URL".to_owned()),
        };
        if local == STDIO {
            return Ok((Local::Stdio, url));
        }
        match local.parse::<Listen>() {
            // What is for this machine's programs is not for the whole network.
            Ok(Listen::Tcp { host: None, port }) => {
                let host = Some("127.0.0.1".to_owned());
                Ok((Local::Listen(Listen::Tcp { host, port }), url))
            }
            Ok(listen) => Ok((Local::Listen(listen), url)),
            Err(error) => Err(format!("{error}, or - for standard input and output")),
        }
    }

    /// The options that are words, as they were given.
    fn options(&self) -> Vec<(&'static str, &str)> {
        let single = [
            ("mode", &self.mode),
            ("framing", &self.framing),
            ("frame-type", &self.frame_type),
            ("invalid-utf8", &self.invalid_utf8),
            ("max-message", &self.max_message),
            ("proxy", &self.proxy),
            ("proxy-auth-file", &self.proxy_auth_file),
            ("ca", &self.ca),
            ("ca-only", &self.ca_only),
            ("client-cert", &self.client_cert),
            ("client-key", &self.client_key),
            ("server-name", &self.server_name),
            ("token-file", &self.token_file),
            ("origin", &self.origin),
            ("host", &self.host),
            ("follow", &self.follow),
            ("ping-interval", &self.ping_interval),
            ("idle-timeout", &self.idle_timeout),
            ("connect-timeout", &self.connect_timeout),
            ("handshake-timeout", &self.handshake_timeout),
            ("close-timeout", &self.close_timeout),
            ("max-connections", &self.max_connections),
        ];
        let repeated = [("header", &self.header), ("subprotocol", &self.subprotocol)];
        let switches = [("insecure", self.insecure), ("retry", self.retry)];
        words(&single, &repeated, &switches)
    }
}
