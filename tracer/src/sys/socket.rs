//! What a socket knows and getpeername(2) does not tell.
#![expect(unsafe_code, reason = "the socket option SO_PEERNAME has no wrapper")]

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use common::kernel::address;
use nix::errno::Errno;

/// The peer of a TCP socket that is or was connected. One whose connection has ended has no name for getpeername(2) any more
/// (`inet_getname`), while the option still gives it (`sk_getsockopt`).
///
/// # Errors
/// ENOTCONN when it never had a peer, ENOTSOCK when it is no socket.
pub fn peer(socket: BorrowedFd<'_>) -> Result<SocketAddr, Errno> {
    let mut raw = [0; size_of::<libc::sockaddr_in6>()];
    // More than the address has is refused: the shorter one goes first.
    for length in [size_of::<libc::sockaddr_in>(), raw.len()] {
        let mut known = libc::socklen_t::try_from(length).map_err(|_| Errno::EOVERFLOW)?;
        // SAFETY: `raw` has room for the `known` bytes that the kernel may write, and both live until the call returns.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERNAME,
                raw.as_mut_ptr().cast(),
                &raw mut known,
            )
        };
        Errno::result(result)?;
        if address::family(&raw) != Some(libc::AF_INET6) {
            break;
        }
    }
    address::internet(&raw).ok_or(Errno::EAFNOSUPPORT)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_connection_that_was_reset_has_a_peer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let name = client.local_addr().unwrap();
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        nix::sys::socket::setsockopt(&client, nix::sys::socket::sockopt::Linger, &linger).unwrap();
        drop(client);
        let (server, _) = listener.accept().unwrap();
        assert!(server.peer_addr().is_err(), "it was reset before");
        assert_eq!(peer(server.as_fd()), Ok(name));
        assert_eq!(peer(listener.as_fd()), Err(Errno::ENOTCONN));
    }
}
