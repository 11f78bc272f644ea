//! The client's part of the opening handshake (RFC 6455 section 4.1): a request
//! that asks for a WebSocket, and a judgement of the answer.

use super::handshake::{HALF_CLOSE, accept_of};
use crate::wire::http::{Answer, first_line};
use crate::wire::{Next, Unwelcome};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// What a handshake asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientRequest {
    /// The path and the query.
    pub target: String,
    /// The Host header.
    pub host: String,
    /// Further headers, each name with its value.
    pub fields: Vec<(String, String)>,
    /// The subprotocols to offer, the preferred first.
    pub subprotocols: Vec<String>,
}

/// What both sides agreed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreed {
    /// The subprotocol, if there is one.
    pub subprotocol: Option<String>,
    /// Whether the client may end its half of the connection alone.
    pub half_close: bool,
}

/// A handshake that was begun.
#[derive(Clone, Debug)]
pub struct ClientHandshake {
    request: ClientRequest,
    key: String,
    agreed: Agreed,
}

impl ClientHandshake {
    /// Asks for this, with a nonce that nobody can foretell (section 4.1).
    pub fn new(request: ClientRequest, nonce: [u8; 16]) -> Self {
        ClientHandshake {
            request,
            key: BASE64_STANDARD.encode(nonce),
            agreed: Agreed::default(),
        }
    }

    /// What is said first.
    pub fn request(&self) -> Vec<u8> {
        let ClientRequest {
            target,
            host,
            fields,
            subprotocols,
        } = &self.request;
        let mut head = format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {}\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Extensions: {HALF_CLOSE}\r\n",
            self.key
        );
        if !subprotocols.is_empty() {
            let names = subprotocols.join(", ");
            head += &format!("Sec-WebSocket-Protocol: {names}\r\n");
        }
        for (name, value) in fields {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        head.into_bytes()
    }

    /// Hears the answer.
    ///
    /// # Errors
    /// Any answer that opens no WebSocket, or one that was not asked for.
    pub fn hear(&mut self, input: &[u8]) -> Result<Next, Unwelcome> {
        let Some(answer) = Answer::parse(input).map_err(Unwelcome::Refused)? else {
            return Ok(Next::Listen);
        };
        if answer.status != 101 {
            return Err(refusal(&answer, input));
        }
        self.agreed = self.judge(&answer).map_err(|why| {
            let text = format!("answered {}, but {why}", first_line(input));
            Unwelcome::Refused(text)
        })?;
        Ok(Next::Done(answer.len))
    }

    /// What was agreed on, once the handshake is done.
    pub fn agreed(&self) -> &Agreed {
        &self.agreed
    }

    fn judge(&self, answer: &Answer<'_>) -> Result<Agreed, String> {
        if !answer.lists("Upgrade", "websocket") || !answer.lists("Connection", "upgrade") {
            return Err("without \"Upgrade: websocket\" and \"Connection: Upgrade\"".to_owned());
        }
        match answer.single("Sec-WebSocket-Accept") {
            Some(value) if value == accept_of(&self.key) => {}
            _ => return Err("its Sec-WebSocket-Accept does not fit the key".to_owned()),
        }
        let chosen: Vec<_> = answer.values("Sec-WebSocket-Protocol").collect();
        let subprotocol = match chosen[..] {
            [] => None,
            [name] if self.request.subprotocols.iter().any(|asked| asked == name) => Some(name),
            _ => {
                let names = chosen.join(", ").escape_debug().to_string();
                return Err(format!(
                    "with subprotocol \"{names}\", which was not asked for"
                ));
            }
        };
        let mut half_close = false;
        for extension in answer.elements("Sec-WebSocket-Extensions") {
            if extension != HALF_CLOSE || half_close {
                let name = extension.escape_debug();
                return Err(format!(
                    "with extension \"{name}\", which was not asked for"
                ));
            }
            half_close = true;
        }
        Ok(Agreed {
            subprotocol: subprotocol.map(str::to_owned),
            half_close,
        })
    }
}

/// An answer that opens nothing, in the words of its first line, and of its
/// body where that is a line of text that came along.
fn refusal(answer: &Answer<'_>, input: &[u8]) -> Unwelcome {
    let mut line = format!("answered {}", first_line(input));
    let is_text = answer
        .single("Content-Type")
        .is_some_and(|kind| kind.starts_with("text/plain"));
    // Where it is in chunks, that line would be the length of the first.
    let is_plain = answer.single("Transfer-Encoding").is_none();
    let body = &input[answer.len..];
    if is_text && is_plain && !body.is_empty() {
        line += &format!(": {}", first_line(body));
    }
    match (answer.status, answer.single("Location")) {
        (301 | 302 | 303 | 307 | 308, Some(location)) => Unwelcome::Moved {
            line,
            location: location.to_owned(),
        },
        (429 | 500..=599, _) => Unwelcome::NotNow(line),
        _ => Unwelcome::Refused(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::dialogue::talk;

    /// The nonce of RFC 6455 section 1.3.
    const NONCE: [u8; 16] = *b"the sample nonce";

    fn handshake() -> ClientHandshake {
        let request = ClientRequest {
            target: "/chat?x=y".into(),
            host: "server.example.com:8080".into(),
            fields: vec![("Origin".into(), "http://example.com".into())],
            subprotocols: vec!["chat".into(), "superchat".into()],
        };
        ClientHandshake::new(request, NONCE)
    }

    const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
        Sec-WebSocket-Protocol: chat\r\n\r\n";

    fn refused(answer: &str) -> String {
        handshake()
            .hear(answer.as_bytes())
            .expect_err(answer)
            .to_string()
    }

    #[test]
    fn the_request_is_that_of_the_rfc() {
        let request = String::from_utf8(handshake().request()).unwrap();
        assert_eq!(
            request,
            "GET /chat?x=y HTTP/1.1\r\nHost: server.example.com:8080\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: adit-half-close\r\n\
             Sec-WebSocket-Protocol: chat, superchat\r\nOrigin: http://example.com\r\n\r\n"
        );
        let plain = ClientHandshake::new(ClientRequest::default(), NONCE).request();
        assert!(!String::from_utf8(plain).unwrap().contains("Protocol"));
    }

    #[test]
    fn the_answer_is_taken_wherever_it_is_cut_and_frames_may_follow() {
        let bytes = [ANSWER.as_bytes(), b"\x81\x01a"].concat();
        for cut in 0..bytes.len() {
            let mut handshake = handshake();
            let pieces = [&bytes[..cut], &bytes[cut..]];
            let (said, rest) = talk(|input| handshake.hear(input), &pieces).unwrap();
            assert!(said.is_empty());
            assert!(b"\x81\x01a".starts_with(&rest.unwrap()[..]), "{cut}");
            assert_eq!(handshake.agreed().subprotocol.as_deref(), Some("chat"));
            assert!(!handshake.agreed().half_close);
        }
    }

    #[test]
    fn what_need_not_be_there_may_be_missing() {
        for (from, to, subprotocol, half_close) in [
            ("Sec-WebSocket-Protocol: chat\r\n", "", None, false),
            ("chat\r\n", "superchat\r\n", Some("superchat"), false),
            (
                "Upgrade: websocket",
                "upgrade: WebSocket",
                Some("chat"),
                false,
            ),
            ("n: Upgrade", "n: keep-alive, upgrade", Some("chat"), false),
            (
                "chat\r\n",
                "chat\r\nSec-WebSocket-Extensions: adit-half-close\r\n",
                Some("chat"),
                true,
            ),
        ] {
            let mut handshake = handshake();
            let answer = ANSWER.replace(from, to);
            let heard = handshake.hear(answer.as_bytes());
            assert_eq!(heard, Ok(Next::Done(answer.len())), "{answer}");
            let agreed = Agreed {
                subprotocol: subprotocol.map(str::to_owned),
                half_close,
            };
            assert_eq!(handshake.agreed(), &agreed, "{answer}");
        }
    }

    #[test]
    fn an_answer_that_breaks_a_rule_is_no_websocket() {
        let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
        let extension =
            "chat\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n";
        for (from, to, why) in [
            (
                "Upgrade: websocket",
                "Upgrade: h2c",
                "without \"Upgrade: websocket\"",
            ),
            (
                "Connection: Upgrade",
                "Connection: close",
                "and \"Connection: Upgrade\"",
            ),
            (accept, "", "Sec-WebSocket-Accept does not fit the key"),
            ("s3pP", "S3pP", "Sec-WebSocket-Accept does not fit the key"),
            (accept, &format!("{accept}{accept}"), "does not fit the key"),
            (
                "l: chat",
                "l: mqtt",
                "with subprotocol \"mqtt\", which was not asked for",
            ),
            (
                "l: chat",
                "l: Chat",
                "with subprotocol \"Chat\", which was not asked for",
            ),
            (
                "l: chat",
                "l: chat, superchat",
                "with subprotocol \"chat, superchat\"",
            ),
            (
                "l: chat",
                "l: chat\r\nSec-WebSocket-Protocol: chat",
                "with subprotocol \"chat, chat\"",
            ),
            (
                "chat\r\n",
                extension,
                "with extension \"permessage-deflate; server_no",
            ),
        ] {
            let said = refused(&ANSWER.replace(from, to));
            assert!(said.starts_with("answered \"HTTP/1.1 101 "), "{said}");
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn any_other_status_is_shown_with_its_reason() {
        let text = "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n\r\nwhy\nmore";
        for (answer, why) in [
            (
                "HTTP/1.1 100 Continue\r\n\r\n",
                "answered \"HTTP/1.1 100 Continue\"",
            ),
            (
                "HTTP/1.1 200 OK\r\n\r\n<html>",
                "answered \"HTTP/1.1 200 OK\"",
            ),
            (
                "HTTP/1.1 304 X\r\nLocation: /\r\n\r\n",
                "answered \"HTTP/1.1 304 X\"",
            ),
            (
                &format!("HTTP/1.1 403 No\r\n{text}"),
                "answered \"HTTP/1.1 403 No\": \"why\"",
            ),
            (
                &format!("HTTP/1.1 502 X\r\n{text}"),
                "answered \"HTTP/1.1 502 X\": \"why\"",
            ),
            ("<html>", "answered \"<html>\", which is not HTTP/1.1"),
            (
                "HTTP/1.1 302 Found\r\nLocation: ws://h/\"\r\n\r\nbody",
                "answered \"HTTP/1.1 302 Found\", so go to \"ws://h/\\\"\" (--follow)",
            ),
            (
                "HTTP/1.1 302 Found\r\nLocation: ws://me:pw@h/@a?token=b\r\n\r\n",
                "answered \"HTTP/1.1 302 Found\", so go to \"ws://h/@a\" (--follow)",
            ),
            (
                "HTTP/1.1 302 Found\r\nLocation: /a@b?token=c\r\n\r\n",
                "answered \"HTTP/1.1 302 Found\", so go to \"/a@b\" (--follow)",
            ),
            (
                "HTTP/1.1 500 X\r\nContent-Type: text/plain\r\n\
                 Transfer-Encoding: chunked\r\n\r\n3\r\nwhy\r\n0\r\n\r\n",
                "answered \"HTTP/1.1 500 X\"",
            ),
        ] {
            assert_eq!(refused(answer), why);
        }
        let busy = handshake().hear(b"HTTP/1.1 503 X\r\n\r\n");
        assert!(matches!(busy, Err(Unwelcome::NotNow(_))));
    }
}
