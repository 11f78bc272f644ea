//! Joins wire and net.

pub mod policy;

pub use crate::wire::Refusal;
