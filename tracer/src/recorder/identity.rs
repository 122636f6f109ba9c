//! Who the server believes to be: the process that it was on the first primary.

use common::syscall::nr;

use super::Recorder;
use crate::tracee::{Call, Registers, Stopped};

impl Recorder<'_> {
    /// The answer to a call that is not executed.
    pub(super) fn answer(&self, call: &Call, errno: i32) -> i64 {
        match u16::try_from(call.number) {
            Ok(nr::GETPID | nr::GETTID) => self.kernel.identity().pid.into(),
            _ => -i64::from(errno),
        }
    }

    /// The server knows itself by the pid that it had on the first primary.
    pub(super) fn real_target(&self, stopped: &Stopped, regs: &Registers) -> Option<Registers> {
        let (seen, real) = (self.kernel.identity().pid as u64, stopped.pid() as u64);
        if seen == real {
            return None;
        }
        let mut changed = *regs;
        let translate = |value: u64| if value & 0xffff_ffff == seen { real } else { value };
        changed.rdi = translate(regs.rdi);
        if [nr::TGKILL, nr::RT_TGSIGQUEUEINFO].iter().any(|&number| regs.orig_rax == u64::from(number)) {
            changed.rsi = translate(regs.rsi);
        }
        Some(changed)
    }
}
