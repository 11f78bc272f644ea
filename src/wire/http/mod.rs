//! HTTP/1.1 as far as an opening handshake needs it.
