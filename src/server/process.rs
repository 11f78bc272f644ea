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
        // The folder itself is one of those that are open while it is read.
        let files = fs::read_dir("/proc/self/fd").map(|files| files.count().saturating_sub(1));
        Process {
            cpu_seconds: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
            resident: bytes(&status, "VmRSS:"),
            virtual_memory: bytes(&status, "VmSize:"),
            open_files: files.ok().map(|files| files as u64),
            most_files: getrlimit(Resource::Nofile).current,
        }
    }
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
