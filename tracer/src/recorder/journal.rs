//! Where all records of a server go, whoever wrote them: through the kernel-state model into the log.

use std::collections::BTreeSet;
use std::sync::Arc;

use common::kernel::Kernel;
use common::record::{Kind, Record};

use super::look::Watch;
use super::{Outside, RecordingError, Sink, net};
use crate::memory_check::MemoryCheck;

const IN_PROCESS: &str = "a call made in process";

/// The model and the log, always in step.
pub(super) struct Journal<'a> {
    pub(super) kernel: Kernel,
    pub(super) outside: Option<&'a mut (dyn Outside + Send)>,
    sink: &'a mut (dyn Sink + Send),
    /// Sockets whose output is not held back, as last told.
    unprotected: BTreeSet<String>,
    check: MemoryCheck,
    /// What becomes of the looks in the background.
    watch: Arc<Watch>,
    /// Records since it was.
    unchecked: u64,
}

impl<'a> Journal<'a> {
    pub(super) fn new(
        kernel: Kernel,
        sink: &'a mut (dyn Sink + Send),
        outside: Option<&'a mut (dyn Outside + Send)>,
    ) -> Self {
        Self {
            kernel,
            outside,
            sink,
            unprotected: BTreeSet::new(),
            check: MemoryCheck::Never,
            watch: Arc::default(),
            unchecked: 0,
        }
    }

    /// Tells which sockets are not protected, before anything is recorded.
    pub(super) fn tell_unprotected(&mut self) {
        if let Some(outside) = self.outside.as_deref_mut() {
            self.unprotected = self.kernel.unprotected();
            outside.unprotected(&self.unprotected);
        }
    }

    /// When memory is to be looked at.
    pub(super) fn check(&mut self, check: MemoryCheck, watch: Arc<Watch>) {
        (self.check, self.watch) = (check, watch);
    }

    /// Whether memory is looked at, and compared by somebody, while the server stands.
    pub(super) fn checks_memory(&self) -> bool {
        matches!(self.check, MemoryCheck::Every(_)) && self.sink.is_kept()
    }

    /// Whether it is to be looked at at the next call, or a look is to be told of.
    pub(super) fn check_is_due(&self) -> bool {
        let due = match self.check {
            MemoryCheck::Never => false,
            MemoryCheck::Every(records) => self.unchecked >= records,
            MemoryCheck::Background { records, .. } => self.watch.is_due(self.unchecked >= records),
        };
        due && self.sink.is_kept()
    }

    /// Appends one record.
    pub(super) fn append(&mut self, record: &Record, what: &str) -> Result<(), RecordingError> {
        self.apply(record, what)?;
        self.sink.append(record)?;
        Ok(())
    }

    /// Appends encoded records, as the interceptor wrote them. They are not shipped before [`Journal::flush`].
    pub(super) fn append_encoded(&mut self, bytes: &[u8]) -> Result<(), RecordingError> {
        let (mut appended, mut at) = (0, 0);
        while at < bytes.len() {
            let (mut record, len) = Record::decode(&bytes[at..]).map_err(RecordingError::Ring)?;
            if net::show_accepted(&mut record, &self.kernel) {
                self.sink.append_encoded(&bytes[appended..at])?;
                self.append(&record, IN_PROCESS)?;
                appended = at + len;
            } else {
                self.apply(&record, IN_PROCESS)?;
            }
            at += len;
        }
        Ok(self.sink.append_encoded(&bytes[appended..])?)
    }

    /// What was appended is to be shipped now.
    pub(super) fn flush(&mut self) {
        self.sink.flush();
    }

    /// Whether somebody waits for what the server puts out.
    pub(super) fn is_awaited(&self) -> bool {
        self.sink.is_awaited()
    }

    fn apply(&mut self, record: &Record, what: &str) -> Result<(), RecordingError> {
        self.unchecked = if record.kind == Kind::Memory { 0 } else { self.unchecked + 1 };
        self.kernel.apply(record).map_err(|error| RecordingError::Model { call: what.into(), error })?;
        for progress in self.kernel.take_progress() {
            // Who needs to know of closed connections learns it from the log.
            if progress.closed {
                self.kernel.forget(progress.conn);
            }
        }
        let ended = self.kernel.take_unlistened();
        if let Some(outside) = self.outside.as_deref_mut() {
            ended.into_iter().for_each(|id| outside.unlisten(id));
            if net::changes_sockets(record, !self.unprotected.is_empty()) {
                let unprotected = self.kernel.unprotected();
                if unprotected != self.unprotected {
                    outside.unprotected(&unprotected);
                    self.unprotected = unprotected;
                }
            }
        }
        Ok(())
    }
}
