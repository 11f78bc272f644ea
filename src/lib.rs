//! adit lets a web browser speak to a service that never heard of WebSocket.

pub mod address;
pub mod net;
pub mod server;
pub mod tunnel;
pub mod wire;
