//! Who the server believes to be: the process that it was on the first primary.
//!
//! Its ids are those of the model. In a replica that went live the kernel knows the process by others: they are put into the
//! calls that name the process, and out of the results that do.

use common::abi;
use common::kernel::Object;
use common::syscall::operations::F_GETOWN_EX;
use common::syscall::{Memory, nr};

use super::{Before, InCall, Recorder, RecordingError};
use crate::tracee::{Call, Registers, Stopped};

/// Length of struct signalfd_siginfo, and where the sender's pid stands in it.
const SIGNALFD_INFO_LEN: usize = 128;
const SIGNALFD_PID: usize = 12;

/// Where code and sender's pid stand in a siginfo_t.
const SIGINFO_CODE: u64 = 8;
const SIGINFO_PID: u64 = 16;

/// The arguments of a call that are ids of processes or groups.
fn ids(call: &Call) -> &'static [usize] {
    let [first, second, ..] = call.args;
    match u16::try_from(call.number) {
        Ok(nr::KILL | nr::TKILL | nr::RT_SIGQUEUEINFO | nr::WAIT4 | nr::GETPGID | nr::GETSID | nr::PRLIMIT64) => &[0],
        Ok(nr::SCHED_GETAFFINITY | nr::SCHED_GETPARAM | nr::SCHED_GETSCHEDULER) => &[0],
        Ok(nr::TGKILL | nr::RT_TGSIGQUEUEINFO | nr::SETPGID) => &[0, 1],
        // PRIO_PROCESS, PRIO_PGRP.
        Ok(nr::GETPRIORITY | nr::SETPRIORITY) if first <= 1 => &[1],
        Ok(nr::FCNTL) if second == libc::F_SETOWN as u64 => &[2],
        _ => &[],
    }
}

/// Whether the result of a call is the id of a process or a group.
fn gives_id(call: &Call) -> bool {
    let owner = call.args[1] == libc::F_GETOWN as u64;
    match u16::try_from(call.number) {
        Ok(nr::SET_TID_ADDRESS | nr::SETSID | nr::GETPGID | nr::GETSID) => true,
        Ok(nr::FCNTL) => owner,
        _ => false,
    }
}

impl Recorder<'_> {
    /// The answer to a call that is not executed.
    pub(super) fn answer(&self, call: &Call, errno: i32) -> i64 {
        match u16::try_from(call.number) {
            Ok(nr::GETPID | nr::GETTID) => self.kernel().identity().pid.into(),
            _ => -i64::from(errno),
        }
    }

    /// Answers what the model knows, and names the process as the kernel does.
    pub(super) fn with_real_ids(&self, stopped: &Stopped, regs: &Registers, flow: &InCall) -> Before {
        if !self.adopted {
            return Before::Run(None);
        }
        let own = self.kernel().identity();
        let asks_for_itself = [0, own.pid].contains(&abi::int(flow.call.args[0]));
        match flow.shape.number {
            nr::GETPPID => return Before::Answer(own.ppid.into()),
            nr::GETPGRP => return Before::Answer(own.pgrp.into()),
            nr::GETPGID if asks_for_itself => return Before::Answer(own.pgrp.into()),
            nr::GETSID if asks_for_itself => return Before::Answer(own.sid.into()),
            _ => {}
        }
        let real = |id: i32| match id {
            id if id == own.pid => stopped.pid(),
            id if id == -own.pid => -stopped.pid(),
            // The group that it was started in is another one here: 0 means its own.
            id if id == -own.pgrp => 0,
            other => other,
        };
        let mut changed = *regs;
        for &arg in ids(&flow.call) {
            let register = match arg {
                0 => &mut changed.rdi,
                1 => &mut changed.rsi,
                _ => &mut changed.rdx,
            };
            let id = abi::int(*register);
            if real(id) != id {
                *register = abi::word(real(id));
            }
        }
        let same = [changed.rdi, changed.rsi, changed.rdx] == [regs.rdi, regs.rsi, regs.rdx];
        Before::Run((!same).then_some(changed))
    }

    /// The result of a call as the server is to see it.
    pub(super) fn shown_id(&self, real: i32, flow: &InCall, result: i64) -> i64 {
        let own = i64::from(self.kernel().identity().pid);
        if result == i64::from(real) && gives_id(&flow.call) { own } else { result }
    }

    /// The owner of a descriptor, as the C library asks for it.
    pub(super) fn show_owner(&self, stopped: &Stopped, flow: &InCall) -> Result<(), RecordingError> {
        const ID: u64 = 4;
        let [_, operation, address, ..] = flow.call.args;
        if !self.adopted || operation != F_GETOWN_EX {
            return Ok(());
        }
        self.show_pid_at(stopped, flow, address + ID)
    }

    fn show_pid_at(&self, stopped: &Stopped, flow: &InCall, address: u64) -> Result<(), RecordingError> {
        let raw = stopped.bytes(address, 4).map_err(Self::fault(flow.shape))?;
        if raw == stopped.pid().to_le_bytes() {
            stopped.write(address, &self.kernel().identity().pid.to_le_bytes())?;
        }
        Ok(())
    }

    /// A signal that the server sent to itself names the server, also when it is read from a signalfd.
    pub(super) fn show_senders(&self, stopped: &Stopped, flow: &InCall, result: i64) -> Result<(), RecordingError> {
        let [fd, buffer, ..] = flow.call.args;
        if !self.adopted || !matches!(self.kernel().object(abi::int(fd)), Some(Object::SignalFd { .. })) {
            return Ok(());
        }
        for at in (0..usize::try_from(result).unwrap_or(0)).step_by(SIGNALFD_INFO_LEN) {
            self.show_pid_at(stopped, flow, buffer + (at + SIGNALFD_PID) as u64)?;
        }
        Ok(())
    }

    /// The same of a signal that `rt_sigtimedwait` took.
    pub(super) fn show_sender(&self, stopped: &Stopped, flow: &InCall) -> Result<(), RecordingError> {
        let info = flow.call.args[1];
        if !self.adopted || info == 0 {
            return Ok(());
        }
        let code = stopped.bytes(info + SIGINFO_CODE, 4).map_err(Self::fault(flow.shape))?;
        let sent = [libc::SI_USER, libc::SI_TKILL].iter().any(|known| code == known.to_le_bytes());
        if sent { self.show_pid_at(stopped, flow, info + SIGINFO_PID) } else { Ok(()) }
    }
}
