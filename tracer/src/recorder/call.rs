//! A call on its way: what is done before it, how it is executed, what of it is recorded.

use std::sync::atomic::Ordering;

use common::abi;
use common::digest::Digest;
use common::memory::Scope;
use common::record::{Kind, Record, Segment, SegmentRole};
use common::syscall::{self, Class, Fault, Gathered, Shape, nr};

use super::signal::Ran;
use super::{Next, Recorder, RecordingError, children, memory, signal, time, vsyscall};
use crate::inject;
use crate::memory_check;
use crate::signals;
use crate::tracee::{Call, Registers, Stopped, call_of, checked};

/// A call that was interrupted and will go on by restart_syscall.
pub(super) struct Resumable {
    pub(super) shape: &'static Shape,
    pub(super) args: [u64; 6],
    /// What stood where it tells the time left when it is interrupted: only a handler gets to see that.
    pub(super) before: Vec<(u64, Vec<u8>)>,
}

/// A call on its way through the recorder.
pub(crate) struct InCall {
    pub(super) shape: &'static Shape,
    pub(super) call: Call,
    pub(super) gathered: Gathered,
    /// Segments beyond those that the shape tells of.
    pub(super) extra: Vec<Segment>,
}

impl Recorder<'_> {
    pub(super) fn call(&mut self, stopped: Stopped) -> Result<Next, RecordingError> {
        let regs = stopped.registers()?;
        let call = call_of(&regs);
        self.at_exit = None;
        if let Some(epoch) = self.epoch.map(|epoch| epoch.load(Ordering::SeqCst))
            && epoch > self.kernel().epoch().0
        {
            self.append(&Record::new(Kind::Epoch, 0, 0).with_args(&[epoch]), "a new epoch")?;
        }
        self.check_memory(&stopped, &call)?;
        let vsyscall = vsyscall::is_there(&regs);
        let stopped = if !vsyscall && self.begins(&call) {
            match self.look(stopped, &regs, &call)? {
                Ran::Returned(stopped) | Ran::Anew(stopped) => stopped,
                Ran::Dead(status) => return Ok(Next::Dead(status)),
            }
        } else {
            stopped
        };
        self.forget_expiries(&call);
        let stopped = match self.take_expiries_back(stopped, &regs, &call)? {
            Ran::Returned(stopped) | Ran::Anew(stopped) => stopped,
            Ran::Dead(status) => return Ok(Next::Dead(status)),
        };
        // There is no instruction to call again with: the next real call is soon enough.
        let stopped = if self.held.is_empty() || vsyscall {
            stopped
        } else {
            match self.make_pending(stopped, &regs)? {
                Ran::Returned(stopped) | Ran::Anew(stopped) => stopped,
                Ran::Dead(status) => return Ok(Next::Dead(status)),
            }
        };
        let shape = match self.shape_of(&call)? {
            Ok(shape) => shape,
            Err(errno) => return self.refuse(stopped, &regs, &call, errno),
        };
        // A resumed call writes where the original one was told to.
        let resumed = self.restart.take().filter(|_| shape.number == nr::RESTART_SYSCALL);
        let (shape, call) = match &resumed {
            Some(original) => {
                for (address, bytes) in &original.before {
                    stopped.write(*address, bytes)?;
                }
                (original.shape, Call { number: call.number, args: original.args })
            }
            None => (shape, call),
        };
        let mut gathered = syscall::at_entry(shape, &call.args, &checked(&regs), &stopped);
        let finished = self.finished_inside();
        if let Some((_, digest)) = finished {
            gathered = gathered.with_digest(digest);
        }
        let mut flow = InCall { shape, call, gathered, extra: Vec::new() };
        if vsyscall {
            let result = vsyscall::answer(&stopped, &flow)?;
            stopped.skip_call(result)?;
            return self.finish(stopped, &regs, flow, result);
        }
        if let Some((result, _)) = finished {
            stopped.skip_call(result)?;
            return self.finish(stopped, &regs, flow, result);
        }
        if let Class::Answer(errno) = shape.class {
            let result = self.answer(&call, errno);
            stopped.skip_call(result)?;
            return self.finish(stopped, &regs, flow, result);
        }
        match shape.number {
            nr::EXIT | nr::EXIT_GROUP => {
                self.record(&stopped, flow, 0)?;
                return Ok(Next::Go(stopped, 0));
            }
            nr::RT_SIGRETURN => return self.sigreturn(stopped, flow),
            nr::EXECVE | nr::EXECVEAT => return self.exec(stopped, &regs, flow),
            _ => {}
        }
        let changed = match self.before(&stopped, &regs, &mut flow)? {
            Before::Answer(result) => {
                stopped.skip_call(result)?;
                return self.finish(stopped, &regs, flow, result);
            }
            Before::Run(changed) => changed,
        };
        if let Some(changed) = &changed {
            stopped.set_registers(changed)?;
        }
        let before = match resumed {
            Some(original) => original.before,
            None => time::times_left(flow.shape, &flow.call.args, &stopped),
        };
        let stopped = match self.run_call(stopped, &regs, &flow)? {
            Ran::Returned(stopped) => stopped,
            Ran::Anew(stopped) => return self.call(stopped),
            Ran::Dead(status) => return Ok(Next::Dead(status)),
        };
        let mut after = stopped.registers()?;
        let mut result = after.rax.cast_signed();
        if changed.is_some() {
            [after.rdi, after.rsi, after.rdx, after.r10, after.r8, after.r9] =
                [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9];
            after.orig_rax = regs.orig_rax;
            result = self.after_changed(&stopped, &mut flow, result)?;
            after.rax = abi::word(result);
            stopped.set_registers(&after)?;
        }
        let shown = self.shown_id(stopped.pid(), &flow, result);
        if shown != result {
            result = shown;
            after.rax = abi::word(result);
            stopped.set_registers(&after)?;
        }
        self.after(&stopped, &mut flow, result)?;
        if result == signals::RESTART_BLOCK {
            self.restart = Some(Resumable { shape, args: call.args, before });
        }
        self.finish_executed(stopped, flow, result, &after)
    }

    /// Whether the server stands where a call begins. Not where the call has been made already, and not where one goes on that was
    /// interrupted: from there a replica could not go live.
    pub(super) fn begins(&self, call: &Call) -> bool {
        call.number != u64::from(nr::RESTART_SYSCALL)
            && self.inside.as_ref().is_none_or(|inside| !inside.shared.is_finished())
    }

    /// Looks at the server's memory where a call begins, if it is time to.
    pub(super) fn check_memory(&mut self, stopped: &Stopped, call: &Call) -> Result<(), RecordingError> {
        let last = [nr::EXIT, nr::EXIT_GROUP].map(u64::from).contains(&call.number);
        let checks = self.journal().checks_memory();
        if checks && (last || self.journal().check_is_due()) && self.begins(call) {
            let scope = if last { Scope::Readable } else { Scope::Writable };
            let record = memory_check::record(stopped, scope)?;
            self.append(&record, "a look at memory")?;
        }
        Ok(())
    }

    /// The shape, or the errno of a refusal.
    pub(super) fn shape_of(&mut self, call: &Call) -> Result<Result<&'static Shape, i32>, RecordingError> {
        if children::starts_a_thread(call) {
            return Err(RecordingError::Unsupported {
                what: "clone to start a second thread".into(),
                advice: "configure the server to run single-threaded",
            });
        }
        if let Some(what) =
            memory::touches_own_memory(call).or_else(|| self.discards_a_copy(call)).or_else(|| self.moves_a_patch(call))
        {
            return Ok(Err(self.warn(&syscall::Refusal::new(what, libc::EINVAL))));
        }
        self.keep_from_children(call);
        if let Some(what) = self.writes_a_used_file(call) {
            return Ok(Err(self.warn(&syscall::Refusal::new(what, libc::EACCES))));
        }
        Ok(syscall::resolve(call.number, &call.args).map_err(|refusal| self.warn(&refusal)))
    }

    pub(super) fn warn(&mut self, refusal: &syscall::Refusal) -> i32 {
        let text = refusal.to_string();
        if self.refused.insert(text.clone()) {
            crate::say!("{text}");
        }
        refusal.errno
    }

    pub(super) fn refuse(
        &mut self,
        stopped: Stopped,
        regs: &Registers,
        call: &Call,
        errno: i32,
    ) -> Result<Next, RecordingError> {
        let result = -i64::from(errno);
        stopped.skip_call(result)?;
        self.leave_other_files_to_children();
        let number = u16::try_from(call.number).unwrap_or(u16::MAX);
        let mut record = Record::new(Kind::Call, number, result).with_args(&call.args);
        record.check = Digest::of_refusal(&checked(regs)).finish();
        self.append(&record, "a refused call")?;
        self.look_for_signals(&stopped, regs, call.number, None)?;
        Ok(Next::Go(stopped, 0))
    }

    /// Records a call that ftrun has answered; the process goes on with that answer.
    pub(super) fn finish(
        &mut self,
        stopped: Stopped,
        regs: &Registers,
        flow: InCall,
        result: i64,
    ) -> Result<Next, RecordingError> {
        let (number, short) = (flow.call.number, flow.shape.number);
        self.record(&stopped, flow, result)?;
        self.look_for_signals(&stopped, regs, number, None)?;
        if self.at_exit.is_none() {
            self.patch_site(&stopped, regs.rip, short)?;
        }
        Ok(Next::Go(stopped, 0))
    }

    pub(super) fn finish_executed(
        &mut self,
        stopped: Stopped,
        flow: InCall,
        result: i64,
        after: &Registers,
    ) -> Result<Next, RecordingError> {
        let number = flow.call.number;
        // A call that was not interrupted has put the server's own mask back.
        let interrupted = result == -i64::from(libc::EINTR) || signals::is_restart(result);
        let temporary = interrupted.then(|| signal::temporary_mask(&flow.gathered.inputs, flow.shape.number)).flatten();
        let new_code = memory::new_code(&flow.call, result);
        let (shape, short, args) = (flow.shape, flow.shape.number, flow.call.args);
        self.record(&stopped, flow, result)?;
        self.note_outside(&stopped, shape, &args, result)?;
        let stopped = match new_code {
            Some(code) => self.patch(stopped, code)?,
            None => stopped,
        };
        self.look_for_signals(&stopped, after, number, temporary)?;
        if self.at_exit.is_none() && !signals::is_restart(result) {
            self.patch_site(&stopped, after.rip, short)?;
        }
        Ok(Next::Go(stopped, 0))
    }

    pub(super) fn record(&mut self, stopped: &Stopped, flow: InCall, result: i64) -> Result<(), RecordingError> {
        let InCall { shape, call, gathered, extra } = flow;
        let memory = |fault| RecordingError::Memory { call: shape.name, fault };
        let record = Record::new(Kind::Call, call.record_number(), result);
        let mut record = record.with_logged(&call.args, shape.logged());
        let (bulk, check) = syscall::at_exit(&gathered, shape, &call.args, result, stopped).map_err(memory)?;
        record.check = check;
        record.segments = syscall::outputs(&gathered, shape, &call.args, result, stopped).map_err(memory)?;
        record.segments.extend(gathered.inputs);
        record.segments.extend(extra);
        if !bulk.is_empty() && self.kernel().carries_data(abi::int(call.args[0])) {
            record.segments.push(Segment { address: 0, role: SegmentRole::Sent, arg: 1, bytes: bulk });
        }
        self.append(&record, shape.name)
    }

    pub(super) fn fault(shape: &'static Shape) -> impl Fn(Fault) -> RecordingError {
        move |fault| RecordingError::Memory { call: shape.name, fault }
    }
}

/// What is to be done instead of simply executing a call.
#[expect(clippy::large_enum_variant, reason = "it lives for one call, on the stack")]
pub(crate) enum Before {
    /// It runs, with these registers if they differ from the server's.
    Run(Option<Registers>),
    /// It does not run: this is its result.
    Answer(i64),
}

impl Recorder<'_> {
    /// Calls that are not executed as they stand.
    pub(super) fn before(
        &mut self,
        stopped: &Stopped,
        regs: &Registers,
        flow: &mut InCall,
    ) -> Result<Before, RecordingError> {
        match flow.shape.number {
            nr::BIND | nr::LISTEN | nr::CLOSE | nr::SENDMSG | nr::SENDMMSG => self.before_net(stopped, regs, flow),
            nr::SENDFILE => self.before_sendfile(stopped, regs, flow),
            nr::TIMER_CREATE | nr::TIMER_SETTIME | nr::TIMER_GETOVERRUN => self.before_timer(stopped, regs, flow),
            nr::CLOCK_NANOSLEEP | nr::TIMERFD_SETTIME => Ok(Before::Run(self.real_deadline(stopped, regs, flow)?)),
            nr::CLONE | nr::FORK | nr::VFORK => Ok(Before::Run(children::with_own_memory(regs, &flow.call))),
            _ => Ok(match self.of_killed_child(stopped, flow) {
                Some(answer) => answer,
                None => self.with_real_ids(stopped, regs, flow),
            }),
        }
    }

    /// What has to be put right, or learnt, after a call has executed.
    pub(super) fn after(&mut self, stopped: &Stopped, flow: &mut InCall, result: i64) -> Result<(), RecordingError> {
        match flow.shape.number {
            nr::BIND | nr::LISTEN | nr::ACCEPT | nr::ACCEPT4 | nr::CONNECT => self.after_net(stopped, flow, result),
            nr::GETSOCKNAME | nr::GETPEERNAME | nr::GETSOCKOPT => self.after_net(stopped, flow, result),
            nr::MMAP | nr::MUNMAP | nr::MREMAP | nr::MADVISE | nr::MPROTECT => {
                let done = self.after_memory(stopped, flow, result);
                self.leave_other_files_to_children();
                done
            }
            nr::WRITE | nr::WRITEV | nr::PWRITE64 | nr::PWRITEV | nr::PWRITEV2 | nr::SENDFILE => {
                self.after_file_change(stopped, flow, result);
                Ok(())
            }
            nr::COPY_FILE_RANGE | nr::FTRUNCATE | nr::FALLOCATE | nr::TRUNCATE => {
                self.after_file_change(stopped, flow, result);
                Ok(())
            }
            nr::OPEN | nr::OPENAT | nr::OPENAT2 | nr::CREAT if result >= 0 => {
                self.path_of(stopped.pid(), &format!("fd/{result}"), flow);
                self.after_truncating_open(stopped, flow, result);
                Ok(())
            }
            nr::CHDIR | nr::FCHDIR | nr::CHROOT if result == 0 => {
                self.path_of(stopped.pid(), "cwd", flow);
                Ok(())
            }
            nr::INOTIFY_ADD_WATCH if result >= 0 => {
                self.watched_path(flow);
                Ok(())
            }
            // With EFAULT they may have been set: what was before could not be written.
            nr::SETITIMER | nr::ALARM | nr::TIMERFD_SETTIME if result >= 0 || result == -i64::from(libc::EFAULT) => {
                self.note_time(flow);
                self.note_expiry(stopped.pid(), flow);
                Ok(())
            }
            // It is set though what it was before cannot be written.
            nr::TIMER_SETTIME if result >= 0 || result == -i64::from(libc::EFAULT) => {
                self.note_time(flow);
                Ok(())
            }
            nr::CLOCK_GETTIME if result == 0 => self.shift_clock(stopped, flow),
            nr::CLONE | nr::FORK | nr::VFORK => {
                flow.extra.append(&mut self.born);
                Ok(())
            }
            nr::READ if result > 0 => self.show_senders(stopped, flow, result),
            nr::RT_SIGTIMEDWAIT if result > 0 => self.show_sender(stopped, flow),
            nr::FCNTL if result == 0 => self.show_owner(stopped, flow),
            _ => Ok(()),
        }
    }

    /// After a call that ran with changed registers: what it left in the scratch area.
    pub(super) fn after_changed(
        &mut self,
        stopped: &Stopped,
        flow: &mut InCall,
        result: i64,
    ) -> Result<i64, RecordingError> {
        let result =
            if flow.shape.number == nr::SENDFILE { self.after_sendfile(stopped, flow, result)? } else { result };
        stopped.write(inject::SCRATCH, &vec![0; inject::SCRATCH_LEN])?;
        Ok(result)
    }
}

pub(crate) fn meta(role: SegmentRole, bytes: Vec<u8>) -> Segment {
    Segment { address: 0, role, arg: 0, bytes }
}
