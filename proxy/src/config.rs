//! What the caller may set.

use std::net::SocketAddr;
use std::time::Duration;

use crate::stats::Stats;

/// Settings of [`crate::run`]. [`Config::default`] is meant for real use.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where clients connect instead of the address that the server asked for in its first bind. Other binds are as asked.
    pub listen_override: Option<SocketAddr>,
    /// Input kept for one connection, in bytes: beyond it the client is not read. Default 4 MiB.
    pub retain_limit: usize,
    /// Input kept for a connection that has no server yet, in bytes. Default 1 MiB.
    pub queue_limit: usize,
    /// Released output that waits for one slow client, in bytes: beyond it the server is not read. Default 4 MiB.
    /// Output that is not released is not counted: a server in the middle of one large write produces no release before
    /// the whole of it is taken.
    pub backlog_limit: usize,
    /// How long received offsets are gathered before they are reported. Default 20 ms.
    pub report_interval: Duration,
    /// Bytes of one connection after which they are reported at once. Default 64 KiB.
    pub report_bytes: u64,
    /// Pause between two attempts to connect to a server. Default 50 ms.
    pub reconnect_interval: Duration,
    /// How long the end of the server waits for slow clients. Default 10 s.
    pub flush_limit: Duration,
    /// How long a client that was sent the end of stream may take to close, before its socket is closed. Default 2 s.
    pub linger: Duration,
    /// How long a server connection may have ended without an order that explains it while its primary is there. Then the
    /// client is reset. Default 30 s.
    pub unexplained_limit: Duration,
    /// How long the proxy waits for a replica once all are gone. Default 30 s.
    pub replicas_lost_limit: Duration,
    /// Filled while the proxy runs.
    pub stats: Stats,
    /// Rules to switch off, in tests.
    pub faults: Faults,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen_override: None,
            retain_limit: 4 << 20,
            queue_limit: 1 << 20,
            backlog_limit: 4 << 20,
            report_interval: Duration::from_millis(20),
            report_bytes: 64 << 10,
            reconnect_interval: Duration::from_millis(50),
            flush_limit: Duration::from_secs(10),
            linger: Duration::from_secs(2),
            unexplained_limit: Duration::from_secs(30),
            replicas_lost_limit: Duration::from_secs(30),
            stats: Stats::default(),
            faults: Faults::default(),
        }
    }
}

/// TEST ONLY. Each field switches one rule off, so that a test can show that it would notice. All false by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// Output goes to the client as it arrives.
    pub ignore_output_rule: bool,
    /// Input is forgotten as soon as it is written to the server.
    pub ignore_input_rule: bool,
    /// After a takeover, output that the proxy already has is taken again, and all retained input is sent again.
    pub ignore_dedup: bool,
    /// Orders of any epoch are obeyed.
    pub ignore_epochs: bool,
}
