//! The loop, no protocol.

pub mod settings;

pub use settings::Settings;
