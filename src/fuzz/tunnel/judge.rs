//! What has to hold of a tunnel, whatever has happened to it.

use super::Run;
use crate::tunnel::ending::Ending;
use crate::tunnel::world::Fake;
use crate::tunnel::{Need, Tunnel};
use crate::wire::Next;
use crate::wire::ws::{Close, FrameType, Role};
use std::time::Duration;

/// As much a tunnel may hold: what one read becomes in either direction, and
/// pongs. A client's shortest message has six bytes and a server's two, each of
/// which can become a head.
const fn most_held(role: Role) -> usize {
    match role {
        Role::Server => 320 * 1024,
        Role::Client => 768 * 1024,
    }
}

/// As much a tunnel may hold at which nothing waits: heads that were cut.
const LEAST_HELD: usize = 16 * 1024;

/// As much of a server's answer is read: a head, and one read.
const MOST_HEARD: usize = 80 * 1024;

impl Run {
    pub(super) fn judge_memory(&self) {
        let held = self.world.tunnel.memory();
        assert!(held <= most_held(self.terms.role), "{held} bytes are held");
        if self.world.connecting.is_some() && !self.lost {
            let heard = self.from_peer.len() - self.peer.0.borrow().sends.len();
            assert!(heard <= MOST_HEARD, "{heard} bytes of an answer are held");
        }
    }

    /// Whether something waits that upstream takes not, and downstream.
    pub(super) fn stuck(&self) -> (bool, bool) {
        let queued = self.world.tunnel.figures().map(|figures| figures.queued);
        let (downstream, upstream) = queued.unwrap_or_default();
        // Who refuses for good has nothing waiting for it any more.
        let full = |fake: &Fake| {
            let far = fake.0.borrow();
            far.room == 0 && far.refuses.is_none()
        };
        (
            upstream > 0 && full(&self.world.backend),
            downstream > 0 && full(&self.world.client),
        )
    }

    /// Bytes from downstream that were not read, and from upstream.
    pub(super) fn unread(&self) -> (usize, usize) {
        let unread = |fake: &Fake| fake.0.borrow().sends.len();
        (unread(&self.world.client), unread(&self.world.backend))
    }

    /// Everybody takes all there is; then all that was owed has come.
    pub(super) fn settle(&mut self) {
        if !self.is_there() {
            self.pump();
            self.dial();
        }
        for fake in [&self.peer, &self.stream] {
            fake.0.borrow_mut().make_room(usize::MAX);
        }
        self.pump();
        if let Some(way) = &self.way {
            let (agreed, heard) = way.hear(&self.peer, &self.from_peer);
            if let Some(open) = &self.world.agreed {
                assert_eq!(*open, agreed);
                self.terms.half_close = agreed.half_close;
                match heard {
                    Ok(Next::Done(used)) => drop(self.from_peer.drain(..used)),
                    other => panic!("open after {other:?}"),
                }
            } else {
                assert_eq!(self.stream.0.borrow().received, b"");
                let waits = self.need != Need::Nothing;
                assert!(!waits || self.world.connecting.is_some());
                let is_cut = !waits || (!self.peer_ended && heard == Ok(Next::Listen));
                assert!(is_cut, "its answer was not heard: {heard:?}");
            }
        }
        if self.is_open() {
            self.judge();
        }
    }

    fn judge(&self) {
        let ending = self.world.ending();
        let to_stream = self.terms.to_stream(&self.from_peer);
        let got = &self.stream.0.borrow().received;
        assert!(
            to_stream.most.starts_with(got),
            "the stream got something else"
        );
        let to_peer = self.terms.to_peer(&self.from_stream, self.stream_ended);
        let said = self.terms.said(&self.frames());
        assert!(
            to_peer.most.starts_with(&said.shown),
            "the WebSocket peer got something else"
        );
        if self.lost || self.need == Need::Nothing {
            return;
        }
        assert!(
            got.len() >= to_stream.least.len(),
            "the stream waits: {ending:?}"
        );
        let (told, owed) = match ending {
            // Nobody hears what comes after the Close.
            Some(Ending::PeerClosed(_)) => (true, false),
            Some(Ending::PeerFault(_)) => return,
            // A client may still hear the answer; a server that has ended hears
            // nothing.
            Some(Ending::PeerGone) => match self.terms.role {
                Role::Server => (false, true),
                Role::Client => (true, false),
            },
            None => (false, true),
            Some(_) => (true, true),
        };
        if owed && self.terms.text.frame_type != FrameType::Mirror {
            assert!(
                said.shown.len() >= to_peer.least.len(),
                "the WebSocket peer waits: {ending:?}"
            );
        }
        assert!(said.close.is_some() || !told, "{ending:?} was not told");
        if self.peer_ended {
            assert!(self.stream.0.borrow().finished, "an end was not passed on");
        }
        if ending.is_none() {
            let is_half = said.half_closed && self.stream_ended;
            assert!(
                !self.peer_ended && self.stream_ended == is_half,
                "an end was not seen"
            );
            let figures = self.world.tunnel.figures().expect("an open tunnel");
            assert_eq!(figures.queued, (0, 0));
            assert!(self.world.tunnel.memory() <= LEAST_HELD);
        }
    }

    /// What came over WebSocket behind the handshake.
    fn frames(&self) -> Vec<u8> {
        let received = &self.peer.0.borrow().received;
        let opened = self.terms.role == Role::Client || received.starts_with(b"HTTP/1.1 101 ");
        let head = received.windows(4).position(|end| end == b"\r\n\r\n");
        match head {
            Some(at) if opened => received[at + 4..].to_vec(),
            _ => Vec::new(),
        }
    }

    /// It ends because both sides do, or though neither does.
    pub(super) fn end(&mut self) {
        if self.stalls {
            for fake in [&self.peer, &self.stream] {
                fake.0.borrow_mut().room = 0;
            }
            self.world.context(Tunnel::leave);
            self.pump();
        } else if self.is_open() && self.stream.0.borrow().may_be_dropped {
            self.peer_ends();
            self.pump();
            // What it still answers to may be worth waiting for.
            let is_fault = matches!(self.world.ending(), Some(Ending::PeerFault(_)));
            let is_over = self.need == Need::Nothing;
            assert!(is_over || is_fault || self.lost, "a terminal is waited for");
        } else {
            self.peer_ends();
            self.stream_ends();
            self.pump();
        }
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
        if self.terms.role == Role::Client && self.is_open() {
            self.judge_end();
        }
    }

    /// What a program that was led to a server is told of it.
    fn judge_end(&self) {
        let (peer, stream) = (self.peer.0.borrow(), self.stream.0.borrow());
        assert!(!peer.finished || self.peer_ended, "RFC 6455 section 7.1.1");
        if self.world.tunnel.failure().is_some() {
            return;
        }
        let close = self
            .terms
            .close(&self.from_peer)
            .expect("no server has closed");
        assert!(matches!(close, Close(None | Some(1000))), "{close:?}");
        // Who closes its own end has lost nothing.
        if stream.refuses.is_none() {
            let owed = self.terms.to_stream(&self.from_peer).least;
            assert!(stream.received.len() >= owed.len(), "bytes were lost");
        }
        // Nor who has closed and did not take the answer.
        if !self.lost && peer.room > 0 {
            let said = self.terms.said(&self.frames());
            assert!(said.close.is_some(), "left without a Close");
        }
    }
}
