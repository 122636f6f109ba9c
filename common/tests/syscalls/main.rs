//! The table of system calls from outside: it has what servers need, says so in the documentation, and bears any arguments.

extern crate ftrun_common as common;

mod coverage;
mod document;
mod headers;
mod random;
