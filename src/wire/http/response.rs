//! The responses that end an opening: the 101, a refusal, a page.

use crate::wire::Refusal;

/// The response that makes the connection a WebSocket (RFC 6455 section 4.2.2).
pub fn switching_protocols(
    accept: &str,
    subprotocol: Option<&str>,
    extension: Option<&str>,
) -> Vec<u8> {
    let mut head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n"
    );
    if let Some(name) = subprotocol {
        head += &format!("Sec-WebSocket-Protocol: {name}\r\n");
    }
    if let Some(name) = extension {
        head += &format!("Sec-WebSocket-Extensions: {name}\r\n");
    }
    head += "\r\n";
    head.into_bytes()
}

/// The response to a request that gets no tunnel: one line of plain text.
pub fn refusal(refusal: &Refusal) -> Vec<u8> {
    let extra = refusal
        .header()
        .map(|line| format!("{line}\r\n"))
        .unwrap_or_default();
    let body = format!("{refusal}\n");
    response(
        refusal.status(),
        "text/plain; charset=utf-8",
        &extra,
        body.as_bytes(),
    )
}

/// The response that shows a page which needs nothing but itself.
pub fn page(content_type: &str, body: &[u8]) -> Vec<u8> {
    let policy = "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; \
        script-src 'unsafe-inline'; connect-src ws: wss:; base-uri 'none'; form-action 'none'\r\n\
        Cache-Control: no-cache\r\n";
    response(200, content_type, policy, body)
}

/// A response that is made anew for each who asks; `bodiless`: to a HEAD (RFC
/// 9110 section 9.3.2). `extra` are whole header lines.
pub fn answer(status: u16, content_type: &str, extra: &str, body: &str, bodiless: bool) -> Vec<u8> {
    let extra = format!("{extra}Cache-Control: no-store\r\n");
    let mut whole = response(status, content_type, &extra, body.as_bytes());
    if bodiless {
        whole.truncate(whole.len() - body.len());
    }
    whole
}

fn response(status: u16, content_type: &str, extra: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
         X-Content-Type-Options: nosniff\r\n{extra}Connection: close\r\n\r\n",
        phrase(status),
        body.len(),
    );
    [head.as_bytes(), body].concat()
}

/// The reason phrase of a status that adit sends (RFC 9110 section 15).
fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        421 => "Misdirected Request",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Challenge, Lack};

    fn challenge(lack: Lack) -> Challenge {
        Challenge {
            realm: "adit".into(),
            bearer: true,
            basic: true,
            lack,
        }
    }

    #[test]
    fn a_401_says_what_to_bring_and_what_was_wrong() {
        for (lack, error) in [
            (Lack::Nothing, ""),
            (
                Lack::WrongToken,
                ", error=\"invalid_token\", error_description=\"the token is not valid\"",
            ),
            (
                Lack::ExpiredToken,
                ", error=\"invalid_token\", error_description=\"the token has expired\"",
            ),
            (Lack::WrongPassword, ""),
        ] {
            let bearer = format!("\r\nWWW-Authenticate: Bearer realm=\"adit\"{error}\r\n");
            let basic = "\r\nWWW-Authenticate: Basic realm=\"adit\", charset=\"UTF-8\"\r\n";
            for (has_bearer, has_basic) in [(true, true), (true, false), (false, true)] {
                let challenge = Challenge {
                    bearer: has_bearer,
                    basic: has_basic,
                    ..challenge(lack)
                };
                let refused = Refusal::Unauthorized(Box::new(challenge));
                let text = String::from_utf8(refusal(&refused)).unwrap();
                assert_eq!(text.contains(&bearer), has_bearer, "{text}");
                assert_eq!(text.contains(basic), has_basic, "{text}");
                assert_eq!(refused.is_guess(), lack != Lack::Nothing);
            }
        }
    }

    #[test]
    fn the_101_echoes_the_subprotocol() {
        let head = String::from_utf8(switching_protocols("abc=", Some("mqtt"), None)).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "));
        assert!(
            head.ends_with("Sec-WebSocket-Accept: abc=\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n")
        );
        let head = String::from_utf8(switching_protocols("abc=", None, Some("x"))).unwrap();
        assert!(!head.contains("Protocol:"));
        assert!(head.ends_with("\r\nSec-WebSocket-Extensions: x\r\n\r\n"));
    }

    #[test]
    fn each_refusal_is_a_whole_response() {
        let all = [
            Refusal::BadRequest("what is wrong"),
            Refusal::Origin(Some("https://evil.example".into())),
            Refusal::Origin(None),
            Refusal::Address,
            Refusal::ClientConnections,
            Refusal::ClientRate,
            Refusal::Rate,
            Refusal::RouteRate,
            Refusal::Unauthorized(Box::new(challenge(Lack::Nothing))),
            Refusal::Forbidden("this token is for another origin"),
            Refusal::UnknownToken,
            Refusal::Busy,
            Refusal::NotFound,
            Refusal::Method,
            Refusal::HeadTimeout,
            Refusal::NotUpgrade,
            Refusal::NeedsTls(None),
            Refusal::NeedsTls(Some("https://h/t".into())),
            Refusal::Version,
            Refusal::HeadTooLarge,
            Refusal::Subprotocol(vec!["mqtt".into()]),
            Refusal::BackendUnreachable,
            Refusal::BackendTimeout,
            Refusal::BackendsDown,
            Refusal::BackendsFull,
            Refusal::Draining,
            Refusal::Misconfigured,
        ];
        for reason in Refusal::REASONS {
            assert!(all.iter().any(|cause| cause.reason() == reason), "{reason}");
        }
        for cause in all {
            let text = String::from_utf8(refusal(&cause)).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").expect(&text);
            assert_ne!(phrase(cause.status()), "", "{text}");
            assert!(
                head.starts_with(&format!("HTTP/1.1 {} ", cause.status())),
                "{text}"
            );
            assert!(
                head.contains(&format!("Content-Length: {}\r\n", body.len())),
                "{text}"
            );
            // RFC 6585 section 4 and RFC 9110 section 15.6.4.
            let is_over_soon = [429, 503].contains(&cause.status()) && cause != Refusal::Draining;
            assert_eq!(head.contains("\r\nRetry-After: "), is_over_soon, "{text}");
            assert!(head.ends_with("Connection: close"), "{text}");
            assert_eq!(body.matches('\n').count(), 1, "{text}");
            assert!(
                !body.contains("evil"),
                "what the peer sent is not sent back"
            );
        }
        let version = String::from_utf8(refusal(&Refusal::Version)).unwrap();
        assert!(
            version.contains("\r\nSec-WebSocket-Version: 13\r\n"),
            "{version}"
        );
    }
}
