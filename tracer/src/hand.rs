//! Hands a descriptor of ftrun to the server: through a socket pair that the server makes for that time, and of which ftrun
//! borrows the other end.

use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd};

use common::abi;
use common::syscall::{Memory, nr};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

use crate::inject::{self, InjectError, Session};
use crate::launch::LaunchError;
use crate::sys::pidfd;

/// Where the message is received in the server.
const MESSAGE: u64 = inject::SCRATCH;
const IOVEC: u64 = MESSAGE + 64;
const BYTE: u64 = MESSAGE + 96;
const CONTROL: u64 = MESSAGE + 128;
/// CMSG_SPACE of one descriptor, and the offset of the descriptor in it.
const CONTROL_LEN: u64 = 24;
const CONTROL_DATA: u64 = 16;

/// Gives `fd` to the server, close-on-exec. It has three numbers free.
///
/// # Errors
/// When the server's process or its table of descriptors has no room for it.
pub(crate) fn over(session: Session, fd: BorrowedFd<'_>) -> Result<(Session, u64), LaunchError> {
    let prepare = |errno: nix::errno::Errno| LaunchError::Prepare(format!("hand over a descriptor: {errno}"));
    let kind = (libc::SOCK_STREAM | libc::SOCK_CLOEXEC) as u64;
    let (session, _) = session.call(nr::SOCKETPAIR.into(), [libc::AF_UNIX as u64, kind, 0, MESSAGE, 0, 0])?;
    let [ours, theirs] = [number(&session, MESSAGE)?, number(&session, MESSAGE + 4)?];
    let socket = pidfd::borrow(session.process().pid(), ours).map_err(prepare)?;
    let rights = [fd.as_raw_fd()];
    let control = [ControlMessage::ScmRights(&rights)];
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(&[0])], &control, MsgFlags::empty(), None).map_err(prepare)?;
    let words = [0, 0, IOVEC, 1, CONTROL, CONTROL_LEN, 0, 0, BYTE, 1];
    let message: Vec<u8> = words.iter().flat_map(|word| u64::to_le_bytes(*word)).collect();
    session.scratch(&message)?;
    let flags = libc::MSG_CMSG_CLOEXEC as u64;
    let (session, _) = session.call(nr::RECVMSG.into(), [abi::word(theirs), MESSAGE, flags, 0, 0, 0])?;
    let received = number(&session, CONTROL + CONTROL_DATA)?;
    let mut session = session;
    for end in [ours, theirs] {
        session = session.call(nr::CLOSE.into(), [abi::word(end), 0, 0, 0, 0, 0])?.0;
    }
    session.process().write(MESSAGE, &[0; 256]).map_err(InjectError::from)?;
    Ok((session, abi::word(received)))
}

fn number(session: &Session, address: u64) -> Result<i32, LaunchError> {
    let raw = session.process().bytes(address, 4).map_err(|fault| LaunchError::Prepare(fault.to_string()))?;
    Ok(i32::from_le_bytes(raw.try_into().unwrap_or_default()))
}
