//! A whole tunnel in memory, in either role, and a list of all that can happen
//! to it.
//!
//! As in a session, one side is the peer and the other the stream: a client
//! and its backend, or the server that a local stream is led to and that
//! stream. The model is what the two codecs make of all that either side has
//! sent, in one piece. Whatever the room, the stalls and the time, each side
//! gets a front of that and nothing else; all of it, where nobody broke and
//! nobody had to be given up; the tunnel holds no more memory than a read can
//! become; and it always ends. Events come only for what is new, so one that
//! the tunnel forgot leaves bytes behind.

mod judge;

use super::far::Way;
use super::model::Terms;
use super::{Choices, Cuts};
use crate::tunnel::connecting::Failure;
use crate::tunnel::policy::{Route, Timeouts};
use crate::tunnel::world::{EOF, Fake, REQUEST, RESET, World, frame_of};
use crate::tunnel::{Need, Tunnel};
use crate::wire::framing::Framing;
use crate::wire::ws::{FrameType, InvalidUtf8, Role, Text};
use crate::wire::{Chunk, End, Frame, Gather, Kind, Next};
use std::io::ErrorKind;
use std::time::Duration;

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

/// Runs operations over the tunnel of a client that is served.
pub(super) fn operations(bytes: &[u8]) {
    run(Choices(bytes), None);
}

/// Runs operations over a tunnel: of a client that is served, or of a stream
/// that is led to a server.
pub(super) fn run(mut choices: Choices<'_>, way: Option<Way>) {
    let mut run = Run::new(&mut choices, way);
    for _ in 0..OPERATIONS {
        if choices.0.is_empty() {
            break;
        }
        run.operate(&mut choices);
        run.judge_memory();
    }
    run.settle();
    run.end();
}

struct Run {
    world: World,
    /// The side that speaks WebSocket, and the one that speaks a framing.
    peer: Fake,
    stream: Fake,
    terms: Terms,
    /// Where a stream is led.
    way: Option<Way>,
    need: Need,
    /// Whether a backend was asked for.
    wanted: bool,
    /// What the peer has sent, but for a client's request, and the stream.
    from_peer: Vec<u8>,
    from_stream: Vec<u8>,
    peer_ended: bool,
    stream_ended: bool,
    /// Whether somebody broke, or may have been given up.
    lost: bool,
    /// Whether the last thing is that nobody moves any more.
    stalls: bool,
}

impl Run {
    fn new(choices: &mut Choices<'_>, way: Option<Way>) -> Run {
        let framing = choices.one_of(Framing::ALL);
        let frame_type = choices.one_of(&FRAME_TYPES);
        let flags = choices.byte();
        // What mirrors another time may replace at another place.
        let replaces = flags & 1 != 0 && frame_type != FrameType::Mirror;
        let invalid = [InvalidUtf8::Close, InvalidUtf8::Replace][usize::from(replaces)];
        let terms = Terms {
            role: match way {
                None => Role::Server,
                Some(_) => Role::Client,
            },
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
            remote: way.as_ref().map(Way::remote),
            ..Route::default()
        };
        let mut world = World::connected(route);
        world.edges = true;
        let (client, backend) = (world.client.clone(), world.backend.clone());
        if flags & 32 != 0 {
            let is_led = way.is_some() && flags & 128 != 0;
            client.0.borrow_mut().room = 0;
            // A server that answers at once has taken the request.
            backend.0.borrow_mut().room = if is_led { 1024 } else { 0 };
        }
        let (peer, stream) = match terms.role {
            Role::Server => {
                client.sends(&request(terms.half_close));
                (client, backend)
            }
            Role::Client => (backend, client),
        };
        stream.0.borrow_mut().may_be_dropped = way.as_ref().is_some_and(Way::is_terminal);
        let mut run = Run {
            world,
            peer,
            stream,
            terms,
            way,
            need: Need::Event,
            wanted: false,
            from_peer: Vec::new(),
            from_stream: Vec::new(),
            peer_ended: false,
            stream_ended: false,
            lost: false,
            stalls: flags & 64 != 0,
        };
        if flags & 128 != 0 {
            run.pump();
            run.dial();
            run.answer(0, usize::MAX);
            run.pump();
        }
        run
    }

    fn operate(&mut self, choices: &mut Choices<'_>) {
        match choices.byte() % 20 {
            0..=2 => self.peer_says(choices),
            3 => {
                let len = choices.byte();
                self.peer_sends(choices.take(usize::from(len)));
            }
            4 => {
                let payload = vec![b'p'; usize::from(choices.byte() % 126)];
                self.peer_frame(0x89, &payload);
            }
            5 => self.peer_frame(0x88, &(choices.number() as u16).to_be_bytes()),
            6 => self.peer_ends(),
            7 | 8 => self.stream_says(choices),
            9 => {
                let len = choices.byte();
                self.stream_sends(choices.take(usize::from(len)));
            }
            10 => self.stream_ends(),
            11 | 12 => self.peer.0.borrow_mut().make_room(room(choices)),
            13 | 14 => self.stream.0.borrow_mut().make_room(room(choices)),
            15 => {
                let need = self.world.turn();
                self.note(need);
            }
            16 => self.pump(),
            17 => self.wait(Duration::from_millis(8 * choices.number() as u64)),
            18 if self.world.connecting.is_some() => self.answer(choices.byte(), choices.number()),
            18 => self.dial(),
            _ => self.misfortune(choices),
        }
    }

    fn misfortune(&mut self, choices: &mut Choices<'_>) {
        let flags = choices.byte();
        let (peer, stream) = match self.terms.role {
            Role::Server => (true, self.is_there()),
            Role::Client => (self.is_there(), true),
        };
        match flags % 8 {
            0 if peer => {
                self.peer_ended = true;
                breaks(&self.peer, flags);
            }
            1 if stream => {
                self.stream_ended = true;
                breaks(&self.stream, flags);
            }
            2 if stream => {
                // As when a Unix socket is closed at the other end.
                self.stream_ended = true;
                let mut far = self.stream.0.borrow_mut();
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
    fn peer_says(&mut self, choices: &mut Choices<'_>) {
        let kind = choices.one_of(&[0x01, 0x02]);
        let (len, longest) = (choices.number(), choices.byte());
        let message = letters(self.from_peer.len(), len);
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
            self.peer_frame(fin | opcode, payload);
        }
    }

    /// A frame, which comes behind a server's answer.
    fn peer_frame(&mut self, first: u8, payload: &[u8]) {
        self.answer(0, usize::MAX);
        self.peer_sends(&frame_of(self.terms.peer(), first, payload));
    }

    fn peer_sends(&mut self, bytes: &[u8]) {
        // Nobody has gone to a server yet that is not there.
        let is_there = self.way.is_none() || self.is_there();
        if is_there && !self.peer_ended && self.from_peer.len() + bytes.len() <= MOST_SENT {
            self.from_peer.extend_from_slice(bytes);
            self.peer.sends(bytes);
        }
    }

    fn peer_ends(&mut self) {
        if self.way.is_none() || self.is_there() {
            self.peer_ended = true;
            ends(&self.peer);
        }
    }

    /// More of what a server says to the request.
    fn answer(&mut self, kind: u8, most: usize) {
        if let (Some(way), Some(_)) = (&mut self.way, &self.world.connecting) {
            let more = way.answer(kind, most, &self.peer, self.terms.half_close);
            self.peer_sends(&more);
        }
    }

    /// A message of letters as the framing has it.
    fn stream_says(&mut self, choices: &mut Choices<'_>) {
        let mut message = letters(self.from_stream.len(), choices.number());
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
            self.stream_sends(&bytes);
        }
    }

    fn stream_sends(&mut self, bytes: &[u8]) {
        if !self.stream_ended && self.from_stream.len() + bytes.len() <= MOST_SENT {
            self.from_stream.extend_from_slice(bytes);
            self.stream.sends(bytes);
        }
    }

    fn stream_ends(&mut self) {
        self.stream_ended = true;
        ends(&self.stream);
    }

    /// Whether there is somebody at the connection that adit made.
    fn is_there(&self) -> bool {
        self.world.connecting.is_some() || self.is_open()
    }

    /// Whether there was a tunnel.
    fn is_open(&self) -> bool {
        self.world.agreed.is_some()
    }

    /// Pumps, and nothing is read for a side that takes nothing.
    fn pump(&mut self) {
        let stuck = self.stuck();
        let before = self.unread();
        let need = self.world.pump();
        self.note(need);
        while self.need == Need::Turn {
            let need = self.world.pump();
            self.note(need);
        }
        let is_open = self.world.tunnel.figures().is_some();
        if is_open && self.world.ending().is_none() {
            let after = self.unread();
            assert!(!stuck.0 || after.0 == before.0, "read for a stuck upstream");
            assert!(
                !stuck.1 || after.1 == before.1,
                "read for a stuck downstream"
            );
        }
    }

    fn note(&mut self, need: Need) {
        self.wanted |= matches!(need, Need::Backend(_));
        self.need = need;
        let failure = self.world.failure.take();
        // Who is gone does not ask why.
        if let Some(failure) = failure.filter(|_| need != Need::Nothing) {
            self.strayed(&failure);
        }
    }

    /// Dials upstream, once.
    fn dial(&mut self) {
        if self.wanted && !self.is_there() && self.need != Need::Nothing {
            let steps = self.way.as_ref().map(Way::steps);
            self.world.dial(steps.unwrap_or_default());
            self.pump();
        }
    }

    /// The way has led nowhere, or elsewhere.
    fn strayed(&mut self, failure: &Failure) {
        let way = self.way.as_mut().expect("no way to a backend is so long");
        match failure {
            Failure::Broken(_) => assert!(self.lost, "{failure}"),
            Failure::Unwelcome(..) => {
                let heard = way.hear(&self.peer, &self.from_peer).1;
                let is_cut = self.peer_ended && heard == Ok(Next::Listen);
                assert!(is_cut || heard.is_err(), "{failure}");
            }
        }
        if failure.location().is_some_and(|place| way.follow(place)) {
            self.peer = Fake::roomy();
            self.world.backend = self.peer.clone();
            self.peer_ended = false;
            self.from_peer.clear();
            self.world.dial(way.steps());
            self.need = Need::Turn;
            return;
        }
        let (refusal, why) = (failure.refusal(), failure.to_string());
        self.world
            .context(|tunnel, cx| tunnel.unreachable(&refusal, Some(&why), cx));
        self.need = self.world.pump();
        assert_eq!(self.need, Need::Nothing);
        assert_eq!(self.world.tunnel.failure(), Some(&*why));
        assert!(self.stream.0.borrow().reset, "the stream saw no reset");
    }

    fn wait(&mut self, time: Duration) {
        let need = self.world.after(time);
        self.note(need);
        // Who took too long may have been given up.
        self.lost |= self.world.ending().is_some() || self.need == Need::Nothing;
    }
}

/// What a client asks.
fn request(half_close: bool) -> Vec<u8> {
    let mut request = REQUEST.to_vec();
    if half_close {
        request.truncate(request.len() - 2);
        request.extend_from_slice(b"Sec-WebSocket-Extensions: adit-half-close\r\n\r\n");
    }
    request
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
