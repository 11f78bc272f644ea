//! What the system knows of this process.

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};
use std::fs;

/// Figures of the process; `None` where the system does not tell.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    /// Seconds of processor time, its own and the kernel's for it.
    pub cpu_seconds: f64,
    /// Bytes of memory in use.
    pub resident: Option<u64>,
    /// Bytes of memory that it may touch.
    pub virtual_memory: Option<u64>,
    /// Open file descriptors.
    pub open_files: Option<u64>,
    /// As many it may have.
    pub most_files: Option<u64>,
}

impl Process {
    /// As it is now.
    pub fn now() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Process {
            cpu_seconds: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
            resident: bytes(&status, "VmRSS:"),
            virtual_memory: bytes(&status, "VmSize:"),
            open_files: open_files(),
            most_files: getrlimit(Resource::Nofile).current,
        }
    }
}

/// How many descriptors are open. Linux 6.2 and later say so as the size of the
/// folder; to read it takes milliseconds where they are thousands.
fn open_files() -> Option<u64> {
    let folder = "/proc/self/fd";
    let size = fs::metadata(folder).ok()?.len();
    if size > 0 {
        return Some(size);
    }
    // The folder itself is one of those that are open while it is read.
    let files = fs::read_dir(folder).ok()?.count();
    Some(files.saturating_sub(1) as u64)
}

/// A figure of proc(5)'s status file, which says `kB` and means KiB.
fn bytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_read_in_bytes() {
        let status = "Name:\tadit\nVmSize:\t   10312 kB\nVmRSS:\t    2436 kB\nThreads:\t1\n";
        assert_eq!(bytes(status, "VmRSS:"), Some(2436 * 1024));
        assert_eq!(bytes(status, "VmSize:"), Some(10312 * 1024));
        assert_eq!(bytes(status, "VmSwap:"), None);
        assert_eq!(bytes(status, "Threads:"), None);
    }
}
