//! In place of `adit inetd`, in a build that takes no sockets of others.

use super::absent::absent;

absent!(Inetd, InetdArgs, "inetd");

/// Leaves the arguments as they are.
pub(super) fn keep_options(_: &mut Vec<&str>) {}
