//! A replica's connection to the proxy, and what it means to this process when the proxy speaks or goes.

use std::net::SocketAddr;

use anyhow::Result;
use common::ids::{ConnId, Epoch, ReplicaId};
use common::orders::{Role, ToReplica};
use tracer::control::{Notice, ProxyControl};

use crate::ending;
use crate::exit::Exit;

/// Connects. `ending` tells whether this process ends in order already, so that the proxy may go; `received` hears which output
/// the proxy has.
pub fn connect(
    address: SocketAddr,
    (epoch, replica, role): (Epoch, ReplicaId, Role),
    ending: impl Fn() -> bool + Send + 'static,
    mut received: impl FnMut(ConnId, u64) + Send + 'static,
) -> Result<ProxyControl> {
    let control = ProxyControl::connect(address, epoch, replica, role, move |notice| match notice {
        Notice::Message(ToReplica::Received { offsets }) => {
            offsets.into_iter().for_each(|(conn, offset)| received(conn, offset));
        }
        Notice::Message(ToReplica::Superseded { epoch }) => {
            let why = format_args!("the proxy follows epoch {epoch}: another replica acts for the service");
            ending::now(Exit::Superseded, why);
        }
        Notice::Message(_) => {}
        Notice::Closed => {
            if !ending() {
                let part = if role == Role::Backup { "backup" } else { "server" };
                let why = format_args!(
                    "the proxy is gone, and with it all clients; the {part} is ended: start the service again"
                );
                ending::now(Exit::Failed, why);
            }
        }
    })?;
    Ok(control)
}
