//! Sockets: listeners at new places, connections as the proxy made them again, dead peers for the rest.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use common::abi;
use common::kernel::{
    DescriptionId, ModelListener, Netlink, Options, Shutdown, SocketOption, Tcp, TcpState, Udp, Unix, UnixState,
    address,
};

use super::{GoLiveError, Revival, made, sys};

/// Binds a listener anew at `advertise`, and lets it listen if it did. Says what could not be set as it was.
pub(super) fn move_listener(
    socket: &Tcp,
    listener: &ModelListener,
    advertise: IpAddr,
) -> Result<(OwnedFd, SocketAddr, Vec<String>), GoLiveError> {
    let asked = listener.bound.asked;
    let v6_only = socket.options.is_set(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY);
    let place = address::aside(socket.family, asked.ip(), v6_only, advertise);
    let place = SocketAddr::new(place.ok_or(GoLiveError::Family { asked, advertise })?, 0);
    let dual = socket.family == libc::AF_INET6 && place.ip().to_canonical().is_ipv4();
    let make = || -> io::Result<_> {
        let fd = sys::socket(socket.family, libc::SOCK_STREAM, socket.protocol)?;
        if dual {
            sys::setsockopt(fd.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, &0i32.to_le_bytes())?;
        }
        let moved_aside = |option: &SocketOption| {
            let Place { to_device, v6_only } = Place::of(option);
            // The new place is reached through another device, or in another family.
            to_device || (dual && v6_only)
        };
        let failed = apply(fd.as_fd(), &socket.options, moved_aside);
        sys::bind(fd.as_fd(), &address::encode(place))?;
        if let Some(backlog) = listener.backlog {
            sys::listen(fd.as_fd(), backlog)?;
        }
        let fd = TcpListener::from(fd);
        let real = address::canonical(fd.local_addr()?);
        Ok((OwnedFd::from(fd), real, failed))
    };
    make().map_err(made(&format!("a listener for {asked} at {advertise}")))
}

/// Options that tie a socket to the place where it is.
struct Place {
    to_device: bool,
    v6_only: bool,
}

impl Place {
    fn of(option: &SocketOption) -> Self {
        let is = |level, name| option.level == level && option.name == name;
        Self {
            to_device: is(libc::SOL_SOCKET, libc::SO_BINDTODEVICE),
            v6_only: is(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY),
        }
    }
}

/// Sets options in their order, but for those that `skip` names. Says which could not be set.
fn apply(fd: BorrowedFd<'_>, options: &Options, skip: impl Fn(&SocketOption) -> bool) -> Vec<String> {
    let mut failed = Vec::new();
    for option in options.0.iter().filter(|option| !skip(option)) {
        if let Err(error) = sys::setsockopt(fd, option.level, option.name, &option.value) {
            failed.push(format!("option {} of level {} could not be set: {error}", option.name, option.level));
        }
    }
    failed
}

fn shut(fd: BorrowedFd<'_>, shutdown: Shutdown) -> io::Result<()> {
    let how = match (shutdown.read, shutdown.write) {
        (false, false) => return Ok(()),
        (true, false) => libc::SHUT_RD,
        (false, true) => libc::SHUT_WR,
        (true, true) => libc::SHUT_RDWR,
    };
    sys::shutdown(fd, how)
}

/// A TCP socket whose peer has reset the connection: reading gives ECONNRESET, then the end.
fn dead_peer(family: i32) -> io::Result<OwnedFd> {
    let through = |ip: IpAddr| -> io::Result<OwnedFd> {
        let listener = TcpListener::bind((ip, 0))?;
        let ours = TcpStream::connect(listener.local_addr()?)?;
        let own = ours.local_addr()?;
        let theirs = loop {
            let (theirs, peer) = listener.accept()?;
            // Somebody else may have found the port.
            if peer == own {
                break theirs;
            }
        };
        let reset_on_close = [1i32.to_le_bytes(), 0i32.to_le_bytes()].concat();
        sys::setsockopt(theirs.as_fd(), libc::SOL_SOCKET, libc::SO_LINGER, &reset_on_close)?;
        drop(theirs);
        sys::wait_for_hangup(ours.as_fd())?;
        Ok(ours.into())
    };
    let v4 = IpAddr::V4(Ipv4Addr::LOCALHOST);
    if family == libc::AF_INET6 {
        through(IpAddr::V6(Ipv6Addr::LOCALHOST)).or_else(|_| through(v4))
    } else {
        through(v4)
    }
}

/// A UNIX stream socket whose peer has gone without reading everything: ECONNRESET, then the end.
fn dead_unix_peer(kind: i32) -> io::Result<OwnedFd> {
    let (ours, theirs) = sys::socketpair(kind)?;
    sys::send(ours.as_fd(), b"\0")?;
    drop(theirs);
    Ok(ours)
}

impl Revival<'_> {
    pub(super) fn tcp(&mut self, id: DescriptionId, socket: &Tcp) -> Result<OwnedFd, GoLiveError> {
        match &socket.state {
            TcpState::Fresh => {
                let fd =
                    sys::socket(socket.family, libc::SOCK_STREAM, socket.protocol).map_err(made("a TCP socket"))?;
                self.options(id, fd.as_fd(), &socket.options, "a TCP socket");
                Ok(fd)
            }
            TcpState::Bound(bound) | TcpState::Listening { bound, .. } => {
                let (_, fd) =
                    self.sockets.listeners.remove(&id).ok_or(GoLiveError::NotPrepared { asked: bound.asked })?;
                let (mine, others) =
                    std::mem::take(&mut self.sockets.losses).into_iter().partition::<Vec<_>, _>(|(of, _)| *of == id);
                self.sockets.losses = others;
                for (_, why) in mine {
                    self.lose(id, format!("the listener for {}", bound.asked), why);
                }
                Ok(fd)
            }
            TcpState::Accepted(conn) => {
                let Some(fd) = self.sockets.connections.remove(conn) else {
                    self.report.gone.push(*conn);
                    return dead_peer(socket.family).map_err(made("a socket with a dead peer"));
                };
                let placed = |option: &SocketOption| {
                    let Place { to_device, v6_only } = Place::of(option);
                    // A connection that exists has its way and its family.
                    to_device || v6_only
                };
                for why in apply(fd.as_fd(), &socket.options, placed) {
                    self.lose(id, format!("the connection {conn}"), why);
                }
                if let Err(error) = shut(fd.as_fd(), socket.shutdown)
                    // The client may be gone again already: its socket says so by itself.
                    && error.raw_os_error() != Some(libc::ENOTCONN)
                {
                    self.lose(id, format!("the connection {conn}"), format!("could not be shut down: {error}"));
                }
                Ok(fd)
            }
            TcpState::Outgoing { remote } => {
                self.lose(id, format!("the connection to {remote}"), "cannot be carried over: it is reset");
                dead_peer(socket.family).map_err(made("a socket with a dead peer"))
            }
        }
    }

    pub(super) fn udp(&mut self, id: DescriptionId, socket: &Udp) -> Result<OwnedFd, GoLiveError> {
        let fd = sys::socket(socket.family, libc::SOCK_DGRAM, socket.protocol).map_err(made("a UDP socket"))?;
        self.options(id, fd.as_fd(), &socket.options, "a UDP socket");
        if let Some(bound) = socket.bound
            && let Err(error) = sys::bind(fd.as_fd(), &address::encode(bound))
        {
            self.lose(id, format!("the UDP socket at {bound}"), format!("could not be bound: {error}"));
        }
        if let Some(remote) = socket.connected
            && let Err(error) = sys::connect(fd.as_fd(), &address::encode(remote))
        {
            self.lose(id, format!("the UDP socket to {remote}"), format!("could not be connected: {error}"));
        }
        if let (true, Err(error)) = (socket.connected.is_some(), shut(fd.as_fd(), socket.shutdown)) {
            self.lose(id, "a UDP socket", format!("could not be shut down: {error}"));
        }
        Ok(fd)
    }

    pub(super) fn unix(&mut self, id: DescriptionId, socket: &Unix) -> Result<OwnedFd, GoLiveError> {
        let stream = socket.kind != libc::SOCK_DGRAM;
        if stream && matches!(socket.state, UnixState::Accepted | UnixState::Connected { .. }) {
            self.lose(id, "a UNIX connection", "cannot be carried over: it is reset");
            return dead_unix_peer(socket.kind).map_err(made("a UNIX socket with a dead peer"));
        }
        let fd = sys::socket(libc::AF_UNIX, socket.kind, 0).map_err(made("a UNIX socket"))?;
        self.options(id, fd.as_fd(), &socket.options, "a UNIX socket");
        if let Some(raw) = &socket.bound
            && let Err(error) = bind_unix(fd.as_fd(), socket, raw)
        {
            let place = socket.path.as_ref().map_or_else(|| "an abstract name".to_owned(), ToString::to_string);
            self.lose(id, format!("the UNIX socket at {place}"), format!("could not be bound: {error}"));
        }
        let ready = match &socket.state {
            UnixState::Listening { backlog } => sys::listen(fd.as_fd(), *backlog),
            UnixState::Connected { remote } => sys::connect(fd.as_fd(), remote),
            UnixState::Fresh | UnixState::Accepted => Ok(()),
        };
        if let Err(error) = ready {
            self.lose(id, "a UNIX socket", format!("could not be made what it was: {error}"));
        }
        if let (true, Err(error)) = (socket.shutdown != Shutdown::default(), shut(fd.as_fd(), socket.shutdown)) {
            self.lose(id, "a UNIX socket", format!("could not be shut down: {error}"));
        }
        Ok(fd)
    }

    pub(super) fn netlink(&mut self, id: DescriptionId, socket: &Netlink) -> Result<OwnedFd, GoLiveError> {
        if socket.awaits {
            self.lose(id, "a netlink socket", "waits for an answer that is lost: it gives EBADF from now on");
            return super::files::lost();
        }
        let fd = sys::socket(libc::AF_NETLINK, socket.kind, socket.protocol).map_err(made("a netlink socket"))?;
        self.options(id, fd.as_fd(), &socket.options, "a netlink socket");
        if let Some(groups) = socket.bound {
            // struct sockaddr_nl: family (2), padding (2), port (4; 0 lets the kernel choose), groups (4).
            let mut raw = [0; 12];
            raw[..2].copy_from_slice(&abi::family(libc::AF_NETLINK));
            raw[8..].copy_from_slice(&groups.to_le_bytes());
            if let Err(error) = sys::bind(fd.as_fd(), &raw) {
                self.lose(id, "a netlink socket", format!("could not be bound: {error}"));
            }
        }
        Ok(fd)
    }

    pub(super) fn options(&mut self, id: DescriptionId, fd: BorrowedFd<'_>, options: &Options, what: &str) {
        for why in apply(fd, options, |_| false) {
            self.lose(id, what, why);
        }
    }
}

/// Binds to the name that the server chose, in place of the socket that the primary left there.
fn bind_unix(fd: BorrowedFd<'_>, socket: &Unix, raw: &[u8]) -> io::Result<()> {
    let Some(path) = &socket.path else {
        return sys::bind(fd, raw);
    };
    match std::fs::symlink_metadata(path.as_path()) {
        Ok(there) if is_socket(&there) => std::fs::remove_file(path.as_path())?,
        Ok(_) => return Err(io::Error::from_raw_os_error(libc::EADDRINUSE)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let family = abi::family(libc::AF_UNIX);
    sys::bind(fd, &[&family[..], &path.0, b"\0"].concat())
}

fn is_socket(metadata: &std::fs::Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_socket(&metadata.file_type())
}
