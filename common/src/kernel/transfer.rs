//! Calls that move data: what they do to offsets, queues, counters and the progress of connections.

use super::Kernel;
use super::call::{Call, ModelError, i32_at, u32_at, u64_at};
use super::descriptor::{DescriptionId, Object};
use super::event::signals_read;
use super::socket::TcpState;

/// struct mmsghdr of x86-64: its length and where msg_len stands.
const MMSGHDR_LEN: usize = 64;
const MSG_LEN_AT: usize = 56;
/// Fields of struct msghdr: msg_control, msg_controllen.
const MSG_CONTROL_AT: u64 = 32;
const MSG_CONTROLLEN_AT: u64 = 40;
/// struct cmsghdr: length (8), level (4), type (4).
const CMSG_HEADER_LEN: usize = 16;
/// Bytes that wait in a socket pair at most, above what the kernel allows (net.core.wmem_max).
const MOST_QUEUED: usize = 8 << 20;

impl Kernel {
    /// read(2), recv(2) and their kin: one message, or a piece of a stream, of as many bytes as the result says.
    pub(super) fn receive(&mut self, call: &Call<'_>, flags: i32) -> Result<(), ModelError> {
        self.received(call, call.count(), &[call.count()], flags)
    }

    pub(super) fn recvmsg(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        self.refuse_descriptors(call, call.arg(1))?;
        self.receive(call, call.int(2))
    }

    pub(super) fn recvmmsg(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        let sizes = message_sizes(call)?;
        for index in 0..sizes.len() as u64 {
            self.refuse_descriptors(call, call.arg(1).wrapping_add(index * MMSGHDR_LEN as u64))?;
        }
        self.received(call, sizes.iter().sum(), &sizes, call.int(3))
    }

    fn received(&mut self, call: &Call<'_>, total: u64, messages: &[u64], flags: i32) -> Result<(), ModelError> {
        if flags & (libc::MSG_PEEK | libc::MSG_ERRQUEUE) != 0 {
            return Ok(());
        }
        let forked = self.identity.forked;
        let fd = call.int(0);
        let short = |what: &str| {
            call.inconsistent(format_args!("no more than what is queued in {what}"), format_args!("{total} bytes"))
        };
        match &mut self.descriptors.get_mut(call, fd)?.object {
            Object::File(file) => file.read(total),
            Object::Tcp(socket) => {
                if let TcpState::Accepted(conn) = socket.state {
                    self.connections.consumed(conn, total);
                }
            }
            Object::Pair(end) => {
                let mut there = true;
                for &bytes in messages {
                    there &= end.queue.pop(bytes);
                }
                // A child may send through the other end, unseen.
                match there {
                    true => {}
                    false if forked => end.queue.clear(),
                    false => return Err(short("the socket pair")),
                }
            }
            Object::PipeReader(id) => {
                let id = *id;
                let pipe = self.pipes.get_mut(call, id)?;
                let bytes = if forked { call.output(1) } else { std::borrow::Cow::default() };
                if !pipe.read(total, &bytes, forked) {
                    return Err(short("the pipe"));
                }
                if total > 0 {
                    self.pipe_has_news(id, false);
                }
            }
            Object::EventFd(counter) => counter.read(),
            Object::TimerFd(timer) => timer.read(call),
            Object::Netlink(socket) => {
                // What the data is followed by are name, control data and header of the message.
                let written = call.output(1);
                let data = usize::try_from(total).unwrap_or(usize::MAX).min(written.len());
                socket.received(&written[..data]);
            }
            Object::Inotify(inotify) => inotify.read(&call.output(1)),
            Object::SignalFd { .. } => {
                signals_read(&call.output(1)).for_each(|(signal, origin)| self.took(signal, Some(origin)));
            }
            _ => {}
        }
        Ok(())
    }

    /// write(2), send(2) and their kin.
    pub(super) fn send(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        self.sent(call, call.int(0), call.count(), &[call.count()])
    }

    pub(super) fn sendmmsg(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        let sizes = message_sizes(call)?;
        self.sent(call, call.int(0), sizes.iter().sum(), &sizes)
    }

    /// sendfile(2): from a file to wherever.
    pub(super) fn sendfile(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        if let (Object::File(file), 0) = (&mut self.descriptors.get_mut(call, call.int(1))?.object, call.arg(2)) {
            file.read(call.count());
        }
        self.sent(call, call.int(0), call.count(), &[call.count()])
    }

    fn sent(&mut self, call: &Call<'_>, fd: i32, total: u64, messages: &[u64]) -> Result<(), ModelError> {
        let description = self.descriptors.get_mut(call, fd)?;
        let append = description.flags & libc::O_APPEND != 0;
        let packets = description.flags & libc::O_DIRECT != 0;
        match &mut description.object {
            Object::File(file) => file.wrote(total, append),
            Object::Tcp(socket) => {
                if let TcpState::Accepted(conn) = socket.state {
                    self.connections.produced(conn, total);
                }
            }
            Object::Pair(end) => {
                let (peer, stream) = (end.peer, end.kind == libc::SOCK_STREAM);
                self.send_to_pair(call, peer, total, messages)?;
                if total > 0 || !stream {
                    self.has_news(peer);
                }
            }
            Object::PipeWriter(id) => {
                let id = *id;
                let bytes = call.sent(total)?;
                let pipe = self.pipes.get_mut(call, id)?;
                if pipe.reader {
                    pipe.wrote(&bytes, packets, self.identity.forked);
                }
                if total > 0 {
                    self.pipe_has_news(id, true);
                }
            }
            Object::EventFd(counter) => counter.write(call)?,
            Object::Netlink(socket) => socket.awaits = true,
            _ => {}
        }
        Ok(())
    }

    fn send_to_pair(
        &mut self,
        call: &Call<'_>,
        peer: DescriptionId,
        total: u64,
        messages: &[u64],
    ) -> Result<(), ModelError> {
        let bytes = call.sent(total)?;
        let forked = self.identity.forked;
        // The other end may live on in a child only: what goes there is not ours to keep.
        if let Some(Object::Pair(end)) = self.descriptors.by_id_mut(peer).map(|d| &mut d.object) {
            if forked && end.queue.size() > MOST_QUEUED {
                // More than a socket takes: children have received some of it, nobody knows how much.
                end.queue.clear();
            }
            let mut rest = bytes.as_ref();
            for &size in messages {
                let (message, behind) = rest.split_at(usize::try_from(size).unwrap_or(usize::MAX).min(rest.len()));
                end.queue.push(message);
                rest = behind;
            }
        }
        Ok(())
    }

    /// Refuses a message that brought descriptors, as far as the record shows where its control data are.
    fn refuse_descriptors(&self, call: &Call<'_>, header: u64) -> Result<(), ModelError> {
        let pointer = |at: u64| call.known_at(header.wrapping_add(at)).map_or(0, |bytes| u64_at(bytes, 0));
        let (control, len) = (pointer(MSG_CONTROL_AT), pointer(MSG_CONTROLLEN_AT));
        let (true, Some(written)) = (control != 0, call.written_at(control)) else {
            return Ok(());
        };
        let mut rest = &written[..written.len().min(usize::try_from(len).unwrap_or(usize::MAX))];
        while rest.len() >= CMSG_HEADER_LEN {
            if i32_at(rest, 8) == libc::SOL_SOCKET && i32_at(rest, 12) == libc::SCM_RIGHTS {
                return Err(call.unsupported("descriptors received in a message"));
            }
            let step = usize::try_from(u64_at(rest, 0)).unwrap_or(usize::MAX).max(CMSG_HEADER_LEN);
            rest = rest.get(step.checked_next_multiple_of(8).unwrap_or(usize::MAX)..).unwrap_or(&[]);
        }
        Ok(())
    }
}

/// The msg_len of as many messages as the call returned.
fn message_sizes(call: &Call<'_>) -> Result<Vec<u64>, ModelError> {
    if call.count() == 0 {
        return Ok(Vec::new());
    }
    let headers = call.output_at_pointer(1)?;
    let count = usize::try_from(call.count()).unwrap_or(usize::MAX);
    let sizes: Vec<u64> =
        headers.chunks_exact(MMSGHDR_LEN).take(count).map(|h| u64::from(u32_at(h, MSG_LEN_AT))).collect();
    if sizes.len() != count {
        return Err(call.inconsistent(format_args!("{count} message headers"), sizes.len()));
    }
    Ok(sizes)
}
