//! The remote WebSocket server that local streams are connected to, and the
//! proxies in between.

use super::access::Secret;
use super::connecting::Step;
use super::dialogue::Request;
use crate::address::Backend;
use crate::cidr::Cidr;
use crate::net::tls::Connector;
use crate::net::tls_files::ClientTls;
use crate::url::{Credentials, Scheme, Url};
use crate::wire::http::Connect;
use crate::wire::socks::Socks;
use crate::wire::ws::client_handshake::{Agreed, ClientRequest};
use crate::wire::ws::{Connection, Role, Text};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Most redirects that can be followed.
pub const MOST_REDIRECTS: u8 = 5;

/// What is known of the remote server before anything is dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Where it is.
    pub url: Url,
    /// The proxies in between.
    pub proxies: Proxies,
    /// The value of the Authorization header, if it is sent.
    pub authorization: Option<Secret>,
    /// The Host header, where it is not the URL's.
    pub host: Option<String>,
    /// Further headers of the request.
    pub fields: Vec<(String, String)>,
    /// The subprotocols to offer.
    pub subprotocols: Vec<String>,
    /// The name that the server's certificate must have, where it is not the
    /// URL's.
    pub server_name: Option<String>,
    /// How many redirects are followed.
    pub follow: u8,
    /// Whether what failed is tried again.
    pub retry: bool,
}

impl Remote {
    /// A server at this URL, with nothing special about it.
    pub fn at(url: Url) -> Self {
        Remote {
            url,
            proxies: Proxies::default(),
            authorization: None,
            host: None,
            fields: Vec::new(),
            subprotocols: Vec::new(),
            server_name: None,
            follow: 0,
            retry: false,
        }
    }

    /// A stream that is to be connected to it.
    pub fn local_stream(&self) -> LocalStream {
        LocalStream(())
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

/// A plain stream that is to be connected to a remote server.
#[derive(Debug)]
pub struct LocalStream(());

impl LocalStream {
    /// What speaks for it, once the server is there.
    pub fn connection(self, text: Text, agreed: &Agreed) -> Connection {
        Connection::new(Role::Client, text, agreed.half_close)
    }
}

/// Basic credentials as a header has them (RFC 7617 section 2).
pub fn basic(credentials: &Credentials) -> String {
    let pair = format!("{}:{}", credentials.user, credentials.password);
    format!("Basic {}", BASE64_STANDARD.encode(pair))
}

/// Which proxy leads where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// To a ws:// URL.
    pub plain: Option<Url>,
    /// To a wss:// URL.
    pub secure: Option<Url>,
    /// The hosts to which none leads.
    pub except: Vec<Exception>,
}

/// Hosts to which no proxy leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exception {
    /// All.
    All,
    /// A network, or one address.
    Network(Cidr),
    /// A name and all below it, in lower case.
    Name(String),
}

impl Proxies {
    /// This proxy everywhere, or none anywhere.
    pub fn always(proxy: Option<Url>) -> Self {
        Proxies {
            plain: proxy.clone(),
            secure: proxy,
            except: Vec::new(),
        }
    }

    /// The proxies of the environment, as curl has them, of which those are read
    /// that may lead to `url` or to where it is redirected.
    ///
    /// # Errors
    /// Which variable makes no sense, without its value, which may hold a
    /// password.
    pub fn from_environment(
        url: &Url,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let first = |names: &[&'static str]| {
            let mut set = names.iter().filter_map(|&name| {
                let value = variable(name).filter(|value| !value.is_empty())?;
                Some((name, value))
            });
            set.next()
        };
        let proxy = |names: &[&'static str]| match first(names) {
            None => Ok(None),
            Some((name, value)) => match Url::proxy(&value) {
                Ok(url) => Ok(Some(url)),
                Err(why) => Err(format!("the environment's {name}: {why}")),
            },
        };
        let except = first(&["no_proxy", "NO_PROXY"]);
        Ok(Proxies {
            plain: match url.is_secure() {
                // No redirect leads away from TLS.
                true => None,
                // Not HTTP_PROXY: a CGI's client could set that one.
                false => proxy(&[
                    "ws_proxy",
                    "WS_PROXY",
                    "http_proxy",
                    "all_proxy",
                    "ALL_PROXY",
                ])?,
            },
            secure: proxy(&[
                "wss_proxy",
                "WSS_PROXY",
                "https_proxy",
                "HTTPS_PROXY",
                "all_proxy",
                "ALL_PROXY",
            ])?,
            except: except.map_or(Vec::new(), |(_, value)| exceptions(&value)),
        })
    }

    /// The proxy that leads to a URL.
    pub fn to(&self, url: &Url) -> Option<&Url> {
        if self.except.iter().any(|except| except.holds(&url.host)) {
            return None;
        }
        let proxy = if url.is_secure() {
            &self.secure
        } else {
            &self.plain
        };
        proxy.as_ref()
    }
}

fn exceptions(list: &str) -> Vec<Exception> {
    let entries = list
        .split([',', ' ', '\t'])
        .filter(|entry| !entry.is_empty());
    let exception = |entry: &str| {
        let bare = entry.trim_start_matches('[').trim_end_matches(']');
        match bare.parse() {
            Ok(network) => Exception::Network(network),
            Err(_) if entry == "*" => Exception::All,
            Err(_) => Exception::Name(entry.trim_matches('.').to_ascii_lowercase()),
        }
    };
    entries.map(exception).collect()
}

impl Exception {
    fn holds(&self, host: &str) -> bool {
        match self {
            Exception::All => true,
            Exception::Network(network) => {
                let ip: Result<IpAddr, _> = host.parse();
                ip.is_ok_and(|ip| network.contains(ip))
            }
            Exception::Name(name) => {
                let host = host.trim_end_matches('.');
                // No address is below a name.
                let is_address = host.parse::<IpAddr>().is_ok();
                let below = host.strip_suffix(name.as_str());
                !is_address && below.is_some_and(|front| front.is_empty() || front.ends_with('.'))
            }
        }
    }
}

/// A remote server as it is dialled: with all that has to be read for it, and
/// where redirects have led.
#[derive(Clone, Debug)]
pub struct Target {
    remote: Arc<Remote>,
    /// How the server and a proxy are asked for TLS, whatever their names are.
    /// Nobody has to be asked where no TLS is spoken.
    tls: Result<Connector, String>,
    proxy_tls: Result<Connector, String>,
    url: Url,
    followed: u8,
}

impl Target {
    /// Reads what `tls` names.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(remote: &Remote, tls: &ClientTls) -> Result<Self, String> {
        // A proxy is shown no certificate, and has to show a good one.
        let proxy_tls = ClientTls {
            ca: tls.ca.clone(),
            public_too: tls.public_too,
            ..ClientTls::default()
        };
        let any = "localhost";
        let target = Target {
            tls: tls.load(any).map(Connector::for_http),
            proxy_tls: proxy_tls.load(any).map(Connector::for_http),
            url: remote.url.clone(),
            remote: Arc::new(remote.clone()),
            followed: 0,
        };
        target.next_hop().map(|_| target)
    }

    /// Whether what failed is tried again.
    pub fn retries(&self) -> bool {
        self.remote.retry
    }

    /// What the log calls it.
    pub fn name(&self) -> String {
        match self.remote.proxies.to(&self.url) {
            Some(proxy) => format!("{} through {proxy}", self.url),
            None => self.url.to_string(),
        }
    }

    /// Goes back to the URL that was asked for.
    pub fn reset(&mut self) {
        self.url = self.remote.url.clone();
        self.followed = 0;
    }

    /// Goes where an answer says, if that is allowed.
    ///
    /// # Errors
    /// Why it is not.
    pub fn redirect(&mut self, location: &str) -> Result<(), String> {
        if self.followed == self.remote.follow {
            return Err(format!(
                "more redirects than {} (--follow)",
                self.remote.follow
            ));
        }
        let moved = self.url.moved(location);
        let url = moved.map_err(|why| format!("a redirect that leads nowhere: {why}"))?;
        if self.url.is_secure() && !url.is_secure() {
            return Err(format!("a redirect away from TLS, to {url}"));
        }
        self.followed += 1;
        self.url = url;
        Ok(())
    }

    /// Whether redirects are followed at all.
    pub fn follows_redirects(&self) -> bool {
        self.remote.follow > 0
    }

    /// What is to be dialled, and what to do over the connection.
    ///
    /// # Errors
    /// A name that no certificate can have.
    pub fn next_hop(&self) -> Result<(Backend, Vec<Step>), String> {
        let mut steps = Vec::new();
        let first = match self.remote.proxies.to(&self.url) {
            None => &self.url,
            Some(proxy) => {
                self.proxy_steps(proxy, &mut steps)?;
                proxy
            }
        };
        let is_redirected = self.is_redirected();
        if self.url.is_secure() {
            let name = self.remote.server_name.as_ref().filter(|_| !is_redirected);
            steps.push(Step::Tls(
                self.tls.clone()?.to(name.unwrap_or(&self.url.host))?,
            ));
        }
        steps.push(Step::Ask(Request::WebSocket(self.request(is_redirected))));
        let backend = Backend::Tcp {
            host: first.host.clone(),
            port: first.port,
        };
        Ok((backend, steps))
    }

    fn proxy_steps(&self, proxy: &Url, steps: &mut Vec<Step>) -> Result<(), String> {
        let credentials = proxy.credentials.clone();
        if proxy.scheme == Scheme::Socks5h {
            let pair = credentials.map(|known| (known.user, known.password));
            let socks = Socks::new(&self.url.host, self.url.port, pair);
            steps.push(Step::Ask(Request::Socks(socks)));
            return Ok(());
        }
        if proxy.is_secure() {
            steps.push(Step::Tls(self.proxy_tls.clone()?.to(&proxy.host)?));
        }
        let authorization = credentials.as_ref().map(basic);
        let connect = Connect::new(self.url.authority(), authorization);
        steps.push(Step::Ask(Request::Connect(connect)));
        Ok(())
    }

    /// Whether a redirect has led to another server.
    fn is_redirected(&self) -> bool {
        let place = |url: &Url| (url.scheme, url.host.clone(), url.port);
        place(&self.url) != place(&self.remote.url)
    }

    /// What the server is asked; another than was meant learns no secret.
    fn request(&self, is_redirected: bool) -> ClientRequest {
        let remote = &self.remote;
        let is_open = |(name, _): &&(String, String)| {
            let secret = ["authorization", "cookie"];
            !is_redirected || !secret.iter().any(|s| name.eq_ignore_ascii_case(s))
        };
        let mut fields: Vec<_> = remote.fields.iter().filter(is_open).cloned().collect();
        let own = self.url.credentials.as_ref().map(basic);
        let given = remote.authorization.as_ref().filter(|_| !is_redirected);
        if let Some(value) = given.map(|secret| secret.reveal().to_owned()).or(own) {
            fields.push(("Authorization".to_owned(), value));
        }
        let host = remote.host.clone().filter(|_| !is_redirected);
        ClientRequest {
            target: self.url.target.clone(),
            host: host.unwrap_or_else(|| self.url.host_header()),
            fields,
            subprotocols: remote.subprotocols.clone(),
        }
    }
}

// Most have TLS in them.
#[cfg(all(test, feature = "tls"))]
mod tests;
