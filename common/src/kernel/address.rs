//! struct sockaddr, as it stands in records.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use super::path::PathBytes;
use crate::abi;

/// The address family of raw sockaddr bytes.
#[must_use]
pub fn family(raw: &[u8]) -> Option<i32> {
    raw.first_chunk::<2>().map(|b| i32::from(u16::from_le_bytes(*b)))
}

/// An AF_INET or AF_INET6 address; `None` for other families and for bytes that are too short.
#[must_use]
pub fn internet(raw: &[u8]) -> Option<SocketAddr> {
    let port = || raw.get(2..4)?.first_chunk::<2>().map(|b| u16::from_be_bytes(*b));
    match family(raw)? {
        libc::AF_INET => {
            let ip = Ipv4Addr::from(*raw.get(4..8)?.first_chunk::<4>()?);
            Some(SocketAddr::V4(SocketAddrV4::new(ip, port()?)))
        }
        libc::AF_INET6 => {
            let flow = u32::from_be_bytes(*raw.get(4..8)?.first_chunk::<4>()?);
            let ip = Ipv6Addr::from(*raw.get(8..24)?.first_chunk::<16>()?);
            let scope = raw.get(24..28).and_then(|b| b.first_chunk::<4>()).map_or(0, |b| u32::from_le_bytes(*b));
            Some(SocketAddr::V6(SocketAddrV6::new(ip, port()?, flow, scope)))
        }
        _ => None,
    }
}

/// The same place in the one form that names a connection: an IPv4 address mapped into IPv6 becomes IPv4, flow and scope
/// are dropped. The proxy sees its end as IPv4 where the server, listening on both, sees it mapped.
#[must_use]
pub fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

/// The bytes of a sockaddr_in or sockaddr_in6.
#[must_use]
pub fn encode(addr: SocketAddr) -> Vec<u8> {
    let mut raw = Vec::with_capacity(28);
    match addr {
        SocketAddr::V4(addr) => {
            raw.extend_from_slice(&abi::family(libc::AF_INET));
            raw.extend_from_slice(&addr.port().to_be_bytes());
            raw.extend_from_slice(&addr.ip().octets());
            raw.extend_from_slice(&[0; 8]);
        }
        SocketAddr::V6(addr) => {
            raw.extend_from_slice(&abi::family(libc::AF_INET6));
            raw.extend_from_slice(&addr.port().to_be_bytes());
            raw.extend_from_slice(&addr.flowinfo().to_be_bytes());
            raw.extend_from_slice(&addr.ip().octets());
            raw.extend_from_slice(&addr.scope_id().to_le_bytes());
        }
    }
    raw
}

/// The path of an AF_UNIX address; `None` for other families, for unnamed and abstract ones.
#[must_use]
pub fn unix_path(raw: &[u8]) -> Option<PathBytes> {
    if family(raw)? != libc::AF_UNIX {
        return None;
    }
    let name = raw.get(2..)?.split(|&b| b == 0).next()?;
    (!name.is_empty()).then(|| PathBytes(name.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internet_addresses_survive_the_round_trip() {
        for text in ["127.0.0.1:80", "[2001:db8::1]:443"] {
            let addr: SocketAddr = text.parse().unwrap();
            assert_eq!(internet(&encode(addr)), Some(addr));
        }
        assert_eq!(internet(&encode("127.0.0.1:80".parse().unwrap())[..5]), None);
    }

    #[test]
    fn a_mapped_address_names_the_same_connection() {
        assert_eq!(canonical("[::ffff:10.0.0.1]:9".parse().unwrap()), "10.0.0.1:9".parse().unwrap());
    }

    #[test]
    fn only_named_unix_sockets_have_a_path() {
        assert_eq!(unix_path(b"\x01\0/run/x\0\0"), Some(PathBytes::from("/run/x")));
        assert_eq!(unix_path(b"\x01\0\0abstract"), None);
        assert_eq!(unix_path(b"\x02\0/run/x"), None);
    }
}
