//! HTTP/1.1 as far as an opening handshake needs it: one request head in, one
//! response out.

pub mod forwarded;
mod request;
mod response;

pub use request::{MAX_HEAD, MAX_HEADERS, Request};
pub use response::{page, refusal, switching_protocols};
