//! The front TCP proxy: the end of the service that clients see, and that stays when a replica dies.
//!
//! Three rules, each a pure state machine without sockets or clocks:
//!
//! - **Output rule** ([`output`]): bytes of the server reach a client only below the offset that the backup has released.
//! - **Input rule** ([`input`]): bytes of a client are kept until the backup holds the log that consumed them.
//! - **Epochs** ([`orders`]): only the replicas of the highest epoch give orders.
//!
//! [`connection`] joins both directions of one client connection with half-close, reset and the move to a new primary.
//! Around them the sockets: one task per client connection, one per control connection, joined by [`run`].
//!
//! Messages are those of [`common::orders`]; `docs/protocol.md` tells the order of events.
#![forbid(unsafe_code)]

pub mod byte_queue;
pub mod config;
pub mod connection;
pub mod input;
pub mod orders;
pub mod output;
pub mod server;
pub mod stats;

mod control;
mod duplex;
mod listening;
mod log;
mod report;
mod shared;
mod upstream;

pub use config::{Config, Faults};
pub use server::{Exit, ProxyError, run};
pub use stats::{Stats, Status};
