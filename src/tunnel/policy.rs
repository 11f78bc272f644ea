//! Which route a request takes, and whether its origin may.
