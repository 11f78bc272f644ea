//! In place of the admin pages, in a build without them.

use super::Server;
use crate::tunnel::admin::Visit;

impl Server {
    /// Never called.
    pub(super) fn show(&mut self, _: usize, visit: Visit) {
        match visit {}
    }
}
