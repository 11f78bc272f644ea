//! A WebSocket server by hand, for adit to connect to: it sees each byte of the
//! request and of the frames, and can break each rule.

use std::io::Read;
use std::process::Command;

use tungstenite::handshake::derive_accept_key;

use super::client::{CLOSE, Frame, close};
use super::{Backend, Socket};

/// A connection from adit.
pub struct Far {
    pub socket: Socket,
    ahead: Vec<u8>,
}

/// `adit connect ARGS…` with nothing of this environment's proxies and tokens.
pub fn connect(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_adit"));
    for name in ["http", "https", "ws", "wss", "all", "no"] {
        command.env_remove(format!("{name}_proxy"));
        command.env_remove(format!("{name}_proxy").to_uppercase());
    }
    command.env_remove("ADIT_TOKEN");
    command.arg("connect").args(args);
    command
}

impl Far {
    /// The next connection, its request taken.
    #[track_caller]
    pub fn accept(backend: &Backend) -> (Self, String) {
        Self::over(backend.accept())
    }

    /// Takes the request on a connection that is there.
    #[track_caller]
    pub fn over(socket: Socket) -> (Self, String) {
        let mut far = Far {
            socket,
            ahead: Vec::new(),
        };
        let request = far.head();
        (far, request)
    }

    /// An open WebSocket.
    #[track_caller]
    pub fn open(backend: &Backend) -> Self {
        Self::open_with(backend, &[])
    }

    /// An open WebSocket, answered with these headers too.
    #[track_caller]
    pub fn open_with(backend: &Backend, headers: &[&str]) -> Self {
        let (mut far, request) = Self::accept(backend);
        far.welcome(&request, headers);
        far
    }

    /// Answers the request with a 101.
    #[track_caller]
    pub fn welcome(&mut self, request: &str, headers: &[&str]) {
        let key = header(request, "Sec-WebSocket-Key").expect("a key");
        let mut answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n",
            derive_accept_key(key.as_bytes())
        );
        for line in headers {
            answer += &format!("{line}\r\n");
        }
        answer += "\r\n";
        self.socket.say(answer.as_bytes());
    }

    /// Sends one frame, unmasked.
    #[track_caller]
    pub fn send(&mut self, first: u8, payload: &[u8]) {
        let length = match payload.len() {
            len @ 0..=125 => vec![len as u8],
            len @ 126..=65535 => [&[126][..], &(len as u16).to_be_bytes()].concat(),
            len => [&[127][..], &(len as u64).to_be_bytes()].concat(),
        };
        self.socket.say(&[&[first], &length[..], payload].concat());
    }

    /// The next frame, which must be masked (section 5.1).
    #[track_caller]
    pub fn frame(&mut self) -> Frame {
        let head = self.take(2);
        assert_ne!(head[1] & 0x80, 0, "an unmasked frame from a client");
        let number = |bytes: Vec<u8>| bytes.iter().fold(0, |n, b| n << 8 | usize::from(*b));
        let len = match head[1] & 0x7f {
            126 => number(self.take(2)),
            127 => number(self.take(8)),
            short => usize::from(short),
        };
        let key = self.take(4);
        let mut payload = self.take(len);
        for (byte, key) in payload.iter_mut().zip(key.iter().cycle()) {
            *byte ^= key;
        }
        Frame {
            first: head[0],
            payload,
        }
    }

    /// The next frame, which must be this one.
    #[track_caller]
    pub fn expect(&mut self, first: u8, payload: &[u8]) {
        let frame = self.frame();
        assert_eq!((frame.first, &frame.payload[..]), (first, payload));
    }

    /// The next frame, which must be a Close with this code.
    #[track_caller]
    pub fn expect_close(&mut self, code: u16) {
        let frame = self.frame();
        assert_eq!(frame.first, CLOSE, "{frame:?}");
        let seen = frame.payload.first_chunk::<2>().copied();
        assert_eq!(seen.map(u16::from_be_bytes), Some(code), "{frame:?}");
    }

    /// Hears and says a Close of this code, and ends first, as a server does.
    #[track_caller]
    pub fn answer_close(&mut self, code: u16) {
        self.expect_close(code);
        self.send(CLOSE, &close(code, ""));
        self.socket.finish();
    }

    /// Says and hears a Close of this code, and ends first, as a server does.
    #[track_caller]
    pub fn close(&mut self, code: u16) {
        self.send(CLOSE, &close(code, ""));
        self.expect_close(code);
        self.socket.finish();
        assert_eq!(self.socket.hear_all(), b"");
    }

    /// A head up to its empty line.
    #[track_caller]
    pub fn head(&mut self) -> String {
        let mut len = 1;
        while !self.ahead.ends_with(b"\r\n\r\n") {
            let more = self.take(len);
            self.ahead = more;
            len = self.ahead.len() + 1;
        }
        String::from_utf8(std::mem::take(&mut self.ahead)).unwrap()
    }

    #[track_caller]
    fn take(&mut self, n: usize) -> Vec<u8> {
        while self.ahead.len() < n {
            let mut buffer = vec![0; n - self.ahead.len()];
            let read = self.socket.read(&mut buffer).unwrap();
            assert_ne!(read, 0, "the stream ended after {:?}", self.ahead);
            self.ahead.extend_from_slice(&buffer[..read]);
        }
        self.ahead.drain(..n).collect()
    }
}

/// The value of a header in a head.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let found = lines.find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value)
}
