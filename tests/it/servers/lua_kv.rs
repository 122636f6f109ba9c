//! The Lua key-value server (`tests/servers/kv.lua`), a select loop.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;
use nix::sys::signal::Signal;

use super::Server;
use super::kv::{KvNetcat, KvSession, conclude};
use crate::support::program::Exit;
use crate::support::{installed, server_scripts};

server_tests!(LuaKv);

struct LuaKv {
    command: Vec<OsString>,
}

impl Server for LuaKv {
    const ON_SIGTERM: Exit = Exit::Signal(Signal::SIGTERM as i32);
    type Session = KvSession;
    type External = KvNetcat;

    fn prepare(address: SocketAddr, _dir: &Path) -> Result<Self> {
        let command = vec![
            installed("lua5.4")?.into(),
            server_scripts().join("kv.lua").into(),
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
