//! Faults of adit's own: a panic costs the one whom it struck, and nobody else.
//!
//! No input may cause one, and each is a mistake to be mended. But a thousand
//! tunnels share this process, and what one client can do to its own tunnel, it
//! must not do to all of them. So the loop runs whatever looks at a peer's
//! bytes through [`contain`], and drops the tunnel if that panics; what panicked
//! and where stands in the log before, as Rust tells it.
//!
//! This needs `panic = "unwind"`. A program that was built with `abort` to be
//! smaller has no such net: there `contain` only calls.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Something panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault;

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fault of adit's own, see above")
    }
}

impl std::error::Error for Fault {}

/// Does the work. What it changed may be half done after a fault: the caller
/// drops or renews all that it lent, and only that is why this is safe.
///
/// # Errors
/// That it panicked.
pub fn contain<R>(work: impl FnOnce() -> R) -> Result<R, Fault> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| Fault)
}

#[cfg(test)]
mod tests {
    use super::super::settings::{Confinement, Sandbox};
    use super::super::table::tests::arrive;
    use super::super::{Server, Settings};
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_panic_ends_the_work_and_not_the_caller() {
        let mut done = 0;
        for n in [1, 0, 2] {
            let divided = contain(|| {
                done += 1;
                6 / std::hint::black_box(n)
            });
            assert_eq!(divided.ok(), (n > 0).then(|| 6 / n));
        }
        assert_eq!(done, 3);
    }

    #[test]
    fn a_fault_in_a_turn_costs_one_tunnel() {
        let settings = Settings {
            confinement: Confinement {
                sandbox: Sandbox::Off,
                ..Confinement::default()
            },
            ..Settings::default()
        };
        let mut server = Server::new(settings, Arc::new(|| Err(String::new()))).unwrap();
        let _peers = arrive(&mut server.table, 2);
        let keys = server.table.client_keys();
        let done: Option<()> = server.with_context(keys[0], |_, cx| {
            cx.scratch.read[0] = 7;
            panic!("as a test wants it");
        });
        assert_eq!(done, None);
        server.turn(keys[0]);
        server.reap();
        assert_eq!(server.table.client_keys(), keys[1..]);
        assert_eq!(
            server.with_context(keys[1], |_, cx| cx.scratch.read[0]),
            Some(0)
        );
    }
}
