//! Hands descriptors of ftrun to the server: by a UNIX socket that the server connects for the time of going live.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

use common::abi;
use common::kernel::Kernel;
use common::syscall::{Memory, nr};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use tracer::inject::{self, InjectError, Session};
use tracer::{interceptor, launch};

use super::LiveError;
use crate::golive::{self, GoLiveError, Target, TargetError};

/// Where messages are received in the server: behind what [`Target::scratch`] uses.
const MESSAGE: u64 = inject::SCRATCH + 0x8000;
const IOVEC: u64 = MESSAGE + 64;
const BYTE: u64 = MESSAGE + 96;
const CONTROL: u64 = MESSAGE + 128;
/// CMSG_SPACE of one descriptor, and the offset of the descriptor in it.
const CONTROL_LEN: u64 = 24;
const CONTROL_DATA: u64 = 16;

/// The server's process and the socket to it.
pub(super) struct Courier {
    /// `None` only while a call is under way, or after one has failed.
    session: Option<Session>,
    stream: UnixStream,
    /// The number of the server's end.
    number: i32,
}

fn lost(what: &str) -> TargetError {
    TargetError { what: what.to_owned(), source: io::Error::other("its process was lost before") }
}

fn failed(what: &str, error: &InjectError) -> TargetError {
    TargetError { what: what.to_owned(), source: io::Error::other(error.to_string()) }
}

impl Courier {
    /// Connects the server at a number that none of its descriptors has.
    pub(super) fn open(session: Session, kernel: &Kernel) -> Result<Self, LiveError> {
        let make = |source| LiveError::GoLive(GoLiveError::Make { what: "the socket to the server".into(), source });
        let name = format!("ftrun-live-{}", session.process().pid());
        let address = SocketAddr::from_abstract_name(&name).map_err(make)?;
        let listener = UnixListener::bind_addr(&address).map_err(make)?;
        let stream_type = (libc::SOCK_STREAM | libc::SOCK_CLOEXEC) as u64;
        let (session, socket) = session.call(nr::SOCKET.into(), [libc::AF_UNIX as u64, stream_type, 0, 0, 0, 0])?;
        let mut raw = abi::family(libc::AF_UNIX).to_vec();
        raw.push(0);
        raw.extend(name.as_bytes());
        let at = session.scratch(&raw)?;
        let (session, _) = session.call(nr::CONNECT.into(), [socket, at, raw.len() as u64, 0, 0, 0])?;
        let (stream, _) = listener.accept().map_err(make)?;
        let mut session = session;
        let mut candidates = golive::numbers_apart(kernel, abi::int(socket));
        let number = loop {
            let number = candidates.next().ok_or_else(|| make(io::Error::from_raw_os_error(libc::EMFILE)))?;
            let (next, result) =
                session.call_raw(nr::DUP3.into(), [socket, abi::word(number), libc::O_CLOEXEC as u64, 0, 0, 0])?;
            session = next;
            if result >= 0 {
                break number;
            }
        };
        let (session, _) = session.call(nr::CLOSE.into(), [socket, 0, 0, 0, 0, 0])?;
        Ok(Self { session: Some(session), stream, number })
    }

    /// Takes the socket away from the server.
    pub(super) fn close(mut self) -> Result<Session, LiveError> {
        let session = self.session.take().ok_or_else(|| GoLiveError::from(lost("close the socket")))?;
        let (session, _) = session.call(nr::CLOSE.into(), [abi::word(self.number), 0, 0, 0, 0, 0])?;
        session.process().write(inject::SCRATCH, &vec![0; inject::SCRATCH_LEN])?;
        Ok(session)
    }

    /// The server's process.
    pub(super) fn pid(&self) -> Result<i32, LiveError> {
        Ok(self.process("find it").map_err(GoLiveError::from)?.process().pid())
    }

    fn process(&self, what: &str) -> Result<&Session, TargetError> {
        self.session.as_ref().ok_or_else(|| lost(what))
    }

    fn receive(&mut self) -> Result<i32, TargetError> {
        let what = "receive a descriptor";
        let mut message = Vec::new();
        for word in [0, 0, IOVEC, 1, CONTROL, CONTROL_LEN, 0, 0, BYTE, 1] {
            message.extend(u64::to_le_bytes(word));
        }
        self.process(what)?.process().write(MESSAGE, &message).map_err(|e| failed(what, &e.into()))?;
        let flags = libc::MSG_CMSG_CLOEXEC as u64;
        let result = self.call(nr::RECVMSG.into(), [abi::word(self.number), MESSAGE, flags, 0, 0, 0])?;
        if result != 1 {
            let source = io::Error::from_raw_os_error(i32::try_from(-result).unwrap_or(libc::EIO));
            return Err(TargetError { what: what.into(), source });
        }
        let raw = self
            .process(what)?
            .process()
            .bytes(CONTROL + CONTROL_DATA, 4)
            .map_err(|e| TargetError { what: what.into(), source: io::Error::other(e.to_string()) })?;
        Ok(i32::from_le_bytes(raw.try_into().unwrap_or_default()))
    }

    fn must(&mut self, what: &str, number: i64, args: [u64; 6]) -> Result<(), TargetError> {
        let result = self.call(number, args)?;
        if result < 0 {
            let source = io::Error::from_raw_os_error(i32::try_from(-result).unwrap_or(libc::EIO));
            return Err(TargetError { what: what.into(), source });
        }
        Ok(())
    }
}

impl Target for Courier {
    fn call(&mut self, number: i64, args: [u64; 6]) -> Result<i64, TargetError> {
        let session = self.session.take().ok_or_else(|| lost("run a call"))?;
        let (session, result) = session.call_raw(number, args).map_err(|e| failed("run a call", &e))?;
        self.session = Some(session);
        Ok(result)
    }

    fn place(&mut self, fd: BorrowedFd<'_>, number: i32, cloexec: bool) -> Result<(), TargetError> {
        let what = format!("place descriptor {number}");
        sendmsg::<()>(
            self.stream.as_raw_fd(),
            &[IoSlice::new(&[0])],
            &[ControlMessage::ScmRights(&[fd.as_raw_fd()])],
            MsgFlags::empty(),
            None,
        )
        .map_err(|errno| TargetError { what: what.clone(), source: errno.into() })?;
        let received = self.receive()?;
        if received == number {
            let flags = if cloexec { libc::FD_CLOEXEC } else { 0 };
            return self.must(
                &what,
                nr::FCNTL.into(),
                [abi::word(number), libc::F_SETFD as u64, abi::word(flags), 0, 0, 0],
            );
        }
        let flags = if cloexec { libc::O_CLOEXEC } else { 0 };
        self.must(&what, nr::DUP3.into(), [abi::word(received), abi::word(number), abi::word(flags), 0, 0, 0])?;
        self.must(&what, nr::CLOSE.into(), [abi::word(received), 0, 0, 0, 0, 0])
    }

    fn scratch(&mut self, bytes: &[u8]) -> Result<u64, TargetError> {
        self.process("use its memory")?.scratch(bytes).map_err(|e| failed("use its memory", &e))
    }

    fn areas(&mut self) -> Result<Vec<(u64, u64)>, TargetError> {
        let what = "read its memory map";
        let maps = launch::maps(self.process(what)?.process().pid())
            .map_err(|e| TargetError { what: what.into(), source: io::Error::other(e.to_string()) })?;
        let own = |area: &launch::Mapping| !interceptor::is_own(area.start, area.end) && area.name != "[vsyscall]";
        Ok(maps.iter().filter(|area| own(area)).map(|area| (area.start, area.end)).collect())
    }
}
