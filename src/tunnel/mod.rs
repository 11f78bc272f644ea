//! Joins wire and net.

pub mod policy;
pub mod refusal;

pub use refusal::Refusal;
