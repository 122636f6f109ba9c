//! Signals: dispositions, the mask, what waits behind it.
//!
//! A mask that a call sets for its own duration (ppoll(2), rt_sigsuspend(2)) never shows here: the record of a signal that
//! comes meanwhile says which mask was in force and which one goes into the frame.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::call::{Call, ModelError, i32_at, u64_at};
use super::posix_timer::Origin;
use super::{DescriptionId, Kernel, Object, PipeId};
use crate::record::{Record, SegmentRole};

const SIG_IGN: u64 = libc::SIG_IGN as u64;
/// Signals that cannot be blocked.
const UNBLOCKABLE: u64 = bit(libc::SIGKILL) | bit(libc::SIGSTOP);
/// Signals that do nothing by default, and those that leave no record then: they stop or continue the process.
const IGNORED_BY_DEFAULT: [i32; 4] = [libc::SIGCHLD, libc::SIGURG, libc::SIGWINCH, libc::SIGCONT];
const NO_RECORD_BY_DEFAULT: [i32; 7] =
    [libc::SIGCHLD, libc::SIGURG, libc::SIGWINCH, libc::SIGCONT, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
/// SIGRTMIN of the kernel.
const FIRST_REAL_TIME: i32 = 32;
/// si_code of a signal from the kernel, timers among them; from a process it is 0 or negative.
const SI_KERNEL: i32 = 0x80;

/// The bit of a signal in a mask; no bit for what is no signal.
#[must_use]
pub const fn bit(signal: i32) -> u64 {
    if signal >= 1 && signal <= 64 { 1 << (signal - 1) } else { 0 }
}

/// What happens on a signal, as the kernel keeps it (struct sigaction of rt_sigaction).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Disposition {
    /// 0 for the default, 1 to ignore, else the handler's address.
    pub handler: u64,
    /// SA_*.
    pub flags: u64,
    /// Where the handler returns to.
    pub restorer: u64,
    /// Blocked while the handler runs.
    pub mask: u64,
}

impl Disposition {
    /// Whether a handler runs.
    #[must_use]
    pub fn is_handled(&self) -> bool {
        self.handler > SIG_IGN
    }

    fn has(&self, flag: i32) -> bool {
        self.flags & u64::from(flag.cast_unsigned()) != 0
    }
}

/// The alternate stack (sigaltstack(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AltStack {
    /// Lowest address.
    pub base: u64,
    /// SS_*.
    pub flags: i32,
    /// Bytes.
    pub size: u64,
}

/// A signal that the server sent to itself and that it has not taken yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Its number.
    pub signal: i32,
    /// How it was sent.
    pub sent: Sent,
}

/// How the server sent a signal to itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sent {
    /// To the process: kill(2).
    ToProcess,
    /// To the thread: tgkill(2), tkill(2), raise(3).
    ToThread,
    /// To the process, with this siginfo_t: rt_sigqueueinfo(2).
    Queued(Vec<u8>),
    /// To the thread, with this siginfo_t: rt_tgsigqueueinfo(2).
    QueuedToThread(Vec<u8>),
}

/// The signal state of the process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Signals {
    dispositions: BTreeMap<i32, Disposition>,
    mask: u64,
    pending: Vec<Pending>,
    altstack: Option<AltStack>,
}

impl Signals {
    pub(super) fn new(mask: u64, ignored: u64) -> Self {
        let ignore = Disposition { handler: SIG_IGN, ..Disposition::default() };
        let dispositions = (1..=64).filter(|&signal| ignored & bit(signal) != 0).map(|signal| (signal, ignore));
        Self { dispositions: dispositions.collect(), mask, ..Self::default() }
    }

    /// What happens on a signal.
    #[must_use]
    pub fn disposition(&self, signal: i32) -> Disposition {
        self.dispositions.get(&signal).copied().unwrap_or_default()
    }

    /// Dispositions that are not the default.
    pub fn dispositions(&self) -> impl Iterator<Item = (i32, Disposition)> + '_ {
        self.dispositions.iter().map(|(&signal, &disposition)| (signal, disposition))
    }

    /// Blocked signals: bit 0 is signal 1.
    #[must_use]
    pub fn mask(&self) -> u64 {
        self.mask
    }

    /// Signals that the server sent to itself and that it has not taken, in the order in which they came (those of others
    /// are not seen). One that is not blocked is about to be delivered.
    #[must_use]
    pub fn pending(&self) -> &[Pending] {
        &self.pending
    }

    /// The alternate stack, if there is one.
    #[must_use]
    pub fn altstack(&self) -> Option<AltStack> {
        self.altstack
    }

    pub(super) fn taken(&mut self, signal: i32) -> Option<Sent> {
        let at = self.pending.iter().position(|one| one.signal == signal)?;
        Some(self.pending.remove(at).sent)
    }

    /// A signal waits that the kernel has sent.
    pub(super) fn waits(&mut self, signal: i32) {
        self.taken(signal);
        self.sent(signal, Sent::Queued(kernel_info(signal)));
    }

    pub(super) fn sent(&mut self, signal: i32, sent: Sent) {
        // Only real-time signals queue (signal(7)).
        let queues = signal >= FIRST_REAL_TIME;
        if bit(signal) != 0 && (queues || self.pending.iter().all(|one| one.signal != signal)) {
            self.pending.push(Pending { signal, sent });
        }
    }

    /// Whether a signal disappears when it is about to be delivered, or leaves no record.
    fn comes_to_nothing(&self, signal: i32) -> bool {
        let handler = self.disposition(signal).handler;
        handler == SIG_IGN || handler == 0 && NO_RECORD_BY_DEFAULT.contains(&signal)
    }

    /// Drops what is not blocked any more and comes to nothing.
    pub(super) fn unblocked(&mut self) {
        let (mask, mut pending) = (self.mask, std::mem::take(&mut self.pending));
        pending.retain(|one| mask & bit(one.signal) != 0 || !self.comes_to_nothing(one.signal));
        self.pending = pending;
    }

    fn dispose(&mut self, signal: i32, disposition: Disposition) {
        if disposition.handler == SIG_IGN || disposition.handler == 0 && IGNORED_BY_DEFAULT.contains(&signal) {
            self.pending.retain(|one| one.signal != signal);
        }
        if disposition == Disposition::default() {
            self.dispositions.remove(&signal);
        } else {
            self.dispositions.insert(signal, disposition);
        }
    }

    /// execve(2): handlers go, what is ignored stays, as do the mask and what is pending.
    pub(super) fn exec(&mut self) {
        self.dispositions.retain(|_, disposition| disposition.handler == SIG_IGN);
        for disposition in self.dispositions.values_mut() {
            *disposition = Disposition { handler: SIG_IGN, ..Disposition::default() };
        }
        self.altstack = None;
    }
}

/// siginfo_t of a signal that the kernel sends without saying more: of an interval timer, SIGIO without F_SETSIG.
#[must_use]
pub fn kernel_info(signal: i32) -> Vec<u8> {
    let mut info: Vec<u8> = [signal, 0, SI_KERNEL].iter().flat_map(|word| word.to_le_bytes()).collect();
    info.resize(128, 0);
    info
}

impl Kernel {
    pub(super) fn rt_sigaction(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        if call.arg(1) != 0 {
            let act = call.input_array::<32>(1)?;
            let field = |at| u64_at(&act, at);
            let mask = field(24) & !UNBLOCKABLE;
            let disposition = Disposition { handler: field(0), flags: field(8), restorer: field(16), mask };
            self.signals.dispose(call.int(0), disposition);
        }
        Ok(())
    }

    pub(super) fn rt_sigprocmask(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        if call.has_input(1, 8) {
            let set = u64::from_le_bytes(call.input_array(1)?) & !UNBLOCKABLE;
            let mask = &mut self.signals.mask;
            match call.int(0) {
                libc::SIG_BLOCK => *mask |= set,
                libc::SIG_UNBLOCK => *mask &= !set,
                libc::SIG_SETMASK => *mask = set,
                how => return Err(call.inconsistent("SIG_BLOCK, SIG_UNBLOCK or SIG_SETMASK", how)),
            }
            self.signals.unblocked();
        }
        Ok(())
    }

    pub(super) fn rt_sigreturn(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        self.signals.mask = u64::from_le_bytes(call.output_array(0)?) & !UNBLOCKABLE;
        self.signals.unblocked();
        Ok(())
    }

    pub(super) fn rt_sigpending(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        // Only what is blocked shows.
        let (there, mask) = (u64::from_le_bytes(call.output_array(0)?), self.signals.mask);
        self.signals.pending.retain(|one| mask & bit(one.signal) == 0 || there & bit(one.signal) != 0);
        for signal in (1..=64).filter(|&signal| there & bit(signal) != 0) {
            // A timer that has sent it will have expired elsewhere too.
            let known = self.signals.pending.iter().any(|one| one.signal == signal);
            if !known && !self.posix_timers.may_raise(signal) {
                self.signals.sent(signal, Sent::ToProcess);
            }
        }
        Ok(())
    }

    pub(super) fn sigaltstack(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        if call.arg(0) != 0 {
            let stack = call.input_array::<24>(0)?;
            let flags = i32_at(&stack, 8);
            let new = AltStack { base: u64_at(&stack, 0), flags, size: u64_at(&stack, 16) };
            self.signals.altstack = (flags & libc::SS_DISABLE == 0).then_some(new);
        }
        Ok(())
    }

    /// kill(2) and its kin. A signal to oneself waits until its own record, or a call that takes it, follows.
    pub(super) fn kill(&mut self, target: i32, signal: i32, sent: Sent) {
        let own = [self.identity.pid, self.identity.tid].contains(&target);
        if own && UNBLOCKABLE & bit(signal) == 0 {
            self.signals.sent(signal, sent);
            self.signals.unblocked();
        }
    }

    /// A call has found that nobody reads what it writes to `fd`, and said EPIPE: the kernel has sent SIGPIPE as well, but not for a
    /// socket of datagrams (send(2)).
    pub(super) fn nobody_reads(&mut self, fd: i32) {
        let streams = match self.object(fd) {
            Some(Object::Pair(end)) => end.kind != libc::SOCK_DGRAM,
            Some(Object::Unix(socket)) => socket.kind != libc::SOCK_DGRAM,
            Some(Object::Tcp(_) | Object::PipeWriter(_) | Object::Inherited(_)) => true,
            _ => false,
        };
        if streams {
            // The kernel sends it in the name of the process (SEND_SIG_NOINFO).
            let words = [libc::SIGPIPE, 0, libc::SI_USER, 0, self.identity.pid, self.identity.uids.real.cast_signed()];
            let mut info: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            info.resize(128, 0);
            self.signals.sent(libc::SIGPIPE, Sent::QueuedToThread(info));
            self.signals.unblocked();
        }
    }

    /// Whether SIGIO is of any consequence: most servers never ask for it.
    fn wants_io_signals(&self) -> bool {
        self.signals.dispositions.contains_key(&libc::SIGIO) || self.signals.mask & bit(libc::SIGIO) != 0
    }

    /// There is news for a description: the kernel sends SIGIO to its owner if it has O_ASYNC (fcntl(2)).
    pub(super) fn has_news(&mut self, id: DescriptionId) {
        let identity = &self.identity;
        let own = |owner: i32| owner == identity.pid || owner == -identity.pgrp;
        let told = self.wants_io_signals()
            && self.descriptors.description(id).is_some_and(|one| one.flags & libc::O_ASYNC != 0 && own(one.owner));
        if told {
            self.signals.sent(libc::SIGIO, Sent::Queued(kernel_info(libc::SIGIO)));
            self.signals.unblocked();
        }
    }

    /// The same for the ends of a pipe that read, or that write.
    pub(super) fn pipe_has_news(&mut self, pipe: PipeId, reads: bool) {
        if !self.wants_io_signals() {
            return;
        }
        let end = if reads { Object::PipeReader(pipe) } else { Object::PipeWriter(pipe) };
        let ends = self.descriptors.descriptions().filter(|(_, one)| one.object == end).map(|(id, _)| id);
        for id in ends.collect::<Vec<_>>() {
            self.has_news(id);
        }
    }

    /// A signal was taken, by its delivery or by a call, and where it came from, if that is known.
    pub(super) fn took(&mut self, signal: i32, origin: Option<Origin>) {
        let waited = self.signals.taken(signal);
        // Of a timer that has been set anew since.
        let stale = matches!(waited, Some(Sent::Queued(info)) if info == kernel_info(signal));
        if !stale && origin.is_none_or(|origin| origin.code == SI_KERNEL) {
            self.timers.expired(signal);
        }
        self.posix_timers.expired(signal, origin);
    }

    /// A signal was delivered.
    pub(super) fn delivered(&mut self, record: &Record) {
        let signal = i32::from(record.number);
        let info = record.bytes_of(SegmentRole::SigInfo);
        self.took(signal, info.and_then(Origin::of_siginfo));
        let disposition = self.signals.disposition(signal);
        if !disposition.is_handled() {
            return;
        }
        let own = if disposition.has(libc::SA_NODEFER) { 0 } else { bit(signal) };
        let before = record.logged_arg(1).unwrap_or(self.signals.mask);
        self.signals.mask = (before | disposition.mask | own) & !UNBLOCKABLE;
        if disposition.has(libc::SA_RESETHAND) {
            self.signals.dispose(signal, Disposition { handler: 0, ..disposition });
        }
    }
}
