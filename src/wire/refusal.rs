//! The endings before the 101: cause to HTTP status, one table.

use super::http::Request;
use std::borrow::Cow;
use std::fmt;

/// Why a request gets no tunnel. The status, the extra header and the one-line
/// body of the answer all come from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The head breaks HTTP's or the handshake's syntax; says which rule.
    BadRequest(&'static str),
    /// The origin may not connect to this route; holds the origin, if any came.
    Origin(Option<String>),
    /// The route's `deny` or `allow` keeps the client's address out.
    Address,
    /// No credentials came, or none that are good.
    Unauthorized(Box<Challenge>),
    /// The token is good, but not for this; says for what not.
    Forbidden(&'static str),
    /// No backend has this token, where tokens choose the backend.
    UnknownToken,
    /// Too many passwords or names wait to be looked at.
    Busy,
    /// No route has this host and path.
    NotFound,
    /// Not a GET.
    Method,
    /// The head did not arrive within `handshake-timeout`.
    HeadTimeout,
    /// A plain HTTP request where only WebSocket is spoken.
    NotUpgrade,
    /// A plain request where TLS is spoken; holds where to go instead.
    NeedsTls(Option<String>),
    /// A WebSocket version other than 13.
    Version,
    /// The head is longer than 16 KiB or has more than 100 headers.
    HeadTooLarge,
    /// None of the offered subprotocols is served, or none was offered where
    /// one is needed; holds those which are served.
    Subprotocol(Vec<String>),
    /// The client has `max-connections-per-client` connections already.
    ClientConnections,
    /// The client has used up `new-connections-per-second-per-client`.
    ClientRate,
    /// All together have used up `new-connections-per-second`.
    Rate,
    /// The route's `new-connections-per-second-per-route` is used up.
    RouteRate,
    /// The only backend refused or cannot be reached.
    BackendUnreachable,
    /// The only backend did not answer within `connect-timeout`.
    BackendTimeout,
    /// Every one of several backends failed, now or within the last second.
    BackendsDown,
    /// Every backend has `max-connections-per-backend` tunnels already.
    BackendsFull,
    /// adit is stopping.
    Draining,
    /// adit cannot serve with the settings that it was given.
    Misconfigured,
}

/// What a client has to bring (RFC 9110 section 11.6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The place that it is for.
    pub realm: String,
    /// Whether a token is taken (RFC 6750).
    pub bearer: bool,
    /// Whether a user and password are taken (RFC 7617).
    pub basic: bool,
    /// What was wrong with what came.
    pub lack: Lack,
}

/// What is wrong with a client's credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// None came.
    Nothing,
    /// The token is unknown, altered or another's.
    WrongToken,
    /// The token was good.
    ExpiredToken,
    /// No such user has this password.
    WrongPassword,
}

impl Challenge {
    /// The header, a line for each scheme.
    fn header(&self) -> String {
        let mut lines = Vec::new();
        if self.bearer {
            // RFC 6750 section 3: no error where no token came.
            let error = match self.lack {
                Lack::WrongToken | Lack::ExpiredToken => {
                    format!(
                        ", error=\"invalid_token\", error_description=\"{}\"",
                        self.lack
                    )
                }
                Lack::Nothing | Lack::WrongPassword => String::new(),
            };
            lines.push(format!(
                "WWW-Authenticate: Bearer realm=\"{}\"{error}",
                self.realm
            ));
        }
        if self.basic {
            let realm = &self.realm;
            lines.push(format!(
                "WWW-Authenticate: Basic realm=\"{realm}\", charset=\"UTF-8\""
            ));
        }
        lines.join("\r\n")
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Lack::Nothing => "a token or password is required here",
            Lack::WrongToken => "the token is not valid",
            Lack::ExpiredToken => "the token has expired",
            Lack::WrongPassword => "the user or password is wrong",
        })
    }
}

impl Refusal {
    /// The HTTP status code.
    pub fn status(&self) -> u16 {
        match self {
            Refusal::NeedsTls(Some(_)) => 301,
            Refusal::BadRequest(_) | Refusal::Subprotocol(_) | Refusal::NeedsTls(None) => 400,
            Refusal::Unauthorized(_) => 401,
            Refusal::Origin(_) | Refusal::Address => 403,
            Refusal::Forbidden(_) | Refusal::UnknownToken => 403,
            Refusal::NotFound => 404,
            Refusal::Method => 405,
            Refusal::HeadTimeout => 408,
            Refusal::NotUpgrade | Refusal::Version => 426,
            // RFC 6585 section 4.
            Refusal::ClientConnections | Refusal::ClientRate => 429,
            Refusal::HeadTooLarge => 431,
            Refusal::Misconfigured => 500,
            Refusal::BackendUnreachable => 502,
            Refusal::BackendsDown | Refusal::BackendsFull | Refusal::Draining => 503,
            Refusal::Rate | Refusal::RouteRate | Refusal::Busy => 503,
            Refusal::BackendTimeout => 504,
        }
    }

    /// The header that this answer needs beyond the usual ones, as it goes on
    /// the wire without its line end.
    pub fn header(&self) -> Option<Cow<'static, str>> {
        let line = match self {
            Refusal::Unauthorized(challenge) => return Some(challenge.header().into()),
            Refusal::NeedsTls(Some(to)) => return Some(format!("Location: {to}").into()),
            Refusal::Method => "Allow: GET",
            // RFC 9110 section 15.5.22: 426 names the protocol to upgrade to.
            Refusal::NotUpgrade => "Upgrade: websocket",
            // RFC 6455 section 4.2.2, step 4.
            Refusal::Version => "Upgrade: websocket\r\nSec-WebSocket-Version: 13",
            Refusal::Busy | Refusal::BackendsDown | Refusal::BackendsFull => "Retry-After: 1",
            // At one connection a second or more, the next may come within one.
            Refusal::ClientRate | Refusal::Rate | Refusal::RouteRate => "Retry-After: 1",
            // When one of its own will end, only the client can know.
            Refusal::ClientConnections => "Retry-After: 10",
            _ => return None,
        };
        Some(line.into())
    }

    /// The refusal of a plain request where TLS is spoken: a GET learns where
    /// to go.
    pub fn needs_tls(request: &Request<'_>) -> Refusal {
        let location = || format!("https://{}{}", request.host, request.target);
        // Nothing is sent back that could mean another place than this one.
        let in_host = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
        let can_follow = request.method == "GET"
            && !request.host.is_empty()
            && request.host.bytes().all(in_host)
            && request.target.starts_with('/')
            && request.target.bytes().all(|b| b.is_ascii_graphic());
        Refusal::NeedsTls(can_follow.then(location))
    }

    /// Whether the client tried to get in and could not: who guesses is
    /// answered slowly.
    pub fn is_guess(&self) -> bool {
        match self {
            Refusal::Unauthorized(challenge) => challenge.lack != Lack::Nothing,
            refusal => *refusal == Refusal::UnknownToken,
        }
    }
}

/// From one table makes the word for each cause and the list of all words: the
/// compiler sees that neither lacks one.
macro_rules! reasons {
    ($($cause:pat => $word:literal,)*) => {
        impl Refusal {
            /// All that [`reason`](Self::reason) can be.
            pub const REASONS: [&'static str; [$($word),*].len()] = [$($word),*];

            /// One word for the cause, to count by.
            pub fn reason(&self) -> &'static str {
                match self {
                    $($cause => $word,)*
                }
            }
        }
    };
}

reasons! {
    Refusal::BadRequest(_) => "bad_request",
    Refusal::Origin(_) => "origin",
    Refusal::Address => "address",
    Refusal::Unauthorized(_) => "unauthorized",
    Refusal::Forbidden(_) => "forbidden",
    Refusal::UnknownToken => "unknown_token",
    Refusal::Busy => "busy",
    Refusal::NotFound => "not_found",
    Refusal::Method => "method",
    Refusal::Misconfigured => "misconfigured",
    Refusal::HeadTimeout => "head_timeout",
    Refusal::NotUpgrade => "not_upgrade",
    Refusal::NeedsTls(_) => "needs_tls",
    Refusal::Version => "version",
    Refusal::HeadTooLarge => "head_too_large",
    Refusal::Subprotocol(_) => "subprotocol",
    Refusal::ClientConnections => "client_connections",
    Refusal::ClientRate => "client_rate",
    Refusal::Rate => "rate",
    Refusal::RouteRate => "route_rate",
    Refusal::BackendUnreachable => "backend_unreachable",
    Refusal::BackendTimeout => "backend_timeout",
    Refusal::BackendsDown => "backends_down",
    Refusal::BackendsFull => "backends_full",
    Refusal::Draining => "draining",
}

/// The body of the answer and the text of the log line.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::BadRequest(rule) => rule,
            Refusal::Origin(Some(_)) => {
                "this origin may not connect; the option `origin` can allow it"
            }
            Refusal::Origin(None) => "an Origin header is required here (option `require-origin`)",
            Refusal::Address => "this address may not connect (options `allow` and `deny`)",
            Refusal::ClientConnections => {
                "too many connections from this address (option `max-connections-per-client`)"
            }
            Refusal::ClientRate => {
                "too many new connections from this address \
                 (option `new-connections-per-second-per-client`)"
            }
            Refusal::Rate => "too many new connections (option `new-connections-per-second`)",
            Refusal::RouteRate => {
                "too many new connections to this tunnel \
                 (option `new-connections-per-second-per-route`)"
            }
            Refusal::Unauthorized(challenge) => return challenge.lack.fmt(f),
            Refusal::Forbidden(why) => why,
            Refusal::UnknownToken => "no backend has this token",
            Refusal::Busy => "too many others are being let in; try again",
            Refusal::NotFound => "no tunnel at this host and path",
            Refusal::Method => "only GET opens a WebSocket",
            Refusal::HeadTimeout => "the request did not arrive in time",
            Refusal::NotUpgrade => "this address speaks WebSocket; connect with a WebSocket client",
            Refusal::NeedsTls(_) => "this port speaks TLS: use wss:// or https://",
            Refusal::Version => "only WebSocket version 13 (RFC 6455) is spoken here",
            Refusal::HeadTooLarge => "the request head exceeds 16384 bytes or 100 headers",
            Refusal::Subprotocol(served) => {
                return write!(
                    f,
                    "offer one of the subprotocols served here: {}",
                    served.join(", ")
                );
            }
            Refusal::BackendUnreachable => "the backend cannot be reached",
            Refusal::BackendTimeout => "the backend did not answer in time",
            Refusal::BackendsDown => "all backends are down",
            Refusal::BackendsFull => "all backends are full",
            Refusal::Draining => "the server is stopping",
            Refusal::Misconfigured => "the server cannot start, and its log says why",
        })
    }
}
