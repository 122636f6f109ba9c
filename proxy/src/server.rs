//! The proxy as a whole, from its first replica to the end of the server.

use std::future::Future;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep, sleep_until};

use crate::config::Config;
use crate::control::serve;
use crate::log::say;
use crate::orders::ControlId;
use crate::report::report;
use crate::shared::Shared;

/// Pause after a failed accept of a replica.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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
/// replicas connect. The future is not `Send`: run it with `block_on` of a current-thread runtime with time and I/O.
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
    if faults != crate::config::Faults::default() {
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
            () = &mut shutdown => return Ok(Exit::Shutdown),
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
                return Err(ProxyError::ReplicasLost { limit, connections: shared.len() });
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
    while shared.len() > 0 {
        tokio::select! {
            () = shared.news.notified() => {}
            () = sleep_until(deadline) => {
                let seconds = shared.config.flush_limit.as_secs();
                say!("the server has ended: {} clients did not take their output within {seconds} s", shared.len());
                break;
            }
        }
    }
    Exit::Server { status }
}
