//! The integration tests, one binary with a module for each topic.

mod child;
mod conformance;
mod forged_log;
mod guest;
mod hosts;
mod rules;
mod servers;
mod support;
