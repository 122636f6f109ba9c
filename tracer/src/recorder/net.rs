//! Sockets on the recording side: listeners that are moved aside, addresses as the server is to see them, sendfile.

use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};

use common::abi;
use common::kernel::address;
use common::kernel::{Kernel, Object, TcpState};
use common::orders::Listener;
use common::record::{Kind, Record, Segment, SegmentRole};
use common::syscall::{Memory, nr};
use nix::errno::Errno;
use nix::sys::socket::{SockaddrStorage, getsockname, setsockopt, sockopt};

use super::{Before, InCall, Recorder, RecordingError, meta};
use crate::inject;
use crate::sys::{self, pidfd};
use crate::tracee::{Registers, Stopped};

fn to_std(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|a| SocketAddr::from((a.ip(), a.port())));
    v4.or_else(|| address.as_sockaddr_in6().map(|a| SocketAddr::from((a.ip(), a.port()))))
}

/// The real own and peer address of a socket of the server.
fn real_names(pid: i32, fd: i32) -> (Option<SocketAddr>, Option<SocketAddr>) {
    let Ok(socket) = pidfd::borrow(pid, fd) else { return (None, None) };
    let own = getsockname::<SockaddrStorage>(socket.as_raw_fd()).ok();
    (own.as_ref().and_then(to_std), sys::socket::peer(socket.as_fd()).ok())
}

/// Lets a socket of the server that is not bound yet take an IPv4-mapped address. Where that fails, its bind tells.
fn take_mapped(pid: i32, fd: i32) {
    if let Ok(socket) = pidfd::borrow(pid, fd) {
        let _ = setsockopt(&socket, sockopt::Ipv6V6Only, &false);
    }
}

/// Whether a record may change which sockets are without the output rule; ends of sockets matter only while there are `some`.
pub(super) fn changes_sockets(record: &Record, some: bool) -> bool {
    match record.number {
        _ if record.kind == Kind::Exec => some,
        _ if record.kind != Kind::Call || record.result < 0 && record.number != nr::CONNECT => false,
        nr::BIND | nr::LISTEN | nr::CONNECT | nr::ACCEPT | nr::ACCEPT4 => true,
        nr::CLOSE | nr::CLOSE_RANGE | nr::DUP2 | nr::DUP3 => some,
        _ => false,
    }
}

/// The own address of a connection, as the server is to see it, that is accepted at a listener; `own` is the real one.
fn shown_name(kernel: &Kernel, listener: i32, own: Option<SocketAddr>) -> Option<SocketAddr> {
    let asked = kernel.listener_of_fd(listener).map(|l| l.bound.asked);
    match (asked, own) {
        (Some(asked), Some(own)) if asked.ip().is_unspecified() => Some(SocketAddr::new(own.ip(), asked.port())),
        (Some(asked), _) => Some(asked),
        (None, own) => own,
    }
}

/// The interceptor knows the real own address of a connection that it has accepted: the record gets the one that the server is
/// to see. Says whether it has changed.
pub(super) fn show_accepted(record: &mut Record, kernel: &Kernel) -> bool {
    if !matches!(record.number, nr::ACCEPT | nr::ACCEPT4) || record.kind != Kind::Call || record.result < 0 {
        return false;
    }
    let listener = abi::int(record.arg(0));
    let Some(local) = record.segments.iter_mut().find(|segment| segment.role == SegmentRole::Local) else {
        return false;
    };
    let own = address::internet(&local.bytes);
    let shown = shown_name(kernel, listener, own);
    if let Some(shown) = shown.filter(|_| shown != own) {
        local.bytes = address::encode(shown);
    }
    shown != own
}

impl Recorder<'_> {
    fn tcp_family(&self, fd: i32) -> Option<i32> {
        match self.kernel().object(fd)? {
            Object::Tcp(tcp) => Some(tcp.family),
            _ => None,
        }
    }

    /// bind and listen of TCP sockets go to the side; descriptors must not travel through sockets.
    pub(super) fn before_net(
        &mut self,
        stopped: &Stopped,
        regs: &Registers,
        flow: &mut InCall,
    ) -> Result<Before, RecordingError> {
        let fd = abi::int(flow.call.args[0]);
        match flow.shape.number {
            nr::SENDMSG | nr::SENDMMSG if flow.gathered.sends_descriptors(stopped) => {
                let what = format!("{} with descriptors (SCM_RIGHTS)", flow.shape.name);
                let errno = self.warn(&common::syscall::Refusal::new(what, libc::EINVAL));
                Ok(Before::Answer(-i64::from(errno)))
            }
            nr::BIND => self.before_bind(stopped, regs, flow, fd),
            _ => Ok(Before::Run(None)),
        }
    }

    fn before_bind(
        &mut self,
        stopped: &Stopped,
        regs: &Registers,
        flow: &mut InCall,
        fd: i32,
    ) -> Result<Before, RecordingError> {
        let Some(family) = self.tcp_family(fd) else { return Ok(Before::Run(None)) };
        let journal = self.journal_mut();
        let (kernel, Some(outside)) = (&journal.kernel, journal.outside.as_deref_mut()) else {
            return Ok(Before::Run(None));
        };
        let asked = flow.gathered.inputs.first().and_then(|s| address::internet(&s.bytes));
        // An address of the other family is an error, which the kernel tells best.
        let Some(asked) = asked.filter(|asked| asked.is_ipv4() == (family == libc::AF_INET)) else {
            return Ok(Before::Run(None));
        };
        let option = |level, name| match kernel.object(fd) {
            Some(Object::Tcp(tcp)) => tcp.options.is_set(level, name),
            _ => false,
        };
        let reuse = option(libc::SOL_SOCKET, libc::SO_REUSEADDR);
        let v6_only = option(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY);
        let Some(place) = address::aside(family, asked.ip(), v6_only, outside.machine()) else {
            crate::say!(
                "the server binds {asked}, but the proxy reaches this machine at {} only: expected an address of the same \
                 family; name one with --advertise",
                outside.machine()
            );
            return Ok(Before::Answer(-i64::from(libc::EADDRNOTAVAIL)));
        };
        match outside.bind(kernel.next_listener_id(), asked, reuse, v6_only) {
            Err(errno) => Ok(Before::Answer(-i64::from(errno))),
            Ok(public) => {
                flow.extra.push(meta(SegmentRole::Local, address::encode(address::in_family(public, family))));
                if v6_only && place.to_canonical().is_ipv4() {
                    take_mapped(stopped.pid(), fd);
                }
                let aside = address::encode(SocketAddr::new(place, 0));
                stopped.write(inject::SCRATCH, &aside)?;
                let mut regs = *regs;
                regs.rsi = inject::SCRATCH;
                regs.rdx = aside.len() as u64;
                Ok(Before::Run(Some(regs)))
            }
        }
    }

    pub(super) fn after_net(
        &mut self,
        stopped: &Stopped,
        flow: &mut InCall,
        result: i64,
    ) -> Result<(), RecordingError> {
        let fd = abi::int(flow.call.args[0]);
        match flow.shape.number {
            nr::BIND if result == 0 && flow.extra.is_empty() => self.own_name(stopped.pid(), fd, flow),
            nr::BIND if result == 0 => {}
            nr::BIND => {
                let journal = self.journal_mut();
                if let Some(outside) = journal.outside.as_deref_mut() {
                    outside.unlisten(journal.kernel.next_listener_id());
                }
            }
            nr::LISTEN if result == 0 => self.after_listen(stopped, flow, fd),
            nr::CONNECT => self.own_name(stopped.pid(), fd, flow),
            nr::ACCEPT | nr::ACCEPT4 if result >= 0 && self.tcp_family(fd).is_some() => {
                let (own, peer) = real_names(stopped.pid(), abi::int_result(result));
                let shown = shown_name(self.kernel(), fd, own);
                flow.extra.extend(peer.map(|peer| meta(SegmentRole::Peer, address::encode(peer))));
                flow.extra.extend(shown.map(|own| meta(SegmentRole::Local, address::encode(own))));
            }
            nr::GETSOCKNAME | nr::GETPEERNAME if result == 0 => self.show_name(stopped, flow, fd)?,
            nr::GETSOCKOPT if result == 0 => self.show_v6_only(stopped, flow, fd)?,
            _ => {}
        }
        Ok(())
    }

    fn own_name(&self, pid: i32, fd: i32, flow: &mut InCall) {
        let internet = matches!(self.kernel().object(fd), Some(Object::Tcp(_) | Object::Udp(_)));
        if let (true, (Some(own), _)) = (internet, real_names(pid, fd)) {
            flow.extra.push(meta(SegmentRole::Local, address::encode(own)));
        }
    }

    fn after_listen(&mut self, stopped: &Stopped, flow: &mut InCall, fd: i32) {
        let (own, _) = real_names(stopped.pid(), fd);
        let known = self.kernel().listener_of_fd(fd);
        let asked = known.map(|l| l.bound.asked).or(own);
        if let Some(asked) = asked {
            flow.extra.push(meta(SegmentRole::Local, address::encode(asked)));
        }
        if let (Some(outside), Some(real), Some(known)) = (self.journal_mut().outside.as_deref_mut(), own, known) {
            let listener = Listener { id: known.bound.id, asked: known.bound.asked, real: address::canonical(real) };
            if let Err(errno) = outside.listen(listener, abi::int(flow.call.args[1])) {
                // The address was reserved at bind, so that this is the proxy's failure and not the server's.
                crate::say!("the proxy cannot listen on {}: errno {errno}", listener.asked);
            }
        }
    }

    /// The names of TCP sockets are those of the model: the real ones are the proxy's business.
    fn show_name(&self, stopped: &Stopped, flow: &InCall, fd: i32) -> Result<(), RecordingError> {
        if self.journal().outside.is_none() {
            return Ok(());
        }
        let Some(Object::Tcp(tcp)) = self.kernel().object(fd) else { return Ok(()) };
        let shown = match (&tcp.state, flow.shape.number) {
            (TcpState::Bound(bound) | TcpState::Listening { bound, .. }, nr::GETSOCKNAME) => Some(bound.asked),
            (TcpState::Accepted(conn), nr::GETPEERNAME) => Some(conn.peer),
            (TcpState::Accepted(_), nr::GETSOCKNAME) => tcp.local,
            _ => None,
        };
        let Some(shown) = shown else { return Ok(()) };
        // A connection that was resumed may be a socket of the other family: the length too is that of the model's address.
        let raw = address::encode(address::in_family(shown, tcp.family));
        stopped.write(flow.call.args[2], &u32::try_from(raw.len()).unwrap_or(u32::MAX).to_le_bytes())?;
        Ok(stopped.write(flow.call.args[1], &raw[..raw.len().min(flow.gathered.capacity())])?)
    }

    /// A listener that was moved to an IPv4-mapped address is still one for IPv6 only to the server.
    fn show_v6_only(&self, stopped: &Stopped, flow: &InCall, fd: i32) -> Result<(), RecordingError> {
        let asked = (abi::int(flow.call.args[1]), abi::int(flow.call.args[2]));
        let Some(Object::Tcp(tcp)) = self.kernel().object(fd) else { return Ok(()) };
        let Some(bound) = tcp.bound() else { return Ok(()) };
        if self.journal().outside.is_none() || asked != (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY) {
            return Ok(());
        }
        let only = tcp.options.is_set(asked.0, asked.1) || address::is_one_v6(bound.asked.ip());
        let raw = i32::from(only).to_le_bytes();
        Ok(stopped.write(flow.call.args[3], &raw[..raw.len().min(flow.gathered.capacity())])?)
    }

    /// sendfile becomes a write of bytes that ftrun has read: what is logged is what is sent, and nothing else.
    pub(super) fn before_sendfile(
        &mut self,
        stopped: &Stopped,
        regs: &Registers,
        flow: &mut InCall,
    ) -> Result<Before, RecordingError> {
        let [to, from, at, count, ..] = flow.call.args;
        let count = abi::size(count).min(inject::SCRATCH_LEN);
        let borrowed = pidfd::borrow(stopped.pid(), abi::int(from))
            .and_then(|f| Ok((f, pidfd::borrow(stopped.pid(), abi::int(to))?)));
        let file = match borrowed {
            Ok((file, _)) => file,
            Err(errno) => return Ok(Before::Answer(-(errno as i64))),
        };
        let offset = if at == 0 {
            nix::unistd::lseek(&file, 0, nix::unistd::Whence::SeekCur)
        } else {
            stopped
                .bytes(at, 8)
                .map(|raw| i64::from_le_bytes(raw.try_into().unwrap_or_default()))
                .map_err(|_| Errno::EFAULT)
        };
        let mut data = vec![0; count];
        let read = offset.and_then(|offset| nix::sys::uio::pread(&file, &mut data, offset));
        match read {
            // What cannot be read by offset is nothing to send from, unless an offset was asked for.
            Err(Errno::ESPIPE) if at == 0 => return Ok(Before::Answer(-i64::from(libc::EINVAL))),
            Err(Errno::EISDIR) => return Ok(Before::Answer(-i64::from(libc::EINVAL))),
            Err(errno) => return Ok(Before::Answer(-(errno as i64))),
            Ok(0) => return Ok(Before::Answer(0)),
            Ok(len) => data.truncate(len),
        }
        stopped.write(inject::SCRATCH, &data)?;
        let mut regs = *regs;
        regs.orig_rax = nr::WRITE.into();
        regs.rsi = inject::SCRATCH;
        regs.rdx = data.len() as u64;
        Ok(Before::Run(Some(regs)))
    }

    /// What was sent, and the file's new offset.
    pub(super) fn after_sendfile(
        &mut self,
        stopped: &Stopped,
        flow: &mut InCall,
        result: i64,
    ) -> Result<i64, RecordingError> {
        let Ok(sent @ 1..) = usize::try_from(result) else { return Ok(result) };
        let bytes = stopped.bytes(inject::SCRATCH, sent).map_err(Self::fault(flow.shape))?;
        flow.extra.push(Segment { address: 0, role: SegmentRole::Sent, arg: 1, bytes });
        let [_, from, at, ..] = flow.call.args;
        if at == 0 {
            if let Ok(file) = pidfd::borrow(stopped.pid(), abi::int(from)) {
                // The offset belongs to the open file, which ftrun shares here.
                let _ = nix::unistd::lseek(&file, result, nix::unistd::Whence::SeekCur);
            }
        } else {
            let raw = stopped.bytes(at, 8).map_err(Self::fault(flow.shape))?;
            let offset = i64::from_le_bytes(raw.try_into().unwrap_or_default()) + result;
            stopped.write(at, &offset.to_le_bytes())?;
        }
        Ok(result)
    }
}
