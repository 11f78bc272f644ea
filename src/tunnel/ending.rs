//! The endings after the 101: cause to close code, one table.
//!
//! | cause | Close to the peer | in the log |
//! |---|---|---|
//! | the peer closes | its own code, or none if it gave none | its code, or 1005 |
//! | the peer is gone without a Close | 1000 once the stream has ended, or said nothing for `close-timeout` | 1006 |
//! | the peer breaks a rule | 1002, 1007 or 1009: the fault's own | the same |
//! | the stream ends | 1000 | 1000 |
//! | the stream resets the connection | 1011 | 1011 |
//! | the stream breaks its framing | 1011 | 1011 |
//! | no message for `idle-timeout` | 1001 | 1001 |
//! | no sign of life for two `ping-interval`s | 1001 | 1001 |
//! | adit is stopping | 1001 | 1001 |
//!
//! The peer is whoever speaks WebSocket with adit, the stream whoever speaks a
//! framing. To the user they have the names of their role: where adit is the
//! server, the peer is its client and the stream the backend's; where it is the
//! client, the peer is the server and the stream the local side. Metrics count by
//! the names of the first.
//!
//! Whatever the cause, what was read before it is delivered first, the stream
//! gets the end behind all that the peer sent, and no socket is closed with
//! bytes still queued.

use crate::wire::Fault;
use crate::wire::ws::{Close, Role};
use std::fmt;

/// Why an open tunnel ends; the first cause counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The peer sent a Close.
    PeerClosed(Close),
    /// The peer's connection ended or broke without a Close.
    PeerGone,
    /// The peer broke a rule, or sent what the framing cannot carry.
    PeerFault(Fault),
    /// The stream ended.
    StreamEnded,
    /// The stream broke.
    StreamReset,
    /// The stream's bytes do not follow the framing, or are not the text they
    /// should be.
    StreamFault(Fault),
    /// No message in either direction for too long.
    Idle,
    /// No sign of life from the peer for too long.
    Silent,
    /// adit is stopping.
    GoingAway,
}

impl Ending {
    /// The ending that a codec's fault is.
    pub fn fault(fault: Fault) -> Ending {
        if fault.is_of_stream() {
            Ending::StreamFault(fault)
        } else {
            Ending::PeerFault(fault)
        }
    }

    /// Each [`cause`](Self::cause), with the code that [`logged_code`] gives it
    /// where that is always the same.
    ///
    /// [`logged_code`]: Self::logged_code
    pub const CAUSES: [(&'static str, Option<u16>); 9] = [
        ("backend_eof", Some(1000)),
        ("backend_fault", Some(1011)),
        ("backend_reset", Some(1011)),
        ("client_close", None),
        ("client_fault", None),
        ("client_gone", Some(1006)),
        ("idle", Some(1001)),
        ("silent", Some(1001)),
        ("stopping", Some(1001)),
    ];

    /// One word for the cause, to count by.
    pub fn cause(&self) -> &'static str {
        match self {
            Ending::PeerClosed(_) => "client_close",
            Ending::PeerGone => "client_gone",
            Ending::PeerFault(_) => "client_fault",
            Ending::StreamEnded => "backend_eof",
            Ending::StreamReset => "backend_reset",
            Ending::StreamFault(_) => "backend_fault",
            Ending::Idle => "idle",
            Ending::Silent => "silent",
            Ending::GoingAway => "stopping",
        }
    }

    /// What the Close frame to the peer says.
    pub fn close(&self) -> Close {
        match self {
            Ending::PeerClosed(close) => *close,
            Ending::PeerGone | Ending::StreamEnded => Close(Some(1000)),
            Ending::PeerFault(fault) | Ending::StreamFault(fault) => {
                Close(Some(fault.close_code()))
            }
            Ending::StreamReset => Close(Some(1011)),
            Ending::Idle | Ending::Silent | Ending::GoingAway => Close(Some(1001)),
        }
    }

    /// The code that the log shows (RFC 6455 section 7.1.5).
    pub fn logged_code(&self) -> u16 {
        match self {
            Ending::PeerGone => 1006,
            _ => self.close().0.unwrap_or(1005),
        }
    }

    /// The reason in the Close frame: for people who read their browser's
    /// console. A peer that closed knows why.
    pub fn reason(&self, role: Role) -> String {
        match self {
            Ending::PeerClosed(_) | Ending::StreamEnded => String::new(),
            other => other.told(role),
        }
    }

    /// Whether both sides have said all they wanted to.
    pub fn is_clean(&self) -> bool {
        match self {
            Ending::PeerClosed(Close(code)) => matches!(code, None | Some(1000)),
            Ending::StreamEnded => true,
            _ => false,
        }
    }

    /// The ending in words, where adit speaks WebSocket in this role.
    pub fn told(&self, role: Role) -> String {
        let (peer, stream, own) = parties(role);
        match self {
            Ending::PeerClosed(_) => format!("{peer} close"),
            Ending::PeerGone => format!("{peer} gone without a close"),
            Ending::PeerFault(fault) | Ending::StreamFault(fault) => fault.told(stream),
            Ending::StreamEnded => format!("{stream} eof"),
            Ending::StreamReset => format!("{stream} reset the connection"),
            Ending::Idle => "idle for too long".to_owned(),
            Ending::Silent => format!("no sign of life from the {peer}"),
            Ending::GoingAway => format!("{own} is stopping"),
        }
    }

    /// Whether somebody misbehaved, so that the log warns.
    pub fn is_misbehaviour(&self) -> bool {
        matches!(
            self,
            Ending::PeerFault(_) | Ending::StreamReset | Ending::StreamFault(_)
        )
    }
}

/// What the WebSocket peer, the stream and adit itself are called.
pub(super) fn parties(role: Role) -> (&'static str, &'static str, &'static str) {
    match role {
        Role::Server => ("client", "backend", "server"),
        Role::Client => ("server", "local side", "client"),
    }
}

/// As it is told where adit is the server.
impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told(Role::Server))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ending_has_its_code_and_a_reason_that_fits() {
        let too_big = Fault::TooBig {
            len: u64::MAX,
            max: u64::MAX,
            limit: "max-message",
        };
        let table = [
            (Ending::PeerClosed(Close(Some(4321))), Some(4321), 4321),
            (Ending::PeerClosed(Close(None)), None, 1005),
            (Ending::PeerGone, Some(1000), 1006),
            (Ending::fault(Fault::Protocol("rule")), Some(1002), 1002),
            (Ending::fault(Fault::Text), Some(1007), 1007),
            (Ending::fault(too_big), Some(1009), 1009),
            (Ending::StreamEnded, Some(1000), 1000),
            (Ending::StreamReset, Some(1011), 1011),
            (Ending::fault(Fault::StreamText), Some(1011), 1011),
            (Ending::fault(Fault::StreamTruncated), Some(1011), 1011),
            (Ending::Idle, Some(1001), 1001),
            (Ending::Silent, Some(1001), 1001),
            (Ending::GoingAway, Some(1001), 1001),
        ];
        for (ending, code, logged) in table {
            assert_eq!(ending.close(), Close(code), "{ending}");
            assert_eq!(ending.logged_code(), logged, "{ending}");
            for role in [Role::Server, Role::Client] {
                assert!(ending.reason(role).len() <= 123, "{ending}");
            }
            let mut causes = Ending::CAUSES.into_iter();
            let counted = causes.find(|(cause, _)| *cause == ending.cause());
            let code = counted.expect("a cause of the table").1;
            assert!(code.is_none_or(|code| code == logged), "{ending}");
        }
    }
}
