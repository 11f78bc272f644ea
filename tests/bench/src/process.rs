//! A peer as the kernel sees it: its CPU time, its memory, where it may run.
//!
//! A peer is a process with all its threads and children. The CPU time of what
//! lives is read from schedstat, in nanoseconds; that of children which ended is
//! only known in clock ticks, but by then it is a sum of many.

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_setaffinity};
use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

pub struct Process {
    child: Child,
}

/// Binds a thread, or the calling one, to a CPU.
pub fn pin(thread: Option<Pid>, cpu: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(thread, &set)?)
}

impl Process {
    /// Starts on `cpu`, by inheritance; the caller goes back to its own.
    pub fn start(command: &mut Command, cpu: usize, own: usize) -> io::Result<Self> {
        pin(None, cpu)?;
        let child = command.spawn();
        pin(None, own)?;
        Ok(Process { child: child? })
    }

    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    fn tree(&self) -> Vec<u32> {
        let mut tree = vec![self.child.id()];
        let mut next = 0;
        while next < tree.len() {
            for task in tasks(tree[next]) {
                let children = fs::read_to_string(format!("{task}/children")).unwrap_or_default();
                tree.extend(
                    children
                        .split_whitespace()
                        .filter_map(|pid| pid.parse::<u32>().ok()),
                );
            }
            next += 1;
        }
        tree
    }

    pub fn pin(&self, cpu: usize) {
        for pid in self.tree() {
            for task in tasks(pid) {
                let id = task.rsplit('/').next().and_then(|id| id.parse().ok());
                // A thread that is gone needs no place.
                if let Some(id) = id.and_then(Pid::from_raw) {
                    let _ = pin(Some(id), cpu);
                }
            }
        }
    }

    /// User and system time so far.
    pub fn cpu(&self) -> Duration {
        let mut nanoseconds = 0;
        let mut ticks = 0;
        for pid in self.tree() {
            nanoseconds += tasks(pid).map(|task| schedstat(&task)).sum::<u64>();
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let fields = stat.rsplit(')').next().unwrap_or("").split_whitespace();
            // The first field here is the third of proc(5): cutime and cstime are 16 and 17.
            ticks += fields
                .skip(13)
                .take(2)
                .filter_map(|field| field.parse::<u64>().ok())
                .sum::<u64>();
        }
        Duration::from_nanos(nanoseconds + ticks * (1_000_000_000 / TICKS))
    }

    /// Bytes in memory; what processes share counts once.
    pub fn resident(&self) -> u64 {
        let tree = self.tree();
        let (file, field) = if tree.len() == 1 {
            ("status", "VmRSS:")
        } else {
            ("smaps_rollup", "Pss:")
        };
        tree.iter()
            .map(|pid| kilobytes(&format!("/proc/{pid}/{file}"), field) * 1024)
            .sum()
    }

    /// Bytes on disk of the program and of all the libraries that it loaded.
    pub fn files(&self) -> u64 {
        let mut sizes = HashMap::new();
        for pid in self.tree() {
            let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
            for line in maps.lines() {
                let mut fields = line.split_whitespace();
                let executable = fields.nth(1).is_some_and(|rights| rights.contains('x'));
                let path = fields
                    .nth(3)
                    .filter(|path| executable && path.starts_with('/'));
                if let Some((path, Ok(file))) = path.map(|path| (path, fs::metadata(path))) {
                    sizes.insert(path.to_owned(), file.size());
                }
            }
        }
        sizes.values().sum()
    }

    /// Has perf record it until that is ended.
    pub fn record(&self, file: &Path) -> io::Result<Process> {
        let child = Command::new("perf")
            .args([
                "record",
                "--quiet",
                "--freq",
                "3999",
                "--call-graph",
                "fp",
                "--output",
            ])
            .arg(file)
            .args(["--pid", &self.child.id().to_string()])
            .spawn()?;
        // It has no way to say that it is ready.
        std::thread::sleep(Duration::from_millis(500));
        Ok(Process { child })
    }

    /// Asks it to end, and waits until it did.
    pub fn end(mut self) {
        self.signal(Signal::INT);
        let _ = self.child.wait();
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits until it has nothing more to do.
    pub fn settle(&self) {
        let mut before = self.cpu();
        for _ in 0..100 {
            std::thread::sleep(Duration::from_millis(4));
            let now = self.cpu();
            if now.saturating_sub(before) < Duration::from_micros(200) {
                return;
            }
            before = now;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.has_ended() {
            return;
        }
        self.signal(Signal::TERM);
        let until = Instant::now() + Duration::from_secs(1);
        while Instant::now() < until {
            if self.has_ended() {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the kernel counts dead children's time in, as it tells everybody.
const TICKS: u64 = 100;

fn tasks(pid: u32) -> impl Iterator<Item = String> {
    let directory = fs::read_dir(format!("/proc/{pid}/task"));
    let entries = directory.into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.path().into_os_string().into_string().ok())
}

fn schedstat(task: &str) -> u64 {
    let text = fs::read_to_string(format!("{task}/schedstat")).unwrap_or_default();
    text.split(' ')
        .next()
        .and_then(|time| time.parse().ok())
        .unwrap_or(0)
}

fn kilobytes(path: &str, field: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(field));
    value
        .and_then(|value| value.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// CPU time of this thread.
pub fn own_cpu() -> Duration {
    Duration::from_nanos(schedstat("/proc/thread-self"))
}
