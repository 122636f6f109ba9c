//! ftrun-tracer
