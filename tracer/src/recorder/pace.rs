//! A server that computes for long is stopped now and then, so that a replica learns how far it has come: a thread that looks whether it
//! has made a call lately.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::abi::PAGE;

use crate::interceptor::shared::Shared;
use crate::sys::alarm::{self, Alarm, Interrupt};

/// From one signal that ends the tracer's wait to the next, until it does.
const AGAIN: Duration = Duration::from_millis(5);
/// Bytes of memory that a digest is made of in a second, at least.
const DIGESTED: u64 = 1 << 30;
/// A position may cost the server one part of so many of its time.
const SHARE: u32 = 10;

/// How long a server has to compute before a position is taken, for what that costs at its size.
pub(super) fn worth_a_position(pid: i32) -> Duration {
    // Fields 2 and 3: pages in memory, and those of them that are a file's or shared (proc(5)).
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let field = |number: usize| statm.split(' ').nth(number - 1).and_then(|field| field.parse().ok()).unwrap_or(0u64);
    let pages = field(2).saturating_sub(field(3));
    Duration::from_nanos(pages.saturating_mul(PAGE * 1_000_000_000 / DIGESTED)) * SHARE
}

/// Processor time that a process has spent in its own code.
fn computed(pid: i32) -> Duration {
    // Field 14: clock ticks of a hundredth of a second (proc(5)); the name in brackets may have spaces in it.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let behind_name = stat.rsplit(") ").next().unwrap_or_default();
    Duration::from_millis(10 * behind_name.split(' ').nth(11).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0))
}

/// What the tracer and the thread tell each other.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// How often the server was let go.
    departures: AtomicU64,
    /// The tracer waits for it.
    waits: AtomicBool,
    asked: AtomicBool,
    closed: Mutex<bool>,
    changed: Condvar,
}

impl Pace {
    /// The tracer lets the server go.
    pub(super) fn departs(&self) {
        self.departures.fetch_add(1, Ordering::Relaxed);
        self.waits.store(true, Ordering::SeqCst);
    }

    /// The server stands.
    pub(super) fn arrives(&self) {
        self.waits.store(false, Ordering::SeqCst);
    }

    /// Whether the server was to be stopped. Asked once.
    pub(super) fn take(&self) -> bool {
        self.asked.swap(false, Ordering::SeqCst)
    }

    /// Waits; says whether it is all over.
    fn sleep(&self, time: Duration) -> bool {
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        *self.changed.wait_timeout_while(closed, time, |closed| !*closed).unwrap_or_else(PoisonError::into_inner).0
    }

    pub(super) fn close(&self) {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }

    /// Asks the tracer, whose thread this is, to stop the server each time that it has computed for `interval`. For a thread of its own.
    pub(super) fn run(&self, interval: Duration, pid: i32, tracer: i32, shared: Option<&Shared>) {
        let made = || (self.departures.load(Ordering::Relaxed), shared.map_or(0, Shared::calls));
        let (mut since, mut before, mut base) = (Instant::now(), made(), computed(pid));
        while !self.sleep(interval / 4) {
            if made() != before || !self.waits.load(Ordering::SeqCst) {
                (since, before, base) = (Instant::now(), made(), computed(pid));
                continue;
            }
            let enough = interval.max(worth_a_position(pid));
            if since.elapsed() < enough || computed(pid).saturating_sub(base) < enough / 2 {
                continue;
            }
            self.asked.store(true, Ordering::SeqCst);
            while self.asked.load(Ordering::SeqCst) && self.waits.load(Ordering::SeqCst) {
                alarm::wake(tracer);
                if self.sleep(AGAIN) {
                    return;
                }
            }
            self.asked.store(false, Ordering::SeqCst);
        }
    }
}

/// Both reasons to stop the server where it is.
#[derive(Debug)]
pub(super) struct Stopper<'a> {
    pub(super) alarm: &'a Alarm,
    pub(super) pace: &'a Pace,
}

impl Interrupt for Stopper<'_> {
    fn is_due(&mut self) -> bool {
        self.alarm.is_due() || self.pace.asked.load(Ordering::SeqCst)
    }
}
