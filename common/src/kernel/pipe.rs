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

/// A piece of what is in a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// Its length in bytes.
    pub bytes: usize,
    /// Whether it is a packet (O_DIRECT): read for itself, and what a read leaves of it is lost.
    pub packet: bool,
}

/// Bytes of a packet at most: a write of more is several.
const PACKET: usize = 4096;

/// A pipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pipe {
    /// Written and not yet read.
    pub content: VecDeque<u8>,
    /// What the content consists of, where packets have ever been written; none while it is a stream.
    pub stretches: VecDeque<Stretch>,
    /// Whether packets have ever been written.
    packets: bool,
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
        self.pipes.insert(id, Pipe::new());
        id
    }

    pub(super) fn next_id(&self) -> u64 {
        self.next
    }

    pub(super) fn check(&self) -> Result<(), String> {
        for (id, pipe) in &self.pipes {
            let bytes = pipe.stretches.iter().try_fold(0usize, |sum, stretch| sum.checked_add(stretch.bytes));
            let sound = pipe.stretches.iter().all(|stretch| stretch.bytes > 0);
            if (pipe.packets || !pipe.stretches.is_empty()) && (bytes != Some(pipe.content.len()) || !sound) {
                return Err(format!("{id:?} holds {} bytes, not {:?}", pipe.content.len(), pipe.stretches));
            }
        }
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
                pipe.clear();
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
    fn new() -> Self {
        Self {
            content: VecDeque::new(),
            stretches: VecDeque::new(),
            packets: false,
            capacity: None,
            reader: true,
            writer: true,
        }
    }

    fn clear(&mut self) {
        self.content.clear();
        self.stretches.clear();
    }

    /// The server has read these bytes. False when they are not what it has written. A `shared` pipe may be written to and read from by
    /// children, unseen: what the server has left in it is not known then.
    pub(super) fn read(&mut self, total: u64, bytes: &[u8], shared: bool) -> bool {
        let taken = usize::try_from(total).unwrap_or(usize::MAX);
        let there = taken <= self.content.len();
        if shared && !(there && self.content.iter().zip(bytes).all(|(own, read)| own == read)) {
            self.clear();
            return true;
        }
        if self.packets {
            self.read_packets(taken);
            return true;
        }
        self.content.drain(..taken.min(self.content.len()));
        there
    }

    /// The same where there are packets. What is read is believed: the kernel appends a packet to a stream where it finds room.
    fn read_packets(&mut self, mut taken: usize) {
        while taken > 0
            && let Some(mut front) = self.stretches.pop_front()
        {
            let read = taken.min(front.bytes);
            taken -= read;
            let gone = if front.packet { front.bytes } else { read };
            self.content.drain(..gone);
            front.bytes -= gone;
            if front.bytes > 0 {
                self.stretches.push_front(front);
            }
        }
    }

    /// The server has written these bytes, as packets or as part of a stream.
    pub(super) fn wrote(&mut self, bytes: &[u8], packets: bool, shared: bool) {
        if packets && !self.packets {
            self.packets = true;
            let before = Stretch { bytes: self.content.len(), packet: false };
            self.stretches.extend(Some(before).filter(|before| before.bytes > 0));
        }
        self.content.extend(bytes);
        if packets {
            let packet = |bytes: &[u8]| Stretch { bytes: bytes.len(), packet: true };
            self.stretches.extend(bytes.chunks(PACKET).map(packet));
        } else if self.packets && !bytes.is_empty() {
            match self.stretches.back_mut() {
                Some(last) if !last.packet => last.bytes += bytes.len(),
                _ => self.stretches.push_back(Stretch { bytes: bytes.len(), packet: false }),
            }
        }
        let most = self.capacity.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0).max(CAPACITY);
        if shared && self.content.len() > most {
            // Children have read what does not fit.
            self.content.drain(..self.content.len() - most);
            self.stretches.clear();
            self.packets = false;
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
