//! `adit demo`: a page to try the tunnel with, and a backend behind it.

use std::io::{self, Write};
use std::sync::Arc;

use argh::FromArgs;

use crate::address::Listen;
use crate::demo;
use crate::server::{End, Loader, Server};

/// Where the demonstration page is served.
#[derive(Debug, PartialEq, Eq)]
pub struct Demo(pub Listen);

/// Serves the page until a signal ends that, and prints where it is.
///
/// # Errors
/// Why it cannot be served.
pub fn run_demo(demo: &Demo) -> Result<End, String> {
    let cannot = |e: io::Error| format!("adit: cannot start the demo: {e}");
    let (settings, service) = demo::settings(demo.0.clone()).map_err(cannot)?;
    let again = settings.clone();
    let load: Loader = Arc::new(move || Ok(again.clone()));
    let server = Server::new(settings, load).map_err(|e| format!("adit: {e}"))?;
    demo::start_backend(service).map_err(cannot)?;
    for address in server.addresses() {
        // Who closed the output does not want to know.
        let _ = writeln!(io::stdout(), "{}", demo::url(&address));
    }
    server.run().map_err(|e| format!("adit: {e}"))
}

/// Serve a page to try the tunnel with, and a backend behind it.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "demo",
    help_triggers("-h", "--help", "help"),
    usage = "[--listen LISTEN]",
    note = "Exit codes: 0 stopped as told, 1 failure, 2 a command line that makes no sense."
)]
pub(super) struct DemoArgs {
    /// the address for the browser (default: 127.0.0.1:8080)
    #[argh(option, default = "String::from(\"127.0.0.1:8080\")")]
    listen: String,
}

impl DemoArgs {
    pub(super) fn resolve(self) -> Result<Demo, String> {
        self.listen.parse().map(Demo).map_err(|e| format!("{e}"))
    }
}
