//! How far the replica is: what the thread that traces it and the thread that follows the interceptor share.
//!
//! The tracing thread has the lock while the process stands, the follower while it runs.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::abi;
use common::ids::{ConnId, Lsn};
use common::kernel::{Kernel, Object};
use common::record::{Kind, Record, SegmentRole};
use common::syscall::nr;
use tracer::interceptor::shared::{Mode, Shared};
use tracer::sys::pidfd::ChildProcess;

use crate::bell::Bell;
use crate::divergence::{Divergence, describe};
use crate::driver::ReplayError;
use crate::feed::{Feed, Item, is_between_calls};

const KEPT_RECORDS: usize = 10;
/// Records between two looks at what need not be kept any more.
const SWEEP: u64 = 4096;
/// Time between two looks at what the interceptor has done.
const TICK: Duration = Duration::from_millis(1);
/// How long a process that is to stop may compute before it is interrupted.
const PATIENCE: Duration = Duration::from_millis(200);
/// Time between two interruptions.
const AGAIN: Duration = Duration::from_millis(10);

/// Receives what the replayed server writes.
pub trait Outputs: Send + Debug {
    /// To a client connection.
    fn produced(&mut self, conn: ConnId, bytes: &[u8]);
    /// To a descriptor that it was started with (1 and 2: standard output and error).
    fn inherited(&mut self, number: i32, bytes: &[u8]);
    /// From time to time: what need not be kept can be forgotten.
    fn sweep(&mut self, kernel: &mut Kernel) {
        let _ = kernel;
    }
}

/// What a source of records says.
#[derive(Debug)]
pub enum Next {
    /// A record.
    Item(Item),
    /// There is none yet; the bell will be rung.
    NotYet,
    /// There will be none.
    End,
    /// Test only: those that it gave and that are not replayed yet are to be forgotten, and there will be no more.
    Forget,
}

/// Where the records come from.
pub trait Source: Send + Debug {
    /// The next record, without waiting.
    fn poll(&mut self) -> Next;
    /// The log is applied up to `lsn`; the oldest record that was given and is not applied arrived at `oldest`.
    fn replayed(&mut self, lsn: Lsn, oldest: Option<Instant>);
}

/// What belongs to the log's place, and waits.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) kernel: Kernel,
    pub(crate) feed: Feed,
    pub(crate) lsn: Lsn,
    /// The last record was FAST, or of memory: what comes next is a call, a trapped instruction, a fault or the end.
    pub(crate) free: bool,
    /// There will be no more records than those in the feed.
    pub(crate) ended: bool,
    /// Those in the feed are not to be replayed.
    pub(crate) forget: bool,
    /// Why the follower could not go on.
    pub(crate) failed: Option<ReplayError>,
    /// The process runs.
    pub(crate) running: bool,
    /// It was interrupted, and has not stopped for that.
    pub(crate) interrupted: bool,
    source: Box<dyn Source>,
    outputs: Box<dyn Outputs>,
    applied: u64,
    last: VecDeque<(Lsn, Record)>,
    shared: Arc<Shared>,
    /// When the interceptor was told to leave the next call to the tracer.
    held_up: Option<Instant>,
    last_interrupt: Option<Instant>,
    /// The follower waits for the bell alone.
    dozes: bool,
}

impl Progress {
    pub(crate) fn new(
        (kernel, lsn): (Kernel, Lsn),
        feed: Feed,
        shared: Arc<Shared>,
        source: Box<dyn Source>,
        outputs: Box<dyn Outputs>,
    ) -> Self {
        Self {
            kernel,
            feed,
            lsn,
            free: false,
            ended: false,
            forget: false,
            failed: None,
            running: false,
            interrupted: false,
            source,
            outputs,
            applied: 0,
            last: VecDeque::new(),
            shared,
            held_up: None,
            last_interrupt: None,
            dozes: false,
        }
    }

    /// Applies what the interceptor has taken and gives it more.
    pub(crate) fn catch_up(&mut self) -> Result<(), ReplayError> {
        while let Some(taken) = self.feed.caught_up()? {
            let Item { lsn, record, .. } = taken.item;
            self.output(abi::int(record.arg(0)), &record, &taken.sent);
            self.applied(lsn, record)?;
        }
        self.refill();
        self.report();
        Ok(())
    }

    /// Takes in what the source has, as far as there is room.
    pub(crate) fn refill(&mut self) {
        while self.feed.has_room() {
            match self.source.poll() {
                Next::Item(item) => self.feed.push(item),
                Next::NotYet => break,
                Next::End => {
                    self.ended = true;
                    break;
                }
                Next::Forget => {
                    (self.ended, self.forget) = (true, true);
                    break;
                }
            }
        }
        self.feed.pump();
        if self.feed.is_fast() && self.ended && (self.forget || self.feed.is_empty()) && self.held_up.is_none() {
            self.shared.set_mode(Mode::Outside);
            self.held_up = Some(Instant::now());
        }
    }

    pub(crate) fn report(&mut self) {
        self.source.replayed(self.lsn, self.feed.front().map(|item| item.arrived));
    }

    /// The record has happened in the process.
    pub(crate) fn applied(&mut self, lsn: Lsn, mut record: Record) -> Result<(), ReplayError> {
        if let Err(error) = self.kernel.apply(&record) {
            return Err(self.explain(ReplayError::Diverged(Box::new(Divergence {
                lsn,
                what: describe(&record),
                expected: "a record that the kernel-state model can follow".into(),
                found: error.to_string(),
                registers: None,
                last: Vec::new(),
            }))));
        }
        self.kernel.take_unlistened();
        self.lsn = lsn.advance(record.encoded_len());
        match record.kind {
            Kind::Call | Kind::Instruction => self.free = record.fast,
            Kind::Epoch => {}
            // The process stands at the beginning of a call.
            Kind::Memory => self.free = true,
            Kind::Signal | Kind::Patch | Kind::Position | Kind::End | Kind::Exec => self.free = false,
        }
        if self.last.len() == KEPT_RECORDS {
            self.last.pop_front();
        }
        // They may be long, and are not shown.
        match record.kind {
            Kind::Call => record.segments = Vec::new(),
            Kind::Exec => record.segments.retain(|segment| segment.role == SegmentRole::Path),
            _ => {}
        }
        self.last.push_back((lsn, record));
        self.applied += 1;
        if self.applied.is_multiple_of(SWEEP) {
            self.outputs.sweep(&mut self.kernel);
        }
        Ok(())
    }

    /// What the call of a record has sent, before the record is applied.
    pub(crate) fn output(&mut self, fd: i32, record: &Record, bulk: &[u8]) {
        if record.kind != Kind::Call {
            return;
        }
        let sent = match record.number {
            nr::SENDFILE => record.bytes_of(SegmentRole::Sent).unwrap_or_default(),
            _ => bulk,
        };
        if sent.is_empty() {
            return;
        }
        if let Some(conn) = self.kernel.conn_of_fd(fd) {
            self.outputs.produced(conn, sent);
        } else if let Some(Object::Inherited(inherited)) = self.kernel.object(fd) {
            self.outputs.inherited(inherited.number, sent);
        }
    }

    /// Adds the records before it to a divergence.
    pub(crate) fn explain(&self, mut error: ReplayError) -> ReplayError {
        if let ReplayError::Diverged(divergence) = &mut error {
            divergence.last = self.last.iter().map(|(lsn, record)| (*lsn, describe(record))).collect();
        }
        error
    }

    /// Whether the process, which runs, has to be stopped wherever it is: nothing that it will come to stands in the log.
    fn is_to_be_interrupted(&self) -> bool {
        let due = match self.feed.front().map(|item| &item.record) {
            Some(record) => self.free && (is_death(record) || is_between_calls(record)),
            None => self.held_up.is_some_and(|since| since.elapsed() >= PATIENCE),
        };
        due && self.last_interrupt.is_none_or(|last| last.elapsed() >= AGAIN)
    }
}

/// Whether the server was killed, maybe in the midst of its own code.
pub(crate) fn is_death(record: &Record) -> bool {
    record.kind == Kind::End && libc::WIFSIGNALED(abi::int_result(record.result))
}

/// [`Progress`], and how its two threads find each other.
#[derive(Debug)]
pub(crate) struct Common {
    progress: Mutex<Progress>,
    pub(crate) bell: Arc<Bell>,
    child: ChildProcess,
    over: AtomicBool,
}

impl Common {
    pub(crate) fn new(progress: Progress, bell: Arc<Bell>, child: ChildProcess) -> Self {
        Self { progress: Mutex::new(progress), bell, child, over: AtomicBool::new(false) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process is about to run.
    pub(crate) fn runs(&self, mut progress: MutexGuard<'_, Progress>) {
        progress.running = true;
        let wake = progress.dozes && !progress.feed.is_empty();
        drop(progress);
        if wake {
            self.bell.ring();
        }
    }

    /// Keeps up with the interceptor.
    fn follow(&self) {
        let mut seen = self.bell.rung();
        while !self.over.load(Ordering::SeqCst) {
            let mut progress = self.lock();
            if progress.running && progress.failed.is_none() {
                if let Err(error) = progress.catch_up() {
                    progress.failed = Some(error);
                    // It is of no use any more, and the tracing thread waits for it.
                    self.child.kill();
                } else if progress.is_to_be_interrupted() {
                    (progress.interrupted, progress.last_interrupt) = (true, Some(Instant::now()));
                    self.child.send(libc::SIGSTOP);
                }
            }
            let busy = !progress.feed.is_empty() || progress.held_up.is_some();
            progress.dozes = !busy;
            drop(progress);
            seen = self.bell.wait(seen, busy.then_some(TICK));
        }
    }
}

/// The thread that keeps up with the interceptor. It ends with this value.
#[derive(Debug)]
pub(crate) struct Follower {
    common: Arc<Common>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    pub(crate) fn start(common: &Arc<Common>) -> std::io::Result<Self> {
        let follow = Arc::clone(common);
        let thread = std::thread::Builder::new().name("follower".into()).spawn(move || follow.follow())?;
        Ok(Self { common: Arc::clone(common), thread: Some(thread) })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.common.over.store(true, Ordering::SeqCst);
        self.common.bell.ring();
        if let Some(thread) = self.thread.take() {
            // One that has panicked has said so.
            let _ = thread.join();
        }
    }
}
