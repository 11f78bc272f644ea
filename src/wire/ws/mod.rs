//! One side of a WebSocket connection (RFC 6455), in either role.

/// Which type the messages towards the WebSocket peer have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FrameType {
    /// Text, always.
    Text,
    /// Binary, always.
    Binary,
    /// The type that the peer last used; before its first message, as `Auto`.
    Mirror,
    /// What suits the framing: see [`super::framing::Framing::auto_kind`].
    #[default]
    Auto,
}

/// What happens where bytes that are to be text are not UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InvalidUtf8 {
    /// The connection ends with 1011.
    #[default]
    Close,
    /// Each ill-formed sequence becomes U+FFFD.
    Replace,
}
