//! Medians, ratios and tables.

use crate::job::Shape;
use crate::measure::{Figure, Sample};
use crate::works::{Kind, Work};

pub struct Row {
    pub work: Work,
    /// A peer's run and adit's right after it; adit's own stands in both.
    pub pairs: Vec<(&'static str, Sample, Sample)>,
    pub failures: Vec<(&'static str, String)>,
}

pub struct Results {
    pub peers: Vec<&'static str>,
    pub rows: Vec<Row>,
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 0 => Some(f64::midpoint(values[middle - 1], values[middle])),
        _ => Some(values[middle]),
    }
}

impl Sample {
    pub fn figure(&self, figure: Figure) -> Option<f64> {
        self.figures
            .iter()
            .find(|(name, _)| *name == figure)
            .map(|(_, value)| *value)
    }
}

impl Row {
    fn samples(&self, peer: &str) -> Vec<&Sample> {
        if peer == "adit" {
            return self.pairs.iter().map(|(_, _, own)| own).collect();
        }
        self.pairs
            .iter()
            .filter(|(name, ..)| *name == peer)
            .map(|(_, theirs, _)| theirs)
            .collect()
    }

    pub fn median(&self, peer: &str, figure: Figure) -> Option<f64> {
        median(
            self.samples(peer)
                .iter()
                .filter_map(|sample| sample.figure(figure))
                .collect(),
        )
    }

    /// adit's figure over the peer's, each pair for itself.
    pub fn ratio(&self, peer: &str, figure: Figure) -> Option<f64> {
        let pairs = self.pairs.iter().filter(|(name, ..)| *name == peer);
        median(
            pairs
                .filter_map(|(_, theirs, own)| Some(own.figure(figure)? / theirs.figure(figure)?))
                .collect(),
        )
    }

    fn per_byte(&self) -> bool {
        matches!(
            self.work.kind,
            Kind::Load {
                shape: Shape::Up | Shape::Down,
                ..
            }
        )
    }

    fn echo_of_one(&self) -> bool {
        matches!(
            self.work.kind,
            Kind::Load {
                shape: Shape::Echo { .. },
                connections: 1,
                ..
            }
        )
    }

    /// Two figures that count.
    pub fn shown(&self, figure: Figure, value: f64) -> String {
        let (value, unit) = match figure {
            Figure::Cost if self.per_byte() => (value, "ns/B"),
            Figure::Rate if self.per_byte() => (value / 1e6, "MB/s"),
            Figure::Rate => (value / 1e3, "k/s"),
            Figure::Cost | Figure::Half | Figure::Most | Figure::Nearly | Figure::Beside => {
                (value / 1e3, "us")
            }
            Figure::Memory => (value / 1024.0, "KiB"),
            Figure::Start => (value * 1e3, "ms"),
            Figure::Resident | Figure::Files => (value / 1024.0 / 1024.0, "MiB"),
        };
        let value = value.max(0.0);
        let digits = match value {
            0.0..1.0 => 2,
            1.0..100.0 => 1,
            _ => 0,
        };
        let digits = if figure == Figure::Cost && self.per_byte() {
            digits.max(2)
        } else {
            digits
        };
        format!("{value:.digits$} {unit}")
    }

    /// What stands in the lines of this work: a name, and the figures of a cell.
    fn lines(&self) -> Vec<(String, Vec<Figure>)> {
        let name = self.work.name();
        match self.work.kind {
            Kind::Load {
                shape: Shape::Echo { .. },
                ..
            } => vec![
                (
                    format!("{name}, CPU a message, rate"),
                    vec![Figure::Cost, Figure::Rate],
                ),
                (
                    "- p50, p99, p99.9".into(),
                    vec![Figure::Half, Figure::Most, Figure::Nearly],
                ),
            ],
            Kind::Load { .. } => vec![(
                format!("{name}, CPU, rate"),
                vec![Figure::Cost, Figure::Rate],
            )],
            Kind::Connect { .. } => vec![(
                format!("{name}, CPU a cycle, rate"),
                vec![Figure::Cost, Figure::Rate],
            )],
            Kind::Idle { .. } => vec![
                (format!("{name}, RSS a tunnel"), vec![Figure::Memory]),
                (
                    "- echo 32 B x 64 beside them, CPU a message".into(),
                    vec![Figure::Beside],
                ),
            ],
            Kind::Start => vec![
                ("start to the first tunnel".into(), vec![Figure::Start]),
                ("RSS at rest".into(), vec![Figure::Resident]),
                ("program and its libraries".into(), vec![Figure::Files]),
            ],
        }
    }

    /// Whether the generator was busy when the peer was not.
    fn limited(&self, peer: &str) -> bool {
        let share =
            |of: fn(&Sample) -> f64| median(self.samples(peer).into_iter().map(of).collect());
        let (Some(generator), Some(theirs)) = (share(|s| s.generator), share(|s| s.peer)) else {
            return false;
        };
        !self.echo_of_one() && generator > 0.95 && theirs < 0.95
    }

    fn cell(&self, peer: &'static str, figures: &[Figure], notes: &mut Vec<String>) -> String {
        let values = figures
            .iter()
            .map_while(|figure| Some((figure, self.median(peer, *figure)?)));
        let shown: Vec<_> = values
            .map(|(figure, value)| self.shown(*figure, value))
            .collect();
        if shown.len() == figures.len() {
            let mark = if self.limited(peer) && figures.contains(&Figure::Rate) {
                "\\*"
            } else {
                ""
            };
            return same_unit_once(&shown) + mark;
        }
        let Some((_, why)) = self.failures.iter().find(|(name, _)| *name == peer) else {
            return String::new();
        };
        let note = format!("{peer}: {why}");
        let number = notes
            .iter()
            .position(|known| *known == note)
            .unwrap_or_else(|| {
                notes.push(note);
                notes.len() - 1
            });
        format!("- ({})", number + 1)
    }

    /// The generator's share of its CPU, least and most of all peers.
    fn generator(&self) -> String {
        let shares = self
            .pairs
            .iter()
            .flat_map(|(_, theirs, own)| [theirs.generator, own.generator]);
        let shares: Vec<_> = shares
            .filter(|share| *share > 0.0)
            .map(|share| (share * 100.0).min(100.0))
            .collect();
        match (
            shares.iter().copied().reduce(f64::min),
            shares.iter().copied().reduce(f64::max),
        ) {
            (Some(least), Some(most)) => format!("{least:.0} to {most:.0} %"),
            _ => String::new(),
        }
    }
}

/// "1 us, 2 us" as "1, 2 us".
fn same_unit_once(shown: &[String]) -> String {
    let unit = |text: &str| text.rsplit(' ').next().map(str::to_owned);
    if shown.len() > 1 && shown.iter().all(|text| unit(text) == unit(&shown[0])) {
        let mut numbers: Vec<_> = shown
            .iter()
            .map(|text| text.split(' ').next().unwrap_or(""))
            .collect();
        numbers.pop();
        return format!("{}, {}", numbers.join(", "), shown[shown.len() - 1]);
    }
    shown.join(", ")
}

impl Results {
    pub fn row(&self, work: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.work.name() == work)
    }

    pub fn table(&self) -> String {
        let mut notes = vec![];
        let mut table = format!("| | {} | generator |\n|---|", self.peers.join(" | "));
        table += &"---|".repeat(self.peers.len() + 1);
        table += "\n";
        for row in &self.rows {
            for (line, (name, figures)) in row.lines().into_iter().enumerate() {
                let cells: Vec<_> = self
                    .peers
                    .iter()
                    .map(|peer| row.cell(peer, &figures, &mut notes))
                    .collect();
                let generator = if line == 0 {
                    row.generator()
                } else {
                    String::new()
                };
                table += &format!("| {name} | {} | {generator} |\n", cells.join(" | "));
            }
        }
        let limited = self
            .rows
            .iter()
            .any(|row| self.peers.iter().any(|peer| row.limited(peer)));
        if limited {
            table += "\n\\* The generator was the limit here: the rate is its own, the CPU time is still the peer's.\n";
        }
        for (number, note) in notes.iter().enumerate() {
            table += &format!("\n({}) {note}\n", number + 1);
        }
        table
    }
}
