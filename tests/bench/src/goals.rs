//! What adit promises, against what was measured.

use crate::measure::Figure;
use crate::report::Results;

enum Bound {
    /// In the figure's unit.
    AtMost(f64),
    /// So many times what this peer takes in the same run.
    Times(f64, &'static str),
    /// So many times the best of all that can be compared.
    TimesBest(f64),
    /// So many times what adit takes for another work.
    TimesOwn(f64, &'static str),
}

use Bound::{AtMost, Times, TimesBest, TimesOwn};

const GOALS: &[(&str, Figure, Bound)] = &[
    ("up 64 KiB x 1", Figure::Cost, AtMost(0.27)),
    ("up 64 KiB x 1", Figure::Cost, Times(1.0, "haproxy")),
    ("up 64 KiB x 1", Figure::Cost, Times(0.10, "lighttpd")),
    ("up 64 B x 1", Figure::Cost, AtMost(0.50)),
    ("up 64 B x 1", Figure::Cost, Times(0.16, "lighttpd")),
    ("up 64 B x 16", Figure::Cost, AtMost(0.50)),
    ("up 64 B x 16", Figure::Cost, Times(0.16, "lighttpd")),
    ("down 64 KiB x 1", Figure::Cost, AtMost(0.12)),
    ("down 64 KiB x 1", Figure::Cost, Times(0.3, "lighttpd")),
    ("down 64 KiB x 1", Figure::Cost, Times(0.3, "websocat")),
    ("down 1 KiB x 1", Figure::Cost, AtMost(0.25)),
    ("down 1 KiB x 1", Figure::Cost, Times(0.5, "lighttpd")),
    ("echo 32 B x 1", Figure::Cost, TimesBest(0.85)),
    ("echo 32 B x 64", Figure::Cost, Times(0.8, "lighttpd")),
    ("echo 32 B x 64", Figure::Cost, Times(1.0, "nginx")),
    ("echo 32 B x 512", Figure::Cost, Times(0.6, "lighttpd")),
    (
        "pipeline 64 x 16 x 128 B",
        Figure::Cost,
        Times(0.5, "lighttpd"),
    ),
    (
        "pipeline 64 x 16 x 128 B",
        Figure::Cost,
        Times(1.0, "nginx"),
    ),
    ("connect", Figure::Cost, Times(0.9, "lighttpd")),
    ("idle 2,000", Figure::Memory, AtMost(1024.0)),
    ("idle 8,000", Figure::Memory, AtMost(1024.0)),
    (
        "idle 8,000",
        Figure::Beside,
        TimesOwn(1.1, "echo 32 B x 64"),
    ),
    ("TLS idle 2,000", Figure::Memory, AtMost(6.0 * 1024.0)),
    ("TLS up 64 KiB x 1", Figure::Cost, Times(0.65, "lighttpd")),
    ("TLS down 64 KiB x 1", Figure::Cost, Times(0.65, "lighttpd")),
    ("TLS connect", Figure::Cost, Times(0.6, "lighttpd")),
    ("start", Figure::Start, Times(1.0, "lighttpd")),
    ("start", Figure::Resident, Times(1.0, "lighttpd")),
];

/// A table of the goals whose works were done.
pub fn table(results: &Results) -> String {
    let mut table = "| goal | measured | met |\n|---|---|---|\n".to_owned();
    for (work, figure, bound) in GOALS {
        let Some(row) = results.row(work) else {
            continue;
        };
        let Some(own) = row.median("adit", *figure) else {
            continue;
        };
        let own_shown = row.shown(*figure, own);
        let what = match figure {
            Figure::Beside => format!("{work}: echo 32 B x 64 beside them"),
            Figure::Start => "start: time".into(),
            Figure::Resident => "start: memory".into(),
            _ => (*work).to_owned(),
        };
        let against = |peer: &str| Some((row.ratio(peer, *figure)?, row.median(peer, *figure)?));
        let (goal, measured, met) = match bound {
            AtMost(most) => (
                format!("at most {}", row.shown(*figure, *most)),
                own_shown,
                own <= *most,
            ),
            Times(times, peer) => {
                let Some((ratio, theirs)) = against(peer) else {
                    continue;
                };
                let goal = if *times < 1.0 {
                    format!("at most {times:.2} x {peer}")
                } else {
                    format!("below {peer}")
                };
                let theirs = row.shown(*figure, theirs);
                (
                    goal,
                    format!("{ratio:.2} x: {own_shown} against {theirs}"),
                    ratio <= *times,
                )
            }
            TimesBest(times) => {
                let ratios = results.peers.iter().filter(|peer| **peer != "adit");
                let best = ratios.filter_map(|peer| Some((row.ratio(peer, *figure)?, peer)));
                let Some((ratio, peer)) = best.max_by(|a, b| a.0.total_cmp(&b.0)) else {
                    continue;
                };
                let measured = format!("{ratio:.2} x {peer}: {own_shown}");
                (
                    format!("at most {times:.2} x the best"),
                    measured,
                    ratio <= *times,
                )
            }
            TimesOwn(times, other) => {
                let Some(base) = results
                    .row(other)
                    .and_then(|row| row.median("adit", Figure::Cost))
                else {
                    continue;
                };
                let goal = format!("at most {times:.2} x alone");
                (
                    goal,
                    format!("{:.2} x: {own_shown}", own / base),
                    own <= times * base,
                )
            }
        };
        let met = if met { "yes" } else { "**no**" };
        table += &format!("| {what}: {goal} | {measured} | {met} |\n");
    }
    table
}
