//! The admin entrance: what may be asked for there.
//!
//! It has two pages and no tunnel. What stands on them is the server's to say,
//! which sees all tunnels; here is what HTTP wants of a question and an answer.
//!
//! A page in a browser must not read them. Of another origin it cannot, since
//! no header lets it (CORS). But a site can point its own name at the loopback
//! (DNS rebinding), and then it asks as its own: without an Origin, with its
//! name in Host. So on the loopback Host has to be an address, `localhost`, or
//! the name that is listened on; no browser leaves it out, as health checks of
//! HTTP/1.0 do. Elsewhere a proxy or a scraper may use any name
//! for this machine, and whoever reaches it may read it anyway.

use super::policy::host;
use super::{Context, Tunnel};
use crate::address::Listen;
use crate::net::Transport;
use crate::wire::http::{self, Request};
use log::debug;
use std::net::{IpAddr, SocketAddr};

/// The media type of answers for people.
pub const PLAIN: &str = "text/plain; charset=utf-8";

/// A page of the admin entrance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// `/healthz`: whether new tunnels have a chance.
    Health,
    /// `/metrics`: all that is counted.
    Metrics,
}

/// A question for a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    /// Which one.
    pub page: Page,
    /// Whether the body is left out: HEAD instead of GET.
    bodiless: bool,
}

/// What stands on a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The media type.
    pub content_type: &'static str,
    /// The text.
    pub body: String,
}

impl Visit {
    /// The question that a request is, or the response that tells why it is
    /// none. `local` is what it came to.
    pub fn read(
        request: &Request<'_>,
        listen: &Listen,
        local: Option<SocketAddr>,
    ) -> Result<Visit, Vec<u8>> {
        let bodiless = request.method == "HEAD";
        let refuse = |status, header, line: &str| {
            let body = format!("{line}\n");
            Err(http::answer(status, PLAIN, header, &body, bodiless))
        };
        if !bodiless && request.method != "GET" {
            return refuse(
                405,
                "Allow: GET, HEAD\r\n",
                "only GET and HEAD are answered here",
            );
        }
        if local.is_some_and(|local| local.ip().is_loopback()) && !is_meant(request.host, listen) {
            let line = "this Host is not an address of the loopback; ask by address, \
                        or by the name in the option `admin`";
            return refuse(421, "", line);
        }
        let page = match request.path {
            "/healthz" => Page::Health,
            "/metrics" => Page::Metrics,
            _ => return refuse(404, "", "here are only /healthz and /metrics"),
        };
        Ok(Visit { page, bodiless })
    }

    /// The response with this answer.
    pub fn response(self, answer: &Answer) -> Vec<u8> {
        let Answer {
            status,
            content_type,
            body,
        } = answer;
        http::answer(*status, content_type, "", body, self.bodiless)
    }
}

impl<T: Transport> Tunnel<T> {
    /// A visitor gets the page that it asked for.
    pub fn show(&mut self, visit: Visit, answer: &Answer, cx: &mut Context<'_>) {
        debug!("{}: page {:?}, {}", self.label, visit.page, answer.status);
        self.answer(&visit.response(answer), cx.now);
    }
}

/// Whether a Host names the loopback in a way that no other site can.
fn is_meant(asked: &str, listen: &Listen) -> bool {
    if asked.is_empty() {
        return true;
    }
    let Some((name, _)) = host::authority(asked) else {
        return false;
    };
    let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let is_own =
        matches!(listen, Listen::Tcp { host: Some(own), .. } if name.eq_ignore_ascii_case(own));
    is_address || is_own || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(method: &str, path: &str, host: &str, local: &str) -> Result<Visit, String> {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let request = Request::parse(head.as_bytes()).unwrap().unwrap();
        let listen = "metrics.lan:9090".parse().unwrap();
        Visit::read(&request, &listen, local.parse().ok())
            .map_err(|response| String::from_utf8(response).unwrap())
    }

    #[test]
    fn two_pages_can_be_asked_for_with_and_without_their_body() {
        for (method, bodiless) in [("GET", false), ("HEAD", true)] {
            for (path, page) in [
                ("/healthz", Page::Health),
                ("/healthz?verbose", Page::Health),
                ("/metrics", Page::Metrics),
                ("http://h/metrics", Page::Metrics),
            ] {
                let visit = visit(method, path, "127.0.0.1", "127.0.0.1:9090");
                assert_eq!(visit, Ok(Visit { page, bodiless }), "{method} {path}");
            }
        }
        for (method, path, status) in [
            ("POST", "/metrics", 405),
            ("get", "/metrics", 405),
            ("GET", "/", 404),
            ("GET", "/metrics/", 404),
            ("HEAD", "/Healthz", 404),
        ] {
            let response = visit(method, path, "h", "").unwrap_err();
            let start = format!("HTTP/1.1 {status} ");
            assert!(response.starts_with(&start), "{method} {path}: {response}");
            let allows = response.contains("\r\nAllow: GET, HEAD\r\n");
            assert_eq!(allows, status == 405, "{response}");
            let has_body = !response.ends_with("\r\n\r\n");
            assert_eq!(has_body, method != "HEAD", "{response}");
        }
    }

    #[test]
    fn on_the_loopback_no_name_of_another_site_is_answered() {
        for (host, is_answered) in [
            ("127.0.0.1:9090", true),
            ("127.0.0.1", true),
            ("[::1]:9090", true),
            ("10.0.0.1:9090", true),
            ("localhost:9090", true),
            ("LocalHost", true),
            ("metrics.lan:9090", true),
            ("evil.example:9090", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("1.2.3.4.5", false),
            ("a@b", false),
        ] {
            for local in ["127.0.0.1:9090", "[::1]:9090"] {
                let answered = visit("GET", "/metrics", host, local);
                match answered {
                    Ok(_) => assert!(is_answered, "{host}"),
                    Err(response) => {
                        assert!(!is_answered, "{host}");
                        assert!(response.starts_with("HTTP/1.1 421 "), "{response}");
                    }
                }
            }
            for local in ["192.0.2.1:9090", "unix"] {
                assert!(visit("GET", "/metrics", host, local).is_ok(), "{host}");
            }
        }
    }
}
