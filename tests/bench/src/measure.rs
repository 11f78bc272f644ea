//! One work, done once through one peer.

use crate::job::{Job, Shape};
use crate::peers::{self, Peer, Place};
use crate::process::{self, Process};
use crate::rig::Rig;
use crate::works::{Kind, Work};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

/// The figures of one run, by name: the units are in the table's rows.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    pub figures: Vec<(Figure, f64)>,
    /// Shares of a CPU that the generator and the peer took.
    pub generator: f64,
    pub peer: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Figure {
    /// CPU time per byte, message or cycle, in ns.
    Cost,
    /// Bytes, messages or cycles per second.
    Rate,
    Half,
    Most,
    Nearly,
    /// Bytes per tunnel.
    Memory,
    /// CPU time per message of an echo load beside the idle tunnels, in ns.
    Beside,
    /// Seconds from start to the first tunnel.
    Start,
    Resident,
    Files,
}

pub struct Bench<'a> {
    pub rig: Rig,
    pub folder: &'a Path,
    /// The generator's CPU and the peers'.
    pub cpus: [usize; 2],
    pub warm_up: Duration,
    pub window: Duration,
    pub cycles: usize,
}

pub struct Running {
    pub process: Process,
    pub port: u16,
}

const PATIENCE: Duration = Duration::from_secs(20);
const WARM: usize = 20;
const AT_A_TIME: usize = 8;

impl Bench<'_> {
    /// Starts a peer and waits for its first tunnel; how long that took.
    pub fn start(
        &mut self,
        peer: &Peer,
        tls: bool,
        tunnels: usize,
    ) -> Result<(Running, Duration), String> {
        let text = |error: std::io::Error| error.to_string();
        let port = free_port().map_err(text)?;
        let backend = self.rig.backend_ports().map_err(text)?[usize::from(peer.passes)];
        let place = Place {
            folder: self.folder,
            listen: port,
            backend,
            tls,
            tunnels,
        };
        let mut command = peer.command(&place).map_err(text)?;
        self.rig.clear();
        self.rig.take_up(Job::new(Shape::Hold, 1, port, tls));
        let began = Instant::now();
        let mut process = Process::start(&mut command, self.cpus[1], self.cpus[0]).map_err(text)?;
        loop {
            match self.rig.connect() {
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {}
                Err(error) => return Err(text(error)),
                Ok(()) => {
                    let refused = self.rig.count.refused;
                    self.rig.go_on_until(PATIENCE, |count| {
                        count.opened > 0 || count.refused > refused
                    })?;
                }
            }
            if self.rig.count.opened > 0 {
                break;
            }
            if process.has_ended() || began.elapsed() > PATIENCE {
                return Err("does not start".into());
            }
        }
        let took = began.elapsed();
        self.rig.clear();
        process.settle();
        Ok((Running { process, port }, took))
    }

    /// Whether messages of this size come back as they were sent.
    pub fn prove(&mut self, running: &Running, tls: bool, size: usize) -> Result<(), String> {
        self.rig.take_up(Job::new(
            Shape::Echo { outstanding: 2 },
            size,
            running.port,
            tls,
        ));
        let proof = self.rig.open(1, PATIENCE).and_then(|()| {
            self.rig.begin()?;
            self.rig
                .go_on_until(PATIENCE, |count| count.messages >= 8)?;
            if self.rig.count.messages < 8 {
                Err("no answer".into())
            } else {
                Ok(())
            }
        });
        self.rig.clear();
        proof
    }

    /// The work with a peer that runs.
    pub fn work(&mut self, work: &Work, peer: &Peer, running: &Running) -> Result<Sample, String> {
        let sample = match work.kind {
            Kind::Load {
                shape,
                size,
                connections,
            } => {
                let echo_of_one = connections == 1 && matches!(shape, Shape::Echo { .. });
                running.process.pin(self.cpus[usize::from(!echo_of_one)]);
                let job = Job::new(shape, size, running.port, work.tls);
                self.load(job, connections, peer, running)
            }
            Kind::Connect { size } => {
                running.process.pin(self.cpus[1]);
                // A process for each takes its time.
                let few = peer.most < peers::MANY;
                let cycles = if few { self.cycles / 10 } else { self.cycles };
                let job = Job::new(Shape::Connect, size, running.port, work.tls);
                self.cycles(job, cycles, running)
            }
            Kind::Idle { .. } | Kind::Start => Err("needs a process of its own".into()),
        };
        self.rig.clear();
        running.process.settle();
        sample
    }

    fn load(
        &mut self,
        job: Job,
        connections: usize,
        peer: &Peer,
        running: &Running,
    ) -> Result<Sample, String> {
        let (shape, size) = (job.shape, job.size);
        self.rig.take_up(job);
        self.rig.open(connections, PATIENCE)?;
        self.rig.begin()?;
        self.rig.go_on_until(self.warm_up, |_| false)?;
        self.rig.count.recording = true;
        let before = self.snapshot(running);
        self.rig.go_on_until(self.window, |_| false)?;
        let mut after = self.snapshot(running);
        if after.progress() == before.progress() {
            let progress = before.progress();
            self.rig.go_on_until(10 * self.window, |count| {
                count.sunk + count.heard + count.messages > progress
            })?;
            after = self.snapshot(running);
        }

        // A backend that speaks WebSocket counts headers and masks too.
        let wire = if peer.passes {
            let frame = crate::frames::masked(2, &crate::frames::payload(size), 0).len();
            size as f64 / frame as f64
        } else {
            1.0
        };
        let units = match shape {
            Shape::Up => (after.sunk - before.sunk) as f64 * wire,
            Shape::Down => (after.heard - before.heard) as f64,
            _ => (after.messages - before.messages) as f64,
        };
        if units == 0.0 {
            return Err("nothing came through".into());
        }
        let mut sample = after.since(&before, units);
        let delays = &mut self.rig.count.delays;
        delays.sort_unstable();
        if !delays.is_empty() {
            let at = |q: f64| f64::from(delays[(delays.len() as f64 * q) as usize]);
            sample.figures.extend([
                (Figure::Half, at(0.5)),
                (Figure::Most, at(0.99)),
                (Figure::Nearly, at(0.999)),
            ]);
        }
        Ok(sample)
    }

    fn cycles(&mut self, job: Job, cycles: usize, running: &Running) -> Result<Sample, String> {
        self.rig.take_up(job);
        let before = self.snapshot(running);
        self.rig.cycles_left = cycles - AT_A_TIME;
        for _ in 0..AT_A_TIME {
            self.rig.connect().map_err(|error| error.to_string())?;
        }
        let all = cycles as u64;
        self.rig
            .go_on_until(PATIENCE, |count| count.cycles >= all)?;
        if self.rig.count.cycles < all {
            return Err(format!(
                "{} of {all} cycles in {PATIENCE:?}",
                self.rig.count.cycles
            ));
        }
        let mut after = self.snapshot(running);
        let wall = after.now;
        // What closing leaves behind is a part of the cost.
        running.process.settle();
        after = Snapshot {
            now: wall,
            peer: running.process.cpu(),
            ..after
        };
        Ok(after.since(&before, all as f64))
    }

    /// Memory per idle tunnel, then what an echo costs beside them.
    pub fn idle(&mut self, tunnels: usize, tls: bool, peer: &Peer) -> Result<Sample, String> {
        let (running, _) = self.start(peer, tls, tunnels + 100)?;
        let hold = || Job::new(Shape::Hold, 1, running.port, tls);
        self.rig.take_up(hold());
        self.rig.open(WARM, PATIENCE)?;
        running.process.settle();
        let before = running.process.resident();
        self.rig.take_up(hold());
        self.rig.open(tunnels, 3 * PATIENCE)?;
        running.process.settle();
        let memory = (running.process.resident() as f64 - before as f64) / tunnels as f64;
        let load = self.load(
            Job::new(Shape::Echo { outstanding: 1 }, 32, running.port, tls),
            64,
            peer,
            &running,
        );
        self.rig.clear();
        let mut sample = load?;
        let beside = sample
            .figures
            .iter()
            .find(|(figure, _)| *figure == Figure::Cost)
            .map_or(0.0, |(_, cost)| *cost);
        sample.figures = vec![(Figure::Memory, memory), (Figure::Beside, beside)];
        Ok(sample)
    }

    /// A start of its own: how long, how much memory, which files.
    pub fn fresh(&mut self, peer: &Peer) -> Result<Sample, String> {
        let (running, took) = self.start(peer, false, 400)?;
        let figures = vec![
            (Figure::Start, took.as_secs_f64()),
            (Figure::Resident, running.process.resident() as f64),
            (Figure::Files, running.process.files() as f64),
        ];
        Ok(Sample {
            figures,
            ..Sample::default()
        })
    }

    fn snapshot(&self, running: &Running) -> Snapshot {
        let count = &self.rig.count;
        Snapshot {
            now: Instant::now(),
            peer: running.process.cpu(),
            generator: process::own_cpu(),
            sunk: count.sunk,
            heard: count.heard,
            messages: count.messages,
        }
    }
}

struct Snapshot {
    now: Instant,
    peer: Duration,
    generator: Duration,
    sunk: u64,
    heard: u64,
    messages: u64,
}

impl Snapshot {
    fn progress(&self) -> u64 {
        self.sunk + self.heard + self.messages
    }

    fn since(&self, before: &Self, units: f64) -> Sample {
        let wall = (self.now - before.now).as_secs_f64();
        let peer = self.peer.saturating_sub(before.peer).as_secs_f64();
        let generator = (self.generator - before.generator).as_secs_f64();
        Sample {
            figures: vec![
                (Figure::Cost, peer * 1e9 / units),
                (Figure::Rate, units / wall),
            ],
            generator: generator / wall,
            peer: peer / wall,
        }
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}
