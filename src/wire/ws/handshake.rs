//! The server's part of the opening handshake (RFC 6455 section 4.2).

use crate::wire::Refusal;
use crate::wire::http::Request;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// What section 1.3 has both sides append to the key.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The extension by which the client can say that it will send no more data,
/// and still hear the answer: with a control frame of opcode 11 and without
/// payload, of which there is at most one. A backend that is told so ends, and
/// with it the connection, as always.
pub const HALF_CLOSE: &str = "adit-half-close";

/// A request that may become a WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub struct Upgrade<'a> {
    /// `Sec-WebSocket-Key`, 16 bytes in base64.
    key: &'a str,
    /// `Sec-WebSocket-Protocol`: the offered subprotocols, the preferred first.
    pub subprotocols: Vec<&'a str>,
    /// Whether the client offers [`HALF_CLOSE`].
    pub half_close: bool,
}

impl<'a> Upgrade<'a> {
    /// Reads the handshake out of a GET request (section 4.2.1).
    ///
    /// # Errors
    /// The first rule that the request does not follow.
    pub fn read(request: &Request<'a>) -> Result<Self, Refusal> {
        if request.minor_version == 0
            || !request.lists("Connection", "upgrade")
            || !request.lists("Upgrade", "websocket")
        {
            return Err(Refusal::NotUpgrade);
        }
        if request.single("Sec-WebSocket-Version") != Some("13") {
            return Err(Refusal::Version);
        }
        if request.has_body() {
            return Err(Refusal::BadRequest("a handshake has no body"));
        }
        let key = request
            .single("Sec-WebSocket-Key")
            .filter(|key| is_nonce(key))
            .ok_or(Refusal::BadRequest(
                "Sec-WebSocket-Key must be 16 bytes in base64, once",
            ))?;
        let subprotocols: Vec<_> = request.elements("Sec-WebSocket-Protocol").collect();
        if !subprotocols.iter().all(|name| is_token(name)) {
            return Err(Refusal::BadRequest(
                "Sec-WebSocket-Protocol must be a list of tokens",
            ));
        }
        let half_close = request
            .elements("Sec-WebSocket-Extensions")
            .any(|extension| extension == HALF_CLOSE);
        Ok(Upgrade {
            key,
            subprotocols,
            half_close,
        })
    }

    /// `Sec-WebSocket-Accept`: proves that the key was read (section 4.2.2).
    pub fn accept(&self) -> String {
        accept_of(self.key)
    }
}

/// `Sec-WebSocket-Accept` for this key.
pub(super) fn accept_of(key: &str) -> String {
    let mut sha1 = sha1_smol::Sha1::new();
    sha1.update(key.as_bytes());
    sha1.update(GUID);
    BASE64_STANDARD.encode(sha1.digest().bytes())
}

/// Whether the key is 16 bytes in base64.
fn is_nonce(key: &str) -> bool {
    let mut nonce = [0; 18];
    matches!(BASE64_STANDARD.decode_slice(key, &mut nonce), Ok(16))
}

/// Whether `name` is a token (RFC 9110 section 5.6.2).
pub fn is_token(name: &str) -> bool {
    let in_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(in_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Origin: http://example.com\r\nSec-WebSocket-Protocol: chat, superchat\r\n\
        Sec-WebSocket-Version: 13\r\n\r\n";

    fn refusal(head: &str) -> Refusal {
        let request = Request::parse(head.as_bytes()).unwrap().unwrap();
        Upgrade::read(&request).expect_err(head)
    }

    #[test]
    fn the_rfcs_handshake_is_read_and_answered() {
        let request = Request::parse(HEAD.as_bytes()).unwrap().unwrap();
        let upgrade = Upgrade::read(&request).unwrap();
        assert_eq!(upgrade.subprotocols, ["chat", "superchat"]);
        assert_eq!(upgrade.accept(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(!upgrade.half_close);
    }

    #[test]
    fn half_close_is_found_among_the_extensions() {
        for (extensions, expected) in [
            ("adit-half-close", true),
            (
                "permessage-deflate; client_max_window_bits, adit-half-close",
                true,
            ),
            ("permessage-deflate", false),
            ("adit-half-close; x=1", false),
        ] {
            let line = format!("Sec-WebSocket-Extensions: {extensions}\r\n\r\n");
            let head = HEAD.replace("\r\n\r\n", &format!("\r\n{line}"));
            let request = Request::parse(head.as_bytes()).unwrap().unwrap();
            assert_eq!(Upgrade::read(&request).unwrap().half_close, expected);
        }
    }

    #[test]
    fn tokens_are_found_in_any_case_order_and_number_of_headers() {
        for (from, to) in [
            ("Connection: Upgrade", "Connection: keep-alive, upgrade"),
            (
                "Connection: Upgrade",
                "connection: keep-alive\r\nCONNECTION:UPGRADE",
            ),
            ("Upgrade: websocket", "Upgrade: h2c, WebSocket"),
            ("chat, superchat", "chat,superchat"),
            ("chat, superchat", " chat ,,  superchat , "),
            (
                "chat, superchat",
                "chat\r\nSec-WebSocket-Protocol: superchat",
            ),
        ] {
            let head = HEAD.replace(from, to);
            let request = Request::parse(head.as_bytes()).unwrap().unwrap();
            let upgrade = Upgrade::read(&request).expect(&head);
            assert_eq!(upgrade.subprotocols, ["chat", "superchat"], "{head}");
        }
    }

    #[test]
    fn each_broken_rule_has_its_status() {
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
        for (from, to, status) in [
            ("Upgrade: websocket\r\n", "", 426),
            ("Upgrade: websocket", "Upgrade: websockets", 426),
            ("Connection: Upgrade", "Connection: close", 426),
            ("HTTP/1.1", "HTTP/1.0", 426),
            ("Version: 13", "Version: 8", 426),
            ("Version: 13", "Version: 13, 8", 426),
            (
                "Version: 13",
                "Version: 13\r\nSec-WebSocket-Version: 13",
                426,
            ),
            ("Sec-WebSocket-Version: 13\r\n", "", 426),
            (key, "X: y", 400),
            (key, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j", 400),
            (key, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ", 400),
            (key, "Sec-WebSocket-Key: !!!!IHNhbXBsZSBub25jZQ==", 400),
            (key, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTE=", 400),
            (key, "Content-Length: 5\r\nX: y", 400),
            (key, "Transfer-Encoding: chunked\r\nX: y", 400),
            ("chat, superchat", "chat, super chat", 400),
            ("chat, superchat", "chat, \"super\"", 400),
        ] {
            assert_eq!(refusal(&HEAD.replace(from, to)).status(), status, "{to}");
        }
        let twice = HEAD.replace(key, &format!("{key}\r\n{key}"));
        assert_eq!(refusal(&twice).status(), 400, "two keys");
        assert_eq!(
            refusal(&HEAD.replace("Version: 13", "Version: 8")),
            Refusal::Version
        );
    }
}
