#![forbid(unsafe_code)]
pub mod byte_queue;
pub mod config;
pub mod connection;
pub mod input;
pub mod orders;
pub mod output;
pub mod stats;
pub use config::{Config, Faults};
pub use stats::{Stats, Status};
