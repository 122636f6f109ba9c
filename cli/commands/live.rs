//! A replica that acts by itself: from the end of replay to the end of the server.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use anyhow::{Context, Result};
use common::ids::{Epoch, ReplicaId};
use common::record::Record;
use replayer::driver::Point;
use replayer::live::{self, Identity};
use replayer::retained::Retained;
use tracer::control::{Aside, ProxyControl};
use tracer::interceptor::Manner;
use tracer::recorder::{Ending, Outside, Recorder, Sink, SinkError};
use tracer::say;

/// A replica that acts alone keeps no log.
struct NoLog;

impl Sink for NoLog {
    fn append(&mut self, _: &Record) -> Result<(), SinkError> {
        Ok(())
    }

    fn append_encoded(&mut self, _: &[u8]) -> Result<(), SinkError> {
        Ok(())
    }

    fn flush(&mut self) {}

    fn is_awaited(&self) -> bool {
        false
    }

    fn is_kept(&self) -> bool {
        false
    }
}

/// What a replica goes live with.
#[derive(Debug, Clone, Copy)]
pub struct Survivor<'a> {
    /// `None` in a test without clients.
    pub proxy: Option<&'a ProxyControl>,
    /// Output that the proxy may lack.
    pub retained: &'a Retained,
    /// The epoch that was won.
    pub epoch: Epoch,
    /// By whom.
    pub replica: ReplicaId,
    /// This machine as the proxy reaches it.
    pub advertise: IpAddr,
    /// Where to note the sockets whose output is not held back.
    pub unprotected: &'a Mutex<BTreeSet<String>>,
    /// Who takes the server's calls.
    pub manner: Manner,
    /// The primary's CLOCK_MONOTONIC now, in nanoseconds, as far as that is known.
    pub primary_clock: Option<u64>,
}

impl Survivor<'_> {
    /// Makes the process at `point` live and runs it to its end. `went_live` is called when it serves; `acting` is the epoch
    /// in force.
    pub fn serve(self, point: Point, acting: &AtomicU64, went_live: impl FnOnce() -> Result<()>) -> Result<Ending> {
        let pid = point.stopped.pid();
        let clock = super::clock_to_go_on(self.primary_clock, point.kernel.monotonic_ns());
        let offset = clock.wrapping_sub(super::monotonic_ns()).cast_signed();
        let identity = Identity { epoch: self.epoch, replica: self.replica, advertise: self.advertise };
        let living = live::go_live(point, self.proxy, self.retained, identity, offset)
            .context("the service is lost: this backup cannot go live")?;
        for loss in &living.report.losses {
            say!("not carried over: {} {:?}: {}", loss.what, loss.numbers, loss.why);
        }
        went_live()?;
        super::forward_signals(pid);
        let mut sink = NoLog;
        let mut aside =
            self.proxy.map(|control| Aside { control, advertise: self.advertise, unprotected: self.unprotected });
        let outside = aside.as_mut().map(|aside| aside as &mut (dyn Outside + Send));
        let mut recorder = Recorder::new(living.kernel, &mut sink, outside, living.sites).with_interceptor(
            &living.shared,
            self.manner,
            living.patches,
        );
        recorder.follow_epoch(acting);
        recorder.adopt(living.file_areas, offset);
        recorder.hold(living.held);
        if let Some((registers, number)) = living.returned_from {
            recorder.stands_at_return(&registers, number);
        }
        let ended = recorder.run(living.stopped, living.signal);
        super::forget_signals();
        Ok(ended?)
    }
}
