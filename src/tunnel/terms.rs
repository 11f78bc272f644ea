//! What a tunnel takes along from its route, which a reload may change or
//! remove while the tunnel goes on.

use super::policy::{Route, Timeouts};
use crate::wire::framing::Framing;
use crate::wire::ws::{FrameType, Text};

/// What of a route stays with a tunnel, whatever becomes of the route.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// How messages lie in the backend's bytes.
    pub framing: Framing,
    /// How the backend's bytes become text or binary messages.
    pub text: Text,
    /// See `max-message`.
    pub max_message: u64,
    /// How long things may take.
    pub timeouts: Timeouts,
}

impl Terms {
    /// What this route says.
    pub fn of(route: &Route) -> Terms {
        // Records carry the type themselves.
        let frame_type = if route.framing.carries_type() {
            FrameType::Auto
        } else {
            route.frame_type
        };
        let text = Text {
            frame_type,
            auto: route.framing.auto_kind(),
            invalid: route.invalid_utf8,
        };
        Terms {
            framing: route.framing,
            text,
            max_message: route.max_message,
            timeouts: route.timeouts,
        }
    }
}
