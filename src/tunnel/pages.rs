//! Pages that are served where no WebSocket is asked for.

/// A page that needs nothing but itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The path at which it is served, exactly.
    pub path: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// What is served.
    pub body: &'static str,
}
