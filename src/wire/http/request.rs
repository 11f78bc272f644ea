//! A request head, parsed by httparse and judged by RFC 9112.

use super::Fields;
use crate::wire::Refusal;
use httparse::{EMPTY_HEADER, Status};
use std::ops::Deref;

/// Most bytes of a request head.
pub const MAX_HEAD: usize = 16 * 1024;

/// Most header fields of a request.
pub const MAX_HEADERS: usize = 100;

/// A request head.
#[derive(Debug)]
pub struct Request<'a> {
    /// Bytes of the head, its empty line included.
    pub len: usize,
    /// The method, as it was sent.
    pub method: &'a str,
    /// The request target, as it was sent.
    pub target: &'a str,
    /// The path, without the query.
    pub path: &'a str,
    /// The query, without its question mark; empty if there is none.
    pub query: &'a str,
    /// 1 of HTTP/1.1.
    pub minor_version: u8,
    /// The one Host header: host and perhaps port. Empty where a request of
    /// HTTP/1.0 has none.
    pub host: &'a str,
    fields: Fields<'a>,
}

impl<'a> Request<'a> {
    /// Reads the head at the front of `input`; `None` if it is not whole yet.
    ///
    /// # Errors
    /// What is wrong with it, as far as it has come.
    pub fn parse(input: &'a [u8]) -> Result<Option<Self>, Refusal> {
        let mut headers = [EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Request::new(&mut headers);
        let len = match head.parse(&input[..input.len().min(MAX_HEAD)]) {
            Ok(Status::Complete(len)) => len,
            Ok(Status::Partial) if input.len() < MAX_HEAD => return Ok(None),
            Ok(Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                return Err(Refusal::HeadTooLarge);
            }
            Err(_) => return Err(Refusal::BadRequest("the request is not HTTP/1.1")),
        };
        let (Some(method), Some(target), Some(minor_version)) =
            (head.method, head.path, head.version)
        else {
            return Err(Refusal::BadRequest("the request is not HTTP/1.1"));
        };
        let (path, query) = path_and_query(target)?;
        let mut request = Request {
            len,
            method,
            target,
            path,
            query,
            minor_version,
            host: "",
            fields: Fields::new(head.headers),
        };
        request.host = match request.single("Host") {
            Some(host) if !host.is_empty() => host,
            // RFC 9112 section 3.2: a duty since HTTP/1.1.
            None if minor_version == 0 && !request.has("Host") => "",
            _ => return Err(Refusal::BadRequest("exactly one Host header is required")),
        };
        Ok(Some(request))
    }

    /// Whether a body follows the head (RFC 9112 section 6.3).
    pub fn has_body(&self) -> bool {
        self.has("Transfer-Encoding") || self.values("Content-Length").any(|len| len != "0")
    }
}

impl<'a> Deref for Request<'a> {
    type Target = Fields<'a>;

    fn deref(&self) -> &Fields<'a> {
        &self.fields
    }
}

/// The path and the query of a request target in origin or absolute form (RFC
/// 9112 section 3.2).
fn path_and_query(target: &str) -> Result<(&str, &str), Refusal> {
    let origin_form = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            rest.find(['/', '?']).map_or("/", |at| &rest[at..])
        }
        _ => target,
    };
    let resource = origin_form.split('#').next().unwrap_or_default();
    let (path, query) = resource.split_once('?').unwrap_or((resource, ""));
    match path {
        "" => Ok(("/", query)),
        path if path.starts_with('/') => Ok((path, query)),
        _ => Err(Refusal::BadRequest("the request target must be a path")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(head: &str) -> Result<Option<Request<'_>>, Refusal> {
        Request::parse(head.as_bytes())
    }

    #[test]
    fn a_head_cut_anywhere_is_not_whole() {
        let head = "GET /a/b?c=d HTTP/1.1\r\nHost: h:1\r\nX: y\r\n\r\n";
        for cut in 0..head.len() {
            assert!(matches!(parse(&head[..cut]), Ok(None)), "cut at {cut}");
        }
        let text = format!("{head}more");
        let request = parse(&text).unwrap().unwrap();
        assert_eq!(request.len, head.len());
        assert_eq!(
            (request.method, request.path, request.host),
            ("GET", "/a/b", "h:1")
        );
    }

    #[test]
    fn targets_yield_their_path_and_query() {
        for (target, path, query) in [
            ("/", "/", ""),
            ("/t?x=/y", "/t", "x=/y"),
            ("/t?x?y#z?", "/t", "x?y"),
            ("/t#x?y", "/t", ""),
            ("/t?", "/t", ""),
            ("/t#z?x", "/t", ""),
            ("http://h/t?x", "/t", "x"),
            ("ws://h", "/", ""),
            ("http://h?x", "/", "x"),
            ("/redirect?to=http://x", "/redirect", "to=http://x"),
            ("/a://b", "/a://b", ""),
        ] {
            let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
            let request = parse(&head).unwrap().unwrap();
            assert_eq!((request.path, request.query), (path, query), "{target}");
        }
    }

    #[test]
    fn broken_heads_have_their_status() {
        let many = format!(
            "GET / HTTP/1.1\r\nHost: h\r\n{}\r\n",
            "X: y\r\n".repeat(100)
        );
        let long = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}", "y".repeat(MAX_HEAD));
        for (head, status) in [
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
            ("GET / HTTP/2.0\r\nHost: h\r\n\r\n", 400),
            ("GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("\u{16}\u{3}\u{1}", 400),
            ("GET / HTTP/1.1\r\nHo st: h\r\n\r\n", 400),
            (&many, 431),
            (&long, 431),
        ] {
            assert_eq!(parse(head).expect_err(head).status(), status, "{head}");
        }
    }

    #[test]
    fn only_http_1_0_may_name_no_host() {
        let request = parse("GET /healthz HTTP/1.0\r\n\r\n").unwrap().unwrap();
        assert_eq!((request.path, request.host), ("/healthz", ""));
        let request = parse("GET / HTTP/1.0\r\nHost: h\r\n\r\n").unwrap();
        assert_eq!(request.unwrap().host, "h");
    }

    #[test]
    fn a_head_of_just_the_limit_is_taken() {
        let frame = "GET / HTTP/1.1\r\nHost: h\r\nX: \r\n\r\n".len();
        let head = format!(
            "GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n",
            "y".repeat(MAX_HEAD - frame)
        );
        assert_eq!(parse(&head).unwrap().unwrap().len, MAX_HEAD);
        let headers = "X: y\r\n".repeat(MAX_HEADERS - 1);
        assert!(
            parse(&format!("GET / HTTP/1.1\r\nHost: h\r\n{headers}\r\n"))
                .unwrap()
                .is_some()
        );
    }
}
