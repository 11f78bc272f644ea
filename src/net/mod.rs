//! Sockets, nothing of WebSocket: where connections come from, where they go,
//! and the one shape, [`Transport`], in which the tunnel sees them.

pub mod listener;
pub mod resolve;
pub mod stream;
pub mod transport;

pub use listener::{Listener, Peer};
pub use resolve::{Address, resolve};
pub use stream::Stream;
pub use transport::{Lent, Received, Taken, Transport};
