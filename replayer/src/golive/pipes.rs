//! Pipes and socket pairs, with what is in them.
//!
//! Both ends are made at once; the second waits until its own description is placed. An end that the server does not hold
//! any more is closed when everything is in: the end of what can be read follows by itself.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};

use common::kernel::{Description, DescriptionId, Object, PairEnd, Pipe, PipeId, Queue, Stretch};

use super::{GoLiveError, Revival, made, sys};

impl Revival<'_> {
    pub(super) fn pipe_end(&mut self, id: DescriptionId, pipe: PipeId, reads: bool) -> Result<OwnedFd, GoLiveError> {
        if !self.pipes.contains_key(&pipe) {
            let (reader, writer) = sys::pipe().map_err(made("a pipe"))?;
            if let Some(known) = self.kernel.pipes().get(pipe) {
                self.fill_pipe(id, known, &writer);
            }
            self.pipes.insert(pipe, (Some(reader), Some(writer)));
        }
        let taken =
            self.pipes.get_mut(&pipe).and_then(|(reader, writer)| if reads { reader.take() } else { writer.take() });
        let closed = self.kernel.pipes().get(pipe).is_none_or(|known| !known.reader || !known.writer);
        if closed {
            // The other end has no description: what is left here is closed.
            self.pipes.remove(&pipe);
        }
        taken.ok_or_else(|| made("a pipe")(io::Error::from_raw_os_error(libc::EBADF)))
    }

    fn fill_pipe(&mut self, id: DescriptionId, pipe: &Pipe, writer: &OwnedFd) {
        if let Some(bytes) = pipe.capacity
            && let Err(error) = sys::set_pipe_size(writer.as_fd(), bytes)
        {
            self.lose(id, "a pipe", format!("does not have its size of {bytes} bytes: {error}"));
        }
        let mut into = match writer.try_clone() {
            Ok(writer) => std::fs::File::from(writer),
            Err(error) => return self.lose(id, "a pipe", format!("has lost its content: {error}")),
        };
        let mut content = pipe.content.clone();
        let mut rest: &[u8] = content.make_contiguous();
        let whole = Stretch { bytes: rest.len(), packet: false };
        let stretches = if pipe.stretches.is_empty() { vec![whole] } else { pipe.stretches.iter().copied().collect() };
        for stretch in stretches {
            let (piece, behind) = rest.split_at(stretch.bytes.min(rest.len()));
            rest = behind;
            let packets = if stretch.packet { libc::O_DIRECT } else { 0 };
            let written =
                sys::set_status(writer.as_fd(), libc::O_NONBLOCK | packets).and_then(|()| into.write_all(piece));
            if let Err(error) = written {
                return self.lose(id, "a pipe", format!("has lost some of its content: {error}"));
            }
        }
    }

    pub(super) fn pair_end(&mut self, id: DescriptionId, end: &PairEnd) -> Result<OwnedFd, GoLiveError> {
        if let Some(fd) = self.pairs.remove(&id) {
            return Ok(fd);
        }
        let (ours, theirs) = sys::socketpair(end.kind).map_err(made("a socket pair"))?;
        let peer = match self.kernel.descriptors().description(end.peer) {
            Some(Description { object: Object::Pair(peer), .. }) => Some(peer),
            _ => None,
        };
        self.options(id, ours.as_fd(), &end.options, "a socket pair");
        if let Some(peer) = peer {
            self.options(end.peer, theirs.as_fd(), &peer.options, "a socket pair");
            self.fill(end.peer, &ours, &peer.queue);
        }
        self.fill(id, &theirs, &end.queue);
        self.shut_end(id, &ours, end);
        if let Some(peer) = peer {
            self.shut_end(end.peer, &theirs, peer);
            self.pairs.insert(end.peer, theirs);
        }
        Ok(ours)
    }

    /// Sends what waits at one end through the other, `from`.
    fn fill(&mut self, id: DescriptionId, from: &OwnedFd, queue: &Queue) {
        let sent = match queue {
            Queue::Stream(bytes) => {
                let (one, two) = bytes.as_slices();
                send_all(from, one).and_then(|()| send_all(from, two))
            }
            Queue::Messages(messages) => {
                messages.iter().try_for_each(|message| match sys::send(from.as_fd(), message)? {
                    sent if sent == message.len() => Ok(()),
                    _ => Err(io::ErrorKind::WriteZero.into()),
                })
            }
        };
        if let Err(error) = sent {
            self.lose(id, "a socket pair", format!("has lost some of what waited in it: {error}"));
        }
    }

    fn shut_end(&mut self, id: DescriptionId, fd: &OwnedFd, end: &PairEnd) {
        let how = [(end.shutdown.read, libc::SHUT_RD), (end.shutdown.write, libc::SHUT_WR)];
        for (_, how) in how.into_iter().filter(|(closed, _)| *closed) {
            if let Err(error) = sys::shutdown(fd.as_fd(), how) {
                self.lose(id, "a socket pair", format!("could not be shut down: {error}"));
            }
        }
    }
}

fn send_all(fd: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let sent = sys::send(fd.as_fd(), rest)?;
        rest = rest.get(sent..).unwrap_or_default();
    }
    Ok(())
}
