//! What comes of all that the two sides of a tunnel send: what its codecs make
//! of it in one piece, without a tunnel. As in a session, one side speaks
//! WebSocket and the other is a stream, whichever came to adit.

use crate::wire::framing::Framing;
use crate::wire::ws::{Close, Decoder, Encoder, Event, FrameType, Role, Text};
use crate::wire::{Chunk, Gather, Kind};

/// The settings that the model needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// In which adit speaks WebSocket.
    pub(super) role: Role,
    pub(super) framing: Framing,
    pub(super) max_message: u64,
    pub(super) text: Text,
    pub(super) half_close: bool,
}

/// What a side has to get and what it may get. The two differ only in how much
/// of a message passes before it turns out to be faulty.
#[derive(Debug, Default)]
pub(super) struct Owed<T> {
    pub(super) least: Vec<T>,
    pub(super) most: Vec<T>,
}

/// Why nothing more comes over WebSocket.
#[derive(Debug)]
enum Stop {
    Cut,
    Fault,
    Closed(Close),
}

/// What the WebSocket peer is shown: a byte, or that a message begins or ends.
pub(super) type Shown = u16;
const TEXT_BEGINS: Shown = 0x100;
const BINARY_BEGINS: Shown = 0x101;
const ENDS: Shown = 0x102;

/// What frames say.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) shown: Vec<Shown>,
    /// Whether no more messages come, though the other side's are heard.
    pub(super) half_closed: bool,
    pub(super) close: Option<Close>,
}

impl Terms {
    /// In which the other end of the WebSocket speaks.
    pub(super) fn peer(self) -> Role {
        match self.role {
            Role::Server => Role::Client,
            Role::Client => Role::Server,
        }
    }

    /// Reads what comes to whom is in this role.
    fn decoder(self, role: Role) -> Decoder {
        let mut decoder = Decoder::new(role);
        // Only a client can say that it sends no more.
        if self.half_close && role == Role::Server {
            decoder.allow_half_close();
        }
        decoder
    }

    pub(super) fn to_stream(self, sent: &[u8]) -> Owed<u8> {
        let (least, stop) = self.through_framer([sent]);
        let most = match stop {
            Stop::Fault => self.through_framer(sent.chunks(1)).0,
            Stop::Cut | Stop::Closed(_) => least.clone(),
        };
        assert!(most.starts_with(&least));
        Owed { least, most }
    }

    /// The Close of the WebSocket peer.
    pub(super) fn close(self, sent: &[u8]) -> Option<Close> {
        match self.through_framer([sent]).1 {
            Stop::Closed(close) => Some(close),
            Stop::Cut | Stop::Fault => None,
        }
    }

    /// What the stream gets, and what is behind that.
    fn through_framer<'r>(self, reads: impl IntoIterator<Item = &'r [u8]>) -> (Vec<u8>, Stop) {
        let mut decoder = self.decoder(self.role);
        let mut framer = self.framing.framer(self.max_message);
        let (mut got, mut bytes, mut staging) = (Vec::new(), Vec::new(), Vec::new());
        for read in reads {
            bytes.extend_from_slice(read);
            let mut input = &mut bytes[..];
            let mut out = Gather::new(&mut staging);
            let done = loop {
                match decoder.decode(&mut input) {
                    Ok(None) => break None,
                    Ok(Some(Event::Chunk(chunk))) => {
                        if framer.encode(chunk, &mut out).is_err() {
                            break Some(Stop::Fault);
                        }
                    }
                    Ok(Some(Event::Close(close))) => break Some(Stop::Closed(close)),
                    Ok(Some(_)) => {}
                    Err(_) => break Some(Stop::Fault),
                }
            };
            out.pieces().for_each(|piece| got.extend_from_slice(piece));
            let left = input.len();
            if let Some(stop) = done {
                return (got, stop);
            }
            bytes.drain(..bytes.len() - left);
        }
        (got, Stop::Cut)
    }

    pub(super) fn to_peer(self, sent: &[u8], ended: bool) -> Owed<Shown> {
        let (least, whole) = self.through_encoder([sent], ended);
        let most = match whole {
            true => least.clone(),
            false => self.through_encoder(sent.chunks(1), ended).0,
        };
        assert!(most.starts_with(&least));
        Owed { least, most }
    }

    /// What the WebSocket peer is shown; whether the stream broke no rule.
    fn through_encoder<'r>(
        self,
        reads: impl IntoIterator<Item = &'r [u8]>,
        ended: bool,
    ) -> (Vec<Shown>, bool) {
        let mut text = self.text;
        if text.frame_type == FrameType::Mirror {
            // Whatever type it has, the bytes are the same.
            text.frame_type = FrameType::Binary;
        }
        let mut framer = self.framing.framer(self.max_message);
        let mut encoder = Encoder::new(self.role, text);
        let (mut sent, mut bytes, mut staging) = (Vec::new(), Vec::new(), Vec::new());
        let mut whole = true;
        for read in reads.into_iter().chain(ended.then_some(&[][..])) {
            let last = read.is_empty();
            bytes.extend_from_slice(read);
            let mut input = &mut bytes[..];
            let mut out = Gather::new(&mut staging);
            while whole {
                let decoded = match last {
                    true => framer.finish(&mut input),
                    false => framer.decode(&mut input),
                };
                match decoded {
                    Ok(None) => break,
                    Ok(Some(chunk)) => whole = encoder.encode(chunk, None, &mut out).is_ok(),
                    Err(_) => whole = false,
                }
            }
            if whole && last {
                whole = encoder.finish(&mut out).is_ok();
            }
            out.pieces().for_each(|piece| sent.extend_from_slice(piece));
            let left = input.len();
            bytes.drain(..bytes.len() - left);
        }
        (self.said(&sent).shown, whole)
    }

    /// What these frames of adit's say to its WebSocket peer.
    pub(super) fn said(self, frames: &[u8]) -> Said {
        let mut decoder = self.decoder(self.peer());
        let mut bytes = frames.to_vec();
        let mut input = &mut bytes[..];
        let mut said = Said::default();
        while let Some(event) = decoder.decode(&mut input).expect("adit keeps the rules") {
            match event {
                Event::Chunk(chunk) => self.show(&chunk, &mut said.shown),
                Event::HalfClose => said.half_closed = true,
                Event::Close(close) => {
                    assert!(input.is_empty(), "something is behind the Close");
                    said.close = Some(close);
                    break;
                }
                Event::Ping(_) | Event::Pong => {}
            }
        }
        said
    }

    fn show(self, chunk: &Chunk<'_>, shown: &mut Vec<Shown>) {
        // A read is no message, and what it is mirrors depends on when it was.
        let raw = self.framing == Framing::Raw;
        let mirrors = self.text.frame_type == FrameType::Mirror;
        if chunk.first && !raw && !mirrors {
            shown.push(match chunk.kind {
                Some(Kind::Text) => TEXT_BEGINS,
                _ => BINARY_BEGINS,
            });
        }
        shown.extend(chunk.payload.iter().copied().map(Shown::from));
        if chunk.is_last() && !raw {
            shown.push(ENDS);
        }
    }
}
