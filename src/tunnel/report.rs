//! What is said of a connection's end: one line in the log, or none where nobody
//! needs to know.

use super::ending::{Ending, parties};
use super::session::Totals;
use super::{Context, Label};
use crate::wire::Refusal;
use crate::wire::ws::Role;
use log::{Level, debug, info, log, log_enabled};
use std::io::{self, ErrorKind};
use std::time::Duration;

/// A request was refused.
pub fn refused(label: Label, refusal: &Refusal, cx: &mut Context<'_>) {
    let level = match refusal {
        Refusal::Origin(_) | Refusal::Address => Level::Warn,
        Refusal::BadRequest(_) | Refusal::Forbidden(_) => Level::Warn,
        Refusal::ClientConnections | Refusal::ClientRate => Level::Warn,
        Refusal::Rate | Refusal::RouteRate => Level::Warn,
        guess if guess.is_guess() => Level::Warn,
        _ => Level::Info,
    };
    // Lines that nobody sees use up nothing.
    if !log_enabled!(level) || !cx.log_limit.allows(cx.now) {
        return;
    }
    match refusal {
        Refusal::Origin(Some(origin)) => log!(
            level,
            "{label} refused: 403, origin \"{}\" is not the request's own host and not in the option `origin`",
            origin.escape_debug(),
        ),
        _ => log!(level, "{label} refused: {}, {refusal}", refusal.status()),
    }
}

/// The client left without a whole request, or did not send one in time.
pub fn gone(label: Label, why: Option<&io::Error>, cx: &mut Context<'_>) {
    match why {
        Some(e) if e.kind() == ErrorKind::InvalidData => {
            if log_enabled!(Level::Info) && cx.log_limit.allows(cx.now) {
                info!("{label} refused: {e}");
            }
        }
        Some(e) => debug!("{label}: gone before its request was whole: {e}"),
        None => debug!("{label}: gone before its request was whole"),
    }
}

/// An open tunnel has ended, after so long.
pub fn closed(label: Label, (ending, role): (&Ending, Role), totals: &Totals, lasted: Duration) {
    let level = if ending.is_misbehaviour() || totals.untaken > 0 {
        Level::Warn
    } else {
        Level::Info
    };
    // Floating point would need a printer of its own, a fiftieth of a small
    // build.
    let tenths = (lasted.as_millis() + 50) / 100;
    log!(
        level,
        "{label} closed: {}, {}.{} s, in {} msgs {} B, out {} msgs {} B{}",
        told(ending, role),
        tenths / 10,
        tenths % 10,
        totals.from_downstream.messages,
        totals.from_downstream.bytes,
        totals.from_upstream.messages,
        totals.from_upstream.bytes,
        lost(totals, role),
    );
}

/// What is wrong with the end of a tunnel, where that is told.
pub fn failure((ending, role): (&Ending, Role), totals: &Totals) -> String {
    told(ending, role) + &lost(totals, role)
}

fn told(ending: &Ending, role: Role) -> String {
    format!("{}, {}", ending.told(role), ending.logged_code())
}

/// What the stream has not taken, in words.
fn lost(totals: &Totals, role: Role) -> String {
    match totals.untaken {
        0 => String::new(),
        n => format!(", {n} B were not taken by the {}", parties(role).1),
    }
}
