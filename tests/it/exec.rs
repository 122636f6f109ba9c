//! Real servers that a wrapper becomes by exec, under a pair whose primary dies. `conformance::guest::exec` and `failover::exec`
//! have the details.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Result;

use crate::support::group::{Group, Victim};
use crate::support::wire::Wire;
use crate::support::{free_address, installed};

/// A job that is put before the primary dies is there after it, on the same connection.
fn keeps_a_job(wrapper: impl Fn(&Path) -> Vec<OsString>, victim: Victim) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let address: SocketAddr = free_address()?;
    let mut server = wrapper(dir.path());
    server.push(installed("beanstalkd")?.into());
    server.extend(["-l", "127.0.0.1", "-p"].map(OsString::from));
    server.push(address.port().to_string().into());
    let mut group = Group::start(&server, address, dir.path())?;
    let before = group.wait_paired()?;
    let mut client = Wire::connect(address, "client")?;
    client.send(b"put 0 0 60 5\r\nhello\r\n")?;
    client.expect(b"INSERTED 1\r\n")?;
    group.kill(victim, &before)?;
    client.send(b"put 0 0 60 5\r\nagain\r\nreserve\r\n")?;
    client.expect(b"INSERTED 2\r\nRESERVED 1 5\r\nhello\r\n").map_err(|error| group.explain(error))?;
    group.wait_solo(victim, &before).map_err(|error| group.explain(error))?;
    client.end()?;
    group.stop()?;
    Ok(())
}

#[test]
fn a_shell_becomes_the_server() -> Result<()> {
    keeps_a_job(|_| ["/bin/sh", "-c", "umask 077; exec \"$0\" \"$@\""].map(OsString::from).to_vec(), Victim::Server)
}

#[test]
fn env_and_nice_become_the_server() -> Result<()> {
    let wrapper = ["/usr/bin/env", "-i", "PATH=/usr/bin:/bin", "nice", "-n", "1", "env", "-u", "HOME"];
    keeps_a_job(|_| wrapper.map(OsString::from).to_vec(), Victim::Primary)
}

/// The interpreter that the script names becomes a shell, that one the server.
#[test]
fn a_script_becomes_the_server() -> Result<()> {
    let script = |dir: &Path| {
        let [outer, inner] = ["outer", "inner"].map(|name| dir.join(name));
        for (path, text) in [
            (&inner, "#!/bin/sh -e\nulimit -n 512\nexec \"$@\"\n".to_owned()),
            (&outer, format!("#!/usr/bin/env -S sh -e\ncd /\nexec {} \"$@\"\n", inner.display())),
        ] {
            fs::write(path, text).expect("a script can be written");
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("its mode can be set");
        }
        vec![outer.into_os_string()]
    };
    keeps_a_job(script, Victim::Server)
}
