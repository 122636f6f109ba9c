//! Pipes and their content.
//!
//! The content is known because the record of a write into a pipe holds the bytes ([`crate::record::SegmentRole::Sent`]).

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::Kernel;
use super::call::{Call, ModelError, i32_at};
use super::descriptor::Object;

/// Names a pipe. Never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PipeId(pub u64);

/// What a pipe holds at most unless F_SETPIPE_SZ says otherwise, in bytes (pipe(7)).
const CAPACITY: usize = 64 << 10;

/// A pipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pipe {
    /// Written and not yet read.
    pub content: VecDeque<u8>,
    /// Size set by F_SETPIPE_SZ, in bytes.
    pub capacity: Option<i32>,
    /// Whether the server still has the end that reads.
    pub reader: bool,
    /// Whether the server still has the end that writes.
    pub writer: bool,
}

/// All pipes of which the server has an end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pipes {
    pipes: BTreeMap<PipeId, Pipe>,
    next: u64,
}

impl Pipes {
    /// A pipe by id.
    #[must_use]
    pub fn get(&self, id: PipeId) -> Option<&Pipe> {
        self.pipes.get(&id)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (PipeId, &Pipe)> {
        self.pipes.iter().map(|(&id, pipe)| (id, pipe))
    }

    pub(super) fn get_mut(&mut self, call: &Call<'_>, id: PipeId) -> Result<&mut Pipe, ModelError> {
        self.pipes.get_mut(&id).ok_or_else(|| call.inconsistent("a pipe", format_args!("no {id:?}")))
    }

    fn make(&mut self) -> PipeId {
        let id = PipeId(self.next);
        self.next += 1;
        self.pipes.insert(id, Pipe { content: VecDeque::new(), capacity: None, reader: true, writer: true });
        id
    }

    pub(super) fn next_id(&self) -> u64 {
        self.next
    }

    pub(super) fn check(&self) -> Result<(), String> {
        match self.pipes.keys().next_back() {
            Some(highest) if highest.0 >= self.next => {
                Err(format!("the next pipe is {}, the highest {highest:?}", self.next))
            }
            _ => Ok(()),
        }
    }

    /// The server closed its last descriptor of an end.
    pub(super) fn end_closed(&mut self, object: &Object) {
        let (Object::PipeReader(id) | Object::PipeWriter(id)) = object else {
            return;
        };
        if let Some(pipe) = self.pipes.get_mut(id) {
            if matches!(object, Object::PipeReader(_)) {
                pipe.reader = false;
                pipe.content.clear();
            } else {
                pipe.writer = false;
            }
            if !pipe.reader && !pipe.writer {
                self.pipes.remove(id);
            }
        }
    }
}

impl Pipe {
    /// The server has read these bytes. False when they are not what it has written. A `shared` pipe may be written to and read from by
    /// children, unseen: what the server has left in it is not known then.
    pub(super) fn read(&mut self, total: u64, bytes: &[u8], shared: bool) -> bool {
        let taken = usize::try_from(total).unwrap_or(usize::MAX);
        let there = taken <= self.content.len();
        if shared && !(there && self.content.iter().zip(bytes).all(|(own, read)| own == read)) {
            self.content.clear();
            return true;
        }
        self.content.drain(..taken.min(self.content.len()));
        there
    }

    /// The server has written these bytes.
    pub(super) fn wrote(&mut self, bytes: &[u8], shared: bool) {
        self.content.extend(bytes);
        let most = self.capacity.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0).max(CAPACITY);
        if shared && self.content.len() > most {
            // Children have read what does not fit.
            self.content.drain(..self.content.len() - most);
        }
    }
}

impl Kernel {
    pub(super) fn pipe(&mut self, call: &Call<'_>, flags: i32) -> Result<(), ModelError> {
        let fds = call.output_array::<8>(0)?;
        let cloexec = flags & libc::O_CLOEXEC != 0;
        let status = flags & (libc::O_NONBLOCK | libc::O_DIRECT);
        let id = self.pipes.make();
        let (reader, writer) = (i32_at(&fds, 0), i32_at(&fds, 4));
        self.descriptors.open(call, reader, Object::PipeReader(id), libc::O_RDONLY | status, cloexec)?;
        self.descriptors.open(call, writer, Object::PipeWriter(id), libc::O_WRONLY | status, cloexec)?;
        Ok(())
    }
}
