//! Calls on the table of descriptors: dup, close, fcntl, ioctl, and what ends with the last descriptor.

use super::Kernel;
use super::call::{Call, ModelError, u32_at};
use super::descriptor::{Object, SETTABLE};
use super::socket::TcpState;

const CLOSE_RANGE_CLOEXEC: u64 = 4;
/// ioctls that make a descriptor: TIOCGPTPEER, NS_GET_USERNS, NS_GET_PARENT, SIOCGSKNS, KVM_CREATE_VM.
const IOCTLS_THAT_OPEN: [u64; 5] = [0x5441, 0xb701, 0xb702, 0x894c, 0xae01];

impl Kernel {
    /// dup(2) and fcntl F_DUPFD: the new number is the result.
    pub(super) fn dup(&mut self, call: &Call<'_>, cloexec: bool) -> Result<(), ModelError> {
        let id = self.descriptors.id(call, call.int(0))?;
        let new = call.made()?;
        if self.descriptors.entry(new).is_some() {
            return Err(call.inconsistent("a free descriptor", format_args!("descriptor {new}, which is open")));
        }
        self.descriptors.share(id, new, cloexec);
        Ok(())
    }

    /// dup2(2) and dup3(2): the new number is closed first.
    pub(super) fn dup_to(&mut self, call: &Call<'_>, flags: i32) -> Result<(), ModelError> {
        let (old, new) = (call.int(0), call.made()?);
        let id = self.descriptors.id(call, old)?;
        if old != new {
            self.close_number(new);
            self.descriptors.share(id, new, flags & libc::O_CLOEXEC != 0);
        }
        Ok(())
    }

    pub(super) fn close(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        let fd = call.int(0);
        self.descriptors.id(call, fd)?;
        self.close_number(fd);
        Ok(())
    }

    pub(super) fn close_range(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        for fd in self.descriptors.range(call.uint(0), call.uint(1)) {
            if call.arg(2) & CLOSE_RANGE_CLOEXEC != 0 {
                self.descriptors.set_cloexec(call, fd, true)?;
            } else {
                self.close_number(fd);
            }
        }
        Ok(())
    }

    /// Frees a number if it is in use, with everything that ends when it was the last of its description.
    pub(super) fn close_number(&mut self, fd: i32) {
        if self.posix_locks
            && let Some(Object::File(file)) = self.object(fd)
        {
            let path = file.path.clone();
            self.end_posix_locks(&path);
        }
        let Some((_, dead)) = self.descriptors.release(fd) else {
            return;
        };
        match &dead.object {
            Object::Tcp(socket) => match &socket.state {
                TcpState::Accepted(conn) => self.connections.closed(*conn, socket.options.reset_at_close()),
                TcpState::Bound(bound) | TcpState::Listening { bound, .. } => self.unlistened.0.push(bound.id),
                TcpState::Fresh | TcpState::Outgoing { .. } => {}
            },
            pipe @ (Object::PipeReader(id) | Object::PipeWriter(id)) => {
                self.pipes.end_closed(pipe);
                // A child may hold this end, too.
                if !self.identity.forked {
                    self.pipe_has_news(*id, matches!(pipe, Object::PipeWriter(_)));
                }
            }
            Object::Pair(end) if end.kind != libc::SOCK_DGRAM && !self.identity.forked => self.has_news(end.peer),
            _ => {}
        }
    }

    pub(super) fn close_all(&mut self) {
        for fd in self.descriptors.range(0, u32::MAX) {
            self.close_number(fd);
        }
    }

    pub(super) fn fcntl(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        let (fd, value) = (call.int(0), call.int(2));
        match call.int(1) {
            libc::F_DUPFD => self.dup(call, false),
            libc::F_DUPFD_CLOEXEC => self.dup(call, true),
            libc::F_SETFD => self.descriptors.set_cloexec(call, fd, value & libc::FD_CLOEXEC != 0),
            libc::F_SETFL => {
                let flags = &mut self.descriptors.get_mut(call, fd)?.flags;
                *flags = *flags & !SETTABLE | value & SETTABLE;
                Ok(())
            }
            libc::F_SETOWN => {
                self.descriptors.get_mut(call, fd)?.owner = value;
                Ok(())
            }
            libc::F_SETLK | libc::F_SETLKW => self.range_lock(call, false),
            libc::F_OFD_SETLK | libc::F_OFD_SETLKW => self.range_lock(call, true),
            libc::F_SETPIPE_SZ => {
                if let Object::PipeReader(id) | Object::PipeWriter(id) = self.descriptors.get_mut(call, fd)?.object {
                    self.pipes.get_mut(call, id)?.capacity = i32::try_from(call.result()).ok();
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn ioctl(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        let fd = call.int(0);
        let request = call.arg(1) & 0xffff_ffff;
        let switch =
            |flag: i32| -> Result<(i32, bool), ModelError> { Ok((flag, u32_at(&call.input_array::<4>(2)?, 0) != 0)) };
        let (flag, on) = match request {
            libc::FIOCLEX => return self.descriptors.set_cloexec(call, fd, true),
            libc::FIONCLEX => return self.descriptors.set_cloexec(call, fd, false),
            libc::FIONBIO => switch(libc::O_NONBLOCK)?,
            libc::FIOASYNC => switch(libc::O_ASYNC)?,
            _ if IOCTLS_THAT_OPEN.contains(&request) => {
                return Err(call.unsupported(format_args!("a descriptor by ioctl {request:#x}")));
            }
            _ => return Ok(()),
        };
        let flags = &mut self.descriptors.get_mut(call, fd)?.flags;
        *flags = if on { *flags | flag } else { *flags & !flag };
        Ok(())
    }
}
