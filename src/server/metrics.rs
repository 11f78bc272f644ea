//! What is counted, as Prometheus reads it: its text format, version 0.0.4.
//!
//! Each metric is a row of [`ALL`], with its name, what it means, and where its
//! samples come from. Names begin with `adit_`, or `process_` where every
//! program has the same; units are base units, and what only grows ends in
//! `_total`. The samples of a label do not depend on what clients send, so
//! nobody outside can make them many.

use super::backends::Backends;
use super::connects::{Connects, Histogram};
use super::listening::Pauses;
use super::process::Process;
use super::settings::Settings;
use crate::features;
use crate::tunnel::Tally;
use crate::tunnel::endpoint::Traffic;
use crate::tunnel::session::Totals;
use crate::tunnel::tally::RouteName;
use std::fmt::{Display, Write};
use std::time::Instant;

/// The media type.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a metric does over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It counts by size.
    Histogram,
}

impl Kind {
    /// Its name in the text.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it does over time.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it means.
    pub help: &'static str,
    samples: fn(&Figures<'_>, &mut Samples<'_>),
}

/// The open tunnels of a route.
#[derive(Clone, Copy, Debug, Default)]
pub struct Open {
    tunnels: u64,
    from_downstream: Traffic,
    from_upstream: Traffic,
}

impl Open {
    /// Adds a tunnel.
    pub fn add(&mut self, totals: &Totals) {
        self.tunnels += 1;
        self.from_downstream += totals.from_downstream;
        self.from_upstream += totals.from_upstream;
    }
}

/// All that the samples come from.
#[derive(Debug)]
pub struct Figures<'a> {
    /// How many clients were accepted.
    pub accepted: u64,
    /// What was counted.
    pub tally: &'a Tally,
    /// The open tunnels of each of the tally's routes.
    pub open: Vec<Open>,
    /// Bytes that wait for clients and for backends.
    pub queued: (usize, usize),
    /// Bytes of memory that tunnels hold beside themselves.
    pub memory: usize,
    /// What is known of the backends.
    pub backends: &'a Backends,
    /// What holds now.
    pub settings: &'a Settings,
    /// How often accepting paused.
    pub pauses: Pauses,
    /// How many clients there are.
    pub clients: usize,
    /// How many there may be.
    pub most_clients: usize,
    /// Whether the server is stopping.
    pub is_draining: bool,
    /// When it started, in nanoseconds since 1970.
    pub started: u64,
    /// The time of this turn.
    pub now: Instant,
    /// What the system says.
    pub process: Process,
}

/// The labels of a route.
const ROUTE: &[&str] = &["route", "subprotocol"];

/// The labels of a route's traffic.
const TRAFFIC: &[&str] = &["route", "subprotocol", "direction"];

/// All metrics, in the order of the text.
pub const ALL: &[Metric] = &[
    Metric {
        name: "adit_build_info",
        kind: Kind::Gauge,
        labels: &["version", "features"],
        help: "Always 1; the labels say which version runs and what was built in.",
        samples: |_, out| {
            out.add(&[env!("CARGO_PKG_VERSION"), &features::built_in()], 1);
        },
    },
    Metric {
        name: "adit_draining",
        kind: Kind::Gauge,
        labels: &[],
        help: "1 after SIGTERM, else 0.",
        samples: |figures, out| out.add(&[], u8::from(figures.is_draining)),
    },
    Metric {
        name: "adit_clients",
        kind: Kind::Gauge,
        labels: &[],
        help: "Connections of clients now, with and without a tunnel.",
        samples: |figures, out| out.add(&[], figures.clients),
    },
    Metric {
        name: "adit_clients_max",
        kind: Kind::Gauge,
        labels: &[],
        help: "As many may be there: max-connections, or what the open files allow.",
        samples: |figures, out| out.add(&[], figures.most_clients),
    },
    Metric {
        name: "adit_connections_accepted_total",
        kind: Kind::Counter,
        labels: &[],
        help: "Connections of clients that were accepted.",
        samples: |figures, out| out.add(&[], figures.accepted),
    },
    Metric {
        name: "adit_connections_dropped_total",
        kind: Kind::Counter,
        labels: &["reason"],
        help: "Connections of clients that got no answer.",
        samples: |figures, out| {
            for (reason, count) in &figures.tally.drops {
                out.add(&[reason], count);
            }
        },
    },
    Metric {
        name: "adit_accept_pauses_total",
        kind: Kind::Counter,
        labels: &["cause"],
        help: "Times that accepting paused.",
        samples: |figures, out| {
            out.add(&["full"], figures.pauses.full);
            out.add(&["error"], figures.pauses.error);
        },
    },
    Metric {
        name: "adit_tls_handshakes_total",
        kind: Kind::Counter,
        labels: &["result"],
        help: "TLS handshakes of clients.",
        samples: |figures, out| {
            let handshakes = figures.tally.handshakes;
            out.add(&["full"], handshakes.full);
            out.add(&["resumed"], handshakes.resumed);
            out.add(&["failed"], handshakes.failed);
        },
    },
    Metric {
        name: "adit_requests_refused_total",
        kind: Kind::Counter,
        labels: &["reason"],
        help: "Requests that got no tunnel, but an answer that says why.",
        samples: |figures, out| {
            for (reason, count) in &figures.tally.refusals {
                out.add(&[reason], count);
            }
        },
    },
    Metric {
        name: "adit_requests_admitted_total",
        kind: Kind::Counter,
        labels: ROUTE,
        help: "Requests that a route let in, before a backend was connected.",
        samples: |figures, out| {
            for route in figures.tally.routes() {
                out.add(&of(&route.name), route.admitted);
            }
        },
    },
    Metric {
        name: "adit_tunnels_opened_total",
        kind: Kind::Counter,
        labels: ROUTE,
        help: "Tunnels that were opened.",
        samples: |figures, out| {
            for route in figures.tally.routes() {
                out.add(&of(&route.name), route.opened);
            }
        },
    },
    Metric {
        name: "adit_tunnels_open",
        kind: Kind::Gauge,
        labels: ROUTE,
        help: "Tunnels that are open now.",
        samples: |figures, out| {
            for (route, open) in figures.tally.routes().iter().zip(&figures.open) {
                out.add(&of(&route.name), open.tunnels);
            }
        },
    },
    Metric {
        name: "adit_tunnels_closed_total",
        kind: Kind::Counter,
        labels: &["cause", "code"],
        help: "Tunnels that have ended.",
        samples: |figures, out| {
            for (&(cause, code), count) in &figures.tally.closes {
                let code = match code {
                    3000 => "3xxx".to_owned(),
                    4000 => "4xxx".to_owned(),
                    code => code.to_string(),
                };
                out.add(&[cause, &code], count);
            }
        },
    },
    Metric {
        name: "adit_messages_total",
        kind: Kind::Counter,
        labels: TRAFFIC,
        help: "Messages from clients (in) and from backends (out).",
        samples: |figures, out| out.traffic(figures, |traffic| traffic.messages),
    },
    Metric {
        name: "adit_payload_bytes_total",
        kind: Kind::Counter,
        labels: TRAFFIC,
        help: "Bytes of these messages, without framing.",
        samples: |figures, out| out.traffic(figures, |traffic| traffic.bytes),
    },
    Metric {
        name: "adit_queue_bytes",
        kind: Kind::Gauge,
        labels: &["towards"],
        help: "Bytes that wait in open tunnels for a socket to take them.",
        samples: |figures, out| {
            out.add(&["client"], figures.queued.0);
            out.add(&["backend"], figures.queued.1);
        },
    },
    Metric {
        name: "adit_tunnel_buffer_bytes",
        kind: Kind::Gauge,
        labels: &[],
        help: "Memory of the buffers that tunnels hold.",
        samples: |figures, out| out.add(&[], figures.memory),
    },
    Metric {
        name: "adit_backend_connect_seconds",
        kind: Kind::Histogram,
        labels: ROUTE,
        help: "Time until a backend's connection was made, with its TLS.",
        samples: |figures, out| {
            out.connects(figures, |out, name, connects| {
                out.histogram(&of(name), &connects.times);
            });
        },
    },
    Metric {
        name: "adit_backend_connect_failures_total",
        kind: Kind::Counter,
        labels: &["route", "subprotocol", "cause"],
        help: "Connections to an address of a backend that were not made.",
        samples: |figures, out| {
            out.connects(figures, |out, name, connects| {
                for (cause, count) in &connects.failures {
                    out.add(&[&name.route, &name.subprotocol, cause], count);
                }
            });
        },
    },
    Metric {
        name: "adit_backend_tunnels",
        kind: Kind::Gauge,
        labels: &["backend"],
        help: "Tunnels to a backend now, and those that are being connected.",
        samples: |figures, out| {
            let backends = figures.backends.of(figures.settings, figures.now);
            for (backend, (tunnels, _)) in backends {
                out.add(&[&backend], tunnels);
            }
        },
    },
    Metric {
        name: "adit_backend_up",
        kind: Kind::Gauge,
        labels: &["backend"],
        help: "0 for 30 s after a backend could not be connected, unless it can be again; else 1.",
        samples: |figures, out| {
            let backends = figures.backends.of(figures.settings, figures.now);
            for (backend, (_, is_down)) in backends {
                out.add(&[&backend], u8::from(!is_down));
            }
        },
    },
    Metric {
        name: "process_cpu_seconds_total",
        kind: Kind::Counter,
        labels: &[],
        help: "Processor time used.",
        samples: |figures, out| out.add(&[], figures.process.cpu_seconds),
    },
    Metric {
        name: "process_resident_memory_bytes",
        kind: Kind::Gauge,
        labels: &[],
        help: "Memory in use.",
        samples: |figures, out| out.known(figures.process.resident),
    },
    Metric {
        name: "process_virtual_memory_bytes",
        kind: Kind::Gauge,
        labels: &[],
        help: "Address space in use.",
        samples: |figures, out| out.known(figures.process.virtual_memory),
    },
    Metric {
        name: "process_open_fds",
        kind: Kind::Gauge,
        labels: &[],
        help: "Open file descriptors.",
        samples: |figures, out| out.known(figures.process.open_files),
    },
    Metric {
        name: "process_max_fds",
        kind: Kind::Gauge,
        labels: &[],
        help: "As many may be open.",
        samples: |figures, out| out.known(figures.process.most_files),
    },
    Metric {
        name: "process_start_time_seconds",
        kind: Kind::Gauge,
        labels: &[],
        help: "When the process started, in seconds since 1970.",
        samples: |figures, out| out.add(&[], figures.started as f64 / 1e9),
    },
];

/// The text of all metrics.
pub fn text(figures: &Figures<'_>) -> String {
    let mut text = String::new();
    for metric in ALL {
        let mut samples = Samples {
            metric,
            text: &mut text,
            has_begun: false,
        };
        (metric.samples)(figures, &mut samples);
    }
    text
}

fn of(name: &RouteName) -> [&str; 2] {
    [&name.route, &name.subprotocol]
}

/// Writes the samples of one metric, and above the first what it is.
struct Samples<'t> {
    metric: &'static Metric,
    text: &'t mut String,
    has_begun: bool,
}

impl Samples<'_> {
    /// A sample, with the values of the metric's labels.
    fn add(&mut self, labels: &[&str], value: impl Display) {
        self.line("", labels, None, value);
    }

    /// A sample that there is not everywhere.
    fn known(&mut self, value: Option<u64>) {
        if let Some(value) = value {
            self.add(&[], value);
        }
    }

    /// The traffic of each route, in both directions.
    fn traffic(&mut self, figures: &Figures<'_>, part: fn(&Traffic) -> u64) {
        for (ended, open) in figures.tally.routes().iter().zip(&figures.open) {
            let [route, subprotocol] = of(&ended.name);
            let from_downstream = part(&ended.from_downstream) + part(&open.from_downstream);
            let from_upstream = part(&ended.from_upstream) + part(&open.from_upstream);
            self.add(&[route, subprotocol, "in"], from_downstream);
            self.add(&[route, subprotocol, "out"], from_upstream);
        }
    }

    /// Something for each route's connects.
    fn connects(
        &mut self,
        figures: &Figures<'_>,
        mut each: impl FnMut(&mut Self, &RouteName, &Connects),
    ) {
        for (place, route) in figures.tally.routes().iter().enumerate() {
            each(self, &route.name, &figures.backends.connects(place));
        }
    }

    fn histogram(&mut self, labels: &[&str], histogram: &Histogram) {
        for (bound, count) in histogram.cumulative() {
            let bound = bound.as_secs_f64().to_string();
            self.line("_bucket", labels, Some(&bound), count);
        }
        let count = histogram.count();
        self.line("_bucket", labels, Some("+Inf"), count);
        self.line("_sum", labels, None, histogram.sum.as_secs_f64());
        self.line("_count", labels, None, count);
    }

    fn line(&mut self, suffix: &str, values: &[&str], bound: Option<&str>, value: impl Display) {
        let Metric {
            name, kind, help, ..
        } = self.metric;
        // Writing to a String does not fail.
        if !std::mem::replace(&mut self.has_begun, true) {
            let kind = kind.name();
            let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        }
        let labels = self
            .metric
            .labels
            .iter()
            .copied()
            .zip(values.iter().copied());
        let labels = labels.chain(bound.map(|bound| ("le", bound)));
        let labels = labels.map(|(label, value)| format!("{label}=\"{}\"", escaped(value)));
        let labels: Vec<_> = labels.collect();
        let labels = match labels[..] {
            [] => String::new(),
            _ => format!("{{{}}}", labels.join(",")),
        };
        let _ = writeln!(self.text, "{name}{suffix}{labels} {value}");
    }
}

/// A label's value as the format wants it.
fn escaped(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    value.replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::policy::Route;
    use std::collections::BTreeSet;
    use std::time::Duration;

    fn text_of(route: Route) -> String {
        let mut tally = Tally::default();
        let settings = Settings {
            routes: vec![route],
            ..Settings::default()
        };
        tally.learn(&settings.routes);
        tally.admitted(0);
        let mut open = Open::default();
        let moved = |messages, bytes| Traffic { messages, bytes };
        open.add(&Totals {
            from_downstream: moved(3, 30),
            from_upstream: moved(4, 4_000_000_000_000),
            untaken: 0,
        });
        text(&Figures {
            accepted: 7,
            tally: &tally,
            open: vec![open],
            queued: (1, 2),
            memory: 3,
            backends: &Backends::default(),
            settings: &settings,
            pauses: Pauses::default(),
            clients: 4,
            most_clients: 5,
            is_draining: true,
            started: 1_795_337_257_503_430_100,
            now: Instant::now(),
            process: Process {
                cpu_seconds: 1e-6,
                ..Process::default()
            },
        })
    }

    #[test]
    fn every_value_stands_behind_its_labels() {
        let text = text_of(Route {
            path: "/t".into(),
            subprotocols: vec!["mqtt".into(), "v12.stomp".into()],
            ..Route::default()
        });
        let route = "route=\"/t\",subprotocol=\"mqtt v12.stomp\"";
        for (sample, value) in [
            ("adit_draining", "1"),
            ("adit_connections_accepted_total", "7"),
            ("adit_requests_refused_total{reason=\"origin\"}", "0"),
            (&format!("adit_requests_admitted_total{{{route}}}"), "1"),
            (&format!("adit_tunnels_open{{{route}}}"), "1"),
            (
                &format!("adit_messages_total{{{route},direction=\"in\"}}"),
                "3",
            ),
            (
                &format!("adit_payload_bytes_total{{{route},direction=\"out\"}}"),
                "4000000000000",
            ),
            ("adit_queue_bytes{towards=\"client\"}", "1"),
            ("adit_queue_bytes{towards=\"backend\"}", "2"),
            ("process_cpu_seconds_total", "0.000001"),
            ("process_start_time_seconds", "1795337257.5034301"),
        ] {
            assert!(text.contains(&format!("\n{sample} {value}\n")), "{sample}");
        }
        assert!(
            !text.contains("process_open_fds"),
            "what is not known is left out with its head"
        );
    }

    #[test]
    fn what_a_label_says_cannot_end_it() {
        let text = text_of(Route {
            path: "/a\"b\\c".into(),
            ..Route::default()
        });
        let escaped = "{route=\"/a\\\"b\\\\c\",subprotocol=\"\"} 1\n";
        assert!(text.contains(escaped), "{text}");
        assert_eq!(super::escaped("a\nb"), "a\\nb");
    }

    #[test]
    fn every_metric_is_told_once_and_named_as_prometheus_wants_it() {
        let text = text_of(Route::default());
        assert!(text.ends_with('\n') && !text.contains("\n\n"));
        let names: BTreeSet<_> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), ALL.len());
        for Metric {
            name, kind, help, ..
        } in ALL
        {
            let told = text.matches(&format!("# HELP {name} ")).count();
            assert!(told <= 1, "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            assert!(
                !help.contains(['\n', '\\']) && help.ends_with('.'),
                "{name}"
            );
        }
    }

    #[test]
    fn a_histogram_has_its_buckets_its_sum_and_its_count() {
        let mut text = String::new();
        let metric = ALL.iter().find(|metric| metric.kind == Kind::Histogram);
        let mut samples = Samples {
            metric: metric.unwrap(),
            text: &mut text,
            has_begun: true,
        };
        let mut histogram = Histogram::default();
        histogram.add(Duration::from_millis(3));
        histogram.add(Duration::from_secs(11));
        samples.histogram(&["/", ""], &histogram);
        let lines: Vec<_> = text.lines().collect();
        let start = "adit_backend_connect_seconds";
        let labels = "route=\"/\",subprotocol=\"\"";
        let bucket = |bound, n| format!("{start}_bucket{{{labels},le=\"{bound}\"}} {n}");
        assert_eq!(lines.len(), 17);
        assert_eq!(lines[2], bucket("0.0025", 0));
        assert_eq!(lines[3], bucket("0.005", 1));
        assert_eq!(lines[13], bucket("10", 1));
        assert_eq!(lines[14], bucket("+Inf", 2));
        assert_eq!(lines[15], format!("{start}_sum{{{labels}}} 11.003"));
        assert_eq!(lines[16], format!("{start}_count{{{labels}}} 2"));
    }
}
