//! Connects to the server.
//!
//! The name of a connection is the address that the server's accept shows, so the proxy chooses its port itself and takes the
//! name before it connects: an order can never come for a name that is not yet known, and a name that the replicas are not
//! done with is never used again. Ports are taken in turn, so that one rests as long as possible.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::rc::Rc;

use common::ids::ConnId;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::connection::Target;
use crate::shared::{Entry, Shared, canonical};

/// Where the kernel says which ports are for outgoing connections: `ip-sysctl`, ip_local_port_range.
const PORT_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// The kernel's default.
const DEFAULT_PORTS: (u16, u16) = (32768, 60999);
/// Ports tried for one connection before it is put off.
const TRIES: usize = 512;

/// Hands out ports in turn.
#[derive(Debug)]
pub(crate) struct Ports {
    range: (u16, u16),
    next: u16,
}

impl Default for Ports {
    fn default() -> Self {
        let range = std::fs::read_to_string(PORT_RANGE).ok().and_then(|text| parse(&text)).unwrap_or(DEFAULT_PORTS);
        // Begins elsewhere than its predecessor did, whose ports may still rest in TIME_WAIT.
        let width = u32::from(range.1 - range.0) + 1;
        let next = u32::from(range.0) + std::process::id().wrapping_mul(0x9e37_79b1) % width;
        let next = u16::try_from(next).unwrap_or(range.0);
        Self { range, next }
    }
}

fn parse(text: &str) -> Option<(u16, u16)> {
    let mut numbers = text.split_whitespace().map(str::parse::<u16>);
    let range = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    (0 < range.0 && range.0 <= range.1).then_some(range)
}

impl Ports {
    fn take(&mut self) -> u16 {
        let port = self.next;
        self.next = if port == self.range.1 { self.range.0 } else { port + 1 };
        port
    }
}

/// The address that this machine uses towards `to`. No packet is sent.
fn source(to: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let probe = UdpSocket::bind((any, 0))?;
    probe.connect(to)?;
    Ok(probe.local_addr()?.ip())
}

/// Makes the server side of a connection, one attempt.
pub(crate) async fn connect(shared: Rc<Shared>, entry: Rc<Entry>, target: Target) -> io::Result<TcpStream> {
    let stream = match target {
        Target::Listener => connect_named(&shared, &entry).await?,
        Target::Resume { at, header } => {
            let mut stream = TcpStream::connect(at).await?;
            stream.write_all(&header.encode()).await?;
            stream
        }
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn connect_named(shared: &Shared, entry: &Rc<Entry>) -> io::Result<TcpStream> {
    let real = shared.listening.borrow().real(entry.listener);
    let real = real.ok_or_else(|| io::Error::new(ErrorKind::NotConnected, "the server does not listen yet"))?;
    let source = source(real)?;
    let serial = entry.state.borrow().link_serial();
    for _ in 0..TRIES {
        let port = shared.ports.borrow_mut().take();
        // A socket that connects to its own address would meet itself when the server is gone.
        if port == real.port() {
            continue;
        }
        let local = SocketAddr::new(source, port);
        let socket = if real.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // Lets a port that rests in TIME_WAIT be used, if the kernel finds that safe.
        socket.set_reuseaddr(true)?;
        let epoch = shared.authority.borrow().epoch();
        let free = socket.bind(local).is_ok() && shared.name(entry, ConnId { epoch, peer: canonical(local) });
        if !free {
            continue;
        }
        match socket.connect(real).await {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                // A takeover in the meantime may have carried the connection on under this name.
                if entry.state.borrow().link_serial() != serial {
                    return Err(error);
                }
                shared.unname(entry);
                if !matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable) {
                    return Err(error);
                }
            }
        }
    }
    Err(io::Error::new(ErrorKind::AddrInUse, format!("no free port towards {real}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_taken_in_turn() {
        let mut ports = Ports { range: (10, 12), next: 11 };
        assert_eq!([ports.take(), ports.take(), ports.take(), ports.take()], [11, 12, 10, 11]);
        assert_eq!(parse("32768\t60999\n"), Some((32768, 60999)));
        assert_eq!(parse("5 4"), None);
    }

    #[test]
    fn the_source_towards_this_machine_is_this_machine() {
        assert_eq!(source("127.0.0.1:9".parse().unwrap()).unwrap(), IpAddr::from([127, 0, 0, 1]));
    }
}
