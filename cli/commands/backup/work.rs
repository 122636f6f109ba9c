//! The backup's main thread: drives the replica along the log, makes it live, records it from then on.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender};

use anyhow::{Context, Result, bail};
use common::ids::{ConnId, Epoch, ReplicaId};
use common::kernel::Kernel;
use common::orders::ToProxy;
use common::pair::message::ToPrimary;
use common::pair::state::Event;
use replayer::driver::{Driver, Outcome, Outputs, ReplayError};
use replayer::intake::Intake;
use replayer::live::{self, Identity};
use tracer::control::ProxyControl;
use tracer::interceptor::Manner;
use tracer::recorder::Ending;

use super::Shared;
use crate::commands::live::Survivor;
use crate::ending;
use crate::exit::Exit;

/// From the pair to the main thread.
pub(super) enum Order {
    GoLive(Epoch),
    TellProxy(Epoch),
    End,
}

/// Output of the replayed server: kept for the proxy; standard output is the primary's alone.
#[derive(Debug)]
pub(super) struct Keep(pub(super) Arc<Shared>);

impl Outputs for Keep {
    fn produced(&mut self, conn: ConnId, bytes: &[u8]) {
        self.0.retained.produced(conn, bytes);
    }

    fn inherited(&mut self, _: i32, _: &[u8]) {}

    /// Connections that the server has closed and of which the proxy has everything.
    fn sweep(&mut self, kernel: &mut Kernel) {
        let retained = &self.0.retained;
        let done: Vec<ConnId> = kernel
            .connections()
            .iter()
            .filter(|progress| progress.closed && retained.has_received(progress.conn, progress.produced))
            .map(|progress| progress.conn)
            .collect();
        for conn in done {
            kernel.forget(conn);
            retained.forget(conn);
        }
    }
}

/// The main thread's part: the only one that traces the replica.
pub(super) struct Work {
    pub(super) shared: Arc<Shared>,
    pub(super) intake: Arc<Intake>,
    pub(super) proxy: Option<Arc<ProxyControl>>,
    pub(super) events: Sender<Event>,
    pub(super) ordered: Receiver<Order>,
    pub(super) replica: ReplicaId,
    pub(super) advertise: IpAddr,
    pub(super) manner: Manner,
}

impl Work {
    /// Follows the log to its end, or takes over.
    pub(super) fn run(self, mut driver: Driver) -> Result<Exit> {
        match driver.run() {
            Ok(Outcome::Ended(status)) => return self.server_ended(&driver, status),
            Ok(Outcome::Drained) => {}
            Err(error) => return self.lost(driver, error),
        }
        self.events.send(Event::Drained)?;
        match self.ordered.recv()? {
            Order::GoLive(epoch) => self.live(driver, epoch),
            Order::TellProxy(_) | Order::End => bail!("the pair ended while the log was drained"),
        }
    }

    fn lost(self, driver: Driver, error: ReplayError) -> Result<Exit> {
        // The primary that hears of it wins an epoch: that the proxy follows it is no reason of its own.
        ending::claim();
        self.shared.ending.store(true, Ordering::SeqCst);
        self.intake.stop();
        if let ReplayError::Diverged(divergence) = &error {
            self.intake.say(&ToPrimary::Diverged { lsn: divergence.lsn, report: divergence.to_string() });
        }
        driver.kill();
        Err(error.into())
    }

    /// The End record is executed: everything is released, the clients get what is left.
    fn server_ended(self, driver: &Driver, status: i32) -> Result<Exit> {
        self.shared.ending.store(true, Ordering::SeqCst);
        self.events.send(Event::ServerEnded)?;
        loop {
            match self.ordered.recv()? {
                Order::TellProxy(epoch) => {
                    if let Some(proxy) = &self.proxy {
                        let identity = Identity { epoch, replica: self.replica, advertise: self.advertise };
                        live::take_over(&driver.kernel(), proxy, &self.shared.retained, identity, None)?;
                    }
                }
                Order::End => break,
                Order::GoLive(_) => bail!("the pair wants a server live that has ended"),
            }
        }
        if let Some(proxy) = &self.proxy {
            proxy.send(&ToProxy::Exit { status })?;
        }
        self.intake.say(&ToPrimary::Ended { status });
        Ok(Exit::Server(status))
    }

    fn live(self, driver: Driver, epoch: Epoch) -> Result<Exit> {
        crate::commands::tell_of(driver.looks());
        let point = driver.into_point()?.context("the replica is dead although its server has not ended")?;
        let survivor = Survivor {
            proxy: self.proxy.as_deref(),
            retained: &self.shared.retained,
            epoch,
            replica: self.replica,
            advertise: self.advertise,
            unprotected: &self.shared.unprotected,
            manner: self.manner,
            primary_clock: self.intake.primary_clock(),
        };
        let ended = survivor.serve(point, &self.shared.epoch, || {
            self.shared.epoch.store(epoch.0, Ordering::SeqCst);
            self.shared.solo.store(true, Ordering::SeqCst);
            Ok(self.events.send(Event::WentLive)?)
        });
        self.shared.ending.store(true, Ordering::SeqCst);
        let status = match &ended {
            Ok(Ending::Ended(status)) => *status,
            Ok(Ending::Killed) => libc::SIGKILL,
            Err(error) => i32::from(Exit::of(error).code()) << 8,
        };
        if let Some(proxy) = &self.proxy {
            proxy.send(&ToProxy::Exit { status })?;
        }
        ended?;
        Ok(Exit::Server(status))
    }
}
