//! Calls on sockets that do not move data.

use super::Kernel;
use super::address;
use super::call::{Call, ModelError, i32_at, u32_at};
use super::descriptor::{Description, DescriptionId, Object};
use super::socket::{
    BoundTo, MAX_OPTIONS, Netlink, Options, PairEnd, Queue, Shutdown, SocketOption, Tcp, TcpState, Udp, Unix, UnixState,
};
use crate::ids::ConnId;
use crate::orders::ListenerId;
use crate::record::SegmentRole;

/// Bits of a socket type that are flags.
const TYPE_FLAGS: i32 = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
const SOCKET_FLAGS: i32 = libc::O_RDWR;
/// Options whose value holds pointers or descriptors: it means nothing elsewhere (SO_ATTACH_FILTER and its kin).
const MEANINGLESS_ELSEWHERE: [i32; 4] = [26, 50, 51, 52];

fn status(kind: i32) -> (i32, bool) {
    (SOCKET_FLAGS | kind & libc::SOCK_NONBLOCK, kind & libc::SOCK_CLOEXEC != 0)
}

impl Kernel {
    pub(super) fn socket(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        let (family, full, protocol) = (call.int(0), call.int(1), call.int(2));
        let kind = full & !TYPE_FLAGS;
        let (options, shutdown) = (Options::default(), Shutdown::default());
        let internet = matches!(family, libc::AF_INET | libc::AF_INET6);
        let object = match (kind, protocol) {
            (libc::SOCK_STREAM, 0 | libc::IPPROTO_TCP | libc::IPPROTO_MPTCP) if internet => {
                Object::Tcp(Tcp { family, protocol, state: TcpState::Fresh, local: None, options, shutdown })
            }
            (libc::SOCK_DGRAM, _) if internet => {
                Object::Udp(Udp { family, protocol, bound: None, connected: None, options, shutdown })
            }
            (libc::SOCK_RAW, _) if internet => Object::Opaque { what: "a raw socket".to_owned() },
            _ if family == libc::AF_UNIX => {
                Object::Unix(Unix { kind, bound: None, path: None, state: UnixState::Fresh, options, shutdown })
            }
            _ if family == libc::AF_NETLINK => {
                Object::Netlink(Netlink { kind, protocol, bound: None, awaits: false, options })
            }
            _ => {
                let what = format!("a socket of family {family}, type {kind}, protocol {protocol}");
                return Err(call.unsupported(what));
            }
        };
        let (flags, cloexec) = status(full);
        self.descriptors.open(call, call.made()?, object, flags, cloexec)?;
        Ok(())
    }

    pub(super) fn socketpair(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        let fds = call.output_array::<8>(3)?;
        let kind = call.int(1) & !TYPE_FLAGS;
        let (flags, cloexec) = status(call.int(1));
        let end = |peer| PairEnd {
            kind,
            peer,
            queue: Queue::new(kind),
            options: Options::default(),
            shutdown: Shutdown::default(),
        };
        let (one, two) = (i32_at(&fds, 0), i32_at(&fds, 4));
        // The first end learns its peer's id once that exists.
        let first = self.descriptors.open(call, one, Object::Pair(end(DescriptionId(u64::MAX))), flags, cloexec)?;
        let second = self.descriptors.open(call, two, Object::Pair(end(first)), flags, cloexec)?;
        if let Some(Description { object: Object::Pair(pair), .. }) = self.descriptors.by_id_mut(first) {
            pair.peer = second;
        }
        Ok(())
    }

    pub(super) fn bind(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        let asked = call.input(1)?;
        let local = call.role(SegmentRole::Local).unwrap_or(asked);
        let path = address::unix_path(asked).map(|path| self.identity.resolve(call, &path.0)).transpose()?;
        let internet =
            || address::internet(local).ok_or_else(|| call.inconsistent("an IPv4 or IPv6 address", "another"));
        let id = ListenerId(self.next_listener);
        match &mut self.descriptors.get_mut(call, call.int(0))?.object {
            Object::Tcp(socket) if socket.state == TcpState::Fresh => {
                socket.state = TcpState::Bound(BoundTo { id, asked: internet()? });
                self.next_listener += 1;
            }
            Object::Tcp(_) => return Err(call.inconsistent("a socket neither bound nor connected", "another")),
            Object::Udp(socket) => socket.bound = Some(internet()?),
            Object::Unix(socket) => {
                socket.bound = Some(asked.to_vec());
                socket.path = path;
            }
            // struct sockaddr_nl: family (2), padding (2), port (4), groups (4).
            Object::Netlink(socket) => socket.bound = Some(u32_at(asked, 8)),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn listen(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        let backlog = call.int(1);
        let id = ListenerId(self.next_listener);
        match &mut self.descriptors.get_mut(call, call.int(0))?.object {
            Object::Tcp(socket) => {
                let bound = match (socket.bound(), call.role(SegmentRole::Local).and_then(address::internet)) {
                    (Some(bound), _) => bound,
                    // Not bound before: the kernel chose a port.
                    (None, Some(asked)) if socket.state == TcpState::Fresh => {
                        self.next_listener += 1;
                        BoundTo { id, asked }
                    }
                    (None, Some(_)) => return Err(call.inconsistent("a socket that can listen", "a connected one")),
                    (None, None) => return Err(call.incomplete("the own address of a socket that was not bound")),
                };
                socket.state = TcpState::Listening { bound, backlog };
            }
            Object::Unix(socket) => socket.state = UnixState::Listening { backlog },
            _ => {}
        }
        Ok(())
    }

    pub(super) fn accept(&mut self, call: &Call<'_>, accept_flags: i32) -> Result<(), ModelError> {
        let listener = &self.descriptors.get_mut(call, call.int(0))?.object;
        let mut accepted = None;
        let object = match listener {
            Object::Tcp(socket) if matches!(socket.state, TcpState::Listening { .. }) => {
                let raw = call.role(SegmentRole::Peer).ok_or_else(|| call.incomplete("the address of the peer"))?;
                let peer = address::internet(raw)
                    .ok_or_else(|| call.inconsistent("an IPv4 or IPv6 address of the peer", "another"))?;
                let conn = ConnId { epoch: self.epoch, peer: address::canonical(peer) };
                accepted = Some(conn);
                let Tcp { family, protocol, options, .. } = socket.clone();
                let state = TcpState::Accepted(conn);
                let local = call.role(SegmentRole::Local).and_then(address::internet);
                Object::Tcp(Tcp { family, protocol, state, local, options, shutdown: Shutdown::default() })
            }
            Object::Unix(socket) if matches!(socket.state, UnixState::Listening { .. }) => {
                let state = UnixState::Accepted;
                let socket = socket.clone();
                Object::Unix(Unix { bound: None, path: None, state, shutdown: Shutdown::default(), ..socket })
            }
            Object::Inherited(_) => return Err(call.unsupported("a connection of an inherited listener")),
            other => return Err(call.inconsistent("a listening socket", other.kind())),
        };
        let (flags, cloexec) = status(accept_flags);
        self.descriptors.open(call, call.made()?, object, flags, cloexec)?;
        accepted.map_or(Ok(()), |conn| self.connections.accepted(call, conn))
    }

    pub(super) fn connect(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        let remote = call.input(1)?;
        let dissolve = address::family(remote) == Some(libc::AF_UNSPEC);
        let internet = address::internet(remote);
        match &mut self.descriptors.get_mut(call, call.int(0))?.object {
            Object::Tcp(Tcp { state: TcpState::Accepted(_) | TcpState::Listening { .. }, .. }) => {
                return Err(call.inconsistent("a socket neither accepted nor listening", "another"));
            }
            Object::Tcp(socket) => match internet {
                Some(remote) => {
                    if let Some(bound) = socket.bound() {
                        self.unlistened.0.push(bound.id);
                    }
                    socket.state = TcpState::Outgoing { remote };
                }
                None if dissolve => socket.state = TcpState::Fresh,
                None => return Err(call.inconsistent("an IPv4 or IPv6 address", "another")),
            },
            Object::Udp(socket) => socket.connected = internet,
            Object::Unix(socket) => {
                let connected = UnixState::Connected { remote: remote.to_vec() };
                socket.state = if dissolve { UnixState::Fresh } else { connected };
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn shutdown(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        let how = call.int(1);
        match &mut self.descriptors.get_mut(call, call.int(0))?.object {
            Object::Tcp(socket) => {
                socket.shutdown.add(how);
                match socket.state {
                    TcpState::Accepted(conn) if socket.shutdown.write => self.connections.finished(conn),
                    // Shutting down a listener ends it; it is bound still.
                    TcpState::Listening { bound, .. } if socket.shutdown.read => {
                        socket.state = TcpState::Bound(bound);
                        self.unlistened.0.push(bound.id);
                    }
                    _ => {}
                }
            }
            Object::Udp(socket) => socket.shutdown.add(how),
            Object::Unix(socket) => socket.shutdown.add(how),
            Object::Pair(end) => {
                end.shutdown.add(how);
                let peer = end.peer;
                if how != libc::SHUT_RD {
                    self.has_news(peer);
                }
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn setsockopt(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        let (level, name) = (call.int(1), call.int(2));
        let object = &mut self.descriptors.get_mut(call, call.int(0))?.object;
        let options = match object {
            Object::Tcp(Tcp { options, .. })
            | Object::Udp(Udp { options, .. })
            | Object::Unix(Unix { options, .. })
            | Object::Pair(PairEnd { options, .. })
            | Object::Netlink(Netlink { options, .. }) => options,
            _ => return Ok(()),
        };
        if level == libc::SOL_SOCKET && MEANINGLESS_ELSEWHERE.contains(&name) {
            return Err(call.unsupported(format_args!("a filter by socket option {name}")));
        }
        let value = if call.arg(4) == 0 { &[] } else { call.input(3)? };
        options.set(SocketOption { level, name, value: value.to_vec() });
        match options.size() {
            ..=MAX_OPTIONS => Ok(()),
            size => Err(call
                .inconsistent(format_args!("socket options of at most {MAX_OPTIONS} bytes"), format_args!("{size}"))),
        }
    }
}
