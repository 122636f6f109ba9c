//! The Python asyncio key-value server (`tests/servers/kv_asyncio.py`).

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;

use super::Server;
use super::kv::{KvNetcat, KvSession, conclude};
use crate::support::program::Exit;
use crate::support::{python, server_scripts};

server_tests!(AsyncioKv);

pub(super) struct AsyncioKv {
    command: Vec<OsString>,
}

impl Server for AsyncioKv {
    const ON_SIGTERM: Exit = Exit::Code(0);
    type Session = KvSession;
    type External = KvNetcat;

    fn prepare(address: SocketAddr, _dir: &Path) -> Result<Self> {
        let command = vec![
            python()?.into(),
            // Neither the user's packages nor compiled files beside the script.
            "-IB".into(),
            server_scripts().join("kv_asyncio.py").into(),
            address.port().to_string().into(),
        ];
        Ok(Self { command })
    }

    fn command(&self) -> Vec<OsString> {
        self.command.clone()
    }

    fn open(&self, address: SocketAddr, index: usize) -> Result<KvSession> {
        KvSession::open(address, index)
    }

    fn external(&self, address: SocketAddr, dir: &Path) -> Result<KvNetcat> {
        KvNetcat::connect(address, dir)
    }

    fn conclude(&self, address: SocketAddr, sessions: Vec<KvSession>) -> Result<()> {
        conclude(address, sessions)
    }
}
