//! Sockets, nothing of WebSocket: where connections come from, where they go,
//! and the one shape, [`Transport`], in which the tunnel sees them.

pub mod certificate;
pub mod listener;
pub mod pipe;
mod records;
pub mod resolve;
pub mod socket;
pub mod stream;
pub mod tls;
pub mod transport;
pub mod x509;

pub use listener::{Listener, Peer};
pub use pipe::Pipe;
pub use resolve::{Address, resolve};
pub use socket::Socket;
pub use stream::Stream;
pub use transport::{Lent, Received, Taken, Transport};
