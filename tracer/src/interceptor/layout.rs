//! Where the interceptor's parts are in every server, and how its shared memory is laid out. The build script makes a C header
//! of these numbers: this is their one place.
//!
//! All of it is ftrun's own: no part of a snapshot, the same addresses in primary and backup.

/// The interceptor's code, behind ftrun's page and scratch area ([`crate::inject`]); readable, executable.
pub const CODE: u64 = 0x2_1000;
/// Its size in bytes.
pub const CODE_LEN: u64 = 0x8000;
/// Trampolines of programs at low addresses (static, not position-independent).
pub const LOW: u64 = 0x2_9000;
/// Trampolines of position-independent programs.
pub const MIDDLE: u64 = 0x5555_5000_0000;
/// Trampolines of shared libraries: above all mappings that the kernel places, below the stack.
pub const HIGH: u64 = 0x7fff_f800_0000;
/// Bytes for trampolines at each of the three places.
pub const TRAMPOLINES_LEN: u64 = 0x1_0000;
/// Bytes at the end of each of the three places that are no trampolines: code that looks for a position ([`crate::place`]).
pub const STUB_LEN: u64 = 0x1000;
/// Bytes of one trampoline.
pub const TRAMPOLINE_LEN: u64 = 48;
/// The control block: first part of the shared memory.
pub const CONTROL: u64 = 0x4_0000;
/// Its size in bytes, the interceptor's stack included.
pub const CONTROL_LEN: u64 = 0x2_0000;
/// The ring of records: second part of the shared memory, mapped twice in a row so that no record wraps.
pub const RING: u64 = 0x7fff_f900_0000;
/// Its size in bytes, a power of two.
pub const RING_LEN: u64 = 8 << 20;
/// The ring of replayed output: third part of the shared memory, mapped twice like the other.
pub const OUTPUT: u64 = 0x7fff_fa00_0000;
/// Its size in bytes, a power of two.
pub const OUTPUT_LEN: u64 = 8 << 20;

/// A consumer that sleeps is woken when so many bytes of records are there, urgent or not.
pub const MUCH: u64 = 512 << 10;

/// Offsets in the control block. Words that different sides write stand in cache lines of their own.
/// u32: what the interceptor does, one of `MODE_*`.
pub const MODE: u64 = 0x000;
/// u32: not 0 when the next call is to be made outside (a signal is held).
pub const PENDING: u64 = 0x004;
/// i64: what getpid and gettid answer.
pub const PID: u64 = 0x008;
/// u64: bytes ever put into the ring; written by its producer.
pub const HEAD: u64 = 0x040;
/// u64: how much of that the consumer has been told of: to take it is worth its while.
pub const TOLD: u64 = 0x048;
/// u64: bytes ever taken from the ring; written by its consumer. The producer may be [`RING_LEN`] ahead.
pub const TAIL: u64 = 0x080;
/// u64: records ever taken from the ring, by the consumer in replay.
pub const TAKEN: u64 = 0x088;
/// u32: futex of a consumer that sleeps because the ring is empty; raised with every wake.
pub const FILLED: u64 = 0x0c0;
/// u32: not 0 while it sleeps.
pub const FILLED_SLEEPS: u64 = 0x0c4;
/// u32: futex of a producer that sleeps because the ring is full.
pub const DRAINED: u64 = 0x100;
/// u32: not 0 while it sleeps.
pub const DRAINED_SLEEPS: u64 = 0x104;
/// u64: bytes ever put into the output ring; written by the interceptor.
pub const OUTPUT_HEAD: u64 = 0x140;
/// u64: bytes ever taken from the output ring.
pub const OUTPUT_TAIL: u64 = 0x180;
/// u64: calls taken in process.
pub const CALLS: u64 = 0x1c0;
/// u64: times that the interceptor waited because a ring was full.
pub const WAITS: u64 = 0x1c8;
/// u32: not 0 while the interceptor makes a call of its own.
pub const OWN: u64 = 0x1d0;
/// u32: not 0 between a call of the server and its record.
pub const MADE: u64 = 0x1d4;
/// u32: not 0 when the call that comes outside has been made already, and only its record is wanting.
pub const FINISH: u64 = 0x1d8;
/// i64: its result.
pub const RESULT: u64 = 0x1e0;
/// u64: state of the digest of what the call under way has read.
pub const DIGEST: u64 = 0x1e8;
/// u32: not 0 when somebody waits for what the server puts out.
pub const AWAITED: u64 = 0x1f0;
/// u32: not 0 when the consumer is still to be told that output is in the ring: 1 and the calls made since.
pub const OWED: u64 = 0x1f4;
/// u64: the position of the ring's consumer when the interceptor last looked: it looks again only when that is not enough.
pub const SEEN: u64 = 0x1f8;
/// Offset in nanoseconds for clock_gettime(2), i64 for each of the clocks 0 to 11.
pub const CLOCK_OFFSETS: u64 = 0x200;
/// Clocks that may be read in process.
pub const CLOCKS: u64 = 12;
/// u64: ticks of the server's time-stamp counter in a nanosecond of CLOCK_MONOTONIC_RAW, times 2^32; 0 while the tracer answers.
pub const TSC_RATE: u64 = 0x280;
/// u64: the nanoseconds of that clock at which the counter was [`TSC_BASE`].
pub const TSC_SINCE: u64 = 0x288;
/// u64: what it was then.
pub const TSC_BASE: u64 = 0x290;
/// u64: the highest answer so far.
pub const TSC_LAST: u64 = 0x298;
/// u32: what rdtscp answers besides, TSC_AUX.
pub const TSC_AUX: u64 = 0x2a0;
/// u32: not 0 when a signal waits: it is the tracer that finds a place for it, also between two calls.
pub const SIGNALS: u64 = 0x2a4;
/// u8 for each system call: not 0 when it may be made in process.
pub const ALLOWED: u64 = 0x400;
/// System calls that may be.
pub const ALLOWED_LEN: u64 = 512;
/// u8 for each descriptor: what may be done with it in process, `MAY_*`.
pub const DESCRIPTORS: u64 = 0x1000;
/// Descriptors that may be used in process.
pub const DESCRIPTORS_LEN: u64 = 0x4000;
/// The lowest address of the interceptor's stack; it ends at [`STACK_END`].
pub const STACK: u64 = 0x1_0000;
/// One past its highest.
pub const STACK_END: u64 = 0x2_0000;

/// Every call is made outside: the complete layer.
pub const MODE_OUTSIDE: u32 = 0;
/// Calls are made in process, and recorded.
pub const MODE_RECORD: u32 = 1;
/// Calls are answered from the ring.
pub const MODE_REPLAY: u32 = 2;

/// What it sends and receives needs nothing but a record: read and the like.
pub const MAY_READ: u8 = 1;
/// write and the like.
pub const MAY_WRITE: u8 = 2;
/// close.
pub const MAY_CLOSE: u8 = 4;
/// Other calls whose first argument it is.
pub const MAY_USE: u8 = 8;
/// It listens for TCP connections.
pub const MAY_ACCEPT: u8 = 16;
/// What is read from it or written to it can make the server wait: it is not in non-blocking mode.
pub const BLOCKS: u8 = 32;
/// What may be done with an accepted TCP connection.
pub const OF_ACCEPTED: u8 = MAY_READ | MAY_WRITE | MAY_CLOSE | MAY_USE;
/// With a file that was opened for reading.
pub const OF_READABLE: u8 = MAY_READ | MAY_CLOSE | MAY_USE;

/// Calls after which output is shipped although the server has not come to wait for anything.
pub const MAX_OWED: u32 = 64;
/// The longest record that goes through the ring. Longer ones are made outside.
pub const MAX_RECORD: u64 = RING_LEN / 8;
/// In replay, a record that has to be taken outside is represented in the ring by one of this length and kind, and nothing else.
pub const MARK_LEN: u32 = 24;
/// Its kind byte, which no record has.
pub const MARK_KIND: u8 = 0xff;
/// Instead of that, when the process must not leave the call before it.
pub const STOP_KIND: u8 = 0xfe;
