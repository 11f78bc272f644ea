//! A whole tunnel in memory, and a list of all that can happen to it.
//!
//! The model is what its two codecs make of all that either side has sent, in
//! one piece. Whatever the room, the stalls and the time, each side gets a
//! front of that and nothing else; all of it, where nobody broke and nobody
//! had to be given up; the tunnel holds no more memory than a read can become;
//! and it always ends. Events come only for what is new, so one that the
//! tunnel forgot leaves bytes behind.

use super::model::Terms;
use super::{Choices, Cuts};
use crate::tunnel::ending::Ending;
use crate::tunnel::policy::{Route, Timeouts};
use crate::tunnel::world::{EOF, Fake, REQUEST, RESET, World, frame};
use crate::tunnel::{Need, Tunnel};
use crate::wire::framing::Framing;
use crate::wire::ws::{FrameType, InvalidUtf8, Text};
use crate::wire::{Chunk, End, Frame, Gather, Kind};
use std::io::ErrorKind;
use std::time::Duration;

/// As much a tunnel may hold: what one read becomes in either direction, and
/// pongs.
const MOST_HELD: usize = 320 * 1024;

/// As much a tunnel may hold at which nothing waits: heads that were cut.
const LEAST_HELD: usize = 16 * 1024;

/// As many bytes either side sends, so that a run stays short.
const MOST_SENT: usize = 100_000;

/// As many things happen.
const OPERATIONS: usize = 300;

const FRAME_TYPES: [FrameType; 4] = [
    FrameType::Auto,
    FrameType::Text,
    FrameType::Binary,
    FrameType::Mirror,
];

/// Runs operations over a tunnel.
pub(super) fn operations(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let mut run = Run::new(&mut choices);
    for _ in 0..OPERATIONS {
        if choices.0.is_empty() {
            break;
        }
        run.operate(&mut choices);
        let held = run.world.tunnel.memory();
        assert!(held <= MOST_HELD, "{held} bytes are held");
    }
    run.settle();
    run.end();
}

struct Run {
    world: World,
    terms: Terms,
    need: Need,
    /// Whether a backend was asked for.
    wanted: bool,
    /// What the client has sent behind its request, and the backend.
    up: Vec<u8>,
    down: Vec<u8>,
    client_ended: bool,
    backend_ended: bool,
    /// Whether the backend was connected.
    open: bool,
    /// Whether somebody broke, or may have been given up.
    lost: bool,
    /// Whether the last thing is that nobody moves any more.
    stalls: bool,
}

impl Run {
    fn new(choices: &mut Choices<'_>) -> Run {
        let framing = choices.one_of(Framing::ALL);
        let frame_type = choices.one_of(&FRAME_TYPES);
        let flags = choices.byte();
        // What mirrors another time may replace at another place.
        let replaces = flags & 1 != 0 && frame_type != FrameType::Mirror;
        let invalid = [InvalidUtf8::Close, InvalidUtf8::Replace][usize::from(replaces)];
        let terms = Terms {
            framing,
            max_message: if flags & 2 == 0 { 1 << 20 } else { 1000 },
            text: Text {
                frame_type: match framing.carries_type() {
                    true => FrameType::Auto,
                    false => frame_type,
                },
                auto: framing.auto_kind(),
                invalid,
            },
            half_close: flags & 4 != 0,
        };
        let route = Route {
            framing,
            frame_type,
            invalid_utf8: invalid,
            max_message: terms.max_message,
            timeouts: Timeouts {
                idle: (flags & 8 != 0).then_some(Duration::from_secs(60)),
                ping: (flags & 16 != 0).then_some(Duration::from_secs(30)),
                ..Timeouts::default()
            },
            ..Route::default()
        };
        let mut world = World::connected(route);
        world.edges = true;
        if flags & 32 != 0 {
            world.client.0.borrow_mut().room = 0;
            world.backend.0.borrow_mut().room = 0;
        }
        let mut request = REQUEST.to_vec();
        if terms.half_close {
            request.truncate(request.len() - 2);
            request.extend_from_slice(b"Sec-WebSocket-Extensions: adit-half-close\r\n\r\n");
        }
        world.client_sends(&request);
        let mut run = Run {
            world,
            terms,
            need: Need::Event,
            wanted: false,
            up: Vec::new(),
            down: Vec::new(),
            client_ended: false,
            backend_ended: false,
            open: false,
            lost: false,
            stalls: flags & 64 != 0,
        };
        if flags & 128 != 0 {
            run.pump();
            run.connect();
        }
        run
    }

    fn operate(&mut self, choices: &mut Choices<'_>) {
        match choices.byte() % 20 {
            0..=2 => self.client_says(choices),
            3 => {
                let len = choices.byte();
                self.client_sends(choices.take(usize::from(len)));
            }
            4 => {
                let payload = vec![b'p'; usize::from(choices.byte() % 126)];
                self.client_sends(&frame(0x89, &payload));
            }
            5 => self.client_sends(&frame(0x88, &(choices.number() as u16).to_be_bytes())),
            6 => self.client_ends(),
            7 | 8 => self.backend_says(choices),
            9 => {
                let len = choices.byte();
                self.backend_sends(choices.take(usize::from(len)));
            }
            10 => self.backend_ends(),
            11 | 12 => self.world.client.0.borrow_mut().make_room(room(choices)),
            13 | 14 => self.world.backend.0.borrow_mut().make_room(room(choices)),
            15 => {
                let need = self.world.turn();
                self.note(need);
            }
            16 => self.pump(),
            17 => self.wait(Duration::from_millis(8 * choices.number() as u64)),
            18 => self.connect(),
            _ => self.misfortune(choices),
        }
    }

    fn misfortune(&mut self, choices: &mut Choices<'_>) {
        let flags = choices.byte();
        match flags % 8 {
            0 => {
                self.client_ended = true;
                breaks(&self.world.client, flags);
            }
            1 if self.open => {
                self.backend_ended = true;
                breaks(&self.world.backend, flags);
            }
            2 if self.open => {
                // As when a Unix socket is closed at the other end.
                self.backend_ended = true;
                let mut far = self.world.backend.0.borrow_mut();
                far.ends.get_or_insert(EOF);
                far.refuses = Some(ErrorKind::BrokenPipe);
                far.breaks = flags & 8 != 0;
                far.came();
            }
            3 => self.world.context(Tunnel::leave),
            _ => return,
        }
        self.lost = true;
    }

    /// A message of letters in frames, or what is left of it.
    fn client_says(&mut self, choices: &mut Choices<'_>) {
        let kind = choices.one_of(&[0x01, 0x02]);
        let (len, longest) = (choices.number(), choices.byte());
        let message = letters(self.up.len(), len);
        let mut cuts = Cuts {
            longest: 1 + usize::from(longest) * 256,
            state: u32::from(longest),
        };
        let mut frames = cuts.cut(&message);
        if frames.is_empty() {
            frames.push(&[]);
        }
        let last = frames.len() - 1;
        for (index, payload) in frames.into_iter().enumerate() {
            let opcode = if index == 0 { kind } else { 0 };
            let fin = if index == last { 0x80 } else { 0 };
            self.client_sends(&frame(fin | opcode, payload));
        }
    }

    fn client_sends(&mut self, bytes: &[u8]) {
        if !self.client_ended && self.up.len() + bytes.len() <= MOST_SENT {
            self.up.extend_from_slice(bytes);
            self.world.client_sends(bytes);
        }
    }

    fn client_ends(&mut self) {
        self.client_ended = true;
        ends(&self.world.client);
    }

    /// A message of letters as the framing has it.
    fn backend_says(&mut self, choices: &mut Choices<'_>) {
        let mut message = letters(self.down.len(), choices.number());
        if self.terms.framing == Framing::Json {
            message = [b"\"", &message[..], b"\""].concat();
        }
        let len = message.len() as u64;
        let chunk = Chunk {
            payload: &mut message,
            kind: Some(choices.one_of(&[Kind::Text, Kind::Binary])),
            first: true,
            end: End::Message,
            frame: Some(Frame { len, fin: true }),
        };
        let mut staging = Vec::new();
        let mut out = Gather::new(&mut staging);
        let mut framer = self.terms.framing.framer(u64::MAX);
        if framer.encode(chunk, &mut out).is_ok() {
            let bytes = out.pieces().collect::<Vec<_>>().concat();
            self.backend_sends(&bytes);
        }
    }

    fn backend_sends(&mut self, bytes: &[u8]) {
        if !self.backend_ended && self.down.len() + bytes.len() <= MOST_SENT {
            self.down.extend_from_slice(bytes);
            self.world.backend_sends(bytes);
        }
    }

    fn backend_ends(&mut self) {
        self.backend_ended = true;
        ends(&self.world.backend);
    }

    /// Pumps, and nothing is read for a side that takes nothing.
    fn pump(&mut self) {
        let stuck = self.stuck();
        let before = self.unread();
        let need = self.world.pump();
        self.note(need);
        let open = self.world.tunnel.figures().is_some();
        if open && self.world.ending().is_none() {
            let after = self.unread();
            assert!(!stuck.0 || after.0 == before.0, "read for a stuck backend");
            assert!(!stuck.1 || after.1 == before.1, "read for a stuck client");
        }
    }

    /// Whether something waits that the backend takes not, and the client.
    fn stuck(&self) -> (bool, bool) {
        let queued = self.world.tunnel.figures().map(|figures| figures.queued);
        let (client, backend) = queued.unwrap_or_default();
        // Who refuses for good has nothing waiting for it any more.
        let full = |fake: &Fake| {
            let far = fake.0.borrow();
            far.room == 0 && far.refuses.is_none()
        };
        (
            backend > 0 && full(&self.world.backend),
            client > 0 && full(&self.world.client),
        )
    }

    /// Bytes of the client that were not read, and of the backend.
    fn unread(&self) -> (usize, usize) {
        let unread = |fake: &Fake| fake.0.borrow().sends.len();
        (unread(&self.world.client), unread(&self.world.backend))
    }

    fn note(&mut self, need: Need) {
        self.wanted |= matches!(need, Need::Backend(_));
        self.need = need;
    }

    fn connect(&mut self) {
        if !self.open && self.wanted {
            self.open = true;
            self.world.backend.0.borrow_mut().came();
            self.world.backend_is_there();
            self.pump();
        }
    }

    fn wait(&mut self, time: Duration) {
        let need = self.world.after(time);
        self.note(need);
        // Who took too long may have been given up.
        self.lost |= self.world.ending().is_some() || self.need == Need::Nothing;
    }

    /// Everybody takes all there is; then all that was owed has come.
    fn settle(&mut self) {
        if !self.open {
            self.pump();
            self.connect();
        }
        for fake in [&self.world.client, &self.world.backend] {
            fake.0.borrow_mut().make_room(usize::MAX);
        }
        self.pump();
        if self.open {
            self.judge();
        }
    }

    fn judge(&self) {
        let ending = self.world.ending();
        let up = self.terms.up(&self.up);
        let got = self.world.backend_received();
        assert!(up.most.starts_with(&got), "the backend got something else");
        let received = self.world.client.0.borrow().received.clone();
        let opened = received.starts_with(b"HTTP/1.1 101 ");
        let head = received.windows(4).position(|end| end == b"\r\n\r\n");
        let sent = match head {
            Some(at) if opened => &received[at + 4..],
            _ => &[],
        };
        let down = self.terms.down(&self.down, self.backend_ended);
        let (shown, close) = self.terms.shown(sent);
        assert!(
            down.most.starts_with(&shown),
            "the client got something else"
        );
        if self.lost || self.need == Need::Nothing {
            return;
        }
        assert!(got.len() >= up.least.len(), "the backend waits: {ending:?}");
        let told = match ending {
            // Nobody hears what comes after the Close.
            Some(Ending::ClientClosed(_)) => true,
            Some(Ending::ClientFault(_)) => return,
            None | Some(Ending::ClientGone) => false,
            Some(_) => true,
        };
        let owed = !matches!(ending, Some(Ending::ClientClosed(_)));
        if owed && self.terms.text.frame_type != FrameType::Mirror {
            assert!(
                shown.len() >= down.least.len(),
                "the client waits: {ending:?}"
            );
        }
        assert!(close.is_some() || !told, "{ending:?} was not told");
        if ending.is_none() {
            assert!(
                !self.client_ended && !self.backend_ended,
                "an end was not seen"
            );
            let figures = self.world.tunnel.figures().expect("an open tunnel");
            assert_eq!(figures.queued, (0, 0));
            assert!(self.world.tunnel.memory() <= LEAST_HELD);
        }
    }

    /// It ends because both sides do, or though neither does.
    fn end(&mut self) {
        if self.stalls {
            for fake in [&self.world.client, &self.world.backend] {
                fake.0.borrow_mut().room = 0;
            }
            self.world.context(Tunnel::leave);
        } else {
            self.client_ends();
            self.backend_ends();
        }
        self.pump();
        for _ in 0..8 {
            if self.need == Need::Nothing {
                break;
            }
            // Longer than any timeout.
            self.need = self.world.after(Duration::from_secs(10));
        }
        assert_eq!(
            self.need,
            Need::Nothing,
            "it never ends: {:?}",
            self.world.tunnel
        );
    }
}

/// Room for some bytes, or for all there are.
fn room(choices: &mut Choices<'_>) -> usize {
    match choices.number() {
        0xffff => usize::MAX,
        bytes => bytes,
    }
}

fn ends(fake: &Fake) {
    let mut far = fake.0.borrow_mut();
    far.ends.get_or_insert(EOF);
    far.came();
}

/// The connection is reset, perhaps with all that was not read.
fn breaks(fake: &Fake, flags: u8) {
    let mut far = fake.0.borrow_mut();
    if flags & 8 != 0 {
        far.sends.clear();
    }
    far.ends = Some(RESET);
    far.refuses = Some(RESET);
    far.breaks = true;
    far.came();
}

/// Letters that differ wherever a message begins, so that none can stand for
/// another.
fn letters(from: usize, len: usize) -> Vec<u8> {
    (from..from + len)
        .map(|n| b'a' + (n ^ (n >> 5)) as u8 % 26)
        .collect()
}
