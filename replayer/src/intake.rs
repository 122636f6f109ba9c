//! The backup's end of the log channel: checks frames, acknowledges them, releases output, and queues records for the driver.
//!
//! A frame is acknowledged, and the output that it leads to released, in one step with its taking in. That step is not taken
//! any more once acknowledging has been stopped: from then on the old primary's output stays where it is.

use std::collections::VecDeque;
use std::io::BufReader;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::ids::{Epoch, Lsn};
use common::kernel::Kernel;
use common::log::frame::FrameReader;
use common::orders::{Progress, ToProxy};
use common::pair::channel::{self, FromPrimary};
use common::pair::message::{ToBackup, ToPrimary};
use common::pair::state::Event;
use socket2::Socket;
use tracer::control::ProxyControl;

use crate::bell::Bell;
use crate::feed::Item;
use crate::progress::{Next, Source};

/// Bytes that are taken from the channel at once.
const READ_AHEAD: usize = 256 << 10;

/// Time between two acknowledgements: under load each wakes a thread of the primary, and tells what the next one tells as well. Output is
/// released at once.
const PACE: Duration = Duration::from_millis(10);
/// Time between two signs of the primary's life that are passed on: a part of the shortest timeout.
const PACE_OF_LIFE: Duration = Duration::from_millis(1);

/// Lets something through once in an interval.
#[derive(Debug)]
struct Pace {
    interval: Duration,
    last: Option<Instant>,
}

impl Pace {
    /// Once in `interval`, the first time at once.
    fn new(interval: Duration) -> Self {
        Self { interval, last: None }
    }

    /// Whether it is time again; if so, it is now the last time.
    fn is_due(&mut self, now: Instant) -> bool {
        let due = self.last.is_none_or(|last| now.duration_since(last) >= self.interval);
        if due {
            self.last = Some(now);
        }
        due
    }
}

#[derive(Debug)]
struct State {
    queue: VecDeque<Item>,
    acknowledging: bool,
    draining: bool,
    /// What the driver has and has not replayed is to be forgotten.
    forget: bool,
    received: Lsn,
    replayed: Lsn,
    acknowledged: Pace,
    /// When the oldest record arrived that the driver has and has not replayed.
    oldest: Option<Instant>,
    /// The primary's clock in its last frame, and when that arrived.
    clock: Option<(u64, Instant)>,
}

/// What intake, driver and monitor share.
#[derive(Debug)]
pub struct Intake {
    state: Mutex<State>,
    bell: Arc<Bell>,
    channel: Mutex<Socket>,
    proxy: Option<Arc<ProxyControl>>,
    keep_acknowledging: bool,
}

impl Intake {
    /// For a log that begins at `lsn`.
    #[must_use]
    pub fn new(lsn: Lsn, channel: Socket, proxy: Option<Arc<ProxyControl>>) -> Self {
        let state = State {
            queue: VecDeque::new(),
            acknowledging: true,
            draining: false,
            forget: false,
            received: lsn,
            replayed: lsn,
            acknowledged: Pace::new(PACE),
            oldest: None,
            clock: None,
        };
        Self {
            state: Mutex::new(state),
            bell: Arc::default(),
            channel: Mutex::new(channel),
            proxy,
            keep_acknowledging: false,
        }
    }

    /// Test only: acknowledges on although it was told to stop.
    #[doc(hidden)]
    #[must_use]
    pub fn keeping_on(self, keep_acknowledging: bool) -> Self {
        Self { keep_acknowledging, ..self }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the channel in until it ends. For a thread of its own.
    pub fn run(&self, stream: Socket, mut model: Kernel, epoch: Epoch, events: &Sender<Event>) {
        let mut stream = BufReader::with_capacity(READ_AHEAD, stream);
        let mut heard = Pace::new(PACE_OF_LIFE);
        let mut follow = FrameReader::new(self.lock().received, epoch);
        loop {
            let taken = match channel::read_from_primary(&mut stream) {
                Ok(FromPrimary::Frame(bytes)) => self.take(&bytes, &mut follow, &mut model),
                Ok(FromPrimary::Message(ToBackup::Heartbeat { .. })) => Ok(()),
                Ok(FromPrimary::Message(other)) => Err(format!("unexpected message {other:?}")),
                Err(_) => {
                    // Nobody listens any more when the replica ends.
                    let _ = events.send(Event::ChannelClosed);
                    return;
                }
            };
            if let Err(reason) = taken {
                tracer::say!("the log cannot be followed: {reason}");
                let _ = events.send(Event::Diverged);
                return;
            }
            if heard.is_due(Instant::now()) && events.send(Event::HeartbeatHeard).is_err() {
                return;
            }
        }
    }

    fn take(&self, bytes: &[u8], follow: &mut FrameReader, model: &mut Kernel) -> Result<(), String> {
        let frame = follow.accept(bytes).map_err(|error| error.to_string())?;
        let arrived = Instant::now();
        let mut items = Vec::new();
        for record in frame.records() {
            let (lsn, record) = record.map_err(|error| error.to_string())?;
            model.apply(&record).map_err(|error| format!("record at LSN {lsn}: {error}"))?;
            items.push(Item { lsn, record, arrived });
        }
        let progress = model.take_progress();
        for one in progress.iter().filter(|one| one.closed) {
            model.forget(one.conn);
        }
        let mut state = self.lock();
        if !state.acknowledging {
            return Ok(());
        }
        state.queue.extend(items);
        state.received = frame.header.end_lsn();
        state.clock = Some((frame.header.time, arrived));
        self.release(progress);
        if state.acknowledged.is_due(arrived) {
            self.acknowledge(&state);
        }
        drop(state);
        self.bell.ring();
        Ok(())
    }

    /// Lets output out, while the state is locked: no such step overlaps with the end of acknowledging.
    fn release(&self, progress: Vec<Progress>) {
        if let Some(proxy) = &self.proxy
            && !progress.is_empty()
            && let Err(error) = proxy.send(&ToProxy::Release { progress })
        {
            tracer::say!("output cannot be released: {error}");
        }
    }

    /// As [`Intake::release`], to the primary.
    fn acknowledge(&self, state: &State) {
        let ack = ToPrimary::Ack { received: state.received, replayed: state.replayed };
        // A primary that is gone is noticed by the reader.
        let _ = channel::write_message(&mut *self.channel.lock().unwrap_or_else(PoisonError::into_inner), &ack);
    }

    /// Sends a message that is no acknowledgement.
    pub fn say(&self, message: &ToPrimary) {
        // A primary that is gone is noticed by the reader.
        let _ = channel::write_message(&mut *self.channel.lock().unwrap_or_else(PoisonError::into_inner), message);
    }

    /// Says how far the driver is, while it may be said.
    pub fn report(&self) {
        let state = self.lock();
        if state.acknowledging {
            self.acknowledge(&state);
        }
    }

    /// From the return of this call on nothing is acknowledged or released, and nothing more is taken in.
    pub fn stop(&self) {
        self.lock().acknowledging = self.keep_acknowledging;
    }

    /// The driver gets what is in hand, then the end.
    pub fn drain(&self) {
        let mut state = self.lock();
        state.acknowledging = false;
        state.draining = true;
        drop(state);
        self.bell.ring();
    }

    /// Is rung when there is something for the driver.
    #[must_use]
    pub fn bell(&self) -> Arc<Bell> {
        Arc::clone(&self.bell)
    }

    /// Test only: forgets what is in hand.
    #[doc(hidden)]
    pub fn skip(&self) {
        let mut state = self.lock();
        state.queue.clear();
        state.forget = true;
        drop(state);
        self.drain();
    }

    /// Received, replayed, and for how long the oldest record in hand has been waiting, in milliseconds.
    #[must_use]
    pub fn progress(&self) -> (Lsn, Lsn, u64) {
        let state = self.lock();
        let oldest = state.oldest.or_else(|| state.queue.front().map(|item| item.arrived));
        let lag = oldest.map_or(0, |arrived| u64::try_from(arrived.elapsed().as_millis()).unwrap_or(u64::MAX));
        (state.received, state.replayed, lag)
    }

    /// The primary's CLOCK_MONOTONIC now, as far as its last frame tells, in nanoseconds.
    #[must_use]
    pub fn primary_clock(&self) -> Option<u64> {
        self.lock()
            .clock
            .map(|(time, arrived)| time.saturating_add(u64::try_from(arrived.elapsed().as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Source for Arc<Intake> {
    fn poll(&mut self) -> Next {
        let mut state = self.lock();
        if state.forget {
            return Next::Forget;
        }
        match state.queue.pop_front() {
            Some(item) => Next::Item(item),
            None if state.draining => Next::End,
            None => Next::NotYet,
        }
    }

    fn replayed(&mut self, lsn: Lsn, oldest: Option<Instant>) {
        let mut state = self.lock();
        state.replayed = lsn;
        state.oldest = oldest;
        if lsn == state.received && state.acknowledging && state.acknowledged.is_due(Instant::now()) {
            self.acknowledge(&state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_in_an_interval() {
        let (start, ms) = (Instant::now(), Duration::from_millis);
        let mut pace = Pace::new(ms(5));
        assert!(pace.is_due(start));
        assert!(!pace.is_due(start + ms(4)));
        assert!(pace.is_due(start + ms(5)));
        assert!(!pace.is_due(start + ms(9)));
        assert!(pace.is_due(start + ms(20)));
    }
}
