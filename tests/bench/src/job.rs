//! What the clients of one run do.

use crate::connection::BUDGET;
use crate::frames;
use std::cell::Cell;

/// What one client does, and so what its backend is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    Up,
    Down,
    /// So many messages are under way at a time.
    Echo {
        outstanding: usize,
    },
    /// Opens, has one echo, closes, and again.
    Connect,
    Hold,
}

/// What new clients and backends do, with all their bytes made in advance.
pub struct Job {
    pub shape: Shape,
    pub size: usize,
    pub port: u16,
    pub tls: bool,
    pub request: Vec<u8>,
    pub payload: Vec<u8>,
    pub frame: Vec<u8>,
    pub close: Vec<u8>,
    /// Many frames, as many bytes as fill a socket in one write.
    pub uploads: Vec<u8>,
    /// Whether the load began; before, its tunnels are only opened.
    pub began: Cell<bool>,
    /// One write of a source that speaks WebSocket.
    pub download: Vec<u8>,
}

impl Job {
    pub fn new(shape: Shape, size: usize, port: u16, tls: bool) -> Self {
        let payload = frames::payload(size);
        let mut uploads = vec![];
        if shape == Shape::Up {
            for turn in 0.. {
                uploads.extend(frames::masked(2, &payload, turn));
                if uploads.len() >= BUDGET {
                    break;
                }
            }
        }
        Job {
            shape,
            size,
            port,
            tls,
            request: frames::request(&format!("localhost:{port}")),
            frame: frames::masked(2, &payload, 1),
            close: frames::masked(frames::CLOSE, &1000_u16.to_be_bytes(), 2),
            download: frames::unmasked(&payload),
            uploads,
            payload,
            began: Cell::new(shape == Shape::Connect),
        }
    }
}
