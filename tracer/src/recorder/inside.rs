//! The recorder's part of the fast layer: which calls and descriptors the interceptor may take, which sites go there, and what
//! becomes of a signal that finds the server in it.

use common::abi;
use common::digest::Digest;
use common::kernel::{Object, TcpState};
use common::record::Record;
use common::syscall::{self, Memory, Shape, nr};

use super::descriptors::{self, Changed, Unmapped};
use super::signal::Treatment;
use super::{InCall, Next, Recorder, RecordingError};
use crate::files::{FileAreas, FileId};
use crate::inject::Held;
use crate::interceptor::code::{self, FRAME_LEN};
use crate::interceptor::layout::{BLOCKS, CLOCKS, MAY_ACCEPT, MAY_CLOSE, MAY_READ, MAY_USE, MAY_WRITE, OF_ACCEPTED};
use crate::interceptor::patches::Patches;
use crate::interceptor::shared::{Mode, Shared};
use crate::interceptor::{Layer, Manner, calls};
use crate::launch;
use crate::signals;
use crate::tracee::{Call, Registers, Stopped, call_of, checked};

/// The fast layer of one server.
pub(super) struct Inside<'a> {
    pub(super) shared: &'a Shared,
    pub(super) patches: Patches,
    unmapped: Unmapped,
    pub(super) layer: Layer,
    /// Of [`Layer::Mixed`].
    random: u64,
}

impl<'a> Inside<'a> {
    pub(super) fn new(shared: &'a Shared, manner: Manner, patches: Patches) -> Self {
        Self { shared, patches, unmapped: Unmapped::default(), layer: manner.layer, random: manner.seed | 1 }
    }

    /// Whether the next site is to go through the interceptor.
    pub(super) fn chooses(&mut self) -> bool {
        match self.layer {
            Layer::Complete => false,
            Layer::Fast => true,
            Layer::Mixed => {
                // xorshift: any sequence does.
                self.random ^= self.random << 13;
                self.random ^= self.random >> 7;
                self.random ^= self.random << 17;
                self.random & 0x100 != 0
            }
        }
    }
}

impl Recorder<'_> {
    /// Lets the interceptor record from now on.
    pub(super) fn start_inside(&mut self) {
        let Some(inside) = &self.inside else { return };
        let shared = inside.shared;
        shared.reset();
        shared.set_pid(self.kernel().identity().pid);
        for call in calls::ALL {
            let ids = matches!(
                call.number,
                nr::GETPPID | nr::GETUID | nr::GETEUID | nr::GETGID | nr::GETEGID | nr::CLOCK_NANOSLEEP
            );
            shared.allow(call.number, !(self.adopted && ids));
        }
        for clock in 0..CLOCKS {
            shared.set_clock_offset(clock, self.offset_of(abi::int(clock)));
        }
        self.refresh_descriptors();
        self.start_counter();
        let inside = self.inside.as_ref().map(|inside| inside.layer);
        if inside.is_some_and(|layer| layer != Layer::Complete) {
            shared.set_mode(Mode::Record);
        }
    }

    /// What may be done with a descriptor in process; `unmapped` says that it is open on a file that is not mapped.
    fn rights(&self, fd: i32, unmapped: bool) -> u8 {
        // A file does not let the server wait as a peer does.
        let is_file = matches!(self.kernel().object(fd), Some(Object::File(_)));
        let waits =
            self.kernel().descriptors().get(fd).is_some_and(|open| open.flags & libc::O_NONBLOCK == 0) && !is_file;
        self.uses(fd, unmapped) | if waits { BLOCKS } else { 0 }
    }

    fn uses(&self, fd: i32, unmapped: bool) -> u8 {
        match self.kernel().object(fd) {
            None | Some(Object::Opaque { .. } | Object::SignalFd { .. } | Object::Netlink(_)) => 0,
            Some(Object::Tcp(tcp)) => match tcp.state {
                TcpState::Accepted(_) => OF_ACCEPTED,
                TcpState::Listening { .. } => MAY_ACCEPT | MAY_USE,
                _ => MAY_USE,
            },
            Some(Object::File(_)) if unmapped => MAY_READ | MAY_WRITE | MAY_USE | MAY_CLOSE,
            // What is written there shows in memory: the tracer puts that into the log.
            Some(Object::File(_)) => MAY_READ | MAY_USE | MAY_CLOSE,
            Some(Object::Epoll(_)) => MAY_USE,
            Some(Object::Udp(_) | Object::Unix(_)) => MAY_READ | MAY_USE,
            // What is written there stands in the log.
            Some(_) if self.kernel().carries_data(fd) => MAY_READ | MAY_USE,
            Some(_) => MAY_READ | MAY_WRITE | MAY_USE,
        }
    }

    /// What may be done with each descriptor in process.
    pub(super) fn refresh_descriptors(&mut self) {
        let open: Vec<i32> = self.kernel().descriptors().numbers().map(|(fd, _)| fd).collect();
        open.into_iter().for_each(|fd| self.refresh_descriptor(fd));
    }

    /// What may be done with one descriptor in process, after it changed.
    pub(super) fn refresh_descriptor(&mut self, fd: i32) {
        let file = match self.kernel().object(fd) {
            Some(Object::File(_)) => FileId::of_descriptor(self.pid, fd).filter(|file| !self.file_areas.maps(*file)),
            _ => None,
        };
        let rights = self.rights(fd, file.is_some());
        let Some(inside) = &mut self.inside else { return };
        inside.unmapped.note(fd, file);
        inside.shared.set_descriptor(fd, rights);
    }

    /// After a call that was made outside: what it changed for those in process.
    ///
    /// # Errors
    /// [`RecordingError::Memory`] if the numbers that it wrote cannot be read.
    pub(super) fn note_outside(
        &mut self,
        stopped: &Stopped,
        shape: &'static Shape,
        args: &[u64; 6],
        result: i64,
    ) -> Result<(), RecordingError> {
        let Some(inside) = &self.inside else { return Ok(()) };
        if result < 0 {
            return Ok(());
        }
        match descriptors::changed(shape.number, args, result) {
            Changed::Nothing => {}
            Changed::One(fd) => self.refresh_descriptor(fd),
            Changed::Range(first, last) => (first..=last).for_each(|fd| self.refresh_descriptor(fd)),
            Changed::Pair(address) => {
                let mut pair = [0; 8];
                stopped.read(address, &mut pair).map_err(Self::fault(shape))?;
                let (numbers, _) = pair.as_chunks();
                numbers.iter().for_each(|number| self.refresh_descriptor(i32::from_le_bytes(*number)));
            }
            Changed::OnFileOf(fd) => {
                let file = FileId::of_descriptor(self.pid, fd);
                let open: Vec<i32> = file.map(|file| inside.unmapped.on(file).collect()).unwrap_or_default();
                open.into_iter().for_each(|fd| self.refresh_descriptor(fd));
            }
        }
        Ok(())
    }

    /// A call came outside although it is one for the interceptor: perhaps its site is not patched yet.
    pub(super) fn patch_site(&mut self, stopped: &Stopped, rip: u64, number: u16) -> Result<(), RecordingError> {
        let Some(inside) = &mut self.inside else { return Ok(()) };
        if inside.layer == Layer::Complete
            || inside.patches.is_settled(rip)
            || !calls::ALL.iter().any(|call| call.number == number)
        {
            return Ok(());
        }
        if !inside.chooses() {
            inside.patches.leave(rip);
            return Ok(());
        }
        let Some(area) = fixed_code(stopped, &self.file_areas, rip - 2) else {
            inside.patches.leave(rip);
            return Ok(());
        };
        match inside.patches.plan(stopped, area, rip, number.into()) {
            Some(record) => self.make_patch(stopped, rip, &record),
            None => Ok(()),
        }
    }

    /// A patch that has been planned is made; the process stands at `rip`, behind the call or the instruction that it replaces.
    pub(super) fn make_patch(&mut self, stopped: &Stopped, rip: u64, record: &Record) -> Result<(), RecordingError> {
        let Some(inside) = &mut self.inside else { return Ok(()) };
        for segment in &record.segments {
            stopped.write(segment.address, &segment.bytes)?;
        }
        inside.patches.learn(record);
        if let Some(moved) = inside.patches.moved(rip) {
            let mut regs = stopped.registers()?;
            regs.rip = moved;
            stopped.set_registers(&regs)?;
        }
        self.append(record, "a patch")
    }

    /// The refused call, if it would move code with patches in it: their jumps lead to trampolines from where they stand.
    pub(super) fn moves_a_patch(&self, call: &Call) -> Option<String> {
        let [start, len, new_len, flags, ..] = call.args;
        let moves = flags & libc::MREMAP_FIXED as u64 != 0 || flags & libc::MREMAP_MAYMOVE as u64 != 0 && new_len > len;
        let moves = call.number == u64::from(nr::MREMAP) && moves;
        let hit = moves && self.inside.as_ref().is_some_and(|inside| inside.patches.any_within(start, len));
        hit.then(|| "mremap of code that has been used".to_owned())
    }

    /// Where code that a signal frame returns to is now.
    pub(super) fn moved(&self, rip: u64) -> Option<u64> {
        self.inside.as_ref()?.patches.moved(rip)
    }

    /// The server's registers while it is in the interceptor, as if it had made its call at the trampoline.
    fn application(stopped: &Stopped, here: &Registers) -> Result<Registers, RecordingError> {
        let frame = stopped.bytes(code::places().frame, FRAME_LEN);
        let frame = frame.map_err(|fault| RecordingError::Memory { call: "a call made in process", fault })?;
        Ok(code::registers_of(&frame, here))
    }

    /// A signal finds the server in the interceptor. `Err` gives the process back when the signal is like any other.
    pub(super) fn signal_inside(
        &mut self,
        stopped: Stopped,
        signal: i32,
        held: &Held,
        regs: &Registers,
    ) -> Result<Result<Next, Stopped>, RecordingError> {
        let places = code::places();
        let Some(inside) = &self.inside else { return Ok(Err(stopped)) };
        let (own, made) = inside.shared.state();
        if signals::is_fault(signal, &held.info) {
            if made {
                return Err(RecordingError::Inside { signal, rip: regs.rip });
            }
            let mut leave = *regs;
            leave.rip = places.abandon;
            let (stopped, more) = signals::undo_forced(stopped, &leave, signal, self.kernel().signals())?;
            self.held.extend(more);
            return Ok(Ok(Next::Go(stopped, 0)));
        }
        if own {
            return Ok(Err(stopped));
        }
        if regs.rip == places.check || regs.rip == places.call {
            let mut leave = *regs;
            leave.rip = places.abandon;
            leave.orig_rax = u64::MAX;
            stopped.set_registers(&leave)?;
            return Ok(Err(stopped));
        }
        if regs.rip != places.behind || regs.orig_rax.cast_signed() < 0 {
            return Ok(Err(stopped));
        }
        let result = regs.rax.cast_signed();
        let interrupted = is_interrupted(result);
        let digest = inside.shared.digest();
        let mut back = Self::application(&stopped, regs)?;
        let number = back.rax;
        match self.treatment(signal) {
            Treatment::Fatal => return Ok(Err(stopped)),
            Treatment::Drop | Treatment::Pass if !interrupted => return Ok(Err(stopped)),
            treatment @ (Treatment::Drop | Treatment::Pass) => {
                // Made again, outside.
                back.rip -= 2;
                back.orig_rax = u64::MAX;
                stopped.set_registers(&back)?;
                return Ok(Ok(Next::Go(stopped, if treatment == Treatment::Pass { signal } else { 0 })));
            }
            Treatment::Handle => {}
        }
        back.orig_rax = number;
        back.rax = regs.rax;
        stopped.set_registers(&back)?;
        let call = call_of(&back);
        let Ok(shape) = syscall::resolve(number, &call.args) else { return Ok(Err(stopped)) };
        let gathered = syscall::at_entry(shape, &call.args, &checked(&back), &stopped).with_digest(digest);
        let mut flow = InCall { shape, call, gathered, extra: Vec::new() };
        self.after(&stopped, &mut flow, result)?;
        if result == signals::RESTART_BLOCK {
            self.restart = Some(super::Resumable { shape, args: call.args, before: Vec::new() });
        }
        self.record(&stopped, flow, result)?;
        self.note_outside(&stopped, shape, &call.args, result)?;
        self.at_exit = Some(super::signal::AtExit { rip: back.rip, rsp: back.rsp, number, temporary: None });
        Ok(Err(stopped))
    }

    /// A call that the interceptor has made was interrupted for nothing that the server may know of: where that would show in its result,
    /// it is made again, outside.
    pub(super) fn again_outside(&self, stopped: &Stopped, regs: &Registers) -> Result<(), RecordingError> {
        let Some(inside) = &self.inside else { return Ok(()) };
        let (own, _) = inside.shared.state();
        let returned = !own && regs.rip == code::places().behind && regs.orig_rax.cast_signed() >= 0;
        if returned && is_interrupted(regs.rax.cast_signed()) {
            let mut back = Self::application(stopped, regs)?;
            back.rip -= 2;
            back.orig_rax = u64::MAX;
            stopped.set_registers(&back)?;
        }
        Ok(())
    }

    /// Whether the call at this stop has been made in process already: its result, and the digest of what it read.
    pub(super) fn finished_inside(&self) -> Option<(i64, Digest)> {
        let shared = self.inside.as_ref()?.shared;
        Some((shared.take_finished()?, shared.digest()))
    }
}

/// The area of code that the instruction at `at` is in, where it is of a file and the program cannot change it.
pub(super) fn fixed_code(stopped: &Stopped, file_areas: &FileAreas, at: u64) -> Option<(u64, u64)> {
    let maps = launch::maps(stopped.pid()).ok()?;
    let area = maps.into_iter().find(|mapping| (mapping.start..mapping.end).contains(&at))?;
    let is_fixed = area.prot & (libc::PROT_WRITE | libc::PROT_EXEC) == libc::PROT_EXEC && !area.shared;
    let is_of_a_file = area.name.starts_with('/') || file_areas.contains(at);
    (is_fixed && is_of_a_file).then_some((area.start, area.end))
}

fn is_interrupted(result: i64) -> bool {
    signals::is_restart(result) || result == -i64::from(libc::EINTR)
}
