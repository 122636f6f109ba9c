//! All interleavings of the two ends, by loom. Sleep has no end by time here: a ring that is lost is a deadlock, which loom reports.

use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use super::*;

/// Every record has one byte, so that a position counts records.
const RECORD: u64 = 1;

#[derive(Debug, Default)]
struct Sleeper {
    rung: AtomicU32,
    sleeps: AtomicBool,
    bed: Mutex<()>,
    called: Condvar,
}

/// The words as memory of two threads. Plain release and acquire: what the protocol needs beyond, its fences must give.
#[derive(Debug, Default)]
struct Memory {
    positions: [(AtomicU64, AtomicU64); 2],
    told: AtomicU64,
    bells: [Sleeper; 2],
    /// What stands in the ring: written by the producer before it moves the head.
    slots: [AtomicU64; 4],
    /// Leave the fences out: the tests must notice.
    unfenced: bool,
}

impl Memory {
    fn new(unfenced: bool) -> Arc<Self> {
        Arc::new(Self { unfenced, ..Self::default() })
    }

    fn slot(&self, position: u64) -> &AtomicU64 {
        &self.slots[usize::try_from(position).unwrap() % self.slots.len()]
    }
}

impl Words for Memory {
    fn head(&self, ring: Ring) -> u64 {
        self.positions[ring as usize].0.load(Ordering::Acquire)
    }

    fn set_head(&self, ring: Ring, position: u64) {
        self.positions[ring as usize].0.store(position, Ordering::Release);
    }

    fn told(&self) -> u64 {
        self.told.load(Ordering::Acquire)
    }

    fn tail(&self, ring: Ring) -> u64 {
        self.positions[ring as usize].1.load(Ordering::Acquire)
    }

    fn set_tail(&self, ring: Ring, position: u64) {
        self.positions[ring as usize].1.store(position, Ordering::Release);
    }

    fn sleeps(&self, bell: Bell) -> bool {
        self.bells[bell as usize].sleeps.load(Ordering::Acquire)
    }

    fn set_sleeps(&self, bell: Bell, sleeps: bool) {
        self.bells[bell as usize].sleeps.store(sleeps, Ordering::Release);
    }

    fn rung(&self, bell: Bell) -> u32 {
        self.bells[bell as usize].rung.load(Ordering::Acquire)
    }

    /// As the kernel does it: the word is raised by the caller, the comparison and going to sleep are one step.
    fn ring(&self, bell: Bell) {
        let bell = &self.bells[bell as usize];
        bell.rung.fetch_add(1, Ordering::AcqRel);
        let _bed = bell.bed.lock().unwrap();
        bell.called.notify_all();
    }

    fn sleep(&self, bell: Bell, rung: u32, _: Duration) {
        let bell = &self.bells[bell as usize];
        let bed = bell.bed.lock().unwrap();
        if bell.rung.load(Ordering::Acquire) == rung {
            drop(bell.called.wait(bed).unwrap());
        }
    }

    fn fence(&self) {
        if !self.unfenced {
            fence(Ordering::SeqCst);
        }
    }
}

/// `draft` and `finish` of record.h, as far as they are about the ring: wait for room, write, move the head. If the consumer is to be told
/// before the server waits for anything, so it does right afterwards here.
fn interceptor_records(memory: &Memory, value: u64, size: u64, told: bool) {
    while memory.head(Ring::Records) + RECORD - memory.tail(Ring::Records) > size {
        let rung = memory.rung(Bell::Drained);
        memory.set_sleeps(Bell::Drained, true);
        memory.fence();
        if memory.sleeps(Bell::Filled) {
            memory.ring(Bell::Filled);
        }
        if memory.head(Ring::Records) + RECORD - memory.tail(Ring::Records) > size {
            memory.sleep(Bell::Drained, rung, Duration::MAX);
        }
        memory.set_sleeps(Bell::Drained, false);
    }
    let head = memory.head(Ring::Records);
    memory.slot(head).store(value, Ordering::Relaxed);
    memory.set_head(Ring::Records, head + RECORD);
    if told {
        memory.told.store(head + RECORD, Ordering::Release);
        memory.fence();
        if memory.sleeps(Bell::Filled) {
            memory.ring(Bell::Filled);
        }
    }
}

/// `await_record` of ring.h: waits for a record, or for the end of the replay.
fn interceptor_awaits(memory: &Memory, outside: &AtomicBool) -> bool {
    loop {
        if memory.head(Ring::Records) != memory.tail(Ring::Records) {
            return true;
        }
        let rung = memory.rung(Bell::Filled);
        memory.set_sleeps(Bell::Filled, true);
        memory.fence();
        if memory.head(Ring::Records) == memory.tail(Ring::Records) && !outside.load(Ordering::Acquire) {
            memory.sleep(Bell::Filled, rung, Duration::MAX);
        }
        memory.set_sleeps(Bell::Filled, false);
        if outside.load(Ordering::Acquire) {
            return false;
        }
    }
}

/// The tap: takes what is there, sleeps until it is told of more, or the ring is full, until it has so many.
fn tap(memory: &Memory, size: u64, count: usize) -> Vec<u64> {
    let mut taken = Vec::new();
    while taken.len() < count {
        sleep_until_filled(memory, Duration::MAX, size, || false);
        let (tail, there) = (memory.tail(Ring::Records), filled(memory, Ring::Records, size));
        taken.extend((tail..tail + there).map(|position| memory.slot(position).load(Ordering::Relaxed)));
        if there > 0 {
            took(memory, Ring::Records, there);
        }
    }
    taken
}

fn recording(unfenced: bool, size: u64, urgent: [bool; 3]) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let memory = Memory::new(unfenced);
        let producer = Arc::clone(&memory);
        let server = thread::spawn(move || {
            for (value, urgent) in (1..).zip(urgent) {
                interceptor_records(&producer, value, size, urgent);
            }
        });
        assert_eq!(tap(&memory, size, urgent.len()), [1, 2, 3]);
        server.join().unwrap();
    });
}

#[test]
fn urgent_records_wake_the_tap() {
    recording(false, 4, [true, true, true]);
}

#[test]
fn the_last_urgent_record_brings_those_before_it() {
    recording(false, 4, [false, false, true]);
}

#[test]
fn a_full_ring_makes_the_server_wait_and_the_tap_work() {
    recording(false, 1, [false, false, true]);
    recording(false, 2, [false, true, true]);
}

/// For [`without_fences_a_ring_is_lost`]: loom ends the process.
#[test]
#[ignore = "fails, as it must: without_fences_a_ring_is_lost runs it"]
fn unfenced() {
    recording(true, 1, [false, true, true]);
}

#[test]
fn without_fences_a_ring_is_lost() {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let output = command.args(["--exact", "--ignored", "interceptor::ring::tests::unfenced"]).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(!output.status.success() && said.windows(8).any(|word| word == b"deadlock"), "{}", said.escape_ascii());
}

/// The replayed server waits for records that the backup puts in, until the backup ends the replay.
#[test]
fn a_replica_that_waits_gets_its_records_and_the_end() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let (memory, outside) = (Memory::new(false), Arc::new(AtomicBool::new(false)));
        let (producer, end) = (Arc::clone(&memory), Arc::clone(&outside));
        let backup = thread::spawn(move || {
            for value in 1..=2 {
                producer.slot(value - 1).store(value, Ordering::Relaxed);
                put(&*producer, Ring::Records, RECORD);
            }
            end.store(true, Ordering::Release);
            producer.ring(Bell::Filled);
        });
        let mut taken = Vec::new();
        while interceptor_awaits(&memory, &outside) {
            let tail = memory.tail(Ring::Records);
            taken.push(memory.slot(tail).load(Ordering::Relaxed));
            took(&*memory, Ring::Records, RECORD);
        }
        // The end may overtake what nobody has waited for: a backup ends the replay when all is taken.
        assert_eq!(taken[..], [1, 2][..taken.len()]);
        backup.join().unwrap();
    });
}
