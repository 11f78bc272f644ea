//! What one read turns into, gathered for one write.
//!
//! Heads, tails and small payloads are copied side by side into the staging
//! buffer; a payload of [`LEND`] bytes or more is lent, and stays where it was
//! read. So a thousand small messages are one slice, a large one is never
//! copied, and the number of slices is bounded by the size of a read.

use std::io::IoSlice;

/// Payloads from this size on are lent, not copied: at this size a copy costs
/// about as much as one more slice in a vectored write.
pub const LEND: usize = 4096;

/// As many payloads as can be lent; a read of 64 KiB holds at most 16.
const LENT: usize = 16;

/// As many slices as a vectored write can have.
pub const SLICES: usize = 2 * LENT + 1;

/// Bytes in order, partly copied and partly lent.
#[derive(Debug)]
pub struct Gather<'a> {
    staged: &'a mut Vec<u8>,
    /// Each lent payload, and how many staged bytes go before it.
    lent: [(usize, &'a [u8]); LENT],
    lent_count: usize,
}

impl<'a> Gather<'a> {
    /// An empty gathering over a staging buffer, whose old content is dropped
    /// and whose capacity is used again.
    pub fn new(staging: &'a mut Vec<u8>) -> Self {
        staging.clear();
        Gather {
            staged: staging,
            lent: [(0, &[]); LENT],
            lent_count: 0,
        }
    }

    /// Appends a copy of `bytes`: heads, tails, anything that does not live as
    /// long as the read buffer.
    #[inline]
    pub fn copy(&mut self, bytes: &[u8]) {
        self.staged.extend_from_slice(bytes);
    }

    /// Appends a payload, lent if it is large.
    #[inline]
    pub fn payload(&mut self, payload: &'a [u8]) {
        if payload.len() >= LEND && self.lent_count < LENT {
            self.lent[self.lent_count] = (self.staged.len(), payload);
            self.lent_count += 1;
        } else {
            self.copy(payload);
        }
    }

    /// Bytes gathered so far.
    pub fn len(&self) -> usize {
        self.staged.len()
            + self
                .lent()
                .iter()
                .map(|(_, bytes)| bytes.len())
                .sum::<usize>()
    }

    /// Whether nothing was gathered.
    pub fn is_empty(&self) -> bool {
        self.staged.is_empty() && self.lent_count == 0
    }

    /// The gathered bytes if they lie in one piece.
    pub fn as_single(&self) -> Option<&[u8]> {
        (self.lent_count == 0).then_some(self.staged.as_slice())
    }

    /// The gathered bytes for a vectored write: the slices and their count.
    pub fn io_slices(&self) -> ([IoSlice<'_>; SLICES], usize) {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        for piece in self.pieces() {
            slices[count] = IoSlice::new(piece);
            count += 1;
        }
        (slices, count)
    }

    /// The pieces in order, none of them empty.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let mut from = 0;
        let staged = self.staged.as_slice();
        let before = self.lent().iter().flat_map(move |&(to, bytes)| {
            let piece = &staged[from..to];
            from = to;
            [piece, bytes]
        });
        let rest = self.lent().last().map_or(0, |&(to, _)| to);
        before
            .chain([&staged[rest..]])
            .filter(|piece| !piece.is_empty())
    }

    fn lent(&self) -> &[(usize, &'a [u8])] {
        &self.lent[..self.lent_count]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(out: &Gather<'_>) -> Vec<u8> {
        out.pieces().collect::<Vec<_>>().concat()
    }

    #[test]
    fn small_payloads_are_one_slice() {
        let mut staging = Vec::new();
        let mut out = Gather::new(&mut staging);
        for _ in 0..1000 {
            out.copy(b"<");
            out.payload(b"small");
            out.copy(b">");
        }
        assert_eq!(out.as_single().map(<[u8]>::len), Some(7000));
        assert_eq!(out.io_slices().1, 1);
    }

    #[test]
    fn large_payloads_are_lent_in_their_place() {
        let large = vec![7; LEND];
        let mut staging = vec![9; 3];
        let mut out = Gather::new(&mut staging);
        out.payload(&large);
        out.copy(b"ab");
        out.payload(&large);
        out.payload(&large);
        out.copy(b"c");
        assert!(out.as_single().is_none());
        let (slices, count) = out.io_slices();
        let lens: Vec<_> = slices[..count].iter().map(|s| s.len()).collect();
        assert_eq!(lens, [LEND, 2, LEND, LEND, 1]);
        assert_eq!(
            joined(&out),
            [&large[..], b"ab", &large, &large, b"c"].concat()
        );
        assert_eq!(out.len(), 3 * LEND + 3);
    }

    #[test]
    fn payloads_beyond_the_table_are_copied() {
        let large = vec![7; LEND];
        let mut staging = Vec::new();
        let mut out = Gather::new(&mut staging);
        for n in 0..=LENT {
            out.copy(&[n as u8]);
            out.payload(&large);
        }
        assert_eq!(joined(&out).len(), (LENT + 1) * (LEND + 1));
        assert!(out.io_slices().1 <= SLICES);
    }
}
