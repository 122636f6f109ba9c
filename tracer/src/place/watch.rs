//! The replaying side: a process runs until its state is that of a position.

use common::abi;
use common::kernel::Signals;
use common::position::{Position, Ticks};
use common::syscall::{Memory, nr};

use super::PlaceError;
use super::near::TRAP_BREAKPOINT;
use super::state::{self, Agreement};
use super::stub::{self, Piece, Stub};
use super::undo::Undo;
use crate::inject::Session;
use crate::launch;
use crate::signals;
use crate::sys::ptrace::Resume;
use crate::ticks::TickSource;
use crate::tracee::{Event, Registers, Stopped};

/// Ticks by which the two sides may differ: ftrun's own code runs before the one stop and after the other.
const SLACK: u64 = 64;

/// What came of it.
#[derive(Debug)]
pub enum Reached {
    /// The process stands at the position.
    Here(Stopped),
    /// It came to something else before: the position does not lie ahead of it.
    Elsewhere(Event),
}

/// What it took to come to positions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looks {
    /// Positions.
    pub positions: u64,
    /// Of these, those for which the process was stopped by a breakpoint each time that it came by.
    pub by_breakpoint: u64,
    /// Stops at a position's instruction.
    pub stops: u64,
    /// Of these, those at which nothing but the memory as a whole was different.
    pub near: u64,
    /// Positions most of the way to which was counted and not looked at.
    pub counted: u64,
    /// Of these, those that the counter has taken the process past: it was set back, and came there without.
    pub undone: u64,
}

/// How the process is made to stop at the position's instruction.
#[derive(Debug)]
enum Trap {
    /// A jump to code that compares.
    Stub {
        stub: Stub,
        /// What the jump replaces.
        pieces: Vec<Piece>,
        original: Vec<u8>,
    },
    /// A hardware breakpoint: each time stops the process.
    Breakpoint,
}

impl Trap {
    /// Makes ready for a position, and gives the process, which has moved no further.
    fn prepare(stopped: Stopped, position: &Position) -> Result<(Self, Stopped), PlaceError> {
        let Some(pieces) = stub::run_at(&stopped, position.rip()) else { return Ok((Self::Breakpoint, stopped)) };
        let areas = launch::maps(stopped.pid())?;
        let is_free = |start: u64, end: u64| !areas.iter().any(|area| start < area.end && end > area.start);
        let Some(stub) = stub::build(position, &pieces, is_free) else { return Ok((Self::Breakpoint, stopped)) };
        let Ok(original) = stopped.bytes(position.rip(), stub.jump.len()) else {
            return Ok((Self::Breakpoint, stopped));
        };
        let stopped = match stub.pages() {
            None => stopped,
            Some((start, end)) => {
                let regs = stopped.registers()?;
                let session = Session::begin(stopped, regs);
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
                let protection = libc::PROT_READ | libc::PROT_EXEC;
                let args = [start, end - start, abi::word(protection), abi::word(flags), u64::MAX, 0];
                session.call(nr::MMAP.into(), args)?.0.end()?.0
            }
        };
        stopped.write(stub.at, &stub.code)?;
        Ok((Self::Stub { stub, pieces, original }, stopped))
    }

    /// The position has another word to compare.
    fn learn(&mut self, stopped: &Stopped, position: &Position) -> Result<(), PlaceError> {
        if let Self::Stub { stub, pieces, .. } = self
            && let Some(better) = stub::build_at(position, pieces, stub.at).filter(|better| better.fits(stub))
        {
            stopped.write(better.at, &better.code)?;
            *stub = better;
        }
        Ok(())
    }

    fn set(&self, stopped: &Stopped, rip: u64) -> Result<(), PlaceError> {
        match self {
            Self::Stub { stub, .. } => stopped.write(rip, &stub.jump)?,
            Self::Breakpoint => stopped.set_breakpoint(Some(rip))?,
        }
        Ok(())
    }

    fn lift(&self, stopped: &Stopped, rip: u64) -> Result<(), PlaceError> {
        match self {
            Self::Stub { original, .. } => stopped.write(rip, original)?,
            Self::Breakpoint => stopped.set_breakpoint(None)?,
        }
        Ok(())
    }

    /// Takes away what [`Trap::prepare`] has made; the process goes on at `regs`.
    fn clear(self, stopped: Stopped, regs: &Registers) -> Result<Stopped, PlaceError> {
        let Self::Stub { stub, .. } = self else { return Ok(stopped) };
        let Some((start, end)) = stub.pages() else { return Ok(stopped) };
        let session = Session::begin(stopped, *regs);
        Ok(session.call(nr::MUNMAP.into(), [start, end - start, 0, 0, 0, 0])?.0.end()?.0)
    }

    /// The registers with which the process stands before the instruction, if it has stopped for that.
    fn caught(&self, stopped: &Stopped, signal: i32, rip: u64) -> Result<Option<Registers>, PlaceError> {
        if signal != libc::SIGTRAP {
            return Ok(None);
        }
        let mut regs = stopped.registers()?;
        let caught = match self {
            Self::Stub { stub, .. } => regs.rip == stub.found,
            Self::Breakpoint => regs.rip == rip && signals::code(&stopped.siginfo()?) == TRAP_BREAKPOINT,
        };
        regs.rip = rip;
        Ok(caught.then_some(regs))
    }

    /// Whether the process came to an instruction that the jump has replaced, from elsewhere: it goes on in the stub.
    fn led_on(&self, stopped: &Stopped, signal: i32) -> Result<bool, PlaceError> {
        let Self::Stub { stub, .. } = self else { return Ok(false) };
        let mut regs = stopped.registers()?;
        let Some(on) = stub.on_from(regs.rip).filter(|_| signal == libc::SIGTRAP) else { return Ok(false) };
        regs.rip = on;
        stopped.set_registers(&regs)?;
        Ok(true)
    }
}

/// Runs a process that stands between two calls, where the record before left it, to a position ahead of it: what `ticks` can count of the way without a look. Signals
/// that somebody sent to it are dropped; `signals` is what the model knows of them.
///
/// A counter that does not keep what it promised, and takes the process past the position, costs time only: what the process did is undone, and it goes the
/// same way without.
///
/// # Errors
/// When the process is gone, or cannot be counted.
pub fn reach(
    mut stopped: Stopped,
    position: &Position,
    ticks: Option<&mut (dyn TickSource + '_)>,
    signals: &Signals,
    looks: &mut Looks,
) -> Result<Reached, PlaceError> {
    looks.positions += 1;
    if let (Some(source), Some(Ticks { unit, count })) = (ticks, position.ticks)
        && unit == source.unit()
        && let Some(blind) = count.checked_sub(source.skid() + SLACK).filter(|blind| *blind > 0)
    {
        let (now, undo) = Undo::prepare(stopped)?;
        stopped = now;
        if let Some(undo) = undo {
            looks.counted += 1;
            let Missed { event, trap } = match source.advance(stopped, blind)? {
                Event::Interrupted(stopped) if source.count()? + SLACK <= count => {
                    match seek(stopped, position, looks)? {
                        Ok(stopped) => return Ok(Reached::Here(stopped)),
                        Err(missed) => missed,
                    }
                }
                event => Missed { event, trap: None },
            };
            looks.undone += 1;
            stopped = match undo.undo(event, signals)? {
                Ok(stopped) => stopped,
                Err(status) => return Ok(Reached::Elsewhere(Event::Dead(status))),
            };
            if let Some(trap) = trap {
                let regs = stopped.registers()?;
                stopped = trap.clear(stopped, &regs)?;
            }
        }
    }
    Ok(match seek(stopped, position, looks)? {
        Ok(stopped) => Reached::Here(stopped),
        Err(missed) => Reached::Elsewhere(missed.event),
    })
}

/// A process has come to something else than the position.
struct Missed {
    event: Event,
    /// What was to stop it, lifted.
    trap: Option<Trap>,
}

/// Runs a process to a position ahead of it, by looks at its state.
fn seek(stopped: Stopped, position: &Position, looks: &mut Looks) -> Result<Result<Stopped, Missed>, PlaceError> {
    let rip = position.rip();
    looks.stops += 1;
    let regs = stopped.registers()?;
    if state::compare(&stopped, &regs, position, None)? == Agreement::Whole {
        return Ok(Ok(stopped));
    }
    let (mut trap, stopped) = Trap::prepare(stopped, position)?;
    looks.by_breakpoint += u64::from(matches!(trap, Trap::Breakpoint));
    let mut position = position.clone();
    // Where the last round differed that agreed otherwise.
    let mut suspect = None;
    trap.set(&stopped, rip)?;
    let mut event = stopped.run(Resume::Continue, 0)?;
    loop {
        event = match event {
            Event::Signal(stopped, signal) => match trap.caught(&stopped, signal, rip)? {
                Some(regs) => {
                    looks.stops += 1;
                    // The digest is of what the server has written, not of what stands there for a while.
                    trap.lift(&stopped, rip)?;
                    match state::compare(&stopped, &regs, &position, suspect)? {
                        Agreement::Whole => {
                            let regs = state::undebugged(&regs);
                            stopped.set_registers(&regs)?;
                            return Ok(Ok(trap.clear(stopped, &regs)?));
                        }
                        // From now on that word is compared as well.
                        Agreement::Word(address, content) => {
                            position.words.insert(0, (address, content));
                            trap.learn(&stopped, &position)?;
                        }
                        Agreement::Near(set) => {
                            looks.near += 1;
                            suspect = set.or(suspect);
                        }
                        Agreement::Other => {}
                    }
                    trap.set(&stopped, rip)?;
                    if let Trap::Stub { stub, .. } = &trap {
                        let mut on = regs;
                        on.rip = stub.moved.first().map_or(rip, |(_, is)| *is);
                        stopped.set_registers(&on)?;
                    }
                    stopped.run(Resume::Continue, 0)?
                }
                None if !signals::is_fault(signal, &stopped.siginfo()?) || trap.led_on(&stopped, signal)? => {
                    stopped.run(Resume::Continue, 0)?
                }
                None => {
                    trap.lift(&stopped, rip)?;
                    let mut regs = stopped.registers()?;
                    if let Trap::Stub { stub, .. } = &trap
                        && let Some(known) = stub.known_as(regs.rip)
                    {
                        regs.rip = known;
                        stopped.set_registers(&regs)?;
                    }
                    return Ok(Err(Missed { event: Event::Signal(stopped, signal), trap: Some(trap) }));
                }
            },
            Event::Dead(status) => return Ok(Err(Missed { event: Event::Dead(status), trap: None })),
            other => {
                if let Some(stopped) = other.stopped() {
                    trap.lift(stopped, rip)?;
                }
                return Ok(Err(Missed { event: other, trap: Some(trap) }));
            }
        };
    }
}
