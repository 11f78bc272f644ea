//! How many tunnels the file descriptors allow.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Most visitors of the admin pages at a time; the others wait.
pub const MOST_VISITORS: usize = 16;

/// Descriptors that are not for tunnels: standard streams, listeners, the
/// poll, signals, those of a reload, and those of the admin pages.
const RESERVED: u64 = 32 + MOST_VISITORS as u64;

/// How many clients may be there at a time: as many as are wanted and fit. Each
/// tunnel has two sockets.
pub fn most_connections(wanted: Option<usize>) -> usize {
    let fit = most_that_fit();
    match wanted {
        Some(wanted) if wanted > fit => {
            log::warn!("max-connections {wanted} is more than the open files allow: {fit}");
            fit
        }
        Some(wanted) => wanted,
        None => fit,
    }
}

/// Raises the soft limit of open files to the hard one, and says how many
/// clients fit.
fn most_that_fit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let open_files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(e) => {
            log::debug!("the limit of open files stays at {:?}: {e}", limit.current);
            limit.current
        }
    };
    // No limit at all is still the most that the kernel can number.
    let open_files = open_files.unwrap_or(i32::MAX as u64);
    usize::try_from(open_files.saturating_sub(RESERVED) / 2)
        .unwrap_or(usize::MAX)
        .max(1)
}
