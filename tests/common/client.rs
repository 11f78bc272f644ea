//! A WebSocket client that knows nothing and checks everything: frames are
//! built and read by hand, so that it can break each rule and sees each byte.

use std::collections::VecDeque;
use std::io::Read;
use std::net::IpAddr;

use super::Socket;

/// First bytes of whole frames (RFC 6455 section 5.2).
pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;
/// The last frame of a fragmented message; its first one is `TEXT & 0x7f`.
pub const CONT: u8 = 0x80;

/// The key of RFC 6455 section 1.3.
pub const SAMPLE_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// A connection to adit, and what was read ahead on it.
pub struct Client {
    pub socket: Socket,
    ahead: VecDeque<u8>,
}

/// A frame from adit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// FIN, RSV and opcode, as on the wire.
    pub first: u8,
    pub payload: Vec<u8>,
}

/// An answer to a request.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    /// Lower-case names with their values.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Client {
    /// A connection that has said nothing yet.
    #[track_caller]
    pub fn connect(address: &str) -> Self {
        Client {
            socket: Socket::connect(address),
            ahead: VecDeque::new(),
        }
    }

    /// An open tunnel to `/`.
    #[track_caller]
    pub fn open(address: &str) -> Self {
        Self::open_with(address, "/", &[]).0
    }

    /// An open tunnel, asked for with additional headers, and the answer.
    #[track_caller]
    pub fn open_with(address: &str, path: &str, headers: &[&str]) -> (Self, Response) {
        let (client, response) = Self::ask(address, path, headers);
        assert_eq!(response.status, 101, "{response:?}");
        (client, response)
    }

    /// Asks for a tunnel and takes whatever answer comes.
    #[track_caller]
    pub fn ask(address: &str, path: &str, headers: &[&str]) -> (Self, Response) {
        Self::over(Socket::connect(address), path, headers)
    }

    /// Asks for a tunnel to `/` from another address, see [`Socket::connect_from`].
    #[track_caller]
    pub fn ask_from(source: impl Into<IpAddr>, address: &str) -> (Self, Response) {
        Self::over(Socket::connect_from(source.into(), address), "/", &[])
    }

    /// Asks for a tunnel on a connection that is there.
    #[track_caller]
    pub fn over(socket: Socket, path: &str, headers: &[&str]) -> (Self, Response) {
        Self::over_with(socket, request(path, headers).as_bytes())
    }

    /// Says these bytes on a connection that is there, and takes the answer.
    #[track_caller]
    pub fn over_with(socket: Socket, bytes: &[u8]) -> (Self, Response) {
        let mut client = Client {
            socket,
            ahead: VecDeque::new(),
        };
        client.say(bytes);
        let response = client.response();
        (client, response)
    }

    #[track_caller]
    pub fn say(&mut self, bytes: &[u8]) {
        self.socket.say(bytes);
    }

    /// Sends one masked frame of minimal length encoding.
    #[track_caller]
    pub fn send(&mut self, first: u8, payload: &[u8]) {
        self.say(&frame(first, payload));
    }

    /// The answer's head, and its body as far as Content-Length says.
    #[track_caller]
    pub fn response(&mut self) -> Response {
        let head = self.until(b"\r\n\r\n");
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap();
        let status = status.strip_prefix("HTTP/1.1 ").expect(status);
        let mut response = Response {
            status: status[..3].parse().unwrap(),
            headers: lines
                .map(|line| line.split_once(": ").expect(line))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect(),
            body: String::new(),
        };
        let length = response
            .header("content-length")
            .map_or(0, |n| n.parse().unwrap());
        response.body = String::from_utf8(self.take(length)).unwrap();
        response
    }

    /// The next frame, whatever it is; never a masked one (section 5.1).
    #[track_caller]
    pub fn frame(&mut self) -> Frame {
        let head = self.take(2);
        assert_eq!(head[1] & 0x80, 0, "a masked frame from a server");
        let len = match head[1] {
            126 => self.take(2).iter().fold(0, |n, b| n << 8 | usize::from(*b)),
            127 => self.take(8).iter().fold(0, |n, b| n << 8 | usize::from(*b)),
            short => usize::from(short),
        };
        Frame {
            first: head[0],
            payload: self.take(len),
        }
    }

    /// The next message, put together from its fragments: its type as the first
    /// byte of a whole frame, and its payload. No control frame may come.
    #[track_caller]
    pub fn message(&mut self) -> (u8, Vec<u8>) {
        let mut frame = self.frame();
        let kind = frame.first | 0x80;
        assert!([TEXT, BINARY].contains(&kind), "{frame:?}");
        let mut payload = frame.payload;
        while frame.first & 0x80 == 0 {
            frame = self.frame();
            assert_eq!(frame.first & 0x7f, 0, "not a continuation: {frame:?}");
            payload.extend_from_slice(&frame.payload);
        }
        (kind, payload)
    }

    /// `n` bytes of messages, where boundaries do not matter; not a byte more.
    #[track_caller]
    pub fn payload(&mut self, n: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < n {
            bytes.extend(self.message().1);
        }
        assert_eq!(bytes.len(), n);
        bytes
    }

    /// Sends a message, which must come back, however it is cut.
    #[track_caller]
    pub fn echoes(&mut self, payload: &[u8]) {
        self.send(BINARY, payload);
        assert_eq!(self.payload(payload.len()), payload);
    }

    /// The next frame, which must be a Close with this code; gives the reason.
    #[track_caller]
    pub fn expect_close(&mut self, code: u16) -> String {
        let frame = self.frame();
        assert_eq!(frame.first, CLOSE, "{frame:?}");
        let seen = frame
            .payload
            .get(..2)
            .map(|c| u16::from_be_bytes([c[0], c[1]]));
        let reason = String::from_utf8(frame.payload.get(2..).unwrap_or_default().to_vec());
        assert_eq!(seen, Some(code), "{reason:?}");
        reason.unwrap()
    }

    /// Sends a Close, and expects it echoed and the connection ended.
    #[track_caller]
    pub fn close(mut self, code: u16) {
        self.send(CLOSE, &close(code, ""));
        self.expect_close(code);
        self.expect_eof();
    }

    /// Expects a Close, answers it, and expects the connection ended.
    #[track_caller]
    pub fn close_after(&mut self, code: u16) {
        self.expect_close(code);
        self.send(CLOSE, &close(code, ""));
        self.expect_eof();
    }

    /// The end of the stream, by a FIN and with nothing before it.
    #[track_caller]
    pub fn expect_eof(&mut self) {
        let mut rest = Vec::from(std::mem::take(&mut self.ahead));
        self.socket.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty(), "{:?} before the end", head_of(&rest));
    }

    /// Exactly `n` bytes.
    #[track_caller]
    fn take(&mut self, n: usize) -> Vec<u8> {
        while self.ahead.len() < n {
            self.read_more();
        }
        self.ahead.drain(..n).collect()
    }

    /// Bytes up to and with `end`.
    #[track_caller]
    fn until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            let ahead = self.ahead.make_contiguous();
            match ahead.windows(end.len()).position(|w| w == end) {
                Some(at) => return self.take(at + end.len()),
                None => self.read_more(),
            }
        }
    }

    #[track_caller]
    fn read_more(&mut self) {
        let mut buffer = [0; 65536];
        let n = self.socket.read(&mut buffer).unwrap();
        let ahead = head_of(self.ahead.make_contiguous());
        assert_ne!(n, 0, "the stream ended after {ahead}");
        self.ahead.extend(&buffer[..n]);
    }
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// A request for a tunnel with the key of the RFC's sample. Additional headers
/// come last; one with the name of a usual header takes its place.
pub fn request(path: &str, headers: &[&str]) -> String {
    let mut request = format!("GET {path} HTTP/1.1\r\n");
    let usual = [
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: Upgrade",
        &format!("Sec-WebSocket-Key: {SAMPLE_KEY}"),
        "Sec-WebSocket-Version: 13",
    ];
    let name = |line: &str| line.split(':').next().unwrap().to_ascii_lowercase();
    let kept = usual
        .iter()
        .filter(|line| !headers.iter().any(|h| name(h) == name(line)));
    for line in kept.chain(headers) {
        request.push_str(line);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    request
}

/// A masked frame of minimal length encoding.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = match payload.len() {
        len @ 0..=125 => vec![len as u8],
        len @ 126..=65535 => [&[126][..], &(len as u16).to_be_bytes()].concat(),
        len => [&[127][..], &(len as u64).to_be_bytes()].concat(),
    };
    masked(first, &length, payload)
}

/// A masked frame with any length field: the mask bit is set here.
pub fn masked(first: u8, length: &[u8], payload: &[u8]) -> Vec<u8> {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![first];
    frame.extend_from_slice(length);
    frame[1] |= 0x80;
    frame.extend_from_slice(&key);
    let start = frame.len();
    frame.extend_from_slice(payload);
    for (byte, key) in frame[start..].iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
    frame
}

/// A Close frame's payload.
pub fn close(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// As much of `bytes` as a failure's message can bear.
pub fn head_of(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(80)];
    format!("{} bytes, b\"{}\"", bytes.len(), head.escape_ascii())
}
