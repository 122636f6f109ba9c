//! Socket options: those of `include/uapi/asm-generic/socket.h`, `include/uapi/linux/{in,in6,tcp,udp,netlink}.h` in the kernel's
//! sources (Linux 6.18), and of which kind their values are. A pair of level and option that is not here is refused.

use super::super::nr;
use super::super::shape::Class::Emulate;
use super::super::shape::Direction::{In, InOut, Out};
use super::super::shape::Length::{Arg, Fixed, ValueResult};
use super::super::shape::{Pointer, ptr, shape};
use super::{Operation, are_sorted, known, refused};

/// A socket option.
#[derive(Debug)]
pub struct SocketOption {
    /// Its level's name.
    pub level: &'static str,
    /// Its number within the level.
    pub number: u32,
    /// Its name.
    pub name: &'static str,
    /// What its value is, with the length in bytes.
    pub value: &'static str,
    /// Whether setsockopt(2) may be called with it.
    pub set: bool,
    /// Whether getsockopt(2) may be called with it.
    pub get: bool,
}

/// Selects among the operations of setsockopt(2) and getsockopt(2).
pub(super) const fn selected(level: u64, option: u64) -> u64 {
    (level & 0xffff_ffff) << 32 | option & 0xffff_ffff
}

const TO_SET: &[Pointer] = &[ptr(3, In, Arg(4, 1))];
const TO_GET: &[Pointer] = &[ptr(3, Out, ValueResult(4)), ptr(4, InOut, Fixed(4))];

const fn set(level: u32, number: u32, name: &'static str, carried: bool) -> Operation {
    let value = selected(level as u64, number as u64);
    if carried { known(value, shape(nr::SETSOCKOPT, name, 5, Emulate, TO_SET)) } else { refused(value, name) }
}

const fn get(level: u32, number: u32, name: &'static str, carried: bool) -> Operation {
    let value = selected(level as u64, number as u64);
    if carried { known(value, shape(nr::GETSOCKOPT, name, 5, Emulate, TO_GET)) } else { refused(value, name) }
}

/// Set and read, set alone, read alone, neither.
const BOTH: (bool, bool) = (true, true);
const SET: (bool, bool) = (true, false);
const GET: (bool, bool) = (false, true);
const NO: (bool, bool) = (false, false);

const INT: &str = "int, 4";
const LONG: &str = "u64, 8";
const INT_OR_LONG: &str = "u32 or u64, 4 or 8";
const TEXT: &str = "text";
const BYTES: &str = "bytes";
const LINGER: &str = "struct linger, 8";
const TIMEVAL: &str = "struct timeval, 16";
const UCRED: &str = "struct ucred, 12";
const FPROG: &str = "struct sock_fprog, 16";
const MREQN: &str = "struct in_addr, ip_mreq or ip_mreqn, 4, 8 or 12";
const MREQ_SOURCE: &str = "struct ip_mreq_source, 12";
const MREQ6: &str = "struct ipv6_mreq, 20";
const GROUP: &str = "struct group_req, 136";
const GROUP_SOURCE: &str = "struct group_source_req, 264";
const SOCKADDR_IN: &str = "struct sockaddr_in, 16";

macro_rules! options {
    ($($level:ident $level_number:literal { $($number:literal $name:ident $value:ident $direction:ident;)* })*) => {
        /// All of them, by level and number.
        pub static OPTIONS: &[SocketOption] = &[$($(SocketOption {
            level: stringify!($level),
            number: $number,
            name: stringify!($name),
            value: $value,
            set: $direction.0,
            get: $direction.1,
        }),*),*];
        pub(super) static SETSOCKOPT: &[Operation] =
            &[$($(set($level_number, $number, concat!("setsockopt(", stringify!($name), ")"), $direction.0)),*),*];
        pub(super) static GETSOCKOPT: &[Operation] =
            &[$($(get($level_number, $number, concat!("getsockopt(", stringify!($name), ")"), $direction.1)),*),*];
    };
}

// What is neither set nor read: filters and other code for the kernel, memory that is shared with it, descriptors from other
// processes, encryption in the kernel, repair, the netfilter tables, and what makes a socket one of another family.
options! {
    SOL_IP 0 {
        1 IP_TOS INT BOTH;
        2 IP_TTL INT BOTH;
        3 IP_HDRINCL INT BOTH;
        4 IP_OPTIONS BYTES BOTH;
        5 IP_ROUTER_ALERT INT BOTH;
        6 IP_RECVOPTS INT BOTH;
        7 IP_RETOPTS INT BOTH;
        8 IP_PKTINFO INT BOTH;
        9 IP_PKTOPTIONS BYTES GET;
        10 IP_MTU_DISCOVER INT BOTH;
        11 IP_RECVERR INT BOTH;
        12 IP_RECVTTL INT BOTH;
        13 IP_RECVTOS INT BOTH;
        14 IP_MTU INT GET;
        15 IP_FREEBIND INT BOTH;
        16 IP_IPSEC_POLICY BYTES NO;
        17 IP_XFRM_POLICY BYTES NO;
        18 IP_PASSSEC INT BOTH;
        19 IP_TRANSPARENT INT BOTH;
        20 IP_RECVORIGDSTADDR INT BOTH;
        21 IP_MINTTL INT BOTH;
        22 IP_NODEFRAG INT BOTH;
        23 IP_CHECKSUM INT BOTH;
        24 IP_BIND_ADDRESS_NO_PORT INT BOTH;
        25 IP_RECVFRAGSIZE INT BOTH;
        26 IP_RECVERR_RFC4884 INT BOTH;
        32 IP_MULTICAST_IF MREQN BOTH;
        33 IP_MULTICAST_TTL INT BOTH;
        34 IP_MULTICAST_LOOP INT BOTH;
        35 IP_ADD_MEMBERSHIP MREQN SET;
        36 IP_DROP_MEMBERSHIP MREQN SET;
        37 IP_UNBLOCK_SOURCE MREQ_SOURCE SET;
        38 IP_BLOCK_SOURCE MREQ_SOURCE SET;
        39 IP_ADD_SOURCE_MEMBERSHIP MREQ_SOURCE SET;
        40 IP_DROP_SOURCE_MEMBERSHIP MREQ_SOURCE SET;
        41 IP_MSFILTER BYTES BOTH;
        42 MCAST_JOIN_GROUP GROUP SET;
        43 MCAST_BLOCK_SOURCE GROUP_SOURCE SET;
        44 MCAST_UNBLOCK_SOURCE GROUP_SOURCE SET;
        45 MCAST_LEAVE_GROUP GROUP SET;
        46 MCAST_JOIN_SOURCE_GROUP GROUP_SOURCE SET;
        47 MCAST_LEAVE_SOURCE_GROUP GROUP_SOURCE SET;
        48 MCAST_MSFILTER BYTES BOTH;
        49 IP_MULTICAST_ALL INT BOTH;
        50 IP_UNICAST_IF INT BOTH;
        51 IP_LOCAL_PORT_RANGE INT BOTH;
        52 IP_PROTOCOL INT GET;
        64 IPT_SO_SET_REPLACE BYTES NO;
        80 SO_ORIGINAL_DST SOCKADDR_IN GET;
    }
    SOL_SOCKET 1 {
        1 SO_DEBUG INT BOTH;
        2 SO_REUSEADDR INT BOTH;
        3 SO_TYPE INT GET;
        4 SO_ERROR INT GET;
        5 SO_DONTROUTE INT BOTH;
        6 SO_BROADCAST INT BOTH;
        7 SO_SNDBUF INT BOTH;
        8 SO_RCVBUF INT BOTH;
        9 SO_KEEPALIVE INT BOTH;
        10 SO_OOBINLINE INT BOTH;
        11 SO_NO_CHECK INT BOTH;
        12 SO_PRIORITY INT BOTH;
        13 SO_LINGER LINGER BOTH;
        14 SO_BSDCOMPAT INT BOTH;
        15 SO_REUSEPORT INT BOTH;
        16 SO_PASSCRED INT BOTH;
        17 SO_PEERCRED UCRED GET;
        18 SO_RCVLOWAT INT BOTH;
        19 SO_SNDLOWAT INT BOTH;
        20 SO_RCVTIMEO TIMEVAL BOTH;
        21 SO_SNDTIMEO TIMEVAL BOTH;
        25 SO_BINDTODEVICE TEXT BOTH;
        26 SO_ATTACH_FILTER FPROG NO;
        27 SO_DETACH_FILTER INT SET;
        28 SO_PEERNAME BYTES GET;
        29 SO_TIMESTAMP INT BOTH;
        30 SO_ACCEPTCONN INT GET;
        31 SO_PEERSEC TEXT GET;
        32 SO_SNDBUFFORCE INT SET;
        33 SO_RCVBUFFORCE INT SET;
        34 SO_PASSSEC INT BOTH;
        35 SO_TIMESTAMPNS INT BOTH;
        36 SO_MARK INT BOTH;
        37 SO_TIMESTAMPING INT BOTH;
        38 SO_PROTOCOL INT GET;
        39 SO_DOMAIN INT GET;
        40 SO_RXQ_OVFL INT BOTH;
        41 SO_WIFI_STATUS INT BOTH;
        42 SO_PEEK_OFF INT BOTH;
        43 SO_NOFCS INT BOTH;
        44 SO_LOCK_FILTER INT BOTH;
        45 SO_SELECT_ERR_QUEUE INT BOTH;
        46 SO_BUSY_POLL INT BOTH;
        47 SO_MAX_PACING_RATE INT_OR_LONG BOTH;
        48 SO_BPF_EXTENSIONS INT GET;
        49 SO_INCOMING_CPU INT BOTH;
        50 SO_ATTACH_BPF INT NO;
        51 SO_ATTACH_REUSEPORT_CBPF FPROG NO;
        52 SO_ATTACH_REUSEPORT_EBPF INT NO;
        53 SO_CNX_ADVICE INT SET;
        55 SO_MEMINFO BYTES GET;
        56 SO_INCOMING_NAPI_ID INT GET;
        57 SO_COOKIE LONG GET;
        59 SO_PEERGROUPS BYTES GET;
        60 SO_ZEROCOPY INT NO;
        61 SO_TXTIME BYTES NO;
        62 SO_BINDTOIFINDEX INT BOTH;
        63 SO_TIMESTAMP_NEW INT BOTH;
        64 SO_TIMESTAMPNS_NEW INT BOTH;
        65 SO_TIMESTAMPING_NEW INT BOTH;
        66 SO_RCVTIMEO_NEW TIMEVAL BOTH;
        67 SO_SNDTIMEO_NEW TIMEVAL BOTH;
        68 SO_DETACH_REUSEPORT_BPF INT NO;
        69 SO_PREFER_BUSY_POLL INT BOTH;
        70 SO_BUSY_POLL_BUDGET INT BOTH;
        71 SO_NETNS_COOKIE LONG GET;
        72 SO_BUF_LOCK INT BOTH;
        73 SO_RESERVE_MEM INT BOTH;
        74 SO_TXREHASH INT BOTH;
        75 SO_RCVMARK INT BOTH;
        76 SO_PASSPIDFD INT NO;
        77 SO_PEERPIDFD INT NO;
        78 SO_DEVMEM_LINEAR BYTES NO;
        79 SO_DEVMEM_DMABUF BYTES NO;
        80 SO_DEVMEM_DONTNEED BYTES NO;
        82 SO_RCVPRIORITY INT BOTH;
        83 SO_PASSRIGHTS INT NO;
        84 SO_INQ INT BOTH;
    }
    SOL_TCP 6 {
        1 TCP_NODELAY INT BOTH;
        2 TCP_MAXSEG INT BOTH;
        3 TCP_CORK INT BOTH;
        4 TCP_KEEPIDLE INT BOTH;
        5 TCP_KEEPINTVL INT BOTH;
        6 TCP_KEEPCNT INT BOTH;
        7 TCP_SYNCNT INT BOTH;
        8 TCP_LINGER2 INT BOTH;
        9 TCP_DEFER_ACCEPT INT BOTH;
        10 TCP_WINDOW_CLAMP INT BOTH;
        11 TCP_INFO BYTES GET;
        12 TCP_QUICKACK INT BOTH;
        13 TCP_CONGESTION TEXT BOTH;
        14 TCP_MD5SIG BYTES NO;
        16 TCP_THIN_LINEAR_TIMEOUTS INT BOTH;
        17 TCP_THIN_DUPACK INT BOTH;
        18 TCP_USER_TIMEOUT INT BOTH;
        19 TCP_REPAIR INT NO;
        20 TCP_REPAIR_QUEUE INT NO;
        21 TCP_QUEUE_SEQ INT NO;
        22 TCP_REPAIR_OPTIONS BYTES NO;
        23 TCP_FASTOPEN INT BOTH;
        24 TCP_TIMESTAMP INT BOTH;
        25 TCP_NOTSENT_LOWAT INT BOTH;
        26 TCP_CC_INFO BYTES GET;
        27 TCP_SAVE_SYN INT BOTH;
        28 TCP_SAVED_SYN BYTES GET;
        29 TCP_REPAIR_WINDOW BYTES NO;
        30 TCP_FASTOPEN_CONNECT INT BOTH;
        31 TCP_ULP TEXT NO;
        32 TCP_MD5SIG_EXT BYTES NO;
        33 TCP_FASTOPEN_KEY BYTES BOTH;
        34 TCP_FASTOPEN_NO_COOKIE INT BOTH;
        35 TCP_ZEROCOPY_RECEIVE BYTES NO;
        36 TCP_INQ INT BOTH;
        37 TCP_TX_DELAY INT BOTH;
        38 TCP_AO_ADD_KEY BYTES NO;
        39 TCP_AO_DEL_KEY BYTES NO;
        40 TCP_AO_INFO BYTES NO;
        41 TCP_AO_GET_KEYS BYTES NO;
        42 TCP_AO_REPAIR BYTES NO;
        43 TCP_IS_MPTCP INT GET;
        44 TCP_RTO_MAX_MS INT BOTH;
        45 TCP_RTO_MIN_US INT BOTH;
        46 TCP_DELACK_MAX_US INT BOTH;
    }
    SOL_UDP 17 {
        1 UDP_CORK INT BOTH;
        100 UDP_ENCAP INT NO;
        101 UDP_NO_CHECK6_TX INT BOTH;
        102 UDP_NO_CHECK6_RX INT BOTH;
        103 UDP_SEGMENT INT BOTH;
        104 UDP_GRO INT BOTH;
    }
    SOL_IPV6 41 {
        1 IPV6_ADDRFORM INT NO;
        2 IPV6_2292PKTINFO INT BOTH;
        3 IPV6_2292HOPOPTS INT BOTH;
        4 IPV6_2292DSTOPTS INT BOTH;
        5 IPV6_2292RTHDR INT BOTH;
        6 IPV6_2292PKTOPTIONS BYTES BOTH;
        7 IPV6_CHECKSUM INT BOTH;
        8 IPV6_2292HOPLIMIT INT BOTH;
        11 IPV6_FLOWINFO INT BOTH;
        16 IPV6_UNICAST_HOPS INT BOTH;
        17 IPV6_MULTICAST_IF INT BOTH;
        18 IPV6_MULTICAST_HOPS INT BOTH;
        19 IPV6_MULTICAST_LOOP INT BOTH;
        20 IPV6_ADD_MEMBERSHIP MREQ6 SET;
        21 IPV6_DROP_MEMBERSHIP MREQ6 SET;
        22 IPV6_ROUTER_ALERT INT BOTH;
        23 IPV6_MTU_DISCOVER INT BOTH;
        24 IPV6_MTU INT BOTH;
        25 IPV6_RECVERR INT BOTH;
        26 IPV6_V6ONLY INT BOTH;
        27 IPV6_JOIN_ANYCAST MREQ6 SET;
        28 IPV6_LEAVE_ANYCAST MREQ6 SET;
        29 IPV6_MULTICAST_ALL INT BOTH;
        30 IPV6_ROUTER_ALERT_ISOLATE INT BOTH;
        31 IPV6_RECVERR_RFC4884 INT BOTH;
        32 IPV6_FLOWLABEL_MGR BYTES BOTH;
        33 IPV6_FLOWINFO_SEND INT BOTH;
        34 IPV6_IPSEC_POLICY BYTES NO;
        35 IPV6_XFRM_POLICY BYTES NO;
        36 IPV6_HDRINCL INT BOTH;
        42 MCAST_JOIN_GROUP GROUP SET;
        43 MCAST_BLOCK_SOURCE GROUP_SOURCE SET;
        44 MCAST_UNBLOCK_SOURCE GROUP_SOURCE SET;
        45 MCAST_LEAVE_GROUP GROUP SET;
        46 MCAST_JOIN_SOURCE_GROUP GROUP_SOURCE SET;
        47 MCAST_LEAVE_SOURCE_GROUP GROUP_SOURCE SET;
        48 MCAST_MSFILTER BYTES BOTH;
        49 IPV6_RECVPKTINFO INT BOTH;
        50 IPV6_PKTINFO BYTES BOTH;
        51 IPV6_RECVHOPLIMIT INT BOTH;
        52 IPV6_HOPLIMIT INT BOTH;
        53 IPV6_RECVHOPOPTS INT BOTH;
        54 IPV6_HOPOPTS BYTES BOTH;
        55 IPV6_RTHDRDSTOPTS BYTES BOTH;
        56 IPV6_RECVRTHDR INT BOTH;
        57 IPV6_RTHDR BYTES BOTH;
        58 IPV6_RECVDSTOPTS INT BOTH;
        59 IPV6_DSTOPTS BYTES BOTH;
        60 IPV6_RECVPATHMTU INT BOTH;
        61 IPV6_PATHMTU BYTES GET;
        62 IPV6_DONTFRAG INT BOTH;
        63 IPV6_USE_MIN_MTU INT BOTH;
        64 IP6T_SO_SET_REPLACE BYTES NO;
        66 IPV6_RECVTCLASS INT BOTH;
        67 IPV6_TCLASS INT BOTH;
        70 IPV6_AUTOFLOWLABEL INT BOTH;
        72 IPV6_ADDR_PREFERENCES INT BOTH;
        73 IPV6_MINHOPCOUNT INT BOTH;
        74 IPV6_RECVORIGDSTADDR INT BOTH;
        75 IPV6_TRANSPARENT INT BOTH;
        76 IPV6_UNICAST_IF INT BOTH;
        77 IPV6_RECVFRAGSIZE INT BOTH;
        78 IPV6_FREEBIND INT BOTH;
        80 IP6T_SO_ORIGINAL_DST BYTES GET;
    }
    SOL_ICMPV6 58 {
        1 ICMPV6_FILTER BYTES BOTH;
    }
    SOL_RAW 255 {
        1 ICMP_FILTER INT BOTH;
    }
    SOL_NETLINK 270 {
        1 NETLINK_ADD_MEMBERSHIP INT SET;
        2 NETLINK_DROP_MEMBERSHIP INT SET;
        3 NETLINK_PKTINFO INT BOTH;
        4 NETLINK_BROADCAST_ERROR INT BOTH;
        5 NETLINK_NO_ENOBUFS INT BOTH;
        6 NETLINK_RX_RING BYTES NO;
        7 NETLINK_TX_RING BYTES NO;
        8 NETLINK_LISTEN_ALL_NSID INT BOTH;
        9 NETLINK_LIST_MEMBERSHIPS BYTES GET;
        10 NETLINK_CAP_ACK INT BOTH;
        11 NETLINK_EXT_ACK INT BOTH;
        12 NETLINK_GET_STRICT_CHK INT BOTH;
    }
}

const _: () = assert!(are_sorted(SETSOCKOPT) && are_sorted(GETSOCKOPT), "socket options are out of order");
