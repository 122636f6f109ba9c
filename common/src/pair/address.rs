//! Where a backup waits for its primary.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// The longest name of a UNIX socket in bytes, see unix(7).
pub const MAX_NAME: usize = 107;

/// The address of a backup: `IP:PORT`, `unix:PATH`, or `unix:@NAME` for a name that is in no directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerAddress {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A UNIX socket, on the same machine, by its path.
    Path(PathBuf),
    /// A UNIX socket by its abstract name.
    Abstract(String),
}

impl PeerAddress {
    /// Whether what is sent there stays on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Path(_) | Self::Abstract(_) => true,
        }
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Path(path) => write!(f, "unix:{}", path.display()),
            Self::Abstract(name) => write!(f, "unix:@{name}"),
        }
    }
}

impl FromStr for PeerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(name) = text.strip_prefix("unix:") else {
            let wrong = |_| format!("expected IP:PORT, unix:PATH or unix:@NAME, found {text}");
            return text.parse().map(Self::Tcp).map_err(wrong);
        };
        let (address, name) = match name.strip_prefix('@') {
            Some(name) => (Self::Abstract(name.to_owned()), name),
            None => (Self::Path(name.into()), name),
        };
        match name.len() {
            0 => Err(format!("{text}: expected a name behind the colon")),
            1..=MAX_NAME if !name.contains('\0') => Ok(address),
            1..=MAX_NAME => Err(format!("{}: the name has a byte of 0", text.escape_debug())),
            found => Err(format!("{text}: the name has {found} bytes, expected at most {MAX_NAME}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_what_they_say() {
        for (text, local) in [
            ("10.0.0.3:7000", false),
            ("127.0.0.1:7000", true),
            ("[::1]:7000", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("unix:/run/ftrun/backup", true),
            ("unix:backup", true),
            ("unix:@backup", true),
        ] {
            let address: PeerAddress = text.parse().unwrap();
            assert_eq!((address.to_string().as_str(), address.is_local()), (text, local));
        }
    }

    #[test]
    fn what_is_none_is_named() {
        let said = |text: &str| text.parse::<PeerAddress>().unwrap_err();
        assert_eq!(said("10.0.0.3"), "expected IP:PORT, unix:PATH or unix:@NAME, found 10.0.0.3");
        assert_eq!(said("unix:"), "unix:: expected a name behind the colon");
        assert_eq!(said("unix:@"), "unix:@: expected a name behind the colon");
        assert!(said(&format!("unix:{}", "x".repeat(108))).ends_with("the name has 108 bytes, expected at most 107"));
        assert!(said("unix:a\0b").contains("a byte of 0"));
    }
}
