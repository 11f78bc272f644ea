//! What `length-*` and `content-length` share: a head says how long the message
//! after it is.
//!
//! Towards the client a message streams as it is read. Towards the backend it
//! streams as well when it came in one WebSocket frame, whose length is the
//! message's. Only a fragmented message has to be held until its length is
//! known; its memory is gone with its last chunk.

use super::{take_front, take_payload};
use crate::wire::{Chunk, End, Fault, Frame, Gather};

/// A head read from the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Bytes of the head itself.
    pub(super) size: usize,
    /// Bytes of the message it announces.
    pub(super) message: u64,
}

/// The longest message that something lets the client send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) max: u64,
    pub(super) name: &'static str,
}

impl Limit {
    fn check(self, len: u64) -> Result<(), Fault> {
        let Limit { max, name: limit } = self;
        if len > max {
            return Err(Fault::TooBig { len, max, limit });
        }
        Ok(())
    }
}

/// State of a framing that announces a message's length.
#[derive(Debug)]
pub(super) struct Announced {
    max_message: u64,
    /// Bytes of the backend's message that are still to be read; a message
    /// has begun exactly if there are some.
    left: u64,
    /// The client's fragmented message so far.
    fragments: Option<Vec<u8>>,
}

impl Announced {
    pub(super) fn new(max_message: u64) -> Self {
        Announced {
            max_message,
            left: 0,
            fragments: None,
        }
    }

    /// Takes the next chunk; `parse` reads a head at the front of the input and
    /// returns `None` while it is cut. A whole head is left until the payload
    /// begins, so it needs no state of its own.
    pub(super) fn decode<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        parse: impl FnOnce(&[u8]) -> Result<Option<Head>, Fault>,
    ) -> Result<Option<Chunk<'a>>, Fault> {
        let mut frame = None;
        if self.left == 0 {
            let Some(Head { size, message: len }) = parse(input)? else {
                return Ok(None);
            };
            let max = self.max_message;
            if len > max {
                return Err(Fault::StreamTooBig { len, max });
            }
            if len > 0 && input.len() == size {
                return Ok(None);
            }
            take_front(input, size);
            self.left = len;
            frame = Some(Frame { len, fin: true });
        } else if input.is_empty() {
            return Ok(None);
        }
        let payload = take_payload(input, &mut self.left);
        let end = if self.left == 0 {
            End::Message
        } else {
            End::Open
        };
        Ok(Some(Chunk {
            payload,
            kind: None,
            first: frame.is_some(),
            end,
            frame,
        }))
    }

    /// No message can end with the backend.
    pub(super) fn finish(&self, input: &[u8]) -> Result<Option<Chunk<'static>>, Fault> {
        if self.left > 0 || !input.is_empty() {
            return Err(Fault::StreamTruncated);
        }
        Ok(None)
    }

    /// Sends a chunk; `head` sends the head for a message of so many bytes, as
    /// long as they are no more than its `limit`.
    pub(super) fn encode<'a>(
        &mut self,
        chunk: Chunk<'a>,
        out: &mut Gather<'a>,
        limit: Limit,
        head: impl Fn(u64, &mut Gather<'a>),
    ) -> Result<(), Fault> {
        let last = chunk.is_last();
        if chunk.first {
            match announced_length(&chunk) {
                Some(len) => {
                    limit.check(len)?;
                    head(len, out);
                }
                None => self.fragments = Some(Vec::new()),
            }
        }
        let Chunk { payload, .. } = chunk;
        let Some(mut message) = self.fragments.take() else {
            out.payload(payload);
            return Ok(());
        };
        let len = message.len() as u64 + payload.len() as u64;
        self.longest_held(limit).check(len)?;
        if last {
            head(len, out);
            out.copy(&message);
            out.payload(payload);
        } else {
            message.extend_from_slice(payload);
            self.fragments = Some(message);
        }
        Ok(())
    }

    fn longest_held(&self, limit: Limit) -> Limit {
        if limit.max <= self.max_message {
            return limit;
        }
        Limit {
            max: self.max_message,
            name: "max-message",
        }
    }
}

/// The length of a message whose first chunk knows it.
fn announced_length(first: &Chunk<'_>) -> Option<u64> {
    match first.frame {
        Some(Frame { len, fin }) => fin.then_some(len),
        None => first.is_last().then_some(first.payload.len() as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_LIMIT: Limit = Limit {
        max: u64::MAX,
        name: "none",
    };

    #[test]
    fn a_fragmented_message_is_held_until_its_end_and_no_longer() {
        let mut announced = Announced::new(10);
        let (mut start, mut rest) = (*b"ab", *b"cd");
        let mut staging = Vec::new();
        let mut out = Gather::new(&mut staging);
        let mut sent = |chunk, out: &mut Gather<'_>| {
            let head = |len: u64, out: &mut Gather<'_>| out.copy(&len.to_be_bytes()[7..]);
            // The payloads are small, so that they are copied in any case.
            let mut copied = Vec::new();
            let mut own = Gather::new(&mut copied);
            let result = announced.encode(chunk, &mut own, NO_LIMIT, head);
            out.copy(&copied);
            (result, announced.fragments.as_ref().map(Vec::len))
        };
        let first = sent(Chunk::untyped(&mut start, true, End::Open), &mut out);
        assert_eq!(first, (Ok(()), Some(2)));
        assert!(out.is_empty());
        let last = sent(Chunk::untyped(&mut rest, false, End::Message), &mut out);
        assert_eq!(last, (Ok(()), None));
        assert_eq!(out.as_single(), Some(&b"\x04abcd"[..]));
    }

    #[test]
    fn a_refused_message_is_not_held() {
        let mut announced = Announced::new(3);
        let mut four = *b"abcd";
        let mut staging = Vec::new();
        let mut out = Gather::new(&mut staging);
        let refused = announced.encode(
            Chunk::untyped(&mut four, true, End::Open),
            &mut out,
            NO_LIMIT,
            |_, _| {},
        );
        let fault = Fault::TooBig {
            len: 4,
            max: 3,
            limit: "max-message",
        };
        assert_eq!(refused, Err(fault));
        assert!(announced.fragments.is_none());
    }
}
