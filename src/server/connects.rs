//! How connecting to backends goes: how long it takes, and why it fails.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::time::Duration;

/// The upper bounds of a histogram's buckets: from a socket on the same machine
/// to twice the default of `connect-timeout`.
const BOUNDS: [Duration; 14] = [
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2500),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// Times, by how long they are.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// How many lie in each bucket, and above the last bound.
    counts: [u64; BOUNDS.len() + 1],
    /// All of them together.
    pub sum: Duration,
}

impl Histogram {
    /// Adds a time.
    pub fn add(&mut self, time: Duration) {
        let bucket = BOUNDS.partition_point(|bound| *bound < time);
        self.counts[bucket] += 1;
        self.sum += time;
    }

    /// How many times there are that are no longer than each bound.
    pub fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> {
        let counts = self.counts.iter().scan(0, |below, count| {
            *below += count;
            Some(*below)
        });
        BOUNDS.into_iter().zip(counts)
    }

    /// How many times there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// Why connections to backends fail.
pub const CAUSES: [&str; 7] = [
    "full",
    "name",
    "other",
    "refused",
    "timeout",
    "tls",
    "unreachable",
];

/// The connections that were begun for one route's tunnels.
#[derive(Clone, Debug)]
pub struct Connects {
    /// How long those took that were made.
    pub times: Histogram,
    /// How many were not, by one of [`CAUSES`].
    pub failures: BTreeMap<&'static str, u64>,
}

impl Default for Connects {
    fn default() -> Self {
        Connects {
            times: Histogram::default(),
            failures: CAUSES.map(|cause| (cause, 0)).into(),
        }
    }
}

impl Connects {
    /// A connection was not made.
    pub fn failed(&mut self, cause: &'static str) {
        *self.failures.entry(cause).or_default() += 1;
    }
}

/// Which of the [`CAUSES`] an error is.
pub fn cause(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::ConnectionRefused => "refused",
        ErrorKind::TimedOut => "timeout",
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => "unreachable",
        // A Unix socket whose backlog is full.
        ErrorKind::WouldBlock => "full",
        // What rustls refuses, and an end within its handshake.
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => "tls",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_counts_in_its_bucket_and_all_above() {
        let mut histogram = Histogram::default();
        for micros in [0, 500, 501, 4999, 10_000_000, 10_000_001] {
            histogram.add(Duration::from_micros(micros));
        }
        let counts: Vec<_> = histogram.cumulative().map(|(_, count)| count).collect();
        assert_eq!(counts, [2, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 5]);
        assert_eq!(histogram.count(), 6);
        assert_eq!(histogram.sum, Duration::from_micros(20_006_001));
    }

    #[test]
    fn every_error_has_its_cause() {
        for (kind, expected) in [
            (ErrorKind::ConnectionRefused, "refused"),
            (ErrorKind::TimedOut, "timeout"),
            (ErrorKind::NetworkUnreachable, "unreachable"),
            (ErrorKind::WouldBlock, "full"),
            (ErrorKind::InvalidData, "tls"),
            (ErrorKind::NotFound, "other"),
        ] {
            assert_eq!(cause(&kind.into()), expected);
            assert!(CAUSES.contains(&expected));
        }
    }
}
