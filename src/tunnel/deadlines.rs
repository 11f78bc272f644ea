//! When a tunnel has to be looked at though nothing happens.
//!
//! Traffic only moves the two marks `heard` and `moved`; nothing is filed or
//! cancelled for it. The server asks [`Deadlines::next`] when it files the
//! tunnel's one timer, and again when that timer expires.

use super::policy::Timeouts;
use std::time::Instant;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing yet.
    Nothing,
    /// The peer was not heard of for a ping interval: ask it.
    Ping,
    /// It was asked and said nothing for another one.
    Silent,
    /// No message for too long.
    Idle,
    /// The other side took too long to end.
    Overdue,
}

/// The clock of an open tunnel.
#[derive(Debug)]
pub struct Deadlines {
    timeouts: Timeouts,
    /// When the peer last gave a sign of life.
    heard: Instant,
    /// When it was asked for one since.
    pinged: Option<Instant>,
    /// When a message last moved.
    moved: Instant,
    /// Since when the end is waited for.
    ending: Option<Instant>,
}

impl Deadlines {
    /// The clock of a tunnel that opens now.
    pub fn new(timeouts: Timeouts, now: Instant) -> Self {
        Deadlines {
            timeouts,
            heard: now,
            pinged: None,
            moved: now,
            ending: None,
        }
    }

    /// The peer gave a sign of life.
    pub fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.pinged = None;
    }

    /// A message moved.
    pub fn moved(&mut self, now: Instant) {
        self.moved = now;
    }

    /// The tunnel began to end, or came nearer to its end.
    pub fn ending(&mut self, now: Instant) {
        self.ending = Some(now);
    }

    /// The peer was asked for a sign of life.
    pub fn pinged(&mut self, now: Instant) {
        self.pinged = Some(now);
    }

    /// The moment to look again; `None`: never.
    pub fn next(&self) -> Option<Instant> {
        if let Some(since) = self.ending {
            return Some(since + self.timeouts.close);
        }
        let sign = self
            .timeouts
            .ping
            .map(|every| self.pinged.unwrap_or(self.heard) + every);
        let idle = self.timeouts.idle.map(|most| self.moved + most);
        sign.into_iter().chain(idle).min()
    }

    /// What is due now. While nothing is read from the peer, because the
    /// stream takes nothing, its silence is no wonder (`deaf`).
    pub fn due(&mut self, now: Instant, deaf: bool) -> Due {
        let passed = |since: Instant, most| now.saturating_duration_since(since) >= most;
        if let Some(since) = self.ending {
            return if passed(since, self.timeouts.close) {
                Due::Overdue
            } else {
                Due::Nothing
            };
        }
        if self
            .timeouts
            .idle
            .is_some_and(|most| passed(self.moved, most))
        {
            return Due::Idle;
        }
        let Some(every) = self.timeouts.ping else {
            return Due::Nothing;
        };
        match self.pinged {
            // It is asked all the same: that shows a connection that is dead.
            Some(since) if passed(since, every) && deaf => Due::Ping,
            Some(since) if passed(since, every) => Due::Silent,
            None if passed(self.heard, every) => Due::Ping,
            _ => Due::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn clock(ping: Option<u64>, idle: Option<u64>) -> (Deadlines, Instant) {
        let start = Instant::now();
        let timeouts = Timeouts {
            connect: seconds(5),
            idle: idle.map(seconds),
            close: seconds(5),
            ping: ping.map(seconds),
        };
        (Deadlines::new(timeouts, start), start)
    }

    #[test]
    fn a_silent_peer_is_asked_and_then_given_up() {
        let (mut clock, start) = clock(Some(30), None);
        assert_eq!(clock.next(), Some(start + seconds(30)));
        assert_eq!(clock.due(start + seconds(29), false), Due::Nothing);
        assert_eq!(clock.due(start + seconds(30), false), Due::Ping);
        clock.pinged(start + seconds(30));
        assert_eq!(clock.next(), Some(start + seconds(60)));
        assert_eq!(clock.due(start + seconds(59), false), Due::Nothing);
        assert_eq!(clock.due(start + seconds(60), false), Due::Silent);
    }

    #[test]
    fn a_sign_of_life_starts_the_interval_again() {
        let (mut clock, start) = clock(Some(30), None);
        clock.pinged(start + seconds(30));
        clock.heard(start + seconds(31));
        assert_eq!(clock.next(), Some(start + seconds(61)));
        assert_eq!(clock.due(start + seconds(60), false), Due::Nothing);
        assert_eq!(clock.due(start + seconds(61), false), Due::Ping);
    }

    #[test]
    fn a_peer_that_is_not_listened_to_is_not_blamed_for_silence() {
        let (mut clock, start) = clock(Some(30), None);
        for n in 1..100 {
            assert_eq!(clock.due(start + seconds(30 * n), true), Due::Ping);
            clock.pinged(start + seconds(30 * n));
        }
    }

    #[test]
    fn pings_do_not_count_against_idleness() {
        let (mut clock, start) = clock(Some(30), Some(100));
        clock.heard(start + seconds(90));
        assert_eq!(clock.next(), Some(start + seconds(100)));
        assert_eq!(clock.due(start + seconds(100), false), Due::Idle);
        clock.moved(start + seconds(100));
        assert_eq!(clock.due(start + seconds(101), false), Due::Nothing);
    }

    #[test]
    fn the_end_is_waited_for_only_so_long_and_nothing_else_counts_then() {
        let (mut clock, start) = clock(None, None);
        assert_eq!(clock.next(), None);
        clock.ending(start + seconds(7));
        assert_eq!(clock.next(), Some(start + seconds(12)));
        assert_eq!(clock.due(start + seconds(11), false), Due::Nothing);
        assert_eq!(clock.due(start + seconds(12), false), Due::Overdue);
    }
}
