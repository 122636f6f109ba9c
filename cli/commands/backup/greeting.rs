//! The beginning of a pair, at the backup: the greeting and the snapshot.

use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Result, bail};
use common::arbiter::{self, ArbiterSpec};
use common::ids::ReplicaId;
use common::pair::channel::{self, FromPrimary};
use common::pair::message::{Hello, ToBackup, ToPrimary};
use common::snapshot::{ContentStore, FileStore, Manifest};
use socket2::Socket;
use tracer::peer;

use crate::args::Run;
use crate::exit::explain;
use crate::state::StateDir;

const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);

/// A primary that was accepted.
pub(super) struct Greeted {
    pub(super) stream: Socket,
    pub(super) hello: Hello,
    /// Takes heartbeats beside the channel.
    pub(super) heartbeats: UdpSocket,
    pub(super) arbiter: Box<dyn common::arbiter::Arbiter + Send>,
}

/// Greets whoever connected; refuses, with the reason, whom this backup cannot serve.
pub(super) fn greet(mut stream: Socket, args: &Run, replica: ReplicaId) -> Result<Greeted> {
    stream.set_read_timeout(Some(HANDSHAKE_PATIENCE))?;
    std::io::Write::write_all(&mut stream, &channel::preamble())?;
    channel::read_preamble(&mut stream)?;
    let FromPrimary::Message(ToBackup::Hello(hello)) = channel::read_from_primary(&mut stream)? else {
        bail!("expected a greeting");
    };
    match fitting(&hello, args) {
        Ok(arbiter) => {
            let heartbeats = UdpSocket::bind((peer::host(stream.local_addr().ok()), 0))?;
            let heartbeat_port = heartbeats.local_addr()?.port();
            channel::write_message(&mut stream, &ToPrimary::Accept { replica, heartbeat_port })?;
            Ok(Greeted { stream, hello: *hello, heartbeats, arbiter })
        }
        Err(error) => {
            let reason = explain(&error);
            channel::write_message(&mut stream, &ToPrimary::Refuse { reason })?;
            Err(error)
        }
    }
}

/// Whether this machine can stand in for the primary's.
fn fitting(hello: &Hello, args: &Run) -> Result<Box<dyn common::arbiter::Arbiter + Send>> {
    let own = env!("CARGO_PKG_VERSION");
    if hello.version != own {
        bail!("the primary runs ftrun {}, this backup {own}: install the same version on both", hello.version);
    }
    let lacking = hello.cpu.missing_from(&tracer::cpu::features());
    if !lacking.is_empty() {
        bail!("this processor lacks features of the primary's: {}; replicas need the same", lacking.join(", "));
    }
    let spec: ArbiterSpec = args.arbiter.as_deref().unwrap_or(&hello.settings.arbiter).parse()?;
    let mut arbiter = crate::commands::open_arbiter(&spec, &args.faults)?;
    arbiter::confirm(&mut *arbiter, &spec, hello.epoch, hello.replica)?;
    Ok(arbiter)
}

/// Takes the snapshot in; contents that were seen before are not sent again.
pub(super) fn receive_snapshot(stream: &mut Socket, state: &StateDir) -> Result<(Manifest, FileStore)> {
    let FromPrimary::Message(ToBackup::Manifest(bytes)) = channel::read_from_primary(stream)? else {
        bail!("expected a snapshot");
    };
    let manifest = Manifest::decode(&bytes)?;
    let mut contents = FileStore::open(state.join("content"))?;
    let hashes = manifest.missing(&contents)?;
    channel::write_message(stream, &ToPrimary::Want { hashes })?;
    loop {
        match channel::read_from_primary(stream)? {
            FromPrimary::Message(ToBackup::Chunk { hash, bytes }) => {
                if contents.put(&bytes)? != hash {
                    bail!("the content {hash} arrived damaged");
                }
            }
            FromPrimary::Message(ToBackup::Start) => return Ok((manifest, contents)),
            FromPrimary::Message(ToBackup::Heartbeat { .. }) => {}
            _ => bail!("expected contents of the snapshot"),
        }
    }
}
