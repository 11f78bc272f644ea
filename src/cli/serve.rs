//! The options of `adit serve`, which are the words of the file.

use super::Command;
use super::logged::logging;
use super::typed::{unescape, words};
use crate::config::words::option_lacks;
use crate::config::{self, Source};
use crate::features::Feature;
use crate::logging::Logging;
use argh::FromArgs;

/// Run the tunnel.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "serve",
    help_triggers("-h", "--help", "help"),
    usage = "[<options>] LISTEN BACKEND...\n       {command_name} [-v | -q] [--syslog] [--log-format FORMAT] --config FILE",
    example = "{command_name} 8080 127.0.0.1:5900
{command_name} 127.0.0.1:8080 unix:/run/chat.sock --framing lines
{command_name} 8080 localhost:1883 --subprotocol mqtt --origin http://localhost:3000
{command_name} --config /etc/adit.toml",
    note = "Addresses:
  8080                every IPv4 and IPv6 address; port 0 is any free one
  HOST:PORT           one address; IPv6 as [::1]:8080
  tls:HOST:PORT       TLS, BACKEND only
  unix:/path          a Unix socket
  systemd             the sockets that systemd hands over, LISTEN only
  systemd:NAME        those with this FileDescriptorName, LISTEN only
  fd:3                a socket that the caller has opened, LISTEN only
  unix:@name          a Linux abstract socket, BACKEND only
",
    note = "Framings, which say where messages begin and end on the backend's side:
  raw                 nowhere: a plain stream of bytes
  lines               each message is a line that ends with LF
  crlf                each message is a line that ends with CR LF
  json-lines          each message is JSON on a line of its own
  json                each message is a JSON value, whatever is between them
  nul                 each message ends with a zero byte
  length-u8           a length of 1 byte goes before each message
  length-u16          a length of 2 bytes, big-endian
  length-u32          a length of 4 bytes, big-endian
  length-u32le        a length of 4 bytes, little-endian
  content-length      a Content-Length header, as in the Language Server Protocol
  record              a type and a length go before each message or fragment
",
    note = "Greetings, where \\r, \\n, \\t and \\\\ are understood and values are escaped:
  %a %h %p            the client's address, host name or address, and port
  %H %u %q            the Host header, the path, the query
  %o %s               the origin, the subprotocol
  %t %c %C %%         the token's subject, the certificate's common name and
                      alternative names, a %
",
    note = "Times: 500ms, 10s, 5m, 1h, or a number of seconds.
Sizes: a number of bytes, or 64KiB, 1MiB, 1MB, 1GiB.",
    note = "
Exit codes: 0 after SIGTERM, SIGINT or --exit-idle, 1 a failure, mistakes in the
file or a second signal, 2 a command line that makes no sense."
)]
pub(super) struct Serve {
    /// where clients connect to, and where their tunnels lead; of several
    /// backends to the one with the fewest
    #[argh(positional, arg_name = "LISTEN BACKEND")]
    pub(super) addresses: Vec<String>,

    /// read everything from this file, and again on SIGHUP
    #[argh(option)]
    pub(super) config: Option<String>,

    /// answer only for this host, or *.DOMAIN for all below (default: any)
    #[argh(option)]
    host: Option<String>,

    /// answer only at and below this path (default: /)
    #[argh(option)]
    path: Option<String>,

    /// serve only this subprotocol; repeatable (default: any)
    #[argh(option)]
    subprotocol: Vec<String>,

    /// how the backend's messages are told apart (default: raw)
    #[argh(option)]
    framing: Option<String>,

    /// messages to the client: text, binary, mirror (the type that the client
    /// last used) or auto (what suits the framing) (default: auto)
    #[argh(option)]
    frame_type: Option<String>,

    /// where the backend's text is not UTF-8: close or replace (default:
    /// close)
    #[argh(option)]
    invalid_utf8: Option<String>,

    /// largest message that is held or announced (default: 1MiB)
    #[argh(option)]
    max_message: Option<String>,

    /// pages that may connect too, like https://app.example.org,
    /// https://*.example.org, null or any; repeatable (default: only those of
    /// the tunnel's own host)
    #[argh(option)]
    origin: Vec<String>,

    /// refuse clients without an Origin, so all but browsers
    #[argh(switch)]
    require_origin: bool,

    /// addresses or networks like 10.0.0.0/8 whose PROXY headers and
    /// X-Forwarded-For are believed, or unix for a Unix socket's clients;
    /// repeatable (default: none)
    #[argh(option)]
    trusted_proxies: Vec<String>,

    /// take a PROXY header, v1 or v2, before anything else from each trusted
    /// proxy
    #[argh(switch)]
    accept_proxy: bool,

    /// speak TLS (wss) with the certificate chain in this PEM file
    #[argh(option)]
    tls_cert: Option<String>,

    /// the key of --tls-cert, PEM
    #[argh(option)]
    tls_key: Option<String>,

    /// ask clients for a certificate that one of these authorities signed
    #[argh(option)]
    client_ca: Option<String>,

    /// whether that is required or optional (default: required)
    #[argh(option)]
    client_auth: Option<String>,

    /// plain HTTP on the TLS port: redirect or allow (default: redirect)
    #[argh(option)]
    plain: Option<String>,

    /// who signs the certificates of tls: backends (default: the public
    /// authorities)
    #[argh(option)]
    backend_ca: Option<String>,

    /// take any certificate of tls: backends
    #[argh(switch)]
    backend_insecure: bool,

    /// the certificate chain to show to tls: backends
    #[argh(option)]
    backend_cert: Option<String>,

    /// the key of --backend-cert
    #[argh(option)]
    backend_key: Option<String>,

    /// begin each backend connection with a PROXY header: v1, v2 or off
    /// (default: off)
    #[argh(option)]
    send_proxy: Option<String>,

    /// say this to the backend first; see below (default: nothing)
    #[argh(option)]
    greeting: Option<String>,
    /// let in the tokens of this file: one a line, and behind it NAME, BACKEND
    /// and EXPIRES if wanted
    #[argh(option)]
    token_file: Option<String>,

    /// let in tokens that were signed with the key in this file; see adit
    /// token
    #[argh(option)]
    hmac_key_file: Option<String>,

    /// let in the users of this file, as htpasswd -B writes it
    #[argh(option)]
    basic_file: Option<String>,

    /// take the token from a cookie of this name too
    #[argh(option)]
    auth_cookie: Option<String>,

    /// what a password prompt calls the place (default: adit)
    #[argh(option)]
    auth_realm: Option<String>,

    /// in place of BACKEND: websockify's file, or a directory of them, that
    /// says where each token leads
    #[argh(option)]
    pub(super) token_map: Option<String>,

    /// time from ping to ping, or off (default: 30s)
    #[argh(option)]
    ping_interval: Option<String>,

    /// longest time without a message, or off (default: off)
    #[argh(option)]
    idle_timeout: Option<String>,

    /// longest time for a backend to accept (default: 5s)
    #[argh(option)]
    connect_timeout: Option<String>,

    /// longest time for a side to answer a close (default: 5s)
    #[argh(option)]
    close_timeout: Option<String>,

    /// most tunnels to each backend, or off (default: off)
    #[argh(option)]
    max_connections_per_backend: Option<String>,

    /// most clients at a time, or off (default: off)
    #[argh(option)]
    max_connections: Option<String>,

    /// most connections of a client at a time, or off; a client is an IPv4
    /// address or an IPv6 /64 (default: off)
    #[argh(option)]
    max_connections_per_client: Option<String>,

    /// most new connections a second, or off (default: off)
    #[argh(option)]
    new_connections_per_second: Option<String>,

    /// most new connections a second of a client, or off (default: off)
    #[argh(option)]
    new_connections_per_second_per_client: Option<String>,

    /// most new tunnels a second, or off (default: off)
    #[argh(option)]
    new_connections_per_second_per_route: Option<String>,

    /// networks that may connect, like 10.0.0.0/8 or 2001:db8::/32; repeatable
    /// (default: any)
    #[argh(option)]
    allow: Vec<String>,

    /// networks that may not connect, even if allowed; repeatable (default:
    /// none)
    #[argh(option)]
    deny: Vec<String>,

    /// longest time for a client's request (default: 10s)
    #[argh(option)]
    handshake_timeout: Option<String>,

    /// longest time for tunnels after SIGTERM (default: 30s)
    #[argh(option)]
    drain_timeout: Option<String>,

    /// end when no client was there for so long, or off (default: off)
    #[argh(option)]
    exit_idle: Option<String>,

    /// let other processes listen on the same port
    #[argh(switch)]
    reuse_port: bool,

    /// mode of LISTEN's Unix socket, like 0660 (default: by umask)
    #[argh(option)]
    mode: Option<String>,

    /// user to become once the sockets are open, by name or number
    #[argh(option)]
    user: Option<String>,

    /// group to take with --user (default: the user's own)
    #[argh(option)]
    group: Option<String>,

    /// folder to make the root of the file system once the sockets are open
    #[argh(option)]
    chroot: Option<String>,

    /// where /healthz and /metrics are, HOST:PORT or unix:/path (default:
    /// nowhere)
    #[argh(option)]
    admin: Option<String>,

    /// forbid files that a reload does not need: auto (where the kernel has
    /// Landlock), require or off (default: auto)
    #[argh(option)]
    sandbox: Option<String>,

    /// file to keep the process's number in while it runs
    #[argh(option)]
    pid_file: Option<String>,

    /// log to /dev/log, in RFC 5424's format (default: to standard error)
    #[argh(switch)]
    syslog: bool,

    /// how lines of the log look: text or json (default: text)
    #[argh(option)]
    log_format: Option<String>,

    /// log each step
    #[argh(switch, short = 'v')]
    verbose: bool,

    /// log only warnings and errors
    #[argh(switch, short = 'q')]
    quiet: bool,
}

impl Serve {
    /// What is to be served, or why these options make no sense.
    pub(super) fn resolve(&self) -> Result<Command, Vec<String>> {
        let (source, log) = self.read()?;
        Ok(Command::Serve { source, log })
    }

    pub(super) fn read(&self) -> Result<(Source, Logging), Vec<String>> {
        let lacking = self.lacking();
        if !lacking.is_empty() {
            return Err(lacking);
        }
        let format = self.log_format.as_deref();
        let log = logging(self.verbose, self.quiet, format, self.syslog);
        let log = log.map_err(|error| vec![error])?;
        let source = match &self.config {
            Some(file) => self.file(file).map_err(|error| vec![error])?,
            None => self.words()?,
        };
        Ok((source, log))
    }

    /// The options that want what this build lacks, a message each.
    fn lacking(&self) -> Vec<String> {
        let config = self
            .config
            .as_ref()
            .map(|_| ("config", Feature::ConfigFile));
        let config = config.filter(|(_, feature)| !feature.is_built_in());
        let options = self.options().into_iter();
        options
            .filter_map(|(name, _)| Some((name, option_lacks(name)?)))
            .chain(config)
            .map(|(name, feature)| format!("--{name}: {}", feature.absence()))
            .collect()
    }

    fn file(&self, file: &str) -> Result<Source, String> {
        if let Some(address) = self.addresses.first() {
            return Err(format!(
                "{address:?} together with --config; addresses stand in the file then"
            ));
        }
        if let Some((name, _)) = self.options().first() {
            return Err(format!(
                "--{name} together with --config; it stands in the file then, as {name}"
            ));
        }
        Ok(Source::File(file.into()))
    }

    fn words(&self) -> Result<Source, Vec<String>> {
        let (listen, backends) = match &self.addresses[..] {
            [] => {
                return Err(vec![
                    "no addresses; give LISTEN and BACKEND, or --config".to_owned(),
                ]);
            }
            [listen] if self.token_map.is_some() => (listen, &[][..]),
            [listen] => return Err(vec![format!("{listen:?} alone; give LISTEN and BACKEND")]),
            [listen, backends @ ..] => (listen, backends),
        };
        let mut words: Vec<_> = backends
            .iter()
            .map(|text| ("backend", text.as_str()))
            .collect();
        let greeting = self.greeting.as_deref().map(unescape).transpose();
        let greeting = greeting.map_err(|error| vec![error])?;
        words.extend(self.options());
        for (_, value) in words.iter_mut().filter(|(name, _)| *name == "greeting") {
            *value = greeting.as_deref().unwrap_or(value);
        }
        let settings = config::command_line(listen, &words)?;
        Ok(Source::CommandLine(Box::new(settings)))
    }

    /// The options that are words of the file too, as they were given.
    fn options(&self) -> Vec<(&'static str, &str)> {
        let single = [
            ("host", &self.host),
            ("path", &self.path),
            ("framing", &self.framing),
            ("frame-type", &self.frame_type),
            ("invalid-utf8", &self.invalid_utf8),
            ("max-message", &self.max_message),
            ("send-proxy", &self.send_proxy),
            ("greeting", &self.greeting),
            ("token-file", &self.token_file),
            ("hmac-key-file", &self.hmac_key_file),
            ("basic-file", &self.basic_file),
            ("auth-cookie", &self.auth_cookie),
            ("auth-realm", &self.auth_realm),
            ("token-map", &self.token_map),
            ("ping-interval", &self.ping_interval),
            ("idle-timeout", &self.idle_timeout),
            ("connect-timeout", &self.connect_timeout),
            ("close-timeout", &self.close_timeout),
            (
                "max-connections-per-backend",
                &self.max_connections_per_backend,
            ),
            ("max-connections", &self.max_connections),
            (
                "max-connections-per-client",
                &self.max_connections_per_client,
            ),
            (
                "new-connections-per-second",
                &self.new_connections_per_second,
            ),
            (
                "new-connections-per-second-per-client",
                &self.new_connections_per_second_per_client,
            ),
            (
                "new-connections-per-second-per-route",
                &self.new_connections_per_second_per_route,
            ),
            ("handshake-timeout", &self.handshake_timeout),
            ("drain-timeout", &self.drain_timeout),
            ("exit-idle", &self.exit_idle),
            ("user", &self.user),
            ("group", &self.group),
            ("chroot", &self.chroot),
            ("admin", &self.admin),
            ("sandbox", &self.sandbox),
            ("pid-file", &self.pid_file),
            ("mode", &self.mode),
            ("tls-cert", &self.tls_cert),
            ("tls-key", &self.tls_key),
            ("client-ca", &self.client_ca),
            ("client-auth", &self.client_auth),
            ("plain", &self.plain),
            ("backend-ca", &self.backend_ca),
            ("backend-cert", &self.backend_cert),
            ("backend-key", &self.backend_key),
        ];
        let repeated = [
            ("subprotocol", &self.subprotocol),
            ("origin", &self.origin),
            ("allow", &self.allow),
            ("deny", &self.deny),
            ("trusted-proxies", &self.trusted_proxies),
        ];
        let switches = [
            ("require-origin", self.require_origin),
            ("accept-proxy", self.accept_proxy),
            ("reuse-port", self.reuse_port),
            ("backend-insecure", self.backend_insecure),
        ];
        words(&single, &repeated, &switches)
    }
}
