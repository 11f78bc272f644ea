//! Measures adit beside its peers and prints the results as tables.
//!
//! `scripts/bench.sh` installs the peers, makes a network of their own and runs
//! this. `frames` and `job` have the bytes, `link`, `connection` and `rig` the load, `process` and `peers`
//! the other side, `works` and `measure` what is done, `report` and `goals` what
//! is shown.

mod connection;
mod frames;
mod goals;
mod job;
mod link;
mod measure;
mod peers;
mod process;
mod readme;
mod report;
mod rig;
mod works;

use job::Shape;
use measure::{Bench, Running, Sample};
use peers::{PEERS, Peer};
use report::{Results, Row};
use rig::Rig;
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use works::{Kind, Work, works};

const USAGE: &str = "\
bench FOLDER [--quick] [--work TEXT]... [--peer NAME]... [--rounds N] [--readme FILE --about TEXT]
bench FOLDER --work TEXT --profile FILE

  FOLDER    has ca.pem, cert.pem and key.pem; files of the peers are put there
  --quick   fewer works, shorter
  --work    only works whose names contain this
  --peer    only these beside adit
  --rounds  how often each is done (3)
  --profile have perf record adit alone at the first such work, into this file
  --readme  write the tables into this file, between its marks
  --about   a line to stand above them there";

#[derive(Default)]
struct Options {
    folder: PathBuf,
    quick: bool,
    works: Vec<String>,
    peers: Vec<String>,
    rounds: usize,
    profile: Option<PathBuf>,
    readme: Option<PathBuf>,
    about: String,
}

impl Options {
    fn wants(&self, work: &Work) -> bool {
        let name = work.name();
        self.works.is_empty() || self.works.iter().any(|part| name.contains(part))
    }

    /// What is asked for and not there.
    fn mistakes(&self) -> Vec<String> {
        let works: Vec<_> = works().iter().map(Work::name).collect();
        let peers: Vec<_> = PEERS.iter().map(|peer| peer.name).collect();
        let no_work = |part: &&String| !works.iter().any(|name| name.contains(*part));
        let no_peer = |name: &&String| !peers.contains(&name.as_str());
        let no_works = self.works.iter().filter(no_work).map(|part| {
            let all = works.join(", ");
            format!("no work has {part:?} in its name; there are {all}")
        });
        let no_peers = self.peers.iter().filter(no_peer).map(|name| {
            let all = peers.join(", ");
            format!("no peer is called {name:?}; there are {all}")
        });
        no_works.chain(no_peers).collect()
    }
}

fn options(mut words: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options {
        rounds: 3,
        ..Options::default()
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--quick" => options.quick = true,
            "--work" => options.works.push(words.next()?),
            "--peer" => options.peers.push(words.next()?),
            "--rounds" => options.rounds = words.next()?.parse().ok().filter(|n| *n > 0)?,
            "--profile" => options.profile = Some(words.next()?.into()),
            "--readme" => options.readme = Some(words.next()?.into()),
            "--about" => options.about = words.next()?,
            _ if word.starts_with('-') => return None,
            _ => options.folder = word.into(),
        }
    }
    (!options.folder.as_os_str().is_empty()).then_some(options)
}

fn main() -> ExitCode {
    let Some(options) = options(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let mistakes = options.mistakes();
    if !mistakes.is_empty() {
        eprintln!("bench: {}", mistakes.join("\nbench: "));
        return ExitCode::from(2);
    }
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    let cpus = cpus().map_err(text)?;
    process::pin(None, cpus[0]).map_err(text)?;
    let milliseconds =
        |full, quick| Duration::from_millis(if options.quick { quick } else { full });
    let mut bench = Bench {
        rig: Rig::new(Some(tls(&options.folder)?)).map_err(text)?,
        folder: &options.folder,
        cpus,
        warm_up: milliseconds(200, 40),
        window: milliseconds(600, 120),
        cycles: if options.quick { 600 } else { 3000 },
    };
    if let Some(file) = &options.profile {
        return profile(&mut bench, options, file);
    }
    let peers = chosen_peers(options);
    let mut results = Results {
        peers: peers.iter().map(|peer| peer.name).collect(),
        rows: vec![],
    };
    let mut runner = Runner {
        bench: &mut bench,
        running: HashMap::new(),
    };
    for work in works() {
        if !options.wants(&work) || (options.quick && options.works.is_empty() && !work.quick) {
            continue;
        }
        eprintln!("{}", work.name());
        // Memory does not scatter as times do, and a start is soon over.
        let rounds = match work.kind {
            Kind::Idle { .. } if options.quick => 1,
            Kind::Start => 3 * options.rounds,
            _ => options.rounds,
        };
        results.rows.push(runner.row(work, &peers, rounds));
    }
    let tables = format!("{}\n{}", results.table(), goals::table(&results));
    print!("{tables}");
    if let Some(path) = &options.readme {
        let versions: Vec<_> = peers
            .iter()
            .filter_map(|peer| Some(format!("{} {}", peer.name, peer.version()?)))
            .collect();
        readme::update(
            path,
            &format!("{}\n{}.\n\n{tables}", options.about, versions.join(", ")),
        )?;
    }
    Ok(())
}

/// One long run of adit under perf.
fn profile(bench: &mut Bench, options: &Options, file: &Path) -> Result<(), String> {
    let mut matching = works().into_iter().filter(|work| options.wants(work));
    let work = matching.next().ok_or("no work of this name")?;
    let adit = &PEERS[0];
    bench.window = Duration::from_secs(4);
    bench.cycles = 20_000;
    let (running, _) = bench.start(adit, work.tls, 1000)?;
    let perf = running
        .process
        .record(file)
        .map_err(|error| error.to_string())?;
    let sample = bench.work(&work, adit, &running);
    perf.end();
    let share = 100.0 * sample?.peer;
    println!("{}: {share:.0} % of a CPU", work.name());
    Ok(())
}

/// adit first, then those that are wanted and there.
fn chosen_peers(options: &Options) -> Vec<&'static Peer> {
    let chosen = |peer: &&Peer| {
        peer.name == "adit"
            || options.peers.is_empty()
            || options.peers.iter().any(|name| name == peer.name)
    };
    let (there, missing): (Vec<_>, Vec<_>) = PEERS
        .iter()
        .filter(chosen)
        .partition(|peer| peer.program().is_some());
    for peer in missing {
        eprintln!("bench: {} is not installed", peer.name);
    }
    there
}

/// The generator's CPU and the peers': different ones, if there are two.
fn cpus() -> std::io::Result<[usize; 2]> {
    let set = rustix::thread::sched_getaffinity(None)?;
    let mut cpus = (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu));
    let first = cpus.next().unwrap_or(0);
    let second = cpus.next().unwrap_or_else(|| {
        eprintln!("bench: one CPU for all: the figures mean little");
        first
    });
    Ok([first, second])
}

/// One cipher for all peers, and a full handshake each time.
fn tls(folder: &Path) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    let authority =
        CertificateDer::from_pem_file(folder.join("ca.pem")).map_err(|error| error.to_string())?;
    roots.add(authority).map_err(|error| error.to_string())?;
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites = vec![rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256];
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Does works in turns: a peer, adit, the next peer, adit, and again.
struct Runner<'a, 'b> {
    bench: &'a mut Bench<'b>,
    running: HashMap<(&'static str, bool), Running>,
}

impl Runner<'_, '_> {
    fn row(&mut self, work: Work, peers: &[&'static Peer], rounds: usize) -> Row {
        let mut row = Row {
            work,
            pairs: vec![],
            failures: vec![],
        };
        let adit = peers[0];
        let mut others: Vec<_> = peers[1..]
            .iter()
            .copied()
            .filter(|peer| !row.work.tls || peer.tls)
            .collect();
        if others.is_empty() {
            others.push(adit);
        }
        for _ in 0..rounds {
            for peer in &others {
                if row.failures.iter().any(|(name, _)| name == &peer.name) {
                    continue;
                }
                let pair = self
                    .once(&row.work, peer)
                    .map_err(|why| (peer.name, why))
                    .and_then(|theirs| {
                        let own = self.once(&row.work, adit).map_err(|why| (adit.name, why))?;
                        Ok((peer.name, theirs, own))
                    });
                match pair {
                    Ok(pair) => row.pairs.push(pair),
                    Err(failure) => row.failures.push(failure),
                }
            }
        }
        row
    }

    fn once(&mut self, work: &Work, peer: &Peer) -> Result<Sample, String> {
        let connections = match work.kind {
            Kind::Load { connections, .. } => connections,
            Kind::Idle { tunnels } => tunnels,
            _ => 1,
        };
        if connections > peer.most {
            return Err(format!(
                "has a process for each connection: not tried with more than {}",
                peer.most
            ));
        }
        let bench = &mut *self.bench;
        match work.kind {
            Kind::Idle { tunnels } => return bench.idle(tunnels, work.tls, peer),
            Kind::Start => return bench.fresh(peer),
            _ => {}
        }
        let key = (peer.name, work.tls);
        if self
            .running
            .get_mut(&key)
            .is_none_or(|running| running.process.has_ended())
        {
            self.running.remove(&key);
            let (running, _) = bench.start(peer, work.tls, 1000)?;
            self.running.insert(key, running);
        }
        let running = &self.running[&key];
        if let Kind::Load {
            shape: Shape::Up | Shape::Down,
            size,
            ..
        } = work.kind
        {
            bench.prove(running, work.tls, size)?;
        }
        bench.work(work, peer, running)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_work_or_peer_that_is_not_there_is_a_mistake() {
        let mistakes = |words: &str| {
            let words = words.split(' ').map(str::to_owned);
            options(words).map_or(0, |options| options.mistakes().len())
        };
        assert_eq!(mistakes("folder --work echo --peer nginx --work start"), 0);
        assert_eq!(mistakes("folder --work ehco --peer nginx"), 1);
        assert_eq!(mistakes("folder --work echo --peer ngnix --peer adut"), 2);
    }
}
