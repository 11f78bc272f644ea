//! In place of what is counted, in a build where nobody could ask for it.

use super::ending::Ending;
use super::policy::Route;
use super::session::Totals;
use crate::wire::Refusal;

/// Counts nothing.
#[derive(Debug, Default)]
pub struct Tally {}

#[expect(missing_docs, reason = "they do nothing")]
impl Tally {
    pub fn learn(&mut self, _: &[Route]) {}

    pub fn place(&self, _: usize) -> usize {
        0
    }

    pub fn admitted(&mut self, _: usize) {}

    pub fn opened(&mut self, _: usize) {}

    pub fn closed(&mut self, _: usize, _: &Totals, _: &Ending) {}

    pub fn shook_hands(&mut self, _: bool) {}

    pub fn broke_off(&mut self) {}

    pub fn refused(&mut self, _: &Refusal) {}

    pub fn dropped(&mut self, _: &'static str) {}
}
