use std::io::{Read, Write};
use std::net::{Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use common::ids::ConnId;
use nix::sys::socket::{getsockopt, sockopt};

use super::*;

/// How long a test waits for what should be there at once.
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(10);

fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((LOOPBACK, 0)).unwrap();
    let proxy = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    proxy.set_read_timeout(Some(DEADLINE)).unwrap();
    (listener.accept().unwrap().0, proxy)
}

fn conn(peer: &str) -> ConnId {
    ConnId { epoch: Epoch(1), peer: peer.parse().unwrap() }
}

#[test]
fn a_listener_is_moved_and_takes_connections_at_once() {
    let mut model = Model::new();
    model.listener(3, libc::AF_INET, "0.0.0.0:80").listener(4, libc::AF_INET6, "[::]:443");
    let only = (libc::SYS_setsockopt, [4i64, 41, 26, 0x1000, 4]);
    model.input(only.0, 0, &only.1, 3, &1i32.to_le_bytes());
    let mut sockets = model.prepare();
    let moved = sockets.listeners();
    assert_eq!(moved.iter().map(|l| l.asked.to_string()).collect::<Vec<_>>(), ["0.0.0.0:80", "[::]:443"]);
    let clients: Vec<_> = moved.iter().map(|listener| TcpStream::connect(listener.real).unwrap()).collect();
    // A listener for IPv6 alone has IPv6 peers there, too.
    assert_eq!([moved[0].real.ip(), moved[1].real.ip()], [LOOPBACK, Ipv6Addr::LOCALHOST.into()]);
    assert!(moved.iter().all(|listener| listener.real.port() != 0));
    let (table, report) = model.revive_at(&mut sockets, SECOND).unwrap();
    assert_eq!(report.losses, []);
    assert_eq!(report.listeners, moved);
    for (number, client) in [3, 4].into_iter().zip(&clients) {
        assert!(getsockopt(&table.fd(number), sockopt::KeepAlive).unwrap());
        let listener = TcpListener::from(table.fd(number).try_clone_to_owned().unwrap());
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(common::kernel::address::canonical(peer), client.local_addr().unwrap());
    }
}

#[test]
fn a_socket_that_is_only_bound_does_not_listen() {
    let mut model = Model::new();
    model.plain(libc::SYS_socket, 3, &[2, 1, 0]);
    model.input(libc::SYS_bind, 0, &[3, 0x1000, 16], 1, &sockaddr("0.0.0.0:80"));
    let mut sockets = model.prepare();
    let real = sockets.listeners()[0].real;
    assert_eq!(TcpStream::connect(real).unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    let (table, _) = model.revive_at(&mut sockets, SECOND).unwrap();
    nix::sys::socket::listen(&table.fd(3), nix::sys::socket::Backlog::new(5).unwrap()).unwrap();
    TcpStream::connect(real).unwrap();
}

#[test]
fn a_listener_that_was_not_prepared_is_an_error() {
    let mut model = Model::new();
    let mut sockets = model.prepare();
    model.listener(3, libc::AF_INET, "0.0.0.0:80");
    assert!(matches!(model.revive_at(&mut sockets, SECOND), Err(GoLiveError::NotPrepared { .. })));
    let v6 = "2001:db8::1".parse().unwrap();
    assert!(matches!(Resumed::prepare(&model.kernel, v6), Err(GoLiveError::Family { .. })));
}

/// With SIGIO, what has come before the owner is set would not be told of.
#[test]
fn a_connection_with_news_tells_its_owner() {
    let signals = |handler: u64, news: bool| {
        let mut model = Model::new();
        model.listener(3, libc::AF_INET, "0.0.0.0:80").accepted(3, 4, "127.0.0.1:5000");
        model.input(libc::SYS_rt_sigaction, 0, &[29, 0x1000, 0, 8], 1, &words(&[handler, 0, 0, 0]));
        model.plain(libc::SYS_fcntl, 0, &[4, libc::F_SETOWN.into(), 100]);
        model.plain(libc::SYS_fcntl, 0, &[4, libc::F_SETFL.into(), libc::O_ASYNC.into()]);
        let (four, mut at_proxy) = connected();
        if news {
            at_proxy.write_all(b"request").unwrap();
            assert_eq!(four.peek(&mut [0; 100]).unwrap(), 7);
        }
        let mut sockets = model.prepare();
        sockets.insert(conn("127.0.0.1:5000"), four.into());
        let (table, report) = model.revive_at(&mut sockets, SECOND).unwrap();
        assert_eq!(report.losses, []);
        let sent = table.ran.into_iter().filter(|ran| ran.number == libc::SYS_rt_sigqueueinfo);
        sent.map(|ran| ran.args[1] as i32).collect::<Vec<_>>()
    };
    assert_eq!(signals(0x5000, true), [libc::SIGIO]);
    assert_eq!(signals(0x5000, false), [0; 0]);
    assert_eq!(signals(libc::SIG_DFL as u64, true), [0; 0], "it would end the server");
}

#[test]
fn a_resumed_connection_is_what_the_server_made_of_it() {
    let mut model = Model::new();
    model.listener(3, libc::AF_INET, "0.0.0.0:80").accepted(3, 4, "127.0.0.1:5000").accepted(3, 5, "127.0.0.1:5001");
    model
        .input(libc::SYS_setsockopt, 0, &[4, 6, 1, 0x1000, 4], 3, &1i32.to_le_bytes())
        .input(libc::SYS_ioctl, 0, &[4, 0x5421, 0x1000], 2, &1i32.to_le_bytes())
        .plain(libc::SYS_shutdown, 0, &[5, libc::SHUT_WR.into()]);
    let mut sockets = model.prepare();
    let (four, mut at_proxy) = connected();
    let (five, mut finished) = connected();
    sockets.insert(conn("127.0.0.1:5000"), four.into());
    sockets.insert(conn("127.0.0.1:5001"), five.into());
    let (table, report) = model.revive_at(&mut sockets, SECOND).unwrap();
    assert_eq!((&report.losses[..], &report.gone[..]), (&[][..], &[][..]));
    assert!(getsockopt(&table.fd(4), sockopt::TcpNoDelay).unwrap());
    assert!(getsockopt(&table.fd(4), sockopt::KeepAlive).unwrap(), "from the listener");
    assert_eq!(table.flags(4) & libc::O_NONBLOCK, libc::O_NONBLOCK);
    assert_eq!(table.flags(5) & libc::O_NONBLOCK, 0);
    table.file(4).write_all(b"answer").unwrap();
    let mut answer = [0; 6];
    at_proxy.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"answer");
    assert_eq!(finished.read(&mut [0; 1]).unwrap(), 0, "half closed");
}

#[test]
fn a_connection_that_nobody_resumes_is_reset() {
    let mut model = Model::new();
    model.listener(3, libc::AF_INET, "0.0.0.0:80").accepted(3, 4, "127.0.0.1:5000");
    model.plain(libc::SYS_socket, 5, &[10, 1, 0]);
    model.input(libc::SYS_connect, -115, &[5, 0x1000, 28], 1, &sockaddr("[2001:db8::1]:25"));
    let (table, report) = model.revive();
    assert_eq!(report.gone, [conn("127.0.0.1:5000")]);
    assert_eq!(report.losses.len(), 1, "{:?}", report.losses);
    assert_eq!(report.losses[0].numbers, [5]);
    for number in [4, 5] {
        assert_eq!(table.read(number).unwrap_err().raw_os_error(), Some(libc::ECONNRESET));
        assert_eq!(table.read(number).unwrap(), b"");
        let error = table.file(number).write(b"x").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPIPE));
    }
}

#[test]
fn a_fresh_socket_can_still_become_anything() {
    let mut model = Model::new();
    model.plain(libc::SYS_socket, 3, &[2, 1, 0]);
    model.input(libc::SYS_setsockopt, 0, &[3, 1, 2, 0x1000, 4], 3, &1i32.to_le_bytes());
    let (table, report) = model.revive();
    assert_eq!(report.losses, []);
    assert!(getsockopt(&table.fd(3), sockopt::ReuseAddr).unwrap());
    nix::sys::socket::bind(
        std::os::fd::AsRawFd::as_raw_fd(&table.fd(3)),
        &nix::sys::socket::SockaddrIn::new(127, 0, 0, 1, 0),
    )
    .unwrap();
}

#[test]
fn an_option_that_cannot_be_set_is_reported() {
    let mut model = Model::new();
    model.plain(libc::SYS_socket, 3, &[2, 1, 0]);
    model.input(libc::SYS_setsockopt, 0, &[3, 1, 9999, 0x1000, 4], 3, &1i32.to_le_bytes());
    let (_, report) = model.revive();
    assert!(report.losses[0].why.starts_with("option 9999 of level 1 could not be set"), "{:?}", report.losses);
}

#[test]
fn udp_sockets_are_bound_and_connected_as_they_were() {
    let there = UdpSocket::bind((LOOPBACK, 0)).unwrap();
    there.set_read_timeout(Some(DEADLINE)).unwrap();
    let free = UdpSocket::bind((LOOPBACK, 0)).unwrap().local_addr().unwrap();
    let mut model = Model::new();
    model.plain(libc::SYS_socket, 3, &[2, 2, 0]);
    model.input(libc::SYS_bind, 0, &[3, 0x1000, 16], 1, &sockaddr(&free.to_string()));
    let remote = sockaddr(&there.local_addr().unwrap().to_string());
    model.input(libc::SYS_connect, 0, &[3, 0x1000, 16], 1, &remote);
    let (table, report) = model.revive();
    assert_eq!(report.losses, []);
    let socket = UdpSocket::from(table.fd(3).try_clone_to_owned().unwrap());
    assert_eq!(socket.local_addr().unwrap(), free);
    socket.send(b"hello").unwrap();
    let mut bytes = [0; 9];
    assert_eq!(there.recv_from(&mut bytes).unwrap(), (5, free));

    let (_, report) = model.revive();
    assert_eq!(report.losses.len(), 1, "the address is taken by the first: {:?}", report.losses);
}

#[test]
fn unix_sockets_take_the_place_of_those_that_died() {
    let dir = tempfile::tempdir().unwrap();
    let [stream, log, file] = ["stream", "log", "file"].map(|name| dir.path().join(name));
    drop(UnixListener::bind(&stream).unwrap());
    let logger = UnixDatagram::bind(&log).unwrap();
    logger.set_read_timeout(Some(DEADLINE)).unwrap();
    std::fs::write(&file, "not a socket").unwrap();
    let name = |path: &std::path::Path| [b"\x01\0", path.to_str().unwrap().as_bytes(), b"\0"].concat();
    let mut model = Model::new();
    for (fd, kind) in [(3, 1), (4, 2), (5, 1), (6, 1)] {
        model.plain(libc::SYS_socket, fd, &[1, kind, 0]);
    }
    model.input(libc::SYS_bind, 0, &[3, 0x1000, 0], 1, &name(&stream)).plain(libc::SYS_listen, 0, &[3, 5]);
    model.input(libc::SYS_connect, 0, &[4, 0x1000, 0], 1, &name(&log));
    model.input(libc::SYS_connect, 0, &[5, 0x1000, 0], 1, &name(&stream));
    model.input(libc::SYS_bind, 0, &[6, 0x1000, 0], 1, &name(&file));
    let (table, report) = model.revive();
    assert_eq!(report.losses.iter().map(|loss| loss.numbers[0]).collect::<Vec<_>>(), [5, 6]);
    let mut client = UnixStream::connect(&stream).unwrap();
    let (mut served, _) = UnixListener::from(table.fd(3).try_clone_to_owned().unwrap()).accept().unwrap();
    served.set_read_timeout(Some(DEADLINE)).unwrap();
    client.write_all(b"x").unwrap();
    served.read_exact(&mut [0; 1]).unwrap();
    table.file(4).write_all(b"message").unwrap();
    assert_eq!(logger.recv(&mut [0; 9]).unwrap(), 7);
    assert_eq!(table.read(5).unwrap_err().raw_os_error(), Some(libc::ECONNRESET));
    assert_eq!(std::fs::read(&file).unwrap(), b"not a socket", "somebody's file is not removed");
}

#[test]
fn a_netlink_socket_is_made_anew() {
    let mut model = Model::new();
    model.plain(libc::SYS_socket, 3, &[16, 3, 0]);
    model.input(libc::SYS_bind, 0, &[3, 0x1000, 12], 1, &[16, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
    let (table, report) = model.revive();
    assert_eq!(report.losses, []);
    let name: nix::sys::socket::NetlinkAddr =
        nix::sys::socket::getsockname(std::os::fd::AsRawFd::as_raw_fd(&table.fd(3))).unwrap();
    assert_eq!(name.groups(), 1);
}
