//! Sockets whose output is not held back: what leaves through them is not under the output rule, and the status says so.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::descriptor::Object;
use super::socket::{Tcp, TcpState, Unix, UnixState};
use super::{Kernel, address};

impl Kernel {
    /// The sockets by which the server speaks to others than the clients of its TCP listeners, each once: UDP and UNIX
    /// sockets, and TCP connections that it made itself.
    #[must_use]
    pub fn unprotected(&self) -> BTreeSet<String> {
        self.descriptors().descriptions().filter_map(|(_, description)| name(&description.object)).collect()
    }
}

fn name(object: &Object) -> Option<String> {
    let to = |connected: Option<SocketAddr>| connected.map(|remote| format!(" to {remote}")).unwrap_or_default();
    match object {
        Object::Udp(socket) => match (socket.bound, socket.connected) {
            (None, None) => None,
            (Some(bound), remote) => Some(format!("udp {bound}{}", to(remote))),
            (None, remote) => Some(format!("udp{}", to(remote))),
        },
        Object::Tcp(Tcp { state: TcpState::Outgoing { remote }, .. }) => Some(format!("tcp{}", to(Some(*remote)))),
        Object::Unix(socket) => unix(socket),
        _ => None,
    }
}

fn unix(socket: &Unix) -> Option<String> {
    let shown = |raw: &[u8]| match address::unix_path(raw) {
        Some(path) => path.as_path().display().to_string(),
        None => format!("@{}", String::from_utf8_lossy(raw.get(3..).unwrap_or_default())),
    };
    match (&socket.state, &socket.path, &socket.bound) {
        (UnixState::Connected { remote }, ..) => Some(format!("unix to {}", shown(remote))),
        (_, Some(path), _) => Some(format!("unix {}", path.as_path().display())),
        (_, None, Some(raw)) => Some(format!("unix {}", shown(raw))),
        (UnixState::Accepted, None, None) => Some("unix (accepted)".to_owned()),
        (UnixState::Fresh | UnixState::Listening { .. }, None, None) => None,
    }
}
