//! Bytes that a socket has not taken yet.
//!
//! A tunnel that waits owns no buffer: an empty queue has freed its memory.
//! The queue is bounded by its user, who reads from the other side only while
//! the queue is empty (see `tunnel::relay`).

/// Bytes in order, taken from the front as a socket accepts them.
#[derive(Debug, Default)]
pub struct WriteQueue {
    bytes: Vec<u8>,
    /// As many of `bytes` are gone already.
    taken: usize,
}

impl WriteQueue {
    /// Appends a copy of `bytes`.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.taken > 0 && self.bytes.len() + bytes.len() > self.bytes.capacity() {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Makes room for `n` bytes that are about to be pushed, and no more.
    pub fn reserve(&mut self, n: usize) {
        self.bytes.reserve_exact(n);
    }

    /// What is still to be written.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// How many bytes are still to be written.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// Whether all was written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Notes that the first `n` bytes were written; frees the memory when none
    /// is left.
    ///
    /// # Panics
    /// If `n` is more than there is.
    pub fn advance(&mut self, n: usize) {
        assert!(n <= self.len(), "advanced by {n} of {} bytes", self.len());
        self.taken += n;
        if self.taken == self.bytes.len() {
            self.clear();
        }
    }

    /// Drops everything and frees the memory.
    pub fn clear(&mut self) {
        *self = WriteQueue::default();
    }

    /// Bytes of memory that the queue holds.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_the_order_they_came() {
        let mut queue = WriteQueue::default();
        queue.push(b"abc");
        queue.push(b"def");
        queue.advance(2);
        queue.push(b"ghi");
        assert_eq!(queue.bytes(), b"cdefghi");
        assert_eq!(queue.len(), 7);
    }

    #[test]
    fn an_empty_queue_holds_no_memory() {
        let mut queue = WriteQueue::default();
        queue.push(&[0; 1000]);
        assert!(queue.capacity() >= 1000);
        queue.advance(999);
        assert!(!queue.is_empty());
        queue.advance(1);
        assert!(queue.is_empty());
        assert_eq!(queue.capacity(), 0);
    }

    #[test]
    fn space_of_taken_bytes_is_used_again() {
        let mut queue = WriteQueue::default();
        queue.push(&[1; 1000]);
        for _ in 0..1000 {
            queue.advance(100);
            queue.push(&[2; 100]);
        }
        assert_eq!(queue.len(), 1000);
        assert!(queue.capacity() <= 2000, "{}", queue.capacity());
    }
}
