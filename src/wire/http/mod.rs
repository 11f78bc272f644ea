//! HTTP/1.1 as far as an opening handshake needs it: one request head in, one
//! response out, and the other way round.

mod answer;
mod connect;
mod fields;
pub mod forwarded;
mod request;
mod response;

pub use answer::Answer;
pub(in crate::wire) use answer::first_line;
pub use connect::Connect;
pub use fields::Fields;
pub use request::{MAX_HEAD, MAX_HEADERS, Request};
pub use response::{answer, page, refusal, switching_protocols};
