//! struct sockaddr, as it stands in records.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

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

/// Where a socket of this family that was to be bound to `asked` is bound instead, so that a proxy reaches it which reaches
/// this machine at `machine`. `None` when no address of that family leads here.
///
/// An IPv4-mapped address needs a socket without IPV6_V6ONLY. On loopback a listener for IPv6 alone (`v6_only`, or at one IPv6
/// address) gets IPv6 peers, as it expects; one for both families is reached by IPv4, which is always there.
#[must_use]
pub fn aside(family: i32, asked: IpAddr, v6_only: bool, machine: IpAddr) -> Option<IpAddr> {
    match (family, machine.to_canonical()) {
        (libc::AF_INET, IpAddr::V4(ip)) => Some(ip.into()),
        (libc::AF_INET, IpAddr::V6(ip)) => ip.is_loopback().then_some(Ipv4Addr::LOCALHOST.into()),
        (libc::AF_INET6, IpAddr::V4(ip)) if ip.is_loopback() && (v6_only || is_one_v6(asked)) => {
            Some(Ipv6Addr::LOCALHOST.into())
        }
        (libc::AF_INET6, IpAddr::V4(ip)) => Some(ip.to_ipv6_mapped().into()),
        (libc::AF_INET6, IpAddr::V6(ip)) => Some(ip.into()),
        _ => None,
    }
}

/// Whether an address is a single one that IPv4 does not reach. A socket that is bound to it is for IPv6 only: bind(2) makes
/// it so, whatever its IPV6_V6ONLY was (kernel: `__inet6_bind`).
#[must_use]
pub fn is_one_v6(ip: IpAddr) -> bool {
    ip.to_canonical().is_ipv6() && !ip.is_unspecified()
}

/// The same address in the form of a family: IPv4 mapped for IPv6 sockets.
#[must_use]
pub fn in_family(address: SocketAddr, family: i32) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if family == libc::AF_INET6 => SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port())),
        other => other,
    }
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

/// An address as it is encoded in models and messages. Serde's own way drops the scope, without which a link-local address means nothing.
#[derive(Serialize, Deserialize)]
enum Whole {
    V4(Ipv4Addr, u16),
    V6 { ip: Ipv6Addr, port: u16, flow: u32, scope: u32 },
}

impl From<SocketAddr> for Whole {
    fn from(addr: SocketAddr) -> Self {
        match addr {
            SocketAddr::V4(addr) => Self::V4(*addr.ip(), addr.port()),
            SocketAddr::V6(addr) => {
                Self::V6 { ip: *addr.ip(), port: addr.port(), flow: addr.flowinfo(), scope: addr.scope_id() }
            }
        }
    }
}

impl From<Whole> for SocketAddr {
    fn from(whole: Whole) -> Self {
        match whole {
            Whole::V4(ip, port) => SocketAddrV4::new(ip, port).into(),
            Whole::V6 { ip, port, flow, scope } => SocketAddrV6::new(ip, port, flow, scope).into(),
        }
    }
}

/// `#[serde(with = "address::whole")]`
pub(crate) mod whole {
    use super::{Deserialize, Deserializer, Serialize, Serializer, SocketAddr, Whole};

    pub(crate) fn serialize<S: Serializer>(addr: &SocketAddr, serializer: S) -> Result<S::Ok, S::Error> {
        Whole::from(*addr).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
        Ok(Whole::deserialize(deserializer)?.into())
    }
}

/// `#[serde(with = "address::whole_option")]`
pub(crate) mod whole_option {
    use super::{Deserialize, Deserializer, Serialize, Serializer, SocketAddr, Whole};

    #[expect(clippy::ref_option, reason = "serde gives it so")]
    pub(crate) fn serialize<S: Serializer>(addr: &Option<SocketAddr>, serializer: S) -> Result<S::Ok, S::Error> {
        addr.map(Whole::from).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
        Ok(Option::<Whole>::deserialize(deserializer)?.map(SocketAddr::from))
    }
}

/// `#[serde(with = "address::whole_outcome")]`: an address, or an errno value.
pub(crate) mod whole_outcome {
    use super::{Deserialize, Deserializer, Serialize, Serializer, SocketAddr, Whole};

    pub(crate) fn serialize<S: Serializer>(
        outcome: &Result<SocketAddr, i32>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        outcome.map(Whole::from).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Result<SocketAddr, i32>, D::Error> {
        Ok(Result::<Whole, i32>::deserialize(deserializer)?.map(SocketAddr::from))
    }
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
    fn a_listener_moves_to_where_its_family_reaches() {
        let place = |family, asked: &str, v6_only, machine: &str| {
            aside(family, asked.parse().unwrap(), v6_only, machine.parse().unwrap()).map(|ip| ip.to_string())
        };
        let (v4, v6) = (libc::AF_INET, libc::AF_INET6);
        for (family, asked, v6_only, machine, expected) in [
            (v4, "0.0.0.0", false, "10.0.0.1", Some("10.0.0.1")),
            (v4, "127.0.0.1", false, "::1", Some("127.0.0.1")),
            (v4, "127.0.0.1", false, "2001:db8::1", None),
            (v6, "::", false, "127.0.0.1", Some("::ffff:127.0.0.1")),
            (v6, "::", true, "127.0.0.1", Some("::1")),
            (v6, "::1", false, "127.0.0.1", Some("::1")),
            (v6, "::ffff:10.0.0.1", false, "127.0.0.1", Some("::ffff:127.0.0.1")),
            (v6, "::", true, "10.0.0.1", Some("::ffff:10.0.0.1")),
            (v6, "2001:db8::2", false, "2001:db8::1", Some("2001:db8::1")),
        ] {
            let found = place(family, asked, v6_only, machine);
            assert_eq!(found.as_deref(), expected, "family {family} at {asked}, only: {v6_only}, machine {machine}");
        }
    }

    #[test]
    fn only_named_unix_sockets_have_a_path() {
        assert_eq!(unix_path(b"\x01\0/run/x\0\0"), Some(PathBytes::from("/run/x")));
        assert_eq!(unix_path(b"\x01\0\0abstract"), None);
        assert_eq!(unix_path(b"\x02\0/run/x"), None);
    }
}
