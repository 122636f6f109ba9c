//! ftrun-proxy
