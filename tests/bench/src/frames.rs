//! The bytes of WebSocket that are made once and sent often, and a walk over
//! those that come back.
//!
//! Masking keys are never zero: one peer skips the work for a zero key.

/// Every client asks with the same key, so the right answer is a constant.
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub const TEXT_END: &[u8] = b"\r\n\r\n";
pub const CLOSE: u8 = 8;
/// An unmasked Close with 1000.
pub const CLOSE_ANSWER: &[u8] = &[0x88, 2, 0x03, 0xe8];

pub fn request(host: &str) -> Vec<u8> {
    format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    .into_bytes()
}

pub fn response() -> Vec<u8> {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    )
    .into_bytes()
}

/// A message's payload: ASCII, so that it may travel as text too.
pub fn payload(size: usize) -> Vec<u8> {
    (0..size).map(|k| b'a' + (k % 23) as u8).collect()
}

fn header(opcode: u8, size: usize, mask_bit: u8) -> Vec<u8> {
    let mut header = vec![0x80 | opcode];
    match size {
        0..126 => header.push(mask_bit | size as u8),
        126..65536 => {
            header.push(mask_bit | 126);
            header.extend((size as u16).to_be_bytes());
        }
        _ => {
            header.push(mask_bit | 127);
            header.extend((size as u64).to_be_bytes());
        }
    }
    header
}

pub fn unmasked_header(size: usize) -> Vec<u8> {
    header(2, size, 0)
}

pub fn unmasked(payload: &[u8]) -> Vec<u8> {
    [unmasked_header(payload.len()), payload.to_vec()].concat()
}

/// A client's frame; each `turn` has a key of its own.
pub fn masked(opcode: u8, payload: &[u8], turn: u32) -> Vec<u8> {
    let key = (0x37fa_213d_u32 ^ turn.wrapping_mul(0x0101_0307)) | 1;
    let key = key.to_be_bytes();
    let mut frame = header(opcode, payload.len(), 0x80);
    frame.extend(key);
    frame.extend(
        payload
            .iter()
            .zip(key.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    frame
}

/// What a walk over received bytes meets.
pub enum Met<'a> {
    Header { opcode: u8, size: usize },
    Payload { opcode: u8, bytes: &'a [u8] },
}

/// Where in a stream of frames its reader is.
#[derive(Clone, Copy, Default)]
pub struct Walker {
    head: [u8; 14],
    have: usize,
    left: usize,
    key: Option<[u8; 4]>,
    turn: usize,
}

impl Walker {
    /// Walks over these bytes, unmasking them in place.
    pub fn walk(&mut self, mut bytes: &mut [u8], mut meet: impl FnMut(Met)) {
        while !bytes.is_empty() {
            if self.left == 0 {
                self.head[self.have] = bytes[0];
                self.have += 1;
                bytes = &mut bytes[1..];
                if self.have == self.head_size() {
                    self.begin();
                    let (opcode, size) = (self.opcode(), self.left);
                    meet(Met::Header { opcode, size });
                }
                continue;
            }
            let (now, rest) = bytes.split_at_mut(self.left.min(bytes.len()));
            if let Some(key) = self.key {
                for byte in now.iter_mut() {
                    *byte ^= key[self.turn & 3];
                    self.turn += 1;
                }
            }
            self.left -= now.len();
            meet(Met::Payload {
                opcode: self.opcode(),
                bytes: now,
            });
            bytes = rest;
        }
    }

    fn opcode(&self) -> u8 {
        self.head[0] & 15
    }

    fn head_size(&self) -> usize {
        if self.have < 2 {
            return 2;
        }
        let mask = if self.head[1] & 0x80 == 0 { 0 } else { 4 };
        mask + match self.head[1] & 127 {
            126 => 4,
            127 => 10,
            _ => 2,
        }
    }

    fn begin(&mut self) {
        let head = &self.head[..self.have];
        let (length, key) = if head[1] & 0x80 == 0 {
            (head, None)
        } else {
            let (length, key) = head.split_at(self.have - 4);
            (length, Some([key[0], key[1], key[2], key[3]]))
        };
        self.left = match length.len() {
            2 => usize::from(length[1] & 127),
            _ => length[2..]
                .iter()
                .fold(0, |size, byte| size << 8 | usize::from(*byte)),
        };
        self.key = key;
        self.turn = 0;
        self.have = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_cut_anywhere_are_walked_over_alike() {
        for size in [0, 1, 125, 126, 65535, 65536] {
            let frame = masked(2, &payload(size), 7);
            for cut in [1, 2, 3, 7, 14, frame.len() - 1] {
                let (mut heard, mut sizes) = (vec![], vec![]);
                let mut walker = Walker::default();
                for part in frame.clone().chunks_mut(cut.max(1)) {
                    walker.walk(part, |met| match met {
                        Met::Header { size, .. } => sizes.push(size),
                        Met::Payload { bytes, .. } => heard.extend_from_slice(bytes),
                    });
                }
                assert_eq!((sizes, heard), (vec![size], payload(size)));
            }
        }
    }
}
