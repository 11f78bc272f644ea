//! Masking and unmasking, which are the same (RFC 6455 section 5.3).

/// Applies the key to `bytes` in place, and returns the key turned so that it
/// fits the byte that follows them.
#[inline]
pub fn apply(bytes: &mut [u8], key: [u8; 4]) -> [u8; 4] {
    // Eight bytes at a time: fast at every optimization level, and the same on
    // every byte order, since key and payload are read alike.
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut words = bytes.chunks_exact_mut(8);
    for word in &mut words {
        let mut eight = [0; 8];
        eight.copy_from_slice(word);
        word.copy_from_slice(&(u64::from_ne_bytes(eight) ^ wide).to_ne_bytes());
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
    let mut turned = key;
    turned.rotate_left(bytes.len() % 4);
    turned
}

/// Keys that are drawn from the system at a time: so many frames cost one call.
const DRAWN: usize = 64;

/// Where a client's masking keys come from: unpredictable to whoever chooses
/// the payload (RFC 6455 section 10.3).
#[derive(Debug)]
pub struct Keys {
    drawn: [[u8; 4]; DRAWN],
    used: usize,
}

impl Default for Keys {
    fn default() -> Self {
        Keys {
            drawn: [[0; 4]; DRAWN],
            used: DRAWN,
        }
    }
}

impl Keys {
    /// The key of the next frame.
    ///
    /// # Panics
    /// If the system has no random bytes: nothing could be sent safely.
    pub fn next_key(&mut self) -> [u8; 4] {
        if self.used == DRAWN {
            let filled = getrandom::fill(self.drawn.as_flattened_mut());
            assert!(filled.is_ok(), "the system has no random bytes");
            self.used = 0;
        }
        self.used += 1;
        self.drawn[self.used - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rfcs_hello_is_unmasked() {
        let mut payload = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
        let turned = apply(&mut payload, [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(&payload, b"Hello");
        assert_eq!(turned, [0xfa, 0x21, 0x3d, 0x37]);
    }

    #[test]
    fn a_payload_masked_in_parts_equals_one_masked_whole() {
        let key = [0xde, 0xad, 0xbe, 0xef];
        let plain: Vec<u8> = (0..=255).collect();
        let expected: Vec<u8> = plain
            .iter()
            .zip(key.iter().cycle())
            .map(|(b, k)| b ^ k)
            .collect();
        for cut in 0..plain.len() {
            let mut payload = plain.clone();
            let (left, right) = payload.split_at_mut(cut);
            let turned = apply(left, key);
            apply(right, turned);
            assert_eq!(payload, expected, "cut at {cut}");
        }
    }

    #[test]
    fn keys_differ_from_frame_to_frame() {
        let mut keys = Keys::default();
        let drawn: std::collections::HashSet<_> = (0..1000).map(|_| keys.next_key()).collect();
        assert!(drawn.len() > 990);
    }
}
