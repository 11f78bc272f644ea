//! How many lines a flood may write into the log.
//!
//! Refusals are the one thing that anybody can cause at any rate, so they have
//! a limit: some lines a second, and then one that says how many more there
//! would have been.

use std::time::{Duration, Instant};

/// As many lines within a second.
const LINES: u32 = 10;

const SECOND: Duration = Duration::from_secs(1);

/// The limit of the whole server.
#[derive(Debug, Default)]
pub struct LogLimit {
    /// When the second began, and the lines written since.
    second: Option<(Instant, u32)>,
    left_out: u64,
    /// When to tell of those; set while there are any.
    due: Option<Instant>,
}

impl LogLimit {
    /// Whether a line may be written now; counts it either way.
    pub fn allows(&mut self, now: Instant) -> bool {
        let (since, lines) = match self.second {
            Some((since, lines)) if now < since + SECOND => (since, lines),
            _ => (now, 0),
        };
        let allowed = lines < LINES;
        if !allowed {
            self.left_out += 1;
            self.due.get_or_insert(since + SECOND);
        }
        self.second = Some((since, lines + u32::from(allowed)));
        allowed
    }

    /// When [`left_out`](Self::left_out) has something to tell; `None`: never.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// How many lines were left out, once their second is over.
    pub fn left_out(&mut self, now: Instant) -> Option<u64> {
        self.due.filter(|&due| now >= due)?;
        self.due = None;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(log_limit: &mut LogLimit, lines: usize, now: Instant) -> usize {
        (0..lines).filter(|_| log_limit.allows(now)).count()
    }

    #[test]
    fn ten_lines_a_second_are_written_and_the_rest_is_counted() {
        let (mut log_limit, start) = (LogLimit::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(allowed(&mut log_limit, 10, start), 10);
        assert_eq!(log_limit.due(), None, "nothing was left out");
        assert_eq!(allowed(&mut log_limit, 90, at(500)), 0);
        assert_eq!(log_limit.due(), Some(at(1000)));
        assert_eq!(log_limit.left_out(at(999)), None);
        assert_eq!(log_limit.left_out(at(1000)), Some(90));
        assert_eq!(
            (log_limit.due(), log_limit.left_out(at(5000))),
            (None, None)
        );
        assert_eq!(allowed(&mut log_limit, 7, at(1000)), 7);
    }

    #[test]
    fn a_flood_without_a_pause_is_told_of_each_second() {
        let (mut log_limit, start) = (LogLimit::default(), Instant::now());
        let (mut written, mut told, mut tellings) = (0, 0, 0);
        for millis in 0..10_000 {
            let now = start + Duration::from_millis(millis);
            written += allowed(&mut log_limit, 10, now) as u64;
            if let Some(n) = log_limit.left_out(now) {
                told += n;
                tellings += 1;
            }
        }
        told += log_limit.left_out(start + Duration::from_secs(10)).unwrap();
        assert_eq!((written, told, tellings), (100, 99_900, 9));
    }
}
