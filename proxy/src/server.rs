//! The proxy as a whole, from its first replica to the end of the server.

use std::future::Future;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep, sleep_until};

use crate::config::{Config, Faults};
use crate::connection::ConnectionError;
use crate::control::serve;
use crate::log::say;
use crate::orders::ControlId;
use crate::report::report;
use crate::shared::Shared;

/// Pause after a failed accept of a replica.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long the tasks may take to reset their clients at the end.
const RESET_LIMIT: Duration = Duration::from_secs(1);

/// How the proxy ended in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The server ended by itself and its clients have everything.
    Server {
        /// The wait status, as of waitpid(2).
        status: i32,
    },
    /// The caller's shutdown came.
    Shutdown,
}

/// Why the proxy cannot go on.
#[derive(Debug, Error)]
pub enum ProxyError {
    /// The control address is of no use.
    #[error("the control listener failed: {0}")]
    Control(#[source] io::Error),
    /// Nobody is left to serve the clients.
    #[error(
        "all replicas are gone and none came back within {} s: {connections} client connections are lost",
        .limit.as_secs()
    )]
    ReplicasLost {
        /// How long the proxy waited.
        limit: Duration,
        /// Clients that were connected.
        connections: usize,
    },
}

/// Runs the proxy until the server has ended, all replicas are lost, or `shutdown` completes. `control_listener` is where
/// replicas connect. Clients that are not done with when it ends otherwise than by the server's exit are reset. The future is not `Send`: run it with `block_on` of a current-thread runtime with time and I/O.
///
/// # Errors
/// See [`ProxyError`].
pub async fn run(
    config: Config,
    control_listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> Result<Exit, ProxyError> {
    control_listener.local_addr().map_err(ProxyError::Control)?;
    let faults = config.faults;
    if faults != Faults::default() {
        say!("TEST ONLY: rules are switched off: {faults:?}");
    }
    let shared = Shared::new(config);
    // Dropping the set at the end drops every task and with it every socket.
    LocalSet::new().run_until(main(shared, control_listener, shutdown)).await
}

async fn main(
    shared: Rc<Shared>,
    control_listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> Result<Exit, ProxyError> {
    spawn_local(report(Rc::clone(&shared)));
    let mut shutdown = std::pin::pin!(shutdown);
    let mut next_control = 0;
    let mut had_replicas = false;
    let mut lost_since: Option<Instant> = None;
    let limit = shared.config.replicas_lost_limit;
    loop {
        let deadline = lost_since.map(|since| since + limit);
        tokio::select! {
            () = &mut shutdown => {
                abandon(&shared, "it is told to").await;
                return Ok(Exit::Shutdown);
            }
            accepted = control_listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    next_control += 1;
                    spawn_local(serve(Rc::clone(&shared), ControlId(next_control), stream, peer));
                }
                Err(error) => {
                    say!("cannot accept a replica: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            () = shared.news.notified() => {
                if let Some(status) = shared.exit.get() {
                    return Ok(flush(&shared, status).await);
                }
                let greeted = shared.authority.borrow().greeted();
                had_replicas |= greeted > 0;
                if greeted > 0 {
                    lost_since = None;
                } else if had_replicas && lost_since.is_none() {
                    say!("all replicas are gone: waiting {} s for one to come back", limit.as_secs());
                    lost_since = Some(Instant::now());
                }
            }
            () = async { sleep_until(deadline.unwrap_or_else(Instant::now)).await }, if deadline.is_some() => {
                let connections = shared.len();
                abandon(&shared, "all replicas are gone").await;
                return Err(ProxyError::ReplicasLost { limit, connections });
            }
        }
    }
}

/// Brings what is released to the clients, closes them, within a limit of time.
async fn flush(shared: &Rc<Shared>, status: i32) -> Exit {
    shared.listening.borrow_mut().close_all();
    shared.refresh_stats();
    shared.for_all(|_, state| state.exit());
    let deadline = Instant::now() + shared.config.flush_limit;
    if !emptied(shared, deadline).await {
        let seconds = shared.config.flush_limit.as_secs();
        say!("the server has ended: {} connections were not flushed within {seconds} s", shared.len());
        abandon(shared, "the client did not take its output in time").await;
    }
    Exit::Server { status }
}

/// Resets the clients that are left: none of them may take this for the end of its output.
async fn abandon(shared: &Rc<Shared>, reason: &'static str) {
    shared.listening.borrow_mut().close_all();
    shared.for_all(|_, state| {
        state.exit();
        state.fail(ConnectionError::ProxyEnds { reason });
    });
    // A task that waits for its client to close has delivered everything: it need not be waited for.
    emptied(shared, Instant::now() + RESET_LIMIT).await;
}

/// Waits for the last connection; false when the deadline comes first.
async fn emptied(shared: &Rc<Shared>, deadline: Instant) -> bool {
    while shared.len() > 0 {
        tokio::select! {
            () = shared.news.notified() => {}
            () = sleep_until(deadline) => return false,
        }
    }
    true
}
