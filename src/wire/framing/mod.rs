//! How messages lie in the backend's byte stream.
