//! The socket between primary and backup: TCP between machines, a UNIX socket on one, which costs less and is nobody else's.

use std::fs;
use std::io::{Error, ErrorKind, Read, Result};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::pair::address::PeerAddress;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::geteuid;
use socket2::{Domain, Socket};

/// Bytes that a UNIX socket takes before its sender waits for the backup, as TCP takes by itself; the system may allow less.
const BUFFER: usize = 4 << 20;

/// Connects to a backup; sends what it is given at once.
///
/// # Errors
/// When there is nobody, or nobody for this user.
pub fn connect(address: &PeerAddress, patience: Duration) -> Result<Socket> {
    match address {
        PeerAddress::Tcp(address) => {
            let stream = TcpStream::connect_timeout(address, patience)?;
            stream.set_nodelay(true)?;
            Ok(stream.into())
        }
        PeerAddress::Path(path) => local(UnixStream::connect(path)?),
        PeerAddress::Abstract(name) => local(UnixStream::connect_addr(&UnixAddress::from_abstract_name(name)?)?),
    }
}

/// Where the other end of the channel can be reached by datagrams: its address, or this machine's own.
#[must_use]
pub fn host(address: Option<socket2::SockAddr>) -> IpAddr {
    let host = address.and_then(|address| address.as_socket()).map(|address| address.ip());
    host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// The other end is of this user, or of root: other users of this machine have no business here.
fn local(stream: UnixStream) -> Result<Socket> {
    let (theirs, own) = (getsockopt(&stream, PeerCredentials)?.uid(), geteuid().as_raw());
    if theirs != own && theirs != 0 {
        let wrong = format!("the other end is of user {theirs}, expected {own}");
        return Err(Error::new(ErrorKind::PermissionDenied, wrong));
    }
    let socket = Socket::from(stream);
    socket.set_send_buffer_size(BUFFER)?;
    Ok(socket)
}

/// Reads where another thread writes. Who sleeps in recv(2) on a UNIX socket is woken each time that the other end has taken what was written
/// here (`unix_write_space`); who sleeps in poll(2) is not.
#[derive(Debug)]
pub struct Reader(pub Socket);

impl Read for Reader {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
        let mut readable = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        while poll(&mut readable, PollTimeout::NONE).is_err_and(|errno| errno == Errno::EINTR) {}
        self.0.read(bytes)
    }
}

/// Where a backup waits.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    /// Its name in the file system, removed with it.
    path: Option<PathBuf>,
}

impl Listener {
    /// Listens at `address`. What a backup that was killed has left there is removed.
    ///
    /// # Errors
    /// When the address is taken.
    pub fn bind(address: &PeerAddress) -> Result<Self> {
        let socket = match address {
            PeerAddress::Tcp(address) => Socket::from(TcpListener::bind(address)?),
            PeerAddress::Abstract(name) => UnixListener::bind_addr(&UnixAddress::from_abstract_name(name)?)?.into(),
            PeerAddress::Path(path) => {
                remove_abandoned(path);
                let listener = UnixListener::bind(path)?;
                fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
                return Ok(Self { socket: listener.into(), path: Some(path.clone()) });
            }
        };
        Ok(Self { socket, path: None })
    }

    /// One that was inherited.
    #[must_use]
    pub fn inherited(fd: OwnedFd) -> Self {
        Self { socket: fd.into(), path: None }
    }

    /// The next primary, and how to call it.
    ///
    /// # Errors
    /// When the listener failed; [`ErrorKind::PermissionDenied`] for a stranger, who is turned away.
    pub fn accept(&self) -> Result<(Socket, String)> {
        let (socket, from) = self.socket.accept()?;
        if self.socket.domain()? == Domain::UNIX {
            let socket = local(OwnedFd::from(socket).into())?;
            return Ok((socket, "a process of this machine".into()));
        }
        socket.set_tcp_nodelay(true)?;
        Ok((socket, from.as_socket().map_or_else(|| "somebody".into(), |from| from.to_string())))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // It may have been removed by somebody else.
            let _ = fs::remove_file(path);
        }
    }
}

/// A UNIX socket where nobody listens any more.
fn remove_abandoned(path: &Path) {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let refused = |error: Error| error.kind() == ErrorKind::ConnectionRefused;
    if is_socket && UnixStream::connect(path).is_err_and(refused) {
        // What cannot be removed is told of by `bind`.
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn talk(address: &PeerAddress) {
        let listener = Listener::bind(address).unwrap();
        let address = match address {
            PeerAddress::Tcp(_) => PeerAddress::Tcp(listener.socket.local_addr().unwrap().as_socket().unwrap()),
            other => other.clone(),
        };
        let mut primary = connect(&address, PATIENCE).unwrap();
        let (mut backup, _) = listener.accept().unwrap();
        drop(listener);
        primary.write_all(b"log").unwrap();
        let mut said = [0; 3];
        backup.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"log");
        assert!(host(backup.peer_addr().ok()).is_loopback());
        // Nobody waits there any more.
        assert!(connect(&address, PATIENCE).is_err(), "{address}");
    }

    #[test]
    fn both_ends_find_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("backup");
        let name = format!("ftrun-test-{}", std::process::id());
        for address in ["127.0.0.1:0", &format!("unix:{}", path.display()), &format!("unix:@{name}")] {
            talk(&address.parse().unwrap());
        }
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_backup_has_left_is_removed_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("backup");
        let address = PeerAddress::Path(path.clone());
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let listener = Listener::bind(&address).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Listener::bind(&address).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(listener);
        fs::write(&path, "a file").unwrap();
        assert_eq!(Listener::bind(&address).unwrap_err().kind(), ErrorKind::AddrInUse);
        assert_eq!(fs::read(&path).unwrap(), b"a file");
    }
}
