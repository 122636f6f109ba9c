//! Descriptors that report events: eventfd, timerfd, signalfd, inotify.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Kernel;
use super::call::{Call, ModelError, i32_at, u32_at, u64_at};
use super::descriptor::Object;
use super::path::PathBytes;
use super::posix_timer::Origin;
use super::timer::{Setting, timespec_ns};

/// A counter (eventfd(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFd {
    /// Its count.
    pub count: u64,
    /// Whether a read takes 1 rather than all (EFD_SEMAPHORE).
    pub semaphore: bool,
}

/// A timer (timerfd_create(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimerFd {
    /// CLOCK_MONOTONIC, CLOCK_REALTIME ...
    pub clock: i32,
    /// What it is set to, while it runs.
    pub setting: Option<Setting>,
}

/// One watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// What is watched.
    pub path: PathBytes,
    /// For which events, with flags.
    pub mask: u32,
}

/// A watcher of files (inotify(7)).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Inotify {
    /// By watch descriptor.
    pub watches: BTreeMap<i32, Watch>,
}

const INOTIFY_HEADER_LEN: usize = 16;
const SIGINFO_LEN: usize = 128;

impl Kernel {
    pub(super) fn eventfd(&mut self, call: &Call<'_>, flags: i32) -> Result<(), ModelError> {
        let count = u64::from(call.uint(0));
        let object = Object::EventFd(EventFd { count, semaphore: flags & libc::EFD_SEMAPHORE != 0 });
        self.open_event(call, object, flags)
    }

    pub(super) fn timerfd_create(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        self.open_event(call, Object::TimerFd(TimerFd { clock: call.int(0), setting: None }), call.int(1))
    }

    pub(super) fn inotify_init(&mut self, call: &Call<'_>, flags: i32) -> Result<(), ModelError> {
        self.open_event(call, Object::Inotify(Inotify::default()), flags)
    }

    /// All of these use O_NONBLOCK and O_CLOEXEC under their own names.
    fn open_event(&mut self, call: &Call<'_>, object: Object, flags: i32) -> Result<(), ModelError> {
        let status = libc::O_RDWR | flags & libc::O_NONBLOCK;
        self.descriptors.open(call, call.made()?, object, status, flags & libc::O_CLOEXEC != 0)?;
        Ok(())
    }

    pub(super) fn timerfd_settime(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        let spec = call.input_array::<32>(2)?;
        let set_at_ns = self.clock_of(call)?;
        let (value_ns, interval_ns) = (timespec_ns(&spec, 16), timespec_ns(&spec, 0));
        let absolute = call.int(1) & libc::TFD_TIMER_ABSTIME != 0;
        match &mut self.descriptors.get_mut(call, call.int(0))?.object {
            Object::TimerFd(timer) => {
                let setting = Setting { value_ns, interval_ns, absolute, set_at_ns, taken: 0 };
                timer.setting = (value_ns > 0).then_some(setting);
                Ok(())
            }
            other => Err(call.inconsistent("a timerfd", other.kind())),
        }
    }

    pub(super) fn signalfd(&mut self, call: &Call<'_>, flags: i32) -> Result<(), ModelError> {
        let mask = u64::from_le_bytes(call.input_array(1)?);
        if call.int(0) == -1 {
            return self.open_event(call, Object::SignalFd { mask }, flags);
        }
        match &mut self.descriptors.get_mut(call, call.int(0))?.object {
            Object::SignalFd { mask: old } => {
                *old = mask;
                Ok(())
            }
            other => Err(call.inconsistent("a signalfd", other.kind())),
        }
    }

    pub(super) fn inotify_add_watch(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        let path = match call.resolved_path()? {
            Some(path) => path,
            None => self.identity.resolve(call, call.input(1)?)?,
        };
        let (wd, mask) = (call.int_result(), call.uint(2));
        let inotify = self.inotify_mut(call)?;
        let adds = mask & libc::IN_MASK_ADD != 0;
        let watch = inotify.watches.entry(wd).or_insert(Watch { path, mask: 0 });
        watch.mask = if adds { watch.mask | mask } else { mask };
        Ok(())
    }

    pub(super) fn inotify_rm_watch(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        let wd = call.int(1);
        // The watch may have ended by itself, unseen until its event is read.
        self.inotify_mut(call)?.watches.remove(&wd);
        Ok(())
    }

    fn inotify_mut(&mut self, call: &Call<'_>) -> Result<&mut Inotify, ModelError> {
        match &mut self.descriptors.get_mut(call, call.int(0))?.object {
            Object::Inotify(inotify) => Ok(inotify),
            other => Err(call.inconsistent("an inotify descriptor", other.kind())),
        }
    }
}

impl EventFd {
    pub(super) fn read(&mut self) {
        self.count = if self.semaphore { self.count.saturating_sub(1) } else { 0 };
    }

    pub(super) fn write(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        self.count = self.count.saturating_add(u64_at(&call.sent(8)?, 0));
        Ok(())
    }
}

impl TimerFd {
    pub(super) fn read(&mut self, call: &Call<'_>) {
        let expiries = u64_at(&call.output(1), 0);
        if self.setting.as_mut().is_some_and(|setting| !setting.take(expiries)) {
            self.setting = None;
        }
    }
}

impl Inotify {
    /// Watches end when the server reads that they did, or with their one event.
    pub(super) fn read(&mut self, events: &[u8]) {
        let mut rest = events;
        while rest.len() >= INOTIFY_HEADER_LEN {
            let (wd, mask) = (i32_at(rest, 0), u32_at(rest, 4));
            let single = self.watches.get(&wd).is_some_and(|w| w.mask & libc::IN_ONESHOT != 0);
            if mask & libc::IN_IGNORED != 0 || single {
                self.watches.remove(&wd);
            }
            let len = INOTIFY_HEADER_LEN.saturating_add(u32_at(rest, 12) as usize);
            rest = rest.get(len..).unwrap_or(&[]);
        }
    }
}

/// The signals that a read from a signalfd took, and where they came from.
pub(super) fn signals_read(events: &[u8]) -> impl Iterator<Item = (i32, Origin)> + '_ {
    events.chunks_exact(SIGINFO_LEN).map(|info| (i32_at(info, 0), Origin::of_signalfd(info)))
}
