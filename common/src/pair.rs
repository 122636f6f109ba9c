//! The pair: what primary and backup say to each other, and when one of them goes on alone.
//!
//! - [`address`]: where a backup waits;
//! - [`message`]: the control messages;
//! - [`channel`]: how they and the log's frames share one stream;
//! - [`heartbeat`]: the datagram that is sent beside the stream;
//! - [`state`]: the state machine of one replica.
//!
//! Nothing here opens a socket or reads a clock: streams and times are passed in.

pub mod address;
pub mod channel;
pub mod heartbeat;
pub mod message;
pub mod state;
