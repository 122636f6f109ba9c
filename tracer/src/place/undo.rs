//! Setting a process back to where it was: it has gone too far.
//!
//! What it was is kept by a twin, whose memory is its own, and by copies of what the twin shares with it.

use std::collections::BTreeMap;

use common::kernel::Signals;
use common::memory::PAGE;
use common::syscall::Memory;

use super::PlaceError;
use super::state::each_page;
use crate::interceptor;
use crate::launch::{self, Mapping};
use crate::signals;
use crate::tracee::{Event, Registers, Stopped};
use crate::twin::{Twin, Twinned};

/// Bytes of shared memory that are copied at most.
const MOST_SHARED: u64 = 16 << 20;

/// What a process was, where it stood in its own code.
#[derive(Debug)]
pub(super) struct Undo {
    twin: Twin,
    registers: Registers,
    extended: Vec<u8>,
    mask: u64,
    shared: BTreeMap<u64, [u8; PAGE]>,
}

fn is_shared(area: &Mapping) -> bool {
    area.shared && area.prot & libc::PROT_WRITE != 0
}

impl Undo {
    /// Keeps what a process is. `None` where that cannot be had: no process more is allowed, or too much memory is shared.
    ///
    /// # Errors
    /// When the process is gone.
    pub(super) fn prepare(stopped: Stopped) -> Result<(Stopped, Option<Self>), PlaceError> {
        let areas = launch::maps(stopped.pid())?;
        let shares = areas.iter().filter(|area| is_shared(area) && !interceptor::is_own(area.start, area.end));
        if shares.map(|area| area.end - area.start).sum::<u64>() > MOST_SHARED {
            return Ok((stopped, None));
        }
        let mut shared = BTreeMap::new();
        each_page(stopped.pid(), &stopped, None, is_shared, |address, page| {
            shared.insert(address, *page);
        })?;
        let (registers, extended, mask) = (stopped.registers()?, stopped.xstate()?, stopped.signal_mask()?);
        // Signals that somebody sends to a replica are none of the log's.
        let Twinned { stopped, twin, .. } = Twin::of(stopped, &registers)?;
        let undo = twin.ok().map(|twin| Self { twin, registers, extended, mask, shared });
        Ok((stopped, undo))
    }

    /// Sets the process back that has come to this `event`, without a call. `signals` is what the model knows of its signals. `None` when it is dead.
    ///
    /// # Errors
    /// When it or its twin is gone.
    pub(super) fn undo(self, event: Event, signals: &Signals) -> Result<Result<Stopped, i32>, PlaceError> {
        let stopped = match event {
            Event::Dead(status) => return Ok(Err(status)),
            // A fault has changed what becomes of its signal.
            Event::Signal(stopped, signal) if signals::is_fault(signal, &stopped.siginfo()?) => {
                signals::undo_forced(stopped, &self.registers, signal, signals)?.0
            }
            Event::Seccomp(stopped)
            | Event::SyscallExit(stopped)
            | Event::Signal(stopped, _)
            | Event::Exec(stopped)
            | Event::Forked(stopped, _)
            | Event::Interrupted(stopped) => stopped,
        };
        let mut differs: Vec<(u64, [u8; PAGE])> = Vec::new();
        let private = |area: &Mapping| !area.shared && area.prot & libc::PROT_WRITE != 0;
        each_page(stopped.pid(), &stopped, None, private, |address, page| {
            // A stack that has grown was not there: its pages were zeros.
            let mut was = [0; PAGE];
            if self.twin.read(address, &mut was).is_err() {
                was = [0; PAGE];
            }
            if was != *page {
                differs.push((address, was));
            }
        })?;
        each_page(stopped.pid(), &stopped, None, is_shared, |address, page| {
            if let Some(was) = self.shared.get(&address).filter(|was| *was != page) {
                differs.push((address, *was));
            }
        })?;
        // Of a twin that was killed nothing can be read.
        if !self.twin.is_whole() {
            return Err(PlaceError::Copy { pid: stopped.pid() });
        }
        for (address, was) in &differs {
            stopped.write(*address, was)?;
        }
        stopped.set_xstate(&self.extended)?;
        stopped.set_signal_mask(self.mask)?;
        let mut back = self.registers;
        back.orig_rax = u64::MAX;
        stopped.set_registers(&back)?;
        Ok(Ok(stopped))
    }
}
