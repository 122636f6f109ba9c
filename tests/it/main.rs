//! The integration tests, one binary with a module for each topic.

mod servers;
mod support;
