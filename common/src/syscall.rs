//! System calls: one table of shapes that drives recorder, replayer, dump and the documentation.
//!
//! A [`Shape`] says how a call is treated on either side ([`Class`]), and which of its arguments point to memory, in which
//! direction and how long ([`Pointer`]). [`resolve`] finds the shape of an actual call; multiplexed calls (ioctl, fcntl, prctl
//! ...) have one shape for each known operation. What is not in the table is refused by name.

pub mod exec;
pub mod gather;
pub mod names;
pub mod nr;
pub mod operations;
pub mod rules;
pub mod shape;
pub mod table;

pub use gather::{Fault, Gathered, Memory, at_entry, at_exit, outputs};
pub use shape::{Class, Direction, Length, Pointer, Refusal, Shape};

/// Finds the shape of a call with these arguments.
///
/// # Errors
/// A [`Refusal`] names what ftrun does not carry: the call, or the operation or flag of a multiplexed one.
pub fn resolve(number: u64, args: &[u64; 6]) -> Result<&'static Shape, Refusal> {
    if let Some(shapes) = operations::of(number) {
        return operations::resolve(args, shapes);
    }
    let index = usize::try_from(number).unwrap_or(usize::MAX);
    let shape = table::find(index).ok_or_else(|| Refusal::unknown_call(number))?;
    rules::check(shape, args)?;
    Ok(shape)
}
