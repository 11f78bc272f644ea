//! What is measured.

use crate::job::Shape;

pub enum Kind {
    /// A load for some time: CPU per byte or message, throughput, delays.
    Load {
        shape: Shape,
        size: usize,
        connections: usize,
    },
    /// So many full cycles of opening, one echo and closing, eight at a time.
    Connect { size: usize },
    /// Memory per tunnel, and then an echo load beside them.
    Idle { tunnels: usize },
    /// From the start of the process to its first open tunnel, its memory after
    /// that, and the size of its files.
    Start,
}

pub struct Work {
    pub kind: Kind,
    pub tls: bool,
    pub quick: bool,
}

const KIB: usize = 1024;

pub fn works() -> Vec<Work> {
    let mut works = vec![];
    for shape in [Shape::Up, Shape::Down] {
        for size in [64, KIB, 16 * KIB, 64 * KIB, KIB * KIB] {
            for connections in [1, 16] {
                let quick = match (shape, connections) {
                    (Shape::Up, 1) => size == 64 || size == 64 * KIB,
                    (Shape::Down, 1) => size == KIB || size == 64 * KIB,
                    _ => false,
                };
                works.push(Work {
                    kind: Kind::Load {
                        shape,
                        size,
                        connections,
                    },
                    tls: false,
                    quick,
                });
            }
        }
    }
    let echo = |outstanding, size, connections| Kind::Load {
        shape: Shape::Echo { outstanding },
        size,
        connections,
    };
    let mut add = |kind, tls, quick| works.push(Work { kind, tls, quick });
    add(echo(1, 32, 1), false, true);
    add(echo(1, 32, 64), false, true);
    add(echo(1, 32, 512), false, true);
    add(echo(16, 128, 64), false, true);
    add(Kind::Connect { size: 32 }, false, true);
    add(Kind::Idle { tunnels: 2000 }, false, true);
    add(Kind::Idle { tunnels: 8000 }, false, false);
    for shape in [Shape::Up, Shape::Down] {
        for connections in [1, 16] {
            let quick = connections == 1;
            add(
                Kind::Load {
                    shape,
                    size: 64 * KIB,
                    connections,
                },
                true,
                quick,
            );
        }
    }
    add(echo(1, 32, 1), true, false);
    add(echo(1, 32, 64), true, false);
    add(Kind::Connect { size: 32 }, true, true);
    add(Kind::Idle { tunnels: 2000 }, true, true);
    add(Kind::Start, false, true);
    works
}

fn bytes(size: usize) -> String {
    match size {
        0..1024 => format!("{size} B"),
        1024..1_048_576 => format!("{} KiB", size / KIB),
        _ => format!("{} MiB", size / KIB / KIB),
    }
}

/// 2000 as 2,000.
fn grouped(n: usize) -> String {
    if n < 1000 {
        n.to_string()
    } else {
        format!("{},{:03}", n / 1000, n % 1000)
    }
}

impl Work {
    pub fn name(&self) -> String {
        let tls = if self.tls { "TLS " } else { "" };
        let name = match self.kind {
            Kind::Load {
                shape: Shape::Echo { outstanding: 1 },
                size,
                connections,
            } => {
                format!("echo {} x {connections}", bytes(size))
            }
            Kind::Load {
                shape: Shape::Echo { outstanding },
                size,
                connections,
            } => {
                format!("pipeline {connections} x {outstanding} x {}", bytes(size))
            }
            Kind::Load {
                shape,
                size,
                connections,
            } => {
                let direction = if shape == Shape::Up { "up" } else { "down" };
                format!("{direction} {} x {connections}", bytes(size))
            }
            Kind::Connect { .. } => "connect".into(),
            Kind::Idle { tunnels } => format!("idle {}", grouped(tunnels)),
            Kind::Start => "start".into(),
        };
        format!("{tls}{name}")
    }
}
