//! Sockets, nothing of WebSocket: where connections come from, where they go,
//! and the one shape, [`Transport`], in which the tunnel sees them.

#[cfg(any(feature = "activation", feature = "connect"))]
pub mod accepted;
pub mod carrier;
#[cfg_attr(not(feature = "activation"), path = "no_inherited.rs")]
pub mod inherited;
pub mod lent;
pub mod listener;
pub mod pipe;
pub mod resolve;
pub mod secured;
pub mod socket;
mod source;
#[cfg(feature = "connect")]
pub mod stdio;
pub mod stream;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
pub mod tls;
pub mod tls_files;
pub mod transport;

pub use carrier::{Received, Taken};
pub use inherited::Inherited;
pub use lent::Lent;
pub use listener::{BACKLOG, Listener, Manner, Peer};
pub use pipe::Pipe;
pub use resolve::{Address, resolve};
pub use secured::{AlternativeName, Secured};
pub use socket::Socket;
pub use stream::Stream;
pub use transport::Transport;
