//! execve(2) and execveat(2) beyond what a [`Shape`](super::Shape) says: the arguments and the environment.

use super::gather::{Memory, c_string};
use super::nr;
use crate::digest::Digest;

/// Strings in one array: beyond that, and beyond these bytes in all, the kernel gives E2BIG (execve(2), limits on size).
const MAX_STRINGS: usize = 1 << 20;
const MAX_BYTES: usize = 8 << 20;

/// Where the arrays of arguments and environment are.
#[must_use]
pub fn arrays(number: u16, args: &[u64; 6]) -> [u64; 2] {
    if number == nr::EXECVEAT { [args[2], args[3]] } else { [args[1], args[2]] }
}

/// What stands in the check of a record of an exec: `check` is that of the call, the other two are its arrays of strings.
#[must_use]
pub fn check(check: u64, arguments: u64, environment: u64, memory: &dyn Memory) -> u64 {
    let mut digest = Digest::new();
    digest.word(check);
    for array in [arguments, environment] {
        strings(&mut digest, array, memory);
    }
    digest.finish()
}

fn strings(digest: &mut Digest, array: u64, memory: &dyn Memory) {
    let mut left = MAX_BYTES;
    for index in 0..MAX_STRINGS as u64 {
        // A null pointer stands for no strings.
        let raw = memory.bytes(array.saturating_add(8 * index), 8).ok().filter(|_| array != 0);
        let at = raw.and_then(|raw| raw.try_into().ok()).map_or(0, u64::from_le_bytes);
        let Ok(string) = c_string(memory, at) else { break };
        if at == 0 || string.len() > left {
            break;
        }
        left -= string.len();
        digest.bytes(&string);
    }
    digest.word(u64::MAX);
}
