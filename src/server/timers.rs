//! One timer for each tunnel, ordered by time.
//!
//! Timers are lazy: a tunnel whose deadline moves later keeps its old entry,
//! and is asked again when that one expires. So traffic, which only ever moves
//! deadlines later, costs no timer work, and nothing sweeps over all tunnels.

use std::collections::BTreeSet;
use std::time::Instant;

/// When which key is to be looked at.
#[derive(Debug, Default)]
pub struct Timers {
    entries: BTreeSet<(Instant, usize)>,
}

/// A key's entry, kept with what the key stands for.
pub type Filed = Option<Instant>;

impl Timers {
    /// Files `key` for `deadline`, unless it is filed for an earlier moment.
    pub fn file(&mut self, key: usize, filed: &mut Filed, deadline: Option<Instant>) {
        let Some(deadline) = deadline else {
            return;
        };
        if filed.is_some_and(|earlier| earlier <= deadline) {
            return;
        }
        self.remove(key, filed);
        self.entries.insert((deadline, key));
        *filed = Some(deadline);
    }

    /// Removes the entry of `key`.
    pub fn remove(&mut self, key: usize, filed: &mut Filed) {
        if let Some(at) = filed.take() {
            self.entries.remove(&(at, key));
        }
    }

    /// Takes out a key whose moment has come; its `Filed` is to be cleared.
    pub fn expired(&mut self, now: Instant) -> Option<usize> {
        let first = self.entries.first()?;
        if first.0 > now {
            return None;
        }
        self.entries.pop_first().map(|(_, key)| key)
    }

    /// The earliest moment.
    pub fn next(&self) -> Option<Instant> {
        self.entries.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_entry_moves_only_to_an_earlier_moment() {
        let start = Instant::now();
        let after = |n| start + Duration::from_secs(n);
        let (mut timers, mut filed) = (Timers::default(), None);
        timers.file(7, &mut filed, None);
        assert_eq!(timers.next(), None);
        timers.file(7, &mut filed, Some(after(10)));
        timers.file(7, &mut filed, Some(after(20)));
        assert_eq!(timers.next(), Some(after(10)));
        timers.file(7, &mut filed, Some(after(5)));
        assert_eq!(timers.next(), Some(after(5)));
        assert_eq!(timers.expired(after(4)), None);
        assert_eq!(timers.expired(after(5)), Some(7));
        assert_eq!(timers.next(), None, "the later entry is gone");
    }

    #[test]
    fn keys_of_the_same_moment_all_expire() {
        let (now, mut timers) = (Instant::now(), Timers::default());
        let mut filed = [None; 3];
        for (key, filed) in filed.iter_mut().enumerate() {
            timers.file(key, filed, Some(now));
        }
        timers.remove(1, &mut filed[1]);
        assert_eq!(filed[1], None);
        let expired: Vec<_> = std::iter::from_fn(|| timers.expired(now)).collect();
        assert_eq!(expired, [0, 2]);
    }
}
